"""Claims of a summary: families, what can be decided, and the sentences that say it."""

import numpy as np
import pandas as pd
import pytest
from made_returns import result, row, run, said, same
from msgspec.structs import replace
from result_fixture import agent_entry

from wsabench import stats
from wsabench.errors import SpecError, UnknownNameError
from wsabench.resources import data_dir
from wsabench.results.manifest import ReferenceScores
from wsabench.summary.rows import frame_of
from wsabench.summary.scores import Reference, published_table
from wsabench.summary.summarise import summarise


@pytest.fixture(autouse=True)
def _few_repetitions(monkeypatch):
    """Claims rest on permutations; intervals need not be precise here."""
    for interval in (stats.seed_interval, stats.episode_interval):
        monkeypatch.setitem(interval.__kwdefaults__, "repetitions", 300)


def test_a_large_difference_is_claimed_with_effect_interval_and_seeds():
    summary = summarise(run({"wsa": 6.0, "e2e": 4.0}))
    whole = row(summary.comparisons, scope="all perturbations")
    # Retention 6 / 8 against 4 / 8, and seeds that do not overlap: p is the smallest there is, 2 / 252.
    assert whole.effect.value == pytest.approx(0.25, abs=0.02)
    assert whole.effect.low < 0.25 < whole.effect.high
    assert (whole.p, whole.adjusted_p, whole.smallest_p) == pytest.approx((2 / 252,) * 3)
    assert (whole.num_seeds_x, whole.num_seeds_y, whole.num_tests, whole.measure) == (5, 5, 1, "retention")
    one = row(summary.comparisons, scope="each perturbation", perturbation="value")
    assert one.adjusted_p == one.smallest_p == pytest.approx(4 / 252)  # Holm over two perturbations
    assert one.decided
    bounds = f"[{one.effect.low:.2f}, {one.effect.high:.2f}]"
    numbers = f"+{one.effect.value:.2f} {bounds}, adjusted p 0.016, 5 seeds."
    expected = f"wsa keeps more of its score under value than e2e: {numbers}"
    assert one.sentence == expected
    assert expected in said(summary)


def test_the_better_agent_is_named_whatever_the_order():
    summary = summarise(run({"e2e": 4.0, "wsa": 6.0}))
    assert said(summary)[0].startswith("wsa keeps more of its score under all perturbations than e2e: -0.2")
    assert " for e2e, adjusted p " in said(summary)[0]


@pytest.mark.parametrize("num_seeds", [1, 2, 3, 4])
def test_few_seeds_decide_nothing_however_large_the_difference(num_seeds):
    summary = summarise(run({"wsa": 7.0, "e2e": 1.0}, num_seeds=num_seeds))
    seeds = "1 seed" if num_seeds == 1 else f"{num_seeds} seeds"
    assert not any(one.decided for one in summary.comparisons)
    assert f"wsa against e2e, all perturbations: cannot be decided with {seeds}." in said(summary)
    assert f"wsa against e2e, hue-rotate and value: cannot be decided with {seeds}." in said(summary)
    assert all(one.verdict == "undecidable" for one in summary.comparisons)
    assert {one.undecidable for one in summary.comparisons} == {"too few train seeds"}
    assert all(f"cannot be decided with {seeds}" in one.sentence for one in summary.comparisons)
    assert not any("no difference" in text for text in (*said(summary), *(one.sentence for one in summary.comparisons)))


def test_a_family_too_large_for_its_seeds_is_said_with_the_smallest_p():
    names = [f"p{number}" for number in range(7)]
    summary = summarise(run({"wsa": 7.0, "e2e": 1.0}, perturbed=names))
    one = row(summary.comparisons, perturbation="p3")
    # 7 x 2 / 252 = 0.056 is above alpha, though the seeds do not overlap.
    assert one.smallest_p == pytest.approx(14 / 252)
    assert (one.verdict, one.undecidable) == ("undecidable", "smallest p above alpha")
    assert "cannot be decided with 5 seeds" in one.sentence
    assert "the smallest possible adjusted p is 0.056" in one.sentence
    declared = summarise(run({"wsa": 7.0, "e2e": 1.0}, perturbed=names), family=["p3", "p4"])
    assert row(declared.comparisons, perturbation="p3").decided
    assert {one.perturbation for one in declared.comparisons} == {"declared family", "p3", "p4"}
    assert {one.perturbation for one in declared.clean_comparisons} == {"p3", "p4"}
    assert any("a declared family only: p3, p4." in note for note in declared.notes)
    # The whole family is a test of its own, of the mean over it.
    whole = row(declared.comparisons, perturbation="declared family")
    parts = [row(declared.comparisons, perturbation=name).effect.value for name in ("p3", "p4")]
    assert whole.effect.value == pytest.approx(np.mean(parts))
    assert whole.num_tests == 1


