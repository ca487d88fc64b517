"""Welch's interval against SciPy's, computed from the samples themselves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from wsabench.errors import SpecError
from wsabench.stats import MeanOfEpisodes, difference_of_means


def of(sample: np.ndarray) -> MeanOfEpisodes:
    return MeanOfEpisodes(float(sample.mean()), float(sample.std(ddof=1)), len(sample))


@pytest.mark.oracle
@pytest.mark.parametrize(("sizes", "confidence"), [((5, 10), 0.95), ((2, 30), 0.9), ((40, 3), 0.99)])
def test_the_interval_is_that_of_scipy(sizes: tuple[int, int], confidence: float) -> None:
    rng = np.random.default_rng(sum(sizes))
    one, other = rng.normal(3, 1, sizes[0]), rng.normal(2, 5, sizes[1])
    wanted = scipy_stats.ttest_ind(one, other, equal_var=False).confidence_interval(confidence)
    assert difference_of_means(of(one), of(other), confidence) == pytest.approx((wanted.low, wanted.high))


@pytest.mark.oracle
def test_against_a_certain_value_it_is_students() -> None:
    sample = np.random.default_rng(0).normal(3, 1, 7)
    wanted = scipy_stats.ttest_1samp(sample, 2.5).confidence_interval(0.95)
    low, high = difference_of_means(of(sample), MeanOfEpisodes(2.5, 0.0, 1))
    assert (low + 2.5, high + 2.5) == pytest.approx((wanted.low, wanted.high))


def test_without_spread_it_is_the_difference_itself() -> None:
    assert difference_of_means(MeanOfEpisodes(21, 0, 10), MeanOfEpisodes(20, 0, 10)) == (1, 1)


@pytest.mark.parametrize("side", [MeanOfEpisodes(1, 0, 0), MeanOfEpisodes(1, 2, 1)])
def test_too_few_episodes_are_refused(side: MeanOfEpisodes) -> None:
    with pytest.raises(SpecError, match="2 episodes or more"):
        difference_of_means(MeanOfEpisodes(1, 1, 5), side)
