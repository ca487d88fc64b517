"""What the gate decided: one row for each test, and what follows from all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from wsabench.results.result import MARK
from wsabench.stats.gate import COLLAPSE, MIN_POWER
from wsabench.stats.sequential import Outcome
from wsabench.words import counted

ALL_CELLS = "all cells"
"""Stands in place of a cell's label in the row of an agent's average."""
FIXED_EPISODES = 20
"""Episodes of each job in a check of one look, with which the play of a check in several looks is compared."""

Verdict = Literal["regressed", "within margin", "undecided", "untested"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCell:
    """The test of one agent in one cell, or on the average over its cells; all scores are normalised."""

    agent: str
    game: str
    """A game's id; several joined by commas for an average over games."""
    perturbation: str
    """The cell's label, as in `hue-rotate@3`, or `all cells`."""
    verdict: Verdict
    """`regressed`: the drop is shown to exceed the margin; `within margin`: shown to be smaller; `untested`: the
    reference is not above random play, so there is nothing to lose; else `undecided`."""
    reference: float
    """Mean score in the reference."""
    run: float
    """Mean score in the run."""
    drop: float
    """Score of the reference minus score of the run; below 0 the run scored more."""
    margin: float = math.nan
    """The largest drop that is allowed; NaN where untested, as the next four."""
    standard_error: float = math.nan
    """Standard error of the drop."""
    p_adjusted: float = math.nan
    """p of the hypothesis that the drop is at most the margin, corrected over all tests of the check: small where the
    drop is shown to be larger."""
    p_within: float = math.nan
    """p of the hypothesis that the drop is at least the margin, not corrected: small where it is shown smaller."""
    power: float = math.nan
    """Probability that this test, corrected, finds a loss of the share `COLLAPSE`, computed from the reference's spread
    and the numbers of rows."""
    unit: str
    """What was compared: `train seeds`, or `episodes` of one checkpoint."""
    is_paired: bool
    """Whether each train seed, episode or start of the run was compared with the same one of the reference."""
    num_run: int
    """Train seeds or different episodes behind the run's score; the fewest of any game or cell."""
    num_reference: int
    """The same of the reference."""
    is_privileged: bool = False
    """Whether the agent reads more than pixels, in the run or in the reference."""

    @property
    def agent_shown(self) -> str:
        """The agent as tables name it: with a mark where it is privileged."""
        return f"{self.agent} {MARK}" if self.is_privileged else self.agent

    @property
    def where(self) -> str:
        """The agent, game and cell in words."""
        return f"{self.agent_shown} on {self.game}, {self.perturbation}"

    @property
    def change(self) -> str:
        """The numbers in words."""
        if self.verdict == "untested":
            return f"normalised score {self.reference:.3f} -> {self.run:.3f}, nothing to lose"
        return (
            f"normalised score {self.reference:.3f} -> {self.run:.3f}, drop {self.drop:+.3f}, "
            f"margin {self.margin:.3f}, adjusted p {self.p_adjusted:.2g}"
        )


@dataclass(frozen=True, slots=True)
class Look:
    """One look of a check in several."""

    episodes: int
    """Episodes of each job so far, those of earlier looks included."""
    played: int
    """Episodes of all judged jobs together so far."""
    smallest_p: float
    """The smallest corrected sequential p value of any test."""
    hope: float
    """The largest probability, of any test, that it alarms by the last look if the drop is one standard error larger
    than it looks now."""
    outcome: Outcome
    """`alarm`, `pass` or `go on`."""

    @property
    def sentence(self) -> str:
        """The look in words."""
        verdict = {
            "alarm": "a drop is shown",
            "pass": "no drop is shown, and the check stops",
            "go on": "not decided, so the run goes on",
        }[self.outcome]
        return (
            f"Look after {counted(self.episodes, 'episode')} of each job: smallest sequential p {self.smallest_p:.2g}, "
            f"chance of an alarm in the end {self.hope:.0%} at most: {verdict}."
        )