def test_a_family_of_all_perturbations_is_as_none_declared():
    every, none = (summarise(run({"wsa": 6.0, "e2e": 4.0}), family=names) for names in (["value", "hue-rotate"], None))
    same(every.comparisons, none.comparisons)


@pytest.mark.parametrize(
    ("family", "error", "message"),
    [
        (["vlue"], UnknownNameError, r"Unknown perturbation 'vlue'\. Did you mean 'value'\? A family of tests names"),
        (["value@3"], UnknownNameError, r"holds 'value@3': a comparison is .* over all severities.* Use 'value'\."),
        (["clean"], SpecError, r"holds 'clean', against which the others are held\. Leave it out\."),
        ([], SpecError, r"The family of tests is empty\. Name at least one"),
    ],
)
def test_families_that_cannot_be_tested_are_refused(family, error, message):
    with pytest.raises(error, match=message):
        summarise(run({"wsa": 6.0, "e2e": 4.0}), family=family)


def test_a_small_difference_is_not_decided_rather_than_absent():
    summary = summarise(run({"wsa": 6.0, "e2e": 6.0}))
    assert not any(one.decided for one in summary.comparisons)
    assert said(summary)[0].startswith("wsa against e2e under all perturbations: not decided, ")


def test_clean_against_perturbed_is_paired_within_train_seeds():
    # Train seeds differ by far more than the perturbation costs, 1 point in each: only pairing sees it.
    cells = {}
    for seed in range(6):
        cells["a", seed, "g", "clean", None] = [2.0 + seed]
        cells["a", seed, "g", "hue-rotate", 3] = [1.0 + seed]
    summary = summarise(result(cells))
    gap = row(summary.clean_comparisons, perturbation="hue-rotate")
    assert (gap.effect.value, gap.p, gap.num_seeds_x) == pytest.approx((0.1, 2 / 64, 6))
    assert gap.decided
    assert (
        gap.sentence == "a loses score under hue-rotate: robustness gap +0.10 [0.10, 0.10], adjusted p 0.031, 6 seeds."
    )
    few = summarise(result({key: value for key, value in cells.items() if key[1] < 5}))
    assert said(few) == ("a against clean, hue-rotate: cannot be decided with 5 seeds.",)  # 2 / 32 is above 0.05


def test_whole_seeds_are_moved_over_games_and_games_apart():
    summary = summarise(run({"wsa": 6.0, "e2e": 4.0}, games=("g", "h")))
    one = row(summary.comparisons, scope="all perturbations")
    assert one.smallest_p == pytest.approx(2 / 10_000)  # 252 x 252 relabellings, 9,999 drawn
    assert "5 seeds in each of 2 games" in one.sentence


def test_agents_that_fail_clean_are_compared_by_what_is_defined():
    cells = {}
    for seed in range(5):
        for agent, loss in (("a", 1.0), ("b", 3.0)):
            clean = -0.5 if (agent, seed) == ("a", 0) else 6.0
            cells[agent, seed, "g", "clean", None] = [clean + 0.01 * seed]
            cells[agent, seed, "g", "hue-rotate", 3] = [clean - loss]
    summary = summarise(result(cells))
    one = row(summary.comparisons, scope="all perturbations")
    assert one.measure == "robustness_gap"
    assert one.effect.value == pytest.approx(0.2)  # a loses 0.1, b loses 0.3
    assert said(summary)[0].startswith("a loses less score under all perturbations than b: +0.20")
    measured = row(summary.measures, agent="a", perturbation="hue-rotate")
    # The seed counts as it is: clean (-0.5 + 6.01 + 6.02 + 6.03 + 6.04) / 5 = 4.72, perturbed 3.7.
    assert measured.plain_retention == pytest.approx(3.7 / 4.72)


def test_one_checkpoint_in_two_runs_is_paired():
    rng = np.random.default_rng(0)
    cells, entries = {}, []
    for seed in range(6):
        level = 1.0 + seed
        for agent, cost in (("old", 0.0), ("new", 0.3)):
            cells[agent, seed, "g", "clean", None] = [9.0]
            cells[agent, seed, "g", "hue-rotate", 3] = [level - cost + 0.01 * rng.normal()]
            entries.append(agent_entry(agent, seed, "g", checkpoint_hash=f"h{seed}"))
    paired = row(summarise(result(cells, agents=entries)).comparisons, scope="all perturbations")
    assert paired.paired
    assert paired.p == pytest.approx(2 / 64)
    others = [replace(entry, checkpoint_hash=entry.agent + entry.checkpoint_hash) for entry in entries]
    apart = row(summarise(result(cells, agents=others)).comparisons, scope="all perturbations")
    assert not apart.paired
    assert apart.p > 0.3  # seeds of 1 to 6 points hide 0.3


