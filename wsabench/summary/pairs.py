"""What is compared with what: two agents, or an agent's perturbed and clean play, as numbers of train seeds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from wsabench import stats
from wsabench.results.manifest import AgentId, RecordedPlan
from wsabench.results.records import CLEAN
from wsabench.summary.rows import Measure, Undecidable
from wsabench.summary.scores import GameScores
from wsabench.types import FloatArray, SuiteMeasure

MEASURE_OF_SUITE: dict[SuiteMeasure, Measure] = {
    "retention": "retention",
    "gap": "robustness_gap",
    "score": "normalised_score",
}
"""The measure of a summary for each measure that a suite file may name."""


class Pair(NamedTuple):
    """Two agents on the games and perturbations that both played, or one agent against its own clean play."""

    agent_x: str
    agent_y: str | None
    """The other agent. None: `agent_x` is compared with its own clean play."""
    measure: Measure
    """What is compared."""
    names: tuple[str, ...]
    """The perturbations that are tested, without severity."""
    covers_all: bool
    """Whether these are all that both agents played."""
    games: tuple[str, ...]
    """The games that the comparison is about."""
    x: list[FloatArray]
    """The values of `agent_x` in each game, shape (num_seeds, num_perturbations), NaN where the game lacks the
    perturbation; more is better. Where y is None, the paired differences: above 0 they speak for `agent_x`, but against
    clean play they are the robustness gap."""
    y: list[FloatArray] | None
    """The same of `agent_y`; None where x holds paired differences."""
    num_seeds: tuple[int, int]
    """The numbers of train seeds of both agents, the fewest of any game."""
    clean: tuple[float, float]
    """Clean normalised scores of both, mean over the games; NaN where clean was not played."""
    left_out: tuple[str, ...]
    """Games that both agents played, but that the comparison leaves out."""
    obstacle: Undecidable | None = None
    """Why there is no game left; None where there is one."""

    @property
    def whole(self) -> tuple[list[FloatArray], list[FloatArray] | None]:
        """The means over perturbations, of x and of y, one column for each game."""
        x, y = ([np.nanmean(block, axis=1, keepdims=True) for block in side or ()] for side in (self.x, self.y))
        return x, None if self.y is None else y


def pair_of(
    games_x: Sequence[GameScores],
    games_y: Sequence[GameScores],
    plan: RecordedPlan,
    family: Collection[str] | None = None,
) -> Pair | None:
    """Return two agents as they are compared with each other.

    Args:
        games_x: Every game of one agent.
        games_y: Every game of the other.
        plan: Tells the suite's measure, and which agents are the same checkpoint, whose seeds are paired.
        family: Perturbations (without severity) to test; None takes all that both agents played.

    Returns:
        The pair; None where no game with reference scores has a perturbation that both played. Games in which either
        agent's clean score is not surely above the floor leave a comparison of retention or gap.
    """
    measure = MEASURE_OF_SUITE[plan.suite.measure]
    both = [(x, y) for x in games_x for y in games_y if x.game == y.game and x.is_known]
    played = [name for x, y in both for name in _perturbations(x, y)]
    every = tuple(dict.fromkeys(played))
    names = tuple(name for name in every if family is None or name in family)
    both = [(x, y) for x, y in both if set(names) & set(_perturbations(x, y))]
    return _pair(both, measure, names, plan, covers_all=names == every)


def pair_in_clean_play(games_x: Sequence[GameScores], games_y: Sequence[GameScores], plan: RecordedPlan) -> Pair | None:
    """Return the clean scores of two agents as they are compared with each other.

    Args:
        games_x: Every game of one agent.
        games_y: Every game of the other.
        plan: Tells which agents are the same checkpoint, whose seeds are paired.

    Returns:
        The pair; None where both played clean in no game with reference scores.
    """
    both = [
        (x, y)
        for x in games_x
        for y in games_y
        if x.game == y.game and x.is_known and x.index(CLEAN) is not None and y.index(CLEAN) is not None
    ]
    return _pair(both, "normalised_score", (CLEAN,), plan)


def _pair(
    both: Sequence[tuple[GameScores, GameScores]],
    measure: Measure,
    names: tuple[str, ...],
    plan: RecordedPlan,
    *,
    covers_all: bool = True,
) -> Pair | None:
    """Return two agents on the games that both played; None where there is none."""
    if not both:
        return None
    found: list[Undecidable | None] = [_first(obstacle_of(x, measure), obstacle_of(y, measure)) for x, y in both]
    usable = [pair for pair, obstacle in zip(both, found, strict=True) if obstacle is None]
    values = [(_values(x, y, names, measure), _values(y, x, names, measure)) for x, y in usable]
    agent_x, agent_y = both[0][0].agent, both[0][1].agent
    is_paired = _same_checkpoints(agent_x, agent_y, both, plan)
    return Pair(
        agent_x=agent_x,
        agent_y=agent_y,
        measure=measure,
        names=names,
        covers_all=covers_all,
        games=tuple(x.game for x, _ in usable),
        x=[one - other for one, other in values] if is_paired else [one for one, _ in values],
        y=None if is_paired else [other for _, other in values],
        num_seeds=(_fewest([x for x, _ in both]), _fewest([y for _, y in both])),
        clean=(_mean_clean([x for x, _ in usable]), _mean_clean([y for _, y in usable])),
        left_out=tuple(x.game for (x, _), obstacle in zip(both, found, strict=True) if obstacle),
        obstacle=None if usable else _first(*found),
    )


def clean_pair_of(games: Sequence[GameScores], family: Collection[str] | None = None) -> Pair | None:
    """Return an agent's perturbed play against its own clean play: the robustness gap, paired within train seeds.

    Args:
        games: Every game of the agent.
        family: Perturbations (without severity) to test; None takes all.

    Returns:
        The pair; None where no game has clean play, reference scores and a perturbation.
    """
    measured = [game for game in games if game.index(CLEAN) is not None and game.is_known]
    every = tuple(dict.fromkeys(name for game in measured for name in _perturbations(game, game)))
    names = tuple(name for name in every if family is None or name in family)
    measured = [game for game in measured if set(names) & set(_perturbations(game, game))]
    if not measured:
        return None
    return Pair(
        agent_x=measured[0].agent,
        agent_y=None,
        measure="robustness_gap",
        names=names,
        covers_all=names == every,
        games=tuple(game.game for game in measured),
        x=[-_values(game, game, names, "robustness_gap") for game in measured],
        y=None,
        num_seeds=(_fewest(measured), _fewest(measured)),
        clean=(_mean_clean(measured), _mean_clean(measured)),
        left_out=(),
    )


def obstacle_of(game: GameScores, measure: Measure) -> Undecidable | None:
    """Return why a game of an agent cannot be part of a comparison; None where it can.

    Args:
        game: What the agent played there; the game has reference scores.
        measure: What is compared. A normalised score needs no clean score, so it can always be compared.
    """
    if measure == "normalised_score":
        return None
    column = game.index(CLEAN)
    if column is None:
        return "clean was not played"
    clean = game.means[:, column]
    is_sure = game.has_retention
    if is_sure and measure == "retention":
        is_sure = bool(np.isfinite(stats.retention_shares(clean, clean[:, None])).all())
    return None if is_sure else "clean score not above the floor"


def _values(game: GameScores, other: GameScores, names: Sequence[str], measure: Measure) -> FloatArray:
    """Return a number for each train seed and perturbation, over the severities that the other played too."""
    means = game.means if measure == "normalised_score" else game.above_random
    averaged = np.full((len(means), len(names)), np.nan)
    for place, name in enumerate(names):
        if shared := _shared(game, other, name):
            averaged[:, place] = means[:, shared].mean(axis=1)
    if measure == "normalised_score":
        return averaged
    clean = game.means[:, game.labels.index(CLEAN)]
    if measure == "robustness_gap":
        return averaged - clean[:, None]
    has = np.isfinite(averaged[0])
    averaged[:, has] = stats.retention_shares(clean, averaged[:, has])
    return averaged


def _shared(game: GameScores, other: GameScores, name: str) -> list[int]:
    """Return the columns of a perturbation's cells that another agent played too."""
    return [
        column
        for column, cell in enumerate(game.cells)
        if cell.perturbation == name and other.index(cell.label) is not None
    ]


