"""Areas over dose and errors on a scale that does not vanish: by hand, against a fine integral, and by properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import interpolate

from wsabench import stats
from wsabench.errors import ShapeError

HUE_ROTATE_IN_PONG = [35.695, 16.525, 7.144, 14.933, 11.385]
"""docs/effects.csv: the grey levels of hue-rotate@1 to @5."""


def test_a_total_failure_has_no_area_and_an_unharmed_agent_its_clean_score():
    assert stats.dose_area(np.zeros(5), HUE_ROTATE_IN_PONG).value == 0.0
    assert stats.dose_area(np.full(5, 6.2), HUE_ROTATE_IN_PONG).value == pytest.approx(6.2)


def test_unordered_doses_by_hand():
    # In the order of doses: 7.144 (0.9), 11.385 (0.8), 14.933 (0.7), 16.525 (0.6), 35.695 (0.1).
    scores = np.array([0.1, 0.6, 0.9, 0.7, 0.8])
    curve = stats.dose_curve(scores, HUE_ROTATE_IN_PONG)
    np.testing.assert_array_equal(curve.scores, [0.9, 0.8, 0.7, 0.6, 0.1])
    np.testing.assert_array_equal(curve.doses, sorted(HUE_ROTATE_IN_PONG))
    # Widths 4.241, 3.548, 1.592, 19.17 with the means 0.85, 0.75, 0.65, 0.35, over 28.551.
    area = stats.dose_area(scores, HUE_ROTATE_IN_PONG)
    assert area.value == pytest.approx((4.241 * 0.85 + 3.548 * 0.75 + 1.592 * 0.65 + 19.17 * 0.35) / 28.551)
    assert (area.lowest, area.highest, area.reason) == (7.144, 35.695, "")


def test_severities_of_equal_dose_are_one_point():
    curve = stats.dose_curve([[0.2, 0.4, 1.0]], [5.0, 5.0, 1.0])
    np.testing.assert_allclose(curve.doses, [1.0, 5.0])
    np.testing.assert_allclose(curve.scores, [[1.0, 0.3]])
    # An unknown score stays at its own dose.
    np.testing.assert_array_equal(np.isnan(stats.dose_curve([np.nan, 0.4, 1.0], [5.0, 2.0, 1.0]).scores), [0, 0, 1])


@pytest.mark.property
@given(
    st.lists(st.tuples(st.integers(0, 60), st.floats(-2, 8)), min_size=2, max_size=7), st.randoms(use_true_random=False)
)
def test_the_area_is_an_integral_whatever_the_order(cells, shuffler):
    doses, scores = (np.array(part, dtype=float) for part in zip(*cells, strict=True))
    area = stats.dose_area(scores, doses)
    order = list(range(len(doses)))
    shuffler.shuffle(order)
    again = stats.dose_area(scores[order], doses[order])
    np.testing.assert_allclose(again.value, area.value)
    if len(set(doses)) < 2:
        assert area.reason == "one dose"
        return
    curve = stats.dose_curve(scores, doses)
    slow = interpolate.PPoly.from_spline(interpolate.make_interp_spline(curve.doses, curve.scores, k=1))
    width = curve.doses[-1] - curve.doses[0]
    np.testing.assert_allclose(area.value, slow.integrate(curve.doses[0], curve.doses[-1]) / width, atol=1e-9)
    assert scores.min() - 1e-9 <= area.value <= scores.max() + 1e-9


def test_repetitions_are_leading_axes():
    scores = np.random.default_rng(0).normal(size=(4, 3, 5))
    area = stats.dose_area(scores, HUE_ROTATE_IN_PONG).value
    expected = [[stats.dose_area(scores[i, j], HUE_ROTATE_IN_PONG).value for j in range(3)] for i in range(4)]
    np.testing.assert_allclose(area, expected, atol=1e-14)


def test_what_has_no_area_is_named():
    areas = {
        "hue-rotate": stats.dose_area([0.5, 0.3], [4.0, 8.0]),
        "palette-pal": stats.dose_area([0.7], None),
        "palette-secam": stats.dose_area([0.1], None),
        "sticky": stats.dose_area([0.7, 0.2], [np.nan, np.nan]),
        "value": stats.dose_area([0.7, 0.2], [3.0, 3.0]),
        "fog": stats.dose_area([1.0, 0.4], [2.0, 1.0]),
    }
    mean = stats.mean_dose_area(areas)
    assert mean.value == pytest.approx((0.4 + 0.7) / 2)
    assert mean.num_perturbations == 2
    assert mean.left_out == {
        "no scale": ("palette-pal", "palette-secam"),
        "change not measured": ("sticky",),
        "one dose": ("value",),
    }
    assert np.isnan(areas["sticky"].value)
    assert np.isnan(stats.mean_dose_area({"palette-pal": areas["palette-pal"]}).value)


def test_doses_that_do_not_fit_are_refused():
    for scores, doses in (([0.1, 0.2], [1.0]), ([0.1], [-1.0]), ([], [])):
        with pytest.raises(ShapeError, match="one measured change, at least 0"):
            stats.dose_area(scores, doses)
    with pytest.raises(ShapeError, match="nan"):
        stats.dose_curve([0.1, 0.2], [1.0, np.nan])
    with pytest.raises(ShapeError, match="no perturbation"):
        stats.mean_dose_area({})


def test_errors_against_a_baseline_at_human_level():
    # The baseline has no error in either severity, so the ratio is undefined; the difference is not.
    ours, theirs = [0.5, 0.3], [1.2, 1.0]
    assert np.isnan(stats.corruption_error(ours, theirs))
    ceiling = stats.error_ceiling(0.9, 1.25)
    assert ceiling == 1.25
    # Errors 1 - s / 1.25: 0.6, 0.76 against 0.04, 0.2.
    assert stats.error_difference(ours, theirs, ceiling) == pytest.approx((0.6 + 0.76) / 2 - (0.04 + 0.2) / 2)
    # Below human level the ceiling is human play, and the difference is that of the errors of Hendrycks & Dietterich.
    ours, theirs = np.array([0.5, 0.3]), np.array([0.6, 0.8])
    ceiling = stats.error_ceiling(0.7, 0.9)
    assert stats.error_difference(ours, theirs, ceiling) == pytest.approx((1 - ours).mean() - (1 - theirs).mean())
    assert stats.error_difference(ours, ours, ceiling) == 0.0


def test_losses_against_a_baseline_that_loses_nothing():
    assert np.isnan(stats.relative_corruption_error(0.9, [0.8, 0.4], 0.5, [0.5, 0.5]))
    # Lost 0.1 and 0.5 against nothing, of a ceiling of 2.
    assert stats.loss_difference([0.1, 0.5], [0.0, 0.0], 2.0) == pytest.approx(0.15)


def test_several_games_have_ceilings_of_their_own():
    scores, baseline = np.array([[0.5, 3.0], [0.5, 6.0]]), np.array([[1.0, 6.0], [1.0, 6.0]])
    found = stats.error_difference(scores, baseline, stats.error_ceiling([0.5, 6.0], [1.0, 2.0]))
    np.testing.assert_allclose(found, [(0.5 / 1 + 3 / 6) / 2, 0.25])
    with pytest.raises(ShapeError, match="must be equal"):
        stats.error_difference([0.1], [0.1, 0.2], 1.0)
