"""How much a perturbation changes what the agent sees; a cell that changes next to nothing is refused as a test."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from wsabench.emulator.console import FIRE, Console
from wsabench.emulator.lane import Lane
from wsabench.errors import SpecError
from wsabench.games import check_rom_id
from wsabench.perturb import CompiledPerturbation, Perturbation, compile_perturbation, parse_perturbation
from wsabench.protocol import Protocol
from wsabench.seeding import generator

MIN_EFFECT_GREY_LEVELS = 1.0
"""Smallest mean change of an observation that counts as a test."""

Measure = Literal["observation", "play", "encoders"]
"""`observation`: single pictures change, the game stays the same. `play`: the game, the control channel or the time of
pictures changes, so that the agent plays another game. `encoders`: nothing but the agent's own encoders changes."""

_NUM_STEPS = 300
_SAMPLE_EVERY = 5
_FRAME_SKIP = 4
_PLAY = Protocol(noop_max=0, fire_on_life_loss=False, stall_steps=0)
"""As `_random_play` plays: one FIRE at the start, no no-ops, actions as drawn."""

Screens = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Effect:
    """The measured effect of one perturbation in one game."""

    measure: Measure
    value: float
    """Mean absolute change of the newest 84x84 observation in grey levels, 0..255. Of a play it says how different two
    moments of different games are, so it levels off; of `encoders` it is 0."""
    changed_steps: float | None = None
    """Of a play: the share of steps, 0..1, after which memory or observation differs from the clean game's."""

    @property
    def is_seen(self) -> bool:
        """Whether it is enough for a test: a pixel change must reach `MIN_EFFECT_GREY_LEVELS`, a play some step."""
        if self.measure == "observation":
            return self.value >= MIN_EFFECT_GREY_LEVELS
        return self.measure == "encoders" or self.changed_steps != 0

    @property
    def text(self) -> str:
        """The effect in words, for titles and tables."""
        if self.measure == "encoders":
            return "the agent's encoders"
        text = f"{self.value:.1f} grey levels"
        return text if self.changed_steps is None else f"{text}, {self.changed_steps:.0%} of steps"


CLEAN = Effect("observation", 0.0)


class _Play(NamedTuple):
    """What a lane went through."""

    observations: Screens
    """The newest frame after every step, uint8, shape (300, 84, 84)."""
    memories: npt.NDArray[np.uint8]
    """The console's memory after every step, uint8, shape (300, 128)."""


def measure_effect(game: str, perturbation: str | Perturbation) -> Effect:
    """Return how much a perturbation changes one fixed game of 300 steps of uniformly random play.

    Both games, clean and perturbed, have the same seed and the same actions, so the numbers are always the same. The
    change in grey levels is the mean over 60 observations, one every 5 steps. A change that is a colour table is
    applied to recorded screens, which in the first game gives what a lane gives; anything else is played in a lane,
    and a lane whose game is over starts its next one.

    Args:
        game: Id of any single-player ROM.
        perturbation: Its name.

    Returns:
        The effect; 0 for `clean`.

    Raises:
        SpecError: The perturbation is malformed or does not fit the game, or the game needs two players.
        UnknownNameError: Game or perturbation does not exist.
    """
    return _effect(check_rom_id(game), parse_perturbation(perturbation))


def is_refused(game: str, perturbation: str | Perturbation) -> bool:
    """Whether a cell would test nothing: its effect is too small, as `require_effect` says.

    Raises:
        SpecError: The perturbation is malformed or does not fit the game.
        UnknownNameError: Game or perturbation does not exist.
    """
    parsed = parse_perturbation(perturbation)
    if parsed.is_clean or measure_effect(game, parsed).is_seen:
        return False
    return not compile_perturbation(parsed, game).rules


def require_effect(game: str, perturbation: str | Perturbation) -> Effect:
    """Return the effect of a cell, `clean` included, or refuse a cell that would test nothing.

    A pixel change must reach `MIN_EFFECT_GREY_LEVELS`. A change of the play must change some step; RAM patches need
    not, because their effect was confirmed in situations that random play may not reach.

    Raises:
        SpecError: The effect is too small; the message has the measured number.
        UnknownNameError: Game or perturbation does not exist.
    """
    parsed = parse_perturbation(perturbation)
    effect = measure_effect(game, parsed)
    if not is_refused(game, parsed):
        return effect
    found, allowed = (
        (f"the observation by {effect.value:.2f} grey levels on average", f"at least {MIN_EFFECT_GREY_LEVELS:g}")
        if effect.measure == "observation"
        else (f"nothing in {_NUM_STEPS} steps", "some step")
    )
    raise SpecError(
        f"{parsed.name} in {game} changes {found}, so it would test nothing. Allowed: {allowed}. "
        "Leave the cell out or choose a higher severity."
    )


