"""Bold only where a claim holds: in tables of every format."""

import itertools
import re
from dataclasses import replace

import pytest
from made_returns import run
from msgspec import structs
from result_fixture import write_result_set

from wsabench.report.figures.marks import marked
from wsabench.report.page import content_of, html_page, markdown_text
from wsabench.report.tables import comparisons as claims
from wsabench.report.tables.latex import escape, latex
from wsabench.report.tables.results import (
    aggregate_summary_table,
    average_table,
    headline_table,
    improvement_summary_tables,
)
from wsabench.report.tables.text import Entry, Table, markdown
from wsabench.results import load_result
from wsabench.summary.rows import Bounded, Claim, MeasureRow, RankRow
from wsabench.summary.sentences import Sentence, sentence_of, sentences_of, undecided_sentence
from wsabench.summary.summarise import summarise

CELLS = (("clean", None), ("hue-rotate", 3), ("invert", None))


def compared_in(summary, rows, sentences=(), **changes):
    """Return a summary with comparisons of our own, and no other table about claims."""
    none = dict.fromkeys(("measures", "ranks", "clean_comparisons", "published"), ())
    return replace(summary, **{**none, "comparisons": tuple(rows), "sentences": sentences, **changes})


def comparison(perturbation, effect, decided, pair=("wsa", "e2e"), measure="retention"):
    """Return one test of an agent against another."""
    return Claim(
        **{"agent_x": pair[0], "agent_y": pair[1], "perturbation": perturbation, "measure": measure},
        **{"effect": Bounded(effect, effect - 0.1, effect + 0.1), "p": 0.01, "adjusted_p": 0.0004},
        **{
            "smallest_p": 0.0002,
            "detectable": 0.15,
            "num_seeds_x": 5,
            "num_seeds_y": 6,
            "decided": decided,
            "sentence": "s",
        },
        **{"scope": "each perturbation", "num_games": 1, "num_tests": 1, "paired": False},
    )


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    result = load_result(
        write_result_set(tmp_path_factory.mktemp("claims") / "run", train_seeds=(0, 1, 2), cells=CELLS)
    )
    return summarise(result), result.manifest


def test_tables_mark_what_three_train_seeds_of_one_game_say():
    made = run({"wsa": 7.0, "e2e": 1.0}, num_seeds=3, games=("g", "h"))
    made.episodes = made.episodes[(made.episodes["perturbation"] != "value") | (made.episodes["game"] == "g")]
    summary = summarise(made)

    def marks(table, column):
        cells = {row[0]: row[column] for row in table.rows if isinstance(row[column], Entry)}
        return {name: cell.is_few for name, cell in cells.items()}

    by_agent = {table.title: table for table in claims.side_by_side_tables(summary)}
    each = {"hue-rotate@1": False, "hue-rotate@3": False, "value@1": True, "value@3": True}
    assert marks(by_agent["Normalised score by agent"], 1) == {"clean": False, **each, "all perturbations": False}
    assert marks(by_agent["Retention by agent"], 2) == {**each, "all perturbations": False}
    over, _ = claims.measure_tables(summary)
    whole = {"hue-rotate": False, "value": True, "all perturbations": False}
    assert marks(over, 3) == whole
    assert marks(over, list(over.columns).index("capped retention")) == whole
    (compared,) = [table for table in claims.comparison_tables(summary) if table.title.startswith("Comparison of")]
    assert marks(compared, 2) == {"clean": False, **whole}
    assert marks(average_table(summary), 3) == {"clean": False, **each}
    (won,) = improvement_summary_tables(summary)
    assert marks(won, 1) == {"clean": False, **each, "all perturbations": False}
    for table in (headline_table(summary), aggregate_summary_table(summary)):
        assert not any(entry.is_few for entry in table.entries)
        assert table.entries
    shown = {row[0]: row[1] for row in marked(by_agent["Normalised score by agent"], ()).rows}
    assert [name for name, text in shown.items() if text.endswith("†")] == ["value@1", "value@3"]


