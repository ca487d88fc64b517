"""Numbers of episodes from a pilot's spread, and what they save."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize
from scipy import stats as scipy_stats

from wsabench.errors import ShapeError, SpecError
from wsabench.stats.allocation import TARGETS, Target, allocate

SDS = st.lists(st.floats(0.01, 5.0), min_size=1, max_size=12).map(np.array)


def test_by_hand() -> None:
    # t(0.975; 9) = 2.2622. Cells of 0.1 and 0.2 to 0.05: (2.2622 * 2)^2 = 20.47 and (2.2622 * 4)^2 = 81.88.
    found = allocate(np.array([0.1, 0.2]), 0.05, 10, 1000)
    assert found.numbers.tolist() == [21, 82]
    assert found.half_widths == pytest.approx([2.26216 * 0.1 / 21**0.5, 2.26216 * 0.2 / 82**0.5], rel=1e-4)
    assert not found.is_capped.any()
    assert found.fixed == pytest.approx(82, abs=0.5)
    assert found.bound == pytest.approx((0.01 + 0.04) / 2 / 0.04)
    # On the average: n in proportion to 0.1 and 0.2, (2.2622 / 0.05)^2 * 0.15 * sd = 30.7 and 61.4.
    average = allocate(np.array([0.1, 0.2]), 0.05, 10, 1000, "average")
    assert average.numbers.tolist() == [31, 62]
    assert average.bound == pytest.approx(0.15**2 / 0.025)
    assert average.share == pytest.approx(average.bound, rel=0.02)


@pytest.mark.property
@given(sds=SDS, target=st.sampled_from(TARGETS), half_width=st.floats(0.005, 1.0), most=st.integers(10, 500))
def test_no_numbers_save_more_than_the_bound(sds: np.ndarray, target: Target, half_width: float, most: int) -> None:
    found = allocate(sds, half_width, 10, most, target)
    assert found.share >= found.bound - 1e-9
    assert ((found.numbers >= 10) & (found.numbers <= most)).all()
    reached = found.half_widths.max() if target == "cell" else np.sqrt(np.square(found.half_widths).mean())
    assert found.is_capped.any() or reached <= half_width * (1 + 1e-9)
    # A fixed run with that many episodes has the same precision.
    quantile = scipy_stats.t.ppf(0.975, 9)
    widths = quantile * sds / np.sqrt(found.fixed)
    assert reached == pytest.approx(widths.max() if target == "cell" else np.sqrt(np.square(widths).mean()))


@pytest.mark.oracle
@pytest.mark.parametrize("target", TARGETS)
def test_the_bound_is_what_an_optimiser_finds(target: Target) -> None:
    sds = np.array([0.3, 0.5, 1.0, 2.0])
    overall = np.max if target == "cell" else np.mean

    def share(logs: np.ndarray) -> float:
        numbers = np.exp(logs)
        return float(numbers.mean() * overall(sds**2 / numbers) / overall(sds**2))

    best = optimize.minimize(share, np.zeros(4), method="Nelder-Mead", options={"maxiter": 20_000, "fatol": 1e-12})
    assert allocate(sds, 0.01, 10, 10**7, target).bound == pytest.approx(
        best.fun, rel=1e-2
    )  # a search stops a little above


def test_without_spread_nothing_is_known() -> None:
    found = allocate(np.zeros(3), 0.1, 10, 50)
    assert found.numbers.tolist() == [10, 10, 10]
    assert np.isnan([found.fixed, found.share, found.bound]).all()


def test_means_are_unbiased_and_intervals_cover_for_a_normal_law() -> None:
    # Stein 1945: the mean of new episodes is within the half-width of the truth in 95 of 100, whatever the variance.
    rng, runs = np.random.default_rng(0), 20_000
    sds = rng.normal(size=(runs, 8)).std(axis=1, ddof=1)
    numbers = allocate(sds, 0.5, 8, 10_000).numbers
    means = rng.normal(size=runs) / np.sqrt(numbers)
    assert np.mean(np.abs(means) <= 0.5) == pytest.approx(0.955, abs=0.01)  # rounding up widens a little


def test_bad_input_is_refused() -> None:
    with pytest.raises(ShapeError, match="finite numbers from 0"):
        allocate(np.array([np.nan]), 0.1, 10, 50)
    with pytest.raises(SpecError, match="half-width is 0"):
        allocate(np.ones(1), 0.0, 10, 50)
    with pytest.raises(SpecError, match="pilot has 10 episodes, and beside it at most 9"):
        allocate(np.ones(1), 0.1, 10, 9)
