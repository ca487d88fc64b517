"""The summary of a result set against values worked out by hand."""

import multiprocessing
from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from few_draws import draw_as_usual, draw_few
from made_returns import TEN, crowd, result, row, run, same
from msgspec.structs import replace
from result_fixture import agent_entry, changed, write_result_set
from scipy import stats

from wsabench.errors import ResultSetError
from wsabench.protocol import Protocol
from wsabench.report.tables.results import result_tables, sample_size_table
from wsabench.report.tables.text import estimate
from wsabench.results import load_result
from wsabench.results.manifest import AgentId, JobEntry, ReferenceScores
from wsabench.results.tables import with_labels
from wsabench.seeding import generator
from wsabench.stats import retention_interval, studentised_interval
from wsabench.summary.attention import attention_table
from wsabench.summary.learning import efficiency_table
from wsabench.summary.rows import Bounded, CurveRow, is_table
from wsabench.summary.scores import Reference, collect_scores
from wsabench.summary.summarise import num_processes, summarise


def two_cells(clean, perturbed, agent="a", game="g"):
    """Give each train seed its returns in the clean and in one perturbed cell."""
    cells = {}
    for seed, (first, second) in enumerate(zip(clean, perturbed, strict=True)):
        cells[agent, seed, game, "clean", None] = first
        cells[agent, seed, game, "hue-rotate", 3] = second
    return cells


def test_measures_worked_out_by_hand():
    # Seed 0: clean (4 + 6) / 2 = 5, normalised 0.5; perturbed 2, 0.2: gap 0.3.
    # Seed 1: clean 8, 0.8; perturbed 4, 0.4: gap 0.4. Means 0.65 and 0.3, their ratio 0.3 / 0.65, gap 0.35.
    summary = summarise(result(two_cells([[4, 6], [8, 8]], [[2, 2], [3, 5]])))
    cell = row(summary.cells, label="hue-rotate@3")
    assert cell.mean_return == 3.0
    assert (cell.normalised_score.value, cell.retention.value, cell.robustness_gap.value) == pytest.approx(
        (0.3, 0.3 / 0.65, 0.35)
    )
    assert cell.note == "fewer than 3 train seeds: no interval"
    assert (cell.num_seeds, cell.num_episodes, cell.num_distinct_episodes) == (2, 4, 4)
    clean = row(summary.cells, label="clean")
    assert (clean.normalised_score.value, clean.retention.value, clean.robustness_gap.value) == pytest.approx(
        (0.65, 1.0, 0.0)
    )
    assert np.isnan(clean.retention.low)  # 1 by definition, nothing uncertain
    # A seed's own ratio after Beale: clean 0.4 and 0.6 have a mean with variance 0.01, 0.5 x 0.2 / (0.5^2 + 0.01).
    assert [seed.retention for seed in summary.seeds] == pytest.approx([1.0, 0.1 / 0.26, 1.0, 0.5])


def test_intervals_of_three_train_seeds():
    scores = [1.0, 2.0, 6.0]
    cell = row(summarise(result(two_cells([[5, 5], [9, 9], [7, 7]], [[x, x] for x in scores]))).cells, severity=3)
    half = stats.t.ppf(0.975, 2) * np.std(scores, ddof=1) / np.sqrt(3) / 10
    assert (cell.normalised_score.low, cell.normalised_score.high) == pytest.approx((0.3 - half, 0.3 + half))
    ratios = retention_interval(np.array([0.5, 0.9, 0.7]), np.array([[0.1], [0.2], [0.6]]))
    kept = cell.retention
    assert (kept.value, kept.low, kept.high) == pytest.approx(
        tuple(float(part[0]) for part in (ratios.value, *ratios[2:4]))
    )
    assert cell.plain_retention == pytest.approx(0.9 / 2.1)
    assert cell.robustness_gap.low < 0.4 < cell.robustness_gap.high
    assert cell.note.startswith("too few train seeds (3)")


