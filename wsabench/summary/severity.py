"""Robustness of each agent over the severities of a perturbation, beside a baseline, and ranks against clean."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from wsabench import stats
from wsabench.results.records import CLEAN
from wsabench.seeding import generator
from wsabench.stats import Blocks, DoseArea, Estimate, MeanDoseArea
from wsabench.summary.aggregates import ALL_PERTURBATIONS, by_agent, common_cells
from wsabench.summary.rows import Bounded, CellRow, DoseRow, MeasureRow, RankRow, grouped
from wsabench.summary.scores import GameScores
from wsabench.types import FloatArray

QUANTITIES = ("mean_score", "worst_score", "dose_area", "retention", "robustness_gap")
"""What is measured of every agent by itself."""
ERRORS = ("corruption_error", "relative_corruption_error", "error_difference", "loss_difference")
"""What is measured relative to the baseline: two ratios, which it can leave undefined, and their differences."""
DEFAULT_BASELINE = "e2e"
"""The baseline of corruption errors where it was played; else the agent that was named last."""

Effects = Mapping[str, Mapping[str, float]]
"""Mean change of the observation in grey levels, by game and label."""


class _Entry(NamedTuple):
    """Where a perturbation's cells of one game stand in `_blocks`, severities rising."""

    game: int
    """The game's place."""
    columns: list[int]
    doses: list[float] | None
    """Grey levels of each column, NaN where they were not measured; None where the perturbation has no scale."""


Layout = dict[str, list[_Entry]]
"""By perturbation: one entry for each game that has it."""


def default_baseline(agents: Iterable[str]) -> str:
    """Return the agent that corruption errors are relative to where none is named.

    Args:
        agents: At least one.
    """
    names = list(agents)
    return DEFAULT_BASELINE if DEFAULT_BASELINE in names else names[-1]


def measure_table(
    scores: Sequence[GameScores], bootstrap_seed: int, baseline: str | None = None, effects: Effects | None = None
) -> tuple[MeasureRow, ...]:
    """Return one row for each agent and perturbation, averaged over games, and one over all perturbations.

    Args:
        scores: Every agent and game.
        bootstrap_seed: Fixes the resampling.
        baseline: Agent that corruption errors are relative to; None: `e2e`, else the last one.
        effects: The doses: mean change of the observation in grey levels by game and label, as the manifest has it.

    Returns:
        Definitions are in docs/statistics.md. What is undefined is NaN, and the note says why.
    """
    agents = by_agent(scores)
    chosen = baseline or default_baseline(agents)
    rows: list[MeasureRow] = []
    for agent, games in agents.items():
        layout = _layout(games, [set(game.labels) for game in games], effects=effects or {})
        if not layout:
            continue
        rng = generator(bootstrap_seed, "bootstrap", "severity", agent)
        found = stats.seed_interval(lambda blocks, at=layout: _quantities(blocks, at), [_blocks(games)], rng)
        errors, error_note = _errors(agent, agents, chosen, layout, bootstrap_seed)
        areas = {name: _area(_blocks(games), entries) for name, entries in layout.items()}
        for place, name in enumerate([*layout, ALL_PERTURBATIONS]):
            used = [where for key, entries in layout.items() if name in (key, ALL_PERTURBATIONS) for where in entries]
            area = areas.get(name)
            row = MeasureRow(
                agent=agent,
                perturbation=name,
                num_severities=max(len(where.columns) for where in used),
                num_games=len({where.game for where in used}),
                num_seeds=min(len(games[where.game].train_seeds) for where in used),
                lowest_dose=area.lowest if area else math.nan,
                highest_dose=area.highest if area else math.nan,
                area_reason=area.reason if area else _left_out(stats.mean_dose_area(areas)),
                **{quantity: Bounded.of(found, place, k) for k, quantity in enumerate(QUANTITIES)},
                **{error: Bounded.of(errors, place, k) for k, error in enumerate(ERRORS)},
                baseline=chosen,
                note="",
            )
            area_note = _area_note(_blocks(games), layout[name]) if area else ""
            rows.append(replace(row, note=_note(row, found.note, area_note, error_note)))
    return tuple(rows)


