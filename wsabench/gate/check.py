"""The gate over result sets: has an agent lost more of its score than the margin allows?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wsabench.errors import SpecError
from wsabench.gate.comparability import require_comparable, with_agents
from wsabench.gate.outcome import ALL_CELLS, CheckedCell, CheckResult, Verdict
from wsabench.gate.scores import Block, collect_blocks
from wsabench.results.comparing import listed
from wsabench.results.result import LEGEND, load_result, privileged_agents
from wsabench.seeding import generator
from wsabench.stats.gate import (
    COLLAPSE,
    DEFAULT_ALPHA,
    DEFAULT_MARGIN,
    DEFAULT_PERMUTATIONS,
    MIN_POWER,
    Comparison,
    Sample,
    Unit,
    adjust,
    compare,
    power_to_find,
    smallest_p,
)


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
        Verdicts, and whether the check passed. Cells in which the reference is not above random play are not tested.

    Raises:
        ResultSetError: A result set is missing or damaged, or they cannot be compared.
        SpecError: Margin or alpha is out of range, or there are too few episodes.
        UnknownNameError: The reference has no such agent.
    """
    if not 0 < alpha < 1:
        raise SpecError(f"Alpha is {alpha:g}. Allowed: numbers above 0 and below 1, as in 0.05.")
    judged, held = load_result(run), with_agents(load_result(reference), agents)
    notes = require_comparable(judged, held)
    blocks = collect_blocks(judged, held)
    counts = {agent: sum(len(block.tested) for block in parts) for agent, parts in blocks.items()}
    averaged = [agent for agent, count in counts.items() if count > 1]
    of_cells, of_averages = (
        _Rules(seed, margin, smallest_p(count, alpha, halved=bool(averaged)))
        for count in (sum(counts.values()), len(averaged))
    )
    cells = [row for parts in blocks.values() for block in parts for row in _checked_cells(block, of_cells)]
    averages = [_average([block for block in blocks[agent] if block.tested], of_averages) for agent in averaged]
    privileged = privileged_agents(judged.manifest) | privileged_agents(held.manifest)
    cells, averages = (
        [replace(row, is_privileged=row.agent in privileged) for row in rows]
        for rows in _decided(cells, averages, alpha)
    )
    for agent, parts in blocks.items():
        notes += _unit_notes(agent, parts)
    notes += _untested_notes(cells)
    if any(row.is_privileged for row in cells):
        notes.append(LEGEND)
    return CheckResult(
        run=str(run),
        reference=str(reference),
        margin=margin,
        alpha=alpha,
        strict=strict,
        overall=tuple(averages),
        cells=tuple(cells),
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True)
class _Rules:
    """By which a family of tests is decided."""

    seed: int
    margin: float
    level: float
    """The smallest p that decides anything in the family."""

    def compare(self, samples: Sequence[Sample], unit: Unit, *names: str) -> Comparison:
        """Compare, with the random stream of these names."""
        rng = generator(self.seed, "gate", *names)
        return compare(samples, unit, rng, self.margin, DEFAULT_PERMUTATIONS, self.level)

    def power(self, samples: Sequence[Sample], unit: Unit) -> float:
        """Return the chance to find a collapse."""
        return power_to_find(samples, unit, self.level, self.margin)


def _average(blocks: Sequence[Block], rules: _Rules) -> CheckedCell:
    """Return the row of an agent's average over its tested cells, games counting equally; not yet corrected."""
    first, games = blocks[0], [block.game for block in blocks]
    samples = [sample for block in blocks for sample in block.whole()]
    found = rules.compare(samples, first.unit, first.agent, *games, ALL_CELLS)
    row = _row(first, ", ".join(games), ALL_CELLS, samples, found, 0)
    return replace(row, power=rules.power(samples, first.unit))


def _checked_cells(block: Block, rules: _Rules) -> list[CheckedCell]:
    """Return a row for each cell, in order, not yet corrected."""
    rows = {place: _untested(block, place) for place in range(len(block.cells)) if place not in block.tested}
    for number, (places, sample) in enumerate(block.side_by_side()):
        found = rules.compare([sample], block.unit, block.agent, block.game, str(number))
        for column, place in enumerate(places):
            alone = replace(sample, run=sample.run[:, [column]], reference=sample.reference[:, [column]])
            row = _row(block, block.game, block.cells[place], [alone], found, column)
            rows[place] = replace(row, power=rules.power([alone], block.unit))
    return [rows[place] for place in sorted(rows)]