def test_a_gap_has_the_interval_of_skewed_train_seeds():
    clean, perturbed = [5, 9, 7, 8, 6, 9], [4, 8, 6, 7, 5, 1]  # one network loses nearly all
    summary = summarise(result(two_cells([[x] for x in clean], [[x] for x in perturbed])))
    gap = row(summary.cells, label="hue-rotate@3").robustness_gap
    lost = (np.array(clean) - np.array(perturbed))[:, None] / 10
    expected = studentised_interval([lost], generator(0, "bootstrap", "gaps", "a", "g"))
    assert (gap.value, gap.low, gap.high) == pytest.approx((expected.value[0], expected.low[0], expected.high[0]))
    # Longer on the side of the odd one, and nowhere shorter than Student's.
    half = stats.t.ppf(0.975, 5) * stats.sem(lost[:, 0])
    assert gap.high - gap.value > 1.2 * half > 1.2 * (gap.value - gap.low) - 1e-9


def test_two_train_seeds_show_no_interval_over_seeds_anywhere():
    two = run({"wsa": 6.0, "e2e": 4.0}, num_seeds=2)
    summary = summarise(two)
    names = [field.name for field in fields(summary) if is_table(getattr(summary, field.name))]
    assert {"cells", "perturbations", "aggregates", "ranks", "profiles", "improvement", "measures"} <= set(names)
    curves = [
        CurveRow(id=AgentId(agent, seed, "g"), steps=steps, return_mean=seed + steps)
        for agent in ("wsa", "e2e")
        for seed in (0, 1)
        for steps in (1, 2)
    ]
    tables = {name: getattr(summary, name) for name in names}
    tables["efficiency"] = efficiency_table(curves, summary.references, 0)
    for name, table in tables.items():
        for one in table:
            numbers = [getattr(one, field) for field in one.__struct_fields__]
            assert not any(number.has_bounds for number in numbers if isinstance(number, Bounded)), name
    for name, table in summary.insight.tables().items():
        for one in table:
            numbers = [getattr(one, field) for field in one.__struct_fields__]
            is_of_episodes = getattr(one, "component", "") == "episode"  # whose variance the episodes tell
            assert any(number.has_bounds for number in numbers if isinstance(number, Bounded)) == is_of_episodes, name
    # What is left: single seeds, and how well these checkpoints were measured.
    assert all(np.isfinite(one.normalised_score) for one in summary.seeds)
    assert all(np.isfinite(one.normalised_score.episode_low) for one in summary.cells)
    assert any("With fewer than 3 train seeds there is no interval" in note for note in summary.notes)
    three = summarise(run({"wsa": 6.0, "e2e": 4.0}, num_seeds=3))
    assert all(one.normalised_score.has_bounds for one in three.cells)


def test_episode_intervals_are_within_checkpoints():
    # No spread within a checkpoint but between them: the interval over episodes has no width.
    summary = summarise(result(two_cells([[5, 5], [9, 9]], [[1, 1], [3, 3]])))
    cell = row(summary.cells, label="hue-rotate@3")
    assert cell.normalised_score.episode_low == pytest.approx(0.2) == cell.normalised_score.episode_high
    assert cell.retention.episode_low == pytest.approx(0.2 / 0.7) == cell.retention.episode_high


def test_one_train_seed_has_no_interval_over_seeds():
    summary = summarise(result(two_cells([[7, 9]], [[2, 4]])))
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


def test_a_train_seed_that_fails_clean_counts_as_it_is():
    summary = summarise(result(two_cells([[0, 0], [8, 8]], [[2, 2], [4, 4]])))
    cell = row(summary.cells, label="hue-rotate@3")
    assert cell.retention.value == pytest.approx(0.3 / 0.4)
    assert cell.robustness_gap.value == pytest.approx((-0.2 + 0.4) / 2)
    assert any("train seed 0 is not better than random play even clean; it counts" in note for note in summary.notes)
    ratios = {one.id.train_seed: one.retention for one in summary.seeds if one.label == "hue-rotate@3"}
    assert np.isnan(ratios[0])
    assert ratios[1] == pytest.approx(0.5)
    assert row(summary.aggregates, measure="retention", metric="mean").value.value == pytest.approx(0.3 / 0.4)


