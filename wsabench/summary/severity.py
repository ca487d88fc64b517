"""Robustness of each agent over the severities of a perturbation, beside a baseline, and ranks against clean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from msgspec.structs import replace

from wsabench import stats
from wsabench.results.records import CLEAN
from wsabench.seeding import generator
from wsabench.stats import Blocks, Estimate
from wsabench.summary.aggregates import ALL_PERTURBATIONS, by_agent, common_cells
from wsabench.summary.rows import Bounded, MeasureRow, RankRow
from wsabench.summary.scores import GameScores
from wsabench.types import FloatArray

QUANTITIES = ("mean_score", "worst_score", "severity_area", "retention", "robustness_gap")
"""What is measured of every agent by itself."""
ERRORS = ("corruption_error", "relative_corruption_error")
"""What is measured relative to the baseline."""
DEFAULT_BASELINE = "e2e"
"""The baseline of corruption errors where it was played; else the agent that was named last."""

Layout = dict[str, list[tuple[int, list[int], list[int]]]]
"""By perturbation: one entry for each game that has it, with the game's place, its columns and their severities."""


def default_baseline(agents: Iterable[str]) -> str:
    """Return the agent that corruption errors are relative to where none is named.

    Args:
        agents: At least one.
    """
    names = list(agents)
    return DEFAULT_BASELINE if DEFAULT_BASELINE in names else names[-1]


def measure_table(
    scores: Sequence[GameScores], bootstrap_seed: int, baseline: str | None = None
) -> tuple[MeasureRow, ...]:
    """Return one row for each agent and perturbation, averaged over games, and one over all perturbations.

    Args:
        scores: Every agent and game.
        bootstrap_seed: Fixes the resampling.
        baseline: Agent that corruption errors are relative to; None: `e2e`, else the last one.

    Returns:
        Definitions are in docs/statistics.md. What is undefined is NaN, and the note says why.
    """
    agents = by_agent(scores)
    chosen = baseline or default_baseline(agents)
    rows: list[MeasureRow] = []
    for agent, games in agents.items():
        layout = _layout(games, [set(game.labels) for game in games])
        if not layout:
            continue
        rng = generator(bootstrap_seed, "bootstrap", "severity", agent)
        found = stats.seed_interval(lambda blocks, at=layout: _quantities(blocks, at), [_blocks(games)], rng)
        errors, error_note = _errors(agent, agents, chosen, layout, bootstrap_seed)
        for place, name in enumerate([*layout, ALL_PERTURBATIONS]):
            used = [where for key, entries in layout.items() if name in (key, ALL_PERTURBATIONS) for where in entries]
            row = MeasureRow(
                agent=agent,
                perturbation=name,
                num_severities=max(len(columns) for _, columns, _ in used),
                num_games=len({game for game, _, _ in used}),
                num_seeds=min(len(games[game].train_seeds) for game, _, _ in used),
                **{quantity: Bounded.of(found, place, k) for k, quantity in enumerate(QUANTITIES)},
                **{error: Bounded.of(errors, place, k) for k, error in enumerate(ERRORS)},
                baseline=chosen,
                note="",
            )
            rows.append(replace(row, note=_note(row, found.note, error_note)))
    return tuple(rows)


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
    by_name = np.stack([_of_perturbation(blocks, entries) for entries in layout.values()], axis=1)
    # A perturbation without a scale has no area; the mean over all leaves it out.
    has_area = ~np.isnan(by_name[..., 2]).all(axis=0)
    overall = by_name.mean(axis=1)
    overall[:, 1] = _worst_of_all(blocks, layout)
    overall[:, 2] = by_name[:, has_area, 2].mean(axis=1) if has_area.any() else np.nan
    return np.concatenate([by_name, overall[:, None]], axis=1)


def _of_perturbation(blocks: Blocks, entries: list[tuple[int, list[int], list[int]]]) -> FloatArray:
    by_game: list[FloatArray] = []
    for game, columns, severities in entries:
        perturbed, clean = blocks[game][..., columns], blocks[game][..., :1]
        means, start = perturbed.mean(axis=-2), clean[..., 0].mean(axis=-1)
        area = stats.severity_area(start, means, severities) if all(severities) else np.full_like(start, np.nan)
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


def _worst_of_all(blocks: Blocks, layout: Layout) -> FloatArray:
    places = sorted({game for entries in layout.values() for game, _, _ in entries})
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
        return Estimate(np.ones(shape), nothing, nothing, 0, ""), ""
    games, theirs = agents[agent], {game.game: game for game in agents.get(baseline, [])}
    both = [game for game in games if game.game in theirs]
    labels = [set(game.labels) & set(theirs[game.game].labels) for game in both]
    layouts = [_layout(both, labels), _layout([theirs[game.game] for game in both], labels)]
    names = [name for name in layout if name in layouts[0]]
    full = np.full(shape, np.nan)
    if not names:
        return Estimate(full, full, full, 0, ""), f"no perturbation in common with {baseline}"

    def statistic(ours: Blocks, of_baseline: Blocks) -> FloatArray:
        pairs = [_error_pair((ours, of_baseline), layouts, name) for name in names]
        by_name = np.stack(pairs, axis=1)
        return np.concatenate([by_name, by_name.mean(axis=1, keepdims=True)], axis=1)

    samples = [_blocks(both), _blocks([theirs[game.game] for game in both])]
    rng = generator(bootstrap_seed, "bootstrap", "corruption error", agent, baseline)
    found = stats.seed_interval(statistic, samples, rng)
    rows = [*(list(layout).index(name) for name in names), len(layout)]
    value, low, high = (full.copy() for _ in range(3))
    value[rows], low[rows], high[rows] = found.value, found.low, found.high
    return Estimate(value, low, high, found.num_seeds, ""), ""


def _error_pair(samples: tuple[Blocks, Blocks], layouts: list[Layout], name: str) -> FloatArray:
    """Return both errors of one perturbation, its severities in all games taken together."""
    scores, cleans = [], []
    for blocks, layout in zip(samples, layouts, strict=True):
        means = [blocks[game][..., columns].mean(axis=-2) for game, columns, _ in layout[name]]
        starts = [
            blocks[game][..., 0].mean(axis=-1)[..., None] + 0.0 * m
            for (game, _, _), m in zip(layout[name], means, strict=True)
        ]
        scores.append(np.concatenate(means, axis=-1))
        cleans.append(np.concatenate(starts, axis=-1).mean(axis=-1))
    error = stats.corruption_error(scores[0], scores[1])
    return np.stack([error, stats.relative_corruption_error(cleans[0], scores[0], cleans[1], scores[1])], axis=-1)


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


def _layout(games: Sequence[GameScores], labels: Sequence[set[str]], *, with_clean: bool = False) -> Layout:
    """Return where the cells of each perturbation stand in `_blocks`, severities rising; 0 where there is no scale."""
    layout: Layout = {}
    for place, (game, wanted) in enumerate(zip(games, labels, strict=True)):
        found: dict[str, list[tuple[int, int]]] = {}
        for column, cell in enumerate(game.cells):
            if cell.label in wanted and (with_clean or cell.label != CLEAN):
                found.setdefault(cell.perturbation, []).append((cell.severity or 0, column + 1))
        for name, cells in found.items():
            cells.sort()
            layout.setdefault(name, []).append((place, [column for _, column in cells], [level for level, _ in cells]))
    return layout


def _note(row: MeasureRow, note: str, error_note: str) -> str:
    """Say what is undefined in a row, and why."""
    notes = [note, error_note]
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
