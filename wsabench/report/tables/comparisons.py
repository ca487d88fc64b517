"""What may be claimed about agents: decided comparisons, as tables and as numbers in bold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from wsabench.report.tables.results import BESIDE_CAPTION, games_of, is_over_less, repeated_whole
from wsabench.report.tables.text import BESIDE_MEANS, DASH, Entry, Table, beside_mean, estimate, number, p_value
from wsabench.results.records import CLEAN
from wsabench.stats import are_enough
from wsabench.summary.aggregates import ALL_PERTURBATIONS
from wsabench.summary.rows import Claim, Measure, MeasureRow, PerturbationRow, PublishedRow, RankRow, grouped
from wsabench.summary.summarise import Summary
from wsabench.words import MINUS

_BRACKETS = "Brackets: 95% interval over train seeds."
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
    "capped_retention": "capped retention",
    "kept_share": "cells kept",
    "lost_share": "cells lost",
    "robustness_gap": "robustness gap",
    "corruption_error": "corruption error",
    "error_difference": "error difference",
    "relative_corruption_error": "relative corruption error",
    "loss_difference": "loss difference",
}
_SHARES = ("kept_share", "lost_share")
_SIMULTANEOUS = (
    "Intervals are simultaneous: 95% of runs have all differences of a scope (of all pairs and perturbations) inside."
)
_TEST_COLUMNS = ("p", "adjusted p", "smallest possible", "found with 80% power", "train seeds")
_TEST_CAPTION = (
    "Adjusted p: step-down max-T over perturbations, or t tests after Holm where that is larger, then over {who}. "
    "Smallest possible: what the adjusted p could reach at best with these train seeds; above 0.05 nothing can be "
    "decided and no p is given. Found with 80% power: how large a difference must be for this very run."
)
_MOST_PAIR_TABLES = 6
"""Pairs of agents that have a table each; of more pairs the strongest results stand in one."""
_MOST_ROWS = 200
"""Rows of a table of many pairs; the CSV file has all."""
_UNFOLDED_ROWS = 40
_TITLES: dict[Measure, str] = {"normalised_score": "Normalised score by agent", "retention": "Retention by agent"}


def claimed_best(summary: Summary, measure: Measure) -> set[tuple[str, str]]:
    """Return the (perturbation, agent) pairs of which it may be said that the agent is the most robust.

    Args:
        summary: The numbers.
        measure: `normalised_score`, `retention` or `robustness_gap`.

    Returns:
        The pairs where decided comparisons put the agent before every other compared agent. Comparisons are about a
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
                text = estimate(row.measured(measure), row.num_seeds, games_of(row, measure))
                is_mean = measure == "retention" and row.num_retention_games > 1
                shown.setdefault(row.label, {})[row.agent] = _beside(text, row) if is_mean else text
        for row in summary.measures:
            if row.perturbation == ALL_PERTURBATIONS:
                text = estimate(row.bounded(_WHOLE[measure]), row.num_seeds, games_of(row, measure))
                shown.setdefault(ALL_PERTURBATIONS, {})[row.agent] = (
                    _beside(text, row) if measure == "retention" else text
                )
        left_out = repeated_whole(shown, summary)
        shown = {label: of for label, of in shown.items() if label not in left_out}
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
            if any(is_over_less(row, summary) for row in summary.measures if row.perturbation == ALL_PERTURBATIONS):
                over = " Each row over the games that an agent played it in; all perturbations: what all agents played."
            has_means = measure == "retention" and (
                ALL_PERTURBATIONS in shown or any(row.num_retention_games > 1 for row in summary.perturbations)
            )
            parts = (over.strip(), BESIDE_MEANS if has_means else "", _bold_means(summary) if bold else "")
            caption = " ".join(part for part in parts if part)
            columns = ("perturbation", *summary.agents)
            tables.append(Table(title, caption, columns, tuple(rows), 1, frozenset(bold), brackets=_BRACKETS))
    return tables


def _beside(text: str, row: PerturbationRow | MeasureRow) -> str:
    return beside_mean(text, row.capped_retention.value, row.kept_share, row.lost_share)


def with_claims(table: Table, summary: Summary, measures: dict[Measure, int]) -> Table:
    """Return a table whose rows begin with label (or perturbation) and agent, its claims in bold.

    Args:
        table: The table.
        summary: The numbers; with several games the claims are about their mean.
        measures: The place of the column of each measure.
    """
    bold: set[tuple[int, int]] = set()
    for measure, column in measures.items():
        best = claimed_labels(summary, measure) | claimed_best(summary, measure)
        bold |= {(place, column) for place, row in enumerate(table.rows) if (row[0], row[1]) in best}
    caption = f"{table.caption} {_bold_means(summary)}" if bold else table.caption
    return replace(table, caption=caption, bold=frozenset(bold))