def test_a_seed_whose_mean_equals_random_play_exactly_has_score_zero():
    # 17 points in 10 episodes of Breakout are random play's 1.7; scores averaged one by one leave 1e-17 there.
    breakout = {"breakout": ReferenceScores(random=1.7, human=30.5)}
    clean, perturbed = [[2] * 7 + [1] * 3, [30, 31] * 5], [[9] * 10, [9] * 10]
    one_by_one = np.mean((np.array(clean[0]) - 1.7) / 28.8)
    assert 0.0 < one_by_one < 1e-15
    cells = two_cells(clean, perturbed, game="breakout")
    summary = summarise(result(cells, reference_scores=breakout))
    seed = row(summary.seeds, id=AgentId("a", 0, "breakout"), label="clean")
    assert seed.normalised_score == 0.0
    for one in (*summary.seeds, *summary.cells, *summary.aggregates):
        for name in one.__struct_fields__:
            value = getattr(one, name)
            number = value.value if isinstance(value, Bounded) else value
            assert not isinstance(number, float) or np.isnan(number) or abs(number) < 100.0, name
    assert row(summary.cells, label="hue-rotate@3").retention.value == pytest.approx(2 * 7.3 / 28.8)


def test_retention_is_undefined_where_the_clean_score_is_not_surely_above_the_floor():
    cells = two_cells([[-1, 0], [0, 0]], [[2, 2], [4, 4]])
    for seed in (0, 1):
        cells["a", seed, "h", "clean", None], cells["a", seed, "h", "hue-rotate", 3] = [8, 9, 8], [4, 4, 5]
    summary = summarise(result(cells))
    weak = row(summary.cells, label="hue-rotate@3", game="g")
    assert np.isnan([weak.retention.value, weak.retention.episode_low]).all()
    assert (
        "retention undefined on g: the clean score \u22120.03 is not surely above 0.1 "
        "(one-sided 95% lower bound \u22120.18)" in weak.note
    )
    assert np.isfinite(weak.robustness_gap.value)
    assert np.isnan(row(summary.cells, label="clean", game="g").retention.value)
    strong = row(summary.cells, label="hue-rotate@3", game="h")
    assert row(summary.cells, label="clean", game="h").retention.value == 1.0
    # The average leaves g out and says so; the mean score takes both games.
    both = row(summary.perturbations, label="hue-rotate@3")
    assert both.retention.value == strong.retention.value
    assert (both.num_games, both.num_retention_games) == (2, 1)
    assert "retention undefined on g" in both.note
    assert both.normalised_score.value == pytest.approx(
        (weak.normalised_score.value + strong.normalised_score.value) / 2
    )
    assert any("averages of retention leave this game out" in note for note in summary.notes)
    samples = {one.game: one.has_retention for one in summary.samples}
    assert samples == {"g": False, "h": True}


def test_an_unbounded_set_is_said():
    # One seed carries the clean score: Fieller's set has no end.
    made = two_cells([[0, 0], [0, 0], [9, 9], [0, 0]], [[0, 0], [1, 1], [5, 5], [0, 0]])
    cell = row(summarise(result(made)).cells, label="hue-rotate@3")
    assert "Fieller's set of the retention has no bound (" in cell.note
    assert np.isinf([cell.retention.low, cell.retention.high]).any()
    assert estimate(cell.retention, cell.num_seeds).endswith("(no bound)")


def test_gains_do_not_pay_for_losses():
    cells = {}
    for seed in range(5):
        cells["a", seed, "g", "clean", None] = [5.0 + 0.01 * seed] * 2
        for name, factor in (("hue-rotate", 1.9), ("value", 0.05), ("invert", 0.05)):
            cells["a", seed, "g", name, None] = [factor * (5.0 + 0.01 * seed)] * 2
    summary = summarise(result(cells))
    of = {one.metric: one.value.value for one in summary.aggregates if one.measure == "retention"}
    assert of == pytest.approx({"mean": 2 / 3, "capped_mean": 1.1 / 3, "kept_share": 1 / 3, "lost_share": 2 / 3})
    whole = row(summary.measures, perturbation="all perturbations")
    assert (whole.retention.value, whole.capped_retention.value) == (of["mean"], of["capped_mean"])
    assert (whole.kept_share, whole.lost_share) == (of["kept_share"], of["lost_share"])


