"""Agents of other tools: opened by address, recognised by content, never unpickled without trust."""

from __future__ import annotations

import importlib
import json
import pickle  # noqa: TID251  (to make what must not be opened)
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from cleanrl_networks import C51, Dqn, ImpalaPpo, LstmPpo, Ppo, QDagger, nature
from torch import nn

from wsabench.agents import load_agent
from wsabench.agents.elsewhere.environments import environment_of, find_environment
from wsabench.errors import CheckpointError, SpecError, UnknownNameError, WsabenchError
from wsabench.types import LaneBatch

NUM_ACTIONS = 4


def stacks(count: int = 5, size: int = 84) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 4, size, size)).astype(np.uint8)


def lanes(count: int = 5, starts: bool = False) -> LaneBatch:
    ids = np.arange(count)
    return LaneBatch(ids, tuple(np.random.default_rng(i) for i in ids), np.full(count, starts), ((),) * count)


def seeded(make: Any, *arguments: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return make(*arguments)


@pytest.mark.oracle
@pytest.mark.parametrize("kind", [Ppo, Dqn, C51, QDagger, ImpalaPpo])
@pytest.mark.parametrize("wrapped", [False, True])
def test_cleanrl_networks_are_built_from_their_shapes(kind: Any, wrapped: bool, tmp_path: Path) -> None:
    network, path = seeded(kind), tmp_path / "agent.cleanrl_model"
    weights = network.state_dict()
    args = {"env_id": "BreakoutNoFrameskip-v4", "seed": 7, "n_atoms": 51, "v_min": -10, "v_max": 10}
    if wrapped and kind is not C51:
        args = {"env_id": "BreakoutNoFrameskip-v4", "seed": 7}
    torch.save({"model_weights": weights, "args": args} if wrapped else weights, path)
    policy = load_agent(f"cleanrl:{path}", game="breakout", action_selection="greedy")
    assert policy.abilities.is_deterministic
    with torch.no_grad():
        wanted = network.scores(torch.from_numpy(stacks()))
    found, _ = policy.scores(stacks(), lanes())  # pyright: ignore
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    np.testing.assert_array_equal(policy.act(stacks(), lanes()).actions, wanted.argmax(1).numpy())
    assert policy.abilities.num_actions == NUM_ACTIONS
    assert policy.abilities.train_seed == (7 if wrapped else 0)
    assert policy.abilities.view["stack_start"] == "repeat"
    if wrapped:
        with pytest.raises(CheckpointError, match=r"trained on BreakoutNoFrameskip-v4, not on pong"):
            load_agent(f"cleanrl:{path}", game="pong")


@pytest.mark.oracle
def test_a_recurrent_agent_remembers_each_lane_by_itself(tmp_path: Path) -> None:
    network, path = seeded(LstmPpo), tmp_path / "lstm.cleanrl_model"
    torch.save(network.state_dict(), path)
    policy: Any = load_agent(f"cleanrl:{path}", game="breakout")
    assert not policy.abilities.is_deterministic  # it samples
    assert policy.abilities.view["frame_stack"] == 1
    seen = np.random.default_rng(0).integers(0, 256, (4, 3, 1, 84, 84)).astype(np.uint8)  # steps, lanes
    starts = np.array([[1, 1, 1], [0, 0, 0], [0, 1, 0], [0, 0, 0]], bool)
    state = (torch.zeros(1, 3, 128), torch.zeros(1, 3, 128))
    for step in range(4):
        with torch.no_grad():
            features = network.network(torch.from_numpy(seen[step]) / 255.0)
            keep = torch.from_numpy(~starts[step]).float().view(1, 3, 1)
            hidden, state = network.lstm(features[None], (state[0] * keep, state[1] * keep))
            wanted = network.actor(hidden[0])
        order = [2, 0, 1] if step % 2 else [0, 1, 2]  # lanes change their rows
        told = LaneBatch(np.array(order), lanes(3).generators, starts[step][order], ((),) * 3)
        found, _ = policy.scores(seen[step][order], told)
        torch.testing.assert_close(found, wanted[order], atol=1e-5, rtol=1e-5)


def test_sampling_draws_from_the_lanes_own_generator(tmp_path: Path) -> None:
    torch.save(seeded(Ppo).state_dict(), tmp_path / "a.cleanrl_model")
    policy = load_agent(f"cleanrl:{tmp_path}/a.cleanrl_model", game="breakout")
    first = policy.act(stacks(), lanes()).actions
    torch.manual_seed(99)
    assert policy.act(stacks(), lanes()).actions.tolist() == first.tolist()


def test_safetensors_of_a_cleanrl_network(tmp_path: Path) -> None:
    safetensors.torch.save_file(seeded(Dqn).state_dict(), tmp_path / "dqn.safetensors")
    policy = load_agent(f"cleanrl:{tmp_path}/dqn.safetensors", game="breakout")
    assert policy.abilities.num_actions == NUM_ACTIONS


def broken(name: str, value: torch.Tensor | None) -> dict[str, torch.Tensor]:
    weights = dict(seeded(Dqn).state_dict())
    if value is None:
        del weights[name]
    else:
        weights[name] = value
    return weights


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (lambda: broken("network.9.bias", None), r"network\.9\.bias is missing"),
        (lambda: broken("network.0.weight", torch.zeros(32, 4, 5, 5)), r"network\.0 has a 5x5 kernel"),
        (lambda: broken("network.7.weight", torch.zeros(512, 100)), r"network\.7 takes 100 numbers"),
        (lambda: broken("encoder.weight", torch.zeros(2, 2)), r"weight encoder\.weight belongs to none"),
        (lambda: broken("network.0.bias", torch.full((32,), torch.nan)), r"damaged: network\.0\.bias is not finite"),
        (lambda: {"a": 3}, r"holds no state dictionary"),
    ],
)
def test_other_networks_are_refused_with_what_is_wrong(weights: Any, message: str, tmp_path: Path) -> None:
    torch.save(weights(), tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=message):
        load_agent(f"cleanrl:{tmp_path}/x.pt", game="breakout")


