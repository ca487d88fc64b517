"""What one average does not show, as tables; an analysis for which the data are too few has a line with the reason."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from wsabench.report.tables.text import BESIDE_MEANS, DASH, Table, beside_mean, estimate, number
from wsabench.stats import COMPONENTS, MIN_TRAIN_SEEDS, NORMALISERS
from wsabench.summary.insight_rows import ComponentRow, GameRow, Insight, NewGameRow, NormaliserRow
from wsabench.summary.rows import Bounded, grouped

_NOT_OVER_SEEDS = MIN_TRAIN_SEEDS
"""Stands for the number of train seeds where an interval is not over them, so that it has no mark."""


def insight_tables(insight: Insight) -> list[Table]:
    """Return the tables of every analysis that has numbers, and one of the reasons why others have none.

    Args:
        insight: The numbers.
    """
    found = [
        _effective_table(insight),
        _correlation_table(insight),
        _component_table(insight),
        _tail_table(insight),
        *_normaliser_tables(insight),
        *_game_tables(insight),
        _reason_table(insight),
    ]
    return [table for table in found if table and table.rows]


def _effective_table(insight: Insight) -> Table | None:
    rows = tuple(
        (row.agent, number(row.clean), number(row.perturbed), estimate(row.value, row.num_seeds, row.num_games))
        for row in insight.effective_robustness
    )
    if not rows:
        return None
    first = insight.effective_robustness[0]
    caption = (
        "Perturbed score minus what the clean score lets expect, by a line through the checkpoints of the other agents "
        f"(of all: {number(first.intercept)} + {number(first.slope)} times clean). Above 0: more robust than agents "
        "that play clean as well."
        f"{_notes(row.note for row in insight.effective_robustness)}"
    )
    columns = ("agent", "clean", "perturbed", "effective robustness")
    brackets = "Brackets: 95% interval over agents of the line and own train seeds."
    return Table("Effective robustness", caption, columns, rows, 1, brackets=brackets)


def _correlation_table(insight: Insight) -> Table:
    rows = tuple(
        (row.family, str(row.num_agents), estimate(row.value, _NOT_OVER_SEEDS)) for row in insight.rank_correlation
    )
    caption = (
        "Spearman's correlation of clean and perturbed scores over agents. Near 1: the clean order is the perturbed "
        f"order.{_notes(row.note for row in insight.rank_correlation)}"
    )
    columns = ("perturbations", "agents", "rank correlation")
    title = "Rank correlation of clean and perturbed scores"
    return Table(title, caption, columns, rows, 1, brackets="Brackets: 95% interval over agents.")


def _component_table(insight: Insight) -> Table:
    places = grouped(insight.variance_components, lambda row: (row.agent, row.game))
    rows = tuple(
        (
            agent,
            game,
            *(_standard_deviation(row) for row in part),
            *(_share(row.share) for row in part),
            *map(str, (part[0].num_seeds, part[0].num_cells, part[0].num_episodes)),
        )
        for (agent, game), part in places.items()
    )
    columns = ("agent", "game", *(f"sd, {name}" for name in COMPONENTS), *(f"share, {name}" for name in COMPONENTS))
    caption = (
        "Standard deviations of normalised scores by a mixed model, 95% intervals, and shares of the variance. Train "
        "seed: networks that are better everywhere; cell x train seed: networks that are good at different cells; "
        "episode: luck of a game. With few train seeds the first is hardly known."
    )
    return Table("Components of variance", caption, (*columns, "train seeds", "cells", "episodes"), rows, 2)


def _standard_deviation(row: ComponentRow) -> str:
    ends = (
        math.sqrt(end) if end >= 0 else math.nan for end in (row.variance.value, row.variance.low, row.variance.high)
    )
    return estimate(Bounded(*ends), _NOT_OVER_SEEDS if row.component == COMPONENTS[-1] else row.num_seeds)


def _share(value: float) -> str:
    return f"{100 * value:.0f}%" if math.isfinite(value) else DASH


def _tail_table(insight: Insight) -> Table:
    rows = tuple(
        (
            row.agent,
            row.kind,
            f"{row.chosen} ({_share(row.chosen_share)})",
            estimate(row.value, row.num_seeds, row.num_games),
            number(row.naive),
            *map(str, (row.num_groups, row.num_games, row.num_episodes)),
        )
        for row in insight.tails
    )
    columns = ("agent", "what", "most often chosen", "score", "naive", "of groups", "games", "episodes")
    caption = (
        "Mean normalised score of the worst family, and of the worst quarter of cells (conditional value at risk): "
        "half of the episodes choose, the other half measure. In brackets behind a name: in how many of the splits it "
        "was chosen. Naive: chosen and measured on the same episodes, too low."
    )
    brackets = "Brackets: 95% interval over train seeds."
    return Table("Worst family and worst cells", caption, columns, rows, 3, brackets=brackets)


def _normaliser_tables(insight: Insight) -> list[Table]:
    if not insight.normalisers:
        return []
    of_agent = grouped(insight.normalisers, lambda row: row.agent)
    rows = tuple((agent, *map(_rank_and_score, part)) for agent, part in of_agent.items())
    left_out = {row.normaliser: row.left_out for row in insight.normalisers if row.left_out}
    listed = "; ".join(f"{name}: {', '.join(games)}" for name, games in left_out.items())
    caption = (
        "Rank by mean perturbed score, in brackets that score, when scores are divided by human play, by the best "
        "clean score of any agent, by the agent's own, or taken as the logarithm of the human-normalised score."
    )
    caption += f" Left out, because the divisor is hardly above random play: {listed}." if listed else ""
    tables = [Table("Ranks under other normalisers", caption, ("agent", *NORMALISERS), rows, 1)]
    if insight.normaliser_agreement:
        rows = tuple(
            (f"{row.normaliser_x}, {row.normaliser_y}", number(row.tau)) for row in insight.normaliser_agreement
        )
        caption = (
            "Kendall's tau-b between the orders: 1 the same, -1 reversed. Where it is low, the order says as much "
            "about the normaliser as about the agents."
        )
        tables.append(Table("Agreement of normalisers", caption, ("normalisers", "rank agreement"), rows, 1))
    return tables


def _rank_and_score(row: NormaliserRow) -> str:
    return f"{row.rank:g} ({number(row.score)})" if math.isfinite(row.rank) else DASH


def _game_tables(insight: Insight) -> list[Table]:
    if len({row.game for row in insight.per_game}) < 2:
        return []
    rows = tuple(
        (game, agent, *_score_entries(part), *_retention_entries(part))
        for game, of_game in grouped(insight.per_game, lambda row: row.game).items()
        for agent, part in grouped(of_game, lambda row: row.agent).items()
    )
    columns = ("game", "agent", "score", "standard error", "mean without", "retention", "mean without, retention")
    caption = (
        "Mean over the perturbations that all compared agents played, and the mean over all other games. Standard "
        "error: over train seeds. Retention in the games where it is defined for every agent. "
        f"{BESIDE_MEANS}"
    )
    means = tuple(
        (row.agent, row.measure.replace("_", " "), str(row.num_games), *_mean_entries(row)) for row in insight.new_game
    )
    heads = ("agent", "of", "games", "mean", "a new game", "sd between games", "moves the mean most")
    about = (
        "Mean over games with the 95% interval for games of this kind, and the interval for what one new game, "
        f"measured as these were, will show. {BESIDE_MEANS}{_notes(row.note for row in insight.new_game)}"
    )
    return [
        Table("Games one by one", caption, columns, rows, 2),
        Table("Mean over games and a new game", about, heads, means, 2),
    ]


def _score_entries(part: Sequence[GameRow]) -> tuple[str, str, str]:
    row = next((row for row in part if row.measure == "normalised_score"), None)
    return (DASH, DASH, DASH) if row is None else (number(row.value), number(row.error), number(row.without))


def _retention_entries(part: Sequence[GameRow]) -> tuple[str, str]:
    """Return the retention in a game and over all others, each with what stands beside it."""
    row = next((row for row in part if row.measure == "retention"), None)
    if row is None:
        return DASH, DASH
    without = row.without_capped_retention, row.without_kept_share, row.without_lost_share
    return (
        beside_mean(number(row.value), row.capped_retention, row.kept_share, row.lost_share),
        beside_mean(number(row.without), *without),
    )


def _mean_entries(row: NewGameRow) -> tuple[str, str, str, str]:
    new = row.new_game
    bounds = f"[{number(new.low)}, {number(new.high)}]" if new.has_bounds else DASH
    mean = beside_mean(estimate(row.mean, _NOT_OVER_SEEDS), row.capped_retention, row.kept_share, row.lost_share)
    return mean, bounds, number(row.between_sd), row.most_influential or DASH


def _reason_table(insight: Insight) -> Table:
    rows = tuple((row.analysis, row.reason) for row in insight.too_few)
    return Table(
        "Not shown, and why", "What the data are too few for, as a whole or in part.", ("analysis", "reason"), rows, 2
    )


def _notes(notes: Iterable[str]) -> str:
    """Return the different notes of some rows as sentences."""
    return "".join(f" {note[:1].upper()}{note[1:]}." for note in dict.fromkeys(notes) if note)