def test_one_average_has_one_value_everywhere():
    rng = np.random.default_rng(0)
    cells = {}
    for agent, level in (("wsa", 5.0), ("e2e", 3.0)):
        for seed in range(5):
            for game, names in (("g", ("hue-rotate", "value", "invert")), ("h", ("hue-rotate",))):
                cells[agent, seed, game, "clean", None] = list(8.0 + rng.normal(size=4))
                for name in names:
                    for severity in (1, 3) if name == "hue-rotate" else (1,):
                        cells[agent, seed, game, name, severity] = list(level / severity + rng.normal(size=4))
    summary = summarise(result(cells, agents=(agent_entry("wsa"), agent_entry("e2e"))))
    for agent in ("wsa", "e2e"):
        whole = row(summary.measures, agent=agent, perturbation="all perturbations")
        for measure, number in (("normalised_score", whole.mean_score), ("retention", whole.retention)):
            (aggregate,) = [
                one.value
                for one in summary.aggregates
                if (one.agent, one.scope, one.measure, one.metric) == (agent, "all perturbations", measure, "mean")
            ]
            assert aggregate == number
        assert row(summary.ranks, agent=agent, perturbation="all perturbations").score == pytest.approx(
            whole.mean_score.value
        )
        # Severities, then perturbations, then games.
        means = {(one.game, one.label): one.normalised_score.value for one in summary.cells if one.agent == agent}
        hue = {game: (means[game, "hue-rotate@1"] + means[game, "hue-rotate@3"]) / 2 for game in "gh"}
        of_g = (hue["g"] + means["g", "value@1"] + means["g", "invert@1"]) / 3
        assert whole.mean_score.value == pytest.approx((of_g + hue["h"]) / 2)
        kept = {(one.game, one.label): one.retention.value for one in summary.cells if one.agent == agent}
        hue = {game: (kept[game, "hue-rotate@1"] + kept[game, "hue-rotate@3"]) / 2 for game in "gh"}
        of_g = (hue["g"] + kept["g", "value@1"] + kept["g", "invert@1"]) / 3
        assert whole.retention.value == pytest.approx((of_g + hue["h"]) / 2)
        # One cell's number is the same in the tables of cells, perturbations and measures, bounds included.
        invert = row(summary.measures, agent=agent, perturbation="invert")
        cell = row(summary.cells, agent=agent, game="g", label="invert@1")
        by_label = row(summary.perturbations, agent=agent, label="invert@1")
        assert invert.mean_score == Bounded(
            cell.normalised_score.value, cell.normalised_score.low, cell.normalised_score.high
        )
        assert (by_label.normalised_score, by_label.retention) == (cell.normalised_score, cell.retention)


def test_a_game_without_references_leaves_the_others_averages():
    cells = {**two_cells([[5]] * 3, [[1]] * 3), **two_cells([[5]] * 3, [[2]] * 3, agent="b")}
    alone = summarise(result(cells))
    for key, value in list(cells.items()):
        cells[key[0], key[1], "h", *key[3:]] = value
    unknown = {"g": TEN, "h": ReferenceScores(random=None, human=None)}
    summary = summarise(result(cells, reference_scores=unknown))
    for name in ("aggregates", "ranks", "profiles", "improvement"):
        assert len(getattr(alone, name))
        assert len(getattr(summary, name)) == len(getattr(alone, name)), name
    scores = [one.value.value for one in summary.aggregates]
    assert np.isfinite(scores).all()
    assert scores == [one.value.value for one in alone.aggregates]
    average = row(summary.perturbations, agent="a", label="hue-rotate@3")
    assert average.normalised_score.value == pytest.approx(0.1)
    assert "no reference scores for h" in average.note
    assert any("No reference scores for h" in note and "leave it out" in note for note in summary.notes)


