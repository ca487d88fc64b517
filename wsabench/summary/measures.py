"""Scores, retention and robustness gap of every cell, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from wsabench import stats
from wsabench.results.records import CLEAN
from wsabench.seeding import generator
from wsabench.stats import Blocks, Estimate
from wsabench.summary.scores import GameScores
from wsabench.summary.tables import groups_of, rows_of, rows_where
from wsabench.types import FloatArray

MEASURES = ("normalised_score", "retention", "robustness_gap")
CELL_COLUMNS = ("family", "perturbation", "severity", "label")


def measures(blocks: Blocks) -> FloatArray:
    """Statistic: the three measures of some cells, averaged over train seeds, then over games.

    Args:
        blocks: One array a game, shape (repetitions, num_seeds, 1 + num_cells): normalised scores, clean first, then
            the same cells in every game.

    Returns:
        Shape (repetitions, num_cells, 3), in the order of `MEASURES`. Retention is the mean over train seeds of each
        seed's own; NaN where a seed's clean score is not above 0.
    """
    by_game: list[FloatArray] = []
    for block in blocks:
        perturbed = block[..., 1:]
        clean = np.broadcast_to(block[..., :1], perturbed.shape)
        columns = (perturbed, stats.retention(clean, perturbed), stats.robustness_gap(clean, perturbed))
        by_game.append(np.stack([column.mean(axis=-2) for column in columns], axis=-1))
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
        measured = _measured([game], game.labels, bootstrap_seed)
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
                    **measured[cell["label"]],
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
        cells = rows_of(pd.concat([game.cells for game in games]).drop_duplicates("label"))
        places = {cell["label"]: _places_with(games, cell["label"]) for cell in cells}
        measured: dict[str, dict[str, Any]] = {}
        for group in dict.fromkeys(places.values()):
            labels = [label for label, where in places.items() if where == group]
            measured |= _measured([games[place] for place in group], labels, bootstrap_seed)
        for cell in cells:
            having = [games[place] for place in places[cell["label"]]]
            rows.append(
                {
                    "agent": agent,
                    **{name: cell[name] for name in CELL_COLUMNS},
                    "num_games": len(having),
                    "num_seeds": min(len(game.train_seeds) for game in having),
                    **measured[cell["label"]],
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


def _places_with(games: Sequence[GameScores], label: str) -> tuple[int, ...]:
    return tuple(place for place, game in enumerate(games) if game.index(label) is not None)


def _measured(games: Sequence[GameScores], labels: Sequence[str], bootstrap_seed: int) -> dict[str, dict[str, Any]]:
    """Return by label the three measures of cells that all these games have, with both kinds of interval."""
    groups: dict[bytes, list[str]] = {}
    for label in labels:
        counts = [_pair_distinct(game, label) for game in games]
        groups.setdefault(np.concatenate(counts).tobytes(), []).append(label)
    measured: dict[str, dict[str, Any]] = {}
    for group in groups.values():
        measured |= _measured_alike(games, group, bootstrap_seed)
    return measured


def _measured_alike(
    games: Sequence[GameScores], labels: Sequence[str], bootstrap_seed: int
) -> dict[str, dict[str, Any]]:
    """Return the measures of cells with equal numbers of distinct episodes, which share their draws."""
    # Named without the labels: another perturbation in the suite moves no interval of this one.
    names = (games[0].agent, "+".join(game.game for game in games))
    episodes = [(_clean_and(game, labels), _pair_distinct(game, labels[0])) for game in games]
    means = [scores.mean(axis=2) for scores, _ in episodes]
    over_seeds = stats.seed_interval(measures, [means], generator(bootstrap_seed, "bootstrap", "seeds", *names))
    episodes_rng = generator(bootstrap_seed, "bootstrap", "episodes", *names)
    over_episodes = stats.episode_interval(measures, [episodes], episodes_rng)
    notes = [over_seeds.note]
    retained = over_seeds
    kept = [block[stats.retention_is_defined(block[:, 0])] for block in means]
    left_out = sum(len(block) for block in means) - sum(len(block) for block in kept)
    if any(np.isnan(block).any() for block in means):
        notes.append(_missing(games))
    elif left_out:
        retained, note = _retention_of_some(kept, left_out, generator(bootstrap_seed, "bootstrap", "kept", *names))
        notes.append(note)
    text = "; ".join(note for note in notes if note)
    estimates = (over_seeds, retained, over_episodes)
    return {label: {**_row_of(estimates, place, label), "note": text} for place, label in enumerate(labels)}


def _row_of(estimates: tuple[Estimate, Estimate, Estimate], cell: int, label: str) -> dict[str, float]:
    """Return one cell's values and bounds; the estimates are over train seeds, of retention, and over episodes."""
    over_seeds, retained, over_episodes = estimates
    row: dict[str, float] = {}
    for place, measure in enumerate(MEASURES):
        estimate = retained if measure == "retention" else over_seeds
        row[measure] = float(estimate.value[cell, place])
        bounds = {"low": estimate.low, "high": estimate.high}
        bounds |= {"episode_low": over_episodes.low, "episode_high": over_episodes.high}
        # Clean against itself is 1 and 0 by definition: there is nothing to be uncertain about.
        is_given = label == CLEAN and measure != "normalised_score"
        row |= {f"{measure}_{end}": np.nan if is_given else float(v[cell, place]) for end, v in bounds.items()}
    return row


def _retention_of_some(kept: list[FloatArray], left_out: int, rng: np.random.Generator) -> tuple[Estimate, str]:
    """Return the measures of the train seeds whose retention is defined, and the reason why the others' is not."""
    reason = f"retention undefined for {left_out} train seed{'s' if left_out > 1 else ''} (clean not above random play)"
    if any(len(block) == 0 for block in kept):
        nothing = np.full((kept[0].shape[1] - 1, len(MEASURES)), np.nan)
        return Estimate(nothing, nothing, nothing, 0, reason), reason
    return stats.seed_interval(measures, [kept], rng), f"{reason}, left out"


def _missing(games: Sequence[GameScores]) -> str:
    """Say why there are no normalised scores, or nothing to compare them with."""
    unknown = [game.game for game in games if np.isnan(game.reference.random) or np.isnan(game.reference.human)]
    if unknown:
        return f"no reference scores for {', '.join(unknown)}"
    return "clean was not played: no retention and no gap"


def _clean_and(game: GameScores, labels: Sequence[str]) -> FloatArray:
    """Return the scores of clean and then of some cells, shape (num_seeds, 1 + num_cells, num_episodes)."""
    clean = game.index(CLEAN)
    chosen = game.scores[:, [game.labels.index(label) for label in labels]]
    first = np.full_like(chosen[:, :1], np.nan) if clean is None else game.scores[:, [clean]]
    return np.concatenate([first, chosen], axis=1)


def _pair_distinct(game: GameScores, label: str) -> npt.NDArray[np.int64]:
    """Return how many different episodes each train seed played in a cell or in clean, whichever are fewer."""
    clean, place = game.index(CLEAN), game.labels.index(label)
    return game.distinct[:, place] if clean is None else np.minimum(game.distinct[:, clean], game.distinct[:, place])


def _clean_column(game: GameScores, values: FloatArray) -> FloatArray:
    """Return the clean score of each train seed, repeated over cells; NaN where clean was not played."""
    clean = game.index(CLEAN)
    column = np.full((len(values), 1), np.nan) if clean is None else values[:, [clean]]
    return np.broadcast_to(column, values.shape)


def _with_severity(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype({"severity": "Int64"}) if "severity" in table else table
