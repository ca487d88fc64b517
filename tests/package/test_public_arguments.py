"""Whatever is given to a public function of Python by mistake: one message that says what is allowed."""

from __future__ import annotations

import pickle  # noqa: TID251 - what is tested
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import wsabench
from wsabench import errors
from wsabench.errors import WsabenchError

lib: Any = wsabench
"""The library without its types: what is tried here is wrong."""


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lib.load_result(None), "A path is expected, and NoneType was given. Allowed: a text or a pathlib"),
        (lambda: lib.load_result(3), "A path is expected, and int was given"),
        (lambda: lib.load_result(""), 'The path is empty. Give a path; "." is the current folder.'),
        (lambda: lib.load_result(directory="runs/a"), "Unknown argument 'directory'. Allowed: path. `help` of"),
        (lambda: lib.make(None), "Unknown game None."),
        (lambda: lib.make(3), "Unknown game 3."),
        (lambda: lib.make(["pong"]), "Unknown game ['pong']."),
        (lambda: lib.make("pong", None), "perturbation: found None. Allowed: a name such as"),
        (lambda: lib.make("pong", protocol=3), "The protocol is 3. Allowed: a wsabench.Protocol, or a name: wsabench"),
        (lambda: lib.make("pong", protocol="machdo"), "Unknown protocol 'machdo'. Did you mean 'machado'?"),
        (lambda: lib.make("pong", inputs=3), "Unknown input 3. Allowed: ram, rgb84."),
        (lambda: lib.make("pong", seed="0"), "The episode seed is '0'. Allowed: integers from 0"),
        (lambda: lib.make("pong", render_mode=3), "Unknown render mode 3. Allowed: rgb_array."),
        (lambda: lib.make("pong", perturbations="invert"), "Unknown argument 'perturbations'. Did you mean 'perturb"),
        (lambda: lib.make("pong", "zero-all"), "zero-all changes an agent's encoders, not what an environment shows."),
        (lambda: lib.make("pong").reset(options={"perturbation": "invert+zero-all"}), "changes an agent's encoders"),
        (lambda: lib.make_vec("pong", 2, ["clean", "zero-all"]), "changes an agent's encoders"),
        (lambda: lib.make_vec("pong", 2).reset(options={"perturbations": "zero-all"}), "changes an agent's encoders"),
        (lambda: lib.make("pong").reset(options=3), "The reset options are 3. Allowed: a dict, or none."),
        (lambda: lib.make_vec("pong", 2).reset(options=3), "The reset options are 3. Allowed: a dict, or none."),
        (lambda: lib.make_vec("pong", n_envs=2), "Unknown argument 'n_envs'. Did you mean 'num_envs'?"),
        (lambda: lib.make_vec("pong", 2, perturbation="invert"), "Did you mean 'perturbations'?"),
        (lambda: lib.make_vec("pong", 2, 3), "perturbation: found 3."),
        (lambda: lib.make_vec("pong", None), "num_envs is None. Allowed: integers from 1."),
        (lambda: lib.make_vec("pong", 2, seed=1.5), "seed is 1.5. Allowed: an integer, or 2 episode seeds"),
        (lambda: lib.make_vec("pong", 2, seed="ab"), "seed is 'ab'. Allowed: an integer, or 2 episode seeds"),
        (lambda: lib.make_vec("pong", 2, autoreset_mode=None), "Unknown autoreset mode None. Allowed: DISABLED"),
        (lambda: lib.make_vec("pong", 2, protocol=3), "The protocol is 3."),
        (lambda: lib.run(game="pong"), "Unknown argument 'game'. Did you mean 'games'?"),
        (lambda: lib.run(perturbation="clean"), "Unknown argument 'perturbation'. Did you mean 'perturbations'?"),
        (lambda: lib.run(agents={}), "No agent was given. Give at least one"),
        (lambda: lib.run(agents="noop", suite=None), "A path is expected, and NoneType was given."),
        (lambda: lib.run(agents="noop", profile=None), "Unknown profile of suite 'color-shift' None. Allowed: paper"),
        (lambda: lib.run(agents="noop", games=3), "Unknown game 3."),
        (lambda: lib.run(agents="noop", games=[]), "No game was given."),
        (lambda: lib.run(agents="noop", perturbations=3), "perturbation: found 3."),
        (lambda: lib.run(agents="noop", protocol=3), "The protocol is 3."),
        (lambda: lib.run(agents="noop", protocol={"frameskip": 3}), "frameskip is called frame_skip here."),
        (lambda: lib.run(agents="noop", episodes="3"), "The number of episodes is '3'. Allowed: integers from 1."),
        (lambda: lib.run(agents="noop", seed=None), "The seed is None. Allowed: integers from 0."),
        (lambda: lib.run(agents="noop", workers="2"), "The number of workers is '2'."),
        (lambda: lib.run(agents="noop", shard=3), "--shard is 3. Allowed: I/N"),
        (lambda: lib.run(agents="noop", executor=None), "Unknown executor None."),
        (lambda: lib.run(agents=3), "3 is not a policy. Allowed: an object with act"),
        (lambda: lib.run(agents={"mine": []}), "The agent 'mine' is an empty list."),
        (lambda: lib.load_agent("random", "breakout"), "'random' is built in and has no network to load."),
        (lambda: lib.wrap(gymnasium.make("ALE/Pong-v5"), "invert", layout=3), "The layout is 3 for observations"),
        (lambda: lib.Protocol(frameskip=3), "frameskip is called frame_skip here. Write Protocol(frame_skip=...)."),
        (lambda: lib.Protocol(frame_skp=3), "Unknown protocol field 'frame_skp'. Did you mean 'frame_skip'?"),
        (lambda: lib.Protocol().with_changes(terminal_on_life_loss=True), "is called episodic_life here."),
        (lambda: lib.Protocol.from_dict({"frame_skp": 3}), "Did you mean 'frame_skip'?"),
        (lambda: lib.Protocol.named(None), "Unknown protocol None."),
        (lambda: lib.load_agent(None), "The agent is None. Allowed: a name"),
        (lambda: lib.load_agent(""), "The agent is ''. Allowed: a name"),
        (lambda: lib.load_agent("e2e", game=3), "Unknown game 3."),
        (lambda: lib.load_agent("e2e", games="breakout"), "Unknown argument 'games'. Did you mean 'game'?"),
        (lambda: lib.load_agent("e2e", "breakout", train_seed="0"), "The train seed is '0'. Allowed: integers from 0."),
        (lambda: lib.load_agent("e2e", "breakout", 0, "best"), "Unknown action selection 'best'."),
        (lambda: lib.wrap(None, "invert"), "wrap() got a NoneType. Allowed: one gymnasium.Env"),
        (lambda: lib.wrap(gymnasium.make("CartPole-v1"), noops=1), "Unknown argument 'noops'. Did you mean 'noop'?"),
    ],
)
def test_a_wrong_value_gets_one_message(
    call: Callable[[], object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WsabenchError) as caught:
        call()
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == [], "it was refused before anything was played"


def test_a_name_that_is_no_text_is_near_no_other() -> None:
    assert str(errors.unknown_name("suite", 3, ["color", "smoke"])) == "Unknown suite 3. Allowed: color, smoke."


def test_agents_may_stand_in_anything_that_holds_them() -> None:
    from wsabench.evaluation.contestants import find_contestants

    wanted = [one.name for one in find_contestants(["noop", "random"], ["pong"], [0], wsabench.Protocol())]
    names = {"noop": 1, "random": 2}
    for agents in (("noop", "random"), np.array(["noop", "random"]), set(names), names.keys(), iter(names)):
        found = find_contestants(agents, ["pong"], [0], wsabench.Protocol())
        assert [one.name for one in found] == wanted, agents


def test_environments_say_what_they_are() -> None:
    protocol = wsabench.Protocol(noop_max=0)
    assert repr(wsabench.make("pong")) == "LaneEnv('pong', perturbation='clean')"
    env = wsabench.make("pong", "invert", seed=np.int64(3).item(), protocol=protocol, render_mode="rgb_array")
    text = "LaneEnv('pong', perturbation='invert', seed=3, protocol=Protocol(noop_max=0), render_mode='rgb_array')"
    assert (repr(env), str(env)) == (text, f"<{text}>")
    again = eval(text, {"LaneEnv": wsabench.make, "Protocol": wsabench.Protocol})  # noqa: S307 - what is tested
    assert repr(again) == text
    env.reset(options={"perturbation": "value@2"})
    assert "perturbation='value@2'" in repr(env), "what is played now"
    assert "protocol='machado')" in repr(wsabench.make("pong", protocol="machado"))
    assert repr(pickle.loads(pickle.dumps(again))) == text  # noqa: S301
    assert "<PassiveEnvChecker<LaneEnv('pong', perturbation='clean')>>" in str(gymnasium.make("wsabench/Pong-v0"))
    wrapped = wsabench.wrap(gymnasium.make("wsabench/Pong-v0"), "gaussian-noise@3")
    assert str(wrapped).startswith("<PerturbedPixels gaussian-noise@3<")


def test_vector_environments_say_what_they_are() -> None:
    assert repr(wsabench.make_vec("pong", 2)) == "LaneVectorEnv('pong', num_envs=2, perturbations='clean')"
    env = wsabench.make_vec("pong", 5, ["clean", "invert", "value@1", "value@2", "clean"], protocol="sb3")
    assert repr(env) == (
        "LaneVectorEnv('pong', num_envs=5, perturbations=['clean', 'invert', 'value@1', ... 4 in all], protocol='sb3')"
    )
    assert "perturbations=['clean', 'invert'])" in repr(wsabench.make_vec("pong", 2, ["clean", "invert"]))


def test_agents_say_what_they_are() -> None:
    import torch

    from wsabench.agents import BuiltInPolicy, wrap_policy
    from wsabench.agents.networks.building import build_agent
    from wsabench.agents.spec import load_spec

    agent: Any = wsabench.load_agent("e2e", "breakout")
    count = sum(parameter.numel() for parameter in build_agent(load_spec("e2e"), 4, seed=0).parameters())
    assert repr(agent) == (
        f"AgentPolicy('e2e', game='breakout', train_seed=0, parameters={count:_}, action_selection='sampled')"
    )
    assert repr(BuiltInPolicy("random", 6)) == "BuiltInPolicy('random', num_actions=6)"
    mine = torch.nn.Linear(2, 2)
    assert repr(wrap_policy(mine, name="mine")) == "WrappedPolicy('mine', train_seed=0, policy=Linear)"
