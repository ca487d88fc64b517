"""The gate in several looks: levels, sequential p values, decisions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special
from scipy import stats as scipy_stats

from wsabench.errors import ShapeError, SpecError
from wsabench.stats.sequential import SPENDINGS, Design, Spending, decide, judge, nominal_levels, sequential_p

LOOKS = (6, 11, 16, 22)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("spending", "bounds"),
    [
        # Bounds for five equal looks, one-sided 0.025, as Lan and DeMets' program gives them.
        ("obrien-fleming", (4.877, 3.357, 2.680, 2.290, 2.031)),
        ("pocock", (2.438, 2.427, 2.410, 2.397, 2.386)),
    ],
)
def test_levels_are_those_of_the_tables(
    monkeypatch: pytest.MonkeyPatch, spending: Spending, bounds: tuple[float, ...]
) -> None:
    monkeypatch.setattr("wsabench.stats.sequential.MAX_LOOKS", 5)
    levels = nominal_levels(0.025, (4, 8, 12, 16, 20), spending)
    assert -special.ndtri(levels) == pytest.approx(bounds, abs=2e-3)


@pytest.mark.oracle
@pytest.mark.parametrize("spending", SPENDINGS)
def test_two_looks_are_a_bivariate_normal(spending: Spending) -> None:
    levels = nominal_levels(0.05, (8, 20), spending)
    bounds = -special.ndtri(levels)
    correlation = np.sqrt(8 / 20)
    both = scipy_stats.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]]).cdf(bounds)
    assert 1 - both == pytest.approx(0.05, abs=1e-5)


def statistics(runs: int, drift: float = 0.0) -> np.ndarray:
    """p values of a process of independent increments, shape (looks, runs); `drift` is z at the last look."""
    looks = np.array(LOOKS) / LOOKS[-1]
    steps = np.random.default_rng(0).normal(size=(runs, len(looks))) * np.sqrt(np.diff(looks, prepend=0))
    return np.asarray(special.ndtr(-(steps.cumsum(axis=1) / np.sqrt(looks) + drift * np.sqrt(looks)))).T


@pytest.mark.parametrize("spending", SPENDINGS)
def test_sequential_p_values_are_valid_at_every_look(spending: Spending) -> None:
    p = statistics(100_000)
    for seen in range(1, 5):
        found = sequential_p(p[:seen], LOOKS, spending)
        for level in (0.3, 0.05, 0.005):
            # Three standard errors; at the last look the level is exhausted.
            noise = 3 * np.sqrt(level / 100_000)
            share = float(np.mean(found <= level))
            assert share <= level + noise
            assert seen < 4 or share >= level - noise
    assert (sequential_p(p[:3], LOOKS, spending) <= sequential_p(p[:2], LOOKS, spending) + 1e-12).all()


def test_sequential_p_is_the_level_at_which_the_design_stops() -> None:
    levels = nominal_levels(0.02, LOOKS, "power")
    for look in range(4):
        p = np.full((4, 1), 0.5)
        p[look] = levels[look]
        assert sequential_p(p, LOOKS, "power") == pytest.approx(0.02, rel=5e-3)
    assert sequential_p(np.array([[0.03]]), (20,), "pocock") == pytest.approx(0.03, rel=1e-3)
    assert np.isnan(sequential_p(np.array([np.nan]), LOOKS, "power"))


def test_futility_costs_little_and_saves_much() -> None:
    nothing, much = statistics(20_000, -2.0), statistics(20_000, 2.8)
    played = {}
    for name, p in (("nothing", nothing), ("much", much)):
        stop, alarmed = np.full(p.shape[1], 4), np.zeros(p.shape[1], bool)
        for seen in range(1, 5):
            tests = p[:seen, :, None]
            found = judge(tests, tests[..., :0], Design(looks=LOOKS))
            now = (stop == 4) & (found.is_shown | found.is_futile)
            alarmed |= now & found.is_shown
            stop[now] = seen - 1
        played[name] = np.append(LOOKS, LOOKS[-1])[stop].mean() / LOOKS[-1]
        if name == "much":
            without = (sequential_p(p, LOOKS, "power") <= 0.05).mean()
            assert 0 <= without - alarmed.mean() < 0.02
    assert played["nothing"] < 0.5
    assert played["much"] < 0.8


def test_decisions() -> None:
    design = Design(looks=(6, 20), alpha=0.05)
    low, high, some = np.array([[1e-6, 0.5]]), np.array([[0.9, 0.95]]), np.array([[0.1, 0.5]])
    average = np.array([[0.5]])
    assert decide(low, average, design).outcome == "alarm"
    assert decide(high, np.array([[0.9]]), design).outcome == "pass"
    assert decide(some, average, design).outcome == "go on"
    assert decide(np.repeat(some, 2, axis=0), np.repeat(average, 2, axis=0), design).outcome == "pass"
    assert decide(high, np.array([[0.9]]), design._replace(futility=0.0)).outcome == "go on"
    # The averages have half of alpha, as in a check with one look.
    level = nominal_levels(0.025, (6, 20), "power")[0]
    assert decide(some, np.array([[level * 0.99]]), design).outcome == "alarm"
    assert decide(some, np.array([[level * 1.01]]), design).outcome == "go on"
    no_average = np.empty((1, 0))
    assert decide(np.array([[nominal_levels(0.05, (6, 20), "power")[0] * 0.99]]), no_average, design).outcome == "alarm"


def test_bad_input_is_refused() -> None:
    with pytest.raises(SpecError, match="looks are 6, 6"):
        nominal_levels(0.05, (6, 6), "power")
    with pytest.raises(SpecError, match="one to 4 rising"):
        nominal_levels(0.05, (2, 3, 4, 5, 6), "power")
    with pytest.raises(SpecError, match="Alpha is 0"):
        nominal_levels(0.0, (6,), "power")
    with pytest.raises(ShapeError, match="at most 2"):
        sequential_p(np.ones((3, 1)), (6, 20), "power")
    with pytest.raises(ShapeError, match="one row a look"):
        decide(np.ones((1, 2)), np.ones((2, 1)), Design())
    with pytest.raises(SpecError, match="futility is 1"):
        decide(np.ones((1, 2)), np.ones((1, 1)), Design(futility=1.0))