def test_who_scores_more_clean_is_bold_in_the_scores_only_where_that_is_decided():
    made = run({"wsa": 6.0, "e2e": 6.0})
    for level, bold in ((0.0, set()), (-4.0, {("clean", "wsa")})):
        is_lower = (made.episodes["agent"] == "e2e") & (made.episodes["perturbation"] == "clean")
        made.episodes.loc[is_lower, "return"] += level
        score, kept = claims.side_by_side_tables(summarise(made))
        assert {(score.rows[row][0], score.columns[column]) for row, column in score.bold} == bold
        assert not any(kept.rows[row][0] == "clean" for row, _ in kept.bold)


def test_retention_that_one_game_alone_defines_rests_on_its_train_seeds():
    made = run({"wsa": 7.0, "e2e": 1.0}, num_seeds=3, games=("g", "h"))
    is_lost = (made.episodes["game"] == "h") & (made.episodes["perturbation"] == "clean")
    made.episodes.loc[is_lost, "return"] = 0.0
    summary = summarise(made)
    row = next(row for row in summary.perturbations if (row.agent, row.label) == ("wsa", "value@3"))
    assert (row.num_games, row.num_retention_games) == (2, 1)
    assert "retention: too few train seeds (3)" in row.note
    score, kept = (table for table in claims.side_by_side_tables(summary))
    assert not any(entry.is_few for entry in score.entries)
    assert all(entry.is_few for entry in kept.entries)


def test_the_winner_of_a_decided_comparison_is_best(loaded):
    rows = [comparison("hue-rotate", 0.2, True), comparison("invert", -0.2, True)]
    assert claims.claimed_best(compared_in(loaded[0], rows), "retention") == {("hue-rotate", "wsa"), ("invert", "e2e")}


@pytest.mark.parametrize(
    "row",
    [
        comparison("hue-rotate", 0.2, False),
        comparison("hue-rotate", 0.0, True),
        comparison("hue-rotate", float("nan"), True),
        comparison("hue-rotate", 0.2, True, measure="normalised_score"),
    ],
    ids=["undecided", "no effect", "undefined", "another measure"],
)
def test_nothing_else_is(loaded, row):
    assert claims.claimed_best(compared_in(loaded[0], [row]), "retention") == set()


def test_an_effect_above_0_speaks_for_the_first_agent_whatever_the_measure(loaded):
    rows = [comparison("invert", 0.2, True, measure="robustness_gap")]
    assert claims.claimed_best(compared_in(loaded[0], rows), "robustness_gap") == {("invert", "wsa")}


def test_a_claim_about_several_severities_is_no_claim_about_one(loaded):
    rows = [comparison("hue-rotate", 0.2, True)]
    compared = compared_in(loaded[0], rows)
    assert claims.claimed_labels(compared, "retention") == {("hue-rotate@3", "wsa")}
    again = tuple(
        structs.replace(row, label=row.label.replace("hue-rotate@3", "hue-rotate@5")) for row in loaded[0].perturbations
    )
    compared = replace(compared, perturbations=loaded[0].perturbations + again)
    assert claims.claimed_labels(compared, "retention") == set()


