"""The agents in tiers: by decided comparisons alone, whatever the estimates are."""

import itertools
import re

import numpy as np
import pytest
from made_returns import TEN, result, row, run
from msgspec import structs
from result_fixture import agent_entry

from wsabench.report.figures.drawing import draw_figures
from wsabench.report.figures.leading import leading_figure
from wsabench.report.figures.style import figure_style
from wsabench.report.page import content_of, html_page, markdown_text
from wsabench.report.tables.answer import answer_of, tiers_of
from wsabench.report.tables.results import headline
from wsabench.report.tables.text import DASH
from wsabench.results.manifest import ReferenceScores
from wsabench.summary.rows import Bounded, Claim
from wsabench.summary.summarise import summarise


def decided(better, worse, is_decided=True):
    """Return the test of a pair."""
    made = {"scope": "all perturbations", "perturbation": "all perturbations", "measure": "retention", "num_tests": 1}
    numbers = {"p": 0.01, "adjusted_p": 0.01, "smallest_p": 0.001, "num_seeds_x": 6, "num_seeds_y": 6, "num_games": 1}
    return Claim(
        agent_x=better, agent_y=worse, effect=Bounded(0.2), decided=is_decided, paired=False, **made, **numbers
    )


def test_tiers_follow_what_is_decided():
    assert [tier.agents for tier in tiers_of("abc", [])] == [("a", "b", "c")]
    claims = [decided("a", "b"), decided("a", "c"), decided("b", "c")]
    assert [tier.agents for tier in tiers_of("cba", claims)] == [("a",), ("b",), ("c",)]
    assert [tier.agents for tier in tiers_of("abc", [decided("a", "c"), decided("b", "c", False)])] == [
        ("a", "b"),
        ("c",),
    ]
    against = structs.replace(decided("b", "a"), effect=Bounded(-0.2))
    assert [tier.agents for tier in tiers_of("ab", [against])] == [("a",), ("b",)]
    circle = [decided("a", "b"), decided("b", "c"), decided("c", "a")]
    assert [tier.agents for tier in tiers_of("abc", circle)] == [("a", "b", "c")]


def test_each_agent_below_is_beaten_by_one_of_the_tier_above():
    rng = np.random.default_rng(0)
    for _ in range(200):
        names = "abcdef"
        claims = [decided(x, y) for x, y in itertools.combinations(names, 2) if rng.random() < 0.3]
        beaten = {(claim.agent_x, claim.agent_y) for claim in claims}
        tiers = tiers_of(names, claims)
        assert sorted(agent for tier in tiers for agent in tier.agents) == sorted(names)
        for above, below in itertools.pairwise(tiers):
            assert all(any((x, y) in beaten for x in above.agents) for y in below.agents)
        for place, tier in enumerate(tiers):
            rest = [agent for later in tiers[place:] for agent in later.agents]
            assert not any((x, y) in beaten for x in rest for y in tier.agents)


def test_the_answer_says_once_what_is_not_decided():
    clear = answer_of(summarise(run({"a": 7.0, "b": 2.0}, num_seeds=7)))
    assert [tier.agents for tier in clear.tiers] == [("a",), ("b",)]
    assert clear.statement.startswith("a stands in the first of 2 tiers by retention over all perturbations")
    few = answer_of(summarise(run({"b": 2.0, "a": 7.0}, num_seeds=2)))
    assert few.order == ("a", "b")  # one tier, the greater estimate first
    assert few.statement == "These data do not rank the agents: all stand in one tier."
    assert few.undecided.text.startswith("Cannot be decided: b against a in clean play and under")
    alone = answer_of(summarise(run({"a": 7.0}, num_seeds=7)))
    assert alone.statement == ""
    assert alone.order == ("a",)


CLEAN, HUE, NOISE = [8.0, 6.0, 10.0, 7.0, 9.0], [4.0, 5.0, 6.0, 3.0, 2.0], [2.0, 1.0, 4.0, 2.0, 1.0]


def first_run(agents=("mine",), beside=(), num_seeds=1, references=TEN, **changes):
    """Return what a newcomer plays: one train seed, two perturbations, five episodes; `beside` is built in."""
    cells = {}
    for agent, seed in itertools.product((*agents, *beside), range(num_seeds)):
        scale = 0.1 if agent in beside else 1.0
        for (name, severity), values in {("clean", None): CLEAN, ("hue", 3): HUE, ("noise", 3): NOISE}.items():
            cells[agent, seed, "g", name, severity] = [scale * value for value in values]
    entries = [agent_entry(agent, seed, "g") for agent in agents for seed in range(num_seeds)]
    entries += [structs.replace(agent_entry(agent, 0, "g"), kind="built-in") for agent in beside]
    names = ("clean", "hue@3", "noise@3")
    made = {"agents": tuple(entries), "reference_scores": {"g": references}, "games": ("g",), "perturbations": names}
    return result(cells, **made | changes)


