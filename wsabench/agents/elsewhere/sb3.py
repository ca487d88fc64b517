"""`sb3:PATH.zip`: agents of Stable-Baselines3 and sb3-contrib, read with the standard library alone.

A saved model is a zip with `data` (JSON, in which objects stand as base64 of cloudpickle beside readable texts) and
`policy.pth` (a state dictionary). PPO, A2C, DQN, QR-DQN and recurrent PPO with their own `CnnPolicy` are built from the
state dictionary. Anything else needs the library itself, which unpickles, and so the user's trust.
"""

from __future__ import annotations

import importlib
import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from wsabench.agents.elsewhere.cards import stated_score
from wsabench.agents.elsewhere.environments import environment_of
from wsabench.agents.elsewhere.layers import Activation, Convolutions, Layers, Lstm, Network, Scores, State, numbered
from wsabench.agents.elsewhere.opened import Wanted
from wsabench.agents.elsewhere.policy import NetworkPolicy
from wsabench.agents.elsewhere.tensors import Weights, only_tensors, read_file, read_plain
from wsabench.agents.elsewhere.views import check_game, trained_view
from wsabench.agents.spec import HeadKind
from wsabench.errors import CheckpointError, SpecError
from wsabench.hashing import bytes_hash
from wsabench.types import Abilities

_MOST_BYTES = 4 << 30
_ACTIVATIONS: dict[str, Activation] = {
    "ReLU": functional.relu,
    "Tanh": torch.tanh,
    "ELU": functional.elu,
    "LeakyReLU": functional.leaky_relu,
    "SiLU": functional.silu,
    "GELU": functional.gelu,
}
_DECIDES_NOTHING = frozenset(
    {"net_arch", "ortho_init", "optimizer_class", "optimizer_kwargs", "share_features_extractor", "n_quantiles"}
    | {"lstm_hidden_size", "n_lstm_layers", "shared_lstm", "enable_critic_lstm", "use_sde"}
)
"""Keyword arguments of a policy that its weights show, or that matter in training only."""


class _Saved(NamedTuple):
    """A saved model, read without unpickling."""

    data: dict[str, Any]
    weights: dict[str, Tensor]
    content_hash: str


def load(wanted: Wanted) -> NetworkPolicy:
    """Load an agent of Stable-Baselines3.

    Raises:
        CheckpointError: The file is missing or damaged, was trained on another game, or would have to be unpickled.
        SpecError: It is trusted, and the library that opens it is not installed.
    """
    path = wanted.uri.path
    saved = _read(path)
    environment = environment_of(path)
    check_game(environment, wanted.game, str(path))
    network, heads = _network(saved, wanted, path)
    view = trained_view("sb3", environment, frame_stack=network.stack, screen_size=network.size)
    abilities = Abilities(
        name=path.stem,
        train_seed=wanted.train_seed,
        checkpoint_hash=saved.content_hash,
        view=view.fields,
        notes=view.notes,
        stated_score=stated_score(path),
    )
    epsilon = saved.data.get("exploration_rate")
    return NetworkPolicy(
        network,
        abilities,
        heads=heads,
        action_selection=wanted.action_selection,
        epsilon=float(epsilon) if isinstance(epsilon, int | float) else 0.0,
    )


def _read(path: Path) -> _Saved:
    content = read_file(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            if "data" not in names or "policy.pth" not in names:
                raise CheckpointError(
                    f"{path} is no model of Stable-Baselines3: it holds {', '.join(sorted(names)[:6])}, not `data` and "
                    "`policy.pth`. Give the file that model.save(PATH) wrote."
                )
            if sum(archive.getinfo(name).file_size for name in ("data", "policy.pth")) > _MOST_BYTES:
                raise CheckpointError(f"{path} would unpack to more than 4 GiB. Give an agent's file.")
            data, weights = json.loads(archive.read("data")), archive.read("policy.pth")
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, ValueError, EOFError) as error:
        raise CheckpointError(f"{path} is damaged: {error}. Restore it, or save the model again.") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} is damaged: its `data` is no JSON object. Save the model again.")
    where = f"policy.pth in {path}"
    return _Saved(data, only_tensors(read_plain(weights, where), where), bytes_hash(content))


def _network(saved: _Saved, wanted: Wanted, path: Path) -> tuple[Network, HeadKind]:
    """Build a standard network, or with the user's trust let the library open the file."""
    stated = saved.data.get("observation_space")
    shape = stated.get("_shape") if isinstance(stated, dict) else None
    if isinstance(shape, list) and len(shape) == 3 and shape[0] in (3, 12):
        raise CheckpointError(
            f"{path} was trained on colour frames of shape {tuple(shape)}; lanes show grey ones, as the library's own "
            "make_atari_env(...) in VecFrameStack(..., n_stack=4) does. Train it so. An agent that reads the newest "
            "frame in colour, 84x84, can be wrapped as python:package.module:factory, with required_inputs = "
            "('rgb84',)."
        )
    try:
        return _standard(saved)
    except CheckpointError as error:
        if not wanted.permissions.trust:
            raise CheckpointError(_untrusted(path, saved.data, error)) from error
    return _opened_by_library(path, saved.data), "q" if "exploration_rate" in saved.data else "actor_critic"