class Evil:
    """Leaves a trace when it is unpickled."""

    def __reduce__(self) -> Any:
        return (Path.write_text, (Path("unpickled"), "yes"))


def test_pickles_are_named_and_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model_weights": seeded(Dqn).state_dict(), "args": Evil()}, "evil.pt")
    torch.save(seeded(Dqn), "module.pt")
    Path("plain.pkl").write_bytes(pickle.dumps(Evil()))
    for name, told in [
        ("evil.pt", "pathlib"),
        ("module.pt", r"Dqn"),
        ("plain.pkl", "damaged, or no file that torch.save wrote"),
    ]:
        for trust in (False, True):
            with pytest.raises(CheckpointError, match=told):
                load_agent(f"cleanrl:{name}", game="breakout", trust=trust)
        with pytest.raises(CheckpointError, match=r"is a pickle"):
            load_agent(f"./{name}", game="breakout")
    assert not Path("unpickled").exists()


def sb3_zip(path: Path, data: dict[str, Any], weights: dict[str, torch.Tensor]) -> Path:
    torch.save(weights, path.with_suffix(".pth"))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", json.dumps(data))
        archive.write(path.with_suffix(".pth"), "policy.pth")
    path.with_suffix(".pth").unlink()
    return path


def extractor(name: str, weights: dict[str, torch.Tensor], frames: int = 4) -> dict[str, torch.Tensor]:
    body = seeded(lambda: nn.Sequential(*nature(frames))).state_dict()
    places = {"0": "cnn.0", "2": "cnn.2", "4": "cnn.4", "7": "linear.0"}
    return {**weights, **{f"{name}.{places[k.split('.')[0]]}.{k.split('.')[1]}": v for k, v in body.items()}}