def _perturbations(x: GameScores, y: GameScores) -> list[str]:
    """Return the perturbations, without severity, that both agents played in a game."""
    shared = (cell for cell in x.cells if cell.label != CLEAN and y.index(cell.label) is not None)
    return list(dict.fromkeys(cell.perturbation for cell in shared))


def _first(*obstacles: Undecidable | None) -> Undecidable | None:
    return next((obstacle for obstacle in obstacles if obstacle), None)


def _fewest(games: Sequence[GameScores]) -> int:
    return min(len(game.train_seeds) for game in games)


def _mean_clean(games: Sequence[GameScores]) -> float:
    columns = [game.index(CLEAN) for game in games]
    known = [game.means[:, place].mean() for game, place in zip(games, columns, strict=True) if place is not None]
    return float(np.mean(known)) if games and len(known) == len(games) else float("nan")


def _same_checkpoints(
    agent_x: str, agent_y: str, pairs: Sequence[tuple[GameScores, GameScores]], plan: RecordedPlan
) -> bool:
    """Whether two agents are the same trained networks, evaluated twice."""
    hashes = {entry.id: entry.checkpoint_hash for entry in plan.agents}

    def is_same(game: str, seed: int) -> bool:
        found = hashes.get(AgentId(agent_x, seed, game))
        return found is not None and found == hashes.get(AgentId(agent_y, seed, game))

    return all(
        x.train_seeds == y.train_seeds and all(is_same(x.game, seed) for seed in x.train_seeds) for x, y in pairs
    )
