"""Gaussian, speckle, shot and impulse noise, by tables over 65,536 quantiles.

Each pixel (and channel) of each step has one uniform 16-bit draw of its own. A noise is a table from the draw, or from
grey level and draw, to the result. So the distribution is exact but for the resolution of the draw: every grey level
has its probability to within 2**-16, and a normal variate ends at 4.3 standard deviations. One draw of 64 bits serves
four pixels, whatever the image holds.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt

from wsabench.perturb.corruption import IMAGENET_C
from wsabench.perturb.kinds import Probability, Range, kind
from wsabench.perturb.stages import Image

NUM_QUANTILES = 2**16

Draws = npt.NDArray[np.uint16]
"""One uniform 16-bit draw for each pixel and channel, uint16, of the image's shape."""
Offsets = npt.NDArray[np.int16]
"""The grey levels that are added for each draw, int16, shape (65536,)."""
LevelTable = npt.NDArray[np.uint8]
"""The result for each grey level and draw, uint8, shape (256, 65536)."""
Noise = Callable[[Image, Draws], Image]
"""From a frame, which may be overwritten, and draws of its shape to the noisy frame."""


_MOST_TABLES = 5
"""Tables that are kept of each kind of noise, one for each severity: 16 MiB each, so 80 MiB for each kind at most."""


class NoiseState:
    """Noise at work in one lane and episode."""

    def __init__(self, noise: Noise, generator: np.random.Generator, shape: tuple[int, ...]) -> None:
        self._noise = noise
        self._generator = generator
        self._shape = shape
        self._draws: Draws | None = None

    def apply(self, image: Image) -> Image:
        """Return the frame with new noise."""
        self._draws = uniform_draws(self._generator, self._shape)
        return self._noise(image, self._draws)

    def preview(self, image: Image) -> Image:
        """Return RGB with the last noise; where the agent sees luminance, all channels have the noise of luminance."""
        draws = self._draws
        if draws is None:
            return image
        if draws.ndim < image.ndim:
            draws = np.repeat(draws[..., None], image.shape[2], axis=2)
        return self._noise(image, draws)