def dose_table(cells: Iterable[CellRow], effects: Effects) -> tuple[DoseRow, ...]:
    """Return the curves over dose: each cell with a scale and a measured change, by rising change.

    Args:
        cells: One row for each agent, game and cell.
        effects: Mean change of the observation in grey levels by game and label, as the manifest has it.

    Returns:
        The rows of an agent, game and perturbation one after another, where there are at least two different changes
        and the scores are known.
    """
    rows = [
        DoseRow(
            agent=cell.agent,
            game=cell.game,
            family=cell.family,
            perturbation=cell.perturbation,
            severity=cell.severity,
            label=cell.label,
            dose=effects[cell.game][cell.label],
            normalised_score=cell.normalised_score,
            num_seeds=cell.num_seeds,
        )
        for cell in cells
        if cell.severity is not None
        and cell.label in effects.get(cell.game, {})
        and not math.isnan(cell.normalised_score.value)
    ]
    curves = grouped(rows, lambda row: (row.agent, row.game, row.perturbation)).values()
    drawn = (curve for curve in curves if len({row.dose for row in curve}) > 1)
    return tuple(row for curve in drawn for row in sorted(curve, key=lambda row: row.dose))


def rank_table(scores: Sequence[GameScores], bootstrap_seed: int) -> tuple[RankRow, ...]:
    """Rank the agents by mean normalised score, clean and under each perturbation, over what all of them played.

    Args:
        scores: Every agent and game.
        bootstrap_seed: Fixes the resampling.

    Returns:
        One row for each agent, clean and under each perturbation; none with one agent, or where scores are unknown.
    """
    agents = by_agent(scores)
    shared = {game: set(labels) for game, labels in common_cells(scores).items() if labels}
    ordered = [
        sorted((game for game in games if game.game in shared), key=lambda one: one.game) for games in agents.values()
    ]
    if len(agents) < 2 or not shared or any(np.isnan(game.scores).any() for games in ordered for game in games):
        return ()
    layouts = [_layout(games, [shared[game.game] for game in games], with_clean=True) for games in ordered]
    names = list(layouts[0])
    rng = generator(bootstrap_seed, "bootstrap", "ranks", *agents)

    def statistic(*samples: Blocks) -> FloatArray:
        means = [_scope_means(blocks, layout, names) for blocks, layout in zip(samples, layouts, strict=True)]
        return stats.ranks(np.stack(means, axis=-1))

    samples = [_blocks(games) for games in ordered]
    found = stats.seed_interval(statistic, samples, rng).within(1.0, float(len(agents)))
    values = [
        _scope_means([block[None] for block in blocks], at, names)[0]
        for blocks, at in zip(samples, layouts, strict=True)
    ]
    scopes = [*names, *([ALL_PERTURBATIONS] if set(names) - {CLEAN} else [])]
    clean = names.index(CLEAN) if CLEAN in names else None
    clean_ranks = np.full(len(agents), np.nan) if clean is None else found.value[clean]
    found = found._replace(low=np.floor(found.low), high=np.ceil(found.high))
    return tuple(
        RankRow(
            agent=agent,
            perturbation=scope,
            num_games=len(layouts[column].get(scope, ordered[column])),
            num_seeds=found.num_seeds,
            score=float(values[column][place]),
            rank=Bounded.of(found, place, column),
            clean_rank=float(clean_ranks[column]),
            change=float(found.value[place, column] - clean_ranks[column]),
            note=found.note,
        )
        for place, scope in enumerate(scopes)
        for column, agent in enumerate(agents)
    )


def _quantities(blocks: Blocks, layout: Layout) -> FloatArray:
    """Statistic: `QUANTITIES` by perturbation and over all, shape (repetitions, num_perturbations + 1, 5).

    The first column of each block is clean. Games count the same within a perturbation, perturbations over all.
    """
    areas = {name: _area(blocks, entries) for name, entries in layout.items()}
    by_name = np.stack([_of_perturbation(blocks, layout[name], area.value) for name, area in areas.items()], axis=1)
    overall = by_name.mean(axis=1)
    overall[:, 1] = _worst_of_all(blocks, layout)
    overall[:, 2] = stats.mean_dose_area(areas).value
    return np.concatenate([by_name, overall[:, None]], axis=1)


