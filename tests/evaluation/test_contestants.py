"""Who plays: patterns of files, factories, views, and failures of users' own code."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from torch import nn

from wsabench.cli import main
from wsabench.errors import OwnCodeError, SpecError, WsabenchError
from wsabench.evaluation import run
from wsabench.evaluation.contestants import Terms, find_contestants, split_references
from wsabench.evaluation.patterns import find_files
from wsabench.evaluation.plan import RunOptions, make_plan
from wsabench.hashing import bytes_hash
from wsabench.protocol import PROTOCOLS, Protocol
from wsabench.results.manifest import read_manifest
from wsabench.results.records import ACTION_DIGITS
from wsabench.types import Abilities, LaneBatch

HERE = str(Path(__file__).parent)
ALL = Terms(protocol=Protocol(), plays_all_seeds=True)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(HERE)
    monkeypatch.setenv("PYTHONPATH", f"{HERE}:{sys.path[1]}")


def save_dqn(path: Path, num_actions: int = 4) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shapes = {0: (32, 4, 8, 8), 2: (64, 32, 4, 4), 4: (64, 64, 3, 3), 7: (512, 3136), 9: (num_actions, 512)}
    draw = torch.Generator().manual_seed(0)
    weights = {f"network.{k}.weight": torch.randn(shape, generator=draw) * 0.03 for k, shape in shapes.items()}
    torch.save({**weights, **{f"network.{k}.bias": torch.zeros(shape[0]) for k, shape in shapes.items()}}, path)


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for game, seeds, num_actions in (("breakout", (0, 2, 11), 4), ("pong", (5,), 6)):
        for seed in seeds:
            save_dqn(tmp_path / "ckpt" / game / f"seed{seed}.pt", num_actions)
    (tmp_path / "ckpt" / "breakout" / "seedx.pt").write_text("")
    return tmp_path


PATTERN = "mine=cleanrl:ckpt/{game}/seed{train_seed}.pt"


def test_braces_find_games_and_train_seeds(checkpoints: Path) -> None:
    found = find_contestants([PATTERN], ["breakout", "pong"], [0, 1], ALL)
    assert [(one.name, one.game, one.train_seed) for one in found] == [
        ("mine", "breakout", 0),
        ("mine", "breakout", 2),
        ("mine", "breakout", 11),
        ("mine", "pong", 5),
    ]
    assert found[3].reference == "cleanrl:ckpt/pong/seed5.pt"
    chosen = find_contestants([PATTERN], ["breakout"], [11, 2], Terms(protocol=Protocol()))
    assert [one.train_seed for one in chosen] == [11, 2]


@pytest.mark.parametrize(
    ("pattern", "game", "message"),
    [
        (
            PATTERN,
            "qbert",
            r"finds nothing for qbert: tried cleanrl:ckpt/qbert/seed\{train_seed\}\.pt, with any number for",
        ),
        ("mine=cleanrl:ckpt/{game}.pt", "pong", r"tried cleanrl:ckpt/pong\.pt"),
        ("mine=cleanrl:ckpt/{gmae}/x.pt", "pong", r"holds \{gmae\}\. Allowed: \{game\} and \{train_seed\}"),
        ("cleanrl:ckpt/{game}/seed5.pt", "pong", r"needs a name for what it finds. Write NAME=cleanrl:"),
    ],
)
def test_braces_that_find_nothing_are_refused(checkpoints: Path, pattern: str, game: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        find_contestants([pattern], [game], [0], ALL)
    assert main(["run", "-a", pattern, "--games", game, "--perturbations", "clean"]) == 2


def test_named_train_seeds_must_all_be_there(checkpoints: Path) -> None:
    with pytest.raises(SpecError, match=r"finds no train seed 1, 3 for breakout; there are 0, 2, 11"):
        find_contestants([PATTERN], ["breakout"], [0, 1, 3], Terms(protocol=Protocol()))


def test_a_seed_that_stands_twice_must_be_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("s1/net1.pt", "s2/net1.pt", "s[3]/net3.pt"):
        Path(text).parent.mkdir()
        Path(text).touch()
    found = find_files("s{train_seed}/net{train_seed}.pt", "pong", [], finds_all=True)
    assert [(one.text, one.train_seed) for one in found] == [("s1/net1.pt", 1)]


def test_an_existing_path_wins_over_syntax(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    odd = "lr=0.001,seed=1 {x}/a b.pt"
    save_dqn(tmp_path / odd)
    assert split_references([f"cleanrl:{odd},e2e", f"x=cleanrl:{odd}", "wsa , e2e"]) == [
        f"cleanrl:{odd}",
        "e2e",
        f"x=cleanrl:{odd}",
        "wsa",
        "e2e",
    ]
    assert split_references([f"cleanrl:{odd},x=cleanrl:{odd}"]) == [f"cleanrl:{odd}", f"x=cleanrl:{odd}"]
    assert split_references(["lr=0.002,seed=2"]) == ["lr=0.002", "seed=2"]
    (one,) = find_contestants([f"cleanrl:{odd}"], ["breakout"], [0], ALL)
    assert one.name == "a-b"
    with pytest.raises(WsabenchError, match=r"state dictionary in CleanRL's layout\. Write 'cleanrl:lr=0.001,seed=1"):
        find_contestants([odd], ["breakout"], [0], ALL)


@pytest.mark.parametrize("name", ["αβγ", "агент-2", "智能体"])
def test_names_may_be_of_any_letters(name: str) -> None:
    (one,) = find_contestants([f"{name}=user_failures:Careful"], ["breakout"], [0], ALL)
    assert one.name == name


@pytest.mark.parametrize("name", ["", "_mine", "my agent"])
def test_a_name_that_is_none_is_told_as_one(name: str) -> None:
    with pytest.raises(SpecError, match=rf"The agent's name {name!r} is not usable\. Allowed: letters, digits"):
        find_contestants([f"{name}=user_failures:Careful"], ["breakout"], [0], ALL)


class Fixed:
    def __init__(self, action: int, train_seed: int = 0) -> None:
        self.action, self.train_seed = action, train_seed

    def act(self, observations: np.ndarray, lanes: LaneBatch) -> np.ndarray:
        return np.full(len(observations), self.action)


def make_agent(game: str, train_seed: int) -> Fixed:
    return Fixed(len(game) + train_seed)


def test_factories_and_lists_give_an_agent_per_game_and_train_seed() -> None:
    found = find_contestants({"own": make_agent}, ["pong", "breakout"], [0, 3], ALL)
    assert [(one.game, one.train_seed, one.kind) for one in found] == [
        ("pong", 0, "factory"),
        ("pong", 3, "factory"),
        ("breakout", 0, "factory"),
        ("breakout", 3, "factory"),
    ]
    batch = LaneBatch(np.zeros(1, np.int64), (np.random.default_rng(0),), np.zeros(1, bool), ((),))
    answered = [one.load("greedy").act(np.zeros((1, 4, 84, 84), np.uint8), batch).actions[0] for one in found]
    assert answered == [4, 7, 8, 11]
    listed = find_contestants({"own": [Fixed(0), Fixed(1), Fixed(2)]}, ["pong"], [0], ALL)
    assert [one.train_seed for one in listed] == [0, 1, 2]
    stated = find_contestants({"own": [Fixed(0, 7), Fixed(1, 4)]}, ["pong"], [0], ALL)
    assert [one.train_seed for one in stated] == [7, 4]


def test_another_games_agent_is_refused_before_the_first_frame(checkpoints: Path) -> None:
    with pytest.raises(SpecError) as caught:
        find_contestants(["cleanrl:ckpt/breakout/seed0.pt"], ["pong"], [0], ALL)
    text = str(caught.value)
    for part in ("'seed0'", "4 actions", "pong has 6", "RIGHTFIRE", "full_action_space is false", "the full one 18"):
        assert part in text


def test_eighteen_actions_choose_the_full_action_set(checkpoints: Path) -> None:
    save_dqn(checkpoints / "full.pt", 18)
    (one,) = find_contestants(["cleanrl:full.pt"], ["pong"], [0], ALL)
    assert one.protocol.full_action_space
    (fixed,) = find_contestants(["cleanrl:ckpt/pong/seed5.pt"], ["pong"], [0], ALL)
    assert not fixed.protocol.full_action_space
    with pytest.raises(SpecError, match=r"Play it with --full-action-space"):
        find_contestants(["cleanrl:full.pt"], ["pong"], [0], Terms(protocol=Protocol(), has_views=False))


class Seeing(Fixed):
    abilities = Abilities(name="seeing", view={"frame_skip": 2, "luminance": "maximum"})


def plan_of(protocol: Any) -> Any:
    agents = {"seeing": Seeing(0), "plain": Fixed(0)}
    return make_plan(RunOptions(agents=agents, games=["breakout"], perturbations=["clean"], protocol=protocol))


def test_what_the_user_sets_goes_over_what_an_agent_saw() -> None:
    plan = plan_of(None)
    seeing, plain = plan.contestants
    assert (seeing.protocol.frame_skip, seeing.protocol.luminance) == (2, "maximum")
    assert plain.protocol == plan.protocol
    entries = plan.recorded().agents
    assert [one.view for one in entries] == [{"frame_skip": 2, "luminance": "maximum"}, {}]
    changed = plan_of({"frame_skip": 3, "sticky_probability": 0.25}).contestants
    assert [one.protocol.frame_skip for one in changed] == [3, 3]
    assert [one.protocol.sticky_probability for one in changed] == [0.25, 0.25]
    assert changed[0].protocol.luminance == "maximum"
    fixed = plan_of("dopamine")
    assert fixed.protocol == Protocol.named("dopamine")
    assert all(one.protocol == fixed.protocol for one in fixed.contestants)
    assert len({job.fingerprint for job in plan.jobs}) == 2, "the same policy without a hash, seen in two ways"
    assert len({job.fingerprint for job in fixed.jobs}) == 1


@pytest.mark.parametrize("name", PROTOCOLS)
def test_named_protocols_play(name: str, tmp_path: Path) -> None:
    protocol = Protocol.named(name).with_changes(max_frames=60)
    result = run(agents={"own": Fixed(1)}, games=["breakout"], perturbations=["clean"], episodes=1, protocol=protocol,
                 workers=0, out=tmp_path)  # fmt: skip
    assert result.episodes["length"].tolist() == [15]
    assert read_manifest(tmp_path).plan.protocol == protocol


def test_trust_and_view_stand_in_the_manifest(checkpoints: Path) -> None:
    words = ["run", "-a", "mine=cleanrl:ckpt/breakout/seed0.pt,own=user_failures:Careful", "--games", "breakout"]
    words += ["--perturbations", "clean", "--episodes", "1", "--workers", "0", "--out", "out", "--trust"]
    assert main([*words, "--frame-skip", "40", "--selection", "greedy"]) == 2
    assert main([*words, "--frame-skip", "40", "--action-selection", "greedy"]) == 0
    mine, own = read_manifest(Path("out")).plan.agents
    assert (mine.trusted, own.trusted) == (True, False)
    assert (mine.view["luminance"], mine.view["start"], own.view) == ("resized", "steps", {})


@pytest.mark.parametrize("workers", ["0", pytest.param("2", marks=pytest.mark.slow)])
def test_a_failing_agent_is_one_message_and_the_others_are_played(
    tmp_path: Path, workers: str, capfd: pytest.CaptureFixture[str]
) -> None:
    agents = "a=python:user_failures:value,b=user_failures:Careful"
    words = ["run", "-a", agents, "--games", "breakout", "--perturbations", "clean,hue-rotate@1", "--episodes", "2"]
    words += ["--workers", workers, "--out", str(tmp_path / "out")]
    assert main(words) == 2
    told = capfd.readouterr().err
    assert told.count("error:") == 1
    assert "The agent 'a' failed on breakout, step 6: ValueError: boom (" in told
    assert "user_failures.py, line 21)" in told
    assert "Traceback" not in told
    assert told.endswith("Give it what it needs, or correct it. --debug shows the traceback.\n")
    if workers == "0":  # with more, everything may have been handed out before
        assert "a (train seed 0) on breakout failed and is not played on" in told
    assert sorted(path.name[0] for path in (tmp_path / "out" / "episodes").glob("*.parquet")) == ["b", "b"]
    assert main(["--debug", *words]) == 2
    told = capfd.readouterr().err
    assert "ValueError: boom\n\nThe above exception was the direct cause" in told
    assert 'user_failures.py", line 21, in' in told
    assert "--debug" not in told


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("asserting", "AssertionError"),
        ("exiting", "SystemExit: 3"),
        ("eof", "EOFError: no more"),
        ("runtime", "RuntimeError: first line / mat1 and mat2 cannot be multiplied"),
    ],
)
def test_any_exception_of_a_policy_is_its_own(name: str, message: str, tmp_path: Path) -> None:
    place = r"\(.*user_failures\.py, line 21\)"
    with pytest.raises(OwnCodeError, match=rf"'{name}' failed on breakout, step 6: {message} {place}") as failed:
        run(agents={name: f"python:user_failures:{name}"}, games=["breakout"], perturbations=["clean"], episodes=1,
            workers=0, out=tmp_path)  # fmt: skip
    assert "--debug" not in str(failed.value), "that is an option of the command line, which says it"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("predicting", r"answered a tuple, as `model\.predict` does.*model\.predict\(observations\)\[0\]"),
        ("one_argument_too_many", r"failed on breakout, step 1: TypeError: .*missing 2 required"),
    ],
)
def test_common_mistakes_get_a_hint(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=message):
        run(agents=f"user_failures:{name}", games=["breakout"], perturbations=["clean"], episodes=1, workers=0,
            out=tmp_path)  # fmt: skip


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys\nsys.exit('no gpu')\n", r"'dying_module:x' ended the program \(SystemExit: no gpu\)"),
        (
            "import argparse\nargparse.ArgumentParser().parse_args(['--lr'])\n",
            r"ended the program \(SystemExit: 2, unrecognized arguments: --lr\)",
        ),
        (
            "import optparse\noptparse.OptionParser().parse_args(['--lr'])\n",
            r"ended the program \(SystemExit: 2, no such option: --lr\)",
        ),
        (
            "import typer\n@typer.run\ndef main(lr: float): pass\n",
            r"ended the program \(SystemExit: 2, .*\)\. Move what runs when it is imported, such as reading",
        ),
        ("assert False, 'no'\n", r"'dying_module:x' failed: AssertionError: no \(.*dying_module\.py, line 1\)"),
        ("open('nowhere')\n", r"failed: FileNotFoundError: .*line 1\)"),
    ],
)
def test_a_module_that_fails_when_it_is_imported_is_named(
    code: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dying_module.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SpecError, match=message):
        find_contestants(["dying_module:x"], ["breakout"], [0], ALL)
    assert main(["run", "-a", "dying_module:x", "--workers", "0"]) == 2
    told = capfd.readouterr().err
    assert (told.startswith("wsabench: error: "), told.count("usage"), told.count("Traceback")) == (True, 0, 0)


def test_a_factory_that_reads_the_command_line_is_one_message_with_its_usage_behind_it() -> None:
    def make_agent(game: str) -> argparse.Namespace:
        parser = argparse.ArgumentParser(prog="train.py")
        parser.add_argument("--lr", required=True)
        return parser.parse_args([])

    with pytest.raises(SpecError, match=r"SystemExit: 2, the following arguments are required: --lr \(") as told:
        find_contestants({"mine": make_agent}, ["breakout"], [0], ALL)
    assert told.value.__cause__ is not None
    assert str(told.value.__cause__.__cause__).startswith("usage: train.py [-h] --lr LR\n")


def test_torchs_defaults_are_each_agents_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "doubling.py").write_text(
        "import numpy as np, torch\n"
        "torch.set_default_dtype(torch.float64)\n"
        "torch.set_default_device('meta')\n"
        "class Own:\n"
        "    version = '1'\n"
        "    def act(self, observations, lanes):\n"
        "        made = torch.zeros(1)\n"
        "        assert (made.dtype, made.device.type) == (torch.float64, 'meta')\n"
        "        return np.zeros(len(observations), int)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "doubling", raising=False)
    save_dqn(tmp_path / "a.pt")
    agents = ["own=doubling:Own", f"dqn=cleanrl:{tmp_path}/a.pt", "e2e"]
    protocol = {"max_frames": 80}
    result = run(agents=agents, games=["breakout"], perturbations=["clean"], episodes=1, workers=0, train_seeds=[0],
                 protocol=protocol, out=tmp_path / "out")  # fmt: skip
    assert result.is_complete
    assert (torch.get_default_dtype(), torch.get_default_device()) == (torch.float32, torch.device("cpu"))


class WithLayerCalledAct(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU()

    def forward(self, observations: np.ndarray) -> np.ndarray:
        return np.full(len(observations), 3)


def test_a_layer_called_act_is_no_method() -> None:
    (one,) = find_contestants({"net": WithLayerCalledAct()}, ["breakout"], [0], ALL)
    batch = LaneBatch(np.zeros(2, np.int64), (np.random.default_rng(0),) * 2, np.zeros(2, bool), ((),) * 2)
    assert one.load("greedy").act(np.zeros((2, 4, 84, 84), np.uint8), batch).actions.tolist() == [3, 3]


def test_random_and_noop_play_every_game(tmp_path: Path) -> None:
    options = {"agents": ["random", "noop"], "games": ["breakout"], "perturbations": ["clean", "value@3"]}
    options["protocol"] = {"stall_steps": 15}
    tables = []
    for workers in (0, 2):
        found = run("smoke", episodes=3, train_seeds=[0, 1], out=tmp_path / str(workers), workers=workers, **options)
        tables.append(found.episodes)
        random, noop = sorted(found.manifest.plan.agents, key=lambda entry: entry.agent == "noop")
        assert random.kind == noop.kind == "built-in"
        assert (random.train_seed, noop.train_seed) == (0, 0)
        assert random.checkpoint_hash != noop.checkpoint_hash
    pd.testing.assert_frame_equal(*tables)
    still = tables[0][tables[0]["agent"] == "noop"]
    assert list(still["action_hash"]) == [bytes_hash(bytes(length), ACTION_DIGITS) for length in still["length"]]
    drawn = tables[0][tables[0]["agent"] == "random"]
    assert drawn["action_hash"].nunique() == 3  # sampled by episode; no agent sees colours here
    assert (drawn.groupby("episode")["action_hash"].nunique() == 1).all()


def test_random_play_is_uniform_over_the_actions_of_the_protocol() -> None:
    for wide, number in ((False, 4), (True, 18)):
        (one,) = find_contestants(["random"], ["breakout"], [0, 1], Protocol(full_action_space=wide))
        lanes = LaneBatch(
            ids=np.arange(1),
            generators=(np.random.default_rng(0),),
            episode_starts=np.ones(1, bool),
            encoder_operations=((),),
        )
        policy = one.load("sampled")
        counts = np.bincount([policy.act(np.zeros((1, 4, 84, 84), np.uint8), lanes).actions[0] for _ in range(9000)])
        assert len(counts) == number
        assert scipy.stats.chisquare(counts).pvalue > 0.001


def test_a_view_goes_over_the_suites_profile_and_what_is_set_by_hand_over_both(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "three_cells.toml").read_text()
    assert text.count("{ max_frames = 2000 }") == 1
    suite = tmp_path / "sticky.toml"
    suite.write_text(text.replace("{ max_frames = 2000 }", "{ sticky_probability = 0.5, frame_skip = 3 }"))
    agents = {"seeing": Seeing(0), "plain": Fixed(0)}
    options = {"suite": str(suite), "agents": agents, "games": ["breakout"], "perturbations": ["clean"]}
    plan = make_plan(RunOptions(**options))
    assert [(one.protocol.sticky_probability, one.protocol.frame_skip) for one in plan.contestants] == [
        (0.5, 2),
        (0.5, 3),
    ]
    assert [entry.view for entry in plan.recorded().agents] == [{"frame_skip": 2, "luminance": "maximum"}, {}]
    by_hand = make_plan(RunOptions(**options, protocol={"frame_skip": 5})).contestants
    assert [one.protocol.frame_skip for one in by_hand] == [5, 5]
    assert [one.protocol.sticky_probability for one in by_hand] == [0.5, 0.5]
    named = make_plan(RunOptions(**options, protocol="sb3")).contestants
    assert [(one.protocol.sticky_probability, one.protocol.frame_skip) for one in named] == [(0.0, 4)] * 2
