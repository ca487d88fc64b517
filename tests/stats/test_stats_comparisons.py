"""Correction for several tests, and the seeds that decide anything, against values worked out by hand."""

import numpy as np
import pytest

from wsabench import stats
from wsabench.errors import SpecError

pytestmark = pytest.mark.oracle


def test_holm_worked_out():
    # Sorted 0.01, 0.02, 0.04 times 3, 2, 1: 0.03, 0.04, 0.04.
    np.testing.assert_allclose(stats.holm([0.04, 0.01, 0.02]), [0.04, 0.03, 0.04])
    # 0.03 x 2 = 0.06 may not be followed by 0.05 x 1.
    np.testing.assert_allclose(stats.holm([0.05, 0.03]), [0.06, 0.06])
    np.testing.assert_allclose(stats.holm([0.6, 0.9]), [1.0, 1.0])
    # A test that could not be made counts as a member all the same.
    np.testing.assert_allclose(stats.holm([np.nan, 0.02]), [np.nan, 0.04])
    with pytest.raises(SpecError, match=r"p values are \[1\.5\]"):
        stats.holm([1.5])


@pytest.mark.parametrize(
    ("num_pairs", "paired", "seeds"),
    [(1, False, 5), (2, False, 5), (6, False, 5), (7, False, 6), (1, True, 6), (2, True, 7)],
)
def test_how_many_seeds_can_decide_at_all(num_pairs, paired, seeds):
    # 2 / C(8, 4) = 0.029, but no report claims anything from four seeds. 2 / C(10, 5) = 0.0079, times 6 is 0.048,
    # times 7 0.056; 2 / 64 = 0.031, times 2 0.0625.
    assert stats.seeds_to_decide(num_pairs, paired=paired) == seeds