def test_a_run_of_one_train_seed_opens_with_what_it_scored():
    summary = summarise(first_run())
    (told, brackets) = answer_of(summary).scores
    pattern = (
        r"mine: clean mean return 8\.0 \(normalised score 0\.80 \[(\S+), (\S+)\]\), "
        r"under 2 perturbations on average mean return 3\.0 \(normalised score 0\.30 \[(\S+), (\S+)\]\)\. "
        r"It keeps 0\.38 \[(\S+), (\S+)\] of its clean normalised score\."
    )
    bounds = [float(one) for one in re.fullmatch(pattern, told).groups()]
    assert brackets == "Brackets: 95% interval over the episodes of this checkpoint, not over other training runs."
    # The oracle draws episodes by hand: of clean and both perturbations together, as they share their seeds.
    drawn = np.random.default_rng(1).integers(0, 5, (20_000, 5))
    clean, kept = (np.array(of)[drawn].mean(axis=1) / 10 for of in (CLEAN, (np.array(HUE) + NOISE) / 2))
    for low, high, values in zip(bounds[::2], bounds[1::2], (clean, kept, kept / clean), strict=True):
        plain = np.quantile(values, [0.025, 0.975])
        assert low < values.mean() < high
        assert np.allclose([low, high], plain, atol=0.6 * (plain[1] - plain[0]))
        assert high - low >= 0.9 * (plain[1] - plain[0])  # corrected for few episodes: no narrower
    table = answer_of(summary).table
    assert [cell.split(" ")[0] for cell in table.rows[0][2:5]] == ["0.80", "0.30", "0.38"]
    assert all(cell.has_interval and not cell.is_few for cell in table.rows[0][2:5])
    assert "Brackets: 95% interval over the episodes of these checkpoints." in table.full_caption


def test_what_is_told_is_what_the_tables_have():
    summary = summarise(first_run(("mine", "other"), num_seeds=2))
    told = answer_of(summary).scores
    assert [one.partition(":")[0] for one in told] == ["mine", "other", "Brackets"]
    assert told[-1].endswith("of these checkpoints, not over other training runs.")
    (mine, _) = summary.these_checkpoints
    whole = row(summary.measures, agent="mine", perturbation="all perturbations")
    assert (mine.kept.value, mine.retention.value) == pytest.approx((whole.mean_score.value, whole.retention.value))
    clean = row(summary.perturbations, agent="mine", label="clean").normalised_score
    assert mine.clean.value == pytest.approx(clean.value)
    # A number that stands at two places of a page has one interval.
    assert (mine.clean.episode_low, mine.clean.episode_high) == (clean.episode_low, clean.episode_high)


def test_one_perturbation_has_one_interval_wherever_it_stands():
    cells = {("a", 0, "g", "clean", None): CLEAN, ("a", 0, "g", "hue", 3): HUE}
    summary = summarise(result(cells, agents=(agent_entry("a", 0, "g"),)))
    (whole,), hue = summary.these_checkpoints, row(summary.perturbations, label="hue@3")
    for name, other in (("kept", hue.normalised_score), ("retention", hue.retention)):
        one = getattr(whole, name)
        assert one.value == pytest.approx(other.value)
        assert (one.episode_low, one.episode_high) == (other.episode_low, other.episode_high)


def test_captions_speak_of_lines_only_where_there_are_any():
    def captions(num_seeds):
        effects = {"g": {f"{name}@{level}": 3.0 * level for name in ("hue-rotate", "value") for level in (1, 3)}}
        of_doses = run({"a": 5.0}, num_seeds=num_seeds, effects=effects)
        with figure_style():
            drawn = [
                one for made in (of_doses, first_run(num_seeds=num_seeds)) for one in draw_figures(summarise(made), [])
            ]
        return {one.name: one.caption for one in drawn}

    few, enough = captions(2), captions(3)
    for name in ("worst-groups", "dose-curves-g"):
        assert "over train seeds" not in few[name]
        assert "Lines: 95% interval over train seeds." in enough[name]


def test_enough_train_seeds_are_told_by_tiers_and_one_agent_in_words():
    assert answer_of(summarise(run({"a": 7.0, "b": 2.0}, num_seeds=7))).scores == ()
    alone = answer_of(summarise(run({"a": 7.0}, num_seeds=7)))
    told, brackets = alone.scores
    assert re.fullmatch(
        r"a: clean normalised score 0\.80 \[.*\], under 2 perturbations on average normalised score 0\.70 \[.*\]\. "
        r"It keeps 0\.8\d \[.*\] of its clean normalised score\.",
        told,
    )
    assert brackets == "Brackets: 95% interval over train seeds."
    assert "Brackets: 95% interval over train seeds." in alone.table.full_caption
    assert alone.table.rows[0][:2] == (DASH, "a"), "no tier without another agent"
    assert "Without a tier: there is no other agent to compare with." in alone.table.full_caption


