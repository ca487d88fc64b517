"""From a run and its reference to the rows that the gate compares: train seeds, or one checkpoint's episodes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from wsabench.errors import ResultSetError
from wsabench.gate.comparability import cells_of, train_seeds
from wsabench.protocol import Protocol
from wsabench.results.manifest import AgentId
from wsabench.results.result import ResultSet, privileged_agents
from wsabench.results.tables import episode_keys, has_starts, with_labels
from wsabench.stats import normalised_score
from wsabench.stats.gate import MIN_EPISODE_PAIRS, Sample, Unit
from wsabench.stats.one_sided import TOLERANCE, UNLIMITED, Limits
from wsabench.summary.scores import reference_scores
from wsabench.types import FloatArray
from wsabench.words import counted

_MIN_ROWS = 2
"""A sample has no fewer rows."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What one agent scored in one cell, in one result set."""

    values: FloatArray
    """Normalised scores, float64, shape (num_rows,); a row is a train seed, an episode or a start."""
    limits: Limits = UNLIMITED
    """What is known of the rows beyond their scores."""
    keys: tuple[int, ...] = ()
    """What each row is paired by: its train seed, its episode seed or its number of no-ops."""

    @property
    def has_something_to_lose(self) -> bool:
        """Whether their mean lies above random play by more than rounding."""
        return bool(self.values.mean() > TOLERANCE)


@dataclass(frozen=True, slots=True)
class Block:
    """What one agent scored in one game, in the run and in the reference."""

    agent: str
    game: str
    cells: tuple[str, ...]
    """The labels of the reference's cells."""
    unit: Unit
    """What a row of the scores is; `episodes` also where a start takes the place of its episodes."""
    run: tuple[Scores, ...]
    """The scores in the run, one entry for each cell."""
    reference: tuple[Scores, ...]
    """The scores in the reference, one entry for each cell."""
    may_pair: bool = True
    """Whether rows of equal key may be paired at all."""
    is_privileged: bool = False
    """Whether the agent reads more than pixels, on either side."""

    @property
    def tested(self) -> tuple[int, ...]:
        """The places, in `cells`, of those in which the reference has something to lose."""
        return tuple(place for place, one in enumerate(self.reference) if one.has_something_to_lose)

    def side_by_side(self) -> list[tuple[list[int], Sample]]:
        """Return the tested cells in groups of equal rows: their places, and a sample that tests each by itself."""
        groups = self._groups(lambda one: (len(one.values), one.keys, one.limits))
        return [(cells, self._sample(cells, axis=2)) for cells in groups]

    def whole(self) -> list[Sample]:
        """Return the samples that test the mean over all tested cells, where rows of all cells belong together.

        Cells may have different numbers of episodes; then the rows are those that all have, since episodes of one seed
        depend on each other and cells must not count as independent. There is one sample, or two: one of the cells
        whose rows are episodes, and one of the cells whose rows are starts.
        """
        drawn = (self._drawn(side) for side in (self.run, self.reference))
        aligns = all(len(_shared(cells)) >= _MIN_ROWS for cells in drawn if cells)
        groups = self._groups(
            lambda one: (one.limits.population, None if aligns and one.limits.population is None else one.keys)
        )
        return [replace(self._sample(cells, axis=1), weight=len(cells) / len(self.tested)) for cells in groups]

    @property
    def num_left_out(self) -> int:
        """How many episodes of a tested cell are no rows of the average, because other cells have fewer: the most."""
        counts = [
            len(one.values) - len(_shared(drawn))
            for drawn in (self._drawn(self.run), self._drawn(self.reference))
            for one in drawn
        ]
        return max(counts, default=0)

    def _drawn(self, side: Sequence[Scores]) -> list[Scores]:
        """Return the tested cells of a side whose rows are draws, and not starts."""
        return [side[place] for place in self.tested if side[place].limits.population is None]

    def _groups(self, key: Callable[[Scores], Hashable]) -> list[list[int]]:
        """Return the tested cells, those together whose two sides have equal keys."""
        groups: dict[Hashable, list[int]] = {}
        for place in self.tested:
            groups.setdefault((key(self.run[place]), key(self.reference[place])), []).append(place)
        return list(groups.values())

    def _sample(self, cells: Sequence[int], axis: int) -> Sample:
        """Return some cells side by side (`axis` 2) or their mean (1)."""
        run, reference = (_aligned([side[place] for place in cells]) for side in (self.run, self.reference))
        scores = [np.expand_dims(np.stack([one.values for one in side], axis=1), axis) for side in (run, reference)]
        limits = [_joint(side) for side in (run, reference)]
        return Sample(scores[0], scores[1], self._is_paired(run[0], reference[0]), limits[0], limits[1])

    def _is_paired(self, run: Scores, reference: Scores) -> bool:
        """Whether rows of equal key belong together: then both sides have the same ones."""
        if (
            not self.may_pair
            or run.keys != reference.keys
            or run.limits != reference.limits
            or run.limits.different is not None
        ):
            return False
        all_there = run.limits.population == len(run.values)
        return self.unit == "train seeds" or all_there or len(run.values) >= MIN_EPISODE_PAIRS


