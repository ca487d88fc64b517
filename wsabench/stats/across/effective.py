"""Whether an agent keeps more than its clean score predicts, and whether clean scores tell the order of agents at all.

Both look at several agents at once: each trained network is a point, its clean against its perturbed score.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench.errors import ShapeError
from wsabench.stats.bounds import Replicates, Stratum, corrected_bounds
from wsabench.stats.intervals import DEFAULT_REPETITIONS
from wsabench.stats.resampling import count_draws, draw_seeds
from wsabench.types import FloatArray, IntArray
from wsabench.words import counted

MIN_AGENTS = 8
"""With fewer agents there is no effective robustness (the line would hang on single agents) and no interval of a rank
correlation (a draw of five agents often holds three different ones only, whose order says little)."""
MIN_SEEDS = 3
"""With fewer train seeds an agent has no interval."""

Scale = Literal["linear", "asinh"]
"""On what the line is straight: the normalised scores themselves, or their inverse hyperbolic sine."""


class EffectiveRobustness(NamedTuple):
    """By how much each agent's perturbed score lies above the line through the other agents."""

    agents: tuple[str, ...]
    """Names, in the order of the arrays."""
    value: FloatArray
    """Perturbed normalised score above what the clean score predicts, float64, shape (num_agents,)."""
    low: FloatArray
    """Lower bound, same shape; NaN where there is no interval."""
    high: FloatArray
    """Upper bound, same shape."""
    slope: float
    """Slope of the line through all agents, on the chosen scale, for drawing."""
    intercept: float
    """Intercept of that line."""
    scale: Scale
    """What the line is straight on."""
    reason: str
    """Why there is nothing, or which agents have no interval; empty when nothing is to be said."""


class RankCorrelation(NamedTuple):
    """Spearman's correlation between the agents' clean and perturbed scores."""

    value: float
    """-1 to 1; NaN where one side has no order, or with fewer than three agents."""
    low: float
    """Lower bound; NaN where there is no interval."""
    high: float
    """Upper bound; NaN where there is no interval."""
    num_agents: int
    """How many agents entered."""
    reason: str
    """Why something is missing; empty otherwise."""


