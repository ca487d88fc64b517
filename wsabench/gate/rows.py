"""From two result sets side by side to the rows of a check: each test's numbers, and what must be said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from wsabench.gate.outcome import ALL_CELLS, CheckedCell, Verdict
from wsabench.gate.scores import Block
from wsabench.results.comparing import listed
from wsabench.results.result import LEGEND
from wsabench.seeding import generator
from wsabench.stats.gate import (
    COLLAPSE,
    DEFAULT_PERMUTATIONS,
    MIN_POWER,
    Comparison,
    Sample,
    Unit,
    compare,
    power_to_find,
    smallest_p,
)
from wsabench.types import FloatArray
from wsabench.words import counted


class RawRows(NamedTuple):
    """The rows of a check before its p values are corrected."""

    cells: list[CheckedCell]
    """One row for each agent and cell."""
    averages: list[CheckedCell]
    """One row for each agent with several tested cells."""

    @property
    def tested(self) -> list[CheckedCell]:
        """The cells in which there is something to lose."""
        return [row for row in self.cells if row.verdict != "untested"]


class Levels(NamedTuple):
    """The level of the first step of Holm's method in each family of tests, as `smallest_p` gives it."""

    cells: float
    averages: float


class Planned(NamedTuple):
    """The last look of a check in several looks."""

    episodes: int
    """Episodes of each job, those of earlier looks included."""
    level: float
    """The level of Holm's first step at this look: with no p at or below it nothing is shown."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a family of tests, the cells or the averages, is decided."""

    seed: int
    """Seed of the permutations that are drawn."""
    margin: float
    """Share of the reference's normalised score that may be lost."""
    level: float
    """The level of Holm's first step: with no p at or below it the family shows nothing."""
    planned: Planned | None = None
    """What a check in several looks may still play; None where all is played."""

    def compare(self, samples: Sequence[Sample], unit: Unit, *names: str) -> Comparison:
        """Compare a run with its reference.

        Args:
            samples: Independent samples with the same tests.
            unit: What a row of the samples is.
            *names: Names of the stream of random numbers that permutations are drawn from.
        """
        rng = generator(self.seed, "gate", *names)
        return compare(samples, unit, rng, self.margin, DEFAULT_PERMUTATIONS, self.level)

    def power(self, samples: Sequence[Sample], unit: Unit) -> float:
        """Return the probability of finding a collapse, with as many episodes of the run as are planned.

        Args:
            samples: Independent samples with one test.
            unit: What a row of the samples is.
        """
        if self.planned is None:
            return power_to_find(samples, unit, self.level, self.margin)
        rows = self.planned.episodes  # nothing of the run enters but how many they are
        full = [replace(one, run=np.resize(one.run, (rows, *one.run.shape[1:]))) for one in samples]
        return power_to_find(full, unit, self.planned.level, self.margin)


def levels_of(blocks: Mapping[str, Sequence[Block]], alpha: float) -> Levels:
    """Return the level of the first step of Holm's method in each family of tests.

    Args:
        blocks: What `collect_blocks` returned.
        alpha: Probability of any false alarm in the whole check, at most.
    """
    averaged = _averaged(blocks)
    num_cells = sum(len(block.tested) for parts in blocks.values() for block in parts)
    return Levels(*(smallest_p(count, alpha, halved=bool(averaged)) for count in (num_cells, len(averaged))))


def raw_rows(blocks: Mapping[str, Sequence[Block]], of_cells: Rules, of_averages: Rules) -> RawRows:
    """Return a row for each cell, in order, and one for each agent with several tested cells.

    Args:
        blocks: What `collect_blocks` returned.
        of_cells: How cells are decided.
        of_averages: How averages are decided.
    """
    return RawRows(
        [row for parts in blocks.values() for block in parts for row in _checked_cells(block, of_cells)],
        [_average([block for block in blocks[agent] if block.tested], of_averages) for agent in _averaged(blocks)],
    )


def notes_of(blocks: Mapping[str, Sequence[Block]], cells: Sequence[CheckedCell]) -> list[str]:
    """Say what was compared, how far a conclusion reaches, and what was not tested.

    Args:
        blocks: What `collect_blocks` returned.
        cells: The rows of the cells.
    """
    notes = [note for agent, parts in blocks.items() for note in _unit_notes(agent, parts)]
    legend = [LEGEND] if any(row.is_privileged for row in cells) else []
    return [*notes, *_untested_notes(cells, has_averages=bool(_averaged(blocks))), *legend]


def _averaged(blocks: Mapping[str, Sequence[Block]]) -> list[str]:
    """Return the agents that have an average: those with several tested cells."""
    return [agent for agent, parts in blocks.items() if sum(len(block.tested) for block in parts) > 1]


