"""Sample efficiency: an aggregate over train seeds and games at each point of training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wsabench import stats
from wsabench.seeding import generator
from wsabench.summary.rows import Bounded, CurveRow, EfficiencyRow, ReferenceRow, grouped
from wsabench.types import FloatArray

NUM_POINTS = 51
"""Points of a sample efficiency curve."""
_REPETITIONS = 2_000


def efficiency_table(
    curves: Sequence[CurveRow], references: Sequence[ReferenceRow], bootstrap_seed: int
) -> tuple[EfficiencyRow, ...]:
    """Return the IQM of the normalised score during training, over train seeds and games.

    Args:
        curves: Learning curves, maybe none.
        references: `Summary.references`.
        bootstrap_seed: Seed of the resampling.

    Returns:
        `NUM_POINTS` rows for each agent, evenly spaced over the steps that all its curves have; between two points a
        curve is taken as straight. Games are those with reference scores in which every agent has a curve, train seeds
        those with a curve in each of these games. An agent without such seeds has no row.

    References:
        Agarwal et al. 2021, section 4.3, "sample efficiency curves".
    """
    by_agent = grouped(curves, lambda row: row.id.agent)
    spans = {row.game: (row.random, row.human - row.random) for row in references}
    games = [
        game
        for game, part in grouped(curves, lambda row: row.id.game).items()
        if len({row.id.agent for row in part}) == len(by_agent) and spans.get(game, (0.0, np.nan))[1] > 0
    ]
    rows: list[EfficiencyRow] = []
    for agent, of_agent in by_agent.items():
        curve_of = grouped(of_agent, lambda row: (row.id.game, row.id.train_seed))
        seeds = sorted({seed for _, seed in curve_of if all((game, seed) in curve_of for game in games)})
        used = [curve_of[game, seed] for game in games for seed in seeds]
        if not used:
            continue
        first = max(min(row.steps for row in curve) for curve in used)
        last = min(max(row.steps for row in curve) for curve in used)
        if first > last:
            continue
        steps = np.linspace(first, last, NUM_POINTS)
        blocks = [
            (np.stack([_at(steps, curve_of[game, seed]) for seed in seeds]) - spans[game][0]) / spans[game][1]
            for game in games
        ]
        rng = generator(bootstrap_seed, "bootstrap", "sample efficiency", agent)
        found = stats.seed_interval(stats.sample_efficiency(stats.iqm), [blocks], rng, repetitions=_REPETITIONS)
        rows += [
            EfficiencyRow(
                agent=agent,
                steps=float(step),
                value=Bounded.of(found, place),
                num_seeds=found.num_seeds,
                num_games=len(games),
                note=found.note,
            )
            for place, step in enumerate(steps)
        ]
    return tuple(rows)


def _at(steps: FloatArray, curve: Sequence[CurveRow]) -> FloatArray:
    """Return a curve's values at some steps."""
    ordered = sorted(curve, key=lambda row: row.steps)
    return np.interp(steps, [row.steps for row in ordered], [row.return_mean for row in ordered])