def test_without_reference_scores_nothing_is_compared():
    summary = summarise(run({"a": 6.0, "b": 4.0}, reference_scores={"g": ReferenceScores(random=None, human=None)}))
    assert summary.comparisons == summary.clean_comparisons == summary.ranks == ()
    assert said(summary) == ()
    assert all("no normalised scores" in one.note for one in summary.measures)


def test_measures_over_severities_worked_out():
    cells = {}
    for agent, first, second in (("wsa", 6.0, 2.0), ("e2e", 4.0, 0.0)):
        for seed in range(5):
            cells[agent, seed, "g", "clean", None] = [8.0]
            cells[agent, seed, "g", "hue-rotate", 1] = [first]
            cells[agent, seed, "g", "hue-rotate", 3] = [second]
            cells[agent, seed, "g", "invert", None] = [first]
    effects = {"g": {"hue-rotate@1": 10.0, "hue-rotate@3": 4.0, "invert": 60.0}}
    summary = summarise(result(cells, effects=effects))
    hue = row(summary.measures, agent="wsa", perturbation="hue-rotate")
    assert (hue.mean_score.value, hue.worst_score.value, hue.retention.value) == pytest.approx((0.4, 0.2, 0.5))
    assert hue.robustness_gap.value == pytest.approx(0.4)
    # From 0.2 at 4 grey levels to 0.6 at 10: their mean. Clean, 0.8, has no part.
    assert (hue.dose_area.value, hue.lowest_dose, hue.highest_dose) == pytest.approx((0.4, 4.0, 10.0))
    assert hue.area_reason == ""
    # Errors 0.4 + 0.8 against 0.6 + 1; lost 0.2 + 0.6 against 0.4 + 0.8.
    assert (hue.corruption_error.value, hue.relative_corruption_error.value) == pytest.approx((1.2 / 1.6, 0.8 / 1.2))
    invert = row(summary.measures, agent="wsa", perturbation="invert")
    assert np.isnan(invert.dose_area.value)
    assert invert.area_reason == "no scale"
    # At the ceiling 1 the difference is that of the mean errors, 0.6 - 0.8; the loss that of 0.4 and 0.6.
    assert (hue.error_difference.value, hue.loss_difference.value) == pytest.approx((-0.2, -0.2))
    whole = row(summary.measures, agent="wsa", perturbation="all perturbations")
    # Perturbations count the same: (0.4 + 0.6) / 2; the worst of all cells; the only area; mCE (0.75 + 0.4 / 0.6) / 2.
    assert (whole.mean_score.value, whole.worst_score.value, whole.dose_area.value) == pytest.approx((0.5, 0.2, 0.4))
    assert whole.area_reason == "no scale: invert"
    assert whole.corruption_error.value == pytest.approx((0.75 + 0.4 / 0.6) / 2)
    baseline = row(summary.measures, agent="e2e", perturbation="all perturbations")
    assert (baseline.corruption_error.value, baseline.baseline) == (1.0, "e2e")
    assert (baseline.error_difference.value, baseline.loss_difference.value) == (0.0, 0.0)


def test_a_baseline_without_error_leaves_the_error_undefined():
    cells = {}
    for agent, level in (("wsa", 6.0), ("e2e", 12.0)):
        for seed in range(5):
            cells[agent, seed, "g", "clean", None] = [12.0]
            cells[agent, seed, "g", "hue-rotate", 1] = [level]
    measured = row(summarise(result(cells)).measures, agent="wsa", perturbation="hue-rotate")
    assert np.isnan([measured.corruption_error.value, measured.relative_corruption_error.value]).all()
    assert "e2e makes no error" in measured.note
    assert "e2e loses no score" in measured.note
    # Clean play, 1.2, is the ceiling: the error is 1 - 0.6 / 1.2, of which the baseline has none.
    assert (measured.error_difference.value, measured.loss_difference.value) == pytest.approx((0.5, 0.5))


