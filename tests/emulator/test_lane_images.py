"""Corruptions through the whole stack: what a lane's agent and a person see, and that nothing else changes."""

import dataclasses
from contextlib import closing

import cv2
import numpy as np
import pytest

from wsabench.emulator import Lane
from wsabench.games import catalogue_games, load_game
from wsabench.perturb import Placed, compile_perturbation, list_perturbations
from wsabench.perturb.catalogue import KINDS
from wsabench.protocol import Protocol
from wsabench.seeding import generator

pytestmark = pytest.mark.oracle

ENTRIES = list_perturbations("corruption")
STRONGEST = [f"{entry.name}@5" for entry in ENTRIES]
SHOWN_LATE = {"frame-freeze@5", "frame-drop@5"}
"""They show old frames, which hardly differ from new ones where little moves: any change is enough."""
FAINT = {("jpeg-compression@5", "asteroids"): 0.5}
"""A cell whose effect is below one grey level, so that runs refuse it: few small bright figures on flat black."""
GROWING = (
    "gaussian-noise",
    "shot-noise",
    "impulse-noise",
    "speckle-noise",
    "gaussian-blur",
    "motion-blur",
    "occlusion",
    "moving-occlusion",
)
"""Perturbations whose measured effect grows with severity in every game."""
IDENTITIES = {
    "image.gaussian_noise": {"deviation": 0.0},
    "image.speckle_noise": {"deviation": 0.0},
    "image.impulse_noise": {"amount": 0.0},
    "image.gaussian_blur": {"sigma": 0.0},
    "image.motion_blur": {"radius": 10, "sigma": 0.0},
    "image.pixelate": {"factor": 1.0},
    "image.fog": {"density": 0.0, "decay": 2.0},
    "image.scan_lines": {"strength": 0.0, "period": 2},
    "image.occlusion": {"fraction": 0.0, "blocks": 4, "gray": 200},
    "image.moving_occlusion": {"fraction": 0.0, "blocks": 4, "gray": 200, "speed": 4},
    "image.camera_shift": {"right": 0, "down": 0},
    "image.camera_jitter": {"pixels": 0},
    "image.zoom": {"factor": 1.0},
    "image.frame_freeze": {"probability": 0.0, "steps": 3},
    "image.frame_drop": {"probability": 0.0},
    "image.distractor_sprites": {"count": 0, "scale": 2, "speed": 4},
}
WITHOUT_IDENTITY = {"image.shot_noise", "image.jpeg_compression"}
STATE = ("reward", "terminated", "truncated", "end", "lives", "life_lost", "episode_return", "num_frames")


def play(lane: Lane, num_steps: int, seed: int = 6) -> np.ndarray:
    """Return the newest frames of random play, from the first observation on, uint8, shape (steps + 1, 84, 84[, 3])."""
    lane.reset(seed)
    frames = [lane.observation[-1].copy()]
    for action in np.random.default_rng(3).integers(lane.num_actions, size=num_steps).tolist():
        lane.reset() if lane.terminated or lane.truncated else lane.step(action)
        frames.append(lane.observation[-1].copy())
    return np.stack(frames)


def test_every_kind_of_image_has_an_entry_and_a_stated_identity():
    kinds = {name for name, kind in KINDS.items() if kind.family == "corruption"}
    assert kinds == set(IDENTITIES) | WITHOUT_IDENTITY == {entry.kind for entry in ENTRIES}


@pytest.mark.parametrize("grayscale", [True, False])
def test_identity_parameters_are_clean_to_the_bit(grayscale):
    protocol = Protocol(grayscale=grayscale)
    clean = compile_perturbation("clean", "ms_pacman")
    lane = Lane(clean, protocol)
    expected = play(lane, 12)
    screens = lane.render()
    for kind, parameters in IDENTITIES.items():
        stage = KINDS[kind].build(load_game("ms_pacman"), **parameters)
        lane.set_perturbation(dataclasses.replace(clean, images=(Placed(0, stage),)))
        assert np.array_equal(play(lane, 12), expected), kind
        assert np.array_equal(lane.render(), screens), kind


@pytest.mark.parametrize("game", catalogue_games())
def test_the_strongest_level_is_seen_and_nothing_else_changes(game):
    protocol = Protocol(stall_steps=0)
    lane = Lane(compile_perturbation("clean", game), protocol)
    expected = play(lane, 16).astype(int)
    after = (lane.ram(), lane.screen(), *(getattr(lane, name) for name in STATE))
    for name in STRONGEST:
        lane.set_perturbation(compile_perturbation(name, game))
        frames = play(lane, 16)
        effect = np.abs(frames - expected).mean()
        if name in SHOWN_LATE:
            assert effect > 0, (name, game)
        else:
            assert effect >= FAINT.get((name, game), 1.0), (name, game, effect)
        found = (lane.ram(), lane.screen(), *(getattr(lane, name) for name in STATE))
        assert all(np.array_equal(*pair) for pair in zip(after, found, strict=True)), name


