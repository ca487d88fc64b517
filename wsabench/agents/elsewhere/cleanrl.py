"""`cleanrl:PATH`: state dictionaries of CleanRL's Atari agents, their architecture read from names and shapes.

Layouts: PPO (`network.0..7`, `actor`, `critic`; with `lstm` the recurrent one), DQN (`network.0..9`), C51 (the same
with `atoms`), and IMPALA's residual network (`network.0..2` with `res_block*`) under action values (QDagger) or under
`actor` and `critic`. A file is what `torch.save(network.state_dict(), PATH)` wrote, or CleanRL's own
`{"model_weights": ..., "args": ...}`, or the same weights as safetensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from wsabench.agents.elsewhere.cards import stated_score
from wsabench.agents.elsewhere.environments import Environment, environment_of, find_environment
from wsabench.agents.elsewhere.layers import Convolutions, Impala, Layers, Lstm, Scores, State, numbered, weight
from wsabench.agents.elsewhere.opened import Wanted
from wsabench.agents.elsewhere.policy import NetworkPolicy
from wsabench.agents.elsewhere.tensors import Weights, only_tensors, read_file, read_plain, read_safetensors
from wsabench.agents.elsewhere.views import check_game, trained_view
from wsabench.errors import CheckpointError
from wsabench.hashing import bytes_hash
from wsabench.types import Abilities

EPSILON = 0.05
"""Share of random actions with which CleanRL evaluates agents with action values."""
_REST = (
    "Known: CleanRL's Atari networks for PPO, DQN, C51, QDagger, and IMPALA's. Wrap others as "
    "python:package.module:factory, or save them as TorchScript and name them torchscript:PATH."
)


class _Saved(NamedTuple):
    weights: dict[str, Tensor]
    settings: Mapping[str, Any]
    """CleanRL's `args`, where the file has them."""
    content_hash: str


def load(wanted: Wanted) -> NetworkPolicy:
    """Load an agent of CleanRL.

    Raises:
        CheckpointError: The file is missing, damaged, of another layout or game, or would have to be unpickled.
    """
    path = wanted.uri.path
    saved = read(path)
    environment = _environment(saved, path)
    check_game(environment, wanted.game, str(path))
    network = build(saved.weights, str(path), saved.settings)
    seed = saved.settings.get("seed")
    view = trained_view("cleanrl", environment, frame_stack=network.stack, screen_size=network.size)
    abilities = Abilities(
        name=path.stem,
        train_seed=seed if isinstance(seed, int) and seed >= 0 and not wanted.train_seed else wanted.train_seed,
        checkpoint_hash=saved.content_hash,
        view=view.fields,
        notes=view.notes,
        stated_score=stated_score(path),
    )
    return NetworkPolicy(
        network,
        abilities,
        heads="actor_critic" if network.has_critic else "q",
        action_selection=wanted.action_selection,
        epsilon=EPSILON,
    )


def read(path: Path) -> _Saved:
    """Read a file of weights.

    Raises:
        CheckpointError: It is missing or damaged, or would have to be unpickled.
    """
    content = read_file(path)
    is_safe = content[8:9] == b"{"
    value = read_safetensors(content, str(path)) if is_safe else read_plain(content, str(path))
    settings: Any = {}
    if isinstance(value, Mapping) and "model_weights" in value:
        settings, value = value.get("args", {}), value["model_weights"]
    return _Saved(
        only_tensors(value, str(path)), settings if isinstance(settings, Mapping) else {}, bytes_hash(content)
    )


def is_layout(weights: Mapping[str, Any]) -> bool:
    """Whether a state dictionary has the names of a network of CleanRL."""
    return "network.0.weight" in weights or "network.0.conv.weight" in weights


class CleanRlNetwork:
    """One of CleanRL's networks."""

    def __init__(self, weights: Weights, settings: Mapping[str, Any]) -> None:
        """Take the weights.

        Args:
            weights: All of the network.
            settings: CleanRL's `args`, for C51 without its buffer of atoms.

        Raises:
            CheckpointError: A layer is missing, unknown or has another shape.
        """
        places = numbered(weights, "network")
        if "network.0.conv.weight" in weights:
            sequences = [f"network.{place}" for place in range(9) if f"network.{place}.conv.weight" in weights]
            self._body, behind = Impala(weights, sequences, places[0] if places else "network.5"), places[1:]
        else:
            self._body, behind = (
                Convolutions(weights, places[:3], places[3] if len(places) > 3 else "network.7"),
                places[4:],
            )
        self._lstm = Lstm(weights, "lstm") if "lstm.weight_ih_l0" in weights else None
        self.has_critic = "actor.weight" in weights
        head = "actor" if self.has_critic else (behind[0] if behind else "network.9")
        self._head = Layers(weights, [head], functional.relu, ends_activated=False)
        self._critic = Layers(weights, ["critic"], functional.relu, ends_activated=False) if self.has_critic else None
        self._atoms = _atoms(weights, settings)
        num_atoms = 1 if self._atoms is None else len(self._atoms)
        self.num_actions, rest = divmod(self._head.width, num_atoms)
        if rest:
            raise CheckpointError(f"its {self._head.width} outputs are no multiple of {num_atoms} atoms")
        self.stack, self.size = self._body.stack, self._body.size
        self.state_shape = None if self._lstm is None else self._lstm.state_shape
        known = ("network.", "actor.", "critic.", "lstm.", "atoms")
        others = [name for name in weights if not name.startswith(known)] + [f"{one}.weight" for one in behind[1:]]
        if others:
            raise CheckpointError(f"its weight {others[0]} belongs to none of CleanRL's networks")

    def __call__(self, observations: Tensor, state: State | None) -> Scores:
        """Return logits and values, or action values."""
        features = self._body(observations)
        if self._lstm is not None and state is not None:
            features, state = self._lstm(features, state)
        told = self._head(features)
        if self._critic is not None:
            return Scores(told, self._critic(features).flatten(), state)
        if self._atoms is None:
            return Scores(told, None)
        shares = told.unflatten(1, (self.num_actions, len(self._atoms))).softmax(dim=2)
        return Scores((shares * self._atoms).sum(dim=2), None)


def build(weights: Weights, where: str, settings: Mapping[str, Any] | None = None) -> CleanRlNetwork:
    """Build the network that a state dictionary belongs to.

    Raises:
        CheckpointError: It is none of CleanRL's.
    """
    try:
        return CleanRlNetwork(weights, settings or {})
    except CheckpointError as error:
        raise CheckpointError(f"{where} is no network of CleanRL: {str(error).rstrip('.')}. {_REST}") from error


def _atoms(weights: Weights, settings: Mapping[str, Any]) -> Tensor | None:
    """Return the returns that C51's outputs stand for; None for other agents."""
    if "atoms" in weights:
        return weight(weights, "atoms", 1)
    if {"n_atoms", "v_min", "v_max"} <= settings.keys():
        low, high, count = (float(settings[name]) for name in ("v_min", "v_max", "n_atoms"))
        return torch.linspace(low, high, int(count), dtype=torch.float32, device="cpu")
    return None


def _environment(saved: _Saved, path: Path) -> Environment | None:
    stated = saved.settings.get("env_id")
    return (find_environment(stated) if isinstance(stated, str) else None) or environment_of(path)
