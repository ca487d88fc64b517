"""`wsabench check --sequential`: plays on until a drop is shown or unlikely to be shown."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from result_fixture import change_manifest
from scripted_policies import Walker

from wsabench.cli import main
from wsabench.evaluation import SilentReporter, plan, run
from wsabench.evaluation.going_on import plan_again, play_later
from wsabench.gate.sequential import SequentialCheck
from wsabench.protocol import Protocol
from wsabench.results import load_result
from wsabench.results.manifest import ReferenceScores, read_manifest
from wsabench.stats.sequential import Design

pytestmark = pytest.mark.e2e

SMALL: dict[str, Any] = {
    "suite": "color-shift",
    "games": ("yars_revenge",),
    "perturbations": ("clean", "value@4"),
    "protocol": Protocol(max_frames=160),
    "workers": 0,
}
JOBS = 2
LOOKS = (6, 8, 16)
"""Few episodes, where the run plays on; fewer in the end, and it would stop at the first for want of hope."""
KEYS = ["perturbation", "episode", "episode_seed", "return", "length"]


@pytest.fixture(scope="module", autouse=True)
def _scores_of_short_games() -> Iterator[None]:
    """Let random play score nothing: in so few frames no agent gets what it does in a whole game."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "_reference_scores", lambda _: ReferenceScores(random=0.0, human=15_000.0))
        yield


def play(out: Path, policy: str, episodes: int = 6, seed: int = 1, **changes: Any) -> Path:
    agents = (f"walker=scripted_policies:{policy}",)
    return run(**{**SMALL, "agents": agents, **changes}, episodes=episodes, seed=seed, out=out).path


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return play(tmp_path_factory.mktemp("reference") / "out", "walker", episodes=12, seed=0)


