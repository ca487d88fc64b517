"""What may be claimed about agents: decided comparisons, as tables and as what is set in bold."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pandas as pd

from wsabench.report.tables.text import DASH, FEW, Table, estimate, frame_table, p_value
from wsabench.results.records import CLEAN
from wsabench.stats import MIN_TRAIN_SEEDS
from wsabench.summary.aggregates import ALL_PERTURBATIONS
from wsabench.summary.sentences import Claim
from wsabench.summary.significance import ALPHA
from wsabench.summary.summarise import Summary
from wsabench.summary.tables import groups_of, rows_except, rows_of, rows_where

_WHOLE_COLUMNS = {"normalised_score": "mean_score", "retention": "retention", "robustness_gap": "robustness_gap"}
"""How `Summary.measures` names the measures."""
_MEASURE_NAMES = {
    "mean_score": "mean score",
    "worst_score": "worst score",
    "severity_area": "area",
    "retention": "retention",
    "robustness_gap": "robustness gap",
    "corruption_error": "corruption error",
    "relative_corruption_error": "relative corruption error",
}
_TEST_COLUMNS = ("p", "adjusted p", "smallest possible", "train seeds", "conclusion")
_TEST_CAPTION = (
    "Adjusted p: after Holm over the comparisons of this family. Smallest possible: what the adjusted p could reach at "
    "best with these train seeds; above 0.05 nothing can be decided."
)
_TITLES = {"normalised_score": "Normalised score by agent", "retention": "Retention by agent"}


def claimed_best(summary: Summary, measure: str) -> set[tuple[str, str]]:
    """Return the (perturbation, agent) pairs of which it may be said that the agent is the most robust.

    Args:
        summary: The numbers.
        measure: `normalised_score`, `retention` or `robustness_gap`.

    Returns:
        Those where a decided comparison puts the agent before every other compared agent. Comparisons are about a
        perturbation as a whole (its name without severity, or `all perturbations`); an effect above 0 speaks for their
        first agent.
    """
    table = summary.comparisons
    if table.empty or len(summary.compared) < 2:
        return set()
    beaten: dict[tuple[str, str], set[str]] = {}
    for row in rows_of(table):
        effect = float(row["effect"])
        if row["measure"] != measure or not bool(row["decided"]) or not math.isfinite(effect) or effect == 0:
            continue
        winner, loser = (row["agent_x"], row["agent_y"]) if effect > 0 else (row["agent_y"], row["agent_x"])
        beaten.setdefault((row["perturbation"], winner), set()).add(loser)
    return {place for place, losers in beaten.items() if losers >= set(summary.compared) - {place[1]}}


def claimed_labels(summary: Summary, measure: str) -> set[tuple[str, str]]:
    """Return the claims as (label, agent) pairs: where one severity was played, the claim is about that cell.

    Args:
        summary: The numbers.
        measure: As in `claimed_best`.
    """
    best = claimed_best(summary, measure)
    cells = rows_of(summary.perturbations.drop_duplicates("label"))
    names = [row["perturbation"] for row in cells]
    alone = {row["perturbation"]: row["label"] for row in cells if names.count(row["perturbation"]) == 1}
    return {(alone[name], agent) for name, agent in best if name in alone}


def side_by_side_tables(summary: Summary) -> list[Table]:
    """Return one table a measure with a column for each agent, bold where a claim holds."""
    tables: list[Table] = []
    for measure, title in _TITLES.items():
        if summary.perturbations[measure].isna().to_numpy().all():
            continue
        best = claimed_labels(summary, measure) | claimed_best(summary, measure)
        rows: list[tuple[str, ...]] = []
        bold: set[tuple[int, int]] = set()
        table = summary.perturbations
        parts = groups_of(rows_except(table, label=CLEAN) if measure == "retention" else table, "label")
        whole = rows_where(summary.measures, perturbation=ALL_PERTURBATIONS)
        for (label,), part in [*parts, *groups_of(whole, "perturbation")]:
            column = _WHOLE_COLUMNS[measure] if label == ALL_PERTURBATIONS else measure
            by_agent = {row["agent"]: row for row in rows_of(part)}
            bold |= {(len(rows), i + 1) for i, agent in enumerate(summary.agents) if (label, agent) in best}
            rows.append((label, *(estimate(by_agent[a], column) if a in by_agent else DASH for a in summary.agents)))
        if rows:
            games = summary.cells["game"].nunique()
            over = "" if games == 1 else f" Mean over {games} games."
            caption = f"Brackets: 95% interval over train seeds.{over}"
            if len(summary.compared) > 1:
                caption += f" {_bold_means(summary)}"
            tables.append(Table(title, caption, ("perturbation", *summary.agents), tuple(rows), 1, frozenset(bold)))
    return tables


def with_claims(table: Table, summary: Summary, measures: dict[str, int]) -> Table:
    """Return a table whose rows begin with label (or perturbation) and agent, its claims in bold.

    Args:
        table: The table.
        summary: The numbers; with several games the claims are about their mean.
        measures: The column of each measure.
    """
    bold: set[tuple[int, int]] = set()
    for measure, column in measures.items():
        best = claimed_labels(summary, measure) | claimed_best(summary, measure)
        bold |= {(place, column) for place, row in enumerate(table.rows) if (row[0], row[1]) in best}
    caption = f"{table.caption} {_bold_means(summary)}" if bold else table.caption
    return replace(table, caption=caption, bold=frozenset(bold))


def measure_tables(summary: Summary) -> list[Table]:
    """Return the measures over severities and the ranks, one table each, where the summary has them."""
    tables: list[Table] = []
    measures = summary.measures
    if not measures.empty:
        columns = [name for name in _MEASURE_NAMES if name in measures]
        rows = [
            (name, row["agent"], str(int(row["num_severities"])), *(estimate(row, column) for column in columns))
            for (name,), part in groups_of(measures, "perturbation")
            for row in rows_of(part)
        ]
        baseline = str(measures["baseline"].iloc[0])
        caption = (
            "Over the severities of each perturbation. Area: under the severity curve, clean to the strongest. "
            f"Corruption error: error relative to {baseline} under the same perturbation, below 1 is better."
        )
        heads = ("perturbation", "agent", "severities", *(_MEASURE_NAMES[column] for column in columns))
        places = {measure: 3 + columns.index(column) for measure, column in _WHOLE_COLUMNS.items() if column in columns}
        tables.append(with_claims(Table("Robustness over severities", caption, heads, tuple(rows), 2), summary, places))
    ranks = summary.ranks
    if not ranks.empty:
        rows = [
            (row["perturbation"], row["agent"], _rank(row), f"{row['clean_rank']:g}", _change(row["change"]))
            for (_,), part in groups_of(ranks, "perturbation")
            for row in rows_of(part)
        ]
        caption = "By mean normalised score, 1 is best; brackets: 95% interval. Change above 0: falls behind clean."
        caption += "" if summary.compared == summary.agents else " Among agents on pixels."
        tables.append(
            Table("Ranks", caption, ("perturbation", "agent", "rank", "clean rank", "change"), tuple(rows), 2)
        )
    return tables


def comparison_tables(summary: Summary) -> list[Table]:
    """Return what the comparisons found: between agents, and clean against perturbed."""
    tables: list[Table] = []
    table = summary.comparisons
    for (agent_x, agent_y), pair in groups_of(table, "agent_x", "agent_y"):
        rows = tuple(_comparison_row(row) for row in rows_of(pair))
        columns = ("perturbation", "of", "difference", *_TEST_COLUMNS)
        caption = f"Difference: {agent_x} minus {agent_y}, 95% interval. {_TEST_CAPTION}"
        tables.append(Table(f"Comparison of {agent_x} with {agent_y}", caption, columns, rows, 2))
    clean = summary.clean_comparisons
    if not clean.empty:
        rows = tuple((str(row["agent"]), str(row["perturbation"]), *_test_cells(row)) for row in rows_of(clean))
        caption = (
            "Robustness gap: clean minus perturbed normalised score, paired within train seeds, 95% interval. "
            f"{_TEST_CAPTION}"
        )
        columns = ("agent", "perturbation", "robustness gap", *_TEST_COLUMNS)
        tables.append(Table("Clean against perturbed", caption, columns, rows, 2))
    published = summary.published
    if not published.empty:
        caption = "Other protocols and training budgets: for orientation."
        tables.append(frame_table("Scores from the literature", published, caption))
    return tables


def _bold_means(summary: Summary) -> str:
    others = "every other agent" if summary.compared == summary.agents else "every other agent on pixels"
    return f"Bold: better than {others} by a decided comparison; nothing bold, nothing decided."


def _comparison_row(row: dict[str, Any]) -> tuple[str, ...]:
    return (str(row["perturbation"]), str(row["measure"]).replace("_", " "), *_test_cells(row))


def _test_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Return effect, p values, train seeds and conclusion of a test."""
    claim = Claim.of(row, ALPHA)
    fewest = min(claim.seeds)
    bounds = {"value": row["effect"], "low": row["low"], "high": row["high"], "num_seeds": fewest}
    conclusion = "decided" if bool(row["decided"]) else "not decided"
    if not claim.is_decidable:
        conclusion = f"cannot be decided with {fewest} seed{'s' * (fewest != 1)}"
    both = "num_seeds_x" in row
    seeds = f"{row['num_seeds_x']} and {row['num_seeds_y']}" if both else str(fewest)
    return (
        estimate(bounds, "value"),
        p_value(row["p"]),
        p_value(row["adjusted_p"]),
        p_value(row["smallest_p"]),
        seeds,
        conclusion,
    )


def _rank(row: dict[str, Any]) -> str:
    """Return a rank with its interval of whole ranks."""
    if pd.isna(row["low"]) or pd.isna(row["high"]):
        return f"{row['rank']:g}"
    mark = FEW if row.get("num_seeds", MIN_TRAIN_SEEDS) < MIN_TRAIN_SEEDS else ""
    return f"{row['rank']:g} [{row['low']:g}, {row['high']:g}]{mark}"


def _change(value: float) -> str:
    """Return a change of rank with its sign; 0 has none."""
    return "0" if value == 0 else f"{value:+g}".replace("-", "\u2212")
