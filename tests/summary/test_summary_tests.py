"""Claims of a summary: families, what can be decided, and the sentences that say it."""

import numpy as np
import pandas as pd
import pytest
from made_returns import of_perturbed, result, row, run, said, same
from msgspec.structs import replace
from result_fixture import agent_entry

from wsabench import stats
from wsabench.errors import SpecError, UnknownNameError
from wsabench.resources import data_dir
from wsabench.results.manifest import ReferenceScores, SuiteEntry
from wsabench.summary.rows import frame_of
from wsabench.summary.scores import Reference, published_table
from wsabench.summary.sentences import undecided_sentence
from wsabench.summary.summarise import summarise


def test_a_large_difference_is_claimed_with_effect_interval_and_seeds():
    summary = summarise(run({"wsa": 6.0, "e2e": 4.0}))
    whole = row(summary.comparisons, scope="all perturbations")
    # Retention 6 / 8 against 4 / 8, and seeds that do not overlap: p is the smallest there is, 2 / 252.
    assert whole.effect.value == pytest.approx(0.25, abs=0.02)
    assert whole.effect.low < 0.25 < whole.effect.high
    assert (whole.p, whole.adjusted_p, whole.smallest_p) == pytest.approx((2 / 252,) * 3)
    assert (whole.num_seeds_x, whole.num_seeds_y, whole.num_tests, whole.measure) == (5, 5, 1, "retention")
    one = row(summary.comparisons, scope="each perturbation", perturbation="value")
    assert one.adjusted_p == one.smallest_p == pytest.approx(2 / 252)  # max-T: two perturbations cost nothing
    assert one.decided
    bounds = f"[{one.effect.low:.2f}, {one.effect.high:.2f}]"
    numbers = f"+{one.effect.value:.2f} {bounds}, adjusted p 0.008, 5 seeds."
    expected = f"wsa keeps more of its score under value than e2e: {numbers}"
    assert one.sentence == expected
    assert expected in said(summary)


def test_the_better_agent_is_named_whatever_the_order():
    summary = summarise(run({"e2e": 4.0, "wsa": 6.0}))
    assert said(summary)[1].startswith("wsa keeps more of its score under all perturbations than e2e: \u22120.2")
    assert " for e2e, adjusted p " in said(summary)[1]


@pytest.mark.parametrize(
    ("num_seeds", "why", "words"),
    [
        (1, "smallest p above alpha", "1 seed, at least 5 are needed"),
        (2, "smallest p above alpha", "2 seeds, at least 5 are needed"),
        (3, "smallest p above alpha", "3 seeds, at least 5 are needed"),
        (4, "too few train seeds", "4 seeds, at least 5 are needed"),
    ],
)
def test_few_seeds_decide_nothing_however_large_the_difference(num_seeds, why, words):
    summary = summarise(run({"wsa": 7.0, "e2e": 1.0}, num_seeds=num_seeds))
    undecided = undecided_sentence((*summary.comparisons, *summary.clean_comparisons))
    start = (
        "Cannot be decided: wsa against e2e in clean play and under all perturbations, hue-rotate and value, and "
        "perturbed against clean "
    )
    assert undecided.text == f"{start}play of wsa and e2e under hue-rotate and value ({words})."
    assert all(one.verdict == "undecidable" for one in summary.comparisons)
    assert {one.undecidable for one in summary.comparisons} == {why}
    assert all("cannot be decided with" in one.sentence for one in summary.comparisons)
    # What could not be small is no p; with two seeds there is no interval either.
    assert all(np.isnan([one.p, one.adjusted_p]).all() == (num_seeds < 4) for one in summary.comparisons)
    assert all(one.effect.has_bounds == (num_seeds >= 3) for one in summary.comparisons)
    assert {one.detectable for one in summary.comparisons} == {np.inf}
    # It is said once: no sentence repeats it.
    assert said(summary) == ()


def test_five_against_five_seeds_decide_seven_perturbations():
    names = [f"p{number}" for number in range(7)]
    summary = summarise(run({"wsa": 7.0, "e2e": 1.0}, perturbed=names))
    each = [one for one in summary.comparisons if one.scope == "each perturbation"]
    # After Holm alone 7 x 2 / 252 = 0.056 would be above alpha, though the seeds do not overlap.
    assert [one.decided for one in each] == [True] * 7
    assert {one.smallest_p for one in each} == {2 / 252}
    assert {(one.num_tests, one.num_pairs) for one in each} == {(7, 1)}


