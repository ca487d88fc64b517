"""Pages of runs that lack something: no number is written as `nan`, and every sentence is true of what there is."""

import re

from made_returns import result, run, said

from wsabench.report.tables.comparisons import measure_tables, side_by_side_tables
from wsabench.report.tables.results import headline
from wsabench.report.tables.text import DASH
from wsabench.results.manifest import ReferenceScores
from wsabench.summary.summarise import summarise


def two_agents(cells, seeds=5):
    """Return a result of agents `a` and `b`; `cells` maps (name, severity) to their returns by agent."""
    return {
        (agent, seed, "g", name, severity): values
        for (name, severity), by_agent in cells.items()
        for agent, values in by_agent.items()
        for seed in range(seeds)
    }


def test_ranks_without_clean_play_have_dashes():
    summary = summarise(result(two_agents({("invert", None): {"a": [3, 4], "b": [1, 2]}})))
    (table,) = (one for one in measure_tables(summary) if one.title == "Ranks")
    assert [row[3:] for row in table.rows] == [(DASH, DASH)] * 2
    assert "a: normalised score 0.35 on average over 1 perturbation." in [one.text for one in headline(summary)]


def test_what_rounds_to_zero_has_no_minus():
    cells = {("clean", None): {"a": [8, 8], "b": [8, 8]}, ("invert", None): {"a": [3, 4], "b": [3, 4]}}
    assert not re.search("[-\u2212]0\\.00", " ".join(said(summarise(result(two_agents(cells))))))


def test_the_same_retention_everywhere_is_neither_least_nor_most():
    cells = {(name, None): {"a": [level] * 2} for name, level in (("clean", 8), ("invert", 4), ("value", 4))}
    (sentence,) = headline(summarise(result(two_agents(cells))))
    assert "least" not in sentence.text
    assert "0.50 under each" in sentence.text


def test_several_failed_seeds_are_several():
    cells = two_agents({("clean", None): {"a": [8, 9]}, ("invert", None): {"a": [3, 4]}})
    cells |= {("a", seed, "g", "clean", None): [0, 0] for seed in (1, 3)}
    notes = summarise(result(cells)).notes
    assert any("train seeds 1, 3 are not better than random play even clean; they count" in note for note in notes)


def test_sample_sizes_leave_out_what_not_every_seed_finished():
    cells = two_agents({("clean", None): {"a": [8, 9]}, ("invert", None): {"a": [3, 4]}})
    del cells["a", 2, "g", "invert", None]
    (row,) = summarise(result(cells)).samples
    assert (row.num_cells, row.num_episodes, row.num_distinct_episodes) == (1, 10, 10)


def test_the_quick_profile_does_not_deny_what_the_page_claims():
    summary = summarise(run({"a": 7.0, "b": 2.0}, profile="quick"))
    assert any(text.startswith("a keeps more of its score") for text in said(summary))
    assert not any("names no winner" in note for note in summary.notes)
    assert any("too small to compare" in note for note in summary.notes)


def test_a_game_without_references_has_no_score_to_tell():
    cells = two_agents({("clean", None): {"a": [8, 9]}, ("invert", None): {"a": [3, 4]}})
    summary = summarise(result(cells, reference_scores={"g": ReferenceScores(random=None, human=None)}))
    assert [one.text for one in headline(summary)] == ["a: no normalised score, because no reference scores are known."]


def test_averages_over_what_all_played_are_called_so():
    # b keeps half on g, which a played too, and an eighth on h: its average is over g, as a's is.
    levels = {("clean", None): {"a": [8, 8], "b": [8, 8]}, ("invert", None): {"a": [6, 6], "b": [4, 4]}}
    cells = two_agents(levels)
    for seed in range(5):
        cells |= {("b", seed, "h", "clean", None): [8, 8], ("b", seed, "h", "invert", None): [1, 1]}
    summary = summarise(result(cells))
    first, second = (one.text for one in headline(summary))
    assert "on average over 1 perturbation; keeps 0.75 of its clean score (" in first
    assert (
        "0.40 on average over 1 perturbation, in what all agents played; keeps 0.50 of its clean score there" in second
    )
    assert "least" not in second
    assert "all perturbations: what all agents played" in side_by_side_tables(summary)[0].caption
