"""Aggregates over cells, performance profiles, and the probability that one agent beats another."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from wsabench import stats
from wsabench.processes import Share, here
from wsabench.results.records import CLEAN
from wsabench.seeding import generator
from wsabench.stats import Estimate
from wsabench.summary.averages import Averages, Scope, averages, columns_by_perturbation
from wsabench.summary.measures import seed_ratios
from wsabench.summary.rows import (
    METRICS,
    UNKNOWN,
    AggregateRow,
    Bounded,
    ImprovementRow,
    Measure,
    Metric,
    ProfileRow,
    grouped,
)
from wsabench.summary.scores import GameScores
from wsabench.types import FloatArray
from wsabench.words import counted

ALL_PERTURBATIONS = "all perturbations"
"""The scope of what is about all perturbed cells together."""
SCORE: Measure = "normalised_score"
_RETENTION: Measure = "retention"
NUM_THRESHOLDS = 101
"""Points of a performance profile."""


def aggregate_table(scores: Sequence[GameScores], bootstrap_seed: int) -> tuple[AggregateRow, ...]:
    """Aggregate each agent over the cells of all games: clean, and all perturbations.

    Args:
        scores: What all agents played, as `common_play` gives it.
        bootstrap_seed: Seed of the resampling.

    Returns:
        One row for each agent, scope, measure and metric. The mean is that of every other table (`averages`); median,
        IQM and optimality gap are over cells and the train seeds that an agent has in all games. Retention has a mean,
        a capped mean and shares of cells, of perturbed cells only.
    """
    squares = by_agent(with_common_seeds(scores)[0])
    rows: list[AggregateRow] = []
    for agent, games in by_agent(scores).items():
        found = averages(games, _whole(games), bootstrap_seed)
        for scope, average in found.items():
            about = {"agent": agent, "scope": scope, "num_cells": _cells_in(games, scope)}
            over_cells = _over_cells(squares.get(agent, []), scope, bootstrap_seed)
            values: dict[Metric, Bounded] = {metric: over_cells.get(metric, UNKNOWN) for metric in METRICS}
            values["mean"] = average.normalised_score
            parts: list[tuple[Measure, dict[Metric, Bounded]]] = [(SCORE, values)]
            if scope != CLEAN:
                parts.append(("retention", _retention_metrics(average)))
            rows += [
                AggregateRow(
                    **about,
                    measure=measure,
                    metric=metric,
                    value=value,
                    num_seeds=average.num_seeds,
                    num_games=average.num_games if measure == SCORE else average.num_retention_games,
                    note=average.note,
                )
                for measure, of in parts
                for metric, value in of.items()
            ]
    return tuple(rows)


def _retention_metrics(average: Averages) -> dict[Metric, Bounded]:
    return {
        "mean": average.retention,
        "capped_mean": average.capped_retention,
        "kept_share": Bounded(average.kept_share),
        "lost_share": Bounded(average.lost_share),
    }


def _whole(games: Sequence[GameScores]) -> dict[str, Scope]:
    """Return clean and all perturbations as scopes, those that were played."""
    clean = {place: [[column]] for place, game in enumerate(games) if (column := game.clean_column) is not None}
    scopes: dict[str, Scope] = {CLEAN: clean} if clean else {}
    perturbed = {place: list(of.values()) for place, game in enumerate(games) if (of := columns_by_perturbation(game))}
    return scopes | ({ALL_PERTURBATIONS: perturbed} if perturbed else {})


def _cells_in(games: Sequence[GameScores], scope: str) -> int:
    return sum((cell.label == CLEAN) == (scope == CLEAN) for game in games for cell in game.cells)


def _over_cells(games: Sequence[GameScores], scope: str, bootstrap_seed: int) -> dict[Metric, Bounded]:
    """Return the metrics that are over cells and train seeds; none where no train seed is in all games."""
    blocks = [block for game in games if (block := _block(game, scope)).size]
    if not blocks:
        return {}
    rng = generator(bootstrap_seed, "bootstrap", "aggregate", games[0].agent, scope)
    found = stats.aggregate_interval(blocks, rng)
    return {metric: Bounded.of(found, place) for place, metric in enumerate(METRICS)}


def profile_table(scores: Sequence[GameScores], bootstrap_seed: int, share: Share = here) -> tuple[ProfileRow, ...]:
    """Return the performance profile of each agent over all perturbations that every agent played.

    Args:
        scores: What all agents played, as `common_play` gives it.
        bootstrap_seed: Seed of the resampling.
        share: Calls the computation of each agent, in this process or in others.

    Returns:
        `NUM_THRESHOLDS` rows for each agent, over the train seeds that it has in all games; none without perturbed
        cells.
    """
    blocks_by_agent = {
        agent: blocks
        for agent, games in by_agent(with_common_seeds(scores)[0]).items()
        if (blocks := [b for game in games if (b := _block(game, ALL_PERTURBATIONS)).size])
    }
    everything = [block.ravel() for blocks in blocks_by_agent.values() for block in blocks]
    if not everything:
        return ()
    pooled = np.concatenate(everything)
    thresholds = np.linspace(min(0.0, pooled.min()), max(0.1, pooled.max()), NUM_THRESHOLDS)
    rows = share(
        partial(_profile_of, thresholds=thresholds, bootstrap_seed=bootstrap_seed), list(blocks_by_agent.items())
    )
    return tuple(row for of_agent in rows for row in of_agent)


def _profile_of(one: tuple[str, Sequence[FloatArray]], thresholds: FloatArray, bootstrap_seed: int) -> list[ProfileRow]:
    agent, blocks = one
    rng = generator(bootstrap_seed, "bootstrap", "profile", agent)
    # A profile is a mean over train seeds of how many of its cells each has above a threshold.
    above = [(block[..., None] > thresholds).sum(axis=1).astype(np.float64) for block in blocks]
    num_cells = _num_cells(blocks)

    def of_game(_: int, block: FloatArray) -> FloatArray:
        return stats.over_seeds(block) * (len(above) / num_cells)

    is_there = np.ones((len(above), len(thresholds)), dtype=np.bool_)
    found = stats.averaged_interval(of_game, is_there, above, rng).within(0.0, 1.0)
    value = np.sum([block.mean(axis=0) for block in above], axis=0) / num_cells
    found = found._replace(value=value)
    return [
        ProfileRow(
            agent=agent,
            threshold=float(threshold),
            value=Bounded.of(found, place),
            num_seeds=found.num_seeds,
            num_games=len(blocks),
            num_cells=num_cells,
            note=_note(found),
        )
        for place, threshold in enumerate(thresholds)
    ]


def improvement_table(scores: Sequence[GameScores], bootstrap_seed: int) -> tuple[ImprovementRow, ...]:
    """Return the probability that a train seed of the first agent beats one of each other agent.

    Args:
        scores: What all agents played, as `common_play` gives it, the first agent first.
        bootstrap_seed: Seed of the resampling; the two agents are resampled independently.

    Returns:
        One row for each other agent, measure and label (of a cell, or `all perturbations`), averaged over games and
        cells; ties count half. There is no interval where all train seeds fall the same way.
    """
    agents = list(by_agent(with_common_seeds(scores)[0]).items())
    labels = list(dict.fromkeys(label for game in scores for label in game.labels))
    scopes = [*labels, *([ALL_PERTURBATIONS] if any(label != CLEAN for label in labels) else [])]
    rows: list[ImprovementRow] = []
    order = {game.game: game.labels for _, games in agents[:1] for game in games}
    first = _values_of(agents[0][1], order) if agents else []
    for agent_y, games_y in agents[1:]:
        agent_x = agents[0][0]
        sides = (first, _values_of(games_y, order))
        found = {measure: _improvements(sides, scopes, measure, bootstrap_seed) for measure in (SCORE, _RETENTION)}
        for scope in scopes:
            for measure in (SCORE, _RETENTION) if scope != CLEAN else (SCORE,):
                if (one := found[measure].get(scope)) is None:
                    continue
                estimate, num_games, num_cells = one
                value = Bounded.of(estimate)
                rows.append(
                    ImprovementRow(
                        agent_x=agent_x,
                        agent_y=agent_y,
                        measure=measure,
                        label=scope,
                        # At 0 and 1 every resample agrees too, so the bounds would read as certainty.
                        value=Bounded(value.value) if value.value in (0.0, 1.0) else value,
                        num_seeds=estimate.num_seeds,
                        num_games=num_games,
                        num_cells=num_cells,
                        note=_note(estimate),
                    )
                )
    return tuple(rows)


def _improvements(
    sides: tuple[Sequence[_Values], Sequence[_Values]], scopes: Sequence[str], measure: Measure, bootstrap_seed: int
) -> dict[str, tuple[Estimate, int, int]]:
    """Return the probability of improvement and the numbers of games and cells of each scope that some game has.

    Scopes that the same games have share their draws of train seeds, and so do all agents: no interval depends on which
    other cells or agents are in the run.
    """
    alike = grouped(scopes, lambda scope: tuple(at for at, game in enumerate(sides[0]) if game.columns.get(scope)))
    found: dict[str, tuple[Estimate, int, int]] = {}
    for places, names in alike.items():
        if not places:
            continue
        x, y = ([side[place].by_measure[measure] for place in places] for side in sides)
        columns = [[sides[0][place].columns[name] for place in places] for name in names]
        rng = generator(bootstrap_seed, "bootstrap", "improvement", *(sides[0][place].game for place in places))
        of_all = stats.improvement_intervals(x, y, columns, rng).within(0.0, 1.0)
        for place, (name, of_games) in enumerate(zip(names, columns, strict=True)):
            one = of_all._replace(value=of_all.value[place], low=of_all.low[place], high=of_all.high[place])
            found[name] = one, len(places), sum(map(len, of_games))
    return found


def common_play(
    scores: Sequence[GameScores], compared: Collection[str] | None = None
) -> tuple[list[GameScores], list[str]]:
    """Return what averages over all agents are about: games with reference scores, and the cells that all played.

    Args:
        scores: Every agent and game.
        compared: The agents whose cells decide which cells these are; other agents stay if they have them. None: all
            agents.

    Returns:
        The same with fewer agents, games and cells, and sentences that name what was left out. Agents are left out one
        at a time, first the one that lacks the most cells (of equals the one named later), until those that stay share
        at least half of all their perturbed cells (of all cells where none is perturbed). Where no game has reference
        scores nothing stays.
    """
    played = {
        agent: {(game.game, label) for game in games for label in game.labels}
        for agent, games in by_agent(game for game in scores if game.is_known).items()
    }
    deciding = {agent: cells for agent, cells in played.items() if compared is None or agent in compared} or played
    order, notes = list(deciding), list[str]()
    while not _is_shared(list(deciding.values())):
        every = set.union(*deciding.values())
        leaving = max(deciding, key=lambda agent: (len(every - deciding[agent]), order.index(agent)))
        notes.append(_leaves(leaving, len(every - deciding.pop(leaving)), len(every)))
    if not deciding:
        return [], notes
    common, every = set.intersection(*deciding.values()), set.union(*deciding.values())
    notes += [
        _leaves(agent, len(common - cells), len(common))
        for agent, cells in played.items()
        if agent not in order and not cells >= common
    ]
    if every > common:
        cells = dict.fromkeys((game.game, label) for game in scores for label in game.labels)
        left = [f"{label} on {game}" for game, label in cells if (game, label) in every - common]
        without = [agent for agent, cells in deciding.items() if every - cells]
        listed = ", ".join(left[:4]) + (", ..." if len(left) > 4 else "")
        notes.append(f"Averages over all agents leave out what {' and '.join(without)} did not play: {listed}.")
    staying = {
        agent for agent, cells in played.items() if cells >= common and (agent in deciding or agent not in order)
    }
    restricted = (
        game.with_cells([label for label in game.labels if (game.game, label) in common])
        for game in scores
        if game.is_known and game.agent in staying
    )
    return [game for game in restricted if game.cells], notes


def _leaves(agent: str, num_missing: int, num_cells: int) -> str:
    return (
        f"{agent} did not play {num_missing} of {counted(num_cells, 'cell')} of the other agents: averages over all "
        "agents (aggregates, profiles, ranks) are without it."
    )


def _is_shared(played: Sequence[set[tuple[str, str]]]) -> bool:
    """Whether agents share at least half of all their perturbed cells, or of all where none is perturbed."""
    if not played:
        return True
    every, common = set.union(*played), set.intersection(*played)
    counted = {cell for cell in every if cell[1] != CLEAN} or every
    return 2 * len(common & counted) >= len(counted)


def with_common_seeds(scores: Sequence[GameScores]) -> tuple[list[GameScores], list[str]]:
    """Keep, for each agent, the train seeds that it has in every game: a score matrix has no holes.

    Args:
        scores: Every agent and game.

    Returns:
        The same with fewer train seeds where needed, and sentences that say so.
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


