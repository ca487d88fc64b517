"""Privileged agents: shown and marked, but no part of a claim; who is compared with whom."""

import pandas as pd
import pytest
from made_returns import of_perturbed, run, said, same
from matplotlib.text import Text
from msgspec.structs import replace
from result_fixture import agent_entry, change_manifest, changed, made_manifest, write_result_set

from wsabench.report import write_report
from wsabench.report.figures.drawing import draw_figures
from wsabench.report.figures.style import figure_style
from wsabench.report.page import content_of
from wsabench.report.tables import comparisons as claims
from wsabench.report.tables.results import headline
from wsabench.results import load_result
from wsabench.results.manifest import read_manifest
from wsabench.results.result import LEGEND, MARK, compared_agents
from wsabench.summary.rows import Bounded
from wsabench.summary.summarise import summarise

LEVELS = {"wsa": 6.0, "e2e": 4.0, "ram": 7.5}
CELLS = (("clean", None), ("hue-rotate", 1), ("hue-rotate", 3), ("invert", None))


def privileged(made, *names, order=tuple(LEVELS)):
    """Make some agents of a result set privileged, and name its agents in another order."""
    agents = tuple(agent_entry(name, privileged=name in names) for name in order)
    made.manifest = changed(made.manifest, agents=agents)
    return made


def rows_about(table, agents):
    return [one for one in table if one.columns()["agent"] in agents]


@pytest.mark.parametrize("order", [("ram", "wsa", "e2e"), ("wsa", "ram", "e2e"), ("wsa", "e2e", "ram")])
def test_claims_are_those_of_a_run_without_the_privileged_agent(order):
    without = summarise(run({"wsa": 6.0, "e2e": 4.0}))
    summary = summarise(privileged(run(LEVELS), "ram", order=order))
    assert summary.agents == order
    assert (summary.compared, summary.privileged) == (("wsa", "e2e"), ("ram",))
    for name in ("comparisons", "improvement", "ranks"):  # families, draws and ranks included
        assert len(getattr(without, name))
        same(getattr(summary, name), getattr(without, name))
    assert all(one.decided for one in of_perturbed(without.comparisons))
    assert summary.sentences == without.sentences
    assert headline(summary) == headline(without)
    for measure in ("retention", "normalised_score"):
        assert claims.claimed_best(summary, measure) == claims.claimed_best(without, measure)
    # What is said of each agent by itself stays, of the privileged one too.
    for name in ("perturbations", "clean_comparisons", "measures"):
        table = getattr(summary, name)
        same(rows_about(table, ["wsa", "e2e"]), rows_about(getattr(without, name), LEVELS))
        assert len(rows_about(table, ["ram"]))
    for name in ("cells", "seeds", "severities", "aggregates", "profiles"):
        assert rows_about(getattr(summary, name), ["ram"])


def test_without_the_rule_the_privileged_agent_would_win():
    """The data of the other tests could tell."""
    summary = summarise(privileged(run(LEVELS), order=("ram", "wsa", "e2e")))
    assert ("all perturbations", "ram") in claims.claimed_best(summary, "retention")
    assert said(summary)[1].startswith("ram keeps more of its score")


def test_what_the_privileged_agent_did_not_play_limits_no_claim():
    made = privileged(run(LEVELS), "ram")
    left_out = (made.episodes["agent"] == "ram") & (made.episodes["perturbation"] == "value")
    made.episodes = made.episodes[~left_out].reset_index(drop=True)
    without = summarise(run({"wsa": 6.0, "e2e": 4.0}))
    summary = summarise(made)
    same(summary.ranks, without.ranks)
    same(summary.improvement, without.improvement)


def test_errors_are_relative_to_an_agent_on_pixels():
    levels = {"wsa": 6.0, "other": 4.0, "ram": 7.5}
    summary = summarise(privileged(run(levels), "ram", order=tuple(levels)))
    assert {one.baseline for one in summary.measures} == {"other"}


def test_privileged_agents_alone_are_compared_and_that_is_said():
    summary = summarise(privileged(run({"ram": 6.0, "ram-2": 4.0}), "ram", "ram-2", order=("ram", "ram-2")))
    assert summary.compared == ("ram", "ram-2")
    assert all(one.decided for one in of_perturbed(summary.comparisons))
    assert len(summary.ranks)
    assert len(summary.improvement)
    assert said(summary)[1].startswith("ram keeps more of its score under all perturbations than ram-2")
    assert [one.text[:5] for one in headline(summary)] == ["ram: ", "ram-2"]
    assert (
        "Privileged: ram, ram-2 read the emulator's memory, not only pixels. No agent of this run plays by pixels "
        "alone: nothing here is a claim about pixels, comparisons between agents included."
    ) in summary.notes


def test_one_agent_on_pixels_is_compared_with_nobody():
    summary = summarise(privileged(run({"wsa": 6.0, "ram": 7.5}), "ram", order=("ram", "wsa")))
    assert summary.comparisons == summary.improvement == summary.ranks == ()
    assert all(text.startswith("wsa ") for text in said(summary))
    assert claims.claimed_best(summary, "retention") == set()
    (note,) = [note for note in summary.notes if note.startswith("Privileged: ram reads")]
    assert note.endswith("ranks, bold and sentences. That leaves no two agents to compare.")


