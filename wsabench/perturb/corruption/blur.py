"""Gaussian blur and motion blur."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt

from wsabench.perturb.corruption import IMAGENET_C
from wsabench.perturb.kinds import Range, kind
from wsabench.perturb.stages import Image, PureImage

MAX_ANGLE_DEGREES = 45.0
"""The direction of motion is drawn from minus this to this, as in ImageNet-C."""


@kind("image.gaussian_blur", source=f"{IMAGENET_C}, `gaussian_blur`, whose sigma is in pixels of 224x224")
def gaussian_blur(image: Image, sigma: Annotated[float, Range(0, 20)]) -> Image:
    """Blur with a Gaussian of `sigma` native pixels, cut at 4 sigma, edges repeated; 0: identity."""
    if sigma == 0:
        return image
    weights = gaussian_weights(sigma)
    blurred = np.empty_like(image)
    cv2.sepFilter2D(image, cv2.CV_8U, weights, weights, dst=blurred, borderType=cv2.BORDER_REPLICATE)
    return blurred


@functools.lru_cache(maxsize=64)
def gaussian_weights(sigma: float) -> npt.NDArray[np.float32]:
    """Return the weights -r..r of a Gaussian, float32, summing to 1; r is 4 sigma, rounded."""
    radius = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return (weights / weights.sum()).astype(np.float32)


@kind(
    "image.motion_blur",
    source=f"{IMAGENET_C}, `motion_blur` (ImageMagick's), on 224x224 and with an angle for every picture",
)
@dataclass(frozen=True, slots=True)
class MotionBlur:
    """Show the mean over 2 * radius + 1 native pixels on a line that starts at the pixel; sigma 0: identity.

    The i-th pixel has the weight exp(-i**2 / (2 sigma**2)). The angle of the line is drawn once in each episode, from
    -45 to 45 degrees; edges are repeated.
    """

    radius: Annotated[int, Range(1, 50)]
    """The line has `2 * radius + 1` native pixels."""
    sigma: Annotated[float, Range(0, 50)]
    """Standard deviation of the Gaussian, in native pixels."""

    def start_image(self, generator: np.random.Generator, shape: tuple[int, ...]) -> PureImage:
        """Draw the direction; return the state for an episode."""
        del shape
        angle = float(generator.uniform(-MAX_ANGLE_DEGREES, MAX_ANGLE_DEGREES))
        return PureImage(functools.partial(smear, taps=motion_taps(self.radius, self.sigma, angle)))


Tap = tuple[int, int, float]
"""Rows down, columns to the right, weight."""


def motion_taps(radius: int, sigma: float, angle_degrees: float) -> tuple[Tap, ...]:
    """Return which pixels are averaged, with weights that sum to 1.

    Args:
        radius: The line has `2 * radius + 1` pixels.
        sigma: Standard deviation of the weights, exp(-i**2 / (2 sigma**2)) for the i-th pixel; 0: the first alone.
        angle_degrees: Direction of the line: 0 to the right, 90 downwards.

    References:
        ImageMagick, `MotionBlurImage` (effect.c): ImageNet-C calls it.
    """
    steps = np.arange(2 * radius + 1 if sigma else 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2)) if sigma else np.ones(1)
    weights /= weights.sum()
    angle = math.radians(angle_degrees)
    rows = np.ceil(steps * math.sin(angle) - 0.5).astype(int)
    columns = np.ceil(steps * math.cos(angle) - 0.5).astype(int)
    return tuple(zip(rows.tolist(), columns.tolist(), weights.tolist(), strict=True))


def smear(image: Image, taps: tuple[Tap, ...]) -> Image:
    """Return the weighted mean of shifted copies, edges repeated, rounded."""
    if len(taps) == 1:
        return image
    rows, columns, _ = zip(*taps, strict=True)
    top, left = -min(0, *rows), -min(0, *columns)
    padded = cv2.copyMakeBorder(image, top, max(0, *rows), left, max(0, *columns), cv2.BORDER_REPLICATE)
    padded = padded.astype(np.float32)
    height, width = image.shape[:2]
    total = np.zeros(image.shape, np.float32)
    for row, column, weight in taps:
        view = padded[top + row : top + row + height, left + column : left + column + width]
        cv2.scaleAdd(view, weight, total, dst=total)
    cv2.convertScaleAbs(total, dst=image)
    return image