def test_a_declared_family_is_tested_by_itself():
    names = [f"p{number}" for number in range(7)]
    declared = summarise(run({"wsa": 7.0, "e2e": 1.0}, perturbed=names), family=["p3", "p4"])
    assert row(declared.comparisons, perturbation="p3").decided
    assert {one.perturbation for one in declared.comparisons} == {"clean", "declared family", "p3", "p4"}
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
    clean, whole = said(summary)[:2]
    assert clean.startswith("wsa against e2e in clean play: not decided, ")
    assert whole.startswith("wsa against e2e under all perturbations: not decided, ")


def test_clean_play_of_two_agents_is_one_test_of_the_score_whatever_the_suite_measures():
    clean = {"a": [6.0, 6.2, 5.8, 6.1, 5.9], "b": [9.1, 8.9, 9.2, 8.8, 0.5]}
    for measure in ("retention", "gap", "score"):
        made = kept(clean, SHARES, **of_suite(measure))
        summary = summarise(made)
        one = row(summary.comparisons, scope="clean")
        assert (one.perturbation, one.measure, one.num_tests) == ("clean", "normalised_score", 1)
        means = {
            agent: part["return"].to_numpy().reshape(5, 4).mean(axis=1, keepdims=True) / 10.0
            for agent, part in made.episodes.query("perturbation == 'clean'").groupby("agent")
        }
        assert one.effect.value == pytest.approx(float(means["a"].mean() - means["b"].mean()))
        test = stats.family_test([means["a"]], [means["b"]], np.random.default_rng(0))
        assert (one.adjusted_p, one.effect.low, one.effect.high) == pytest.approx(
            (test.adjusted_p[0], test.low[0], test.high[0])
        )
        assert one.verdict == "not decided"
    clear = summarise(kept({"a": clean["a"], "b": [1.0, 1.2, 0.9, 1.1, 1.0]}, SHARES))
    text = said(clear)[0]
    assert text.startswith("a scores more in clean play than b: +0.5")
    assert text.endswith(", adjusted p 0.008, 5 seeds.")
    # Three agents: adjusted over the three pairs of this scope.
    three = summarise(run({"a": 6.0, "b": 4.0, "c": 2.0})).comparisons
    assert [one.num_pairs for one in three if one.scope == "clean"] == [3, 3, 3]


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
    # 2 / 32 is above 0.05.
    assert said(few) == ()
    assert undecided_sentence(few.clean_comparisons).text == (
        "Cannot be decided: perturbed against clean play of a under hue-rotate (with 5 seeds the smallest possible "
        "adjusted p is 0.062)."
    )


def test_whole_seeds_are_moved_over_games_and_games_apart():
    summary = summarise(run({"wsa": 6.0, "e2e": 4.0}, games=("g", "h")))
    one = row(summary.comparisons, scope="all perturbations")
    assert one.smallest_p == pytest.approx(1 / 10_000)  # 252 x 252 relabellings, 9,999 drawn
    assert "5 seeds in each of 2 games" in one.sentence


@pytest.mark.parametrize("num_games", [2, 3])
def test_three_seeds_in_each_of_several_games_decide(num_games):
    summary = summarise(run({"wsa": 7.0, "e2e": 1.0}, num_seeds=3, games=tuple("ghi"[:num_games])))
    assert {one.verdict for one in of_perturbed(summary.comparisons)} == {"decided"}
    assert undecided_sentence(summary.comparisons) is None
    whole = row(summary.comparisons, scope="all perturbations")
    assert whole.sentence.endswith(f", 3 seeds in each of {num_games} games.")
    assert whole.detectable < 0.6
    # Paired, 2 / 2^6 for each of two agents is above 0.05.
    why = "smallest p above alpha" if num_games == 2 else None
    assert {one.undecidable for one in summary.clean_comparisons} == {why}


