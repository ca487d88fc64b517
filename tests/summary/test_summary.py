"""The summary of a result set against values worked out by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made_returns import result, row
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
    assert cell["mean_return"] == 3.0
    assert (cell["normalised_score"], cell["retention"], cell["robustness_gap"]) == pytest.approx((0.3, 0.45, 0.35))
    # Two seeds have four resamples: both ends have probability 1/4, so the percentiles are the two seeds themselves,
    # and the correction for n = 2 moves them to WIDER times their distance from the estimate.
    assert (cell["normalised_score_low"], cell["normalised_score_high"]) == around(0.3, 0.1)
    assert (cell["retention_low"], cell["retention_high"]) == around(0.45, 0.05)
    assert (cell["robustness_gap_low"], cell["robustness_gap_high"]) == around(0.35, 0.05)
    assert cell["note"] == "too few train seeds (2)"
    assert (cell["num_seeds"], cell["num_episodes"], cell["num_distinct_episodes"]) == (2, 4, 4)
    clean = row(summary.cells, label="clean")
    assert (clean["normalised_score"], clean["retention"], clean["robustness_gap"]) == pytest.approx((0.65, 1.0, 0.0))
    assert np.isnan(clean["retention_low"])  # 1 by definition, nothing uncertain
    assert summary.seeds["retention"].tolist() == pytest.approx([1.0, 0.4, 1.0, 0.5])


def test_episode_intervals_are_within_checkpoints():
    # No spread within a checkpoint but between them: the interval over episodes has no width, that over seeds has.
    summary = summarise(result(two_cells([[5, 5], [9, 9]], [[1, 1], [3, 3]])))
    cell = row(summary.cells, label="hue-rotate@3")
    assert cell["normalised_score_episode_low"] == pytest.approx(0.2) == cell["normalised_score_episode_high"]
    assert (cell["normalised_score_low"], cell["normalised_score_high"]) == around(0.2, 0.1)


def test_one_train_seed_has_no_interval_over_seeds():
    summary = summarise(result(two_cells([[4, 6]], [[2, 4]])))
    cell = row(summary.cells, label="hue-rotate@3")
    assert np.isnan([cell["normalised_score_low"], cell["retention_high"]]).all()
    assert np.isfinite([cell["normalised_score_episode_low"], cell["retention_episode_high"]]).all()
    assert cell["note"] == "one train seed: no interval"
    assert any("nothing can be concluded about training" in note for note in summary.notes)
    assert summary.improvement.empty


def test_five_train_seeds_are_not_flagged():
    summary = summarise(result(two_cells([[5, 6]] * 5, [[3, 4]] * 5)))
    assert (summary.cells["note"] == "").all()
    assert summary.notes == ()


def test_a_train_seed_that_fails_clean_has_no_retention():
    summary = summarise(result(two_cells([[0, 0], [8, 8]], [[2, 2], [4, 4]])))
    cell = row(summary.cells, label="hue-rotate@3")
    assert cell["retention"] == pytest.approx(0.5)  # of the other seed alone
    assert np.isnan(cell["retention_low"])  # one seed left, no interval
    assert cell["robustness_gap"] == pytest.approx((-0.2 + 0.4) / 2)
    assert "retention undefined for 1 train seed (clean not above random play), left out" in cell["note"]
    assert any("train seed 0 is not better than random play even clean" in note for note in summary.notes)
    retained = summary.aggregates[summary.aggregates["measure"] == "retention"]
    assert retained["value"].isna().all()
    assert retained["note"].str.contains("undefined for some train seed").all()


def test_agents_that_always_fail_clean():
    summary = summarise(result(two_cells([[-1, 0], [0, 0]], [[2, 2], [4, 4]])))
    cell = row(summary.cells, label="hue-rotate@3")
    assert np.isnan(cell["retention"])
    assert "undefined for 2 train seeds" in cell["note"]


def test_weak_clean_scores_are_pointed_out():
    notes = summarise(result(two_cells([[0.5, 0.5], [8, 8]], [[2, 2], [4, 4]]))).notes
    assert any("train seed 0 scores below 0.1 clean" in note for note in notes)


def test_without_reference_scores_there_are_returns_only():
    no_reference = {"g": ReferenceScores(random=None, human=None)}
    summary = summarise(result(two_cells([[4, 6], [8, 8]], [[2, 2], [3, 5]]), reference_scores=no_reference))
    assert summary.cells["normalised_score"].isna().all()
    assert row(summary.cells, label="clean")["mean_return"] == 6.5
    assert summary.cells["note"].str.contains("no reference scores for g").all()
    assert "No reference scores for g: returns only, no normalised scores." in summary.notes
    assert summary.profiles.empty


def test_without_clean_nothing_can_be_retained():
    cells = {key: value for key, value in two_cells([[4], [8]], [[2], [3]]).items() if key[3] != "clean"}
    summary = summarise(result(cells))
    assert np.isnan(summary.cells["retention"]).all()
    assert summary.cells["note"].str.contains("clean was not played").all()
    assert any("did not play g clean" in note for note in summary.notes)


def test_greedy_play_counts_distinct_episodes():
    cells = two_cells([[4, 6, 4, 6], [8, 8, 8, 8]], [[1, 2, 3, 4], [3, 5, 5, 5]])
    summary = summarise(result(cells, protocol=Protocol(action_selection="greedy")))
    assert row(summary.cells, label="clean")["num_distinct_episodes"] == 3  # 2 of seed 0, 1 of seed 1
    assert row(summary.cells, label="hue-rotate@3")["num_distinct_episodes"] == 6
    assert np.isnan(row(summary.cells, label="clean")["normalised_score_episode_low"])
    assert any("Greedy play" in note for note in summary.notes)
    sampled = summarise(result(cells, protocol=Protocol(action_selection="sampled")))
    assert row(sampled.cells, label="clean")["num_distinct_episodes"] == 8


def test_greedy_episodes_of_equal_return_are_different_where_their_actions_are():
    cells = two_cells([[4, 4, 4, 4], [8, 8, 8, 8]], [[1, 2, 3, 4], [3, 5, 5, 5]])
    played = result(cells, protocol=Protocol(action_selection="greedy"))
    starts = played.episodes.assign(noops=played.episodes["episode"] // 2, action_hash="equal")
    starts.loc[(starts["train_seed"] == 0) & (starts["episode"] == 1), "action_hash"] = "other"
    played.episodes = starts
    summary = summarise(played)
    assert row(summary.cells, label="clean")["num_distinct_episodes"] == 3 + 2
    assert row(summary.cells, label="hue-rotate@3")["num_distinct_episodes"] == 3 + 2


def test_means_over_games():
    cells = {**two_cells([[5], [5]], [[1], [1]]), **two_cells([[8], [8]], [[6], [6]], game="h")}
    cells["a", 0, "h", "value", 1] = cells["a", 1, "h", "value", 1] = [4]
    summary = summarise(result(cells))
    both = row(summary.perturbations, label="hue-rotate@3")
    # Games count equally: scores (0.1 + 0.6) / 2, retention (0.2 + 0.75) / 2.
    assert (both["num_games"], both["normalised_score"], both["retention"]) == pytest.approx((2, 0.35, 0.475))
    assert row(summary.perturbations, label="value@1")["num_games"] == 1
    curve = summary.severities[summary.severities["perturbation"] == "hue-rotate"]
    assert curve["severity"].tolist() == [0, 3]
    assert curve["normalised_score"].tolist() == pytest.approx([0.65, 0.35])


def test_aggregates_use_the_cells_that_every_agent_played():
    cells = {**two_cells([[5], [5]], [[1], [3]]), **two_cells([[8], [8]], [[6], [6]], agent="b")}
    cells["a", 0, "g", "value", 1] = cells["a", 1, "g", "value", 1] = [10]
    summary = summarise(result(cells, agents=(agent_entry("b"), agent_entry("a"))))
    assert summary.agents == ("b", "a")
    shifted = row(summary.aggregates, agent="a", scope="all perturbations", measure="normalised_score", metric="mean")
    assert (shifted["value"], shifted["num_cells"]) == pytest.approx((0.2, 1))
    better = row(summary.improvement, measure="normalised_score", label="all perturbations")
    assert (better["agent_x"], better["agent_y"], better["value"]) == ("b", "a", 1.0)
    assert np.isnan(better["low"])  # every pair falls the same way: no certainty from two seeds
    assert better["note"] == "too few train seeds (2)"


def test_cells_that_not_every_seed_finished_are_left_out_and_named():
    cells = two_cells([[5], [5]], [[1], [3]])
    del cells["a", 1, "g", "hue-rotate", 3]
    summary = summarise(result(cells, jobs=[{}] * 4))
    assert summary.cells["label"].tolist() == ["clean"]
    assert "The run is not complete: 3 of 4 jobs are finished." in summary.notes
    assert any("1 cell is left out" in note and "hue-rotate@3" in note for note in summary.notes)


def test_different_train_seeds_in_different_games_are_said():
    cells = {**two_cells([[5], [5]], [[1], [3]]), **two_cells([[8]], [[6]], game="h")}
    summary = summarise(result(cells))
    assert any("different train seeds in different games" in note and ": 0." in note for note in summary.notes)
    assert (summary.aggregates["num_seeds"] == 1).all()


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
    assert summary.attention["num_steps"].tolist() == [10, 10]


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
    table = attention_table(pd.DataFrame(rows)).set_index(["label", "encoder"])
    assert table["shift"].to_dict() == pytest.approx(
        {("clean", "x"): 0, ("clean", "y"): 0, ("hue-rotate@3", "x"): 0.3, ("hue-rotate@3", "y"): 0.3}
    )
    assert table.loc[("hue-rotate@3", "x"), ["mean", "seed_min", "seed_max"]].tolist() == pytest.approx([0.6, 0.3, 0.9])
    without = attention_table(pd.DataFrame([row for row in rows if row["perturbation"] != "clean"]))
    assert without["shift"].isna().all()


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
        pd.testing.assert_frame_equal(getattr(first, name), getattr(second, name))
    assert first.cells["label"].tolist()[:2] == ["clean", "hue-rotate@1"]


def test_another_perturbation_moves_no_interval(tmp_path):
    few = summarise(load_result(write_result_set(tmp_path / "few", cells=(("clean", None), ("hue-rotate", 3)))))
    many = summarise(load_result(write_result_set(tmp_path / "many")))
    kept = many.cells[many.cells["label"].isin(["clean", "hue-rotate@3"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(few.cells, kept)