def test_an_agent_that_played_little_leaves_the_others_averages():
    two = run({"wsa": 6.0, "e2e": 4.0}, games=("g", "h"))
    three = run({"wsa": 6.0, "e2e": 4.0, "late": 5.0}, games=("g", "h"))
    is_late, is_early = three.episodes["agent"] == "late", three.episodes["game"] == "g"
    three.episodes = three.episodes[~is_late | (is_early & (three.episodes["perturbation"] != "value"))]
    before, summary = summarise(two), summarise(three)
    for name in ("aggregates", "ranks", "profiles", "improvement"):
        same(getattr(summary, name), getattr(before, name))
    assert any(note.startswith("late did not play 7 of 10 cells of the other agents") for note in summary.notes)
    # It keeps what is said of it alone.
    own = row(summary.measures, agent="late", perturbation="all perturbations")
    assert np.isfinite(own.mean_score.value)
    assert "over its own cells" in own.note


def test_a_cell_that_one_agent_lacks_leaves_the_averages_and_is_named():
    three = run({"wsa": 6.0, "e2e": 4.0, "late": 5.0})
    lacks = (three.episodes["agent"] == "late") & (three.episodes["severity"] == 3).fillna(False)
    three.episodes = three.episodes[~lacks | (three.episodes["perturbation"] == "value")]
    summary = summarise(three)
    assert {one.agent for one in summary.aggregates} == {"wsa", "e2e", "late"}
    assert {one.num_cells for one in summary.aggregates if one.scope != "clean"} == {3}
    assert "Averages over all agents leave out what late did not play: hue-rotate@3 on g." in summary.notes


def test_agents_of_different_games_leave_the_first_its_averages():
    summary = summarise(result({**two_cells([[5]] * 3, [[1]] * 3), **two_cells([[5]] * 3, [[2]] * 3, "b", "h")}))
    assert {one.agent for one in summary.aggregates} == {"a"}
    assert any(note.startswith("b did not play") for note in summary.notes)


def dynamics(made, agents=("a",)):
    """Make the perturbed cells of a result set changes of the game, with random play as a built-in agent."""
    made.episodes.loc[made.episodes["perturbation"] != "clean", "family"] = "dynamics"
    entries = [replace(agent_entry(agent), kind="built-in" if agent == "random" else "agent") for agent in agents]
    made.manifest = changed(made.manifest, agents=tuple(entries))
    return made


def test_under_dynamics_the_random_score_of_the_same_game_is_subtracted():
    cells = two_cells([[7, 9]] * 3, [[4, 6]] * 3)
    cells["random", 0, "g", "clean", None], cells["random", 0, "g", "hue-rotate", 3] = [0.4, 0.2], [3, 1]
    summary = summarise(dynamics(result(cells), ("random", "a")))
    assert (summary.agents, summary.compared) == (("a",), ("a",))
    for name in ("samples", "cells", "perturbations", "seeds", "aggregates", "measures", "profiles"):
        assert {one.columns()["agent"] for one in getattr(summary, name)} == {"a"}, name
    cell = row(summary.cells, label="hue-rotate@3")
    # Clean 0.8; perturbed 0.5, of which random play has 0.2 there.
    assert (cell.normalised_score.value, cell.random_return) == pytest.approx((0.5, 2.0))
    assert (cell.retention.value, cell.robustness_gap.value) == pytest.approx((0.3 / 0.8, 0.5))
    assert (cell.retention_clean_random, cell.gap_clean_random) == pytest.approx((0.5 / 0.8, 0.3))
    average = row(summary.perturbations, label="hue-rotate@3")
    assert (average.retention.value, average.retention_clean_random) == pytest.approx((0.3 / 0.8, 0.5 / 0.8))
    assert [one.robustness_gap for one in summary.seeds if one.label != "clean"] == pytest.approx([0.5] * 3)
    assert any("by more than 0.05 (hue-rotate@3 on g (+0.20))" in note for note in summary.notes)
    (table,) = result_tables(summary, {})
    assert table.columns[-2:] == ("retention, clean random", "gap, clean random")
    assert table.rows[1][-2:] == ("0.62", "0.30")


