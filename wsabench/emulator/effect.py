"""How much a perturbation changes what the agent sees; a cell that changes next to nothing is refused as a test."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import numpy.typing as npt

from wsabench.emulator.console import FIRE, Console
from wsabench.errors import SpecError
from wsabench.games import check_rom_id
from wsabench.perturb import Perturbation, compile_perturbation, parse_perturbation
from wsabench.protocol import Protocol
from wsabench.seeding import generator

MIN_EFFECT_GREY_LEVELS = 1.0
"""Smallest mean change of an observation that counts as a test."""

_NUM_STEPS = 300
_SAMPLE_EVERY = 5
_FRAME_SKIP = 4

Screens = npt.NDArray[np.uint8]


def measure_effect(game: str, perturbation: str | Perturbation) -> float:
    """Return the mean absolute change of the 84x84 observation, in grey levels.

    Measured on 60 observations from one fixed game of uniformly random play, each computed with and without the
    perturbation; no randomness beyond that, so the number is always the same.

    Args:
        game: Id of any single-player ROM.
        perturbation: Its name.

    Returns:
        0..255; 0 for `clean`.

    Raises:
        SpecError: The perturbation is malformed, or the game needs two players.
        UnknownNameError: Game or perturbation does not exist.
    """
    return _effect(check_rom_id(game), parse_perturbation(perturbation))


def require_effect(game: str, perturbation: str | Perturbation) -> float:
    """Return the effect of a cell, `clean` included, or refuse a cell that would test nothing.

    Raises:
        SpecError: The effect is below `MIN_EFFECT_GREY_LEVELS`; the message has the measured number.
        UnknownNameError: Game or perturbation does not exist.
    """
    parsed = parse_perturbation(perturbation)
    effect = measure_effect(game, parsed)
    if effect < MIN_EFFECT_GREY_LEVELS and not parsed.is_clean:
        raise SpecError(
            f"{parsed.name} in {game} changes the observation by {effect:.2f} grey levels on average, so it would test "
            f"nothing. Allowed: at least {MIN_EFFECT_GREY_LEVELS:g}. Leave the cell out or choose a higher severity."
        )
    return effect


@functools.lru_cache(maxsize=4096)
def _effect(game: str, perturbation: Perturbation) -> float:
    """Measure one cell."""
    if perturbation.is_clean:
        return 0.0
    perturbed = _observations(game, compile_perturbation(perturbation, game).luminance)
    return float(np.abs(perturbed - _clean_observations(game)).mean())


@functools.lru_cache(maxsize=16)
def _clean_observations(game: str) -> npt.NDArray[np.int16]:
    """Return the sampled observations without a perturbation."""
    return _observations(game, compile_perturbation("clean", game).luminance)


def _observations(game: str, table: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """Return the sampled observations through a luminance table, int16, shape (60, 84, 84)."""
    size = (Protocol().screen_size,) * 2
    luminances = [cv2.LUT(pair, table).max(axis=0) for pair in _random_play(game)]
    return np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in luminances]).astype(np.int16)


@functools.lru_cache(maxsize=16)
def _random_play(game: str) -> Screens:
    """Return the last two screens of sampled steps: palette indices, uint8, shape (60, 2, height, width)."""
    console = Console(game, Protocol())
    draws = generator(0, "effect", game).integers(len(console.actions), size=_NUM_STEPS)
    console.power_on(0)
    if FIRE in console.actions:
        console.ale.act(FIRE)
    samples: list[Screens] = []
    for step, draw in enumerate(draws):
        screens: list[Screens] = []
        for _ in range(_FRAME_SKIP):
            console.ale.act(console.actions[draw])
            screens.append(console.ale.getScreen())
        if (step + 1) % _SAMPLE_EVERY == 0:
            samples.append(np.stack(screens[-2:]))
        if console.ale.game_over():
            console.ale.reset_game()
    return np.stack(samples)