def test_all_of_them_together_leave_games_as_they_are():
    for game in ("pong", "seaquest", "beam_rider"):
        lanes = [
            Lane(compile_perturbation(name, game), Protocol(max_frames=120)) for name in ("clean", "+".join(STRONGEST))
        ]
        for lane in lanes:
            lane.reset(2)
        for action in np.random.default_rng(3).integers(lanes[0].num_actions, size=40).tolist():
            for lane in lanes:
                lane.reset() if lane.terminated or lane.truncated else lane.step(action)
            clean, corrupted = lanes
            assert np.array_equal(clean.ram(), corrupted.ram())
            assert all(getattr(clean, name) == getattr(corrupted, name) for name in STATE)


class Recorder:
    """An image operator that changes nothing and keeps what it gets."""

    def __init__(self):
        self.images: list[np.ndarray] = []

    def start_image(self, generator, shape):
        return self

    def apply(self, image):
        self.images.append(image.copy())
        return image


def native_frames(game: str, num_steps: int) -> list[np.ndarray]:
    """Return the native frames of the play of `play`."""
    clean, recorder = compile_perturbation("clean", game), Recorder()
    play(Lane(dataclasses.replace(clean, images=(Placed(0, recorder),)), Protocol()), num_steps)
    return recorder.images


def test_the_operator_stands_between_the_maximum_and_the_resize():
    game, seed = "breakout", 6
    natives = native_frames(game, 6)
    lane = Lane(compile_perturbation("clean", game), Protocol())
    for name in (f"{entry.name}@3" for entry in ENTRIES):
        lane.set_perturbation(compile_perturbation(name, game))
        (placed,) = lane.perturbation.images
        state = placed.stage.start_image(generator(seed, "perturbation", 0, 0), (210, 160))
        for found, image in zip(play(lane, 6, seed), natives, strict=True):
            expected = cv2.resize(state.apply(image.copy()), (84, 84), interpolation=cv2.INTER_AREA)
            assert np.array_equal(found, expected), name


@pytest.mark.parametrize("grayscale", [True, False])
def test_the_same_seed_gives_the_same_frames_and_looking_draws_nothing(grayscale):
    protocol = Protocol(grayscale=grayscale)
    lane = Lane(compile_perturbation("clean", "pong"), protocol)
    for name in [*STRONGEST, "gaussian-noise@1+frame-drop@5+camera-jitter@3"]:
        lane.set_perturbation(compile_perturbation(name, "pong"))
        first = play(lane, 5)
        lane.reset(6)
        again = [lane.observation[-1].copy()]
        for action in np.random.default_rng(3).integers(lane.num_actions, size=5).tolist():
            shown = lane.render()
            assert np.array_equal(shown, lane.render()), name
            assert (shown.dtype, shown.shape) == (np.uint8, (210, 160, 3))
            lane.step(action)
            again.append(lane.observation[-1].copy())
        assert np.array_equal(first, np.stack(again)), name


def test_another_seed_or_game_draws_anew():
    lane = Lane(compile_perturbation("gaussian-noise@3", "pong"), Protocol(noop_max=0))
    shown = [play(lane, 0, 1)[0], play(lane, 0, 2)[0]]
    lane.reset()  # the next game of the same seed
    shown.append(lane.observation[-1].copy())
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert not np.array_equal(shown[first], shown[second])


def test_lanes_do_not_influence_each_other():
    names = ["gaussian-noise@3", "clean", "frame-freeze@5", "gaussian-noise@3", "moving-occlusion@3"]
    alone = []
    for place, name in enumerate(names):
        with closing(Lane(compile_perturbation(name, "pong"), Protocol())) as lane:
            alone.append(play(lane, 10, 5 + place))
    lanes = [Lane(compile_perturbation(name, "pong"), Protocol(), seed=5 + place) for place, name in enumerate(names)]
    for lane in lanes:
        lane.reset()
    for step, action in enumerate(np.random.default_rng(3).integers(lanes[0].num_actions, size=10).tolist()):
        for lane, expected in zip(lanes, alone, strict=True):
            lane.step(action)
            assert np.array_equal(lane.observation[-1], expected[step + 1])


@pytest.mark.parametrize("game", catalogue_games())
def test_noise_blur_and_occlusion_grow_with_severity(game):
    def seen(image):
        return cv2.resize(image, (84, 84), interpolation=cv2.INTER_AREA).astype(int)

    samples = native_frames(game, 60)[::20]
    for name in GROWING:
        effects = []
        for severity in range(1, 6):
            (placed,) = compile_perturbation(f"{name}@{severity}", game).images
            change = [
                np.abs(seen(state.apply(image.copy())) - seen(image)).mean()
                for seed in range(2)
                for state in [placed.stage.start_image(np.random.default_rng(seed), samples[0].shape)]
                for image in samples
            ]
            effects.append(np.mean(change))
        assert effects == sorted(effects), (name, game, effects)
        assert effects[0] < effects[4]
