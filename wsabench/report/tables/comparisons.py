"""What may be claimed about agents: decided comparisons, as tables and as what is set in bold."""

from __future__ import annotations

import math
from dataclasses import replace

from wsabench.report.tables.text import DASH, FEW, Table, estimate, number, p_value
from wsabench.results.records import CLEAN
from wsabench.stats import MIN_TRAIN_SEEDS
from wsabench.summary.aggregates import ALL_PERTURBATIONS
from wsabench.summary.rows import Claim, Measure, PublishedRow, RankRow, grouped
from wsabench.summary.summarise import Summary

_WHOLE: dict[Measure, str] = {
    "normalised_score": "mean_score",
    "retention": "retention",
    "robustness_gap": "robustness_gap",
}
"""How the rows of `Summary.measures` name the measures."""
_MEASURE_NAMES = {
    "mean_score": "mean score",
    "worst_score": "worst score",
    "dose_area": "area over dose",
    "retention": "retention",
    "robustness_gap": "robustness gap",
    "corruption_error": "corruption error",
    "error_difference": "error difference",
    "relative_corruption_error": "relative corruption error",
    "loss_difference": "loss difference",
}
_TEST_COLUMNS = ("p", "adjusted p", "smallest possible", "train seeds", "conclusion")
_TEST_CAPTION = (
    "Adjusted p: after Holm over the comparisons of this family. Smallest possible: what the adjusted p could reach at "
    "best with these train seeds; above 0.05 nothing can be decided."
)
_TITLES: dict[Measure, str] = {"normalised_score": "Normalised score by agent", "retention": "Retention by agent"}


def claimed_best(summary: Summary, measure: Measure) -> set[tuple[str, str]]:
    """Return the (perturbation, agent) pairs of which it may be said that the agent is the most robust.

    Args:
        summary: The numbers.
        measure: `normalised_score`, `retention` or `robustness_gap`.

    Returns:
        Those where a decided comparison puts the agent before every other compared agent. Comparisons are about a
        perturbation as a whole (its name without severity, or `all perturbations`); an effect above 0 speaks for their
        first agent.
    """
    beaten: dict[tuple[str, str], set[str | None]] = {}
    for claim in summary.comparisons:
        if claim.measure == measure and (winner := claim.better):
            loser = claim.agent_y if winner == claim.agent_x else claim.agent_x
            beaten.setdefault((claim.perturbation, winner), set()).add(loser)
    return {place for place, losers in beaten.items() if losers >= set(summary.compared) - {place[1]}}


def claimed_labels(summary: Summary, measure: Measure) -> set[tuple[str, str]]:
    """Return the claims as (label, agent) pairs: where one severity was played, the claim is about that cell.

    Args:
        summary: The numbers.
        measure: As in `claimed_best`.
    """
    labels = {
        name: {row.label for row in rows}
        for name, rows in grouped(summary.perturbations, lambda row: row.perturbation).items()
    }
    return {
        (label, agent)
        for name, agent in claimed_best(summary, measure)
        if len(labels.get(name, ())) == 1
        for label in labels[name]
    }


def side_by_side_tables(summary: Summary) -> list[Table]:
    """Return one table for each measure with a column for each agent, bold where a claim holds."""
    tables: list[Table] = []
    for measure, title in _TITLES.items():
        if all(math.isnan(row.measured(measure).value) for row in summary.perturbations):
            continue
        best = claimed_labels(summary, measure) | claimed_best(summary, measure)
        shown: dict[str, dict[str, str]] = {}
        for row in summary.perturbations:
            if measure != "retention" or row.label != CLEAN:
                shown.setdefault(row.label, {})[row.agent] = estimate(row.measured(measure), row.num_seeds)
        for row in summary.measures:
            if row.perturbation == ALL_PERTURBATIONS:
                text = estimate(row.bounded(_WHOLE[measure]), row.num_seeds)
                shown.setdefault(ALL_PERTURBATIONS, {})[row.agent] = text
        rows = [(label, *(of.get(agent, DASH) for agent in summary.agents)) for label, of in shown.items()]
        bold = {
            (place, column)
            for place, label in enumerate(shown)
            for column, agent in enumerate(summary.agents, 1)
            if (label, agent) in best
        }
        if rows:
            games = summary.num_games
            over = "" if games == 1 else f" Mean over {games} games."
            caption = f"Brackets: 95% interval over train seeds.{over}"
            if len(summary.compared) > 1:
                caption += f" {_bold_means(summary)}"
            tables.append(Table(title, caption, ("perturbation", *summary.agents), tuple(rows), 1, frozenset(bold)))
    return tables