def uniform_draws(generator: np.random.Generator, shape: tuple[int, ...]) -> Draws:
    """Return independent uniform draws from 0..65535, uint16, of a shape; four come from each 64-bit integer."""
    size = math.prod(shape)
    words = generator.integers(0, 2**64, size=-(-size // 4), dtype=np.uint64)
    return words.astype("<u8", copy=False).view("<u2")[:size].reshape(shape)


@kind("image.gaussian_noise", source=f"{IMAGENET_C}, `gaussian_noise`; theirs truncates to bytes, this rounds")
@dataclass(frozen=True, slots=True)
class GaussianNoise:
    """Add normal noise to every pixel and channel: x + round(255 * deviation * z), clipped to 0..255; 0: identity.

    z is a standard normal variate, new for every pixel, channel and step.
    """

    deviation: Probability
    """Standard deviation as a share of the full range (1: 255 grey levels)."""

    def start_image(self, generator: np.random.Generator, shape: tuple[int, ...]) -> NoiseState:
        """Return the state for an episode."""
        return NoiseState(functools.partial(_add_offsets, gaussian_offsets(self.deviation)), generator, shape)


@kind("image.speckle_noise", source=f"{IMAGENET_C}, `speckle_noise`")
@dataclass(frozen=True, slots=True)
class SpeckleNoise:
    """Add normal noise in proportion to the pixel: round(x + x * deviation * z), clipped to 0..255; 0: identity.

    z is a standard normal variate, new for every pixel, channel and step; black stays black.
    """

    deviation: Probability
    """Standard deviation as a share of the pixel's grey level."""

    def start_image(self, generator: np.random.Generator, shape: tuple[int, ...]) -> NoiseState:
        """Return the state for an episode."""
        return NoiseState(functools.partial(_look_up, speckle_table(self.deviation)), generator, shape)


@kind("image.shot_noise", source=f"{IMAGENET_C}, `shot_noise`")
@dataclass(frozen=True, slots=True)
class ShotNoise:
    """Count photons: round(255 * Poisson(photons * x / 255) / photons), clipped to 255.

    The count is drawn anew for every pixel, channel and step; black stays black.
    """

    photons: Annotated[float, Range(0.1, 1000)]
    """Mean count at grey level 255; fewer photons, more noise."""

    def start_image(self, generator: np.random.Generator, shape: tuple[int, ...]) -> NoiseState:
        """Return the state for an episode."""
        return NoiseState(functools.partial(_look_up, shot_table(self.photons)), generator, shape)


@kind("image.impulse_noise", source=f"{IMAGENET_C}, `impulse_noise`")
@dataclass(frozen=True, slots=True)
class ImpulseNoise:
    """Replace every pixel and channel with the probability `amount` in every step; 0: identity.

    It is replaced by 0 (pepper) or by 255 (salt), each as likely as the other.
    """

    amount: Probability
    """Probability, to within 2**-16, that a pixel (and channel) is replaced."""

    def start_image(self, generator: np.random.Generator, shape: tuple[int, ...]) -> NoiseState:
        """Return the state for an episode."""
        threshold = round(self.amount * NUM_QUANTILES / 2)
        return NoiseState(functools.partial(_replace, threshold), generator, shape)


@functools.lru_cache(maxsize=16)
def gaussian_offsets(deviation: float) -> Offsets:
    """Return the rounded normal variate of each quantile, in grey levels, int16, shape (65536,); read-only."""
    offsets = np.rint(255 * deviation * _normal_quantiles()).astype(np.int16)
    offsets.setflags(write=False)
    return offsets


@functools.lru_cache(maxsize=_MOST_TABLES)
def speckle_table(deviation: float) -> LevelTable:
    """Return `v + v * deviation * z`, rounded and clipped, for each level v and quantile; read-only."""
    table = np.empty((256, NUM_QUANTILES), np.uint8)
    factors = 1 + deviation * _normal_quantiles()
    for level in range(256):
        table[level] = np.clip(np.rint(level * factors), 0, 255)
    table.setflags(write=False)
    return table


@functools.lru_cache(maxsize=_MOST_TABLES)
def shot_table(photons: float) -> LevelTable:
    """Return the clipped and scaled Poisson quantile for each level and draw; read-only.

    The count k stands for `round(255 * k / photons)`; the draw i is the quantile (i + 1/2) / 65536.
    """
    from scipy.special import pdtr

    counts = np.arange(math.ceil(photons))  # more photons than that are all white
    values = np.append(np.floor(255 * counts / photons + 0.5), 255).astype(np.uint8)
    table = np.empty((256, NUM_QUANTILES), np.uint8)
    for level in range(256):
        below = np.floor(pdtr(counts, level / 255 * photons) * NUM_QUANTILES + 0.5).astype(np.int64)
        table[level] = np.repeat(values, np.diff(below, prepend=0, append=NUM_QUANTILES))
    table.setflags(write=False)
    return table


@functools.cache
def _normal_quantiles() -> npt.NDArray[np.float64]:
    """Return the standard normal variate at (i + 1/2) / 65536, shape (65536,)."""
    from scipy.special import ndtri

    return ndtri((np.arange(NUM_QUANTILES) + 0.5) / NUM_QUANTILES)


def _add_offsets(offsets: Offsets, image: Image, draws: Draws) -> Image:
    """Add the offset of each draw, clipped to bytes."""
    added = np.empty(image.shape, np.int16)
    # Indices are in range by their type; mode "wrap" is the one that `take` does fastest with `out`.
    offsets.take(draws.astype(np.intp), out=added, mode="wrap")
    cv2.add(image, added, dst=image, dtype=cv2.CV_8U)
    return image


def _look_up(table: LevelTable, image: Image, draws: Draws) -> Image:
    """Replace each pixel by the table's value for its grey level and draw."""
    places = image.astype(np.intp)
    places <<= 16
    places |= draws
    return table.reshape(-1).take(places, out=image, mode="wrap")


def _replace(threshold: int, image: Image, draws: Draws) -> Image:
    """Blacken where the draw is among the lowest `threshold`, whiten where it is among the highest."""
    if not threshold:
        return image
    flat, draws = image.reshape(len(image), -1), draws.reshape(len(image), -1)
    cv2.bitwise_or(flat, _mask(draws >= NUM_QUANTILES - threshold), dst=flat)
    cv2.bitwise_and(flat, _mask(draws >= threshold), dst=flat)
    return image


def _mask(chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Return 255 where true, 0 elsewhere."""
    return np.negative(chosen.view(np.uint8))
