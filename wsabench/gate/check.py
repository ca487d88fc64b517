"""The gate over result sets: has an agent lost more of its score than the margin allows?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from wsabench.errors import SpecError
from wsabench.gate.comparability import require_comparable, with_agents
from wsabench.gate.scores import Block, collect_blocks
from wsabench.results.result import LEGEND, MARK, load_result, privileged_agents
from wsabench.seeding import generator
from wsabench.stats.gate import DEFAULT_ALPHA, DEFAULT_MARGIN, DEFAULT_PERMUTATIONS, Comparison, Sample, adjust, compare

ALL_CELLS = "all cells"

Verdict = Literal["regressed", "within margin", "undecided"]


@dataclass(frozen=True, slots=True)
class CheckedCell:
    """One agent in one cell, or on the average over its cells; scores are normalised."""

    agent: str
    game: str
    """A game's id; several joined by commas for an average over games."""
    perturbation: str
    """Canonical name, or `all cells`."""
    verdict: Verdict
    """`regressed`: the drop is shown to exceed the margin; `within margin`: shown to be smaller; else `undecided`."""
    reference: float
    run: float
    drop: float
    margin: float
    standard_error: float
    """Of the drop."""
    p_adjusted: float
    """Of 'the drop is at most the margin', corrected over all tests of the check."""
    p_within: float
    """Of 'the drop is at least the margin'; not corrected."""
    unit: str
    """What was compared: `train seeds`, or `episodes` of one checkpoint."""
    is_paired: bool
    num_run: int
    """Train seeds or different episodes behind the run's score; the fewest of any game."""
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
        return (
            f"normalised score {self.reference:.3f} -> {self.run:.3f}, drop {self.drop:+.3f}, "
            f"margin {self.margin:.3f}, adjusted p {self.p_adjusted:.2g}"
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
    """The average over each agent's cells; empty for agents with one cell."""
    cells: tuple[CheckedCell, ...]
    notes: tuple[str, ...]

    @property
    def rows(self) -> tuple[CheckedCell, ...]:
        """Averages first, then cells."""
        return self.overall + self.cells

    @property
    def passed(self) -> bool:
        """Whether no drop beyond the margin was shown; when strict, whether it was ruled out everywhere."""
        return not any(self.fails(row) for row in self.rows)

    @property
    def conclusion(self) -> str:
        """The outcome in one sentence."""
        count = {verdict: sum(row.verdict == verdict for row in self.rows) for verdict in ("regressed", "undecided")}
        total = f"of {len(self.rows)} tests"
        if count["regressed"]:
            return f"Regression: {count['regressed']} {total} show a drop larger than the margin."
        undecided = (
            f"{count['undecided']} {total} could not rule out one" if count["undecided"] else "all tests rule out one"
        )
        verb = "Failed" if self.strict and count["undecided"] else "Passed"
        return f"{verb}: no drop larger than the margin was shown; {undecided}."

    def fails(self, row: CheckedCell) -> bool:
        """Whether a row makes the check fail."""
        return row.verdict == "regressed" or (self.strict and row.verdict == "undecided")


def check_runs(  # noqa: PLR0913 - the public entry point: one keyword an option of the command line
    run: str | Path,
    reference: str | Path,
    *,
    agents: Sequence[str] | None = None,
    margin: float = DEFAULT_MARGIN,
    alpha: float = DEFAULT_ALPHA,
    strict: bool = False,
    seed: int = 0,
) -> CheckResult:
    """Hold a run against a reference, cell by cell and on each agent's average over its cells.

    Args:
        run: Directory of the result set that is judged.
        reference: Directory of the one it is held against; the run must hold all its agents, train seeds and cells.
        agents: Agents of the reference that are judged; all by default.
        margin: Share of the reference's normalised score that may be lost; below a score of 0.1, share of 0.1.
        alpha: Probability of any false alarm in the whole check, at most.
        strict: Fail also where a drop larger than the margin cannot be ruled out, at `alpha` each.
        seed: Fixes the permutations.

    Returns:
        Verdicts, and whether the check passed.

    Raises:
        ResultSetError: A result set is missing or damaged, or they cannot be compared.
        SpecError: Margin or alpha is out of range, or there are too few episodes.
        UnknownNameError: The reference has no such agent.
    """
    if not 0 < alpha < 1:
        raise SpecError(f"Alpha is {alpha:g}. Allowed: numbers above 0 and below 1, as in 0.05.")
    judged, held = load_result(run), with_agents(load_result(reference), agents)
    notes = require_comparable(judged, held)
    tests: list[_Test] = []
    for agent, blocks in collect_blocks(judged, held).items():
        for block in blocks:
            tests += [_Test([block], name, [block.sample([place])]) for place, name in enumerate(block.cells)]
        if sum(len(block.cells) for block in blocks) > 1:
            tests.append(_Test(blocks, ALL_CELLS, [block.whole() for block in blocks]))
        notes += _unit_notes(agent, blocks)
    tests.sort(key=lambda test: test.name == ALL_CELLS)
    num_cells = sum(test.name != ALL_CELLS for test in tests)
    found = [
        compare(test.samples, test.blocks[0].unit, generator(seed, "gate", *test.names), margin, DEFAULT_PERMUTATIONS)
        for test in tests
    ]
    raw = np.array([float(one.p_worse[0]) for one in found])
    adjusted = np.concatenate(adjust(raw[:num_cells], raw[num_cells:]))
    privileged = privileged_agents(judged.manifest) | privileged_agents(held.manifest)
    rows = [
        replace(test.checked(one, p, alpha), is_privileged=test.blocks[0].agent in privileged)
        for test, one, p in zip(tests, found, adjusted.tolist(), strict=True)
    ]
    if any(row.is_privileged for row in rows):
        notes.append(LEGEND)
    return CheckResult(
        run=str(run),
        reference=str(reference),
        margin=margin,
        alpha=alpha,
        strict=strict,
        overall=tuple(rows[num_cells:]),
        cells=tuple(rows[:num_cells]),
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True)
class _Test:
    """One row of the check, before it is decided."""

    blocks: list[Block]
    name: str
    samples: list[Sample]

    @property
    def names(self) -> tuple[str, ...]:
        """What tells this test from the others: its random stream is named so."""
        return (self.blocks[0].agent, *(block.game for block in self.blocks), self.name)

    def checked(self, found: Comparison, p_adjusted: float, alpha: float) -> CheckedCell:
        """Return the verdict."""
        p_within = float(found.p_within[0])
        is_within = p_within <= alpha
        return CheckedCell(
            agent=self.blocks[0].agent,
            game=", ".join(block.game for block in self.blocks),
            perturbation=self.name,
            verdict="regressed" if p_adjusted <= alpha else "within margin" if is_within else "undecided",
            reference=float(found.reference[0]),
            run=float(found.run[0]),
            drop=float(found.drop[0]),
            margin=float(found.margin[0]),
            standard_error=float(found.standard_error[0]),
            p_adjusted=p_adjusted,
            p_within=p_within,
            unit=self.blocks[0].unit,
            is_paired=all(block.is_paired for block in self.blocks),
            num_run=min(len(sample.run) for sample in self.samples),
            num_reference=min(len(sample.reference) for sample in self.samples),
        )


def _unit_notes(agent: str, blocks: list[Block]) -> list[str]:
    """Say what was compared, and how far a conclusion reaches."""
    if blocks[0].unit == "episodes":
        how = "paired by episode seed" if all(block.is_paired for block in blocks) else "not paired"
        return [f"{agent}: episodes of one checkpoint were compared, {how}; nothing follows for another training run."]
    how = "paired" if all(block.is_paired for block in blocks) else "not paired"
    fewest = min(len(side.scores) for block in blocks for side in (block.run, block.reference))
    few = " With so few only very large drops can be shown." if fewest < 5 else ""
    return [f"{agent}: {fewest} train seeds were compared, {how}.{few}"]