def test_two_seeds_in_each_of_ten_games_decide_nothing():
    summary = summarise(run({"wsa": 7.0, "e2e": 1.0}, num_seeds=2, games=tuple("ghijklmnop"), perturbed=("value",)))
    (claim,) = [one for one in summary.comparisons if one.scope == "each perturbation"]
    assert (claim.verdict, claim.undecidable) == ("undecidable", "too few train seeds")
    assert claim.smallest_p < 0.001
    assert claim.sentence.startswith(
        "wsa against e2e under value: cannot be decided with 2 seeds in each of 10 games (+0."
    )
    assert claim.sentence.endswith("; at least 3 in each game are needed).")
    undecided = undecided_sentence(summary.comparisons)
    assert undecided.text.endswith(
        "in clean play and under all perturbations and value (2 seeds, at least 3 in each game are needed)."
    )


def test_equivalence_needs_as_many_train_seeds_as_a_difference():
    levels = {"wsa": 6.0, "e2e": 6.0}
    found = {
        games: summarise(run(levels, num_seeds=3, games=games), equivalence_margin=0.4).comparisons
        for games in (("g",), ("g", "h"))
    }
    assert all(one.equivalence_p <= 0.05 for one in (*found["g",], *found["g", "h"]))
    assert [one.equivalent for one in found["g",]] == [False] * len(found["g",])
    assert [one.equivalent for one in found["g", "h"]] == [True] * len(found["g", "h"])


def test_a_perturbation_of_one_game_needs_five_seeds_where_there_are_several_games():
    made = run({"wsa": 7.0, "e2e": 1.0}, num_seeds=3, games=("g", "h"))
    made.episodes = made.episodes[(made.episodes["perturbation"] != "value") | (made.episodes["game"] == "g")]
    summary = summarise(made)
    one = {claim.perturbation: claim for claim in summary.comparisons if claim.scope == "each perturbation"}
    assert (one["hue-rotate"].undecidable, one["hue-rotate"].num_games) == (None, 2)
    assert (one["value"].undecidable, one["value"].num_games) == ("too few train seeds", 1)
    notes = {label: row(summary.perturbations, agent="wsa", perturbation=label, severity=3).note for label in one}
    assert notes["hue-rotate"] == ""
    assert notes["value"].startswith("too few train seeds (3)")
    ranks = {label: row(summary.ranks, agent="wsa", perturbation=label).note for label in one}
    assert ranks == {"hue-rotate": "", "value": "too few train seeds (3)"}
    assert "(3 seeds, at least 5 are needed)." in undecided_sentence(summary.comparisons).text


def few_seed_notes(**changes):
    notes = summarise(run({"wsa": 6.0, "e2e": 4.0}, **changes)).notes
    return [note for note in notes if "train seeds" in note]


def test_what_is_said_of_few_train_seeds_depends_on_the_games():
    (one,) = few_seed_notes(num_seeds=3)
    assert one.startswith("Too few train seeds (wsa has 3, e2e has 3; at least 5 are needed): nothing can be concluded")
    (several,) = few_seed_notes(num_seeds=3, games=("g", "h"))
    assert several == (
        "Few train seeds in each game (wsa has 3, e2e has 3): averages over 2 games rest on all their trainings, but a "
        "statement about a single game needs at least 5, and intervals there rest on very little."
    )
    (two,) = few_seed_notes(num_seeds=2, games=("g", "h"))
    assert two.startswith("Too few train seeds (wsa has 2, e2e has 2; at least 3 in each game are needed): nothing can")
    assert two.endswith("With fewer than 3 train seeds there is no interval over train seeds.")
    assert few_seed_notes(num_seeds=5) == few_seed_notes(num_seeds=5, games=("g", "h")) == []


def kept(clean, shares, **changes):
    """Build a result set of one game: clean returns by agent and train seed, and the share kept under hue-rotate."""
    rng = np.random.default_rng(3)
    cells = {}
    for agent, levels in clean.items():
        for seed, level in enumerate(levels):
            noise = 0.2 * rng.normal(size=(2, 4))
            cells[agent, seed, "g", "clean", None] = level + noise[0]
            cells[agent, seed, "g", "hue-rotate", 3] = shares[agent] * level + noise[1]
    return result(cells, **changes)


def of_suite(measure):
    return {"suite": SuiteEntry(name="s", summary="", content_hash="", measure=measure)}


CLEAN = {"a": [6.0, 6.2, 5.8, 6.1, 5.9, 6.0], "b": [6.1, 5.9, 6.2, 5.8, 6.0, 0.0]}
SHARES = {"a": 0.35, "b": 0.8}