def with_claims(table: Table, summary: Summary, measures: dict[Measure, int]) -> Table:
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
    """Return the measures over severities and the ranks, one table for each, where the summary has them."""
    tables: list[Table] = []
    if summary.measures:
        rows = [
            (
                name,
                row.agent,
                str(row.num_severities),
                *(estimate(row.bounded(column), row.num_seeds) for column in _MEASURE_NAMES),
            )
            for name, part in grouped(summary.measures, lambda row: row.perturbation).items()
            for row in part
        ]
        caption = (
            "Over the severities of each perturbation. Area over dose: mean score over the measured change, from the "
            f"weakest to the strongest severity, without clean.{_without_area(summary)} Corruption error: error "
            f"relative to {summary.measures[0].baseline} under the same perturbation, below 1 is better; error "
            "difference: minus its error, below 0 is better, defined also where it makes none. Relative corruption "
            "error and loss difference: the same of what is lost against clean."
        )
        heads = ("perturbation", "agent", "severities", *_MEASURE_NAMES.values())
        places: dict[Measure, int] = {
            measure: 3 + list(_MEASURE_NAMES).index(column) for measure, column in _WHOLE.items()
        }
        tables.append(with_claims(Table("Robustness over severities", caption, heads, tuple(rows), 2), summary, places))
    if summary.ranks:
        rows = [
            (row.perturbation, row.agent, _rank(row), f"{row.clean_rank:g}", _change(row.change))
            for row in summary.ranks
        ]
        caption = "By mean normalised score, 1 is best; brackets: 95% interval. Change above 0: falls behind clean."
        caption += "" if summary.compared == summary.agents else " Among agents on pixels."
        tables.append(
            Table("Ranks", caption, ("perturbation", "agent", "rank", "clean rank", "change"), tuple(rows), 2)
        )
    return tables


def _without_area(summary: Summary) -> str:
    """Name the perturbations that have no area over dose, by reason."""
    reasons = {row.perturbation: row.area_reason for row in summary.measures if row.perturbation != ALL_PERTURBATIONS}
    named = grouped((name for name, reason in reasons.items() if reason), reasons.__getitem__)
    listed = "; ".join(f"{reason}: {', '.join(names)}" for reason, names in named.items())
    return f" None for {listed}." if listed else ""


def comparison_tables(summary: Summary) -> list[Table]:
    """Return what the comparisons found: between agents, and clean against perturbed."""
    tables: list[Table] = []
    for (agent_x, agent_y), pair in grouped(summary.comparisons, lambda claim: (claim.agent_x, claim.agent_y)).items():
        rows = tuple((one.perturbation, one.measure.replace("_", " "), *_test_entries(one)) for one in pair)
        columns = ("perturbation", "of", "difference", *_TEST_COLUMNS)
        caption = f"Difference: {agent_x} minus {agent_y}, 95% interval. {_TEST_CAPTION}"
        tables.append(Table(f"Comparison of {agent_x} with {agent_y}", caption, columns, rows, 2))
    if summary.clean_comparisons:
        rows = tuple((one.agent_x, one.perturbation, *_test_entries(one)) for one in summary.clean_comparisons)
        caption = (
            "Robustness gap: clean minus perturbed normalised score, paired within train seeds, 95% interval. "
            f"{_TEST_CAPTION}"
        )
        columns = ("agent", "perturbation", "robustness gap", *_TEST_COLUMNS)
        tables.append(Table("Clean against perturbed", caption, columns, rows, 2))
    if summary.published:
        caption = "Other protocols and training budgets: for orientation."
        columns = ("game", "agent", "algorithm", "source", "mean", "sd", "normalised score")
        rows = tuple(map(_published_row, summary.published))
        tables.append(Table("Scores from the literature", caption, columns, rows, 4))
    return tables


def _bold_means(summary: Summary) -> str:
    others = "every other agent" if summary.compared == summary.agents else "every other agent on pixels"
    return f"Bold: better than {others} by a decided comparison; nothing bold, nothing decided."


def _published_row(row: PublishedRow) -> tuple[str, ...]:
    numbers = (row.mean, row.sd, row.normalised_score)
    return (row.game, row.agent, row.algorithm, row.source, *map(number, numbers))


def _test_entries(claim: Claim) -> tuple[str, ...]:
    """Return effect, p values, train seeds and conclusion of a test."""
    fewest = min(claim.seeds)
    is_undecidable = claim.verdict == "undecidable"
    seeds = str(fewest) if claim.agent_y is None else f"{claim.num_seeds_x} and {claim.num_seeds_y}"
    return (
        estimate(claim.effect, fewest),
        p_value(claim.p),
        p_value(claim.adjusted_p),
        p_value(claim.smallest_p),
        seeds,
        f"cannot be decided with {fewest} seed{'s' * (fewest != 1)}" if is_undecidable else claim.verdict,
    )


def _rank(row: RankRow) -> str:
    """Return a rank with its interval of whole ranks."""
    if not row.rank.has_bounds:
        return f"{row.rank.value:g}"
    mark = FEW if row.num_seeds < MIN_TRAIN_SEEDS else ""
    return f"{row.rank.value:g} [{row.rank.low:g}, {row.rank.high:g}]{mark}"


def _change(value: float) -> str:
    """Return a change of rank with its sign; 0 has none."""
    return "0" if value == 0 else f"{value:+g}".replace("-", "\u2212")