def test_gains_do_not_pay_for_collapse_on_the_first_screen():
    # Clean 0.5; one perturbation doubles it, one takes all.
    cells = {("a", seed, "g", "clean", None): [5.0, 5.1] for seed in range(3)}
    for name, score in (("hue-rotate", 10.0), ("value", 0.0)):
        cells |= {("a", seed, "g", name, 3): [score, score] for seed in range(3)}
    summary = summarise(result(cells, agents=(agent_entry("a", 0, "g"),)))
    table = answer_of(summary).table
    (told,) = headline(summary)
    assert told.text.endswith("0.8 or more in 50% of cells, at most 0.1 in 50%.")
    shown = dict(zip(table.columns, table.rows[0], strict=True))
    assert shown["retention"].startswith("0.99")
    assert (shown["capped"], shown["cells kept"], shown["cells lost"]) == ("0.50", "50%", "50%")


def test_one_episode_a_cell_has_no_brackets():
    cells = {("a", 0, "g", "clean", None): [8.0], ("a", 0, "g", "hue", 3): [4.0]}
    (told,) = answer_of(summarise(result(cells, agents=(agent_entry("a", 0, "g"),)))).scores
    assert told == (
        "a: clean mean return 8.0 (normalised score 0.80), under 1 perturbation mean return 4.0 (normalised score "
        "0.40). What share that is cannot be said: the clean score is not surely above 0.1."
    )


def test_without_references_returns_are_told():
    (told,) = answer_of(summarise(first_run(references=ReferenceScores(random=None, human=None)))).scores
    assert told == "mine: clean mean return 8.0, under 2 perturbations on average mean return 3.0."


def test_many_agents_have_their_scores_in_the_table():
    assert answer_of(summarise(first_run(tuple("abcde")))).scores == ()


def test_the_page_opens_with_the_scores_and_says_once_what_is_open():
    made = first_run()
    content = content_of(summarise(made), made.manifest)
    for text in (html_page(content, []), markdown_text(content, [])):
        answer = text[text.index("The answer</a>" if "</a>" in text else "## The answer") :]
        assert (
            answer.index("mine: clean mean return 8.0")
            < answer.index("Cannot be decided")
            < answer.index("Agents in tiers")
        )
        assert text.count("Cannot be decided") == 1


def test_the_leading_figure_shows_the_interval_over_episodes_where_seeds_give_none():
    with figure_style():
        drawn = leading_figure(summarise(first_run()))
    assert "Dotted lines: 95% intervals over the episodes of these checkpoints" in drawn.caption
    assert "hollow" not in drawn.caption  # a single train seed is the mean itself
    widths = [np.ptp(line.get_xdata()) for line in drawn.figure.axes[0].get_lines() if line.get_linewidth() == 1.6]
    assert len(widths) == 2
    assert min(widths) > 0.05


def test_random_play_is_said_to_be_the_zero():
    made = first_run(beside=("random",))
    summary = summarise(made)
    assert summary.agents == ("mine",)
    content = content_of(summary, made.manifest)
    assert content.title == "mine on g: suite s"
    assert content.scope == (
        "How well agents keep playing when the world changes: 3 cells on 1 game, 1 train seed of mine, 15 episodes. "
        "Beside it played random, 15 episodes: it is the yardstick, the 0 of the normalised score, and has no row of "
        "its own (mean return 0.8 here, clean; what counts as 0 is the published 0.0)."
    )
    assert "random has no row: random play is 0." in content.lead.caption
    (references,) = (table for table in content.provenance if table.title == "Reference scores")
    assert references.columns[-1] == "random in this run"
    assert references.rows == (("g", "0.0", "10.0", "0.8 (5 episodes)"),)
    assert [(one.label, one.num_episodes) for one in summary.random_play] == [
        ("clean", 5),
        ("hue@3", 5),
        ("noise@3", 5),
    ]


def test_without_random_play_nothing_is_said_of_it():
    made = first_run(("mine", "noop"))
    content = content_of(summarise(made), made.manifest)
    assert content.scope.endswith("3 cells on 1 game, 1 train seed of each agent, 30 episodes.")
    assert "random" not in content.lead.caption
    assert all("random in this run" not in table.columns for table in content.provenance)


def test_the_one_sided_bound_is_not_taken_for_an_end_of_the_interval():
    made = first_run()
    content = content_of(summarise(made), made.manifest)
    (sizes,) = (table for table in content.tables if table.title == "Sample sizes")
    (results,) = (table for table in content.tables if table.title == "Results on g")
    assert "surely above, one-sided" in sizes.columns
    assert "one-sided lower 95% bound" in sizes.caption
    assert "two-sided 95% interval" in results.caption