def _row(block: Block, game: str, name: str, samples: Sequence[Sample], found: Comparison, column: int) -> CheckedCell:
    """Return one test's numbers; p is not yet corrected."""
    run, reference = (
        min(limits.freedom(len(rows)) + 1 for rows, limits in sides)
        for sides in (
            [(sample.run, sample.run_limits) for sample in samples],
            [(sample.reference, sample.reference_limits) for sample in samples],
        )
    )
    return CheckedCell(
        agent=block.agent,
        game=game,
        perturbation=name,
        verdict="undecided",
        reference=float(found.reference[column]),
        run=float(found.run[column]),
        drop=float(found.drop[column]),
        margin=float(found.margin[column]),
        standard_error=float(found.standard_error[column]),
        p_adjusted=float(found.p_worse[column]),
        p_within=float(found.p_within[column]),
        power=math.nan,
        unit=block.unit,
        is_paired=all(sample.is_paired for sample in samples),
        num_run=run,
        num_reference=reference,
    )


def _untested(block: Block, place: int) -> CheckedCell:
    """Return the row of a cell in which there is nothing to lose."""
    run, reference = block.run[place].values, block.reference[place].values
    return CheckedCell(
        agent=block.agent,
        game=block.game,
        perturbation=block.cells[place],
        verdict="untested",
        reference=float(reference.mean()),
        run=float(run.mean()),
        drop=float(reference.mean() - run.mean()),
        margin=math.nan,
        standard_error=math.nan,
        p_adjusted=math.nan,
        p_within=math.nan,
        power=math.nan,
        unit=block.unit,
        is_paired=False,
        num_run=len(run),
        num_reference=len(reference),
    )


def _decided(
    cells: Sequence[CheckedCell], averages: Sequence[CheckedCell], alpha: float
) -> tuple[list[CheckedCell], list[CheckedCell]]:
    """Return the rows with corrected p values and verdicts."""
    tested = [row for row in cells if row.verdict != "untested"]
    found = adjust(*(np.array([row.p_adjusted for row in rows], np.float64) for rows in (tested, averages)))
    corrected = iter(found.cells.tolist())
    decided = [row if row.verdict == "untested" else _with_verdict(row, next(corrected), alpha) for row in cells]
    return decided, [_with_verdict(row, p, alpha) for row, p in zip(averages, found.overall.tolist(), strict=True)]


def _with_verdict(row: CheckedCell, p_adjusted: float, alpha: float) -> CheckedCell:
    """Return a row with its corrected p and what follows from it."""
    verdict: Verdict = "regressed" if p_adjusted <= alpha else "within margin" if row.p_within <= alpha else "undecided"
    return replace(row, p_adjusted=p_adjusted, verdict=verdict)


def _untested_notes(cells: Sequence[CheckedCell]) -> list[str]:
    """Say in which cells there is nothing to lose, and how many others are too noisy for a test of their own."""
    untested = [row.where for row in cells if row.verdict == "untested"]
    notes = []
    if untested:
        notes.append(f"Untested, because the reference is not above random play there: {listed(untested, '; ')}.")
    weak = sum(row.power < MIN_POWER for row in cells)
    if weak:
        notes.append(
            f"In {weak} of {len(cells) - len(untested)} cells a drop of {COLLAPSE:.0%} in that cell alone would be "
            f"found with a probability below {MIN_POWER:.0%}; the averages see what happens in all of them."
        )
    return notes


def _unit_notes(agent: str, blocks: Sequence[Block]) -> list[str]:
    """Say what was compared, and how far a conclusion reaches."""
    samples = [sample for block in blocks for sample in block.whole()]
    if not samples:
        return []
    how = "paired" if all(sample.is_paired for sample in samples) else "not paired"
    if blocks[0].unit == "train seeds":
        fewest = min(len(side) for sample in samples for side in (sample.run, sample.reference))
        few = " With so few only very large drops can be shown." if fewest < 5 else ""
        return [f"{agent}: {fewest} train seeds were compared, {how}.{few}"]
    how = f"{how} by episode seed" if how == "paired" else how
    limits = [side for sample in samples for side in (sample.run_limits, sample.reference_limits)]
    found = [f"{agent}: episodes of one checkpoint were compared, {how}; nothing follows for another training run."]
    if any(one.population for one in limits):
        starts = max(one.population or 0 for one in limits)
        found.append(
            f"{agent}: greedy play is the same from the same start in some cells, so each of the starts that were "
            f"played, of {starts}, counts once."
        )
    if any(block.num_left_out for block in blocks):
        found.append(
            f"{agent}: cells have different numbers of episodes; the average takes the episodes that all of them have, "
            "since those of one seed belong together, and each cell's own test takes all of its own."
        )
    if any(one.different is not None for one in limits):
        found.append(
            f"{agent}: a result set does not say how its greedy episodes started (an earlier version made it): all "
            "episodes count, and different returns and lengths bound how much they tell. Play it again for more."
        )
    return found