def by_agent(scores: Iterable[GameScores]) -> dict[str, list[GameScores]]:
    """Return the games of each agent, in the order of their first entries.

    Args:
        scores: Every agent and game.
    """
    return grouped(scores, lambda game: game.agent)


class _Values(NamedTuple):
    """What improvement is computed from: an agent's values in one game, each measure (num_seeds, num_cells)."""

    game: str
    columns: dict[str, list[int]]
    """By label, and all perturbed cells."""
    by_measure: dict[Measure, FloatArray]


def _values_of(games: Iterable[GameScores], order: Mapping[str, Sequence[str]]) -> list[_Values]:
    """Return one entry a game, the games in one order, and the labels of each in the given one, for all agents."""
    found: list[_Values] = []
    for game in sorted(games, key=lambda game: game.game):
        labels = order[game.game]
        chosen = [game.columns[label] for label in labels]
        columns = {label: [place] for place, label in enumerate(labels)}
        columns[ALL_PERTURBATIONS] = [place for label, (place,) in columns.items() if label != CLEAN]
        by_measure: dict[Measure, FloatArray] = {SCORE: game.means[:, chosen], _RETENTION: seed_ratios(game)[:, chosen]}
        found.append(_Values(game.game, columns, by_measure))
    return found


def _block(game: GameScores, scope: str) -> FloatArray:
    """Return the score of each train seed in a scope's cells, shape (num_seeds, num_cells), maybe no cell."""
    is_in = [label != CLEAN if scope == ALL_PERTURBATIONS else label == scope for label in game.labels]
    return game.means[:, is_in]


def _num_cells(blocks: Iterable[FloatArray]) -> int:
    return sum(block.shape[1] for block in blocks)


def _note(estimate: Estimate) -> str:
    undefined = "undefined for some train seed" if np.isnan(estimate.value).any() else ""
    return "; ".join(note for note in (estimate.note, undefined) if note)
