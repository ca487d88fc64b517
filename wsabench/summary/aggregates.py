"""Aggregates over cells, performance profiles, and the probability that one agent beats another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from wsabench import stats
from wsabench.results.records import CLEAN
from wsabench.seeding import generator
from wsabench.stats import Estimate
from wsabench.summary.rows import (
    METRICS,
    AggregateRow,
    Bounded,
    ImprovementRow,
    Measure,
    ProfileRow,
    grouped,
)
from wsabench.summary.scores import GameScores
from wsabench.types import FloatArray

ALL_PERTURBATIONS = "all perturbations"
SCORE: Measure = "normalised_score"
NUM_THRESHOLDS = 101


def aggregate_table(scores: Sequence[GameScores], bootstrap_seed: int) -> tuple[AggregateRow, ...]:
    """Aggregate each agent over the cells of all games: clean, and all perturbations that every agent played.

    Args:
        scores: Every agent and game.
        bootstrap_seed: Fixes the resampling.

    Returns:
        One row for each agent, scope, measure and metric. Retention is aggregated over perturbed cells only.
    """
    cells = common_cells(scores)
    rows: list[AggregateRow] = []
    for agent, games in by_agent(scores).items():
        for scope, measure in _scopes(cells):
            blocks = [block for game in games if (block := _block(game, cells[game.game], scope, measure)).size]
            if not blocks:
                continue
            rng = generator(bootstrap_seed, "bootstrap", "aggregate", agent, scope, measure)
            found = stats.seed_interval(stats.over_matrix(_all_metrics), [blocks], rng)
            rows += [
                AggregateRow(
                    agent=agent,
                    scope=scope,
                    measure=measure,
                    metric=metric,
                    value=Bounded.of(found, place),
                    num_seeds=found.num_seeds,
                    num_cells=_num_cells(blocks),
                    note=_note(found),
                )
                for place, metric in enumerate(METRICS)
            ]
    return tuple(rows)


def profile_table(scores: Sequence[GameScores], bootstrap_seed: int) -> tuple[ProfileRow, ...]:
    """Return the performance profile of each agent over all perturbations that every agent played.

    Args:
        scores: Every agent and game.
        bootstrap_seed: Fixes the resampling.

    Returns:
        `NUM_THRESHOLDS` rows for each agent; none where a score is unknown.
    """
    cells = common_cells(scores)
    blocks_by_agent = {
        agent: [b for game in games if (b := _block(game, cells[game.game], ALL_PERTURBATIONS, SCORE)).size]
        for agent, games in by_agent(scores).items()
    }
    everything = [block.ravel() for blocks in blocks_by_agent.values() for block in blocks]
    if not everything or np.isnan(np.concatenate(everything)).any():
        return ()
    pooled = np.concatenate(everything)
    thresholds = np.linspace(min(0.0, pooled.min()), max(0.1, pooled.max()), NUM_THRESHOLDS)
    rows: list[ProfileRow] = []
    for agent, blocks in blocks_by_agent.items():
        rng = generator(bootstrap_seed, "bootstrap", "profile", agent)
        profile = stats.over_matrix(lambda matrix: stats.performance_profile(matrix, thresholds))
        found = stats.seed_interval(profile, [blocks], rng).within(0.0, 1.0)
        rows += [
            ProfileRow(
                agent=agent,
                threshold=float(threshold),
                value=Bounded.of(found, place),
                num_seeds=found.num_seeds,
                num_cells=_num_cells(blocks),
                note=_note(found),
            )
            for place, threshold in enumerate(thresholds)
        ]
    return tuple(rows)


def improvement_table(scores: Sequence[GameScores], bootstrap_seed: int) -> tuple[ImprovementRow, ...]:
    """Return the probability that a train seed of the first agent beats one of each other agent.

    Args:
        scores: Every agent and game, the first agent first.
        bootstrap_seed: Fixes the resampling; the two agents are resampled independently.

    Returns:
        One row for each other agent, label and measure, averaged over games and cells; ties count half. There is no
        interval where all train seeds fall the same way.
    """
    cells = common_cells(scores)
    agents = list(by_agent(scores).items())
    labels = list(dict.fromkeys(label for game_labels in cells.values() for label in game_labels))
    scopes = [*labels, *([ALL_PERTURBATIONS] if any(label != CLEAN for label in labels) else [])]
    rows: list[ImprovementRow] = []
    for agent_y, games_y in agents[1:]:
        agent_x, games_x = agents[0]
        for scope in scopes:
            for measure in (SCORE, "retention") if scope != CLEAN else (SCORE,):
                pair = [_pair(games, cells, scope, measure) for games in (games_x, games_y)]
                if not pair[0]:
                    continue
                rng = generator(bootstrap_seed, "bootstrap", "improvement", agent_x, agent_y, scope, measure)
                found = stats.seed_interval(stats.over_matrix(stats.probability_of_improvement), pair, rng).within(
                    0.0, 1.0
                )
                value = Bounded.of(found)
                rows.append(
                    ImprovementRow(
                        agent_x=agent_x,
                        agent_y=agent_y,
                        measure=measure,
                        label=scope,
                        # At 0 and 1 every resample agrees too, so the bounds would read as certainty.
                        value=Bounded(value.value) if value.value in (0.0, 1.0) else value,
                        num_seeds=found.num_seeds,
                        num_cells=_num_cells(pair[0]),
                        note=_note(found),
                    )
                )
    return tuple(rows)


def common_cells(scores: Sequence[GameScores]) -> dict[str, list[str]]:
    """Return, by game, the labels of the cells that every agent played there, in the order of the run.

    Args:
        scores: Every agent and game. A game that an agent did not play has no common cells.
    """
    agents = by_agent(scores)
    common: dict[str, list[str]] = {}
    for game in scores:
        kept = common.get(game.game, game.labels)
        common[game.game] = [label for label in kept if label in game.labels]
    for name in common:
        if not all(any(game.game == name for game in games) for games in agents.values()):
            common[name] = []
    return common


def with_common_seeds(scores: Sequence[GameScores]) -> tuple[list[GameScores], list[str]]:
    """Keep, for each agent, the train seeds that it has in every game: a score matrix has no holes.

    Args:
        scores: Every agent and game.

    Returns:
        The same with fewer rows where needed, and sentences that say so.
    """
    kept: list[GameScores] = []
    notes: list[str] = []
    for agent, games in by_agent(scores).items():
        seeds = sorted(set.intersection(*(set(game.train_seeds) for game in games)))
        if any(len(game.train_seeds) != len(seeds) for game in games):
            notes.append(
                f"{agent} has different train seeds in different games; aggregates over games use those it has in "
                f"all of them: {', '.join(map(str, seeds)) or 'none, so there are no aggregates'}."
            )
        kept.extend(game.with_seeds(seeds) for game in games if seeds)
    return kept, notes


def _all_metrics(matrix: FloatArray) -> FloatArray:
    return np.stack([getattr(stats, metric)(matrix) for metric in METRICS], axis=-1)


def by_agent(scores: Iterable[GameScores]) -> dict[str, list[GameScores]]:
    """Return the games of each agent, in the order of their first entries.

    Args:
        scores: Every agent and game.
    """
    return grouped(scores, lambda game: game.agent)


def _scopes(cells: dict[str, list[str]]) -> list[tuple[str, Measure]]:
    labels = {label for game_labels in cells.values() for label in game_labels}
    scopes: list[tuple[str, Measure]] = []
    if CLEAN in labels:
        scopes.append((CLEAN, SCORE))
    if labels - {CLEAN}:
        scopes.extend(((ALL_PERTURBATIONS, SCORE), (ALL_PERTURBATIONS, "retention")))
    return scopes


def _pair(games: list[GameScores], cells: dict[str, list[str]], scope: str, measure: str) -> list[FloatArray]:
    """Return the blocks of one agent, the games in one order for both agents."""
    ordered = sorted(games, key=lambda game: game.game)
    return [block for game in ordered if (block := _block(game, cells[game.game], scope, measure)).size]


def _block(game: GameScores, common: list[str], scope: str, measure: str) -> FloatArray:
    """Return the mean scores of the train seeds in a scope's cells, shape (num_seeds, num_cells), maybe no cell."""
    values = game.scores.mean(axis=2)
    labels = [name for name in common if (name != CLEAN if scope == ALL_PERTURBATIONS else name == scope)]
    chosen = values[:, [game.labels.index(label) for label in labels]]
    if measure == SCORE:
        return chosen
    clean = game.index(CLEAN)
    if clean is None:
        return np.full_like(chosen, np.nan)
    return stats.retention(np.broadcast_to(values[:, [clean]], chosen.shape), chosen)


def _num_cells(blocks: Iterable[FloatArray]) -> int:
    return sum(block.shape[1] for block in blocks)


def _note(estimate: Estimate) -> str:
    undefined = "undefined for some train seed" if np.isnan(estimate.value).any() else ""
    return "; ".join(note for note in (estimate.note, undefined) if note)
