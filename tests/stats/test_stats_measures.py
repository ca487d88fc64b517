"""Normalisation and robustness measures."""

import numpy as np
import pytest

from wsabench import stats
from wsabench.errors import ShapeError, SpecError


def test_normalised_score_of_random_and_reference_play():
    # Breakout: random 1.7, human 30.5, so 16.1 is half way: (16.1 - 1.7) / 28.8 = 0.5.
    np.testing.assert_allclose(stats.normalised_score([1.7, 30.5, 16.1, 59.3], 1.7, 30.5), [0.0, 1.0, 0.5, 2.0])


def test_normalised_score_with_negative_references():
    # Pong: random -20.7, human 14.6; -21 is a little worse than random.
    assert stats.normalised_score(-21.0, -20.7, 14.6) == pytest.approx(-0.3 / 35.3)


def test_normalised_score_without_reference_is_undefined():
    assert np.isnan(stats.normalised_score(3.0, 1.0, float("nan")))


@pytest.mark.parametrize("reference", [1.7, 1.0])
def test_reference_at_or_below_random_is_refused(reference):
    with pytest.raises(SpecError, match=r"not above the random score 1\.7"):
        stats.normalised_score(3.0, 1.7, reference)


def test_retention():
    clean = np.array([[0.5, 2.0, 0.5]])
    np.testing.assert_allclose(stats.retention(clean, np.array([[0.25, 2.0, -0.1]])), [[0.5, 1.0, -0.2]])


@pytest.mark.parametrize("clean", [0.0, -0.3, float("nan")])
def test_retention_of_an_agent_that_fails_clean_is_undefined(clean):
    with np.errstate(all="raise"):
        assert np.isnan(stats.retention(np.array([clean]), np.array([0.2]))).all()
    assert not stats.retention_is_defined(np.array([clean])).any()


def test_retention_is_defined_just_above_zero():
    tiny = np.array([1e-9])
    assert stats.retention_is_defined(tiny).all()
    assert stats.retention(tiny, tiny) == 1.0


def test_robustness_gap_is_defined_for_agents_that_fail_clean():
    np.testing.assert_allclose(stats.robustness_gap(np.array([0.5, -0.1]), np.array([0.2, 0.1])), [0.3, -0.2])


@pytest.mark.parametrize("measure", [stats.retention, stats.robustness_gap])
def test_shapes_must_match(measure):
    with pytest.raises(ShapeError, match=r"shape \(2,\), the perturbed ones \(3,\)"):
        measure(np.zeros(2), np.zeros(3))
