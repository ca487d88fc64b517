"""Operators on colours, each from RGB bytes to RGB bytes; what the agent sees is the luminance of their result.

Agents see luminance, so an operator that keeps it would change nothing: hue, saturation and value are those of HSV,
whose changes move luminance. Every operator rounds to bytes by `to_bytes`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from wsabench.games import Standard
from wsabench.perturb.kinds import Range, Seed, kind
from wsabench.perturb.palette import load_palette
from wsabench.perturb.stages import ColorStage, Fixed

Colors = npt.NDArray[np.uint8]
"""RGB, uint8, shape (N, 3)."""
Floats = npt.NDArray[np.float64]

NUM_COLORS = 128
"""Colours of the console; each has an even index and, for PAL's colour loss, the odd one above it."""


def to_bytes(values: Floats) -> Colors:
    """Round 0..1 to bytes 0..255, halves up.

    Args:
        values: Shape (...), no unit; what lies outside 0..1 is clipped.

    Returns:
        uint8, same shape. Values are rounded to 9 digits first, so that a half is a half however it was computed.
    """
    return np.floor(np.round(np.clip(values, 0, 1) * 255, 9) + 0.5).astype(np.uint8)


def to_hsv(rgb: Colors) -> tuple[Floats, Floats, Floats]:
    """Return hue, saturation and value, each in 0..1, shape (N,); hue and saturation of greys are 0.

    References:
        A. R. Smith 1978, "Color gamut transform pairs" (the hexcone model; the same as Python's `colorsys`).
    """
    scaled = rgb.astype(np.float64) / 255
    highest, lowest = scaled.max(axis=-1), scaled.min(axis=-1)
    chroma = highest - lowest
    is_grey = chroma == 0
    divisor = np.where(is_grey, 1, chroma)
    red, green, blue = (scaled[..., channel] for channel in range(3))
    sextant = np.select(
        [is_grey, red == highest, green == highest],
        [0.0, (green - blue) / divisor, 2 + (blue - red) / divisor],
        4 + (red - green) / divisor,
    )
    saturation = chroma / np.where(highest == 0, 1, highest)
    return (sextant / 6) % 1, saturation, highest


def from_hsv(hue: Floats, saturation: Floats, value: Floats) -> Colors:
    """Return RGB bytes, shape (N, 3), of hue (any number, modulo 1), saturation and value (0..1)."""
    offsets = np.array([5.0, 3.0, 1.0])
    position = (offsets + hue[..., None] * 6) % 6
    drop = np.clip(np.minimum(position, 4 - position), 0, 1)
    return to_bytes(value[..., None] * (1 - saturation[..., None] * drop))


_HSV = "Smith 1978, the hexcone model"
Factor = Annotated[float, Range(0, 10)]


@kind("palette.hue_rotate", source=_HSV)
def rotate_hue(rgb: Colors, degrees: Annotated[float, Range(-360, 360)]) -> Colors:
    """Turn the hue of every colour: hue + degrees / 360, modulo 1; greys stay; 0: identity.

    From RGB to HSV and back, rounded to bytes, halves up.
    """
    hue, saturation, value = to_hsv(rgb)
    return from_hsv(hue + degrees / 360, saturation, value)


@kind("palette.saturation", source=_HSV)
def scale_saturation(rgb: Colors, factor: Factor) -> Colors:
    """Multiply the saturation of every colour: saturation * factor, at most 1; 1: identity.

    The value stays, so the luminance moves; 0 turns every colour into a grey of its value. From RGB to HSV and back,
    rounded to bytes, halves up.
    """
    hue, saturation, value = to_hsv(rgb)
    return from_hsv(hue, np.clip(saturation * factor, 0, 1), value)


@kind("palette.value", source=_HSV)
def scale_value(rgb: Colors, factor: Factor) -> Colors:
    """Multiply the value (brightness) of every colour: value * factor, at most 1; 1: identity.

    From RGB to HSV and back, rounded to bytes, halves up.
    """
    hue, saturation, value = to_hsv(rgb)
    return from_hsv(hue, saturation, np.clip(value * factor, 0, 1))


