"""The kernel's frames against OpenCV on everything anew, to the bit, over whole sequences of captures."""

from __future__ import annotations

from contextlib import closing
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wsabench.emulator import Lane
from wsabench.emulator.frames import BEFORE, NEWEST, ColorFrames, LuminanceFrames
from wsabench.emulator.kernel import area_taps
from wsabench.games import rom_ids
from wsabench.perturb import compile_perturbation
from wsabench.protocol import Protocol

pytestmark = pytest.mark.property

WIDTH = 160
HEIGHTS = st.integers(210, 250)
SIZES = st.one_of(st.just(84), st.integers(60, 165))
SEEDS = st.integers(0, 2**32 - 1)


class SlowFrames:
    """The rules spelled out: two luminance images, nothing remembered but them."""

    def __init__(self, height: int, size: int) -> None:
        self.images = [np.zeros((height, WIDTH), np.uint8) for _ in range(2)]
        self.size = size

    def capture(self, place, screen, table):
        self.images[place] = table[screen]

    def clear_before(self):
        self.images[BEFORE] = np.zeros_like(self.images[BEFORE])

    def push(self, observation, images):
        image = self.images[NEWEST] = np.maximum(*self.images)
        for state in images:
            image = state.apply(image.copy())
        observation[:-1] = observation[1:].copy()
        observation[-1] = cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_AREA)


class Shifted:
    """An image operator that returns an array that is neither contiguous nor writable."""

    def apply(self, image):
        image = np.roll(image, 3, axis=0)[:, ::-1]
        image.flags.writeable = False
        return image


def draw_screen(generator, height, previous):
    """Return a screen: noise, blocks, stripes (whose edges give sums of exactly a half), or the last with a change."""
    kind = generator.integers(4)
    if kind == 0:
        return generator.integers(0, 256, (height, WIDTH)).astype(np.uint8)
    if kind == 1:
        blocks = generator.integers(0, 256, (height // 5 + 1, WIDTH // 4)).astype(np.uint8)
        return blocks.repeat(5, 0).repeat(4, 1)[:height]
    if kind == 2:
        return np.tile(generator.integers(0, 4, WIDTH).astype(np.uint8), (height, 1))
    screen = previous.copy()
    top, left = generator.integers(height), generator.integers(WIDTH)
    screen[top : top + 4, left : left + 4] = generator.integers(256)
    return screen


def fake_ale(screen):
    """Return something that gives a screen as the emulator does."""
    return SimpleNamespace(getScreen=lambda target: np.copyto(target, screen))


@example(height=210, size=84, seed=0)
@example(height=210, size=105, seed=0)
@given(height=HEIGHTS, size=SIZES, seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_any_sequence_of_captures_gives_what_opencv_gives(height, size, seed):
    generator = np.random.default_rng(seed)
    frames, slow = LuminanceFrames(height, WIDTH, size), SlowFrames(height, size)
    own, their = (np.zeros((3, size, size), np.uint8) for _ in range(2))
    table = generator.integers(0, 256, 256).astype(np.uint8)
    images: list[Shifted] = []
    screen = np.zeros((height, WIDTH), np.uint8)
    for _ in range(12):
        if generator.random() < 0.1:
            frames.restart()
            own.fill(0)
            their.fill(0)
            images = [Shifted()] if generator.random() < 0.5 else []
        if generator.random() < 0.2:
            frames.clear_before()
            slow.clear_before()
        for place in (BEFORE, NEWEST):
            if generator.random() < 0.2:
                table = generator.integers(0, 256, 256).astype(np.uint8)
            if generator.random() < 0.8:
                screen = draw_screen(generator, height, screen)
                frames.capture(place, fake_ale(screen), table)
                slow.capture(place, screen, table)
        frames.push(own, images)
        slow.push(their, images)
        assert np.array_equal(own, their)


@given(height=HEIGHTS, low=st.integers(0, 254), seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_halves_are_rounded_as_opencv_rounds_them(height, low, seed):
    # Neighbouring levels: every other sum is near a half, where only the order of additions decides.
    generator = np.random.default_rng(seed)
    levels = generator.choice([low, low + 1], (height, WIDTH)).astype(np.uint8)
    frames = LuminanceFrames(height, WIDTH, 84)
    observation = np.zeros((1, 84, 84), np.uint8)
    frames.capture(NEWEST, fake_ale(levels), np.arange(256, dtype=np.uint8))
    frames.push(observation, [])
    assert np.array_equal(observation[0], cv2.resize(levels, (84, 84), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize(
    "games",
    [
        ("breakout", "carnival", "pooyan", "journey_escape", "king_kong"),  # screens of other heights too
        pytest.param(rom_ids(), marks=pytest.mark.slow, id="all"),
    ],
)
def test_the_kernel_serves_the_usual_sizes_on_every_screen(games):
    heights = set()
    for game in games:
        with closing(Lane(compile_perturbation("clean", game), Protocol())) as lane:
            height, width = lane.console.screen_dims
        heights.add(height)
        assert width == WIDTH
    assert len(heights) > 3
    for height in {210, 250, *heights}:
        for size in (84, 96, 128):
            assert area_taps(height, WIDTH, size) is not None
        for size in (80, 160, 210):
            assert area_taps(height, WIDTH, size) is None


@pytest.mark.parametrize("place", [BEFORE, NEWEST])
def test_colour_frames_are_the_maximum_of_each_channel(place):
    generator = np.random.default_rng(0)
    screens, table = generator.integers(0, 256, (2, 210, WIDTH)).astype(np.uint8), generator.integers(0, 256, (256, 3))
    table = table.astype(np.uint8)
    frames = ColorFrames(210, WIDTH, 84)
    observation = np.zeros((2, 84, 84, 3), np.uint8)
    frames.capture(place, fake_ale(screens[0]), table)
    frames.push(observation, [])
    assert np.array_equal(observation[1], cv2.resize(table[screens[0]], (84, 84), interpolation=cv2.INTER_AREA))
    frames.capture(1 - place, fake_ale(screens[1]), table)
    frames.push(observation, [])
    both = np.maximum(table[screens[0]], table[screens[1]])
    assert np.array_equal(observation[1], cv2.resize(both, (84, 84), interpolation=cv2.INTER_AREA))