def test_measures_and_ranks_have_their_tables(loaded):
    undefined = Bounded(float("nan"))
    quantities = ("worst_score", "dose_area", "robustness_gap", "corruption_error", "error_difference")
    quantities += ("relative_corruption_error", "loss_difference")
    measures = tuple(
        MeasureRow(
            **{"agent": agent, "perturbation": "all perturbations", "num_severities": 1, "num_games": 1},
            **{"num_seeds": 5, "baseline": "e2e", "note": "", "retention": retention, "area_reason": ""},
            **dict.fromkeys(("lowest_dose", "highest_dose"), float("nan")),
            **{"mean_score": Bounded(mean_score, 0.5, 2.5), "capped_retention": Bounded(0.375, 0.25, 0.5)},
            **{"kept_share": 0.25, "lost_share": 0.125},
            **dict.fromkeys(quantities, undefined),
        )
        for agent, retention, mean_score in (
            ("wsa", Bounded(0.5, 0.4, 0.6), 1.0),
            ("e2e", Bounded(0.25, 0.2, 0.3), 2.0),
        )
    )
    ranks = (
        RankRow(
            **{"agent": "wsa", "perturbation": "invert", "rank": Bounded(1.5, 1.0, 2.0), "clean_rank": 1.0},
            **{"change": 0.5, "num_seeds": 5, "num_games": 1, "score": 0.5, "note": ""},
        ),
    )
    rows = [comparison("all perturbations", 0.25, True)]
    compared = compared_in(loaded[0], rows, measures=measures, ranks=ranks)
    over, ranked = claims.measure_tables(compared)
    few = replace(compared, ranks=(structs.replace(ranks[0], num_seeds=4),))
    assert claims.measure_tables(few)[1].rows[0][2].is_few
    assert not ranked.rows[0][2].is_few
    nothing = ("\u2013",) * 2
    retained = "0.50 [0.40, 0.60]"
    assert over.rows[0] == (
        "all perturbations",
        "wsa",
        "1",
        "1.00 [0.50, 2.50]",
        *nothing,
        retained,
        *("0.38 [0.25, 0.50]", "0.25", "0.12"),  # what stands beside every average of retention
        *nothing,
        *nothing,
        "\u2013",
    )
    assert over.bold == {(0, 6)}
    assert ranked.rows == (("invert", "wsa", "1.5 [1, 2]", "1", "+0.5"),)
    retention = claims.side_by_side_tables(compared)[1]
    assert retention.bold == {(len(retention.rows) - 1, 1)}
    beside = "(0.38, 25%, 12%)"
    assert retention.rows[-1] == ("all perturbations", f"0.50 [0.40, 0.60] {beside}", f"0.25 [0.20, 0.30] {beside}")
    assert "In parentheses" in retention.caption
    assert all("(" not in cell for row in retention.rows[:-1] for cell in row[1:])  # one game: each is one cell
    over_games = tuple(
        structs.replace(row, num_retention_games=2, kept_share=0.5, lost_share=0.0, capped_retention=Bounded(0.75))
        for row in loaded[0].perturbations
    )
    (_, retention) = claims.side_by_side_tables(replace(loaded[0], perturbations=over_games, measures=()))
    assert all(cell.endswith(" (0.75, 50%, 0%)") for row in retention.rows for cell in row[1:])
    assert "In parentheses" in retention.caption


def test_the_best_of_three_beats_both_others(loaded):
    rows = [comparison("invert", 0.2, True), comparison("invert", 0.1, False, ("wsa", "own"))]
    agents = ("wsa", "e2e", "own")
    three = compared_in(loaded[0], rows, agents=agents, compared=agents)
    assert claims.claimed_best(three, "retention") == set()
    won = structs.replace(rows[1], decided=True)
    three = replace(three, comparisons=(rows[0], won))
    assert claims.claimed_best(three, "retention") == {("invert", "wsa")}


def test_without_comparisons_nothing_is_bold(loaded):
    content = content_of(*loaded)
    assert not any(table.bold for table in content.tables if "Compar" not in table.title) or loaded[0].comparisons


def test_bold_stands_in_every_format(loaded):
    summary = compared_in(loaded[0], [comparison("hue-rotate", 0.2, True)], (Sentence("wsa keeps more: +0.20."),))
    content = content_of(summary, loaded[1])
    page, text = html_page(content, []), markdown_text(content, [])
    table = next(table for table in content.tables if table.title == "Retention by agent")
    ((row, column),) = table.bold
    cell = table.rows[row][column]
    assert (table.rows[row][0], table.columns[column]) == ("hue-rotate@3", "wsa")
    assert page.count(f"<b>{cell}</b>") == 2  # side by side, and in the table with everything
    assert text.count(f"**{cell}**") == 2
    value, bounds = cell.split(" ", 1)
    assert rf"hue-rotate@3 & \textbf{{{value}}} {escape(bounds)} &" in latex(table)
    assert page.count("<b>") == 2 + page.count("<figcaption><b>")
    assert "wsa keeps more: +0.20." in page
    assert "wsa keeps more: +0.20." in text


