"""From a run and its reference to the rows that the gate compares: train seeds, or one checkpoint's episodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wsabench.errors import ResultSetError
from wsabench.gate.comparability import cells_of, train_seeds
from wsabench.results.manifest import RecordedPlan
from wsabench.results.records import with_labels
from wsabench.results.result import RunResult
from wsabench.stats import normalised_score
from wsabench.stats.gate import MIN_EPISODE_PAIRS, Sample, Unit
from wsabench.summary.scores import may_repeat_episodes, reference_scores
from wsabench.types import FloatArray


@dataclass(frozen=True, slots=True)
class Side:
    """What one agent scored in one game, in one result set."""

    scores: FloatArray
    """Normalised scores, shape (num_rows, num_cells)."""
    outcomes: FloatArray
    """Return and length, which tell episodes apart, shape (num_rows, num_cells, 2); (..., 0) where none repeats."""

    def of(self, cells: list[int]) -> FloatArray:
        """Return the scores in some cells, shape (num_rows, 1, num_chosen); a repeated row counts once."""
        kept = _first_of_each(self.outcomes[:, cells].reshape(len(self.scores), -1))
        return self.scores[np.ix_(kept, cells)][:, None]


@dataclass(frozen=True, slots=True)
class Block:
    """One agent in one game: run against reference."""

    agent: str
    game: str
    cells: tuple[str, ...]
    """Canonical names of the reference's cells: the columns."""
    unit: Unit
    is_paired: bool
    run: Side
    reference: Side

    def sample(self, cells: Iterable[int]) -> Sample:
        """Return what tests the mean over some cells: rows of all cells belong together."""
        chosen = list(cells)
        return Sample(self.run.of(chosen), self.reference.of(chosen), self.is_paired)

    def whole(self) -> Sample:
        """Return what tests the mean over all cells."""
        return self.sample(range(len(self.cells)))


def collect_blocks(run: RunResult, reference: RunResult) -> dict[str, list[Block]]:
    """Arrange two comparable result sets by agent.

    Where both have one checkpoint, its episodes are the rows, paired by episode seed where both played the same ones,
    at least `MIN_EPISODE_PAIRS`. Else train seeds are, paired where the run has those of the reference.

    Args:
        run: What is judged; it holds all cells of the reference.
        reference: What it is held against.

    Returns:
        One entry an agent and game of the reference.

    Raises:
        ResultSetError: One side has a single train seed, the other several, none in common; or an agent has one train
            seed in some games and several in others.
    """
    plan = reference.manifest.plan
    cells, wanted, found = cells_of(plan), train_seeds(plan), train_seeds(run.manifest.plan)
    blocks: dict[str, list[Block]] = {}
    for agent, game in cells:
        theirs, ours = wanted[agent, game], found[agent, game]
        is_shared = bool(set(ours) & set(theirs))
        used = theirs if is_shared else ours
        if min(len(used), len(theirs)) == 1 < max(len(used), len(theirs)):
            raise ResultSetError(
                f"{agent} on {game} has {len(used)} train seed(s) in the run and {len(theirs)} in the reference, none "
                "in common. Allowed: the same train seeds, one on each side, or several on each side. Play other ones."
            )
        columns = cells[agent, game]
        sides = [
            _Played(result.episodes, result.manifest.plan, agent, game, seeds, columns)
            for result, seeds in ((run, used), (reference, theirs))
        ]
        blocks.setdefault(agent, []).append(_block(agent, game, columns, sides, is_shared=is_shared))
    for agent, parts in blocks.items():
        if len({block.unit for block in parts}) > 1:
            raise ResultSetError(
                f"{agent} has one train seed in some games and several in others. Check them as separate result sets."
            )
    return blocks


class _Played:
    """The episodes of one agent and game in one result set, as arrays."""

    def __init__(
        self,
        episodes: pd.DataFrame,
        plan: RecordedPlan,
        agent: str,
        game: str,
        seeds: Sequence[int],
        cells: Sequence[str],
    ) -> None:
        part = with_labels(episodes.loc[(episodes["agent"] == agent) & (episodes["game"] == game)])
        table = part.set_index(["train_seed", "label", "episode"]).sort_index()
        rows = [(seed, cell) for seed in seeds for cell in cells]
        shape = (len(seeds), len(cells), -1)
        self.returns = np.array([table.loc[row, "return"] for row in rows], np.float64).reshape(shape)
        self.lengths = np.array([table.loc[row, "length"] for row in rows], np.float64).reshape(shape)
        self.episode_seeds: list[int] = table.loc[rows[0], "episode_seed"].tolist()
        self.can_repeat = may_repeat_episodes(plan.protocol)
        known = reference_scores([game], plan)[game]
        self.scores = normalised_score(self.returns, known.random, known.human)

    def by_seed(self) -> Side:
        """Return means over episodes, a row a train seed."""
        means = self.scores.mean(axis=2)
        return Side(means, np.empty((*means.shape, 0)))

    def by_episode(self) -> Side:
        """Return the only checkpoint's episodes, a row each."""
        scores = self.scores[0].T
        if not self.can_repeat:
            return Side(scores, np.empty((*scores.shape, 0)))
        return Side(scores, np.stack([self.returns[0].T, self.lengths[0].T], axis=2))


def _block(agent: str, game: str, cells: tuple[str, ...], sides: Sequence[_Played], *, is_shared: bool) -> Block:
    """Choose the unit and the pairing of one agent and game."""
    run, reference = sides
    if len(run.returns) > 1:
        return Block(agent, game, cells, "train seeds", is_shared, run.by_seed(), reference.by_seed())
    same = run.episode_seeds == reference.episode_seeds
    # Episodes that repeat each other count once, which leaves sides of different length.
    paired = same and len(run.episode_seeds) >= MIN_EPISODE_PAIRS and not run.can_repeat
    return Block(agent, game, cells, "episodes", paired, run.by_episode(), reference.by_episode())


def _first_of_each(outcomes: FloatArray) -> list[int]:
    """Return the first row of each group of equal rows, in order; all rows where nothing tells them apart."""
    if outcomes.shape[-1] == 0:
        return list(range(len(outcomes)))
    return sorted(np.unique(outcomes, axis=0, return_index=True)[1].tolist())
