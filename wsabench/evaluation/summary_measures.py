"""Scores, retention and robustness gap of every cell, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from wsabench import stats
from wsabench.evaluation.summary_scores import CLEAN, GameScores
from wsabench.evaluation.summary_tables import groups_of, rows_of, rows_where
from wsabench.seeding import generator
from wsabench.stats import Blocks, Estimate
from wsabench.types import FloatArray

MEASURES = ("normalised_score", "retention", "robustness_gap")
CELL_COLUMNS = ("family", "perturbation", "severity", "label")


def measures(blocks: Blocks) -> FloatArray:
    """Statistic: the three measures of one cell, averaged over train seeds, then over games.

    Args:
        blocks: One array a game, shape (repetitions, num_seeds, 2): normalised scores clean and perturbed.

    Returns:
        Shape (repetitions, 3), in the order of `MEASURES`. Retention is the mean over train seeds of each seed's own;
        NaN where a seed's clean score is not above 0.
    """
    by_game = []
    for block in blocks:
        clean, perturbed = block[..., 0], block[..., 1]
        columns = (perturbed, stats.retention(clean, perturbed), stats.robustness_gap(clean, perturbed))
        by_game.append(np.stack([column.mean(axis=-1) for column in columns], axis=-1))
    return np.mean(by_game, axis=0)


def cell_table(scores: Sequence[GameScores], bootstrap_seed: int) -> pd.DataFrame:
    """Return one row an agent, game and cell.

    Args:
        scores: Every agent and game.
        bootstrap_seed: Fixes the resampling.

    Returns:
        Columns agent, game, family, perturbation, severity, label, num_seeds, num_episodes (of all seeds),
        num_distinct_episodes, mean_return, and for each measure its value, `_low`, `_high` (over train seeds),
        `_episode_low`, `_episode_high` (these checkpoints only); note.
    """
    rows: list[dict[str, Any]] = []
    for game in scores:
        for column, cell in enumerate(rows_of(game.cells)):
            rows.append(
                {
                    "agent": game.agent,
                    "game": game.game,
                    **{name: cell[name] for name in CELL_COLUMNS},
                    "num_seeds": len(game.train_seeds),
                    "num_episodes": game.returns[:, column].size,
                    "num_distinct_episodes": int(game.distinct[:, column].sum()),
                    "mean_return": float(game.returns[:, column].mean()),
                    **_measured([game], cell["label"], bootstrap_seed),
                }
            )
    return _with_severity(pd.DataFrame(rows))


def perturbation_table(scores: Sequence[GameScores], bootstrap_seed: int) -> pd.DataFrame:
    """Return one row an agent and perturbation with severity, averaged over the games that have it.

    Args:
        scores: Every agent and game.
        bootstrap_seed: Fixes the resampling.

    Returns:
        Columns agent, family, perturbation, severity, label, num_games, num_seeds (the fewest of any game), and the
        measures with their bounds as in `cell_table`; note.
    """
    rows: list[dict[str, Any]] = []
    for agent in dict.fromkeys(game.agent for game in scores):
        games = [game for game in scores if game.agent == agent]
        cells = pd.concat([game.cells for game in games]).drop_duplicates("label")
        for cell in rows_of(cells):
            having = [game for game in games if game.index(cell["label"]) is not None]
            rows.append(
                {
                    "agent": agent,
                    **{name: cell[name] for name in CELL_COLUMNS},
                    "num_games": len(having),
                    "num_seeds": min(len(game.train_seeds) for game in having),
                    **_measured(having, cell["label"], bootstrap_seed),
                }
            )
    return _with_severity(pd.DataFrame(rows))


def seed_table(scores: Sequence[GameScores]) -> pd.DataFrame:
    """Return one row an agent, train seed, game and cell: the means over its episodes.

    Args:
        scores: Every agent and game.

    Returns:
        Columns agent, game, train_seed, family, perturbation, severity, label, mean_return and the three measures.
    """
    tables: list[pd.DataFrame] = []
    for game in scores:
        values = game.scores.mean(axis=2)
        clean = _clean_column(game, values)
        for row, train_seed in enumerate(game.train_seeds):
            table = game.cells.copy()
            table.insert(0, "train_seed", train_seed)
            table.insert(0, "game", game.game)
            table.insert(0, "agent", game.agent)
            table["mean_return"] = game.returns[row].mean(axis=1)
            table["normalised_score"] = values[row]
            table["retention"] = stats.retention(clean[row], values[row])
            table["robustness_gap"] = stats.robustness_gap(clean[row], values[row])
            tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def severity_table(perturbations: pd.DataFrame) -> pd.DataFrame:
    """Return the curves over severity, each starting at severity 0, which is clean.

    Args:
        perturbations: As `perturbation_table` gives it.

    Returns:
        The same columns, rows sorted by agent, perturbation and severity; perturbations without a scale are left out.
    """
    curves: list[pd.DataFrame] = []
    scaled = perturbations.dropna(subset=["severity"])
    for (agent, family, name), curve in groups_of(scaled, "agent", "family", "perturbation"):
        start = rows_where(perturbations, agent=agent, label=CLEAN)
        start = start.assign(perturbation=name, family=family, severity=0)
        curves.append(pd.concat([start, curve.sort_values("severity")]))
    if not curves:
        return perturbations.iloc[:0].copy()
    return _with_severity(pd.concat(curves, ignore_index=True))


def _measured(games: Sequence[GameScores], label: str, bootstrap_seed: int) -> dict[str, Any]:
    """Return the three measures of one cell over some games, with both kinds of interval."""
    columns = [_clean_and(game, label) for game in games]
    names = (games[0].agent, "+".join(game.game for game in games), label)
    means = [scores.mean(axis=2) for scores, _ in columns]
    over_seeds = stats.seed_interval(measures, [means], generator(bootstrap_seed, "bootstrap", "seeds", *names))
    episodes_rng = generator(bootstrap_seed, "bootstrap", "episodes", *names)
    over_episodes = stats.episode_interval(measures, [columns], episodes_rng)
    notes = [over_seeds.note]
    retained = over_seeds
    kept = [block[stats.retention_is_defined(block[:, 0])] for block in means]
    left_out = sum(len(block) for block in means) - sum(len(block) for block in kept)
    if any(np.isnan(block).any() for block in means):
        notes.append(_missing(games, label))
    elif left_out:
        retained, note = _retention_of_some(kept, left_out, generator(bootstrap_seed, "bootstrap", "kept", *names))
        notes.append(note)
    row: dict[str, Any] = {}
    for place, measure in enumerate(MEASURES):
        estimate = retained if measure == "retention" else over_seeds
        row[measure] = float(estimate.value[place])
        bounds = {"low": estimate.low, "high": estimate.high}
        bounds |= {"episode_low": over_episodes.low, "episode_high": over_episodes.high}
        # Clean against itself is 1 and 0 by definition: there is nothing to be uncertain about.
        is_given = label == CLEAN and measure != "normalised_score"
        row |= {f"{measure}_{bound}": np.nan if is_given else float(v[place]) for bound, v in bounds.items()}
    return {**row, "note": "; ".join(note for note in notes if note)}


def _retention_of_some(kept: list[FloatArray], left_out: int, rng: np.random.Generator) -> tuple[Estimate, str]:
    """Return the retention of the train seeds for which it is defined, and the reason why it is not for the others."""
    reason = f"retention undefined for {left_out} train seed{'s' if left_out > 1 else ''} (clean not above random play)"
    if any(len(block) == 0 for block in kept):
        nothing = np.full(len(MEASURES), np.nan)
        return Estimate(nothing, nothing, nothing, 0, reason), reason
    return stats.seed_interval(measures, [kept], rng), f"{reason}, left out"


def _missing(games: Sequence[GameScores], label: str) -> str:
    """Say why there are no normalised scores, or nothing to compare them with."""
    unknown = [game.game for game in games if np.isnan(game.reference.random) or np.isnan(game.reference.human)]
    if unknown:
        return f"no reference scores for {', '.join(unknown)}"
    return f"clean was not played, so {label} has no retention and no gap"


def _clean_and(game: GameScores, label: str) -> tuple[FloatArray, np.ndarray]:
    """Return the scores of clean and one cell, (num_seeds, 2, num_episodes), and the distinct episodes of each seed."""
    place, clean = game.index(label), game.index(CLEAN)
    perturbed = game.scores[:, place]
    if clean is None:
        return np.stack([np.full_like(perturbed, np.nan), perturbed], axis=1), game.distinct[:, place]
    pair = np.stack([game.scores[:, clean], perturbed], axis=1)
    return pair, np.minimum(game.distinct[:, clean], game.distinct[:, place])


def _clean_column(game: GameScores, values: FloatArray) -> FloatArray:
    """Return the clean score of each train seed, repeated over cells; NaN where clean was not played."""
    clean = game.index(CLEAN)
    column = np.full((len(values), 1), np.nan) if clean is None else values[:, [clean]]
    return np.broadcast_to(column, values.shape)


def _with_severity(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype({"severity": "Int64"}) if "severity" in table else table
