"""Slow, obvious counterparts of the lane, to compare it with."""

from __future__ import annotations

import atexit
import colorsys
import csv
import functools
import math
from pathlib import Path

import ale_py
import cv2
import numpy as np
from ale_py import roms

from wsabench.emulator import Lane
from wsabench.perturb import compile_perturbation
from wsabench.protocol import Protocol

PALETTES = Path(__file__).parents[1] / "perturbations" / "palettes.csv"
COPY_OF_ALE = Protocol(noop_max=0, fire_on_life_loss=False, stall_steps=0)
"""The rules under which a clean lane and `AtariVectorEnv` must agree to the bit."""


def compare_with_ale(game: str, protocol: Protocol, num_steps: int, seed: int | None = 3) -> int:
    """Step a clean lane and `AtariVectorEnv` with the same random actions; return the number of ended episodes.

    A peer without a seed does not load its ROM a second time.
    """
    lane = Lane(compile_perturbation("clean", game), protocol)
    peer = ale_py.AtariVectorEnv(
        game,
        1,
        num_threads=1,
        noop_max=0,
        reward_clipping=False,
        use_fire_reset=protocol.fire_on_reset,
        grayscale=protocol.grayscale,
        max_num_frames_per_episode=protocol.max_frames,
        repeat_action_probability=protocol.sticky_probability,
        full_action_space=protocol.full_action_space,
    )
    observations, infos = peer.reset(seed=None if seed is None else np.array([seed]))
    lane.reset(seed or 0)
    assert np.array_equal(observations[0], lane.observation)
    assert infos["lives"][0] == lane.lives
    draws = np.random.default_rng(0).integers(lane.num_actions, size=num_steps)
    ended, num_ended = False, 0
    for step, action in enumerate(draws):
        observations, rewards, terminated, truncated, infos = peer.step(np.array([action]))
        if ended:
            lane.reset()
        else:
            lane.step(int(action))
        assert np.array_equal(observations[0], lane.observation), (game, step)
        found = (lane.reward, lane.terminated, lane.truncated, lane.lives)
        assert found == (rewards[0], terminated[0], truncated[0], infos["lives"][0]), (game, step)
        ended = lane.terminated or lane.truncated
        num_ended += ended
    peer.close()
    return num_ended


def bare_emulator(game: str) -> ale_py.ALEInterface:
    """Return an emulator that no lane has, in the state right after loading; the one and only of the game.

    Nobody may write to its memory: a processor that stops in the middle of a frame is not mended by another state.
    """
    ale, loaded = _bare(game)
    ale.restoreState(loaded)
    return ale


@functools.cache
def _bare(game: str) -> tuple[ale_py.ALEInterface, ale_py.ALEState]:
    """Return an emulator and its state right after loading, which takes 0.1 s."""
    ale = ale_py.ALEInterface()
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(roms.get_rom_path(game))
    return ale, ale.cloneState()


atexit.register(_bare.cache_clear)  # ale-py complains of emulators that are left at the end


def record_screens(game: str, actions: list[int]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Play FIRE and then the steps on a bare emulator; return the last two screens of each step.

    Returns:
        Palette indices (2, height, width), and RGB (2, height, width, 3), of each step.
    """
    ale = bare_emulator(game)
    ale.reset_game()
    buttons = ale.getMinimalActionSet()
    if ale_py.Action.FIRE in buttons:
        ale.act(ale_py.Action.FIRE)
    indices, colors = [], []
    for action in actions:
        screens = []
        for _ in range(4):
            ale.act(buttons[action])
            screens.append((ale.getScreen(), ale.getScreenRGB()))
        indices.append(np.stack([screen for screen, _ in screens[2:]]))
        colors.append(np.stack([rgb for _, rgb in screens[2:]]))
    assert not ale.game_over()
    return indices, colors


def observe(luminances: np.ndarray) -> np.ndarray:
    """Return the 84x84 observation of two luminance frames (2, height, width)."""
    return cv2.resize(np.maximum(*luminances), (84, 84), interpolation=cv2.INTER_AREA)


def grey_of(rgb: tuple[int, int, int]) -> int:
    """Luminance by its definition, in whole numbers: floor(0.2989 R + 0.5870 G + 0.1140 B + 0.5)."""
    red, green, blue = (int(channel) for channel in rgb)
    return (2989 * red + 5870 * green + 1140 * blue + 5000) // 10000


def to_byte(value: float) -> int:
    """Round 0..1 to a byte, halves up; what differs from a half by less than float noise is a half."""
    return math.floor(round(min(max(value, 0.0), 1.0) * 255, 9) + 0.5)


def transform(kind: str, parameters: dict, rgb: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return one changed colour, by the standard library's HSV."""
    red, green, blue = rgb
    if kind == "palette.invert":
        return (255 - red, 255 - green, 255 - blue)
    if kind == "palette.channel_permute":
        channels = dict(zip("rgb", rgb, strict=True))
        return tuple(channels[letter] for letter in parameters["order"])
    if kind == "palette.gamma":
        return tuple(to_byte((channel / 255) ** parameters["gamma"]) for channel in rgb)
    hue, saturation, value = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
    if kind == "palette.hue_rotate":
        hue = (hue + parameters["degrees"] / 360) % 1
    elif kind == "palette.saturation":
        saturation = min(1.0, saturation * parameters["factor"])
    elif kind == "palette.value":
        value = min(1.0, value * parameters["factor"])
    elif kind == "palette.contrast":
        value = min(1.0, max(0.0, 0.5 + (value - 0.5) * parameters["factor"]))
    else:
        raise AssertionError(kind)
    return tuple(to_byte(channel) for channel in colorsys.hsv_to_rgb(hue, saturation, value))


@functools.cache
def palette_of(standard: str) -> dict[int, tuple[int, int, int]]:
    """Return the colours of a television standard by index."""
    with PALETTES.open(encoding="utf-8") as file:
        return {
            int(row["index"]): (int(row["r"]), int(row["g"]), int(row["b"]))
            for row in csv.DictReader(file)
            if row["standard"] == standard
        }