def test_comparisons_are_told_with_their_p_values(loaded):
    rows = [comparison("invert", -0.2, True), comparison("hue-rotate", 0.05, False)]
    (table,) = claims.comparison_tables(compared_in(loaded[0], rows))
    assert table.rows[0][2:] == (
        "\u22120.20 [\u22120.30, \u22120.10]",
        "0.010",
        "<0.001",
        "<0.001",
        "0.15",
        "5 and 6",
        "decided",
    )
    assert table.rows[1][-1] == "not decided"
    few = structs.replace(comparison("invert", 0.5, False), num_seeds_x=4)
    late = structs.replace(comparison("value", 0.5, False), smallest_p=0.056)
    (table,) = claims.comparison_tables(compared_in(loaded[0], [few, late]))
    assert [row[-1] for row in table.rows] == ["undecidable", "undecidable"]
    assert table.is_folded


def test_a_game_that_is_left_out_stands_under_the_table_and_so_does_what_is_no_claim(loaded):
    row = structs.replace(comparison("invert", 0.2, True), left_out=("pong",))
    (table,) = claims.comparison_tables(compared_in(loaded[0], [row]))
    assert "Without pong: see the caveats." in table.caption
    nothing = {
        "effect": Bounded(float("nan")),
        "p": float("nan"),
        "adjusted_p": float("nan"),
        "smallest_p": float("nan"),
    }
    row = structs.replace(row, **nothing, obstacle="clean score not above the floor", decided=False)
    (table,) = claims.comparison_tables(compared_in(loaded[0], [row]))
    assert table.rows[0][2:6] == ("\u2013",) * 4
    assert table.rows[0][-1] == "no claim: clean score not above the floor"


def test_equivalence_has_its_column_where_it_was_asked_for():
    summary = summarise(run({"wsa": 6.0, "e2e": 6.02}, num_seeds=8), equivalence_margin=0.05)
    between, clean = claims.comparison_tables(summary)
    assert between.columns[-2:] == clean.columns[-2:] == ("equivalence p", "conclusion")
    assert between.rows[0][-1] == "equivalent within 0.05"
    assert float(between.rows[0][-2].replace("<", "")) < 0.05
    without = claims.comparison_tables(summarise(run({"wsa": 6.0, "e2e": 6.02}, num_seeds=8)))
    assert not any("equivalence p" in table.columns for table in without)


def test_tables_say_that_their_intervals_are_simultaneous():
    for table in claims.comparison_tables(summarise(run({"wsa": 6.0, "e2e": 4.0}))):
        assert "simultaneous interval" in table.columns[2]
        assert "Intervals are simultaneous: 95% of runs have all differences of a scope" in table.full_caption


def test_many_pairs_stand_in_one_folded_table_with_the_strongest_first(loaded):
    names = [f"agent-{number:02}" for number in range(20)]
    rows = [
        structs.replace(comparison(label, 0.2, place % 3 == 0, pair), adjusted_p=0.0001 * (1 + place))
        for place, pair in enumerate(itertools.combinations(names, 2))
        for label in ("invert", "hue-rotate")
    ]
    rows = [structs.replace(one, sentence=sentence_of(one)) for one in rows]
    summary = compared_in(loaded[0], rows, sentences_of(rows, names))
    (table,) = claims.comparison_tables(summary)
    assert (table.title, table.is_folded, len(table.rows)) == ("Comparisons of all pairs", True, 200)
    assert table.caption.startswith("The strongest 200 of 380 comparisons of 190 pairs, the strongest first; csv/")
    conclusions = [row[-1] for row in table.rows]
    assert conclusions == ["decided"] * 128 + ["not decided"] * 72
    assert table.rows[0][:2] == ("agent-00", "agent-01")
    page = html_page(content_of(summary, loaded[1]), [])
    assert re.search(r"<details[^>]*><summary><h3[^>]*>Comparisons of all pairs</h3> <span[^>]*>200 rows", page)
    # The page stays readable: the strongest are told, the rest is counted.
    assert len(summary.sentences) == 21
    assert all("than" in one.text for one in summary.sentences[:20])
    assert summary.sentences[20].text == (
        "360 more conclusions between agents stand in the tables: 108 decided, 252 not decided."
    )


