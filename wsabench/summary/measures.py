"""Scores, retention and robustness gap of every cell, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import structs

from wsabench import stats
from wsabench.results.manifest import AgentId
from wsabench.results.records import CLEAN
from wsabench.seeding import generator
from wsabench.stats import Blocks, Estimate
from wsabench.summary.rows import MEASURES, BoundedTwice, CellRow, PerturbationRow, SeedRow, grouped
from wsabench.summary.scores import GameScores
from wsabench.types import FloatArray


class Ends(NamedTuple):
    """How the episodes of a cell ended, of all train seeds together."""

    num_stalled: int = 0
    num_time_limit: int = 0
    num_as_clean: int = 0
    """Those whose return, length and end are those of the clean episode."""


def measures(blocks: Blocks) -> FloatArray:
    """Statistic: the three measures of some cells, averaged over train seeds, then over games.

    Args:
        blocks: One array for each game, shape (repetitions, num_seeds, 1 + num_cells): normalised scores, clean first,
            then the same cells in every game.

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


def cell_table(
    scores: Sequence[GameScores], bootstrap_seed: int, ends: Mapping[tuple[str, str, str], Ends]
) -> tuple[CellRow, ...]:
    """Return one row for each agent, game and cell.

    Args:
        scores: Every agent and game.
        bootstrap_seed: Fixes the resampling.
        ends: How episodes ended, by agent, game and label.
    """
    rows: list[CellRow] = []
    for game in scores:
        measured = _measured([game], game.labels, bootstrap_seed)
        rows += [
            CellRow(
                agent=game.agent,
                game=game.game,
                **structs.asdict(cell),
                num_seeds=len(game.train_seeds),
                num_episodes=game.returns[:, column].size,
                num_distinct_episodes=int(game.distinct[:, column].sum()),
                mean_return=float(game.returns[:, column].mean()),
                **measured[cell.label],
                **ends.get((game.agent, game.game, cell.label), Ends())._asdict(),
            )
            for column, cell in enumerate(game.cells)
        ]
    return tuple(rows)


def perturbation_table(scores: Sequence[GameScores], bootstrap_seed: int) -> tuple[PerturbationRow, ...]:
    """Return one row for each agent and perturbation with severity, averaged over the games that have it.

    Args:
        scores: Every agent and game.
        bootstrap_seed: Fixes the resampling.
    """
    rows: list[PerturbationRow] = []
    for agent, games in grouped(scores, lambda game: game.agent).items():
        by_label = grouped((cell for game in games for cell in game.cells), lambda cell: cell.label)
        places = {label: _places_with(games, label) for label in by_label}
        measured: dict[str, dict[str, Any]] = {}
        for group in dict.fromkeys(places.values()):
            labels = [label for label, where in places.items() if where == group]
            measured |= _measured([games[place] for place in group], labels, bootstrap_seed)
        for label, (cell, *_) in by_label.items():
            having = [games[place] for place in places[label]]
            rows.append(
                PerturbationRow(
                    agent=agent,
                    **structs.asdict(cell),
                    num_games=len(having),
                    num_seeds=min(len(game.train_seeds) for game in having),
                    **measured[label],
                )
            )
    return tuple(rows)


def seed_table(scores: Sequence[GameScores]) -> tuple[SeedRow, ...]:
    """Return one row for each agent, train seed, game and cell: the means over its episodes.

    Args:
        scores: Every agent and game.
    """
    rows: list[SeedRow] = []
    for game in scores:
        values, returns = game.scores.mean(axis=2), game.returns.mean(axis=2)
        clean = _clean_column(game, values)
        retained, gaps = stats.retention(clean, values), stats.robustness_gap(clean, values)
        rows += [
            SeedRow(
                id=AgentId(game.agent, train_seed, game.game),
                **structs.asdict(cell),
                mean_return=float(returns[row, column]),
                normalised_score=float(values[row, column]),
                retention=float(retained[row, column]),
                robustness_gap=float(gaps[row, column]),
            )
            for row, train_seed in enumerate(game.train_seeds)
            for column, cell in enumerate(game.cells)
        ]
    return tuple(rows)


def severity_table(perturbations: Sequence[PerturbationRow]) -> tuple[PerturbationRow, ...]:
    """Return the curves over severity, each starting at severity 0, which is clean.

    Args:
        perturbations: As `perturbation_table` gives it.

    Returns:
        The rows by agent, perturbation and severity; perturbations without a scale are left out.
    """
    curves: list[PerturbationRow] = []
    scaled = [row for row in perturbations if row.severity is not None]
    clean = {row.agent: row for row in perturbations if row.label == CLEAN}
    for (agent, family, name), curve in grouped(scaled, lambda row: (row.agent, row.family, row.perturbation)).items():
        if agent in clean:
            curves.append(structs.replace(clean[agent], perturbation=name, family=family, severity=0))
        curves += sorted(curve, key=lambda row: row.severity or 0)
    return tuple(curves)


def _places_with(games: Sequence[GameScores], label: str) -> tuple[int, ...]:
    return tuple(place for place, game in enumerate(games) if game.index(label) is not None)


def _measured(games: Sequence[GameScores], labels: Sequence[str], bootstrap_seed: int) -> dict[str, dict[str, Any]]:
    """Return, by label, the fields of the measures and the note of cells that all these games have."""
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
    return {label: {**_bounded(estimates, place, label), "note": text} for place, label in enumerate(labels)}


def _bounded(estimates: tuple[Estimate, Estimate, Estimate], cell: int, label: str) -> dict[str, BoundedTwice]:
    """Return the measures of one cell; the estimates are over train seeds, of retention, and over episodes."""
    over_seeds, retained, over_episodes = estimates
    measured: dict[str, BoundedTwice] = {}
    for place, measure in enumerate(MEASURES):
        estimate = retained if measure == "retention" else over_seeds
        parts = (*estimate[:3], over_episodes.low, over_episodes.high)
        value, *bounds = (float(part[cell, place]) for part in parts)
        # Clean against itself is 1 and 0 by definition: there is nothing to be uncertain about.
        is_given = label == CLEAN and measure != "normalised_score"
        measured[measure] = BoundedTwice(value) if is_given else BoundedTwice(value, *bounds)
    return measured


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
