"""The summary of a result set against values worked out by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made_returns import result, row, same
from result_fixture import agent_entry, write_result_set

from wsabench.errors import ResultSetError
from wsabench.protocol import Protocol
from wsabench.results import load_result
from wsabench.results.manifest import ReferenceScores
from wsabench.summary.attention import attention_table
from wsabench.summary.summarise import summarise

WIDER = np.sqrt(2.0 / 1.0) * 12.7062047 / 1.9599640
"""sqrt(n / (n - 1)) times t with one degree of freedom over z, of tables: what two seeds hide."""


def two_cells(clean, perturbed, agent="a", game="g"):
    """Give each train seed its returns in the clean and in one perturbed cell."""
    cells = {}
    for seed, (first, second) in enumerate(zip(clean, perturbed, strict=True)):
        cells[agent, seed, game, "clean", None] = first
        cells[agent, seed, game, "hue-rotate", 3] = second
    return cells


def around(value, half):
    """Return the corrected bounds of two train seeds at `value` - `half` and `value` + `half`."""
    return pytest.approx((value - half * WIDER, value + half * WIDER))


def test_measures_worked_out_by_hand():
    # Seed 0: clean (4 + 6) / 2 = 5, normalised 0.5; perturbed 2, 0.2: retention 0.4, gap 0.3.
    # Seed 1: clean 8, 0.8; perturbed 4, 0.4: retention 0.5, gap 0.4. Means 0.65, 0.3, 0.45, 0.35.
    summary = summarise(result(two_cells([[4, 6], [8, 8]], [[2, 2], [3, 5]])))
    cell = row(summary.cells, label="hue-rotate@3")
    assert cell.mean_return == 3.0
    assert (cell.normalised_score.value, cell.retention.value, cell.robustness_gap.value) == pytest.approx(
        (0.3, 0.45, 0.35)
    )
    # Two seeds have four resamples: both ends have probability 1/4, so the percentiles are the two seeds themselves,
    # and the correction for n = 2 moves them to WIDER times their distance from the estimate.
    assert (cell.normalised_score.low, cell.normalised_score.high) == around(0.3, 0.1)
    assert (cell.retention.low, cell.retention.high) == around(0.45, 0.05)
    assert (cell.robustness_gap.low, cell.robustness_gap.high) == around(0.35, 0.05)
    assert cell.note == "too few train seeds (2)"
    assert (cell.num_seeds, cell.num_episodes, cell.num_distinct_episodes) == (2, 4, 4)
    clean = row(summary.cells, label="clean")
    assert (clean.normalised_score.value, clean.retention.value, clean.robustness_gap.value) == pytest.approx(
        (0.65, 1.0, 0.0)
    )
    assert np.isnan(clean.retention.low)  # 1 by definition, nothing uncertain
    assert [seed.retention for seed in summary.seeds] == pytest.approx([1.0, 0.4, 1.0, 0.5])


def test_episode_intervals_are_within_checkpoints():
    # No spread within a checkpoint but between them: the interval over episodes has no width, that over seeds has.
    summary = summarise(result(two_cells([[5, 5], [9, 9]], [[1, 1], [3, 3]])))
    cell = row(summary.cells, label="hue-rotate@3")
    assert cell.normalised_score.episode_low == pytest.approx(0.2) == cell.normalised_score.episode_high
    assert (cell.normalised_score.low, cell.normalised_score.high) == around(0.2, 0.1)


def test_one_train_seed_has_no_interval_over_seeds():
    summary = summarise(result(two_cells([[4, 6]], [[2, 4]])))
    cell = row(summary.cells, label="hue-rotate@3")
    assert np.isnan([cell.normalised_score.low, cell.retention.high]).all()
    assert np.isfinite([cell.normalised_score.episode_low, cell.retention.episode_high]).all()
    assert cell.note == "one train seed: no interval"
    assert any("nothing can be concluded about training" in note for note in summary.notes)
    assert summary.improvement == ()


def test_five_train_seeds_are_not_flagged():
    summary = summarise(result(two_cells([[5, 6]] * 5, [[3, 4]] * 5)))
    assert all(cell.note == "" for cell in summary.cells)
    assert summary.notes == ()


def test_a_train_seed_that_fails_clean_has_no_retention():
    summary = summarise(result(two_cells([[0, 0], [8, 8]], [[2, 2], [4, 4]])))
    cell = row(summary.cells, label="hue-rotate@3")
    assert cell.retention.value == pytest.approx(0.5)  # of the other seed alone
    assert np.isnan(cell.retention.low)  # one seed left, no interval
    assert cell.robustness_gap.value == pytest.approx((-0.2 + 0.4) / 2)
    assert "retention undefined for 1 train seed (clean not above random play), left out" in cell.note
    assert any("train seed 0 is not better than random play even clean" in note for note in summary.notes)
    retained = [one for one in summary.aggregates if one.measure == "retention"]
    assert all(np.isnan(one.value.value) for one in retained)
    assert all("undefined for some train seed" in one.note for one in retained)


def test_agents_that_always_fail_clean():
    summary = summarise(result(two_cells([[-1, 0], [0, 0]], [[2, 2], [4, 4]])))
    cell = row(summary.cells, label="hue-rotate@3")
    assert np.isnan(cell.retention.value)
    assert "undefined for 2 train seeds" in cell.note


def test_weak_clean_scores_are_pointed_out():
    notes = summarise(result(two_cells([[0.5, 0.5], [8, 8]], [[2, 2], [4, 4]]))).notes
    assert any("train seed 0 scores below 0.1 clean" in note for note in notes)


def test_without_reference_scores_there_are_returns_only():
    no_reference = {"g": ReferenceScores(random=None, human=None)}
    summary = summarise(result(two_cells([[4, 6], [8, 8]], [[2, 2], [3, 5]]), reference_scores=no_reference))
    assert all(np.isnan(cell.normalised_score.value) for cell in summary.cells)
    assert row(summary.cells, label="clean").mean_return == 6.5
    assert all("no reference scores for g" in cell.note for cell in summary.cells)
    assert "No reference scores for g: returns only, no normalised scores." in summary.notes
    assert summary.profiles == ()


def test_without_clean_nothing_can_be_retained():
    cells = {key: value for key, value in two_cells([[4], [8]], [[2], [3]]).items() if key[3] != "clean"}
    summary = summarise(result(cells))
    assert all(np.isnan(cell.retention.value) for cell in summary.cells)
    assert all("clean was not played" in cell.note for cell in summary.cells)
    assert any("did not play g clean" in note for note in summary.notes)


def test_greedy_play_counts_distinct_episodes():
    cells = two_cells([[4, 6, 4, 6], [8, 8, 8, 8]], [[1, 2, 3, 4], [3, 5, 5, 5]])
    summary = summarise(result(cells, protocol=Protocol(action_selection="greedy")))
    assert row(summary.cells, label="clean").num_distinct_episodes == 3  # 2 of seed 0, 1 of seed 1
    assert row(summary.cells, label="hue-rotate@3").num_distinct_episodes == 6
    assert np.isnan(row(summary.cells, label="clean").normalised_score.episode_low)
    assert any("Greedy play" in note for note in summary.notes)
    sampled = summarise(result(cells, protocol=Protocol(action_selection="sampled")))
    assert row(sampled.cells, label="clean").num_distinct_episodes == 8


def test_greedy_episodes_of_equal_return_are_different_where_their_actions_are():
    cells = two_cells([[4, 4, 4, 4], [8, 8, 8, 8]], [[1, 2, 3, 4], [3, 5, 5, 5]])
    played = result(cells, protocol=Protocol(action_selection="greedy"))
    starts = played.episodes.assign(noops=played.episodes["episode"] // 2, action_hash="equal")
    starts.loc[(starts["train_seed"] == 0) & (starts["episode"] == 1), "action_hash"] = "other"
    played.episodes = starts
    summary = summarise(played)
    assert row(summary.cells, label="clean").num_distinct_episodes == 3 + 2
    assert row(summary.cells, label="hue-rotate@3").num_distinct_episodes == 3 + 2


def test_means_over_games():
    cells = {**two_cells([[5], [5]], [[1], [1]]), **two_cells([[8], [8]], [[6], [6]], game="h")}
    cells["a", 0, "h", "value", 1] = cells["a", 1, "h", "value", 1] = [4]
    summary = summarise(result(cells))
    both = row(summary.perturbations, label="hue-rotate@3")
    # Games count equally: scores (0.1 + 0.6) / 2, retention (0.2 + 0.75) / 2.
    assert (both.num_games, both.normalised_score.value, both.retention.value) == pytest.approx((2, 0.35, 0.475))
    assert row(summary.perturbations, label="value@1").num_games == 1
    curve = [one for one in summary.severities if one.perturbation == "hue-rotate"]
    assert [one.severity for one in curve] == [0, 3]
    assert [one.normalised_score.value for one in curve] == pytest.approx([0.65, 0.35])


def test_aggregates_use_the_cells_that_every_agent_played():
    cells = {**two_cells([[5], [5]], [[1], [3]]), **two_cells([[8], [8]], [[6], [6]], agent="b")}
    cells["a", 0, "g", "value", 1] = cells["a", 1, "g", "value", 1] = [10]
    summary = summarise(result(cells, agents=(agent_entry("b"), agent_entry("a"))))
    assert summary.agents == ("b", "a")
    shifted = row(summary.aggregates, agent="a", scope="all perturbations", measure="normalised_score", metric="mean")
    assert (shifted.value.value, shifted.num_cells) == pytest.approx((0.2, 1))
    better = row(summary.improvement, measure="normalised_score", label="all perturbations")
    assert (better.agent_x, better.agent_y, better.value.value) == ("b", "a", 1.0)
    assert np.isnan(better.value.low)  # every pair falls the same way: no certainty from two seeds
    assert better.note == "too few train seeds (2)"


def test_cells_that_not_every_seed_finished_are_left_out_and_named():
    cells = two_cells([[5], [5]], [[1], [3]])
    del cells["a", 1, "g", "hue-rotate", 3]
    summary = summarise(result(cells, jobs=[{}] * 4))
    assert [cell.label for cell in summary.cells] == ["clean"]
    assert "The run is not complete: 3 of 4 jobs are finished." in summary.notes
    assert any("1 cell is left out" in note and "hue-rotate@3" in note for note in summary.notes)


def test_different_train_seeds_in_different_games_are_said():
    cells = {**two_cells([[5], [5]], [[1], [3]]), **two_cells([[8]], [[6]], game="h")}
    summary = summarise(result(cells))
    assert any("different train seeds in different games" in note and ": 0." in note for note in summary.notes)
    assert all(one.num_seeds == 1 for one in summary.aggregates)


def test_nothing_finished_is_an_error():
    with pytest.raises(ResultSetError, match="no finished episode"):
        summarise(result({}))


def test_what_a_reader_must_know_is_said():
    notes = summarise(
        result(
            two_cells([[5], [5]], [[1], [3]]),
            profile="quick",
            agents=(agent_entry("a", privileged=True),),
            refused={"g": ("hue-rotate@1",)},
        )
    ).notes
    assert "names no winner" in notes[0]
    assert any(note.startswith("Privileged: a reads") for note in notes)
    assert any("Refused on g" in note and "hue-rotate@1" in note for note in notes)


@pytest.mark.parametrize(
    ("weights", "entropy", "said"),
    [((0.5, 0.5), np.log(2), "uniform"), ((0.999, 0.001), 0.008, "one encoder alone: x")],
)
def test_dead_attention_is_pointed_out(weights, entropy, said):
    rows = [
        {
            **{"agent": "a", "train_seed": 0, "game": "g", "family": "clean", "perturbation": "clean"},
            **{"severity": pd.NA, "encoder": name, "mean": w, "sd": 0.0, "entropy": entropy, "num_steps": 10},
        }
        for name, w in zip("xy", weights, strict=True)
    ]
    summary = summarise(result(two_cells([[5]], [[1]]), attention=pd.DataFrame(rows)))
    assert any(said in note for note in summary.notes)
    assert [one.num_steps for one in summary.attention] == [10, 10]


def test_the_shift_of_attention_is_that_of_each_seed_with_itself():
    cells = [("clean", pd.NA, "clean"), ("hue-rotate", 3, "color")]
    # Seed 0 moves 0.4 of its weight, seed 1 moves 0.2 the other way; the means over seeds hardly move.
    weights = {(0, "clean"): 0.5, (0, "hue-rotate"): 0.9, (1, "clean"): 0.5, (1, "hue-rotate"): 0.3}
    rows = [
        {
            **{"agent": "a", "train_seed": seed, "game": "g", "family": family, "perturbation": name},
            **{"severity": severity, "encoder": encoder, "sd": 0.0, "entropy": 0.5, "num_steps": 10},
            "mean": weights[seed, name] if encoder == "x" else 1 - weights[seed, name],
        }
        for seed in (0, 1)
        for name, severity, family in cells
        for encoder in "xy"
    ]
    table = attention_table(pd.DataFrame(rows))
    assert {(one.label, one.encoder): one.shift for one in table} == pytest.approx(
        {("clean", "x"): 0, ("clean", "y"): 0, ("hue-rotate@3", "x"): 0.3, ("hue-rotate@3", "y"): 0.3}
    )
    moved = row(table, label="hue-rotate@3", encoder="x")
    assert (moved.mean, moved.seed_min, moved.seed_max) == pytest.approx((0.6, 0.3, 0.9))
    without = attention_table(pd.DataFrame([one for one in rows if one["perturbation"] != "clean"]))
    assert all(np.isnan(one.shift) for one in without)


def test_the_same_results_give_the_same_numbers_in_any_order(tmp_path):
    loaded = load_result(write_result_set(tmp_path / "run"))
    shuffled = SimpleNamespace(
        episodes=loaded.episodes.sample(frac=1.0, random_state=1).reset_index(drop=True),
        attention=loaded.attention,
        manifest=loaded.manifest,
    )
    first, second = summarise(loaded), summarise(shuffled)
    names = ("cells", "perturbations", "aggregates", "improvement", "profiles", "severities", "seeds")
    for name in (*names, "comparisons", "clean_comparisons", "measures", "ranks"):
        same(getattr(first, name), getattr(second, name))
    assert [cell.label for cell in first.cells][:2] == ["clean", "hue-rotate@1"]


def test_another_perturbation_moves_no_interval(tmp_path):
    few = summarise(load_result(write_result_set(tmp_path / "few", cells=(("clean", None), ("hue-rotate", 3)))))
    many = summarise(load_result(write_result_set(tmp_path / "many")))
    same(few.cells, [cell for cell in many.cells if cell.label in ("clean", "hue-rotate@3")])