@kind("palette.contrast", source=_HSV)
def scale_contrast(rgb: Colors, factor: Factor) -> Colors:
    """Multiply the distance of every colour's value (brightness) from one half; 1: identity.

    0.5 + (value - 0.5) * factor, clipped to 0..1. From RGB to HSV and back, rounded to bytes, halves up.
    """
    hue, saturation, value = to_hsv(rgb)
    return from_hsv(hue, saturation, np.clip(0.5 + (value - 0.5) * factor, 0, 1))


@kind("palette.gamma")
def adjust_gamma(rgb: Colors, gamma: Annotated[float, Range(0.05, 20)]) -> Colors:
    """Raise each RGB channel, as a share of 255, to a power: 255 * (c / 255) ** gamma, rounded to bytes, halves up.

    Above 1 the colours are darker, below 1 brighter; black and full light stay; 1: identity.
    """
    return to_bytes((rgb / 255.0) ** gamma)


@kind("palette.invert")
def invert(rgb: Colors) -> Colors:
    """Show 255 - c for each RGB channel: the photographic negative."""
    return 255 - rgb


@kind("palette.channel_permute")
def permute_channels(rgb: Colors, order: Literal["rgb", "rbg", "grb", "gbr", "brg", "bgr"]) -> Colors:
    """Let red, green and blue show the channels that `order` names (`brg`: red shows the old blue); rgb: identity."""
    return rgb[:, ["rgb".index(channel) for channel in order]]


@kind("palette.shuffle")
def shuffle_palette(rgb: Colors, seed: Seed) -> Colors:
    """Show another colour in place of each of the console's 128, by a permutation from a PCG64 generator of `seed`.

    Args:
        rgb: A whole palette, uint8, shape (256, 3).
        seed: Seed of the generator.
    """
    return reorder_palette(rgb, np.random.Generator(np.random.PCG64(seed)).permutation(NUM_COLORS))


def reorder_palette(rgb: Colors, order: npt.NDArray[np.int64]) -> Colors:
    """Show colour `order[i]` in place of colour i; an odd index (colour loss) moves with the even one below it.

    Args:
        rgb: A whole palette, uint8, shape (256, 3).
        order: A permutation of 0..127.
    """
    return rgb.reshape(NUM_COLORS, 2, 3)[order].reshape(256, 3)


def paint(rgb: Colors, indices: tuple[int, ...], color: tuple[int, int, int]) -> Colors:
    """Show `color` at some even indices of a palette, uint8 (256, 3), and at the odd ones (colour loss) above them."""
    painted = rgb.copy()
    for index in indices:
        painted[index & ~1 : (index & ~1) + 2] = color
    return painted


@kind("palette.hardware", source="ale-py's tables")
@dataclass(frozen=True, slots=True)
class HardwarePalette:
    """Show the colours of another television standard: the same bytes on other hardware."""

    standard: Standard
    ignores_input: bool = True

    def __call__(self, rgb: Colors) -> Colors:
        """Return that standard's palette, uint8, shape (256, 3); `rgb` does not matter."""
        return load_palette(self.standard).rgb.copy()


@kind("palette.random")
@dataclass(frozen=True, slots=True)
class RandomPalette:
    """Draw a new palette at the start of each episode, with the generator of the lane.

    Each of the 128 colours is drawn uniformly from all RGB values, independently of the others.
    """

    ignores_input: bool = True
    period: int = 0

    def draw(self, generator: np.random.Generator) -> ColorStage:
        """Return a palette; odd indices show the colour of the even one below."""
        colors = generator.integers(0, 256, size=(NUM_COLORS, 3), dtype=np.uint8)
        return Fixed(functools.partial(_always, np.repeat(colors, 2, axis=0)), ignores_input=True)


def _always(palette: Colors, rgb: Colors) -> Colors:
    """Return `palette`."""
    del rgb
    return palette


@kind("palette.strobe")
@dataclass(frozen=True, slots=True)
class Strobe:
    """Draw another permutation of the 128 colours every `period` emulated frames, with the generator of the lane.

    Four frames make a step; they are counted from the start of the episode. With a period of 4, the two frames whose
    maximum is an observation have different colours.
    """

    period: Annotated[int, Range(1, 108_000)]
    ignores_input: bool = False

    def draw(self, generator: np.random.Generator) -> ColorStage:
        """Return a permutation of the colours."""
        return Fixed(functools.partial(reorder_palette, order=generator.permutation(NUM_COLORS)))
