"""The power of a gate, planned, is the share of simulated checks that alarm."""

from __future__ import annotations

import numpy as np
import pytest

from wsabench.errors import SpecError
from wsabench.stats.gate import Sample, adjust, compare
from wsabench.stats.power import GateDesign, Variation, averaged, gate_power


@pytest.mark.parametrize(
    ("design", "num_run", "sd"),
    [
        (GateDesign(drop=0.35, score=0.8, num_cells=4, num_agents=1), 10, 0.3),
        (GateDesign(drop=0.3, score=0.5, num_cells=3, num_agents=2), 25, 0.2),
        (GateDesign(drop=0.8, score=0.05, num_cells=1), 20, 0.06),  # below the floor the drop is a share of 0.1
    ],
)
def test_planned_power_is_that_of_simulated_checks(design: GateDesign, num_run: int, sd: float) -> None:
    rng, simulations, num_reference = np.random.default_rng(0), 4_000, 20
    shape = (simulations, design.num_cells)
    reference = design.score + sd * rng.standard_normal((num_reference, *shape))
    run = design.score - design.drop * max(design.score, 0.1) + sd * rng.standard_normal((num_run, *shape))
    flat = [side.reshape(len(side), -1, 1) for side in (run, reference)]
    # Rows as train seeds: t tests alone, with which a permutation test agrees for normal scores.
    cells = compare([Sample(flat[0], flat[1], False)], "train seeds", rng).p_worse.reshape(shape)
    overall = compare([Sample(run, reference, False)], "train seeds", rng).p_worse[:, None]
    # Holm's first step by hand: half of alpha each, over all cells of all agents.
    halves = 2 if design.num_cells > 1 else 1
    of_cell = np.mean(cells[:, 0] <= 0.05 / halves / design.num_cells / design.num_agents)
    planned = gate_power(design, sd, num_run, num_reference)
    assert planned.cell == pytest.approx(of_cell, abs=0.03)
    if design.num_cells > 1:
        assert planned.average == pytest.approx(np.mean(overall <= 0.025 / design.num_agents), abs=0.03)
    if design.num_agents == 1 and design.num_cells > 1:
        assert np.mean(adjust(cells, overall).overall <= 0.05) == pytest.approx(planned.average, abs=0.03)


def test_averages_lose_the_noise_of_episodes_only() -> None:
    assert averaged(Variation(0.1, 0.4), 4) == pytest.approx((0.1, 0.2))


def test_bad_input_is_refused() -> None:
    with pytest.raises(SpecError, match="drop within the margin"):
        gate_power(GateDesign(drop=0.2, score=0.8), 0.3, 20, 20)
    with pytest.raises(SpecError, match="1 episode against 20"):
        gate_power(GateDesign(drop=0.4, score=0.8), 0.3, 1, 20)
