"""Runs to a precision: a pilot decides how many episodes each job gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from run_bench import SETTINGS
from scipy import stats as scipy_stats
from scripted_policies import Sampler

from wsabench.errors import SpecError, UnknownNameError
from wsabench.evaluation import SilentReporter, run
from wsabench.protocol import Protocol
from wsabench.results import Job, ResultSet, load_result
from wsabench.results.merging import load_results

pytestmark = pytest.mark.e2e

PILOT, MOST, WIDTH = 5, 14, 0.0035
SMALL: dict[str, Any] = {
    **SETTINGS,
    "agents": ("scripted_policies:sampler",),
    "perturbations": ("clean", "hue-rotate@3", "value@4"),
    "games": ("phoenix",),  # scores within seconds
    "protocol": Protocol(max_frames=100),
    "episodes": PILOT,
}
KEYS = ["agent", "train_seed", "game", "perturbation", "severity", "episode_seed", "episode"]


class Stopping(SilentReporter):
    """Presses Ctrl-C when a note begins with some words, or when so many jobs are finished."""

    def __init__(self, words: str = "-", jobs: int = 0) -> None:
        self.words, self.jobs = words, jobs
        self.notes: list[str] = []
        self.played = 0

    def episode_finished(self, job: Job, episodic_return: float, length: int) -> None:
        self.played += 1

    def job_finished(self, job: Job, returns: Any) -> None:
        self.jobs -= 1
        if self.jobs == 0:
            raise KeyboardInterrupt

    def note(self, text: str) -> None:
        self.notes.append(text)
        if text.startswith(self.words):
            raise KeyboardInterrupt


def play(out: Path, workers: int = 0, **changes: Any) -> ResultSet:
    return run(**{**SMALL, "precision": WIDTH, "max_episodes": MOST, **changes}, workers=workers, out=out)


def numbers(result: ResultSet) -> dict[str, int]:
    return {job.perturbation: job.episodes or 0 for job in result.manifest.plan.jobs}


def assert_equal(result: ResultSet, reference: ResultSet) -> None:
    pd.testing.assert_frame_equal(result.episodes, reference.episodes, check_exact=True)
    assert numbers(result) == numbers(reference)
    assert result.manifest.history.saving == reference.manifest.history.saving


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> ResultSet:
    """An undisturbed run in this process."""
    return play(tmp_path_factory.mktemp("precision") / "out")


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> ResultSet:
    """As many episodes of every job as the run to a precision may play."""
    return run(**{**SMALL, "episodes": MOST}, workers=0, out=tmp_path_factory.mktemp("fixed") / "out")


@pytest.mark.oracle
def test_numbers_follow_from_the_pilot(reference: ResultSet, fixed: ResultSet) -> None:
    # Stein 1945: n = (t s / H)^2, by hand from the first episodes of a run with many.
    scores = fixed.episodes.assign(score=(fixed.episodes["return"] - 761.4) / (7242.6 - 761.4))
    quantile = scipy_stats.t.ppf(0.975, PILOT - 1)
    expected = []
    for job in fixed.manifest.plan.jobs:
        of_job = scores[scores["fingerprint"] == job.fingerprint]
        wanted = np.ceil((quantile * of_job["score"].head(PILOT).std() / WIDTH) ** 2)
        expected.append(int(min(max(wanted, PILOT), MOST - PILOT)))
    assert list(numbers(reference).values()) == expected
    assert len(set(expected)) > 1, "jobs must differ, else this test shows nothing"
    assert reference.is_complete
    assert len(reference.episodes) == sum(expected)


def test_equal_numbers_are_told_as_one(tmp_path: Path) -> None:
    told = Stopping("The pilot is finished.")
    with pytest.raises(KeyboardInterrupt):
        play(tmp_path / "out", precision=10.0, reporter=told)
    assert f"jobs get {PILOT} episodes each, {3 * PILOT} in all;" in told.notes[-1]


def test_its_episodes_are_those_of_a_run_with_more(reference: ResultSet, fixed: ResultSet) -> None:
    ours = reference.episodes.drop(columns="fingerprint")
    both = ours.merge(fixed.episodes.drop(columns="fingerprint"), how="left", on=KEYS, suffixes=("", "_fixed"))
    assert (both["return"] == both["return_fixed"]).all()
    assert (both["length"] == both["length_fixed"]).all()
    pilot = load_result(reference.path / "pilot").episodes
    assert set(pilot["episode"]) == set(range(PILOT))
    assert ours["episode"].min() == PILOT, "the pilot's episodes are not among those that count"


@pytest.mark.slow  # going on from the pilot, below, is with a worker process too
def test_two_workers_give_the_same_table(tmp_path: Path, reference: ResultSet) -> None:
    assert_equal(play(tmp_path / "out", workers=2), reference)


@pytest.mark.parametrize(
    ("words", "jobs", "is_between", "workers"),
    [("-", 2, False, 1), ("The pilot is finished", 0, True, 0), ("-", 4, False, 0)],
    ids=["in the pilot", "between the stages", "in the second stage"],
)
def test_a_run_that_is_stopped_goes_on_to_the_same_table(
    tmp_path: Path, reference: ResultSet, words: str, jobs: int, is_between: bool, workers: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        play(tmp_path, reporter=Stopping(words, jobs))
    stopped = load_result(tmp_path)
    assert not stopped.is_complete
    assert stopped.num_finished == max(0, jobs - len(reference.manifest.plan.jobs))
    later = Stopping()
    assert_equal(play(tmp_path, workers=workers, reporter=later), reference)
    if is_between:
        assert later.played == len(reference.episodes), "no episode of the pilot was played again"
    assert [start.end is None for start in load_result(tmp_path).manifest.history.starts] == [True, False]


def test_a_finished_run_is_read_not_run(tmp_path: Path, reference: ResultSet) -> None:
    before = {path: path.read_bytes() for path in reference.path.rglob("*.*") if path.is_file()}
    again = Stopping()
    assert_equal(play(reference.path, reporter=again), reference)
    assert again.played == 0
    assert {path: path.read_bytes() for path in before} == before


def test_cells_at_the_limit_and_the_saving_are_said(reference: ResultSet) -> None:
    saving = reference.manifest.history.saving
    assert saving is not None
    capped = [name for name, number in numbers(reference).items() if number == MOST - PILOT]
    assert [text.rpartition(", ")[2] for text in saving.capped] == capped
    assert saving.episodes == len(reference.episodes)
    assert saving.pilot_episodes == PILOT * len(reference.manifest.plan.jobs)
    assert saving.share is not None
    assert saving.bound is not None
    assert saving.bound - 1e-3 <= saving.share <= 1.0


def test_such_runs_are_merged(tmp_path: Path, reference: ResultSet) -> None:
    other = play(tmp_path / "b", agents={"second": Sampler("2")})
    merged = load_results([reference.path, other.path])
    assert len(merged.episodes) == len(reference.episodes) + len(other.episodes)
    assert {job.agent: job.episodes for job in merged.manifest.plan.jobs if job.perturbation == "clean"} == {
        "sampler": numbers(reference)["clean"],
        "second": numbers(other)["clean"],
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": 0.0}, r"The precision is 0\.0\. Allowed: a half-width above 0"),
        ({"precision": float("nan")}, r"The precision is nan"),
        ({"max_episodes": None}, r"--precision needs a limit\. Give --max-episodes, 10 or more"),
        ({"max_episodes": 9}, r"--max-episodes allows 9 episodes of a job, and the pilot has 5\. Allowed: 10 or more"),
        ({"episodes": 4}, r"The pilot has 4 episodes\. Allowed: integers from 5"),
        ({"precision": None}, r"--max-episodes belongs to --precision"),
        (
            {"protocol": Protocol(action_selection="greedy")},
            r"has 31 different episodes at most.*about 125 --episodes, without --precision",
        ),
        ({"games": ("tetris",), "perturbations": ("clean",)}, r"tetris has no random and human score"),
    ],
)
def test_what_cannot_be_is_refused_before_the_first_frame(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        play(tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_an_unknown_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"precision target 'cells'. Did you mean 'cell'"):
        play(tmp_path / "out", precision_of="cells")


def test_another_precision_is_another_run(reference: ResultSet) -> None:
    with pytest.raises(Exception, match=r"other settings: precision is .* there and .* here"):
        play(reference.path, precision=0.5)
    manifest = json.loads((reference.path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["plan"]["precision"]["half_width"] == WIDTH
