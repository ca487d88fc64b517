"""Components of variance against mean squares by hand, statsmodels' REML and simulation."""

import numpy as np
import pytest
import scipy.optimize

from wsabench import stats
from wsabench.errors import ShapeError

pytestmark = pytest.mark.oracle


def rng(seed=0):
    return np.random.default_rng(seed)


def play(draws, shape, spreads, keep=1.0):
    """Episodes in long form: scores, train seeds, cells; `keep` is the share that is kept."""
    num_seeds, num_cells, _ = shape
    scores = (
        np.arange(num_cells)[:, None] * 0.5
        + spreads[0] * draws.normal(size=(num_seeds, 1, 1))
        + spreads[1] * draws.normal(size=(num_seeds, num_cells, 1))
        + spreads[2] * draws.normal(size=shape)
    )
    seed, cell, _ = np.indices(shape)
    kept = draws.random(shape) < keep
    return scores[kept], seed[kept], cell[kept]


def test_equal_numbers_give_the_mean_squares_of_the_table():
    scores, seed, cell = play(rng(1), (5, 4, 6), (1.0, 0.7, 1.0))
    cube = scores.reshape(5, 4, 6)
    means = cube.mean(axis=2)
    within = cube.var(axis=2, ddof=1).mean()
    both = means - means.mean(axis=0) - means.mean(axis=1, keepdims=True) + means.mean()
    between = 6 * np.square(both).sum() / (4 * 3)
    of_seeds = 24 * means.mean(axis=1).var(ddof=1)
    found = stats.variance_components(scores, seed, cell, rng())
    np.testing.assert_allclose(found.variance, [(of_seeds - between) / 24, (between - within) / 6, within])
    assert (found.num_train_seeds, found.num_cells, found.num_episodes) == (5, 4, 120)
    assert np.all((found.low <= found.variance) & (found.variance <= found.high))


@pytest.mark.parametrize("spreads", [(1.0, 0.7, 1.0), (1.0, 0.0, 1.0), (0.0, 1.0, 1.0), (0.0, 0.0, 1.0)])
def test_equal_numbers_give_restricted_likelihood(spreads):
    # The likelihood of three independent mean squares whose expectations are ordered, by brute force.
    for number in range(6):
        scores, seed, cell = play(rng(number), (4, 3, 5), spreads)
        means = scores.reshape(4, 3, 5).mean(axis=2)
        both = means - means.mean(axis=0) - means.mean(axis=1, keepdims=True) + means.mean()
        squares = np.array([15 * means.mean(axis=1).var(ddof=1), 5 * np.square(both).sum() / 6, 0.0])
        squares[2] = scores.reshape(4, 3, 5).var(axis=2, ddof=1).mean()

        def loss(parts, squares=squares):
            expected = np.array([parts[2] + 5 * parts[1] + 15 * parts[0], parts[2] + 5 * parts[1], parts[2]])
            return np.sum(np.array([3, 6, 48]) * (np.log(expected) + squares / expected))

        bounds = [(0, None), (0, None), (1e-3, None)]
        best = scipy.optimize.minimize(loss, [0.5, 0.5, 0.5], bounds=bounds, options={"ftol": 1e-14, "gtol": 1e-9})
        found = stats.variance_components(scores, seed, cell, rng())
        np.testing.assert_allclose(found.variance, best.x, atol=2e-3)


@pytest.mark.parametrize(("keep", "tolerance"), [(1.0, 2e-3), (0.7, 0.2)])
def test_statsmodels_says_the_same(keep, tolerance):
    # With equal numbers REML exactly; else moments and likelihood differ a little.
    api = pytest.importorskip("statsmodels.regression.mixed_linear_model")
    scores, seed, cell = play(rng(3), (6, 5, 8), (1.0, 0.7, 1.0), keep)
    fixed = (cell[:, None] == np.arange(5)).astype(float)
    parts = [cell[seed == one][:, None] == np.arange(5) for one in range(6)]
    names = api.VCSpec(["cell"], [[[str(k) for k in range(5)]] * 6], [[part.astype(float) for part in parts]])
    model = api.MixedLM(scores, fixed, seed, np.ones((len(scores), 1)), exog_vc=names)
    fit = model.fit(reml=True, method=["powell", "lbfgs"])
    found = stats.variance_components(scores, seed, cell, rng())
    np.testing.assert_allclose(found.variance, [fit.cov_re[0, 0], fit.vcomp[0], fit.scale], rtol=tolerance)


def test_moments_are_unbiased_where_numbers_differ():
    # 40 train seeds and cells that are mostly missing: the mean of 150 estimates within 4 standard errors.
    draws, truth = rng(4), np.array([1.0, 0.49, 2.25])
    found = []
    for _ in range(150):
        scores, seed, cell = play(draws, (40, 5, 6), np.sqrt(truth), keep=0.4)
        found.append(stats.variance_components(scores, seed, cell, draws).variance)
    error = np.std(found, axis=0) / np.sqrt(len(found))
    np.testing.assert_array_less(np.abs(np.mean(found, axis=0) - truth), 4 * error)


@pytest.mark.parametrize("keep", [1.0, 0.6])
def test_intervals_hold_the_truth(keep):
    # At least 95 % but for 3 standard errors of 200 data sets (5 train seeds, 6 cells, 6 episodes).
    draws, truth, held = rng(5), np.array([1.0, 0.5, 2.0]), np.zeros(3)
    for _ in range(200):
        scores, seed, cell = play(draws, (5, 6, 6), np.sqrt(truth), keep)
        found = stats.variance_components(scores, seed, cell, draws)
        held += (found.low <= truth) & (truth <= found.high)
    assert np.all(held / 200 >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 200))


def test_one_cell_cannot_tell_train_seeds_from_cells():
    scores, seed, cell = play(rng(6), (5, 1, 8), (1.0, 1.0, 0.5))
    found = stats.variance_components(scores, seed, cell, rng())
    means = scores.reshape(5, 8).mean(axis=1)
    within = scores.reshape(5, 8).var(axis=1, ddof=1).mean()
    np.testing.assert_allclose(found.variance, [means.var(ddof=1) - within / 8, np.nan, within])
    np.testing.assert_array_equal(np.isnan(found.low), [False, True, False])


def test_order_and_names_do_not_matter():
    scores, seed, cell = play(rng(7), (4, 3, 5), (1.0, 0.5, 1.0), keep=0.8)
    first = stats.variance_components(scores, seed, cell, rng())
    order = rng(8).permutation(len(scores))
    names = np.array(["clean", "fog@1", "fog@2"])[cell]
    second = stats.variance_components(3.0 * scores[order] + 7.0, 9 - seed[order], names[order], rng())
    np.testing.assert_allclose(second.variance, 9.0 * first.variance)
    np.testing.assert_allclose(second.high, 9.0 * first.high)


@pytest.mark.parametrize(
    ("scores", "seed", "cell"),
    [
        ([1.0, 2.0, 3.0], [0, 0, 0], [0, 0, 1]),  # one train seed
        ([1.0, 2.0, 3.0, 4.0], [0, 0, 1, 1], [0, 1, 0, 1]),  # one episode each
        ([1.0, 2.0, 3.0, 4.0], [0, 0, 1, 1], [0, 0, 1, 1]),  # no cell that two share
    ],
)
def test_what_is_too_little(scores, seed, cell):
    with pytest.raises(ShapeError, match="too few to split"):
        stats.variance_components(scores, seed, cell, rng())


def test_scores_must_fit():
    with pytest.raises(ShapeError, match="not finite"):
        stats.variance_components([1.0, np.nan], [0, 1], [0, 0], rng())