def collect_blocks(run: ResultSet, reference: ResultSet, *, may_pair: bool = True) -> dict[str, list[Block]]:
    """Arrange two comparable result sets by agent.

    Where both have one checkpoint, its episodes are the rows, paired by episode seed where both played the same ones,
    at least `MIN_EPISODE_PAIRS`. Else train seeds are, paired where the run has those of the reference. Where nothing
    but the start is left to chance, as the job says or as repeated starts show, a start takes the place of its
    episodes, which are all the same.

    Args:
        run: What is judged; it holds all cells of the reference.
        reference: What it is held against.
        may_pair: Whether rows of equal key may be paired; if not, none are.

    Returns:
        For each agent its blocks, one for each game that it played in the reference.

    Raises:
        ResultSetError: One side has a single train seed, the other several, none in common; or an agent has one train
            seed in some games and several in others.
        SpecError: The human score of a game is not above its random score.
    """
    plan = reference.manifest.plan
    cells, wanted, found = cells_of(plan), train_seeds(plan), train_seeds(run.manifest.plan)
    privileged = privileged_agents(run.manifest) | privileged_agents(reference.manifest)
    played = [(result, result.manifest.plan.protocols()) for result in (run, reference)]
    blocks: dict[str, list[Block]] = {}
    for agent, game in cells:
        theirs, ours = wanted[agent, game], found[agent, game]
        is_shared = bool(set(ours) & set(theirs))
        used = theirs if is_shared else ours
        if min(len(used), len(theirs)) == 1 < max(len(used), len(theirs)):
            raise ResultSetError(
                f"{agent} on {game} has {counted(len(used), 'train seed')} in the run and {len(theirs)} in the "
                "reference, none in common. Allowed: the same train seeds, one on each side, or several on each side. "
                "Play other ones."
            )
        columns = cells[agent, game]
        sides = [
            Played(result, protocols, agent, game, seeds, columns)
            for (result, protocols), seeds in zip(played, (used, theirs), strict=True)
        ]
        unit: Unit = "train seeds" if len(used) > 1 else "episodes"
        judged, held = (side.by_seed() if unit == "train seeds" else side.by_episode() for side in sides)
        blocks.setdefault(agent, []).append(
            Block(agent, game, columns, unit, judged, held, may_pair, agent in privileged)
        )
    for agent, parts in blocks.items():
        if len({block.unit for block in parts}) > 1:
            raise ResultSetError(
                f"{agent} has one train seed in some games and several in others. Check them as separate result sets."
            )
    return blocks


def _shared(cells: Sequence[Scores]) -> tuple[int, ...]:
    """Return the keys that all cells have, in the order of the first."""
    others = [set(one.keys) for one in cells[1:]]
    return tuple(key for key in cells[0].keys if all(key in other for other in others)) if cells else ()