def _standard(saved: _Saved) -> tuple[Network, HeadKind]:
    """Return the network of a policy whose layers are those of the library.

    Raises:
        CheckpointError: They are not; the message says which.
    """
    weights, arguments = saved.weights, saved.data.get("policy_kwargs") or {}
    _check_arguments(arguments)
    scale = 1.0 if arguments.get("normalize_images") is False else 255.0
    for prefix in ("q_net", "quantile_net"):
        if any(name.startswith(f"{prefix}.features_extractor.") for name in weights):
            num_actions = int(str(saved.data.get("action_space", {}).get("n", 0)) or 0)
            activation = _activation(arguments, functional.relu)
            network = ActionValues(_own(weights, prefix), prefix, activation, scale, num_actions)
            return network, "q"
    return ActorCritic(weights, _activation(arguments, torch.tanh), scale), "actor_critic"


def _check_arguments(arguments: dict[str, Any]) -> None:
    """Refuse arguments of a policy that change what its weights mean."""
    known = _DECIDES_NOTHING | {":type:", ":serialized:", "normalize_images", "activation_fn"}
    for name, value in arguments.items():
        if name in known or (name == "features_extractor_class" and "torch_layers.NatureCNN" in str(value)):
            continue
        if name == "features_extractor_kwargs" and set(value) <= {"features_dim", "normalized_image"}:
            continue
        raise CheckpointError(f"its policy was made with {name}={value}")


def _activation(arguments: dict[str, Any], default: Activation) -> Activation:
    """Return the activation between linear layers, from the text in which the file names its class."""
    stated = arguments.get("activation_fn")
    if stated is None:
        return default
    name = str(stated).removesuffix("'>").rpartition(".")[2]
    if "torch.nn.modules.activation" not in str(stated) or name not in _ACTIVATIONS:
        raise CheckpointError(f"its activation is {stated}")
    return _ACTIVATIONS[name]


def _own(weights: Weights, prefix: str) -> dict[str, Tensor]:
    """Return the weights of one network, without those of its target."""
    return {name: value for name, value in weights.items() if name.startswith(f"{prefix}.")}


def _convolutions(weights: Weights, extractor: str, scale: float) -> Convolutions:
    return Convolutions(
        weights, [f"{extractor}.cnn.{place}" for place in (0, 2, 4)], f"{extractor}.linear.0", scale=scale
    )


class ActorCritic:
    """PPO, A2C and recurrent PPO with `CnnPolicy`."""

    def __init__(self, weights: Weights, activation: Activation, scale: float) -> None:
        """Take the weights of the policy.

        Raises:
            CheckpointError: A layer is missing, unknown or has another shape.
        """
        extractors = ("pi_features_extractor", "vf_features_extractor")
        if not any(name.startswith("pi_features_extractor.") for name in weights):
            extractors = ("features_extractor", "features_extractor")  # before version 1.7 of the library
        self._actor, self._critic = (_convolutions(weights, name, scale) for name in extractors)
        self._policy, self._value = (
            (
                Layers(weights, numbered(weights, f"mlp_extractor.{kind}_net"), activation, ends_activated=True),
                Layers(weights, [head], activation, ends_activated=False),
            )
            for kind, head in (("policy", "action_net"), ("value", "value_net"))
        )
        self._lstm = Lstm(weights, "lstm_actor") if "lstm_actor.weight_ih_l0" in weights else None
        known = (*extractors, "features_extractor", "mlp_extractor.policy_net", "mlp_extractor.value_net")
        known = (*known, "action_net", "value_net", "lstm_actor", "lstm_critic", "critic")
        _refuse_others(weights, known)
        self.num_actions, self.stack, self.size = self._policy[1].width, self._actor.stack, self._actor.size
        self.state_shape = None if self._lstm is None else self._lstm.state_shape

    def __call__(self, observations: Tensor, state: State | None) -> Scores:
        """Return logits and, where no memory is needed for it, the value."""
        features = self._actor(observations)
        if self._lstm is not None and state is not None:
            features, state = self._lstm(features, state)
            logits = self._policy[1](self._policy[0](features))
            return Scores(logits, logits.new_full((len(logits),), torch.nan), state)
        seen = self._critic(observations)
        body, head = self._value
        return Scores(self._policy[1](self._policy[0](features)), head(body(seen)).flatten())


