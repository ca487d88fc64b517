"""From the episodes of a result set to arrays of scores, one `GameScores` for each agent and game."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from wsabench.errors import ResultSetError, SpecError, StorageError
from wsabench.resources import data_dir
from wsabench.results.manifest import AgentId, RecordedPlan
from wsabench.results.records import CLEAN
from wsabench.results.tables import episode_keys
from wsabench.stats import CleanBound, clean_bound, episode_means, normalised_mean, normalised_score
from wsabench.summary.rows import Cell, PublishedRow, RandomRow
from wsabench.types import BoolArray, FloatArray, IntArray

RANDOM_AGENT = "random"
"""The built-in agent that presses buttons at random: a yardstick, no contestant."""
DYNAMICS = "dynamics"
"""The family of perturbations that change the game itself, and with it what random play scores."""
_CELL = ["family", "perturbation", "severity", "label"]


class Reference(NamedTuple):
    """The reference scores of a game, mean returns in points from which scores are normalised; NaN where unknown."""

    random: float
    """Mean return of random play, which is 0 when normalised."""
    human: float
    """Mean return of human play, which is 1 when normalised."""


@dataclass(frozen=True)  # without slots: what is computed from it is kept
class GameScores:
    """Everything one agent played in one game: complete rows and columns, episodes paired by episode seed."""

    agent: str
    game: str
    train_seeds: tuple[int, ...]
    cells: tuple[Cell, ...]
    """The cells, in the order of the run."""
    returns: FloatArray
    """Undiscounted, unclipped returns, shape (num_seeds, num_cells, num_episodes). Jobs may have different numbers of
    episodes: NaN where a job lacks one that another job played. Every job has at least one."""
    distinct: npt.NDArray[np.int64]
    """Number of different episodes, shape (num_seeds, num_cells)."""
    reference: Reference
    """The game's reference scores."""
    random_returns: FloatArray
    """Mean return of random play in each cell that changes the game itself, shape (num_cells,); NaN where it was not
    played, and where a cell leaves the game as it is: there `reference.random` holds."""
    error_share: FloatArray | None = None
    """What is left of the standard error of each job's mean, shape (num_seeds, num_cells): 0 where all episodes that
    there are were played, sqrt(1 - n / N) where n of N starts were, each once, and 1 elsewhere. None: 1 everywhere."""

    @cached_property
    def is_known(self) -> bool:
        """Whether the game has reference scores."""
        return not (math.isnan(self.reference.random) or math.isnan(self.reference.human))

    @cached_property
    def scores(self) -> FloatArray:
        """Normalised scores of episodes, shape (num_seeds, num_cells, num_episodes).

        NaN where the game has no reference scores, and where a job lacks the episode.
        """
        return normalised_score(self.returns, self.reference.random, self.reference.human)

    @cached_property
    def uncertain_scores(self) -> FloatArray:
        """Scores as intervals over episodes draw them, shape of `scores`.

        Where each start is played once, the episodes are a sample without replacement from finitely many. Deviations
        from a job's mean are shrunk by what is left of its standard error (finite-population correction: Cochran 1977,
        "Sampling Techniques", section 2.6), so an interval for draws with replacement has the right width.
        """
        if self.error_share is None:
            return self.scores
        means = episode_means(self.scores)[..., None]
        return means + (self.scores - means) * self.error_share[..., None]

    @cached_property
    def is_exact(self) -> BoolArray:
        """Whether a job played all episodes that there are, shape (num_seeds, num_cells)."""
        return np.zeros(self.distinct.shape, dtype=np.bool_) if self.error_share is None else self.error_share == 0.0

    @cached_property
    def drawn_episodes(self) -> IntArray:
        """How many episodes an interval draws for each train seed where cells are averaged, shape (num_seeds,).

        Of all episodes that some cell has, as many as differ in the cell with the smallest share of different ones; 1
        where a cell has no two different ones.
        """
        share = (self.distinct / self.num_episodes).min(axis=1)
        drawn = np.maximum(np.round(self.returns.shape[2] * share), 1).astype(np.int64)
        return np.where(self.distinct.min(axis=1) < 2, 1, drawn)

    @cached_property
    def num_episodes(self) -> npt.NDArray[np.int64]:
        """Number of episodes of each job, shape (num_seeds, num_cells)."""
        return (~np.isnan(self.returns)).sum(axis=2)

    @cached_property
    def mean_returns(self) -> FloatArray:
        """Mean return of each job over its own episodes, shape (num_seeds, num_cells)."""
        return episode_means(self.returns)

    @cached_property
    def means(self) -> FloatArray:
        """Normalised mean return of each job, shape (num_seeds, num_cells); NaN if the game has no reference scores.

        Returns are averaged first: equal totals are ties, and a total as of random play is exactly 0.
        """
        return normalised_mean(self.mean_returns[..., None], self.reference.random, self.reference.human)

    @cached_property
    def above_random(self) -> FloatArray:
        """What retention and robustness gap set against the clean score, shape (num_seeds, num_cells).

        As `means`, but above random play of the same changed game where that was played.
        """
        is_changed = ~np.isnan(self.random_returns)
        zero = np.where(is_changed, self.random_returns, self.reference.random)
        return normalised_mean(
            self.mean_returns[..., None], self.reference.random, self.reference.human, perturbed_random=zero
        )

    @cached_property
    def random_shift(self) -> FloatArray:
        """How much a cell moves the score of random play, normalised, shape (num_cells,); NaN where not played."""
        return normalised_score(self.random_returns, self.reference.random, self.reference.human)

    @cached_property
    def clean_column(self) -> int | None:
        """The column of clean play, None where it was not played."""
        return self.index(CLEAN)

    @cached_property
    def clean_bound(self) -> CleanBound | None:
        """The lower bound of the clean score over the episodes of these checkpoints; None where there is no score."""
        column = self.clean_column
        if column is None or not self.is_known:
            return None
        return clean_bound(
            self.uncertain_scores[:, column], self.distinct[:, column], is_exact=self.is_exact[:, column]
        )

    @cached_property
    def has_retention(self) -> bool:
        """Whether the clean score surely lies above the floor, so that retention means something."""
        bound = self.clean_bound
        return bound is not None and bound.is_defined

    @cached_property
    def labels(self) -> list[str]:
        """The label of each cell, in order."""
        return [cell.label for cell in self.cells]

    @cached_property
    def columns(self) -> dict[str, int]:
        """The column of each cell by its label."""
        return {label: column for column, label in enumerate(self.labels)}

    def index(self, label: str) -> int | None:
        """Return the column of the cell with a label, None where it was not played."""
        return self.columns.get(label)

    def with_cells(self, labels: Collection[str]) -> GameScores:
        """Return the same with the cells of these labels only, in the order of the run."""
        columns = [place for place, cell in enumerate(self.cells) if cell.label in labels]
        return replace(
            self,
            cells=tuple(self.cells[place] for place in columns),
            returns=np.ascontiguousarray(self.returns[:, columns]),
            distinct=self.distinct[:, columns],
            random_returns=self.random_returns[columns],
            error_share=None if self.error_share is None else self.error_share[:, columns],
        )

    def with_seeds(self, train_seeds: Sequence[int]) -> GameScores:
        """Return the same with these train seeds only, in the order given."""
        rows = [self.train_seeds.index(seed) for seed in train_seeds]
        return replace(
            self,
            train_seeds=tuple(train_seeds),
            returns=self.returns[rows],
            distinct=self.distinct[rows],
            error_share=None if self.error_share is None else self.error_share[rows],
        )