def test_a_seed_at_random_level_switches_no_measure_and_speaks_for_nobody():
    """One seed of b plays at random level: b keeps 80 %, a 35 %, and a must not be said to be the better one."""
    summary = summarise(kept(CLEAN, SHARES))
    claims = [one for one in summary.comparisons if one.measure == "retention"]
    assert claims == of_perturbed(summary.comparisons)
    assert all(one.effect.value == pytest.approx(-0.45, abs=0.03) for one in claims)
    assert {one.better for one in claims} == {"b"}
    assert not any(text.startswith(("a keeps more", "a loses less", "a scores more")) for text in said(summary))


def test_the_measure_is_the_suites_whatever_the_scores():
    # Alike in the share that is kept, a loses more points because it has more to lose, and still scores more.
    clean = {"a": [9.0, 9.2, 8.8, 9.1, 8.9], "b": [3.0, 3.2, 2.8, 3.1, 2.9]}
    same_share = {"a": 0.5, "b": 0.5}
    measured = {name: summarise(kept(clean, same_share, **of_suite(name))) for name in ("retention", "gap", "score")}
    whole = {name: row(found.comparisons, scope="all perturbations") for name, found in measured.items()}
    assert {name: one.measure for name, one in whole.items()} == {
        **{"retention": "retention", "gap": "robustness_gap", "score": "normalised_score"},
    }
    assert whole["retention"].verdict == "not decided"
    assert whole["retention"].effect.value == pytest.approx(0.0, abs=0.05)
    assert (whole["gap"].better, whole["score"].better) == ("b", "a")
    assert whole["gap"].effect.value == pytest.approx(-0.3, abs=0.03)
    assert whole["gap"].sentence.startswith("b loses less score under all perturbations than a: \u22120.3")
    assert whole["gap"].sentence.endswith("5 seeds; clean scores 0.91 and 0.30.")
    assert "clean scores" not in whole["score"].sentence


@pytest.mark.parametrize("measure", ["retention", "gap"])
def test_below_the_floor_there_is_no_claim_and_the_reason_is_said_once(measure):
    # An agent at 0.05 of human play 'keeps more of its score'.
    clean = {"a": [0.5, 0.6, 0.4, 0.55, 0.45], "b": [6.0, 6.2, 5.8, 6.1, 5.9]}
    summary = summarise(kept(clean, {"a": 1.0, "b": 0.3}, **of_suite(measure)))
    plain, claim = summary.comparisons
    assert (plain.scope, plain.better) == ("clean", "b")  # a score is compared whatever it is
    assert (claim.undecidable, claim.verdict) == ("clean score not above the floor", "undecidable")
    assert (claim.num_games, claim.left_out, claim.better) == (0, ("g",), None)
    text = undecided_sentence(summary.comparisons).text
    assert text == "Cannot be decided: a against b (in no game both clean scores are above 0.1)."
    assert any("a on g: the clean score (0.0" in note and "is not surely above 0.1" in note for note in summary.notes)
    # A score alone needs no clean play.
    scored = summarise(kept(clean, {"a": 1.0, "b": 0.3}, **of_suite("score")))
    assert {one.better for one in scored.comparisons} == {"b"}


def test_a_clean_score_that_rests_on_one_train_seed_is_not_surely_above_the_floor():
    clean = {"a": [9.0, -0.5, -0.5, -0.5, -0.5], "b": [6.0, 6.2, 5.8, 6.1, 5.9]}
    made = kept(clean, {"a": 0.5, "b": 0.5})
    (claim,) = of_perturbed(summarise(made).comparisons)
    assert (claim.undecidable, claim.left_out) == ("clean score not above the floor", ("g",))
    # The episodes alone would let it pass.
    scores = made.episodes.query("agent == 'a' and perturbation == 'clean'")["return"].to_numpy().reshape(5, 4) / 10.0
    assert stats.clean_bound(scores).is_defined
    # A gap divides by nothing.
    gap = summarise(kept(clean, {"a": 0.5, "b": 0.5}, **of_suite("gap"))).comparisons
    assert all(one.obstacle is None for one in gap)


