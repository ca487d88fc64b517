"""Sample efficiency: an aggregate over train seeds and games at each point of training."""

from __future__ import annotations

import numpy as np
import pandas as pd

from wsabench import stats
from wsabench.seeding import generator
from wsabench.summary.tables import groups_of, rows_of, rows_where
from wsabench.types import FloatArray

NUM_POINTS = 51
_REPETITIONS = 2_000
_COLUMNS = ("agent", "steps", "value", "low", "high", "num_seeds", "num_games", "note")


def efficiency_table(curves: pd.DataFrame, references: pd.DataFrame, bootstrap_seed: int) -> pd.DataFrame:
    """Return the IQM of the normalised score during training, over train seeds and games.

    Args:
        curves: Columns agent, game, train_seed, steps, return_mean; maybe no row.
        references: Columns game, random, human, as `Summary.references`.
        bootstrap_seed: Fixes the resampling.

    Returns:
        Columns agent, steps, value, low, high (95% interval over train seeds), num_seeds, num_games, note. Each agent
        has `NUM_POINTS` points, evenly spaced over the steps that all its curves have; between two rows a curve is
        taken as straight. Games are those in which every agent has a curve, train seeds those with a curve in each of
        them. No row where there are none, or no reference scores.

    References:
        Agarwal et al. 2021, section 4.3, "sample efficiency curves".
    """
    spans = {row["game"]: (row["random"], row["human"] - row["random"]) for row in rows_of(references)}
    games = [
        str(game)
        for (game,), part in groups_of(curves, "game")
        if part["agent"].nunique() == curves["agent"].nunique() and spans.get(game, (0.0, np.nan))[1] > 0
    ]
    tables: list[pd.DataFrame] = []
    for (agent,), of_agent in groups_of(curves, "agent"):
        parts = [rows_where(of_agent, game=game) for game in games]
        if not parts or not (seeds := sorted(set.intersection(*(set(part["train_seed"]) for part in parts)))):
            continue
        used = [rows_where(part, train_seed=seed) for part in parts for seed in seeds]
        first = max(float(curve["steps"].min()) for curve in used)
        last = min(float(curve["steps"].max()) for curve in used)
        if first > last:
            continue
        steps = np.linspace(first, last, NUM_POINTS)
        blocks = [
            (np.stack([_at(steps, rows_where(part, train_seed=seed)) for seed in seeds]) - spans[game][0])
            / spans[game][1]
            for game, part in zip(games, parts, strict=True)
        ]
        rng = generator(bootstrap_seed, "bootstrap", "sample efficiency", agent)
        found = stats.seed_interval(stats.sample_efficiency(stats.iqm), [blocks], rng, repetitions=_REPETITIONS)
        columns = {"agent": agent, "steps": steps, "value": found.value, "low": found.low, "high": found.high}
        columns |= {"num_seeds": found.num_seeds, "num_games": len(games), "note": found.note}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame({name: [] for name in _COLUMNS})


def _at(steps: FloatArray, curve: pd.DataFrame) -> FloatArray:
    """Return a curve's values at some steps."""
    ordered = curve.sort_values("steps")
    return np.interp(steps, ordered["steps"].to_numpy(np.float64), ordered["return_mean"].to_numpy(np.float64))
