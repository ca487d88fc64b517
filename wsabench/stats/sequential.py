"""The gate in several looks: stop as soon as a drop is shown, or as soon as it is unlikely to be.

At look k the first n_k episodes of the run are compared with the whole reference (`wsabench.stats.gate.compare`). Its p
values become sequential p values: the smallest alpha at which a design that spends alpha over looks would have stopped
by now. They are valid whenever one stops, so the gate's correction over tests (`adjust`) takes them as ordinary ones.

The levels are those of a normal process whose information grows with n_k. The differences at two looks share the
reference's episodes, so they are correlated at least as much as the levels assume; more correlation means fewer false
alarms.

References:
    Lan & DeMets 1983, "Discrete sequential boundaries for clinical trials", alpha spending; Armitage, McPherson & Rowe
    1969, "Repeated significance tests on accumulating data", the recursion; Kim & DeMets 1987, "Design and analysis of
    group sequential tests based on the type I error spending rate function", power spending; Liu & Anderson 2008, "On
    adaptive extensions of group sequential trials for clinical investigations", sequential p values; Lachin 2005, "A
    review of methods for futility stopping based on conditional power".
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from wsabench.errors import ShapeError, SpecError, unknown_name
from wsabench.stats.gate import adjust
from wsabench.types import FloatArray

Spending = Literal["obrien-fleming", "pocock", "power"]
"""The name of a spending function; see `spent`."""
SPENDINGS: tuple[Spending, ...] = ("obrien-fleming", "pocock", "power")
MAX_LOOKS = 4
Outcome = Literal["alarm", "pass", "go on"]
"""What a look decides: a drop is shown, none will be shown, or the next look is needed."""

OPTIMISM = 1.0
"""Futility takes the drop to be so many standard errors larger than the present estimate."""
_GRID = 201
"""Points of the numerical integration over the statistic of one look."""
_LOWEST = -8.0
"""The normal density is integrated from here on."""
_POWER = 1.5
"""Exponent of the spending function `power`."""


class Design(NamedTuple):
    """When a sequential check looks, and how it decides."""

    looks: tuple[int, ...] = (6, 11, 16, 22)
    """Number of episodes of each cell at each look, from 2 on, rising; one to four looks."""
    alpha: float = 0.05
    """Probability of any false alarm over all looks and tests, at most."""
    spending: Spending = "power"
    """How alpha is spent over the looks."""
    futility: float = 0.05
    """Stop without alarm where every test has at most this probability of an alarm by the last look, if its drop is one
    standard error larger than it looks now; 0: never. Alarms keep their probability whether one obeys it or not."""


class Judged(NamedTuple):
    """What the looks so far show, for one check or many; leading axes are checks."""

    cells: FloatArray
    """Adjusted sequential p values, shape (..., num_cells); a test alarms where its p is at most alpha."""
    overall: FloatArray
    """The same of the averages over cells, shape (..., num_averages)."""
    hope: FloatArray
    """Probability that each test, cells first, alarms by the last look, as `futility` takes it; shape (..., num_cells +
    num_averages)."""
    is_shown: npt.NDArray[np.bool_]
    """Whether any test alarms, shape (...)."""
    is_futile: npt.NDArray[np.bool_]
    """Whether every test has at most the probability `futility` of an alarm, shape (...)."""


class State(NamedTuple):
    """What a sequential check decides at a look."""

    outcome: Outcome
    """`alarm`: a drop beyond the margin is shown; `pass`: it is unlikely to be shown, or this was the last look;
    `go on`: neither."""
    judged: Judged
    """What it rests on."""


def spent(alpha: FloatArray, fraction: float, spending: Spending) -> FloatArray:
    """Return how much of alpha is spent when a fraction of the information is there.

    Args:
        alpha: One-sided levels, any shape.
        fraction: Above 0 and at most 1.
        spending: `obrien-fleming`: little at first, 2 - 2 Phi(z(1 - alpha/2) / sqrt(fraction)); `pocock`: alpha ln(1 +
            (e - 1) fraction), nearly equal levels at all looks; `power`: alpha fraction^1.5, between them.

    Returns:
        The part of alpha, float64, the shape of `alpha`.

    Raises:
        UnknownNameError: There is no such spending function.
    """
    if spending == "obrien-fleming":
        return np.asarray(2.0 * special.ndtr(special.ndtri(alpha / 2.0) / np.sqrt(fraction)))
    if spending == "pocock":
        return np.asarray(alpha * np.log1p((np.e - 1.0) * fraction))
    if spending == "power":
        return np.asarray(alpha * fraction**_POWER)
    raise unknown_name("spending function", spending, SPENDINGS)


def nominal_levels(alpha: float, looks: Sequence[int], spending: Spending) -> FloatArray:
    """Return the level with which the p value of each look is compared.

    Args:
        alpha: One-sided probability of an alarm at any look where there is no drop beyond the margin, above 0 and below
            1.
        looks: Episodes at each look, rising; information is taken in proportion to them.
        spending: How alpha is spent.

    Returns:
        Shape (num_looks,), float64. With one look it is alpha.

    Raises:
        SpecError: Alpha or the looks are out of range.
        UnknownNameError: There is no such spending function.
    """
    _check_looks(looks)
    if not 0 < alpha < 1:
        raise SpecError(f"Alpha is {alpha:g}. Allowed: numbers above 0 and below 1, as in 0.05.")
    fractions = np.array(looks, np.float64) / looks[-1]
    cumulative = np.array([float(spent(np.array(alpha), fraction, spending)) for fraction in fractions])
    steps = np.diff(cumulative, prepend=0.0)
    bounds: list[float] = []
    # The density of the score process S = Z sqrt(t) among runs that go on, on a grid that ends at the last bound.
    points, weighted = np.zeros(1), np.ones(1)
    previous = 0.0
    for fraction, step in zip(fractions, steps, strict=True):
        spread = np.sqrt(fraction - previous)
        bound = _bound(points, weighted, spread, float(step))
        bounds.append(bound / np.sqrt(fraction))
        grid = np.linspace(_LOWEST * np.sqrt(fraction), bound, _GRID)
        density = np.exp(-0.5 * ((grid[:, None] - points) / spread) ** 2) @ weighted / (spread * np.sqrt(2.0 * np.pi))
        points, weighted, previous = grid, density * _simpson(grid), float(fraction)
    return np.asarray(special.ndtr(-np.array(bounds)))


def sequential_p(p: FloatArray, looks: Sequence[int], spending: Spending) -> FloatArray:
    """Return the smallest alpha at which a design would have stopped with an alarm by the last of these looks.

    Args:
        p: One-sided p values, shape (num_looks_so_far, ...).
        looks: Episodes at each look of the whole design.
        spending: How alpha is spent.

    Returns:
        Shape (...). Where there is no drop beyond the margin, the probability that a value is at most u is at most u,
        at whichever look one stops. NaN where a p is NaN.

    Raises:
        ShapeError: There are no p values, or more than looks.
        SpecError: The looks are out of range.
        UnknownNameError: There is no such spending function.
    """
    _check_looks(looks)
    if p.ndim < 1 or not 1 <= len(p) <= len(looks):
        raise ShapeError(f"p values have the shape {p.shape}. Allowed: one row a look so far, at most {len(looks)}.")
    alphas, levels = _table(tuple(looks), spending)
    by_look = [np.interp(_logit(row), levels[:, k], alphas) for k, row in enumerate(p)]
    found = special.expit(np.min(by_look, axis=0))
    return np.where(np.isnan(p).any(axis=0), np.nan, found)


def decide(cells: FloatArray, overall: FloatArray, design: Design) -> State:
    """Say whether a check stops.

    Args:
        cells: p values of all cells at each look so far, `Comparison.p_worse`, shape (num_looks_so_far, num_cells).
        overall: p values of the averages, shape (num_looks_so_far, num_averages); no column where there is none.
        design: The design.

    Returns:
        The decision, the adjusted p values behind it, and what the tests may still show.

    Raises:
        ShapeError: The p values do not fit each other or the looks.
        SpecError: The design is out of range.
        UnknownNameError: There is no such spending function.
    """
    found = judge(cells, overall, design)
    is_last = len(cells) == len(design.looks)
    if bool(found.is_shown):
        return State("alarm", found)
    return State("pass" if is_last or bool(found.is_futile) else "go on", found)


def judge(cells: FloatArray, overall: FloatArray, design: Design) -> Judged:
    """Return what the looks so far show, for one check or many.

    Args:
        cells: p values of all cells at each look so far, shape (num_looks_so_far, ..., num_cells).
        overall: The p values of the averages, shape (num_looks_so_far, ..., num_averages).
        design: The design.

    Raises:
        ShapeError: The p values do not fit each other or the looks.
        SpecError: The design is out of range.
        UnknownNameError: There is no such spending function.
    """
    if cells.ndim < 2 or cells.shape[:-1] != overall.shape[:-1] or not cells.shape[-1]:
        raise ShapeError(f"p values have the shapes {cells.shape} and {overall.shape}. Allowed: one row a look so far.")
    if not 0 <= design.futility < 1:
        raise SpecError(f"The futility is {design.futility:g}. Allowed: numbers from 0 and below 1, as in 0.05.")
    adjusted = adjust(*(sequential_p(part, design.looks, design.spending) for part in (cells, overall)))
    # Holm's last step is the easiest: a test that cannot even take that one is without hope.
    level = nominal_levels(design.alpha / (2.0 if overall.shape[-1] else 1.0), design.looks, design.spending)[-1]
    fraction = design.looks[len(cells) - 1] / design.looks[-1]
    hope = _hope(np.concatenate([cells[-1], overall[-1]], axis=-1), float(level), fraction)
    return Judged(
        cells=adjusted.cells,
        overall=adjusted.overall,
        hope=hope,
        is_shown=np.asarray((np.concatenate(adjusted, axis=-1) <= design.alpha).any(axis=-1)),
        is_futile=np.asarray((hope <= design.futility).all(axis=-1) & (design.futility > 0)),
    )


def _hope(p: FloatArray, level: float, fraction: float) -> FloatArray:
    """Return the probability to reach a level at the last look, from one standard error above the present estimate."""
    if fraction == 1.0:
        return np.asarray(p <= level, np.float64)
    z = -special.ndtri(np.clip(p, 1e-15, 1.0 - 1e-15))
    mean = z * np.sqrt(fraction) + (z + OPTIMISM) / np.sqrt(fraction) * (1.0 - fraction)
    return np.asarray(special.ndtr((mean + special.ndtri(level)) / np.sqrt(1.0 - fraction)))


def _bound(points: FloatArray, weighted: FloatArray, spread: float, step: float) -> float:
    """Return the score that a run which went on until now exceeds with probability `step`."""
    low, high = -10.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2.0
        exceeding = float(special.ndtr((points - middle) / spread) @ weighted)
        low, high = (middle, high) if exceeding > step else (low, middle)
    return (low + high) / 2.0


def _simpson(grid: FloatArray) -> FloatArray:
    """Return the weights of Simpson's rule on an even grid with an odd number of points."""
    weights = np.full(len(grid), 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    return np.asarray(weights * (grid[1] - grid[0]) / 3.0)


@functools.lru_cache(maxsize=16)
def _table(looks: tuple[int, ...], spending: Spending) -> tuple[FloatArray, FloatArray]:
    """Return logits of alphas, rising, and for each the logits of the nominal levels, shape (num_alphas, num_looks)."""
    alphas = special.expit(np.linspace(-16.0, 8.0, 97))
    levels = np.array([nominal_levels(float(alpha), looks, spending) for alpha in alphas])
    return _logit(alphas), np.maximum.accumulate(_logit(levels), axis=0)


def _logit(p: FloatArray) -> FloatArray:
    return np.asarray(special.logit(np.clip(p, 1e-300, 1.0 - 1e-15)))


def _check_looks(looks: Sequence[int]) -> None:
    if not 1 <= len(looks) <= MAX_LOOKS or min(looks) < 2 or any(a >= b for a, b in itertools.pairwise(looks)):
        raise SpecError(
            f"The looks are {', '.join(map(str, looks)) or 'none'}. Allowed: one to {MAX_LOOKS} rising numbers of "
            "episodes from 2, as in 6, 11, 16, 22."
        )