def _average(blocks: Sequence[Block], rules: Rules) -> CheckedCell:
    """Return the row of an agent's average over its tested cells, games counting equally; not yet corrected."""
    first, games = blocks[0], [block.game for block in blocks]
    samples = [sample for block in blocks for sample in block.whole()]
    found = rules.compare(samples, first.unit, first.agent, *games, ALL_CELLS)
    row = _row(first, ", ".join(games), ALL_CELLS, samples, found, 0)
    return replace(row, power=rules.power(samples, first.unit))


def _checked_cells(block: Block, rules: Rules) -> list[CheckedCell]:
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
        unit=block.unit,
        is_paired=all(sample.is_paired for sample in samples),
        num_run=run,
        num_reference=reference,
        is_privileged=block.is_privileged,
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
        unit=block.unit,
        is_paired=False,
        num_run=len(run),
        num_reference=len(reference),
        is_privileged=block.is_privileged,
    )


def with_verdicts(
    found: RawRows, cells: FloatArray, overall: FloatArray, alpha: float
) -> tuple[list[CheckedCell], list[CheckedCell]]:
    """Return the rows, cells and averages, with corrected p values and what follows from them.

    Args:
        found: The rows, whose p values are not yet corrected.
        cells: Corrected p values of the tested cells, float64, shape (num_tested_cells,).
        overall: Corrected p values of the averages, float64, shape (num_averages,).
        alpha: Probability of any false alarm in the whole check, at most.
    """
    corrected = iter(cells.tolist())
    decided = [row if row.verdict == "untested" else _with_verdict(row, next(corrected), alpha) for row in found.cells]
    return decided, [_with_verdict(row, p, alpha) for row, p in zip(found.averages, overall.tolist(), strict=True)]


def _with_verdict(row: CheckedCell, p_adjusted: float, alpha: float) -> CheckedCell:
    """Return a row with its corrected p and what follows from it."""
    verdict: Verdict = "regressed" if p_adjusted <= alpha else "within margin" if row.p_within <= alpha else "undecided"
    return replace(row, p_adjusted=p_adjusted, verdict=verdict)


def _untested_notes(cells: Sequence[CheckedCell], *, has_averages: bool) -> list[str]:
    """Say in which cells there is nothing to lose, and how many others are too noisy for a test of their own."""
    untested = [row.where for row in cells if row.verdict == "untested"]
    notes = []
    if untested:
        notes.append(f"Untested, because the reference is not above random play there: {listed(untested, '; ')}.")
    weak = sum(row.power < MIN_POWER for row in cells)
    if weak:
        averages = "; the averages see what happens in all of them" if has_averages else ""
        notes.append(
            f"In {weak} of {counted(len(cells) - len(untested), 'cell')} a drop of {COLLAPSE:.0%} in that cell alone "
            f"would be found with a probability below {MIN_POWER:.0%}{averages}."
        )
    return notes


def _pairing(blocks: Sequence[Block]) -> str:
    """Say by what rows of the tested cells were paired, and in which cells they were not."""
    several_games = len(blocks) > 1
    ways: dict[str, list[str]] = {}
    for block in blocks:
        for places, sample in block.side_by_side():
            by_seed = "" if block.unit == "train seeds" else " by episode seed"
            way = " by start" if sample.run_limits.population else by_seed
            names = (block.cells[place] + f" on {block.game}" * several_games for place in places)
            ways.setdefault(way if sample.is_paired else "not", []).extend(names)
    apart = ways.pop("not", [])
    total = len(apart) + sum(map(len, ways.values()))
    if not ways:
        return "not paired"
    if len(ways) == 1 and not apart:
        return f"paired{next(iter(ways))}"
    paired = " and".join(f"{way} in {len(names)}" for way, names in ways.items())
    return f"paired{paired} of {counted(total, 'cell')}" + (f" (not in {listed(apart)})" if apart else "")


def _unit_notes(agent: str, blocks: Sequence[Block]) -> list[str]:
    """Say what was compared, and how far a conclusion reaches."""
    samples = [sample for block in blocks for sample in block.whole()]
    if not samples:
        return []
    how = _pairing(blocks)
    if blocks[0].unit == "train seeds":
        fewest = min(len(side) for sample in samples for side in (sample.run, sample.reference))
        few = " With so few only very large drops can be shown." if fewest < 5 else ""
        return [f"{agent}: {fewest} train seeds were compared, {how}.{few}"]
    limits = [side for sample in samples for side in (sample.run_limits, sample.reference_limits)]
    found = [f"{agent}: episodes of one checkpoint were compared, {how}; nothing follows for another training run."]
    if any(one.population for one in limits):
        starts = max(one.population or 0 for one in limits)
        found.append(
            f"{agent}: greedy play is the same from the same start in some cells. Of "
            f"{counted(starts, 'possible start')}, each one that was played counts once."
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