def test_clean_comparisons_are_concluded_as_the_sentences_say():
    names = ("hue-rotate", "value")
    summary = summarise(run({"wsa": 5.0, "e2e": 8.0}, perturbed=names, num_seeds=6))
    table = next(t for t in claims.comparison_tables(summary) if t.title == "Clean against perturbed")
    said = {one.perturbation + one.agent_x: one.sentence for one in summary.clean_comparisons}
    conclusions = {row[1] + row[0]: row[-1] for row in table.rows}
    assert conclusions["value" + "wsa"] == "undecidable"  # two tests: 2 x 2 / 64
    assert "cannot be decided with 6 seeds" in said["value" + "wsa"]
    summary = summarise(run({"wsa": 5.0, "e2e": 8.0}, perturbed=names, num_seeds=8))
    table = next(t for t in claims.comparison_tables(summary) if t.title == "Clean against perturbed")
    conclusions = {row[1] + row[0]: row[-1] for row in table.rows}
    assert conclusions["value" + "wsa"] == "decided"
    assert conclusions["value" + "e2e"] == "not decided"
    assert all(row[-2] == "8" for row in table.rows)


def test_latex_is_whole_and_escaped():
    table = Table("A_b", "50%", ("x", "y"), (("a&b", "\u22121"), ("[c", "2")), 1, frozenset({(1, 1)}))
    text = latex(table)
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1
    assert r"\caption{A\_b. 50\%}\label{tab:a_b}" in text
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert lines == [r"x & y \\", r"a\&b & $-$1 \\", r"{}[c & \textbf{2} \\"]
    assert text.count("{") == text.count("}")


def test_long_tables_go_over_pages():
    text = latex(Table("t", "", ("x",), tuple((str(i),) for i in range(41)), 1))
    assert r"\begin{longtable}{l}" in text
    assert r"\end{longtable}" in text


WIDE = Table(
    "w",
    "",
    ("perturbation", "agent", *(f"measure {place} of several" for place in range(8))),
    (("hue-rotate", "wsa", *(f"0.{place}0 [0.10, 0.20]" for place in range(8))),),
    2,
    frozenset({(0, 9)}),
)


def test_wide_tables_are_small_and_stacked_with_their_names_again():
    text = latex(WIDE)
    assert r"\fontsize{7}" in text
    assert r"\fontsize" not in latex(Table("t", "", ("x", "y"), (("a", "1"),), 1))
    assert "resizebox" not in text
    parts = text.split(r"\begin{tabular}{ll")[1:]
    assert len(parts) == 2
    for part in parts:
        assert "hue-rotate & wsa & 0." in part
    assert sum(part.count("[0.10, 0.20]") for part in parts) == 8
    assert r"\textbf{0.70} [0.10, 0.20]" in parts[1]
    # The head is as wide as the numbers below it.
    assert r"\begin{tabular}[b]{@{}r@{}}measure 0 of \\ several\end{tabular}" in parts[0]


def test_long_texts_are_broken_into_lines():
    words = " ".join(["source"] * 30)
    text = latex(Table("t", "", ("name", "source", "n"), (("a", words, "1"),), 2))
    found = re.search(r"a & \\parbox\[t\]\{([\d.]+)pt\}\{\\raggedright ([^{}]*)\\strut\} & 1", text)
    assert found[2] == words
    assert 300 < float(found[1]) < 6.8 * 72.27


