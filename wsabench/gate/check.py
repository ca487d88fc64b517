"""The gate over result sets: has an agent lost more of its score than the margin allows?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wsabench.errors import SpecError
from wsabench.gate.comparability import require_comparable, with_agents
from wsabench.gate.outcome import CheckedCell, CheckResult
from wsabench.gate.rows import RawRows, Rules, levels_of, notes_of, raw_rows, with_verdicts
from wsabench.gate.scores import collect_blocks
from wsabench.results.result import NO_LEDGER, load_result
from wsabench.stats.gate import DEFAULT_ALPHA, DEFAULT_MARGIN, adjust


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
        margin: Share of the reference's normalised score that may be lost; where that score is below 0.1, the share of
            0.1.
        alpha: Probability of any false alarm in the whole check, at most.
        strict: Fail also where a test cannot rule out a drop larger than the margin; each rules it out at the level
            `alpha`, without a correction.
        seed: Seed of the permutations that are drawn.

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
    levels = levels_of(blocks, alpha)
    found = raw_rows(blocks, *(Rules(seed, margin, level) for level in levels))
    cells, averages = _decided(found, alpha)
    notes += notes_of(blocks, cells)
    if not (judged.has_ledger and held.has_ledger):
        notes.append(NO_LEDGER)
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


def _decided(found: RawRows, alpha: float) -> tuple[list[CheckedCell], list[CheckedCell]]:
    """Return the rows, cells and averages, with corrected p values and verdicts."""
    p_values = (np.array([row.p_adjusted for row in rows], np.float64) for rows in (found.tested, found.averages))
    return with_verdicts(found, *adjust(*p_values), alpha)