def without_random_play(episodes: pd.DataFrame, plan: RecordedPlan) -> tuple[pd.DataFrame, tuple[RandomRow, ...]]:
    """Separate built-in random play, which is a yardstick and no contestant, from the episodes of agents.

    Args:
        episodes: The result set's episodes with the column `label`.
        plan: Tells which agents are built in.

    Returns:
        The other agents' episodes, and what random play scored in each cell. Where nobody else played, random play is
        an agent like any other, and the table is empty.
    """
    built_in = {entry.agent for entry in plan.agents if entry.kind == "built-in"} & {RANDOM_AGENT}
    is_random = np.array([agent in built_in for agent in episodes["agent"]], dtype=np.bool_)
    if is_random.all() or not is_random.any():
        return episodes, ()
    cells = episodes.loc[is_random].groupby(["agent", "game", "label"], sort=False, observed=True)["return"]
    rows = (
        RandomRow(agent=agent, game=game, label=label, mean_return=float(mean), num_episodes=int(size))
        for (agent, game, label), mean, size in cells.agg(["mean", "size"]).itertuples(name=None)
    )
    return episodes.loc[~is_random], tuple(rows)


def random_means(rows: Iterable[RandomRow]) -> dict[tuple[str, str], float]:
    """Return the mean return of random play by game and label.

    Args:
        rows: As `without_random_play` gives them.
    """
    return {(row.game, row.label): row.mean_return for row in rows}