def _of_perturbation(blocks: Blocks, entries: list[_Entry], area: FloatArray) -> FloatArray:
    by_game: list[FloatArray] = []
    for game, columns, _ in entries:
        perturbed, clean = blocks[game][..., columns], blocks[game][..., :1]
        means, start = perturbed.mean(axis=-2), clean[..., 0].mean(axis=-1)
        retained = stats.retention(np.broadcast_to(clean, perturbed.shape), perturbed)
        by_game.append(
            np.stack(
                [
                    stats.mean_over_severities(means),
                    stats.worst_case(means),
                    area,
                    retained.mean(axis=(-2, -1)),
                    start - means.mean(axis=-1),
                ],
                axis=-1,
            )
        )
    return np.mean(by_game, axis=0)


def _area(blocks: Blocks, entries: list[_Entry]) -> DoseArea:
    """Return the area over dose of one perturbation, the mean over the games where it has one.

    The range of doses is that of these games together; the reason, where no game has an area, is the first game's.
    """
    areas = _areas(blocks, entries)
    defined = [area for area in areas if not area.reason]
    if not defined:
        return areas[0]
    lowest, highest = min(area.lowest for area in defined), max(area.highest for area in defined)
    return DoseArea(np.mean([area.value for area in defined], axis=0), lowest, highest, "")


def _areas(blocks: Blocks, entries: list[_Entry]) -> list[DoseArea]:
    return [stats.dose_area(blocks[game][..., columns].mean(axis=-2), doses) for game, columns, doses in entries]


def _area_note(blocks: Blocks, entries: list[_Entry]) -> str:
    """Say in how many games there is an area, where it is neither all nor none."""
    count = sum(not area.reason for area in _areas(blocks, entries))
    return f"area over dose in {count} of {len(entries)} games" if 0 < count < len(entries) else ""


def _left_out(areas: MeanDoseArea) -> str:
    """Name the perturbations without an area, by reason."""
    return "; ".join(f"{reason}: {', '.join(names)}" for reason, names in areas.left_out.items())


def _worst_of_all(blocks: Blocks, layout: Layout) -> FloatArray:
    places = sorted({game for entries in layout.values() for game, *_ in entries})
    worst: list[FloatArray] = []
    for place in places:
        columns = [
            column for entries in layout.values() for game, some, _ in entries if game == place for column in some
        ]
        worst.append(stats.worst_case(blocks[place][..., columns].mean(axis=-2)))
    return np.mean(worst, axis=0)


def _errors(
    agent: str, agents: dict[str, list[GameScores]], baseline: str, layout: Layout, bootstrap_seed: int
) -> tuple[Estimate, str]:
    """Return the errors relative to the baseline by perturbation and over all, and why some are undefined."""
    shape = (len(layout) + 1, len(ERRORS))
    if agent == baseline:
        nothing = np.full(shape, np.nan)
        # Against itself a ratio is 1 and a difference 0.
        return Estimate(np.broadcast_to([1.0, 1.0, 0.0, 0.0], shape), nothing, nothing, 0, ""), ""
    games, theirs = agents[agent], {game.game: game for game in agents.get(baseline, [])}
    both = [game for game in games if game.game in theirs]
    labels = [set(game.labels) & set(theirs[game.game].labels) for game in both]
    layouts = [_layout(both, labels), _layout([theirs[game.game] for game in both], labels)]
    names = [name for name in layout if name in layouts[0]]
    full = np.full(shape, np.nan)
    if not names:
        return Estimate(full, full, full, 0, ""), f"no perturbation in common with {baseline}"

    def statistic(ours: Blocks, of_baseline: Blocks) -> FloatArray:
        pairs = [_all_errors((ours, of_baseline), layouts, name) for name in names]
        by_name = np.stack(pairs, axis=1)
        return np.concatenate([by_name, by_name.mean(axis=1, keepdims=True)], axis=1)

    samples = [_blocks(both), _blocks([theirs[game.game] for game in both])]
    rng = generator(bootstrap_seed, "bootstrap", "corruption error", agent, baseline)
    found = stats.seed_interval(statistic, samples, rng)
    rows = [*(list(layout).index(name) for name in names), len(layout)]
    value, low, high = (full.copy() for _ in range(3))
    value[rows], low[rows], high[rows] = found.value, found.low, found.high
    return Estimate(value, low, high, found.num_seeds, ""), ""