def test_a_game_below_the_floor_leaves_only_its_pairs():
    cells = run({"a": 6.0, "b": 4.0, "c": 4.0}, games=("g", "h"))
    low = (cells.episodes["agent"] == "b") & (cells.episodes["game"] == "h")
    cells.episodes.loc[low, "return"] *= 0.05
    summary = summarise(cells)
    left_out = {(one.agent_x, one.agent_y): (one.left_out, one.num_games) for one in of_perturbed(summary.comparisons)}
    assert left_out == {("a", "b"): (("h",), 1), ("a", "c"): ((), 2), ("b", "c"): (("h",), 1)}
    alone = summarise(run({"a": 6.0, "b": 4.0, "c": 4.0}, games=("g",)))
    ours, theirs = (row(one.comparisons, agent_x="a", agent_y="b", perturbation="value") for one in (summary, alone))
    assert ours.num_games == theirs.num_games == 1
    assert sum("leave h out" in note for note in summary.notes) == 1


def test_without_clean_play_nothing_but_scores_is_compared():
    made = run({"a": 6.0, "b": 4.0})
    made.episodes = made.episodes[made.episodes["perturbation"] != "clean"].reset_index(drop=True)
    (claim,) = summarise(made).comparisons
    assert claim.undecidable == "clean was not played"
    assert claim.sentence.endswith("no claim about retention, because clean was not played.")


def test_the_effect_is_a_difference_of_ratios_of_means_and_its_tests_those_of_the_statistics():
    made = kept(CLEAN, SHARES)
    one = row(summarise(made).comparisons, scope="each perturbation")
    means = {
        (agent, cell): part["return"].to_numpy().reshape(6, 4).mean(axis=1) / 10.0
        for (agent, cell), part in made.episodes.groupby(["agent", "perturbation"])
    }
    games = [[(means[agent, "clean"], means[agent, "hue-rotate"][:, None])] for agent in ("a", "b")]
    assert one.effect.value == pytest.approx(float(stats.retention_difference(*games).value), abs=1e-12)
    blocks = [[stats.retention_shares(*game) for game in side] for side in games]
    test = stats.family_test(*blocks, np.random.default_rng(0))  # 924 relabellings, all of them tried
    assert (one.adjusted_p, one.effect.low, one.effect.high) == pytest.approx(
        (test.adjusted_p[0], test.low[0], test.high[0])
    )
    assert one.detectable == pytest.approx(stats.detectable_effects(test).family[0])


def test_all_pairs_are_compared_and_pay_for_it():
    levels = {"a": 7.0, "b": 5.0, "c": 3.0}
    summary = summarise(run(levels))
    each = [one for one in summary.comparisons if one.scope == "each perturbation"]
    assert list(dict.fromkeys((one.agent_x, one.agent_y) for one in each)) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert {(round(one.smallest_p, 9), one.num_pairs) for one in each} == {(round(3 * 2 / 252, 9), 3)}
    # The seeds of no two agents overlap, so that each pair has the smallest p there is, three times.
    assert all(one.decided and one.adjusted_p == pytest.approx(3 * 2 / 252) for one in each)
    named = summarise(run(levels), compare_to="c")
    pairs = {(one.agent_x, one.agent_y) for one in named.comparisons}
    assert pairs == {("c", "a"), ("c", "b")}
    assert {round(one.smallest_p, 9) for one in named.comparisons} == {round(2 * 2 / 252, 9)}
    # Fewer pairs, narrower intervals.
    width = [
        one.effect.high - one.effect.low
        for one in (
            row(summary.comparisons, agent_x="b", agent_y="c", perturbation="value"),
            row(named.comparisons, agent_x="c", agent_y="b", perturbation="value"),
        )
    ]
    assert width[1] < width[0]


def test_more_than_20_agents_need_one_to_compare_with(monkeypatch):
    monkeypatch.setattr("wsabench.summary.summarise.num_processes", lambda num_agents: 1)  # they take longer to start
    made = run({f"agent-{number:02}": 5.0 for number in range(21)}, num_seeds=2, perturbed=("value",))
    with pytest.raises(SpecError, match=r"21 agents, which make 210 pairs.*up to 20 agents.*--compare-to NAME\."):
        summarise(made)
    assert len({one.agent_y for one in summarise(made, compare_to="agent-03").comparisons}) == 20
    with pytest.raises(UnknownNameError, match="Unknown agent 'agent-3'"):
        summarise(made, compare_to="agent-3")