def test_quotes_open_and_close():
    assert escape("'these only': the agents' own") == "`these only': the agents' own"


def test_latex_knows_every_special_character():
    assert escape("\\{}~^#$") == (r"\textbackslash{}\{\}\textasciitilde{}\textasciicircum{}\#\$")


def test_a_repeated_name_is_left_blank():
    table = Table("t", "", ("perturbation", "agent", "n"), (("invert", "a", "1"), ("invert", "b", "2")), 2)
    assert r" & b & 2 \\" in latex(table).splitlines()


def test_markdown_marks_claims():
    assert "| x | **1** |" in markdown(Table("t", "", ("a", "b"), (("x", "1"),), 1, frozenset({(0, 1)})))


def test_what_cannot_be_decided_is_one_sentence_and_its_brief_form_names_no_perturbations():
    names = [f"name-{i}" for i in range(100)]
    few = {"num_seeds_x": 4, "num_seeds_y": 4}
    tests = [structs.replace(comparison(name, 0.2, False), **few) for name in names]
    assert sentences_of(tests, ("wsa",)) == ()
    said = undecided_sentence(tests)
    why = "(4 seeds, at least 5 are needed)."
    assert said.text == f"Cannot be decided: wsa against e2e under {', '.join(names[:-1])} and {names[-1]} {why}"
    assert said.brief == f"Cannot be decided: wsa against e2e {why}"
    short = undecided_sentence(tests[:2])
    assert short == Sentence(f"Cannot be decided: wsa against e2e under name-0 and name-1 {why}")
    own = [structs.replace(one, agent_y=None) for one in tests[:2]]
    both = undecided_sentence([*tests[:1], *own])
    assert "wsa against e2e under name-0, and perturbed against clean play of wsa under name-0 and name-1" in both.text
    assert undecided_sentence([comparison("invert", 0.2, True)]) is None


def test_what_cannot_be_decided_is_known_by_its_reason_and_not_by_its_words():
    # The name holds the words that a sentence about an undecidable test has.
    odd = comparison("x cannot be decided with", 0.2, True)
    odd = structs.replace(odd, sentence=sentence_of(odd))
    assert " cannot be decided " in odd.sentence
    late = structs.replace(comparison("invert", 0.2, False), smallest_p=0.056, num_seeds_y=5)
    few = structs.replace(comparison("value", 0.2, False), num_seeds_x=4, num_seeds_y=4)
    assert sentences_of([odd, late, few], ("wsa",)) == (Sentence(odd.sentence),)
    assert undecided_sentence([odd, late, few]).text == (
        "Cannot be decided: wsa against e2e under invert (with 5 seeds the smallest possible adjusted p is 0.056); "
        "wsa against e2e under value (4 seeds, at least 5 are needed)."
    )


def test_what_is_shortened_can_be_unfolded(loaded):
    sentence = Sentence("All of the names.", "Some of the names.")
    page = html_page(content_of(compared_in(loaded[0], [], (sentence,)), loaded[1]), [])
    assert "<summary>Some of the names.</summary>All of the names.</details>" in page


def test_with_one_perturbation_no_row_says_again_what_the_only_one_says(tmp_path):
    wholes = []
    for cells in (CELLS[:2], CELLS):
        directory = write_result_set(tmp_path / f"{len(cells)}", train_seeds=(0, 1, 2, 3, 4), cells=cells)
        summary = summarise(load_result(directory))
        tables = [*claims.side_by_side_tables(summary), *claims.measure_tables(summary)]
        tables += [*claims.comparison_tables(summary), *improvement_summary_tables(summary)]
        wholes.append([table.title for table in tables if "all perturbations" in {row[0] for row in table.rows}])
        assert all(len(table.rows) > 0 for table in tables)
    assert wholes == [
        [],
        [
            "Normalised score by agent",
            "Retention by agent",
            "Robustness over severities",
            "Ranks",
            "Comparison of wsa with e2e",
            "Probability that wsa beats e2e",
        ],
    ]