@pytest.fixture(scope="module")
def slower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An agent that lost more than the margin, but not so much that one look decides."""
    return play(tmp_path_factory.mktemp("slower") / "out", "slower_walker")


@pytest.fixture
def begun(slower: Path, tmp_path: Path) -> Path:
    """A fresh copy of its first look."""
    return shutil.copytree(slower, tmp_path / "run")


def check(
    capsys: pytest.CaptureFixture[str], run_dir: Path, reference: Path, *options: str
) -> tuple[int, dict[str, Any]]:
    code = main(["check", str(run_dir), "--against", str(reference), "--sequential", "--json", *options])
    found = json.loads(capsys.readouterr().out)
    del found["run"]
    return code, found


def refusal(capsys: pytest.CaptureFixture[str], run_dir: Path, reference: Path, *options: str) -> str:
    assert main(["check", str(run_dir), "--against", str(reference), *options]) == 2
    return capsys.readouterr().err


def test_a_collapse_is_shown_at_the_first_look(
    tmp_path: Path, reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = play(tmp_path / "run", "stroller")
    files = ["--junit", str(tmp_path / "gate.xml"), "--markdown", str(tmp_path / "gate.md")]
    assert main(["check", str(out), "--against", str(reference), "--sequential", *files]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "Stopped at look 1 of 4, after 6 episodes of each job: 12 in all, 30% of the 40 that 20 of each" in printed
    assert "corrected over 3 tests; sequential, so that it holds after any of the 4 looks." in printed
    assert "Stopped at look 1 of 4" in (tmp_path / "gate.md").read_text()
    assert "sequential, so that" in (tmp_path / "gate.md").read_text()
    assert not (out / "looks" / "2").exists(), "nothing was played"


def test_an_unchanged_agent_passes_early(tmp_path: Path, reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = play(tmp_path / "run", "walker")
    code, found = check(capsys, out, reference)
    assert code == 0
    assert found["passed"]
    assert found["looks"]["taken"][-1]["outcome"] == "pass"
    assert found["share_of_fixed"] == pytest.approx(found["looks"]["taken"][-1]["episodes"] / 20)
    assert found["share_of_fixed"] < 0.6
    assert all(row["power"] > 0.8 for row in found["overall"]), "of all looks, not of the episodes so far"


def test_it_plays_on_and_goes_on_where_it_was_stopped_with_any_workers(
    begun: Path, slower: Path, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = ("--looks", ",".join(map(str, LOOKS)))
    code, found = check(capsys, begun, reference, *looks, "--workers", "0")
    taken = found["looks"]["taken"]
    assert [look["outcome"] for look in taken[:2]] == ["go on", "go on"], "else this test shows nothing"
    assert [look["episodes"] for look in taken] == list(LOOKS)
    assert [look["played"] for look in taken] == [JOBS * look["episodes"] for look in taken]
    assert code == int(taken[-1]["outcome"] == "alarm")
    assert check(capsys, begun, reference, *looks) == (code, found), "all is there: nothing is played again"

    stopped = shutil.copytree(slower, tmp_path / "stopped")

    class Stopping(SilentReporter):
        def job_finished(self, job: Any, returns: Any) -> None:
            raise KeyboardInterrupt

    jobs = SequentialCheck(stopped, reference, Design(looks=LOOKS)).jobs
    with pytest.raises(KeyboardInterrupt):
        play_later(
            plan_again(load_result(stopped)),
            stopped / "looks" / "2",
            range(6, 8),
            jobs,
            workers=0,
            reporter=Stopping(),
        )
    assert load_result(stopped / "looks" / "2").num_finished == 1
    assert check(capsys, stopped, reference, *looks, "--workers", "1") == (code, found)
    for name in ("2", "3"):
        ours, theirs = (load_result(path / "looks" / name).episodes for path in (stopped, begun))
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


@pytest.mark.oracle
def test_the_episodes_of_looks_are_those_of_one_longer_run(begun: Path, reference: Path, tmp_path: Path) -> None:
    jobs = SequentialCheck(begun, reference, Design()).jobs
    first = load_result(begun)
    part = play_later(plan_again(first), first.path / "looks" / "2", range(6, 8), jobs, workers=0)
    longer = load_result(play(tmp_path / "longer", "slower_walker", episodes=8))
    assert longer.episodes["return"].nunique() > 1
    parts = pd.concat([first.episodes, part.episodes])[KEYS].sort_values(["perturbation", "episode"])
    expected = longer.episodes[KEYS].sort_values(["perturbation", "episode"])
    pd.testing.assert_frame_equal(parts.reset_index(drop=True), expected.reset_index(drop=True), check_exact=True)


def test_other_looks_begin_with_what_the_run_has(
    begun: Path, reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refusal(capsys, begun, reference, "--sequential", "--looks", "8,16")
    assert "has 6 episodes of each job, and the first look is after 8." in message
    assert "The looks are 6, 6." in refusal(capsys, begun, reference, "--sequential", "--looks", "6,6")
    code, found = check(capsys, begun, reference, "--looks", "6,8")
    assert found["looks"]["planned"] == [6, 8]
    assert found["looks"]["taken"][-1]["outcome"] != "go on"
    assert code in (0, 1, 2)
    message = refusal(capsys, begun, reference, "--sequential", "--alpha", "0.1")
    assert "has been looked at by another design: looks [6, 8] there and [6, 11, 16, 22] here, alpha 0.05 " in message


def test_what_would_mix_two_agents_is_refused(begun: Path, reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (entry,) = read_manifest(begun).plan.agents
    source = {"source": "scripted_policies:walker"}
    change_manifest(
        begun, agents=(type(entry)(**{**{n: getattr(entry, n) for n in entry.__struct_fields__}, **source}),)
    )
    message = refusal(capsys, begun, reference, "--sequential")
    assert "cannot go on, because its episodes and new ones would not be of the same agents and cells" in message
    assert "checkpoint of walker (train seed 0) on yars_revenge" in message
    assert not (begun / "looks" / "2").exists()


@pytest.mark.parametrize(
    ("agents", "message"),
    [
        ({"walker": Walker(0.72)}, "was a Python object, which a result set does not hold"),
        (("walker=scripted_policies:unversioned",), "has no hash, so it may have changed"),
    ],
)
def test_an_agent_that_cannot_be_found_again_is_refused(tmp_path: Path, agents: Any, message: str) -> None:
    found = load_result(play(tmp_path / "run", "", episodes=1, agents=agents))
    with pytest.raises(Exception, match=message):
        plan_again(found)


def test_options_of_play_need_it(begun: Path, reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in (["--looks", "6,11"], ["--workers", "2"], ["--allow-download"]):
        assert f"{option[0]} belongs to --sequential." in refusal(capsys, begun, reference, *option)


def test_a_check_without_it_loads_neither_torch_nor_the_emulator() -> None:
    reference = str(Path(__file__).resolve().parents[2] / "results" / "smoke")
    code = (
        "import sys; from wsabench.cli import main; "
        f"code = main(['check', {reference!r}, '--against', {reference!r}, '--trust']); "  # trust is always accepted
        "sys.exit(code or int(bool({'torch', 'ale_py'} & set(sys.modules))))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