def test_agents_within_a_margin_are_equivalent():
    made = {"a": 6.0, "b": 6.02}
    summary = summarise(run(made, num_seeds=8), equivalence_margin=0.05)
    whole = row(summary.comparisons, scope="all perturbations")
    assert (whole.verdict, whole.equivalent, whole.better) == ("equivalent", True, None)
    assert whole.equivalence_p < 0.05 < whole.adjusted_p
    assert whole.sentence.startswith("a and b are equivalent under all perturbations within 0.05: ")
    # Not decided is never equivalent, and few seeds are not either.
    assert not any(one.equivalent for one in summarise(run(made, num_seeds=8)).comparisons)
    narrow = summarise(run(made, num_seeds=8), equivalence_margin=0.001)
    assert not any(one.equivalent for one in narrow.comparisons)
    assert row(narrow.comparisons, scope="all perturbations").verdict == "not decided"
    few = summarise(run(made, num_seeds=4), equivalence_margin=0.5)
    assert {one.verdict for one in few.comparisons} == {"undecidable"}
    with pytest.raises(SpecError, match=r"equivalence margin is 0\. Allowed: numbers above 0"):
        summarise(run(made), equivalence_margin=0.0)


def test_the_error_of_a_page_counts_its_families():
    summary = summarise(run({"a": 6.0, "b": 4.0}, num_seeds=7))
    # Clean and over all perturbations: 1 test each; each of two; clean against perturbed of two agents: 4.
    assert (summary.page_error.num_families, summary.page_error.num_tests) == (4, 8)
    line = "The probability of any false claim on this page is at most 20% (8 tests in 4 families of 5% each)."
    assert said(summary)[-1] == line
    asked = summarise(run({"a": 6.0, "b": 4.0}, num_seeds=7), equivalence_margin=0.05)
    assert (asked.page_error.num_families, asked.page_error.num_tests) == (8, 16)
    assert asked.page_error.bound == pytest.approx(0.4)
    # What cannot become a claim cannot be a false one: 5 seeds do not decide against clean, 3 nothing at all.
    five = summarise(run({"a": 6.0, "b": 4.0}))
    assert (five.page_error.num_families, five.page_error.num_tests) == (3, 4)
    assert summarise(run({"a": 6.0, "b": 4.0}, num_seeds=3), equivalence_margin=0.05).page_error is None


def test_a_run_says_how_small_a_difference_it_would_find():
    summary = summarise(run({"a": 6.0, "b": 5.9}, num_seeds=6))
    (text,) = [text for text in said(summary) if "80% power" in text]
    found = sorted(one.detectable for one in summary.comparisons if one.scope == "each perturbation")
    # Both come out as 0.03.
    assert (
        text == f"With these train seeds a difference of {found[0]:.2f} would be found with 80% power between a and b."
    )
    noisier = run({"a": 6.0, "b": 5.9}, num_seeds=6)
    perturbed = noisier.episodes["perturbation"] == "value"
    noisier.episodes.loc[perturbed, "return"] += noisier.episodes.loc[perturbed, "train_seed"] * 0.5
    again = summarise(noisier)
    low, high = (row(again.comparisons, perturbation=name).detectable for name in ("hue-rotate", "value"))
    assert high > 3 * low
    (text,) = [text for text in said(again) if "80% power" in text]
    assert f"seeds differences of {low:.2f} to {high:.2f}, by perturbation, would be found" in text


def test_very_many_conclusions_are_told_by_the_strongest_with_a_count_of_the_rest():
    levels = {f"agent-{number}": 7.5 - 0.7 * number for number in range(6)}  # 15 pairs, 60 tests
    summary = summarise(run(levels, num_seeds=6))
    between = [text for text in said(summary) if " than " in text or "against agent" in text]
    assert len(between) == 20
    verdicts = [one.verdict for one in summary.comparisons]
    assert verdicts.count("decided") > 20
    counts = ", ".join(
        f"{count} {verdict}"
        for verdict, count in (
            ("decided", verdicts.count("decided") - 20),
            ("not decided", verdicts.count("not decided")),
        )
        if count
    )
    assert f"40 more conclusions between agents stand in the tables: {counts}." in said(summary)
    few = summarise(run(levels, num_seeds=3))
    assert undecided_sentence(few.comparisons).text == (
        "Cannot be decided: 15 pairs of agents in clean play and under all perturbations, hue-rotate and value (3 "
        "seeds, at least 5 are needed)."
    )


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
    assert paired.adjusted_p == pytest.approx(2 / 64)
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