def collect_scores(
    episodes: pd.DataFrame,
    plan: RecordedPlan,
    references: Mapping[str, Reference],
    random_play: Mapping[tuple[str, str], float] | None = None,
) -> tuple[list[GameScores], list[str]]:
    """Arrange episodes by agent and game.

    Args:
        episodes: The result set's episodes with the column `label`.
        plan: What was planned: the order of agents and perturbations, and the protocol.
        references: Reference scores by game.
        random_play: Mean return of random play by game and label, as `random_means` gives it.

    Returns:
        One entry for each agent and game, and sentences about what had to be left out.

    Raises:
        ResultSetError: An episode stands in the result set twice.
    """
    collected: list[GameScores] = []
    notes: list[str] = []
    order = agent_order(episodes, plan)
    games = [*plan.games, *sorted(set(episodes["game"]))]
    places = {name: place for place, name in reversed(list(enumerate(games)))}
    ranks = {name: place for place, name in enumerate(order)}
    may_repeat: dict[tuple[str, str], bool] = {}
    for one, protocol in plan.protocols().items():
        may_repeat[one.agent, one.game] = protocol.may_repeat_episodes or may_repeat.get((one.agent, one.game), False)
    parts = cast("dict[tuple[str, str], IntArray]", episodes.groupby(["agent", "game"], sort=False).indices)
    for agent, game in sorted(parts, key=lambda key: (ranks[key[0]], places[key[1]])):
        scores, left_out = _arrange(
            episodes.iloc[parts[agent, game]],
            plan,
            references[game],
            random_play or {},
            may_repeat=may_repeat.get((agent, game), plan.protocol.may_repeat_episodes),
        )
        if scores is not None:
            collected.append(scores)
        if left_out:
            listed = ", ".join(left_out[:4]) + (", ..." if len(left_out) > 4 else "")
            cells = "1 cell is" if len(left_out) == 1 else f"{len(left_out)} cells are"
            notes.append(f"{agent} on {game}: {cells} left out, because not every train seed has finished: {listed}.")
    return collected, notes


def agent_order(episodes: pd.DataFrame, plan: RecordedPlan) -> list[str]:
    """Return the agents that have episodes, in the order the user named them.

    Args:
        episodes: The result set's episodes.
        plan: Tells that order.
    """
    played = list(dict.fromkeys(episodes["agent"]))
    named = list(dict.fromkeys(entry.agent for entry in plan.agents))
    return [name for name in named if name in played] + [name for name in played if name not in named]


def _arrange(
    part: pd.DataFrame,
    plan: RecordedPlan,
    reference: Reference,
    random_play: Mapping[tuple[str, str], float],
    *,
    may_repeat: bool,
) -> tuple[GameScores | None, list[str]]:
    """Return one agent and game as arrays, and the labels of cells that not all train seeds finished."""
    codes, names = pd.factorize(part["label"])
    first = np.unique(codes, return_index=True)[1]
    order = {name: place for place, name in enumerate([CLEAN, *plan.perturbations])}
    found = (
        Cell(family, perturbation, None if pd.isna(severity) else int(severity), label)
        for family, perturbation, severity, label in part.iloc[first][_CELL].itertuples(index=False)
    )
    cells = sorted(found, key=lambda cell: order.get(cell.label, len(order)))
    seeds, table, is_played = _table(part, codes, len(names))
    column = {name: place for place, name in enumerate(names)}
    kept = tuple(cell for cell in cells if is_played[:, column[cell.label]].all())
    left_out = [cell.label for cell in cells if cell not in kept]
    if not kept:
        return None, left_out
    returns = table[:, [column[cell.label] for cell in kept]]
    # In the order that it has in another process too: sums must not depend on where they are made.
    returns = np.ascontiguousarray(returns[..., ~np.isnan(returns).all(axis=(0, 1))])
    if may_repeat:
        rows = pd.MultiIndex.from_product([seeds, [cell.label for cell in kept]])
        different = part.assign(key=episode_keys(part)).drop_duplicates(["train_seed", "label", "key"])
        counts = different.groupby(["train_seed", "label"]).size().reindex(rows).to_numpy(dtype=np.int64)
        distinct = counts.reshape(returns.shape[:2])
    else:
        distinct = (~np.isnan(returns)).sum(axis=2)
    game = str(part["game"].iloc[0])
    agent = str(part["agent"].iloc[0])
    changed = (random_play.get((game, cell.label), math.nan) if DYNAMICS in cell.family else math.nan for cell in kept)
    scores = GameScores(
        agent=agent,
        game=game,
        train_seeds=seeds,
        cells=kept,
        returns=returns,
        distinct=distinct,
        reference=reference,
        random_returns=np.array(list(changed), dtype=np.float64),
    )
    return replace(scores, error_share=_error_share(scores, plan)), left_out


