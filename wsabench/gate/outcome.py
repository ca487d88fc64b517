"""What the gate decided: a row a test, and what follows from all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from wsabench.results.result import MARK
from wsabench.stats.gate import COLLAPSE, MIN_POWER
from wsabench.stats.sequential import Outcome
from wsabench.words import counted

ALL_CELLS = "all cells"
FIXED_EPISODES = 20
"""What a check in one look is run with, and the play of one in several is compared to."""

Verdict = Literal["regressed", "within margin", "undecided", "untested"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCell:
    """One agent in one cell, or on the average over its cells; scores are normalised."""

    agent: str
    game: str
    """A game's id; several joined by commas for an average over games."""
    perturbation: str
    """Canonical name, or `all cells`."""
    verdict: Verdict
    """`regressed`: the drop is shown to exceed the margin; `within margin`: shown to be smaller; `untested`: the
    reference is not above random play, so there is nothing to lose; else `undecided`."""
    reference: float
    run: float
    drop: float
    margin: float = math.nan
    standard_error: float = math.nan
    """Of the drop."""
    p_adjusted: float = math.nan
    """Of 'the drop is at most the margin', corrected over all tests of the check; NaN where untested."""
    p_within: float = math.nan
    """Of 'the drop is at least the margin'; not corrected; NaN where untested."""
    power: float = math.nan
    """Chance that this test, corrected, finds a drop of `COLLAPSE`; from the reference's spread. NaN where untested."""
    unit: str
    """What was compared: `train seeds`, or `episodes` of one checkpoint."""
    is_paired: bool
    num_run: int
    """Train seeds or different episodes behind the run's score; the fewest of any game or cell."""
    num_reference: int
    is_privileged: bool = False
    """Whether the agent reads more than pixels, in the run or in the reference."""

    @property
    def agent_shown(self) -> str:
        """The agent as tables name it: with a mark where it is privileged."""
        return f"{self.agent} {MARK}" if self.is_privileged else self.agent

    @property
    def where(self) -> str:
        """The cell in words."""
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
    """Of each job, with those of earlier looks."""
    played: int
    """Of all judged jobs together."""
    smallest_p: float
    """The smallest corrected sequential p value."""
    hope: float
    """The largest probability of a test to alarm in the end, were the drop one standard error larger than it looks."""
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
    """How many are judged."""
    taken: tuple[Look, ...]

    @property
    def outcome(self) -> Outcome:
        """What the last look decided."""
        return self.taken[-1].outcome

    @property
    def fixed_episodes(self) -> int:
        """Episodes that a check in one look plays."""
        return FIXED_EPISODES * self.num_jobs

    @property
    def share(self) -> float:
        """What was played, as a share of `fixed_episodes`."""
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
    reference: str
    margin: float
    alpha: float
    strict: bool
    overall: tuple[CheckedCell, ...]
    """The average over each agent's tested cells; empty for agents with one of them only."""
    cells: tuple[CheckedCell, ...]
    notes: tuple[str, ...]
    looks: Looks | None = None
    """None where all was played before; else p values are sequential ones, which hold whenever one stops."""

    @property
    def is_decided(self) -> bool:
        """Whether nothing more is to be played; always where all was played before."""
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
        """Averages first, then cells."""
        return self.overall + self.cells

    @property
    def tested(self) -> tuple[CheckedCell, ...]:
        """The rows in which there is something to lose."""
        return tuple(row for row in self.rows if row.verdict != "untested")

    @property
    def too_few(self) -> tuple[CheckedCell, ...]:
        """The agents' averages, or only cells, in which even a collapse would too often not be found."""
        with_average = {row.agent for row in self.overall}
        decisive = (*self.overall, *(row for row in self.cells if row.agent not in with_average))
        return tuple(row for row in decisive if row.power < MIN_POWER)

    @property
    def exit_code(self) -> int:
        """1: it failed; 2: it cannot tell, having too few episodes or nothing to test; 0: it passed."""
        if any(self.fails(row) for row in self.rows):
            return 1
        return 2 if self.too_few or not self.tested else 0

    @property
    def passed(self) -> bool:
        """Whether none was shown that is beyond the margin, and would have been; if strict, all were ruled out."""
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
