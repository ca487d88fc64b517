"""Pixelation, JPEG compression and scan lines: what digital and analogue picture paths do."""

from __future__ import annotations

import functools
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt

from wsabench.perturb.corruption import IMAGENET_C, OWN_CHOICE
from wsabench.perturb.kinds import Probability, Range, kind
from wsabench.perturb.stages import Image


@kind(
    "image.pixelate",
    source=f"{IMAGENET_C}, `pixelate`; its box filter counts pixels whole, this one by their area",
)
def pixelate(image: Image, factor: Annotated[float, Range(0.01, 1)]) -> Image:
    """Shrink to int(factor * height) x int(factor * width) by area means, enlarge by nearest pixels; 1: identity."""
    height, width = image.shape[:2]
    small = (max(1, int(width * factor)), max(1, int(height * factor)))
    if small == (width, height):
        return image
    means = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    means = np.asarray(means, np.uint8).reshape(small[1], small[0], *image.shape[2:])
    return means.take(_nearest(width, small[0]), axis=1).take(_nearest(height, small[1]), axis=0)


@functools.lru_cache(maxsize=64)
def _nearest(size: int, small: int) -> npt.NDArray[np.intp]:
    """Return in which of `small` equal pieces each of `size` pixels has its centre; on a border in the later one."""
    return ((2 * np.arange(size) + 1) * small // (2 * size)).astype(np.intp)


@kind("image.jpeg_compression", source=f"{IMAGENET_C}, `jpeg_compression`")
def compress(image: Image, quality: Annotated[int, Range(1, 100)]) -> Image:
    """Write the frame as JPEG of this quality and read it again; there is no identity.

    Colour has the usual 4:2:0 form; grey frames have no colour to subsample.

    Args:
        image: The frame.
        quality: 1 to 100 on the scale of the Independent JPEG Group; 100 is not quite the identity.
    """
    is_color = image.ndim == 3
    written = cv2.imencode(".jpg", _swapped(image) if is_color else image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    read = cv2.imdecode(written, cv2.IMREAD_COLOR if is_color else cv2.IMREAD_GRAYSCALE)
    read = np.asarray(read, np.uint8)
    return _swapped(read) if is_color else read


def _swapped(image: Image) -> Image:
    """Return RGB as BGR, and the other way round."""
    return np.ascontiguousarray(image[..., ::-1])


@kind("image.scan_lines", source=OWN_CHOICE)
def scan_lines(image: Image, strength: Probability, period: Annotated[int, Range(2, 20)]) -> Image:
    """Show the last of every `period` rows as x * (1 - strength), as on a cathode-ray tube; 0: identity."""
    rows = image[period - 1 :: period]
    rows[...] = _darker(strength)[rows]
    return image


@functools.lru_cache(maxsize=32)
def _darker(strength: float) -> npt.NDArray[np.uint8]:
    """Return each grey level times `1 - strength`, rounded halves up, uint8, shape (256,)."""
    return np.floor(np.arange(256) * (1 - strength) + 0.5).astype(np.uint8)