def measure_tables(summary: Summary) -> list[Table]:
    """Return a table of the measures over severities and a table of the ranks, where the summary has them."""
    tables: list[Table] = []
    if summary.measures:
        left_out = repeated_whole((row.perturbation for row in summary.measures), summary)
        rows = [
            (
                name,
                row.agent,
                str(row.num_severities),
                *(_measured(row, column) for column in _MEASURE_NAMES),
            )
            for name, part in grouped(summary.measures, lambda row: row.perturbation).items()
            if name not in left_out
            for row in part
        ]
        caption = (
            "Over the severities of each perturbation. Area over dose: mean score over the measured change, from the "
            f"weakest to the strongest severity, without clean.{_without_area(summary)} {BESIDE_CAPTION} Corruption "
            f"error: error relative to {summary.measures[0].baseline} under the same perturbation, below 1 is better; "
            "error difference: minus its error, below 0 is better, defined also where it makes none. Relative "
            "corruption error and loss difference: the same of what is lost against clean."
        )
        heads = ("perturbation", "agent", "severities", *_MEASURE_NAMES.values())
        places: dict[Measure, int] = {
            measure: 3 + list(_MEASURE_NAMES).index(column) for measure, column in _WHOLE.items()
        }
        table = Table("Robustness over severities", caption, heads, tuple(rows), 2, brackets=_BRACKETS)
        tables.append(with_claims(table, summary, places))
    if summary.ranks:
        left_out = repeated_whole((row.perturbation for row in summary.ranks), summary)
        rows = [
            (row.perturbation, row.agent, _rank(row), _place(row.clean_rank), _change(row.change))
            for row in summary.ranks
            if row.perturbation not in left_out
        ]
        caption = "By mean normalised score, 1 is best. Change above 0: falls behind clean."
        caption += "" if summary.compared == summary.agents else " Among agents on pixels."
        columns = ("perturbation", "agent", "rank", "clean rank", "change")
        tables.append(Table("Ranks", caption, columns, tuple(rows), 2, brackets="Brackets: 95% interval."))
    return tables


def _measured(row: MeasureRow, column: str) -> str:
    """Return a measure with its interval; shares of cells have none."""
    if column in _SHARES:
        return number(getattr(row, column))
    return estimate(row.bounded(column), row.num_seeds, games_of(row, column))


def _without_area(summary: Summary) -> str:
    """Name the perturbations that have no area over dose, by reason."""
    reasons = {row.perturbation: row.area_reason for row in summary.measures if row.perturbation != ALL_PERTURBATIONS}
    named = grouped((name for name, reason in reasons.items() if reason), reasons.__getitem__)
    listed = "; ".join(f"{reason}: {', '.join(names)}" for reason, names in named.items())
    return f" None for {listed}." if listed else ""


def comparison_tables(summary: Summary) -> list[Table]:
    """Return the tables of comparisons: between agents, clean against perturbed play, and with published scores."""
    margin = summary.options.equivalence_margin
    tables = _tables_of_pairs(summary, margin)
    if summary.clean_comparisons:
        rows = tuple((one.agent_x, one.perturbation, *_test_entries(one, margin)) for one in summary.clean_comparisons)
        caption = (
            "Robustness gap: clean minus perturbed normalised score, paired within train seeds. "
            f"{_caption('agents', margin)}"
        )
        columns = ("agent", "perturbation", "robustness gap, simultaneous interval", *_test_columns(margin))
        folded = len(rows) > _UNFOLDED_ROWS or all(one.undecidable for one in summary.clean_comparisons)
        table = Table("Clean against perturbed", caption, columns, rows, 2, is_folded=folded, brackets=_SIMULTANEOUS)
        tables.append(table)
    if summary.published:
        caption = "Other protocols and training budgets: for orientation."
        columns = ("game", "agent", "algorithm", "source", "mean", "sd", "normalised score")
        rows = tuple(map(_published_row, summary.published))
        tables.append(Table("Scores from the literature", caption, columns, rows, 4))
    return tables