def test_a_total_failure_has_no_area_over_dose():
    cells = {}
    for seed in range(5):
        cells["wsa", seed, "g", "clean", None] = [62.0]
        for severity in (1, 2, 3, 4, 5):
            cells["wsa", seed, "g", "hue-rotate", severity] = [0.0]
    doses = {f"hue-rotate@{severity}": dose for severity, dose in enumerate((35.7, 16.5, 7.1, 14.9, 11.4), 1)}
    summary = summarise(result(cells, effects={"g": doses}))
    assert row(summary.measures, perturbation="hue-rotate").dose_area.value == 0.0
    assert [one.severity for one in summary.doses] == [3, 5, 4, 2, 1]
    assert [one.dose for one in summary.doses] == [7.1, 11.4, 14.9, 16.5, 35.7]


def test_games_without_an_area_are_counted_and_unmeasured_changes_named():
    cells = {}
    for game in ("g", "h"):
        for seed in range(5):
            cells["wsa", seed, game, "clean", None] = [8.0]
            for severity, level in ((1, 6.0), (3, 2.0)):
                cells["wsa", seed, game, "hue-rotate", severity] = [level]
                cells["wsa", seed, game, "sticky-actions", severity] = [level]
    summary = summarise(result(cells, effects={"g": {"hue-rotate@1": 1.0, "hue-rotate@3": 3.0}, "h": {}}))
    hue, sticky = (row(summary.measures, perturbation=name) for name in ("hue-rotate", "sticky-actions"))
    assert hue.dose_area.value == pytest.approx(0.4)
    assert "area over dose in 1 of 2 games" in hue.note
    assert sticky.area_reason == "change not measured"
    assert row(summary.measures, perturbation="all perturbations").area_reason == "change not measured: sticky-actions"
    assert {one.game for one in summary.doses} == {"g"}


def test_published_scores_stand_beside_with_their_source():
    published = summarise(run({"a": 6.0}, games=("breakout",))).published
    wsa = row(published, agent="WSA larger heads")
    assert (wsa.mean, wsa.sd, wsa.normalised_score) == pytest.approx((387.2, 0.4, 38.72))  # random 0, human 10
    assert all(len(one.source) > 10 for one in published)
    assert summarise(run({"a": 6.0})).published == ()


def test_published_scores_cover_the_49_games_of_ppo_and_dqn():
    games = pd.read_csv(data_dir("baselines") / "reference_scores.csv")["game"]
    table = frame_of(published_table(dict.fromkeys(games, Reference(random=0.0, human=1.0))))
    # Taken from the tables of the papers by hand, the first and the last row and some between.
    scores = {
        "Schulman et al. 2017": {
            "alien": 1850.3,
            "double_dunk": -14.9,
            "pong": 20.7,
            "up_n_down": 95445,
            "zaxxon": 5008.7,
        },
        "Mnih et al. 2015": {"alien": 3069, "hero": 19950, "pong": 18.9, "up_n_down": 8456, "zaxxon": 4977},
    }
    for paper, known in scores.items():
        of_paper = table[table["source"].str.startswith(paper)].set_index("game")
        assert len(of_paper) == of_paper.index.nunique() == 49
        assert np.isfinite(of_paper["mean"]).all()
        assert {game: of_paper.loc[game, "mean"] for game in known} == known
    # The games that neither paper has come from a third, so that none is without.
    assert set(table["game"]) == set(games)
    # Not in both papers: Pitfall! is missing from one, H.E.R.O. from the other.
    counts = table[table["source"].str.contains("Schulman|Mnih")]["game"].value_counts()
    assert set(counts[counts == 1].index) == {"pitfall", "hero"}


def test_published_scores_show_the_games_of_the_run_only_and_the_paper_first():
    published = summarise(run({"a": 6.0}, games=("breakout", "pong"))).published
    assert [one.game for one in published] == ["breakout"] * 12 + ["pong"] * 6
    for game, count in (("breakout", 12), ("pong", 6)):
        sources = [one.source.split()[0] for one in published if one.game == game]
        assert sources == ["Piccoli"] * (count - 2) + ["Schulman", "Mnih"]


def test_ranks_change_against_clean():
    cells = {}
    for agent, clean, shifted in (("a", 9.0, 2.0), ("b", 7.0, 5.0), ("c", 5.0, 5.0)):
        for seed in range(5):
            cells[agent, seed, "g", "clean", None] = [clean]
            cells[agent, seed, "g", "hue-rotate", 3] = [shifted]
    ranks = summarise(result(cells)).ranks
    shifted = [one for one in ranks if one.perturbation == "hue-rotate"]
    assert {one.agent: one.rank.value for one in shifted} == {"a": 3.0, "b": 1.5, "c": 1.5}
    assert {one.agent: one.change for one in shifted} == {"a": 2.0, "b": -0.5, "c": -1.5}
    assert row(ranks, agent="a", perturbation="clean").rank.value == 1.0
    assert all(1 <= one.rank.low <= one.rank.high <= 3 for one in ranks)