def _error_share(scores: GameScores, plan: RecordedPlan) -> FloatArray | None:
    """Return `GameScores.error_share` by what the plan says of its jobs."""
    once = {
        (job.train_seed, job.perturbation)
        for job in plan.jobs
        if job.each_start_once and (job.agent, job.game) == (scores.agent, scores.game)
    }
    if not once:
        return None
    lanes = plan.protocols()
    share = np.ones(scores.num_episodes.shape)
    for row, seed in enumerate(scores.train_seeds):
        num_starts = lanes.get(AgentId(scores.agent, seed, scores.game), plan.protocol).num_starts
        for column, label in enumerate(scores.labels):
            if (seed, label) in once:
                share[row, column] = math.sqrt(max(0.0, 1.0 - scores.num_episodes[row, column] / num_starts))
    return share


def _table(
    part: pd.DataFrame, codes: npt.NDArray[np.intp], num_labels: int
) -> tuple[tuple[int, ...], FloatArray, BoolArray]:
    """Return the train seeds, the returns (num_seeds, num_labels, num_episodes), and which jobs there are."""
    seeds, row = np.unique(part["train_seed"].to_numpy(np.int64), return_inverse=True)
    episodes, place = np.unique(part["episode_seed"].to_numpy(np.int64), return_inverse=True)
    table = np.full((len(seeds), num_labels, len(episodes)), np.nan)
    is_there = np.zeros(table.shape, dtype=np.bool_)
    table[row, codes, place] = part["return"].to_numpy(np.float64)
    is_there[row, codes, place] = True
    if is_there.sum() != len(part):
        raise ResultSetError("An episode stands in the result set twice. Remove one of the two files that have it.")
    return tuple(map(int, seeds)), table, np.asarray(is_there.any(axis=2))


def reference_scores(games: Sequence[str], plan: RecordedPlan) -> dict[str, Reference]:
    """Return the reference scores of each game: those that were recorded, else the catalogue's.

    Args:
        games: Game ids.
        plan: What was planned; its reference scores may lack a game.

    Raises:
        SpecError: A game whose scores were not recorded needs two players, or its catalogue entry is malformed.
        UnknownNameError: Such a game is no ROM.
    """
    recorded = plan.reference_scores
    return {
        game: _reference(recorded[game].random, recorded[game].human) if game in recorded else _of_catalogue(game)
        for game in games
    }


def _reference(random: float | None, human: float | None) -> Reference:
    return Reference(*(math.nan if value is None else float(value) for value in (random, human)))


def _of_catalogue(game: str) -> Reference:
    from wsabench.games import load_game

    entry = load_game(game)
    return _reference(entry.random_score, entry.human_score)


COLUMNS = ("game", "agent", "algorithm", "mean", "sd", "source")
"""The columns of `baselines/published_scores.csv`."""


def published_table(references: Mapping[str, Reference]) -> tuple[PublishedRow, ...]:
    """Return the published scores of some games, from `baselines/published_scores.csv`.

    Args:
        references: The reference scores by game.

    Returns:
        The scores by game, normalised where there are references. They come from other protocols and training
        budgets: they are for orientation, not for tests.

    Raises:
        SpecError: The table's columns are not `COLUMNS`.
        StorageError: It cannot be read.
    """
    path = data_dir("baselines") / "published_scores.csv"
    try:
        table = pd.read_csv(path)
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror}. Reinstall wsabench.") from error
    if tuple(table.columns) != COLUMNS:
        raise SpecError(f"{path}: columns are {', '.join(table.columns)}. Allowed: {', '.join(COLUMNS)}.")
    # By game in the order of the run; within a game in the order of the file.
    rows = ((game, row) for game in references for row in table[table["game"] == game].itertuples(index=False))
    return tuple(
        PublishedRow(
            **dict(zip(COLUMNS, row, strict=True)),
            normalised_score=float(normalised_score(row[COLUMNS.index("mean")], *references[game])),
        )
        for game, row in rows
    )