@dataclass(frozen=True, slots=True)
class Looks:
    """How a check in several looks went."""

    planned: tuple[int, ...]
    """Episodes of each job at each look."""
    num_jobs: int
    """Number of jobs that are judged."""
    taken: tuple[Look, ...]
    """The looks that were taken so far, at least one."""

    @property
    def outcome(self) -> Outcome:
        """What the last look decided."""
        return self.taken[-1].outcome

    @property
    def fixed_episodes(self) -> int:
        """Episodes of all judged jobs together that a check in one look plays."""
        return FIXED_EPISODES * self.num_jobs

    @property
    def share(self) -> float:
        """The episodes that were played, as a share of `fixed_episodes`."""
        return self.taken[-1].played / self.fixed_episodes

    @property
    def sentence(self) -> str:
        """Say where it stopped, and what that saved."""
        last = self.taken[-1]
        return (
            f"Stopped at look {len(self.taken)} of {len(self.planned)}, after {counted(last.episodes, 'episode')} of "
            f"each job: {last.played} in all, {self.share:.0%} of the {self.fixed_episodes} that {FIXED_EPISODES} of "
            "each are."
        )


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What the gate decided."""

    run: str
    """Directory of the result set that is judged."""
    reference: str
    """Directory of the result set that it is held against."""
    margin: float
    """Share of the reference's normalised score that may be lost."""
    alpha: float
    """Probability of any false alarm in the whole check, at most."""
    strict: bool
    """Whether what is undecided makes the check fail too."""
    overall: tuple[CheckedCell, ...]
    """The average over each agent's tested cells; an agent with fewer than two of them has none."""
    cells: tuple[CheckedCell, ...]
    """One row for each agent and cell of the reference."""
    notes: tuple[str, ...]
    """What was compared, how far a conclusion reaches, and what was not tested, in sentences."""
    looks: Looks | None = None
    """The looks of a check in several; its p values are sequential: they hold at whichever look one stops. None: the
    check had one look."""

    @property
    def is_decided(self) -> bool:
        """Whether nothing more is to be played, as always in a check of one look."""
        return self.looks is None or self.looks.outcome != "go on"

    @property
    def meaning(self) -> str:
        """What the p values are, in one sentence."""
        what = f"p: of a drop no larger than the margin, corrected over {counted(len(self.tested), 'test')}"
        if self.looks is None:
            return f"{what}."
        return f"{what}; sequential, so that it holds after any of the {len(self.looks.planned)} looks."

    @property
    def rows(self) -> tuple[CheckedCell, ...]:
        """All rows, averages first, then cells."""
        return self.overall + self.cells

    @property
    def tested(self) -> tuple[CheckedCell, ...]:
        """The rows in which there is something to lose."""
        return tuple(row for row in self.rows if row.verdict != "untested")

    @property
    def too_few(self) -> tuple[CheckedCell, ...]:
        """The rows that decide, in which even a collapse would be found with a probability below `MIN_POWER`.

        An agent's average decides; of an agent without one its only cell does.
        """
        with_average = {row.agent for row in self.overall}
        decisive = (*self.overall, *(row for row in self.cells if row.agent not in with_average))
        return tuple(row for row in decisive if row.power < MIN_POWER)

    @property
    def exit_code(self) -> int:
        """1: the check failed; 2: it cannot tell, for want of episodes, train seeds or tests; 0: it passed."""
        if any(self.fails(row) for row in self.rows):
            return 1
        return 2 if self.too_few or not self.tested else 0

    @property
    def passed(self) -> bool:
        """Whether the check passed.

        No drop beyond the margin was shown, though a collapse would have been found. A strict check has ruled out such
        a drop in every test.
        """
        return self.exit_code == 0

    @property
    def conclusion(self) -> str:
        """The outcome in one sentence; of a check in several looks also what was played."""
        return self._finding if self.looks is None else f"{self._finding} {self.looks.sentence}"

    @property
    def _finding(self) -> str:
        """The outcome in one sentence."""
        if not self.tested:
            return "Nothing was tested: in no cell does the reference score above random play, so nothing can be lost."
        count = {verdict: sum(row.verdict == verdict for row in self.rows) for verdict in ("regressed", "undecided")}
        total = f"of {counted(len(self.tested), 'test')}"
        if count["regressed"]:
            verb = "shows" if count["regressed"] == 1 else "show"
            return f"Regression: {count['regressed']} {total} {verb} a drop larger than the margin."
        undecided = (
            f"{count['undecided']} {total} could not rule out one" if count["undecided"] else "all tests rule out one"
        )
        if self.exit_code == 2:
            return self._too_little
        verb = "Failed" if self.exit_code else "Passed"
        return f"{verb}: no drop larger than the margin was shown; {undecided}."

    @property
    def _too_little(self) -> str:
        """Say that a collapse would not have been found."""
        found = "; ".join(f"in {row.where}, with a probability of {row.power:.0%}" for row in self.too_few)
        what = "train seeds" if self.too_few[0].unit == "train seeds" else "episodes"
        return (
            f"Too few {what}: nothing was shown, and a drop of {COLLAPSE:.0%} would be found {found}. "
            f"Needed: {MIN_POWER:.0%}. Play more {what}, of the run and of the reference."
        )

    def fails(self, row: CheckedCell) -> bool:
        """Whether a row makes the check fail."""
        return row.verdict == "regressed" or (self.strict and row.verdict == "undecided")