def _tables_of_pairs(summary: Summary, margin: float | None) -> list[Table]:
    """Return the comparisons between agents: a table a pair, or of many pairs one with the strongest first."""
    left_out = repeated_whole((claim.perturbation for claim in summary.comparisons), summary)
    comparisons = [claim for claim in summary.comparisons if claim.perturbation not in left_out or claim.obstacle]
    pairs = grouped(comparisons, lambda claim: (claim.agent_x, claim.agent_y))
    columns = ("perturbation", "of", "difference, simultaneous interval", *_test_columns(margin))
    if len(pairs) <= _MOST_PAIR_TABLES:
        return [
            Table(
                f"Comparison of {agent_x} with {agent_y}",
                f"Difference: {agent_x} minus {agent_y}.{_left_out(pair)} {_caption('pairs of agents', margin)}",
                columns,
                tuple((one.perturbation, one.measure.replace("_", " "), *_test_entries(one, margin)) for one in pair),
                2,
                is_folded=all(one.undecidable for one in pair),
                about=(agent_x, agent_y or ""),
                brackets=_SIMULTANEOUS,
            )
            for (agent_x, agent_y), pair in pairs.items()
        ]
    strongest = sorted(comparisons, key=_strength)[:_MOST_ROWS]
    rows = tuple(
        (one.agent_x, one.agent_y or "", one.perturbation, one.measure.replace("_", " "), *_test_entries(one, margin))
        for one in strongest
    )
    shown = "All" if len(rows) == len(comparisons) else f"The strongest {len(rows)} of"
    caption = (
        f"{shown} {len(comparisons):,} comparisons of {len(pairs)} pairs, the strongest first; csv/comparisons.csv "
    )
    caption += f"has all. Difference: agent minus other. {_caption('pairs of agents', margin)}"
    heads = ("agent", "other", *columns)
    return [Table("Comparisons of all pairs", caption, heads, rows, 4, is_folded=True, brackets=_SIMULTANEOUS)]


def _strength(claim: Claim) -> tuple[int, float, float]:
    """Return a key that sorts decided claims first, then by p, then by how large a difference is for its test."""
    order = ("decided", "equivalent", "not decided", "undecidable")
    p = 2.0 if math.isnan(claim.adjusted_p) else claim.adjusted_p
    size = abs(claim.effect.value)
    return order.index(claim.verdict), p, 0.0 if math.isnan(size) else -size


def _left_out(claims: Sequence[Claim]) -> str:
    games = claims[0].left_out
    return f" Without {', '.join(games)}: see the caveats." if games else ""


def _caption(who: str, margin: float | None) -> str:
    text = _TEST_CAPTION.format(who=who)
    if margin is not None:
        text += f" Equivalence p: of a difference as large as {margin:g}, by two one-sided t tests, adjusted by Holm."
    return text


def _test_columns(margin: float | None) -> tuple[str, ...]:
    return (*_TEST_COLUMNS, *(() if margin is None else ("equivalence p",)), "conclusion")


def _bold_means(summary: Summary) -> str:
    others = "every other agent" if summary.compared == summary.agents else "every other agent on pixels"
    return f"Bold: better than {others} by a decided comparison."


def _published_row(row: PublishedRow) -> tuple[str, ...]:
    numbers = (row.mean, row.sd, row.normalised_score)
    return (row.game, row.agent, row.algorithm, row.source, *map(number, numbers))


def _test_entries(claim: Claim, margin: float | None) -> tuple[str, ...]:
    """Return effect, p values, what would be found, train seeds and conclusion of a test."""
    seeds = str(min(claim.seeds)) if claim.agent_y is None else f"{claim.num_seeds_x} and {claim.num_seeds_y}"
    return (
        estimate(claim.effect, min(claim.seeds), claim.num_games),
        p_value(claim.p),
        p_value(claim.adjusted_p),
        p_value(claim.smallest_p),
        "none" if math.isinf(claim.detectable) else number(claim.detectable),
        seeds,
        *(() if margin is None else (p_value(claim.equivalence_p),)),
        _conclusion(claim),
    )


def _conclusion(claim: Claim) -> str:
    if claim.obstacle:
        return f"no claim: {claim.obstacle}"
    if claim.equivalent:
        also = "" if claim.verdict == "equivalent" else f"{claim.verdict}, "
        return f"{also}equivalent within {claim.equivalence_margin:g}"
    return claim.verdict


def _rank(row: RankRow) -> str:
    """Return a rank with its interval of whole ranks."""
    if not row.rank.has_bounds:
        return _place(row.rank.value)
    text = f"{row.rank.value:g} [{row.rank.low:g}, {row.rank.high:g}]"
    return Entry(text, has_interval=True, is_few=not are_enough(row.num_seeds, row.num_games))


def _place(value: float) -> str:
    """Return a rank; a dash where clean was not played."""
    return DASH if math.isnan(value) else f"{value:g}"


def _change(value: float) -> str:
    """Return a change of rank with its sign; 0 has none, and a dash where there is no clean rank."""
    if math.isnan(value):
        return DASH
    return "0" if value == 0 else f"{value:+g}".replace("-", MINUS)