def _aligned(cells: Sequence[Scores]) -> list[Scores]:
    """Return the cells with the rows that all of them have, in one order."""
    keys = _shared(cells)
    if all(one.keys == keys for one in cells):
        return list(cells)
    places = [{key: place for place, key in enumerate(one.keys)} for one in cells]
    return [
        replace(one, values=one.values[[place[key] for key in keys]], keys=keys)
        for one, place in zip(cells, places, strict=True)
    ]


def _joint(cells: Sequence[Scores]) -> Limits:
    """Return what is known of rows of several cells that belong together: they differ where any of them does."""
    different = [one.limits.different for one in cells if one.limits.different is not None]
    return cells[0].limits._replace(different=max(different, default=None))


class Played:
    """The episodes of one agent and game in one result set."""

    def __init__(
        self,
        result: ResultSet,
        protocols: Mapping[AgentId, Protocol],
        agent: str,
        game: str,
        seeds: Sequence[int],
        cells: Sequence[str],
    ) -> None:
        """Take the episodes from a result set and normalise their returns.

        Args:
            result: The result set.
            protocols: The protocol of each of its agents, as its plan gives them.
            agent: The agent's name.
            game: The game's id.
            seeds: Train seeds, in the order of the rows.
            cells: Labels of the cells, in the order of the columns.

        Raises:
            SpecError: The human score of the game is not above its random score.
        """
        episodes, plan = result.episodes, result.manifest.plan
        part = with_labels(episodes.loc[(episodes["agent"] == agent) & (episodes["game"] == game)])
        known = reference_scores([game], plan)[game]
        part = part.assign(score=normalised_score(part["return"].to_numpy(np.float64), known.random, known.human))
        self._by_job = dict(iter(part.sort_values("episode").groupby(["train_seed", "label"])))
        self.seeds, self.cells = tuple(seeds), tuple(cells)
        # Of greedy choice without sticky actions only the start is left to chance, if the cell leaves none either.
        lanes = {seed: protocols.get(AgentId(agent, seed, game), plan.protocol) for seed in seeds}
        self._num_starts = {seed: one.num_starts if one.may_repeat_episodes else None for seed, one in lanes.items()}
        self._once = {
            (job.train_seed, job.perturbation)
            for job in plan.jobs
            if job.each_start_once and (job.agent, job.game) == (agent, game)
        }

    def by_seed(self) -> tuple[Scores, ...]:
        """Return, for each cell, the means over episodes, or over starts, one row for each train seed."""
        return tuple(
            Scores(np.array([self.rows(seed, cell).values.mean() for seed in self.seeds]), keys=self.seeds)
            for cell in self.cells
        )

    def by_episode(self) -> tuple[Scores, ...]:
        """Return, for each cell, the episodes of the only checkpoint, or its starts, one row for each."""
        return tuple(self.rows(self.seeds[0], cell) for cell in self.cells)

    def rows(self, seed: int, cell: str) -> Scores:
        """Return the episodes, or the starts, of one checkpoint in one cell: of a train seed and a label."""
        job = self._by_job[seed, cell]
        scores, seeds = job["score"].to_numpy(np.float64), tuple(job["episode_seed"].tolist())
        num_starts = self._num_starts[seed]
        if num_starts is None:
            return Scores(scores, keys=seeds)
        if not has_starts(job).all():  # different episodes may look alike, so all of them count in the mean
            return Scores(scores, Limits(different=len(set(zip(job["return"], job["length"], strict=True)))), seeds)
        if (seed, cell) not in self._once and not _is_deterministic(job):
            return Scores(scores, keys=seeds)
        once = job.drop_duplicates("noops").sort_values("noops")
        starts = tuple(once["noops"].tolist())
        return Scores(once["score"].to_numpy(np.float64), Limits(population=num_starts), starts)


def _is_deterministic(job: pd.DataFrame) -> bool:
    """Whether episodes of the same start are shown to be the same: some start occurs again, and none differs.

    Perturbations and agents may draw at random in greedy play as well. Of jobs that do not say that they play each
    start once, nothing but a start that was played again tells whether they do; where none is, episodes are taken for
    draws.
    """
    num_starts = job["noops"].nunique()
    return num_starts < len(job) and len(set(episode_keys(job))) == num_starts