def test_an_agent_that_has_not_played_yet_is_part_of_the_run():
    agents = (agent_entry("ram", privileged=True), agent_entry("wsa"))
    assert compared_agents(["ram"], made_manifest(agents=agents)) == ()
    assert compared_agents(["ram"], made_manifest(agents=agents[:1])) == ("ram",)
    made = privileged(run({"ram": 6.0, "ram-2": 4.0}), "ram", "ram-2", order=("ram", "ram-2", "wsa"))
    summary = summarise(made)
    assert summary.comparisons == said(summary) == ()
    assert len(summary.perturbations)


def test_few_seeds_of_one_agent_do_not_deny_what_is_claimed_of_others():
    made = privileged(run(LEVELS), "ram")
    made.episodes = made.episodes[(made.episodes["agent"] != "ram") | (made.episodes["train_seed"] < 2)]
    summary = summarise(made)
    assert any("keeps more of its score" in text for text in said(summary))
    (note,) = [note for note in summary.notes if note.startswith("Too few train seeds (ram has 2;")]
    assert "nothing can be concluded about their training" in note


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    path = tmp_path_factory.mktemp("mixed") / "run"
    write_result_set(path, agents=("reader", "wsa", "e2e"), train_seeds=(0, 1, 2, 3, 4), cells=CELLS)
    agents = read_manifest(path).plan.agents
    change_manifest(path, agents=tuple(replace(one, privileged=one.agent == "reader") for one in agents))
    return path


def test_the_report_shows_the_privileged_agent_in_tables_of_scores_only(mixed):
    result = load_result(mixed)
    summary = summarise(result)
    content = content_of(summary, result.manifest)
    assert not any("reader" in sentence.text for sentence in content.headline)
    named = {
        table.title
        for table in content.tables
        if any("reader" in text for row in (table.columns, *table.rows) for text in row)
    }
    assert named == {
        *(
            "Agents in tiers",
            "Sample sizes",
            "Normalised score by agent",
            "Retention by agent",
            "Robustness over severities",
        ),
        *("Results on breakout", "Clean against perturbed", "Aggregates", "Clean and perturbed"),
        "Aggregates by joint and by rliable's resampling",
    }
    for table in content.tables:
        texts = [table.title, *table.columns, *(text for row in table.rows for text in row)]
        assert all(text == f"reader {MARK}" for text in texts if "reader" in text)
        assert (LEGEND in table.caption) == (table.title in named)
    assert "Among agents on pixels." in next(t.caption for t in content.tables if t.title == "Ranks")


def test_bold_needs_to_beat_the_agents_on_pixels_only(mixed):
    summary = summarise(load_result(mixed))
    won = ("invert", "all perturbations")
    decided = [
        replace(one, decided=one.perturbation in won, effect=Bounded(abs(one.effect.value)), smallest_p=0.01)
        for one in of_perturbed(summary.comparisons)
    ]
    ((winner, measure),) = {(one.agent_x, one.measure) for one in decided}
    object.__setattr__(summary, "comparisons", tuple(decided))
    assert claims.claimed_best(summary, measure) == {("invert", winner), ("all perturbations", winner)}
    shown = next(t for t in claims.side_by_side_tables(summary) if t.title.lower().startswith(measure[:9]))
    assert {shown.columns[column] for _, column in shown.bold} == {winner}
    assert "Bold: better than every other agent on pixels by a decided comparison" in shown.caption


def test_figures_mark_the_privileged_agent_and_compare_the_others(mixed):
    summary = summarise(load_result(mixed))
    with figure_style():
        figures = {figure.name: figure for figure in draw_figures(summary, [])}
    showing = set()
    for name, named in figures.items():
        texts = [named.title, named.caption, *(text.get_text() for text in named.figure.findobj(Text))]
        about = [text for text in texts if "reader" in text]
        assert all(f"reader {MARK}" in text for text in about)
        assert (LEGEND in named.caption) == bool(about)
        assert MARK not in name
        assert "_" not in name
        showing |= {name} if about else set()
    assert {"normalised-score", "retention", "retention-heat-map", "performance-profile"} <= showing
    assert {"ranks", "improvement-wsa-e2e"} <= set(figures) - showing
    assert not any("reader" in name for name in figures)


def test_csv_files_say_which_agents_are_privileged(mixed, tmp_path):
    for path in write_report(mixed, tmp_path / "out", formats=("csv",)).csv:
        table = pd.read_csv(path)
        if "agent" in table and path.stem != "published":
            assert (table["privileged"] == (table["agent"] == "reader")).all()
    assert "reader" not in (tmp_path / "out" / "csv" / "comparisons.csv").read_text()
    assert "reader" not in (tmp_path / "out" / "csv" / "ranks.csv").read_text()
