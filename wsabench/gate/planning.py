"""What a run tells of a check that is planned: which of its cells would be tested, and how much they vary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from wsabench.errors import SpecError
from wsabench.gate.scores import Played, Scores
from wsabench.protocol import Protocol
from wsabench.results.comparing import listed
from wsabench.results.manifest import AgentId
from wsabench.results.result import ResultSet
from wsabench.results.tables import with_labels

_LEAST_SCORE = 0.1
"""Below this score, noise is no longer taken relative to it."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """What one agent played in one cell."""

    agent: str
    game: str
    name: str
    rows: tuple[Scores, ...]
    """One entry for each train seed."""
    protocol: Protocol

    @property
    def has_scores(self) -> bool:
        """Whether its scores can be normalised."""
        return all(np.isfinite(one.values).all() for one in self.rows)

    @property
    def is_tested(self) -> bool:
        """Whether a check against this run would test it."""
        return Scores(np.array([one.values.mean() for one in self.rows])).has_something_to_lose

    @property
    def is_deterministic(self) -> bool:
        """Whether its episodes differ in their start at most."""
        return any(one.limits.is_deterministic for one in self.rows)


class TestedCells:
    """The cells of a run that a check against it would test; the others are left out."""

    def __init__(self, result: ResultSet) -> None:
        """Look at all cells that were played.

        Raises:
            SpecError: In none of them the run is above random play, or no score can be normalised.
        """
        cells = [one for one in _cells(result) if one.has_scores]
        self._tested = [one for one in cells if one.is_tested]
        self.left_out = _by_agent(cells)
        """The cells in which the run is not above random play, by agent and game, as words."""
        if not cells:
            raise SpecError("This run has no normalised score. Give --score and --episode-sd.")
        if not self._tested:
            raise SpecError(
                f"A check against {result.path} would test nothing: the run is not above random play in any cell "
                f"({listed(self.left_out, '; ')}). Plan from a run of other agents, or give --score, --episode-sd, "
                "--cells and --agents."
            )

    @property
    def num_agents(self) -> int:
        """Number of agents with a tested cell."""
        return len(self._per_agent())

    @property
    def num_cells(self) -> int:
        """The most tested cells of any agent, those of all games together: its average is over so many."""
        return max(self._per_agent().values())

    def _per_agent(self) -> Counter[str]:
        return Counter(one.agent for one in self._tested)

    def typical(self) -> tuple[float, float]:
        """Return the normalised score of a typical cell, and its standard deviation between episodes.

        Typical is the cell of one train seed whose noise, relative to its score, is the median. A cell's noise goes
        with its score, so both numbers are those of one cell.

        Raises:
            SpecError: No tested cell has two episodes, or play is deterministic in some, where there are no more
                different episodes than starts.
        """
        self._refuse_deterministic()
        found = [
            (float(rows.values.mean()), float(rows.values.std(ddof=1)))
            for one in self._tested
            for rows in one.rows
            if len(rows.values) > 1
        ]
        if not found:
            raise SpecError(
                "This run has no cell with two episodes and a score above random play. Give --score and --episode-sd."
            )
        return sorted(found, key=lambda one: one[1] / max(one[0], _LEAST_SCORE))[len(found) // 2]

    def _refuse_deterministic(self) -> None:
        """Refuse to tell the power of more episodes where there are no more."""
        exact = [one for one in self._tested if one.is_deterministic]
        if not exact:
            return
        first = exact[0]
        names = [one.name for one in exact if (one.agent, one.game) == (first.agent, first.game)]
        raise SpecError(
            f"{first.agent} on {first.game}: {first.protocol.few_episodes}, so more of them make nothing more certain "
            f"in {listed(names)}. With all {first.protocol.num_starts} of them a check decides such cells exactly: it "
            "finds any drop above the margin. For cells that draw at random, give --score and --episode-sd."
        )


def _cells(result: ResultSet) -> Iterator[_Cell]:
    """Yield what was played, also of a run that is not finished."""
    plan = result.manifest.plan
    protocols = plan.protocols()
    for _, part in with_labels(result.episodes).groupby(["agent", "game"], sort=False):
        agent, game = str(part["agent"].iloc[0]), str(part["game"].iloc[0])
        seeds_of = part.groupby("label", sort=False)["train_seed"].unique()
        names = [str(name) for name in part["label"].unique()]
        seeds = sorted({int(seed) for seed in part["train_seed"].unique()})
        played = Played(result, protocols, agent, game, seeds, names)
        protocol = protocols.get(AgentId(agent, seeds[0], game), plan.protocol)
        for name, those in zip(names, seeds_of, strict=True):
            rows = tuple(played.rows(int(seed), name) for seed in those)
            yield _Cell(agent, game, name, rows, protocol)


def _by_agent(cells: Sequence[_Cell]) -> list[str]:
    """Return the cells that are not tested, by agent and game, as words."""
    named: dict[tuple[str, str], list[_Cell]] = {}
    for one in cells:
        named.setdefault((one.agent, one.game), []).append(one)
    words = []
    for (agent, game), those in named.items():
        untested = [one.name for one in those if not one.is_tested]
        if untested:
            which = "all its cells" if len(untested) == len(those) else listed(untested)
            words.append(f"{agent} on {game} ({which})")
    return words