@functools.lru_cache(maxsize=4096)
def _effect(game: str, perturbation: Perturbation) -> Effect:
    """Measure one cell."""
    if perturbation.is_clean:
        return CLEAN
    compiled = replace(compile_perturbation(perturbation, game), encoder_operations=())
    if compiled.family == "encoder":
        return Effect("encoders", 0.0)
    if compiled.is_pixel_change_only and not (compiled.images or compiled.colors):
        perturbed = _observations(game, compiled.luminance)
        return Effect("observation", _mean_change(perturbed, _clean_observations(game)))
    clean, play = _clean_play(game), _play(game, compiled)
    value = _mean_change(_sampled(play.observations), _sampled(clean.observations))
    if compiled.is_pixel_change_only and not compiled.shows_old_frames:
        return Effect("observation", value)
    differs = (play.observations != clean.observations).any(axis=(1, 2)) | (play.memories != clean.memories).any(axis=1)
    return Effect("play", value, float(differs.mean()))


def _mean_change(observations: npt.NDArray[np.int16], others: npt.NDArray[np.int16]) -> float:
    """Return the mean absolute difference of equally many observations, in grey levels."""
    return float(np.abs(observations - others).mean())


def _sampled(observations: Screens) -> npt.NDArray[np.int16]:
    """Return the observations that the mean change is taken of, int16, shape (60, 84, 84)."""
    return observations[_SAMPLE_EVERY - 1 :: _SAMPLE_EVERY].astype(np.int16)


@functools.lru_cache(maxsize=16)
def _clean_play(game: str) -> _Play:
    """Return what a lane goes through without a perturbation."""
    return _play(game, compile_perturbation("clean", game))


@functools.lru_cache(maxsize=16)
def _lane(game: str) -> Lane:
    """Return a lane to measure with; loading a ROM takes longer than a start."""
    return Lane(compile_perturbation("clean", game), _PLAY)


def _play(game: str, compiled: CompiledPerturbation) -> _Play:
    """Play the fixed game in a lane."""
    lane = _lane(game)
    lane.set_perturbation(compiled)
    lane.reset(0)
    observations = np.empty((_NUM_STEPS, *lane.observation.shape[1:]), np.uint8)
    memories = np.empty((_NUM_STEPS, 128), np.uint8)
    for step, draw in enumerate(_draws(game, lane.num_actions)):
        lane.step(int(draw))
        observations[step] = lane.observation[-1]
        memories[step] = lane.ram()
        if lane.end is not None:
            lane.reset()
    return _Play(observations, memories)


def _draws(game: str, num_actions: int) -> npt.NDArray[np.int64]:
    """Return the actions of the fixed game, int64, shape (300,)."""
    return generator(0, "effect", game).integers(num_actions, size=_NUM_STEPS)


@functools.lru_cache(maxsize=16)
def _clean_observations(game: str) -> npt.NDArray[np.int16]:
    """Return the sampled observations without a perturbation."""
    return _observations(game, compile_perturbation("clean", game).luminance)


def _observations(game: str, table: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """Return the sampled observations through a luminance table, int16, shape (60, 84, 84)."""
    size = (_PLAY.screen_size,) * 2
    luminances = [cv2.LUT(pair, table).max(axis=0) for pair in _random_play(game)]
    return np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in luminances]).astype(np.int16)


@functools.lru_cache(maxsize=16)
def _random_play(game: str) -> Screens:
    """Return the last two screens of sampled steps: palette indices, uint8, shape (60, 2, height, width)."""
    console = Console(game, _PLAY)
    console.power_on(0)
    if FIRE in console.actions:
        console.ale.act(FIRE)
    samples: list[Screens] = []
    for step, draw in enumerate(_draws(game, len(console.actions))):
        screens: list[Screens] = []
        for _ in range(_FRAME_SKIP):
            console.ale.act(console.actions[draw])
            screens.append(console.ale.getScreen())
        if (step + 1) % _SAMPLE_EVERY == 0:
            samples.append(np.stack(screens[-2:]))
        if console.ale.game_over():
            console.ale.reset_game()
    console.close()
    return np.stack(samples)
