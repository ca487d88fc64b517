"""Recorded steps: what the rollout keeps, the tables, and what becomes of them on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from fake_bench import TASKS, FakeLanes, ListSource, PlainPolicy, SamplingPolicy, as_plain, played
from made_jobs import ENCODERS, JOBS, manifest, recording
from result_fixture import agent_entry, change_manifest

from wsabench.agents import wrap_policy
from wsabench.errors import ResultSetError, SpecError
from wsabench.evaluation.rollout import play
from wsabench.report.figures.episode import episode_figure
from wsabench.report.figures.style import figure_style
from wsabench.results import load_result
from wsabench.results.recorded import _encode, moving_mean
from wsabench.results.records import EpisodeOutcome, EpisodeSteps, attention_sums
from wsabench.results.store import ResultStore
from wsabench.results.tables import steps_table
from wsabench.stats.context_effect import ContextEffect
from wsabench.summary.attention import example_episodes
from wsabench.types import Decision, LaneBatch


class CountingLanes(FakeLanes):
    """Tells the return so far."""

    def episode_return(self, row: int) -> float:
        game = self._games[row]
        assert game is not None
        return game.total


class ValuingPolicy(SamplingPolicy):
    """Expects what it sees, so that every value is known."""

    def act(self, observations: np.ndarray, lanes: LaneBatch) -> Decision:
        return replace(super().act(observations, lanes), values=observations[:, 0, 0, 0].astype(np.float32))


def recorded(policy: Any, num_lanes: int) -> list[EpisodeOutcome]:
    outcomes: list[EpisodeOutcome] = []
    play(
        wrap_policy(policy),
        CountingLanes(num_lanes),
        ListSource(TASKS),
        outcomes.append,
        lambda _: None,
        keep_steps=True,
    )
    return sorted(outcomes, key=lambda outcome: outcome[:2])


def test_recording_changes_no_outcome() -> None:
    outcomes = recorded(ValuingPolicy(), 5)
    assert as_plain(outcomes) == as_plain(played(SamplingPolicy(), TASKS, 5))


@pytest.mark.parametrize("num_lanes", [1, 4, 40])
def test_steps_are_those_of_the_episode_whoever_plays_beside_it(num_lanes: int) -> None:
    for outcome, task in zip(recorded(ValuingPolicy(), num_lanes), TASKS, strict=True):
        steps = outcome.steps
        assert steps is not None
        seen = (task.episode_seed + 7 * np.arange(outcome.length) + len(task.perturbation)) % 256
        assert steps.values.tolist() == seen.tolist()
        assert steps.rewards.tolist() == steps.actions.tolist()  # the fake's rule
        assert steps.rewards.sum() == outcome.episodic_return
        np.testing.assert_array_equal(steps.weights[:, 0], ((1 + seen % 7) / 8).astype(np.float32))
        assert outcome.attention is not None
        np.testing.assert_array_equal(outcome.attention.weights, attention_sums(steps.weights).weights)


def test_without_attention_and_value_steps_say_so() -> None:
    steps = recorded(PlainPolicy(), 3)[0].steps
    assert steps is not None
    assert steps.weights.shape == (len(steps.actions), 0)
    assert np.isnan(steps.values).all()


def episode(episode: int, weights: list[list[float]], value: float = 2.0) -> EpisodeOutcome:
    array = np.array(weights, np.float32)
    steps = EpisodeSteps(np.arange(len(array)), np.full(len(array), 3.0), np.full(len(array), value, np.float32), array)
    return EpisodeOutcome(0, episode, 3.0 * len(array), len(array), "game_over", attention_sums(array), steps)


def test_the_table_has_one_row_a_step_and_one_column_an_encoder() -> None:
    outcomes = [episode(1, [[1.0, 0.0]], np.nan), episode(0, [[0.25, 0.75], [0.5, 0.5]])]
    table = steps_table(JOBS[1], outcomes, ENCODERS).to_pandas()
    assert table["episode"].tolist() == [0, 0, 1]
    first, second = JOBS[1].episode_seeds
    assert table["episode_seed"].tolist() == [first, first, second]
    assert table["step"].tolist() == [0, 1, 0]
    assert table["return"].tolist() == [3.0, 6.0, 3.0]
    assert table["weight_sr"].tolist() == [0.25, 0.5, 1.0]
    assert table["weight_oke"].tolist() == [0.75, 0.5, 0.0]
    assert table["value"].isna().tolist() == [False, False, True]
    assert set(table["perturbation"]) == {"hue-rotate"}


def write(path: Path, *, keeps_steps: bool) -> None:
    with ResultStore(path, keeps_steps=keeps_steps) as store:
        store.write_manifest(store.begin(manifest()))
        for job in JOBS:
            store.write_job(job, [episode(0, [[0.25, 0.75]]), episode(1, [[0.5, 0.5]])], ENCODERS)


def test_steps_are_written_only_where_asked_for_and_missing_ones_are_made_up_for(tmp_path: Path) -> None:
    write(tmp_path / "run", keeps_steps=False)
    assert not (tmp_path / "run" / "attention_steps").exists()
    with ResultStore(tmp_path / "run", keeps_steps=True) as store:
        store.begin(manifest())
        assert not store.is_finished(JOBS[0], ENCODERS)
        assert store.is_finished(JOBS[0])  # an agent without attention has nothing to record
    write(tmp_path / "run", keeps_steps=True)
    shard = tmp_path / "run" / "attention_steps" / f"{JOBS[0].key}.parquet"
    assert pq.read_table(shard).num_rows == 2
    with ResultStore(tmp_path / "run", keeps_steps=True) as store:
        store.begin(manifest())
        assert store.is_finished(JOBS[0], ENCODERS)
    assert load_result(tmp_path / "run").is_complete


def test_steps_of_other_episodes_do_not_stay(tmp_path: Path) -> None:
    write(tmp_path / "run", keeps_steps=True)
    write(tmp_path / "run", keeps_steps=False)
    assert list((tmp_path / "run" / "attention_steps").iterdir()) == []


def test_steps_of_a_job_that_the_run_does_not_know_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "run", keeps_steps=True)
    folder = tmp_path / "run" / "attention_steps"
    (folder / f"{JOBS[0].key}.parquet").rename(folder / "other.parquet")
    with pytest.raises(ResultSetError, match="belongs to no job"):
        load_result(tmp_path / "run")


def test_the_moving_mean_is_that_of_a_loop() -> None:
    values = np.random.default_rng(0).random((20, 3), dtype=np.float32)
    wanted = [values[max(0, i - 2) : i + 3].mean(axis=0) for i in range(20)]
    np.testing.assert_allclose(moving_mean(values, 5), wanted, rtol=1e-6)


def test_examples_are_clean_and_the_cells_that_moved_most(tmp_path: Path) -> None:
    write(tmp_path / "run", keeps_steps=True)
    change_manifest(tmp_path / "run", agents=(agent_entry("wsa", encoders=ENCODERS),))
    result = load_result(tmp_path / "run")
    shifts = (("clean", np.nan), ("hue-rotate@3", 0.4))
    moved = [SimpleNamespace(agent="wsa", game="breakout", label=label, shift=shift) for label, shift in shifts]
    clean, shifted = example_episodes(result, moved)
    assert (clean.label, shifted.label) == ("clean", "hue-rotate@3")
    assert clean.weights.tolist() == [[0.25, 0.75]]  # the first episode only
    assert clean.smooth.tolist() == clean.weights.tolist()
    assert [one.label for one in example_episodes(result, ())] == ["clean", "hue-rotate@3"]
    write(tmp_path / "without", keeps_steps=False)
    assert example_episodes(load_result(tmp_path / "without"), moved) == []


def test_key_moments_are_where_the_weights_jump() -> None:
    weights = np.full((40, 2), 0.5, np.float32)
    weights[13:] = (0.9, 0.1)
    weights[27:] = (0.2, 0.8)
    assert recording(weights).key_moments(2) == [13, 27]
    assert recording(weights).key_moments(4) == [9, 13, 27, 39]
    assert recording(np.zeros((3, 0), np.float32)).key_moments(6) == [0, 1, 2]


def test_a_table_can_be_made_without_an_end() -> None:
    table = recording(np.full((4, 2), 0.5, np.float32), end=None).table().to_pandas()
    assert table["return"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert set(table["episode_seed"]) == {2}


def test_what_the_context_did_is_told_everywhere() -> None:
    from wsabench.report.figures.episode import context_text
    from wsabench.report.films.film import FilmMaker

    weights = np.full((4, 2), 0.5, np.float32)
    picture = (_encode(np.zeros((210, 160, 3), np.uint8)), _encode(np.zeros((84, 84), np.uint8)))
    with_context = recording(weights, context=ContextEffect(3.0, 0.2, 0.5, 4), pictures=(picture,) * 5)
    plain = recording(weights, pictures=(picture,) * 5)
    told = "Context: share of static steps 0.75, of the weights' variance 0.20"
    assert (context_text(with_context), context_text(plain)) == (told, "")
    table = with_context.table()
    assert table.column_names[-2:] == ["context_static_share", "context_variance_share"]
    assert table.column_names[:-2] == plain.table().column_names
    assert table["context_static_share"].to_pylist() == [0.75] * 4
    unknown = recording(weights, context=ContextEffect(4.0, 0.0, 0.0, 4))
    assert unknown.table()["context_variance_share"].to_pylist() == [None] * 4
    assert context_text(unknown).endswith("static steps 1.00, of the weights' variance undefined")
    maker, bare = FilmMaker(with_context), FilmMaker(plain)
    assert maker.height > bare.height
    assert (maker.picture(1)[bare.height :] < 250).any(), "written below"
    with figure_style():
        labels = [[ax.get_xlabel() for ax in episode_figure(one).axes] for one in (with_context, plain)]
    assert told in "".join(labels[0])
    assert "Context" not in "".join(labels[1])


def test_zero_steps_are_refused() -> None:
    from wsabench.evaluation.recording import record_episode

    with pytest.raises(SpecError, match=r"Allowed: integers from 1\."):
        record_episode("wsa", "breakout", max_steps=0)
