"""How long episodes are, from a sample that had no time to end them all.

Episodes that still go on when the sample ends are counted for what they are, at least so long: a mean over those that
ended would be too small, because the short ones end first. Lengths of one group (an agent in a cell) are taken to
follow a Weibull distribution with S(t) = exp(-(t / s)^k). Its shape k is that of all groups; its scale s is the group's
own, log-normal over groups: under some changes games are short, under others long, and a group of which nothing ended
is likely to be one of the long ones. What is believed of shape, centre and spread before anything is seen is weak, and
all of it is weighed by the sample (Bayes' rule, on a grid), so that draws show how little a short sample knows.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench.types import FloatArray

_SHAPES = np.array([0.8, 1.0, 1.4, 1.9, 2.5, 3.3, 4.5, 6.0, 9.0])
_SPREADS = np.array([0.15, 0.3, 0.5, 0.7])
"""Of the logarithm of the scale over groups."""
_CENTRES = np.linspace(np.log(0.2), np.log(50.0), 40)
"""Of the logarithm of the scale; a scale of 1 is the mean of the steps that episodes of the sample have played, or what
is usual where that is more."""
_BELIEF = -0.5 * (_CENTRES - np.log(2.0)) ** 2
"""Of the centre before anything is seen, as a logarithm: where nothing ended, lengths may be anything, but hardly a
hundred times what was played, or what is usual."""
_SCALES = np.linspace(np.log(0.03), np.log(200.0), 160)
"""Of a group, as a logarithm."""


class Seen(NamedTuple):
    """An episode of the sample."""

    group: Hashable
    steps: int
    """At least 1."""
    is_ended: bool


class Lengths:
    """What a sample says of the lengths of episodes."""

    def __init__(self, sample: Sequence[Seen], limit: float, usual: float = 0.0) -> None:
        """Weigh what is believed by the sample.

        Args:
            sample: At least one episode.
            limit: The longest episode that the protocol allows, in steps.
            usual: About half of what episodes take, in steps, for a sample that is too short to say.
        """
        self._limit = limit
        self._places: dict[Hashable, int] = {}
        for one in sample:
            self._places.setdefault(one.group, len(self._places))
        groups = np.array([self._places[one.group] for one in sample])
        steps = np.array([one.steps for one in sample], np.float64)
        ended = np.array([one.is_ended for one in sample], np.bool_)
        self._unit = max(float(steps.mean()), usual)
        steps = np.maximum(steps / self._unit, 1e-6)
        number = len(self._places)
        ends = np.bincount(groups[ended], minlength=number)
        logs = np.bincount(groups[ended], np.log(steps[ended]), number)
        prior = _normal(_SCALES - _CENTRES[:, None, None], _SPREADS[:, None])  # centre, spread, scale
        self._likelihoods: list[FloatArray] = []
        """For each shape, the logarithm of how well each scale explains each group; the last one is any group."""
        weights = []
        for shape in _SHAPES:
            totals = np.bincount(groups, steps**shape, number)
            fit = ends * np.log(shape) + (shape - 1.0) * logs
            values = fit[:, None] - shape * np.outer(ends, _SCALES) - np.outer(totals, np.exp(-shape * _SCALES))
            self._likelihoods.append(np.vstack([values, np.zeros(len(_SCALES))]))
            best = values.max(axis=1, keepdims=True)
            mixed = np.tensordot(prior, np.exp(values - best), axes=(2, 1))  # centre, spread, group
            weights.append(np.log(np.maximum(mixed, 1e-300)).sum(axis=2) + best.sum() + _BELIEF[:, None])
        self._prior = prior
        weight = np.exp(np.stack(weights) - np.max(weights))
        self._weights = (weight / weight.sum()).ravel()

    def law(self, generator: np.random.Generator) -> Law:
        """Return one of the ways in which lengths may be, drawn as likely as the sample makes it."""
        drawn = int(generator.choice(len(self._weights), p=self._weights))
        shape_at, centre, spread = np.unravel_index(drawn, (len(_SHAPES), len(_CENTRES), len(_SPREADS)))
        likelihoods = self._likelihoods[shape_at]
        values = np.exp(likelihoods - likelihoods.max(axis=1, keepdims=True))
        likely = np.cumsum(self._prior[centre, spread] * values, axis=1)
        return Law(float(_SHAPES[shape_at]), likely, self._places, self._unit, self._limit, generator)


class Law:
    """Shape and scales of one drawn law; a group keeps the scale that it was first drawn with."""

    def __init__(
        self,
        shape: float,
        likely: FloatArray,
        places: Mapping[Hashable, int],
        unit: float,
        limit: float,
        generator: np.random.Generator,
    ) -> None:
        self._shape, self._likely, self._places = shape, likely, places
        self._unit, self._limit, self._generator = unit, limit, generator
        self._scales: dict[Hashable, float] = {}

    def draw(
        self,
        groups: Sequence[Hashable],
        reached: FloatArray,
        ages: FloatArray | None = None,
        lives: npt.NDArray[np.int64] | None = None,
    ) -> FloatArray:
        """Draw lengths of episodes that have reached some ages.

        Args:
            groups: The group of each episode; one that is not in the sample is like any group.
            reached: Steps that each has played, 0 for one that has not begun, shape (N,).
            ages: How many of these belong to the life that goes on, shape (N,); by default all of them.
            lives: How many lives each has to lose, that one included, shape (N,); by default one.

        Returns:
            Lengths in steps, at least the ages, shape (N,).
        """
        scale = np.array([self._scale(group) for group in groups])
        ages = reached if ages is None else ages
        lives = np.ones(len(groups), np.int64) if lives is None else lives
        begun = (ages / scale) ** self._shape
        first = scale * (begun + self._generator.exponential(size=len(groups))) ** (1.0 / self._shape)
        later = self._generator.exponential(size=(len(groups), max(int(lives.max(initial=1)) - 1, 0)))
        is_played = np.arange(later.shape[1]) < lives[:, None] - 1
        rest = scale * (later ** (1.0 / self._shape) * is_played).sum(axis=1)
        return np.clip(np.ceil(reached - ages + first + rest), np.maximum(reached, 1.0), self._limit)

    def _scale(self, group: Hashable) -> float:
        """Return the scale of a group in steps."""
        if group not in self._scales:
            likely = self._likely[self._places.get(group, -1)]
            found = int(np.searchsorted(likely, likely[-1] * self._generator.random(), side="right"))
            self._scales[group] = float(np.exp(_SCALES[min(found, len(_SCALES) - 1)])) * self._unit
        return self._scales[group]


def _normal(distance: FloatArray, spread: FloatArray) -> FloatArray:
    """Return the weights of a grid under normal distributions, along the last axis; they sum to 1."""
    weights = np.exp(-0.5 * (distance[:, :, :] / spread[None, :, :]) ** 2)
    return weights / np.maximum(weights.sum(axis=-1, keepdims=True), 1e-300)