def test_a_small_shift_of_random_play_shows_one_version():
    cells = two_cells([[7, 9]] * 3, [[4, 6]] * 3)
    cells["random", 0, "g", "hue-rotate", 3] = [0.3, 0.1]
    summary = summarise(dynamics(result(cells), ("random", "a")))
    cell = row(summary.cells, label="hue-rotate@3")
    assert cell.retention.value == pytest.approx(0.48 / 0.8)
    assert np.isnan([cell.retention_clean_random, cell.gap_clean_random]).all()
    assert "retention, clean random" not in result_tables(summary, {})[0].columns


def test_without_random_play_dynamics_say_so_and_colors_do_not_care():
    cells = two_cells([[7, 9]] * 3, [[4, 6]] * 3)
    summary = summarise(dynamics(result(cells)))
    assert row(summary.cells, label="hue-rotate@3").retention.value == pytest.approx(5 / 8)
    assert any("Random play was not played under changed dynamics (hue-rotate@3 on g)" in n for n in summary.notes)
    cells["random", 0, "g", "hue-rotate", 3] = [3, 1]
    color = result(cells, agents=(replace(agent_entry("random"), kind="built-in"), agent_entry("a")))
    assert row(summarise(color).cells, label="hue-rotate@3").retention.value == pytest.approx(5 / 8)


def test_an_agent_of_the_user_named_random_is_an_agent():
    cells = {**two_cells([[7]] * 3, [[4]] * 3), **two_cells([[5]] * 3, [[1]] * 3, agent="random")}
    summary = summarise(result(cells, agents=(agent_entry("random"), agent_entry("a"))))
    assert summary.agents == ("random", "a")


def test_random_play_alone_is_an_agent():
    cells = two_cells([[1]] * 3, [[1]] * 3, agent="random")
    summary = summarise(result(cells, agents=(replace(agent_entry("random"), kind="built-in"),)))
    assert summary.agents == ("random",)


def test_jobs_with_different_numbers_of_episodes_lose_none():
    # Seed 0 played 4 clean episodes and 2 perturbed ones, seed 1 played 3 and 6.
    clean, perturbed = [[4, 6, 5, 9], [8, 8, 9]], [[2, 3], [3, 5, 4, 1, 0, 5]]
    summary = summarise(result(two_cells(clean, perturbed)))
    cell, start = row(summary.cells, label="hue-rotate@3"), row(summary.cells, label="clean")
    means = [np.mean([np.mean(of) for of in both]) / 10 for both in (clean, perturbed)]
    assert (start.normalised_score.value, cell.normalised_score.value) == pytest.approx(means)
    assert cell.retention.value == pytest.approx(means[1] / means[0])
    assert (start.num_episodes, cell.num_episodes, cell.num_distinct_episodes) == (7, 8, 8)
    by_seed = {one.id.train_seed: one for one in summary.seeds if one.label == "hue-rotate@3"}
    assert by_seed[0].mean_return == 2.5
    assert by_seed[1].mean_return == 3.0
    # Beale's ratio: the covariance of the means from the episodes that both have.
    x, y = np.array(clean[1]) / 10, np.array(perturbed[1]) / 10
    of_means = ((x - x.mean()) * (y[:3] - y.mean())).sum() / 2 * 3 / (3 * 6)
    expected = (x.mean() * y.mean() + of_means) / (x.mean() ** 2 + x.var(ddof=1) / 3)
    assert by_seed[1].retention == pytest.approx(expected)
    assert cell.normalised_score.episode_low < cell.normalised_score.value < cell.normalised_score.episode_high
    (sample,) = summary.samples
    assert (sample.fewest_episodes, sample.episodes_per_cell, sample.num_episodes) == (2, 6, 15)
    assert sample_size_table(summary).rows[0][4] == "2 to 6"


def test_episode_intervals_of_few_and_many_episodes_have_the_right_width():
    # 40 perturbed episodes beside 400 clean ones: each mean is as uncertain as its own episodes make it.
    rng = np.random.default_rng(1)
    many, few = rng.normal(8, 1, 400), rng.normal(4, 1, 40)
    cell = row(summarise(result(two_cells([many], [few]))).cells, label="hue-rotate@3")
    clean = row(summarise(result(two_cells([many], [few]))).cells, label="clean")
    half = stats.t.ppf(0.975, 39) * few.std(ddof=1) / np.sqrt(40) / 10
    score = cell.normalised_score
    assert (score.episode_high - score.episode_low) / 2 == pytest.approx(half, rel=0.12)
    half = 1.96 * many.std(ddof=1) / np.sqrt(400) / 10
    score = clean.normalised_score
    assert (score.episode_high - score.episode_low) / 2 == pytest.approx(half, rel=0.12)


