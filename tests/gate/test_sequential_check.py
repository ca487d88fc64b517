"""Looks of the gate at made-up result sets: what is judged, by which numbers, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace
from result_fixture import change_manifest, label, write_result_set, write_shard

from wsabench.errors import ResultSetError, SpecError, UnknownNameError
from wsabench.gate.outcome import CheckResult
from wsabench.gate.sequential import SequentialCheck
from wsabench.protocol import Protocol
from wsabench.results import ResultSet, load_result
from wsabench.results.manifest import read_manifest
from wsabench.seeding import evaluation_seed, generator
from wsabench.stats.claims.comparisons import holm
from wsabench.stats.gate import Sample, compare
from wsabench.stats.sequential import Design, nominal_levels, sequential_p

CELLS = (("clean", None), ("hue-rotate", 3), ("palette-pal", None))
HASHES = {"breakout": {label(*cell): label(*cell) for cell in CELLS}}
LOW, SPAN = 1.7, 28.8
LOOKS = (6, 11, 16, 22)


def write(path: Path, returns: np.ndarray, first: int = 0, cells: Any = CELLS, **changes: Any) -> Path:
    """A result set of one checkpoint whose cells have these returns, shape (episodes, cells), from one number on."""
    options = {"agents": ("e2e",), "train_seeds": (0,), "perturbation_hashes": HASHES, **changes}
    write_result_set(path, cells=cells, episodes=len(returns), **options)
    jobs = read_manifest(path).plan.jobs
    root = changes.get("seed", 0)
    if first:  # later episodes of jobs that were played before say how many they are
        change_manifest(path, jobs=tuple(replace(job, episodes=len(returns)) for job in jobs))
    for job, column in zip(jobs, np.tile(returns, len(options["train_seeds"])).T, strict=True):
        table = pq.ParquetFile(path / "episodes" / job.file).read().to_pandas().astype({"severity": "Int64"})
        numbers = first + np.arange(len(returns))
        seeds = [evaluation_seed(job.game, int(number), root) for number in numbers]
        write_shard(
            path / "episodes" / job.file,
            table.assign(**{"return": column, "episode": numbers, "episode_seed": seeds}),
        )
    return path


def drawn(seed: int, episodes: int, share: float = 1.0, num_cells: int = 3) -> np.ndarray:
    """Returns around a normalised score of 0.5 times a share."""
    rng = np.random.default_rng(seed)
    return LOW + share * SPAN * rng.normal(0.5, 0.15, (episodes, num_cells))


def parts_of(path: Path, returns: np.ndarray, looks: Sequence[int] = LOOKS, **options: Any) -> list[ResultSet]:
    """A run as its looks: the first ones, and those played since each look."""
    found = [write(path, returns[: looks[0]], **options)]
    for number, (start, stop) in enumerate(pairwise(looks), start=2):
        found.append(write(path / "looks" / str(number), returns[start:stop], start, **options))
    return [load_result(one) for one in found]


def judged(check: SequentialCheck, parts: Sequence[ResultSet]) -> CheckResult:
    """The result of the look that decides."""
    for part in parts:
        result = check.look(part)
        if result.is_decided:
            return result
    raise AssertionError("the last look decides")


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    return write(tmp_path / "reference", drawn(0, 20))


@pytest.mark.oracle
def test_p_values_are_those_of_the_first_episodes_against_the_whole_reference(reference: Path, tmp_path: Path) -> None:
    returns = drawn(1, 22, share=0.6)
    parts = parts_of(tmp_path / "run", returns)
    check = SequentialCheck(tmp_path / "run", reference, Design(alpha=0.001))
    result = check.look(parts[0])
    assert not result.is_decided, "else only one look is tested"
    result = check.look(parts[1])
    raw, within = np.empty((2, 3)), np.empty((2, 3))
    held = (drawn(0, 20) - LOW) / SPAN
    levels = nominal_levels(0.001 / 2 / 3, LOOKS, "power")
    for look, episodes in enumerate(LOOKS[:2]):
        sample = Sample(((returns[:episodes] - LOW) / SPAN)[:, :, None], held[:, :, None], is_paired=False)
        rng = generator(0, "gate", "e2e", "breakout", "0")
        found = compare([sample], "episodes", rng, 0.2, 9_999, float(levels[look]))
        raw[look], within[look] = found.p_worse, found.p_within
    expected = np.minimum(1.0, 2.0 * holm(sequential_p(raw, LOOKS, "power")))
    assert [row.p_adjusted for row in result.cells] == pytest.approx(expected.tolist())
    assert [row.p_within for row in result.cells] == pytest.approx(sequential_p(within, LOOKS, "power").tolist())
    assert {(row.num_run, row.num_reference, row.is_paired) for row in result.cells} == {(11, 20, False)}


def test_equal_episode_seeds_are_not_paired(reference: Path, tmp_path: Path) -> None:
    parts = parts_of(tmp_path / "run", drawn(1, 20, share=0.8), looks=(12, 20))
    check = SequentialCheck(tmp_path / "run", reference, Design(looks=(12, 20), futility=0.0))
    check.look(parts[0])
    result = check.look(parts[1])
    assert {(row.num_run, row.num_reference, row.is_paired) for row in result.rows} == {(20, 20, False)}


def test_permutations_grow_with_the_level_of_the_look(reference: Path, tmp_path: Path) -> None:
    # A cell alarms at p <= 0.0005 / 2 / 3 (20 / 22)^1.5 = 0.00007, which 9,999 permutations cannot show.
    run = write(tmp_path / "run", drawn(1, 20, share=0.1))
    result = SequentialCheck(run, reference, Design(looks=(20, 22), alpha=0.0005)).look(load_result(run))
    assert {row.verdict for row in result.cells} == {"regressed"}


def test_a_drop_stops_it_and_no_drop_stops_it(reference: Path, tmp_path: Path) -> None:
    worse = parts_of(tmp_path / "worse", drawn(1, 22, share=0.2))
    result = judged(SequentialCheck(tmp_path / "worse", reference, Design()), worse)
    assert result.exit_code == 1
    assert result.looks is not None
    assert [look.episodes for look in result.looks.taken] == [6]
    same = parts_of(tmp_path / "same", drawn(2, 22))
    result = judged(SequentialCheck(tmp_path / "same", reference, Design()), same)
    assert result.exit_code == 0
    assert result.looks is not None
    assert len(result.looks.taken) < 4
    assert result.looks.share == pytest.approx(result.looks.taken[-1].episodes / 20)
    assert f"{result.looks.share:.0%} of the 60 that 20 of each are" in result.conclusion


@pytest.mark.slow
def test_it_alarms_at_the_margin_no_more_often_than_alpha(tmp_path: Path) -> None:
    # 200 checks at a drop of the margin: alpha 0.05 and two Monte-Carlo standard errors.
    alarms = 0
    for number in range(200):
        folder = tmp_path / str(number)
        reference = write(folder / "reference", drawn(2 * number, 20))
        parts = parts_of(folder / "run", drawn(2 * number + 1, 22, share=0.8))
        alarms += judged(SequentialCheck(folder / "run", reference, Design()), parts).exit_code == 1
    assert 1 <= alarms <= 200 * 0.05 + 2 * np.sqrt(200 * 0.05 * 0.95)


def test_a_strict_check_goes_on_while_a_drop_is_not_ruled_out(reference: Path, tmp_path: Path) -> None:
    parts = parts_of(tmp_path / "run", drawn(5, 22, share=0.95))
    plain = judged(SequentialCheck(tmp_path / "run", reference, Design()), parts)
    assert plain.looks is not None
    assert any(row.verdict == "undecided" for row in plain.rows), "else this test shows nothing"
    parts = parts_of(tmp_path / "strict", drawn(5, 22, share=0.95))
    strict = judged(SequentialCheck(tmp_path / "strict", reference, Design(), strict=True), parts)
    assert strict.looks is not None
    assert len(strict.looks.taken) > len(plain.looks.taken)


def test_too_few_episodes_are_those_of_the_last_look(reference: Path, tmp_path: Path) -> None:
    parts = parts_of(tmp_path / "run", drawn(1, 4), looks=(2, 4))
    result = judged(SequentialCheck(tmp_path / "run", reference, Design(looks=(2, 4), alpha=1e-5)), parts)
    assert result.exit_code == 2
    assert result.conclusion.startswith("Too few episodes: nothing was shown")
    parts = parts_of(tmp_path / "more", drawn(1, 44), looks=(2, 44))
    result = SequentialCheck(tmp_path / "more", reference, Design(looks=(2, 44))).look(parts[0])
    assert result.overall[0].power > 0.99


def test_where_there_is_nothing_to_lose_nothing_is_played(tmp_path: Path) -> None:
    reference = write(tmp_path / "reference", np.full((20, 3), LOW))
    parts = parts_of(tmp_path / "run", drawn(1, 22))
    result = SequentialCheck(tmp_path / "run", reference, Design()).look(parts[0])
    assert result.is_decided
    assert result.exit_code == 2
    assert result.conclusion.startswith("Nothing was tested")


def test_only_what_the_reference_has_is_judged(tmp_path: Path) -> None:
    reference = write(tmp_path / "reference", drawn(0, 20, num_cells=2), cells=CELLS[:2])
    parts = parts_of(tmp_path / "run", drawn(1, 22))
    check = SequentialCheck(tmp_path / "run", reference, Design())
    assert check.jobs == {("e2e", 0, "breakout", "clean"), ("e2e", 0, "breakout", "hue-rotate@3")}
    result = check.look(parts[0])
    assert result.looks is not None
    assert result.looks.taken[0].played == 2 * 6


def test_what_the_design_was_not_made_for_is_refused(reference: Path, tmp_path: Path) -> None:
    run = write(tmp_path / "run", drawn(1, 6))
    with pytest.raises(SpecError, match=r"has 6 episodes of each job, and the first look is after 7\. .*--episodes 7"):
        SequentialCheck(run, reference, Design(looks=(7, 9)))
    with pytest.raises(SpecError, match=r"The looks are 6, 6\. Allowed: one to 4 rising numbers"):
        SequentialCheck(run, reference, Design(looks=(6, 6)))
    with pytest.raises(SpecError, match=r"Alpha is 1\. Allowed: numbers above 0 and below 1"):
        SequentialCheck(run, reference, Design(alpha=1.0))
    with pytest.raises(UnknownNameError, match=r"Unknown agent of .* 'wsa'"):
        SequentialCheck(run, reference, Design(), agents=["wsa"])
    seeds = {"train_seeds": (0, 1)}
    several = write(tmp_path / "several", drawn(1, 6), **seeds)
    with pytest.raises(SpecError, match=r"here are several train seeds"):
        SequentialCheck(several, write(tmp_path / "held", drawn(0, 20), **seeds), Design())
    greedy = {"protocol": Protocol(action_selection="greedy")}
    run = write(tmp_path / "greedy", drawn(1, 6), **greedy)
    with pytest.raises(SpecError, match=r"has 31 different episodes at most, .* about 125 episodes to meet them all"):
        SequentialCheck(run, write(tmp_path / "held greedy", drawn(0, 20), **greedy), Design())
    assert not (tmp_path / "greedy" / "looks").exists()


def test_another_design_after_a_look_is_refused(reference: Path, tmp_path: Path) -> None:
    run = write(tmp_path / "run", drawn(1, 6))
    SequentialCheck(run, reference, Design())
    SequentialCheck(run, reference, Design())
    with pytest.raises(ResultSetError, match=r"looked at by another design: alpha 0\.05 there and 0\.1 here, margin 0"):
        SequentialCheck(run, reference, Design(alpha=0.1), margin=0.3)
    other = write(tmp_path / "other", drawn(3, 20))
    jobs = tuple(replace(job, fingerprint=f"other {job.fingerprint}") for job in read_manifest(other).plan.jobs)
    change_manifest(other, jobs=jobs)
    for job in jobs:
        shard = other / "episodes" / job.file
        table = pq.ParquetFile(shard).read().to_pandas().assign(fingerprint=job.fingerprint)
        write_shard(shard, table.astype({"severity": "Int64"}))
    with pytest.raises(ResultSetError, match=r"another reference\. Alpha holds only for the one it began with"):
        SequentialCheck(run, other, Design())
    (run / "looks" / "design.json").write_text("[")
    with pytest.raises(ResultSetError, match=r"design\.json cannot be read"):
        SequentialCheck(run, reference, Design())


def test_a_part_of_another_run_or_with_other_episodes_is_refused(reference: Path, tmp_path: Path) -> None:
    parts = parts_of(tmp_path / "run", drawn(1, 22, share=0.75))
    check = SequentialCheck(tmp_path / "run", reference, Design())
    check.look(parts[0])
    with pytest.raises(ResultSetError, match=r"do not hold the first 11 episodes of each judged job"):
        check.look(parts[2])
    write(parts[1].path, drawn(1, 22, share=0.75)[6:11], 6, seed=77)
    check = SequentialCheck(tmp_path / "run", reference, Design())
    check.look(parts[0])
    with pytest.raises(ResultSetError, match=r"does not go on with .*: seed is 0 there and 77 in the later look"):
        check.look(load_result(parts[1].path))
    next((parts[2].path / "episodes").glob("*.parquet")).unlink()
    with pytest.raises(ResultSetError, match=r"is not finished\. Start the same check again"):
        check.look(load_result(parts[2].path))