def saved_ppo(**more: Any) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    heads = {"action_net": NUM_ACTIONS, "value_net": 1}
    layers = {name: seeded(nn.Linear, 512, width) for name, width in heads.items()}
    weights = {f"{n}.{k}": v for n, layer in layers.items() for k, v in layer.state_dict().items()}
    pickled = {":type:": "<class 'abc.ABCMeta'>", ":serialized:": "gAV=", "__module__": "my_code.policies"}
    data = {"policy_class": pickled, "clip_range": pickled, "policy_kwargs": more}
    return data, extractor("pi_features_extractor", extractor("vf_features_extractor", weights))


@pytest.mark.extra
@pytest.mark.oracle
@pytest.mark.parametrize("algorithm", ["PPO", "A2C", "DQN"])
@pytest.mark.parametrize("with_layers", [False, True])
def test_models_of_stable_baselines3(algorithm: str, with_layers: bool, tmp_path: Path) -> None:
    sb3 = importlib.import_module("stable_baselines3")
    import gymnasium

    class Pixels(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(0, 255, (4, 84, 84), np.uint8)
        action_space = gymnasium.spaces.Discrete(NUM_ACTIONS)

    arguments: dict[str, Any] = {"activation_fn": nn.ELU, "net_arch": [32, 16]} if with_layers else {}
    if with_layers and algorithm == "PPO":
        arguments |= {"net_arch": {"pi": [32], "vf": [16]}, "share_features_extractor": False}
    more = {"buffer_size": 10} if algorithm == "DQN" else {}
    model = getattr(sb3, algorithm)("CnnPolicy", Pixels(), policy_kwargs=arguments, seed=1, device="cpu", **more)
    model.save(tmp_path / "BreakoutNoFrameskip-v4.zip")
    policy: Any = load_agent(f"sb3:{tmp_path}/BreakoutNoFrameskip-v4.zip", game="breakout", action_selection="greedy")
    assert policy.abilities.is_deterministic
    pixels = torch.from_numpy(stacks())
    with torch.no_grad():
        is_q = algorithm == "DQN"
        wanted = model.policy.q_net(pixels) if is_q else model.policy.get_distribution(pixels).distribution.logits
    found, values = policy.scores(stacks(), lanes())
    torch.testing.assert_close(found if is_q else found.log_softmax(1), wanted, atol=1e-5, rtol=1e-5)
    if not is_q:
        torch.testing.assert_close(values, model.policy.predict_values(pixels).flatten().detach(), atol=1e-5, rtol=1e-5)
    assert policy.act(stacks(), lanes()).actions.tolist() == model.predict(stacks(), deterministic=True)[0].tolist()
    with pytest.raises(CheckpointError, match="not on pong"):
        load_agent(f"sb3:{tmp_path}/BreakoutNoFrameskip-v4.zip", game="pong")


@pytest.mark.oracle
def test_quantiles_of_sb3_contrib_are_averaged(tmp_path: Path) -> None:
    head = seeded(nn.Linear, 512, 50 * NUM_ACTIONS)
    weights = {f"quantile_net.quantile_net.0.{k}": v for k, v in head.state_dict().items()}
    weights = extractor("quantile_net.features_extractor", weights)
    weights = extractor("quantile_net_target.features_extractor", weights)
    path = sb3_zip(
        tmp_path / "q.zip", {"action_space": {"n": "4"}, "exploration_rate": 0.01, "policy_kwargs": {}}, weights
    )
    policy: Any = load_agent(f"sb3:{path}", game="breakout")
    body = seeded(lambda: nn.Sequential(*nature()))
    with torch.no_grad():
        wanted = head(body(torch.from_numpy(stacks()) / 255.0)).view(-1, 50, NUM_ACTIONS).mean(dim=1)
    torch.testing.assert_close(policy.scores(stacks(), lanes())[0], wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.oracle
def test_recurrent_ppo_of_sb3_contrib(tmp_path: Path) -> None:
    data, weights = saved_ppo()
    memory = seeded(nn.LSTM, 512, 512)
    weights |= {f"{name}.{k}": v for name in ("lstm_actor", "lstm_critic") for k, v in memory.state_dict().items()}
    policy: Any = load_agent(f"sb3:{sb3_zip(tmp_path / 'r.zip', data, weights)}", game="breakout")
    body, head = seeded(lambda: nn.Sequential(*nature())), seeded(nn.Linear, 512, NUM_ACTIONS)
    state = None
    for step in range(3):
        pixels = np.roll(stacks(), step, axis=0)
        with torch.no_grad():
            hidden, state = memory(body(torch.from_numpy(pixels) / 255.0)[None], state)
        found, _ = policy.scores(pixels, lanes(starts=step == 0))
        torch.testing.assert_close(found, head(hidden[0]).detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.extra
@pytest.mark.oracle
@pytest.mark.parametrize(("algorithm", "policy_name"), [("QRDQN", "CnnPolicy"), ("RecurrentPPO", "CnnLstmPolicy")])
def test_models_of_sb3_contrib(algorithm: str, policy_name: str, tmp_path: Path) -> None:
    contrib = importlib.import_module("sb3_contrib")
    import gymnasium

    class Pixels(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(0, 255, (4, 84, 84), np.uint8)
        action_space = gymnasium.spaces.Discrete(NUM_ACTIONS)

    more = {"buffer_size": 10} if algorithm == "QRDQN" else {}
    model = getattr(contrib, algorithm)(policy_name, Pixels(), seed=1, device="cpu", **more)
    model.save(tmp_path / "m.zip")
    policy = load_agent(f"sb3:{tmp_path}/m.zip", game="breakout", action_selection="greedy")
    state = None
    for step, starts in enumerate(([1] * 5, [0] * 5, [0, 1, 0, 0, 1], [0] * 5)):
        pixels, begins = np.roll(stacks(), step, axis=0), np.array(starts, bool)
        wanted, state = model.predict(pixels, state=state, episode_start=begins, deterministic=True)
        told = LaneBatch(np.arange(5), lanes().generators, begins, ((),) * 5)
        assert policy.act(pixels, told).actions.tolist() == wanted.tolist()


@pytest.mark.parametrize(
    ("arguments", "extra", "message"),
    [
        ({"features_extractor_class": "<class 'my.Net'>"}, {}, r"made with features_extractor_class=<class 'my.Net'>"),
        ({"activation_fn": "<class 'my.Act'>"}, {}, r"its activation is <class 'my.Act'>"),
        ({}, {"my_layer.weight": torch.zeros(2, 2)}, r"weight my_layer.weight belongs to no layer of a CnnPolicy"),
    ],
)
def test_what_only_the_library_can_open_needs_trust(
    arguments: dict[str, Any], extra: dict[str, Any], message: str, tmp_path: Path
) -> None:
    data, weights = saved_ppo(**arguments)
    path = sb3_zip(tmp_path / "own.zip", data, {**weights, **extra})
    with pytest.raises(CheckpointError, match=message) as caught:
        load_agent(f"sb3:{path}", game="breakout")
    assert "unpickle clip_range, policy_class (the policy's class is of the module my_code.policies)" in str(
        caught.value
    )
    assert "--trust" in str(caught.value)


@pytest.mark.extra
@pytest.mark.oracle
def test_a_trusted_model_is_opened_by_its_library(tmp_path: Path) -> None:
    sb3 = importlib.import_module("stable_baselines3")
    import gymnasium

    class Pixels(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(0, 255, (4, 84, 84), np.uint8)
        action_space = gymnasium.spaces.Discrete(NUM_ACTIONS)

    layers = {"activation_fn": nn.Softsign, "net_arch": [16]}
    model = sb3.PPO("CnnPolicy", Pixels(), policy_kwargs=layers, seed=1, device="cpu")
    model.save(tmp_path / "odd.zip")
    with pytest.raises(CheckpointError, match=r"activation is .*Softsign.*--trust"):
        load_agent(f"sb3:{tmp_path}/odd.zip", game="breakout")
    policy = load_agent(f"sb3:{tmp_path}/odd.zip", game="breakout", action_selection="greedy", trust=True)
    assert policy.act(stacks(), lanes()).actions.tolist() == model.predict(stacks(), deterministic=True)[0].tolist()


def test_colour_and_damage_are_told_apart(tmp_path: Path) -> None:
    data, weights = saved_ppo()
    colour = sb3_zip(tmp_path / "c.zip", {**data, "observation_space": {"_shape": [12, 84, 84]}}, weights)
    with pytest.raises(CheckpointError, match=r"colour frames of shape \(12, 84, 84\)"):
        load_agent(f"sb3:{colour}", game="breakout")
    (tmp_path / "cut.zip").write_bytes(colour.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="is damaged"):
        load_agent(f"sb3:{tmp_path}/cut.zip", game="breakout")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("notes.txt", "x")
    with pytest.raises(CheckpointError, match=r"holds notes.txt, not `data` and `policy.pth`"):
        load_agent(f"sb3:{tmp_path}/other.zip", game="breakout")
    with pytest.raises(CheckpointError, match="does not exist"):
        load_agent("sb3:nowhere.zip", game="breakout")


class Script(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float().mean(dim=(2, 3))


class Acting(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float().mean(dim=(2, 3)).argmax(dim=1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_answers_logits_or_actions_and_needs_trust(tmp_path: Path) -> None:
    for name, module in (("logits", Script()), ("agent", Acting())):
        torch.jit.save(torch.jit.script(module), tmp_path / f"{name}.pt")
        address = f"torchscript:{tmp_path}/{name}.pt"
        with pytest.raises(CheckpointError, match=r"TorchScript program: opening it runs it.*pkl.*--trust"):
            load_agent(address, game="breakout")
        policy = load_agent(address, game="breakout", action_selection="greedy", trust=True)
        wanted = stacks(20).astype(np.float32).mean(axis=(2, 3)).argmax(axis=1)
        assert policy.act(stacks(20), lanes(20)).actions.tolist() == wanted.tolist()
        assert policy.abilities.num_actions == (4 if name == "logits" else None)
    torch.jit.save(torch.jit.trace(Acting(), torch.zeros(1, 4, 84, 84)), tmp_path / "bad.pt")
    policy = load_agent(f"torchscript:{tmp_path}/bad.pt", trust=True)
    assert policy.act(stacks(), lanes()).actions.shape == (5,)


@pytest.mark.extra
@pytest.mark.oracle
def test_onnx(tmp_path: Path) -> None:
    for dtype in (torch.float32, torch.uint8):
        example = torch.zeros(1, 4, 84, 84, dtype=dtype)
        axes = {"x": {0: "n"}}
        torch.onnx.export(Script(), (example,), tmp_path / "a.onnx", input_names=["x"], dynamic_axes=axes, dynamo=False)
        policy = load_agent(f"onnx:{tmp_path}/a.onnx", game="breakout", action_selection="greedy")
        wanted = stacks().astype(np.float32).mean(axis=(2, 3)).argmax(axis=1)
        assert policy.act(stacks(), lanes()).actions.tolist() == wanted.tolist()
        with pytest.raises(CheckpointError, match=r"is an ONNX network\. Write onnx:"):
            load_agent(tmp_path / "a.onnx", game="breakout")


def test_onnx_without_its_runtime_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "a.onnx").write_bytes(b"\x08\x07")
    with pytest.raises(SpecError, match=r"pip install 'wsabench\[onnx\]'"):
        load_agent(f"onnx:{tmp_path}/a.onnx")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_bare_path_is_recognised_and_the_address_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "model.zip": lambda path: sb3_zip(path, *saved_ppo()),
        "weights.pt": lambda path: torch.save(seeded(Dqn).state_dict(), path),
        "weights.safetensors": lambda path: safetensors.torch.save_file(seeded(Dqn).state_dict(), path),
        "agent.pt": lambda path: torch.jit.save(torch.jit.script(Acting()), path),
    }
    schemes = {"model.zip": "sb3", "agent.pt": "torchscript"}
    for name, write in files.items():
        write(tmp_path / name)
        with pytest.raises(CheckpointError, match=rf"Write {schemes.get(name, 'cleanrl')}:{tmp_path}/{name}\."):
            load_agent(tmp_path / name, game="breakout")
    (tmp_path / "lfs.zip").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(CheckpointError, match="git lfs pull"):
        load_agent(tmp_path / "lfs.zip", game="breakout")
    with pytest.raises(CheckpointError, match=r"There is no file gone\.zip"):
        load_agent("gone.zip", game="breakout")
    monkeypatch.chdir(tmp_path)
    Path("e2e").mkdir()
    assert load_agent("e2e", game="breakout").abilities.name == "e2e", "a folder of a baseline's name changes nothing"
    with pytest.raises(CheckpointError, match=r"is a folder without agent\.safetensors"):
        load_agent(tmp_path, game="breakout")
    with pytest.raises(CheckpointError, match=r"Name the module instead, pol:noop"):
        load_agent("./pol.py:noop", game="breakout")
    for name, wrong in (("model.zip", "torchscript"), ("agent.pt", "sb3"), ("weights.pt", "sb3")):
        right = schemes.get(name, "cleanrl")
        with pytest.raises(CheckpointError, match=rf"{name} is a .*\. Write {right}:{tmp_path}/{name}\."):
            load_agent(f"{wrong}:{tmp_path}/{name}", game="breakout")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sb3:", r"sb3: is no address of an agent\. Allowed: sb3:\.\.\., cleanrl:\.\.\., .*hf:\.\.\."),
        ("keras:runs/model.pb", r"keras:runs/model\.pb is no address of an agent\. Allowed: sb3:"),
        ("model.predict", r"There is no agent 'model\.predict'; .* write model:predict\."),
    ],
)
def test_what_is_no_address_is_told_with_what_to_write(text: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_agent(text, game="breakout")


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_factories.py").write_text(
        "import numpy as np\n"
        "class Constant:\n"
        "    def __init__(self, action): self.action = action\n"
        "    def act(self, observations, lanes): return np.full(len(observations), self.action)\n"
        "def make_agent(game, train_seed): return Constant(train_seed if game == 'pong' else 3)\n"
        "def plain(): return Constant(1)\n"
        "ready = Constant(2)\n"
        "def failing(game): raise ValueError('no weights')\n"
        "def policy(observations): return np.zeros(len(observations), int)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_factories", raising=False)
    return "own_factories"


@pytest.mark.parametrize(("name", "action"), [("make_agent", 5), ("plain", 1), ("ready", 2)])
def test_factories_are_called_with_what_they_take(factories: str, name: str, action: int) -> None:
    policy = load_agent(f"python:{factories}:{name}", game="pong", train_seed=5)
    assert policy.act(stacks(2), lanes(2)).actions.tolist() == [action, action]


def test_a_failing_factory_is_named(factories: str) -> None:
    with pytest.raises(SpecError, match=r"'own_factories:failing' failed: ValueError: no weights \(.*line 8\)"):
        load_agent(f"python:{factories}:failing", game="pong")


def test_a_policy_named_as_a_factory_is_explained(factories: str) -> None:
    with pytest.raises(SpecError, match=r"'observations'.*write own_factories:policy without python: before it"):
        load_agent(f"python:{factories}:policy", game="pong")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (
            "own_factories",
            r"No agent is called 'own_factories', but a module is\. .* write own_factories:NAME, as in own_f",
        ),
        ("folder.inner", r"but a module is\. .* write folder\.inner:NAME"),
        ("folder", r"write folder:NAME"),
        ("folder.inner.policy", r"write folder\.inner:policy"),
        ("own_factories.py", r"own_factories\.py is a file of Python\. .*: own_factories:NAME"),
        ("own_factori", r"Unknown agent 'own_factori'"),
    ],
)
def test_a_module_without_what_plays_in_it_is_explained(
    factories: str, reference: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "__init__.py").write_text("raise RuntimeError('nothing is imported to tell')\n")
    (tmp_path / "folder" / "inner.py").touch()
    (tmp_path / "own_factories.py").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WsabenchError, match=message):
        load_agent(reference, game="breakout")


def test_other_packages_bring_agents(factories: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = metadata.EntryPoint("theirs", f"{factories}:make_agent", "wsabench.agents")
    found = SimpleNamespace(name=entry.name, value=entry.value, module="m", dist=None, load=entry.load)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [found] if group == "wsabench.agents" else [])
    policy = load_agent("theirs", game="pong", train_seed=4)
    assert policy.abilities.name == "theirs"
    assert policy.act(stacks(1), lanes(1)).actions.tolist() == [4]
    with pytest.raises(UnknownNameError):
        load_agent("nobodys", game="breakout")


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    folder = tmp_path / "hub" / "models--sb3--ppo-BreakoutNoFrameskip-v4"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    snapshot = folder / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    sb3_zip(snapshot / "ppo-BreakoutNoFrameskip-v4.zip", *saved_ppo())
    (snapshot / "README.md").write_text("# PPO")
    return snapshot


@pytest.mark.parametrize("rest", ["", "@main", f"@{COMMIT}", "/ppo-BreakoutNoFrameskip-v4.zip"])
def test_the_hubs_cache_is_read_without_its_package(hub: Path, rest: str) -> None:
    policy = load_agent(f"hf:sb3/ppo-BreakoutNoFrameskip-v4{rest}", game="breakout")
    assert policy.abilities.name == "ppo-BreakoutNoFrameskip-v4"


@pytest.mark.parametrize(
    ("rest", "allow", "message"),
    [
        ("sb3/nothing", False, r"not in the hub's cache .*--allow-download"),
        ("sb3/nothing", True, r"takes huggingface_hub"),
        ("sb3/ppo-BreakoutNoFrameskip-v4@v2", False, r"@v2 is not in the hub's cache"),
        ("sb3/ppo-BreakoutNoFrameskip-v4/README.md", False, r"README.md in .* is no agent that is known"),
        ("sb3/ppo-BreakoutNoFrameskip-v4/../../x", False, r"is no address of the hub"),
        ("sb3", False, r"is no address of the hub"),
    ],
)
def test_what_the_cache_lacks_is_fetched_only_when_allowed(hub: Path, rest: str, allow: bool, message: str) -> None:
    with pytest.raises(WsabenchError, match=message):
        load_agent(f"hf:{rest}", game="breakout", allow_download=allow)


def test_several_agents_in_one_repository_must_be_named(hub: Path) -> None:
    torch.save(seeded(Dqn).state_dict(), hub / "dqn.cleanrl_model")
    with pytest.raises(CheckpointError, match=r"several files .*: dqn.cleanrl_model, ppo-.*zip\. Name the file"):
        load_agent("hf:sb3/ppo-BreakoutNoFrameskip-v4", game="breakout")


@pytest.mark.parametrize(
    ("text", "game", "skip", "sticky"),
    [
        ("ppo-MsPacmanNoFrameskip-v4", "mspacman", 1, 0.0),
        ("BreakoutNoFrameskip-v0", "breakout", 1, 0.25),
        ("env: ALE/Pong-v5", "pong", 4, 0.25),
        ("Pong-v4", "pong", 0, 0.0),
    ],
)
def test_environments_are_read_from_names(text: str, game: str, skip: int, sticky: float) -> None:
    found = find_environment(text)
    assert found is not None
    assert (found.game, found.frame_skip, found.sticky_probability) == (game, skip, sticky)
    assert found.is_game("ms_pacman") == (game == "mspacman")


def test_an_environment_that_skips_by_itself_is_explained(tmp_path: Path) -> None:
    assert find_environment("resnet-v2, PongNoFrameskip-v4 and BreakoutNoFrameskip-v4") is None
    path = sb3_zip(tmp_path / "best_model.zip", *saved_ppo())
    (tmp_path / "args.yml").write_text("- - env\n  - ALE/Breakout-v5\n")
    assert environment_of(path) == find_environment("ALE/Breakout-v5")
    can = load_agent(f"sb3:{path}", game="breakout").abilities
    assert (can.view["frame_skip"], can.view["sticky_probability"], can.view["pool_gap"]) == (16, 0.25, 4)
    assert "16 frames a step" in can.notes[0]
