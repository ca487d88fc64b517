"""Agents with code of their own are asked in another process: one that ends or hangs there ends or stops nothing."""

from __future__ import annotations

import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from notebook import Notebook

from wsabench.cli import main
from wsabench.errors import SpecError
from wsabench.evaluation import run
from wsabench.evaluation.contestants import Terms, find_contestants
from wsabench.evaluation.pool.asking import AskingRoom
from wsabench.protocol import Protocol
from wsabench.types import LaneBatch

SHORT: dict[str, Any] = {
    "games": ["breakout"],
    "perturbations": ["clean"],
    "episodes": 1,
    "workers": 1,
    "protocol": {"max_frames": 12},
}
POLICIES = """
import os, signal, time
import numpy as np
import torch

def still(observations):
    return np.zeros(len(observations), np.int64)

def drawing(observations):
    return torch.randint(0, 4, (len(observations),)).numpy()

def leaving(observations):
    os._exit(9)  # not 0: should it end the tests, they have failed

def sleeping(observations):
    time.sleep(3600)

def raising(observations):
    raise ValueError("mine")

class Broken:
    def __init__(self):
        raise ValueError("no weights")

def crashing(game):
    os.kill(os.getpid(), signal.SIGSEGV)

def make(game, train_seed):
    return still
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of modules that are found here and in other processes."""
    (tmp_path / "asked_policies.py").write_text(POLICIES, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.e2e
def test_agents_that_end_or_hang_are_not_marked_and_the_others_are_asked_all_the_same(home: Path) -> None:
    names = ("leaving", "drawing", "raising", "still", "random")
    references = [name if name == "random" else f"{name}=asked_policies:{name}" for name in names]
    notes: list[str] = []
    with AskingRoom(0.0, notes.append) as room:
        terms = Terms(protocol=Protocol(), elsewhere=room)
        found = find_contestants(references, ["breakout"], [0], terms)
        assert [(one.name, one.draws) for one in found] == [(name, name == "drawing") for name in names]
        (takes,) = find_contestants(["made=python:asked_policies:make"], ["breakout"], [3], terms)
        assert (takes.train_seed, takes.draws) == (3, False)
        with pytest.raises(SpecError, match="asked_policies:Broken' failed: ValueError: no weights"):
            find_contestants(["asked_policies:Broken"], ["breakout"], [0], terms)
    assert notes == []
    assert multiprocessing.active_children() == []
    assert "asked_policies" not in sys.modules, "no code of an agent is imported in this process"


@pytest.mark.e2e
def test_one_that_hangs_when_it_is_asked_is_marked_and_told(home: Path) -> None:
    notes: list[str] = []
    with AskingRoom(1.0, notes.append) as room:
        terms = Terms(protocol=Protocol(), elsewhere=room)
        (slow,) = find_contestants(["asked_policies:sleeping"], ["breakout"], [0], terms)
    assert (slow.hung, slow.draws) == (True, False)
    (note,) = notes
    assert note.startswith("sleeping (train seed 0) on breakout gave no answer for 1 s (--worker-timeout 1)")


IMPORTED = {
    "crashing": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
    "exiting": "import posix\nposix._exit(0)\n",  # not by `os._exit`, which is seen
    "hanging": "import time\ntime.sleep(3600)\n",
}
ENDS = {
    "crashing": "importing 'crashing_module' ended its process, which was killed by signal 11 (Segmentation fault).",
    "exiting": "importing 'exiting_module' ended its process, which ended with exit code 0.",
    "hanging": "importing 'hanging_module' took more than 1 s (5 times --worker-timeout) and was ended.",
}


@pytest.mark.e2e
@pytest.mark.parametrize("how", IMPORTED)
def test_a_module_that_ends_its_process_or_hangs_when_it_is_imported_is_one_message(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"{how}_module.py").write_text(IMPORTED[how], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    words = ["run", "--suite", "smoke", "-a", f"mine={how}_module:policy", "--worker-timeout", "0.2"]
    assert main([*words, "--workers", "2" if how == "exiting" else "1"]) == 2
    told = capfd.readouterr().err
    assert f"wsabench: error: mine on breakout: {ENDS[how]} Correct the module (`python -c 'import fault" in told
    assert told.count("error: ") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.e2e
@pytest.mark.slow
def test_a_policy_that_crashes_when_it_is_made_is_told_with_its_factory_in_a_dry_run_too(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "--suite", "smoke", "-a", "mine=python:asked_policies:crashing", "--workers", "1"]
    for more in ([], ["--dry-run"]):
        assert main([*words, *more]) == 2
        told = capfd.readouterr().err
        assert (
            "error: mine on breakout: loading 'python:asked_policies:crashing' ended its process, which was killed by "
            "signal 11 (Segmentation fault). Correct the agent, or leave it out." in told
        )


@pytest.mark.e2e
def test_an_agent_of_another_package_is_loaded_apart_like_code_of_ones_own(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    info = home / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n", encoding="utf-8")
    lines = ["[wsabench.agents]", "theirs-bad = asked_theirs:policy", "theirs-good = asked_policies:make", ""]
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    (home / "asked_theirs.py").write_text(IMPORTED["crashing"], encoding="utf-8")
    words = ["run", "--suite", "smoke", "-a", "theirs-good,theirs-bad", "--workers", "1"]
    assert main(words) == 2
    assert (
        "error: theirs-bad on breakout: loading 'theirs-bad' ended its process, which was killed by signal 11 "
        "(Segmentation fault)." in capfd.readouterr().err
    )
    assert not {"asked_policies", "asked_theirs"} & sys.modules.keys()
    (good,) = find_contestants(["theirs-good"], ["breakout"], [0], Protocol())
    assert good.runs_own_code, "it plays in a process of its own, as code of one's own does"
    (shipped,) = find_contestants(["e2e"], ["breakout"], [0], Protocol())
    assert not shipped.runs_own_code
    del sys.modules["asked_policies"]


class Slow:
    def act(self, observations: np.ndarray, lanes: LaneBatch) -> np.ndarray:
        time.sleep(0.25)
        return np.zeros(len(observations), np.int64)


def test_what_is_asked_in_this_process_is_told_of_after_the_time_limit(tmp_path: Path) -> None:
    told = Notebook()
    run(agents={"slow": Slow()}, out=tmp_path, reporter=told, worker_timeout=0.1, **SHORT)
    assert "slow on breakout is not ready after 0.1 s" in told.notes[0]


@pytest.mark.slow
@pytest.mark.e2e
def test_one_that_hangs_is_named_at_once_given_up_after_one_try_and_the_others_are_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "asked_policies.py").write_text(POLICIES, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    words = ["run", "-a", "bad=asked_policies:sleeping,random", "--games", "pong", "--perturbations", "clean"]
    words += ["--episodes", "1", "--workers", "1", "--worker-timeout", "3", "--out", str(tmp_path / "out")]
    assert main(words) == 2
    notes, _, message = capfd.readouterr().err.partition("error: ")
    who = "bad (train seed 0) on pong"
    assert notes.count(f"note: {who} gave no answer for 3 s (--worker-timeout 3)") == 1
    assert message.startswith(f"{who}: its worker process made no step for 1")
    assert "given up" in message
    assert len(list((tmp_path / "out" / "episodes").glob("random*.parquet"))) == 1
