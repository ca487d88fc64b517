"""How far an average over games hangs on single games, and what a new game may bring."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench.errors import ShapeError, SpecError
from wsabench.stats.bounds import t_quantile
from wsabench.types import FloatArray
from wsabench.words import counted

MIN_GAMES = 5
"""With fewer games nothing is said about games that were not played."""


class PerGame(NamedTuple):
    """Values of games, their mean with and without each, and intervals for other games."""

    value: FloatArray
    """The value of each game, shape (num_games,)."""
    error: FloatArray
    """Standard error of each over train seeds, same shape; NaN where it is unknown."""
    without: FloatArray
    """The mean over all other games, same shape; NaN with one game."""
    mean: float
    """The mean over all games, each counting the same."""
    most_influential: int
    """The place of the game without which the mean moves most."""
    between_sd: float
    """Standard deviation between games, without the noise of their values; NaN where an error is unknown."""
    mean_low: float
    """Lower bound for the mean over games of this kind; NaN where there is none."""
    mean_high: float
    """Upper bound of it."""
    new_low: float
    """Lower bound for the value that one new game of this kind will show; NaN where there is none."""
    new_high: float
    """Upper bound of it."""
    reason: str
    """Why there are no intervals; empty where there are."""


def per_game(value: npt.ArrayLike, error: npt.ArrayLike, *, confidence: float = 0.95) -> PerGame:
    """Describe the values of games: each one's weight in their mean, and the interval for a game not played yet.

    The games are taken for a draw from games of their kind, with normal values. The mean over games of the kind lies in
    mean +- t(n - 1) s / sqrt(n), the value that a new game will show in mean +- t(n - 1) s sqrt(1 + 1 / n), s being the
    standard deviation of the games' values. The second does not shrink to nothing with many games: it says what to
    expect of one game, and not what is known on average.

    Args:
        value: Shape (num_games,), float64: a measure of one agent (or of two agents' difference) in each game.
        error: Same shape: the standard error of each over train seeds; NaN where it is unknown. Only `between_sd` needs
            it: the intervals hold for a game measured with about as many train seeds and episodes, and are wider than
            needed for its true value. Freed of that noise they would be too narrow: few games do not tell it from what
            differs between games.
        confidence: The confidence level of both intervals, between 0 and 1.

    Returns:
        The description. With fewer than five games the bounds are NaN, and the reason says so.

    Raises:
        ShapeError: Shapes do not match, there is no game, or a value is NaN.
        SpecError: `confidence` is out of range.

    References:
        Higgins, Thompson & Spiegelhalter 2009, "A re-evaluation of random-effects meta-analysis", on intervals for a
        new member of the population; here with equal weights, as the averages of a report have them, so that it is the
        prediction interval of a normal sample (Hahn & Meeker 1991, "Statistical intervals"). The variance
        between games is s^2 minus the mean squared error (Hedges 1983, "A random effects model for effect sizes").
    """
    values, errors = _checked(value, error, confidence)
    count, mean = len(values), float(values.mean())
    without = (values.sum() - values) / (count - 1) if count > 1 else np.full(count, np.nan)
    influential = int(np.argmax(np.abs(values - mean)))
    nothing = float("nan")
    reason = f"{counted(count, 'game')}: an interval for other games needs {MIN_GAMES}"
    found = PerGame(values, errors, without, mean, influential, nothing, nothing, nothing, nothing, nothing, reason)
    if count < MIN_GAMES:
        return found
    spread = float(values.var(ddof=1))
    noise = float(np.mean(errors**2))
    factor = float(t_quantile((1.0 + confidence) / 2.0, count - 1))
    half, new_half = factor * math.sqrt(spread / count), factor * math.sqrt(spread * (1.0 + 1.0 / count))
    return found._replace(
        between_sd=math.nan if math.isnan(noise) else math.sqrt(max(0.0, spread - noise)),
        mean_low=mean - half,
        mean_high=mean + half,
        new_low=mean - new_half,
        new_high=mean + new_half,
        reason="",
    )


def _checked(value: npt.ArrayLike, error: npt.ArrayLike, confidence: float) -> tuple[FloatArray, FloatArray]:
    values, errors = np.asarray(value, dtype=np.float64), np.asarray(error, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0 or errors.shape != values.shape or np.isnan(values).any():
        raise ShapeError(
            f"Values of games have shape {values.shape}, {int(np.isnan(values).sum())} of them NaN, their errors "
            f"{errors.shape}. Allowed: one value and one error a game. Leave out games without a value."
        )
    if not 0.0 < confidence < 1.0:
        raise SpecError(f"The confidence is {confidence!r}. Allowed: numbers between 0 and 1, 0.95 for a 95% interval.")
    return values, errors