def effective_robustness(
    checkpoints: Mapping[str, npt.ArrayLike],
    rng: np.random.Generator,
    *,
    scale: Scale = "linear",
    repetitions: int = DEFAULT_REPETITIONS,
    confidence: float = 0.95,
) -> EffectiveRobustness:
    """Return each agent's perturbed score minus what its clean score predicts, by a line through the other agents.

    The line is fitted by least squares over the checkpoints of all other agents, each agent weighing the same; its own
    checkpoints would pull the line towards itself. Taori et al. fit on the logit of accuracies; normalised scores have
    no upper end, so there is no logit. On the linear scale a proportional loss, every agent keeping the same share, is
    a straight line; `asinh` (about linear up to 1, logarithmic above) keeps a few agents far above human play
    from deciding the line.

    Args:
        checkpoints: For each agent an array, shape (num_seeds, 2): the clean and the perturbed normalised score of each
            train seed, averaged over the same games and cells for all agents.
        rng: Where the draws come from.
        scale: What the line is straight on. The result is in normalised score with either.
        repetitions: Bootstrap repetitions: agents of the line are drawn with all their train seeds, and the agent's
            own train seeds one by one.
            The residuals of all agents share the draws.
        confidence: The confidence level of the bounds, between 0 and 1; they are corrected for few draws as in
            `seed_interval`.

    Returns:
        The residuals. With fewer than eight agents, or where all clean scores are equal, the numbers are NaN and the
        reason says why. Noise in
        clean scores makes the line too flat, so an agent far above the others' clean scores looks better than
        it is: read it beside the line.

    Raises:
        ShapeError: An agent has no array (num_seeds, 2), or a score is NaN.

    References:
        Taori et al. 2020, "Measuring robustness to natural distribution shifts in image classification";
        Miller et al. 2021, "Accuracy on the line", for other scales.
    """
    agents, points = _checked(checkpoints)
    moments = np.array([_moments(_scaled(array, scale)) for array in points])
    value, low, high = (np.full(len(agents), np.nan) for _ in range(3))
    line = _line(moments.sum(axis=0)) if agents else np.full(2, np.nan)
    if len(agents) < MIN_AGENTS:
        reason = f"{counted(len(agents), 'agent')}: effective robustness needs {MIN_AGENTS}"
        return EffectiveRobustness(agents, value, low, high, np.nan, np.nan, scale, reason)
    if np.isnan(line).any():
        reason = "all clean scores are equal: no line through them"
        return EffectiveRobustness(agents, value, low, high, np.nan, np.nan, scale, reason)
    few = [name for name, array in zip(agents, points, strict=True) if len(array) < MIN_SEEDS]
    # All agents share these draws: each interval by itself is what it would be with draws of its own.
    drawn_agents = count_draws(draw_seeds(len(agents) - 1, rng, repetitions), len(agents) - 1)
    lengths = sorted({len(array) for array in points})
    drawn_seeds = {length: draw_seeds(length, rng, repetitions) for length in lengths}
    for place, array in enumerate(points):
        others = np.delete(moments, place, axis=0)
        value[place] = _residual(array[None], _line(others.sum(axis=0)[None]), scale)[0]
        if len(array) >= MIN_SEEDS:
            replicates = _replicates(array, others, (drawn_agents, drawn_seeds[len(array)]), scale)
            ends = corrected_bounds(replicates, value[place, None], confidence)
            low[place], high[place] = ends[0][0], ends[1][0]
    reason = f"no interval below {MIN_SEEDS} train seeds: {', '.join(few)}" if few else ""
    return EffectiveRobustness(agents, value, low, high, float(line[1]), float(line[0]), scale, reason)


def rank_correlation(
    checkpoints: Mapping[str, npt.ArrayLike],
    rng: np.random.Generator,
    *,
    repetitions: int = DEFAULT_REPETITIONS,
    confidence: float = 0.95,
) -> RankCorrelation:
    """Return Spearman's rank correlation of clean and perturbed scores over agents, with a bootstrap interval.

    Near 1 the clean order is the perturbed order; near 0 clean scores say nothing about robustness. Agents are ranked
    by their means over train seeds.

    Args:
        checkpoints: As for `effective_robustness`.
        rng: Where the draws come from.
        repetitions: Bootstrap repetitions: agents are drawn with all their train seeds, to show what other agents of
            their kind would give.
            Draws of fewer than three different agents, whose order says next to nothing, are drawn anew.
        confidence: Share of repetitions between the bounds (percentiles).

    Returns:
        The correlation. From three agents on there is a value, from eight on an interval; the reason says what is
        missing.

    Raises:
        ShapeError: An agent has no array (num_seeds, 2), or a score is NaN.

    References:
        Spearman 1904, "The proof and measurement of association between two things"; ties share the mean of their
        ranks, as in scipy.stats.spearmanr.
    """
    agents, points = _checked(checkpoints)
    count = len(agents)
    if count < 3:
        reason = f"{counted(count, 'agent')}: a rank correlation needs 3"
        return RankCorrelation(np.nan, np.nan, np.nan, count, reason)
    means = np.array([array.mean(axis=0) for array in points])
    value = float(_spearman(means[None])[0])
    if np.isnan(value):
        return RankCorrelation(value, np.nan, np.nan, count, "all clean or all perturbed scores are equal: no order")
    if count < MIN_AGENTS:
        reason = f"{count} agents: an interval of a rank correlation needs {MIN_AGENTS}"
        return RankCorrelation(value, np.nan, np.nan, count, reason)
    rows = draw_seeds(count, rng, repetitions)
    while len(poor := np.flatnonzero((count_draws(rows, count) > 0).sum(axis=1) < 3)):
        rows[poor] = draw_seeds(count, rng, len(poor))
    drawn = _spearman(means[rows])
    tail = (1.0 - confidence) / 2.0
    low, high = np.nanquantile(drawn, [tail, 1.0 - tail])
    return RankCorrelation(value, float(low), float(high), count, "")