class ActionValues:
    """DQN and QR-DQN with `CnnPolicy`: the value of an action is the mean of its quantiles."""

    state_shape: tuple[int, int] | None = None

    def __init__(self, weights: Weights, prefix: str, activation: Activation, scale: float, num_actions: int) -> None:
        """Take the weights of the network, not of its target.

        Args:
            weights: Those whose names begin with the prefix.
            prefix: `q_net` or `quantile_net`.
            activation: Between linear layers.
            scale: What pixels are divided by.
            num_actions: As the action space says; for quantiles.

        Raises:
            CheckpointError: A layer is missing, unknown or has another shape.
        """
        self._features = _convolutions(weights, f"{prefix}.features_extractor", scale)
        self._head = Layers(weights, numbered(weights, f"{prefix}.{prefix}"), activation, ends_activated=False)
        _refuse_others(weights, (f"{prefix}.features_extractor", f"{prefix}.{prefix}"))
        self.stack, self.size = self._features.stack, self._features.size
        self.num_actions = self._head.width if prefix == "q_net" else num_actions
        self._quantiles = self._head.width // max(self.num_actions, 1)
        if self._quantiles * self.num_actions != self._head.width:
            raise CheckpointError(
                f"its {self._head.width} outputs are no whole number for each of {num_actions} actions"
            )

    def __call__(self, observations: Tensor, state: State | None) -> Scores:
        """Return action values."""
        told = self._head(self._features(observations)).unflatten(1, (self._quantiles, self.num_actions))
        return Scores(told.mean(dim=1), None)


def _refuse_others(weights: Weights, known: tuple[str, ...]) -> None:
    """Refuse weights of layers that a standard network does not have."""
    others = [name for name in weights if not name.startswith(tuple(f"{one}." for one in known))]
    if others:
        raise CheckpointError(f"its weight {others[0]} belongs to no layer of a CnnPolicy")


def _untrusted(path: Path, data: dict[str, Any], error: CheckpointError) -> str:
    """Return what to say of a file that only the library can open: what would be unpickled."""
    pickled = sorted(name for name, value in data.items() if isinstance(value, dict) and ":serialized:" in value)
    policy = data.get("policy_class")
    origin = policy.get("__module__", "unknown") if isinstance(policy, dict) else "unknown"
    return (
        f"{path} is no standard agent of Stable-Baselines3 ({error}). Opening it takes the library, which would "
        f"unpickle {', '.join(pickled)} (the policy's class is of the module {origin}), and that can run any code. If "
        "you trust the file, add --trust."
    )


def _opened_by_library(path: Path, data: dict[str, Any]) -> Network:
    """Return the network of a trusted file, opened by the library that wrote it.

    Raises:
        CheckpointError: The library cannot open it.
        SpecError: The library is not installed.
    """
    module, name = _algorithm(data)
    try:
        algorithm: Any = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise SpecError(f"Opening {path} takes {module}: {error}. Install it: pip install 'wsabench[sb3]'.") from error
    try:
        model = algorithm.load(path, device="cpu", custom_objects={"buffer_size": 1, "learning_rate": 0.0})
    except Exception as error:  # the file's own code may raise anything
        raise CheckpointError(f"{module} cannot open {path}: {type(error).__name__}: {error}") from error
    return _LibraryNetwork(model)


def _algorithm(data: dict[str, Any]) -> tuple[str, str]:
    """Return module and class that open a file, by the settings in it."""
    policy = data.get("policy_class")
    module = str(policy.get("__module__", "")) if isinstance(policy, dict) else ""
    if "exploration_rate" in data:
        is_quantile = "qrdqn" in module or "n_quantiles" in (data.get("policy_kwargs") or {})
        return ("sb3_contrib", "QRDQN") if is_quantile else ("stable_baselines3", "DQN")
    return "stable_baselines3", "PPO" if "clip_range" in data else "A2C"


class _LibraryNetwork:
    """A policy of Stable-Baselines3 as the library itself computes it."""

    state_shape: tuple[int, int] | None = None

    def __init__(self, model: Any) -> None:
        self._policy = model.policy
        self._policy.set_training_mode(False)
        self.num_actions = int(model.action_space.n)
        self.stack, self.size = int(model.observation_space.shape[0]), int(model.observation_space.shape[-1])

    def __call__(self, observations: Tensor, state: State | None) -> Scores:
        """Return logits and values, or action values."""
        if hasattr(self._policy, "q_net"):
            return Scores(self._policy.q_net(observations), None)
        if hasattr(self._policy, "quantile_net"):
            return Scores(self._policy.quantile_net(observations).mean(dim=1), None)
        logits = self._policy.get_distribution(observations).distribution.logits
        return Scores(logits, self._policy.predict_values(observations).flatten())
