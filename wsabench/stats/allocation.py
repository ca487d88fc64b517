"""How many episodes each cell of a run gets, from the spread of a pilot.

The pilot only sets the numbers: it is not part of the means. Were it counted, a pilot that happens to be spread widely
would get more episodes and so weigh less, and where scores are skewed the spread goes with the mean: the means would be
biased by about skewness / sqrt(episodes) standard errors, however long the pilot is.

References:
    Stein 1945, "A two-sample test for a linear hypothesis whose power is independent of the variance": two stages and
    the t quantile of the first. Neyman 1934, "On the two different aspects of the representative method": numbers in
    proportion to standard deviations.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from wsabench.errors import ShapeError, SpecError
from wsabench.types import FloatArray
from wsabench.words import counted

DEFAULT_PILOT_EPISODES = 15
"""The cheapest pilot for cells that need 30 to 100 episodes: fewer make the t quantile large, more are played for
nothing."""
MIN_PILOT_EPISODES = 5
CONFIDENCE = 0.95

Target = Literal["cell", "average"]
TARGETS: tuple[Target, ...] = ("cell", "average")
"""What has to have a half-width: every cell, or the cells on average (root mean square)."""


class Allocation(NamedTuple):
    """Numbers of episodes, and what they save; arrays have the shape (num_cells,)."""

    numbers: npt.NDArray[np.int64]
    """Episodes of each cell, beside the pilot."""
    half_widths: FloatArray
    """The half-widths that these numbers give, with the pilot's standard deviations."""
    is_capped: npt.NDArray[np.bool_]
    """Whether the cell would need more than is allowed."""
    fixed: float
    """Episodes of each cell of a run with equal numbers and the same precision: the same largest half-width for the
    target `cell`, the same root mean square for `average`."""
    share: float
    """Mean of `numbers` / `fixed`; NaN where nothing varies."""
    bound: float
    """The least share that any numbers can have: mean(sd^2) / max(sd^2) for the target `cell`,
    mean(sd)^2 / mean(sd^2) for `average`; NaN where nothing varies."""


def allocate(sds: FloatArray, half_width: float, num_pilot: int, most: int, target: Target = "cell") -> Allocation:
    """Return how many episodes each cell gets so that the intervals of their means have a half-width.

    Args:
        sds: Standard deviations of a pilot's scores, with num_pilot - 1 degrees of freedom, float64, shape
            (num_cells,), in the unit of the score.
        half_width: The half-width of the 95% interval of a mean over episodes, in the same unit, above 0.
        num_pilot: Episodes of each cell in the pilot, at least 2.
        most: Episodes that a cell may get beside the pilot, at least num_pilot.
        target: `cell`: every cell has the half-width. With scores from a normal law the interval covers exactly 95%
            (Stein). `average`: the root mean square over cells is the half-width, with the fewest episodes in all.

    Returns:
        The numbers: never fewer than num_pilot, for a pilot without spread proves little.

    Raises:
        ShapeError: There is no cell, or a standard deviation is negative or not finite.
        SpecError: The half-width is not above 0, the pilot has fewer than 2 episodes, or it has more than `most`.
    """
    if sds.ndim != 1 or not sds.size or not np.isfinite(sds).all() or sds.min() < 0:
        raise ShapeError("Standard deviations are missing or no numbers. Allowed: finite numbers from 0, one a cell.")
    if not (np.isfinite(half_width) and half_width > 0):
        raise SpecError(f"The half-width is {half_width:g}. Allowed: numbers above 0, for example 0.05.")
    if not 2 <= num_pilot <= most:
        raise SpecError(
            f"The pilot has {counted(num_pilot, 'episode')}, and beside it at most {most} may be played. Allowed: a "
            "pilot of 2 or more, and as many episodes beside it."
        )
    quantile = float(special.stdtrit(num_pilot - 1, 0.5 + CONFIDENCE / 2.0))
    variances = np.square(sds)
    spread = sds if target == "cell" else np.full_like(sds, sds.mean())
    wanted = sds * spread * (quantile / half_width) ** 2
    # A number that is whole but for rounding is that number.
    numbers = np.clip(np.ceil(wanted - 1e-9), num_pilot, most).astype(np.int64)
    overall = np.max if target == "cell" else np.mean
    fixed = bound = float("nan")
    if sds.any():
        fixed = float(overall(variances) / overall(variances / numbers))
        bound = float((variances.mean() if target == "cell" else sds.mean() ** 2) / overall(variances))
    return Allocation(
        numbers=numbers,
        half_widths=quantile * sds / np.sqrt(numbers),
        is_capped=np.asarray(wanted > most + 1e-9),
        fixed=fixed,
        share=float(numbers.mean()) / fixed,
        bound=bound,
    )