def _all_errors(samples: tuple[Blocks, Blocks], layouts: list[Layout], name: str) -> FloatArray:
    """Return `ERRORS` of one perturbation, its severities in all games taken together."""
    scores, cleans = [], []
    for blocks, layout in zip(samples, layouts, strict=True):
        means = [blocks[where.game][..., where.columns].mean(axis=-2) for where in layout[name]]
        starts = [blocks[where.game][..., :1].mean(axis=-2) for where in layout[name]]
        scores.append(np.concatenate(means, axis=-1))
        # The clean score of each game, once for each of its severities.
        cleans.append(np.concatenate([start + 0.0 * m for start, m in zip(starts, means, strict=True)], axis=-1))
    (ours, theirs), (clean, their_clean) = scores, cleans
    # Where clean was not played human play alone is the ceiling: the difference stays defined.
    ceiling = stats.error_ceiling(np.nan_to_num(clean), np.nan_to_num(their_clean))
    return np.stack(
        [
            stats.corruption_error(ours, theirs),
            stats.relative_corruption_error(clean.mean(axis=-1), ours, their_clean.mean(axis=-1), theirs),
            stats.error_difference(ours, theirs, ceiling),
            stats.loss_difference(clean - ours, their_clean - theirs, ceiling),
        ],
        axis=-1,
    )


def _scope_means(blocks: Blocks, layout: Layout, names: Sequence[str]) -> FloatArray:
    """Return the mean score under each name, and last over all perturbations, (repetitions, num_names or one more)."""
    means = [
        np.mean([blocks[game][..., columns].mean(axis=(-2, -1)) for game, columns, _ in layout[name]], axis=0)
        for name in names
    ]
    perturbed = [mean for mean, name in zip(means, names, strict=True) if name != CLEAN]
    return np.stack([*means, *([np.mean(perturbed, axis=0)] if perturbed else [])], axis=-1)


def _blocks(games: Sequence[GameScores]) -> list[FloatArray]:
    """Return the mean scores of train seeds, clean first (NaN where it was not played), then every cell."""
    blocks: list[FloatArray] = []
    for game in games:
        values, clean = game.scores.mean(axis=2), game.index(CLEAN)
        first = np.full((len(values), 1), np.nan) if clean is None else values[:, [clean]]
        blocks.append(np.concatenate([first, values], axis=1))
    return blocks


def _layout(
    games: Sequence[GameScores],
    labels: Sequence[set[str]],
    *,
    with_clean: bool = False,
    effects: Effects | None = None,
) -> Layout:
    """Return where the cells of each perturbation stand in `_blocks`, severities rising, and their doses."""
    layout: Layout = {}
    for place, (game, wanted) in enumerate(zip(games, labels, strict=True)):
        found: dict[str, list[tuple[int, int]]] = {}
        for column, cell in enumerate(game.cells):
            if cell.label in wanted and (with_clean or cell.label != CLEAN):
                found.setdefault(cell.perturbation, []).append((cell.severity or 0, column))
        changes = (effects or {}).get(game.game, {})
        for name, cells in found.items():
            cells.sort()
            doses = [changes.get(game.cells[column].label, math.nan) for _, column in cells]
            has_scale = all(severity for severity, _ in cells)
            # Clean is the first column of a block, so each cell stands one further.
            columns = [column + 1 for _, column in cells]
            layout.setdefault(name, []).append(_Entry(place, columns, doses if has_scale else None))
    return layout


def _note(row: MeasureRow, note: str, area_note: str, error_note: str) -> str:
    """Say what is undefined in a row, and why."""
    notes = [note, area_note, error_note]
    if np.isnan(row.mean_score.value):
        return "; ".join([*filter(None, notes), "no normalised scores"])
    if np.isnan(row.robustness_gap.value):
        notes.append("clean was not played")
    elif np.isnan(row.retention.value):
        notes.append("retention undefined for some train seed (clean not above random play)")
    if not error_note and np.isnan(row.corruption_error.value):
        notes.append(f"corruption error undefined ({row.baseline} makes no error, or did not play this)")
    if not error_note and np.isnan(row.relative_corruption_error.value):
        notes.append(f"relative corruption error undefined ({row.baseline} loses no score)")
    elif row.num_seeds > 1 and row.agent != row.baseline and np.isnan(row.relative_corruption_error.low):
        notes.append(f"relative corruption error without interval ({row.baseline} hardly loses score)")
    return "; ".join(filter(None, notes))