def _replicates(own: FloatArray, others: FloatArray, drawn: tuple[FloatArray, IntArray], scale: Scale) -> Replicates:
    """Return the residual for each draw of agents, as counts, and of the agent's own train seeds, as rows."""
    drawn_agents, rows = drawn
    sums = drawn_agents @ others
    # A draw of one agent only has no slope; the line through all others stands in, one draw in millions.
    lines = _line(sums)
    lines = np.where(np.isnan(lines).any(axis=1, keepdims=True), _line(others.sum(axis=0)[None]), lines)
    strata = [Stratum(drawn_agents, len(others)), Stratum(count_draws(rows, len(own)), len(own))]
    return Replicates(_residual(own[rows], lines, scale)[:, None], strata)


def _residual(points: FloatArray, lines: FloatArray, scale: Scale) -> FloatArray:
    """Return perturbed minus expected score, the mean over checkpoints (repetitions, num_seeds, 2)."""
    expected = lines[:, :1] + lines[:, 1:] * _scaled(points[..., 0], scale)
    return (points[..., 1] - (np.sinh(expected) if scale == "asinh" else expected)).mean(axis=-1)


def _moments(points: FloatArray) -> FloatArray:
    """Return the means of 1, x, y, x^2 and x y over an agent's checkpoints, from which a line is fitted."""
    x, y = points[:, 0], points[:, 1]
    return np.array([1.0, x.mean(), y.mean(), (x * x).mean(), (x * y).mean()])


def _line(sums: FloatArray) -> FloatArray:
    """Return intercept and slope of the least-squares line, shape (..., 2); NaN where all x are equal."""
    weight, x, y, xx, xy = np.moveaxis(sums, -1, 0)
    spread = weight * xx - x * x
    # Rounding leaves up to some 1e-16 of the squares where the spread is 0.
    varies = spread > 1e-12 * weight * xx
    slope = np.divide(weight * xy - x * y, spread, out=np.full(spread.shape, np.nan), where=varies)
    return np.stack([(y - slope * x) / weight, slope], axis=-1)


def _scaled(scores: FloatArray, scale: Scale) -> FloatArray:
    return np.arcsinh(scores) if scale == "asinh" else scores


def _spearman(means: FloatArray) -> FloatArray:
    """Return Spearman's correlation of (repetitions, num_agents, 2); NaN where a side has no order."""
    from scipy.stats import rankdata  # here: it takes most of a second to load

    ranks = rankdata(means, axis=1)
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    scale = np.sqrt((centred**2).sum(axis=1).prod(axis=-1))
    products = centred.prod(axis=-1).sum(axis=-1)
    return np.divide(products, scale, out=np.full(scale.shape, np.nan), where=scale > 0)


def _checked(checkpoints: Mapping[str, npt.ArrayLike]) -> tuple[tuple[str, ...], list[FloatArray]]:
    arrays = [np.asarray(array, dtype=np.float64) for array in checkpoints.values()]
    for name, array in zip(checkpoints, arrays, strict=True):
        if array.ndim != 2 or array.shape[0] == 0 or array.shape[1] != 2 or np.isnan(array).any():
            raise ShapeError(
                f"The checkpoints of {name} have shape {array.shape}, {int(np.isnan(array).sum())} of their scores are "
                "NaN. Allowed: (num_seeds, 2), the clean and the perturbed score of each train seed, none of them NaN. "
                "Leave out agents and train seeds without these scores."
            )
    return tuple(checkpoints), arrays