def test_an_interval_of_very_few_episodes_beside_many_clean_ones_is_not_too_narrow():
    rng = np.random.default_rng(6)
    many, few = rng.normal(8, 1, 50), rng.normal(4, 1, 5)
    score = row(summarise(result(two_cells([many], [few]))).cells, label="hue-rotate@3").normalised_score
    half = stats.t.ppf(0.975, 4) * few.std(ddof=1) / np.sqrt(5) / 10
    assert 0.95 * half < (score.episode_high - score.episode_low) / 2 < 1.4 * half


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


def test_a_mean_over_all_starts_is_said_to_be_exact():
    cells = two_cells([[5, 6, 7, 9]], [[1, 3, 2, 2]])
    facts = {"train_seed": 0, "game": "g", "file": "f", "fingerprint": "f"}
    names = {"clean": {"episodes": 4, "each_start_once": True}, "hue-rotate@3": {}}
    jobs = [JobEntry(agent="a", perturbation=name, **facts, **more) for name, more in names.items()]
    notes = {}
    for noop_max in (3, 4):
        agents = (agent_entry("a", game="g"),)
        protocol = Protocol(action_selection="greedy", noop_max=noop_max)
        played = result(cells, protocol=protocol, jobs=jobs, agents=agents)
        played.episodes["noops"] = played.episodes["episode"]
        notes[noop_max] = " ".join(summarise(played).notes)
        assert "In 1 of 2 jobs nothing but the start is left to chance" in notes[noop_max]
    exact = "In 1 of them all were (a on g): these means are exact"
    assert exact in notes[3]
    assert exact not in notes[4]


def played_once(clean, perturbed, noop_max, once=("clean", "hue-rotate@3")):
    """Summarise a greedy agent with one train seed; the cells of `once` took each start once at most."""
    cells = {("a", 0, "g", "clean", None): clean, ("a", 0, "g", "hue-rotate", 3): perturbed}
    facts = {"agent": "a", "train_seed": 0, "game": "g", "file": "f", "fingerprint": "f"}
    numbers = {"clean": len(clean), "hue-rotate@3": len(perturbed)}
    jobs = [
        JobEntry(perturbation=name, episodes=number, each_start_once=name in once, **facts)
        for name, number in numbers.items()
    ]
    protocol = Protocol(action_selection="greedy", noop_max=noop_max)
    played = result(cells, protocol=protocol, jobs=jobs, agents=(agent_entry("a", game="g"),))
    # Starts in turn in clean play; others, in another order, where more than the start is left to chance.
    is_once = played.episodes["perturbation"].isin(["clean"])
    turned = (played.episodes["episode"] + 1) % len(clean)
    played.episodes["noops"] = played.episodes["episode"].where(is_once, turned).astype("Int64")
    played.episodes["action_hash"] = [f"{place}" for place in range(len(played.episodes))]
    return summarise(played)


def test_all_starts_leave_no_interval_and_some_a_narrower_one():
    clean, perturbed = [5.0, 6.0, 7.0, 9.0], [1.0, 3.0, 2.0, 2.0]
    whole = played_once(clean, perturbed, 3)
    for label, value in (("clean", 0.675), ("hue-rotate@3", 0.2)):
        score = row(whole.cells, label=label).normalised_score
        assert (score.value, score.episode_low, score.episode_high) == pytest.approx((value, value, value), abs=1e-12)
    kept = row(whole.cells, label="hue-rotate@3").retention
    assert (kept.episode_low, kept.episode_high) == pytest.approx((kept.value, kept.value), abs=1e-12)
    drawn = played_once(clean, perturbed, 3, once=())
    fewer = played_once(clean, perturbed, 15)
    for label in ("clean", "hue-rotate@3"):
        ours, theirs = (row(some.cells, label=label).normalised_score for some in (fewer, drawn))
        # Four of 16 starts: the standard error has the factor sqrt(1 - 4 / 16).
        for end in ("episode_low", "episode_high"):
            off = (getattr(one, end) - one.value for one in (ours, theirs))
            assert next(off) == pytest.approx(np.sqrt(0.75) * next(off), rel=1e-6)
    assert "not surely above" not in " ".join(whole.notes)


