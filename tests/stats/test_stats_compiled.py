"""What compiled code finds is held to NumPy's own functions."""

import numpy as np
import pytest

from wsabench import stats
from wsabench.stats.compiled import loading
from wsabench.stats.compiled.seeds import compiled_ways
from wsabench.stats.compiled.selection import smallest, tails
from wsabench.stats.compiled.trimming import medians, trimmed_sums

pytestmark = pytest.mark.oracle


def rng(*seed):
    return np.random.default_rng(seed)


def rows(kind):
    """Return rows of numbers: of all sizes, with many equal ones, all equal, sorted."""
    plain = rng(1).normal(size=(12, 2_001))
    return {
        "different": plain,
        "few": np.round(plain),
        "equal": np.ones((3, 2_001)),
        "rising": np.sort(plain, axis=1),
        "one far out": np.where(np.arange(2_001) < 1_990, 0.0, plain),
    }[kind]


KINDS = ("different", "few", "equal", "rising", "one far out")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("places", [(0, 1_999), (49, 1_950), (999, 1_000)])
def test_tails_are_the_sorted_numbers(kind, places):
    lanes = rows(kind)
    at = [place + step for place in places for step in (0, 1)]
    np.testing.assert_array_equal(tails(lanes, *places), np.sort(lanes, axis=1)[:, at])


def test_tails_of_a_row_with_an_unknown_number_are_unknown():
    lanes = rows("different")
    lanes[2, 700] = np.nan
    found = tails(lanes, 49, 1_950)
    assert np.isnan(found[2]).all()
    assert not np.isnan(np.delete(found, 2, axis=0)).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 3, 8, 2_001])
def test_medians_and_any_other_place(kind, count):
    values = rows(kind)[:, :count]
    np.testing.assert_array_equal(medians(values.copy()), np.median(values, axis=1))
    for place in {0, count // 3, count - 1}:
        assert smallest(values[0].copy(), count, place) == np.sort(values[0])[place]


def test_trimmed_sums_are_those_of_repeated_numbers():
    values, units = np.sort(np.round(rng(2).normal(size=40), 1)), rng(3).integers(0, 5, 40)
    counts = rng(4).integers(0, 4, (30, 5))
    first, last = 7, int(counts[:, units].sum(axis=1).min()) - 3
    expected = [np.repeat(values, row[units])[first:last].sum() for row in counts]
    np.testing.assert_allclose(trimmed_sums(values, units, counts, first, last), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("num_seeds", [2, 3, 4, 5])
def test_draws_of_train_seeds_are_numpys_to_the_bit(num_seeds):
    ours, numpys = rng(5), rng(5)
    names = rng(6).permutation(num_seeds**num_seeds)
    for size in ((3, 50), (1, 10)):
        found = compiled_ways(names, num_seeds, ours, size)
        drawn = numpys.integers(0, num_seeds, (*size, num_seeds))
        np.testing.assert_array_equal(found, names[drawn @ num_seeds ** np.arange(num_seeds)[::-1]])
        assert ours.bit_generator.state == numpys.bit_generator.state


def test_where_numpy_goes_on_with_half_a_number_nothing_is_compiled():
    generator = rng(7)
    generator.integers(0, 3, dtype=np.uint32)
    before = generator.bit_generator.state
    assert compiled_ways(np.arange(4), 2, generator, (2, 2)) is None
    assert compiled_ways(np.arange(4), 2, np.random.Generator(np.random.MT19937(1)), (2, 2)) is None
    assert generator.bit_generator.state == before


@pytest.mark.parametrize("saved", [0.0, 10.0])
@pytest.mark.parametrize(("num_seeds", "cells"), [(3, (5, 2, 9)), (6, (4,)), (2, (3, 3))])
def test_aggregates_are_those_of_resampled_matrices(monkeypatch, saved, num_seeds, cells):
    monkeypatch.setattr(loading._Saved, "seconds", saved)
    blocks = [np.round(rng(8, place).normal(0.8, 0.4, (num_seeds, count)), 1) for place, count in enumerate(cells)]
    metrics = (stats.mean, stats.median, stats.iqm, stats.optimality_gap)
    plain = stats.over_matrix(lambda matrix: np.stack([metric(matrix) for metric in metrics], axis=-1))
    expected = stats.seed_interval(plain, [blocks], rng(9), repetitions=2_000)
    found = stats.aggregate_interval(blocks, rng(9), repetitions=2_000)
    assert (found.num_seeds, found.note) == (expected.num_seeds, expected.note)
    for part in ("value", "low", "high"):
        np.testing.assert_allclose(getattr(found, part), getattr(expected, part), rtol=1e-11, atol=1e-12)


def test_aggregates_with_an_unknown_score_have_no_bounds():
    blocks = [rng(10).normal(size=(4, 3))]
    blocks[0][1, 1] = np.nan
    found = stats.aggregate_interval(blocks, rng(11), repetitions=1_000)
    assert np.isnan([found.low, found.high]).all()


def test_improvement_moves_by_no_bit_when_compiled(monkeypatch):
    sides = [[np.round(rng(12, side, game).normal(size=(3, 4)), 1) for game in range(3)] for side in range(2)]
    found = []
    for saved in (0.0, 10.0):
        monkeypatch.setattr(loading._Saved, "seconds", saved)
        found.append([float(part) for part in stats.improvement_interval(sides[0], sides[1], rng(13))[:3]])
    assert found[0] == found[1]