def test_one_start_is_all_there_is():
    summary = played_once([5.0], [3.0], 0)
    assert row(summary.cells, label="hue-rotate@3").retention.value == pytest.approx(0.6)


def test_an_episode_is_set_beside_the_clean_one_of_its_start():
    clean = [5.0, 6.0, 7.0, 9.0]
    summary = played_once(clean, [6.0, 7.0, 9.0, 5.0], 3, once=("clean",))
    assert row(summary.cells, label="hue-rotate@3").num_as_clean == 4
    summary = played_once(clean, clean, 3, once=("clean",))
    assert row(summary.cells, label="hue-rotate@3").num_as_clean == 0


def test_bounds_over_episodes_do_not_hang_on_how_often_other_cells_were_played():
    rng = np.random.default_rng(4)
    cells = two_cells([rng.normal(8, 1, 4).tolist()], [rng.normal(5, 1, 4).tolist()])
    longer = {**cells, ("a", 0, "g", "value", 1): rng.normal(6, 1, 9).tolist()}
    alone, beside = (summarise(result(some)) for some in (cells, longer))
    for label in ("clean", "hue-rotate@3"):
        for measure in ("normalised_score", "retention"):
            ours, theirs = (getattr(row(one.cells, label=label), measure) for one in (alone, beside))
            np.testing.assert_array_equal(
                (ours.value, ours.episode_low, ours.episode_high),
                (theirs.value, theirs.episode_low, theirs.episode_high),
            )


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
    # Games count the same: scores (0.1 + 0.6) / 2, retention (0.2 + 0.75) / 2.
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
    assert better.note == "fewer than 3 train seeds: no interval"


def test_cells_that_not_every_seed_finished_are_left_out_and_named():
    cells = two_cells([[5], [5]], [[1], [3]])
    del cells["a", 1, "g", "hue-rotate", 3]
    job = JobEntry(agent="a", train_seed=0, game="g", perturbation="clean", file="f", fingerprint="f")
    summary = summarise(result(cells, jobs=[job] * 4))
    assert [cell.label for cell in summary.cells] == ["clean"]
    assert "The run is not complete: it lacks 1 of 4 jobs." in summary.notes
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
    assert "before you name a winner" in notes[0]
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
        has_ledger=True,
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


def test_processes_that_share_the_agents_give_the_same_numbers(monkeypatch, request):
    draw_as_usual()  # as other processes do
    request.addfinalizer(draw_few)
    made = crowd(2, 1, num_seeds=3, num_episodes=20)  # so many that the order of a sum shows
    alone = summarise(made)
    monkeypatch.setattr("wsabench.summary.summarise.num_processes", lambda num_agents: 2)
    shared = summarise(made)
    for table in fields(alone):
        one, other = getattr(alone, table.name), getattr(shared, table.name)
        if is_table(one):
            same(one, other)
        elif table.name != "insight":
            assert one == other
    for name, rows in alone.insight.tables().items():
        if rows:
            same(rows, shared.insight.tables()[name])


def test_scores_lie_in_memory_as_they_do_in_another_process():
    """Sums depend on it in their last digit, and a worker gets them in this order."""
    made = crowd(1, 1, num_seeds=3)
    references = {"game-0": Reference(0.0, 10.0)}
    ((scores,), _) = collect_scores(with_labels(made.episodes), made.manifest.plan, references)
    for some in (scores, scores.with_cells(scores.labels[::2]), scores.with_seeds([2, 0])):
        assert some.returns.flags.c_contiguous


def test_a_worker_of_a_pool_shares_no_work(monkeypatch):
    monkeypatch.setattr("wsabench.summary.summarise.available_cores", lambda: 4)
    assert num_processes(15) == 1
    assert num_processes(16) == 4
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    assert num_processes(100) == 1
