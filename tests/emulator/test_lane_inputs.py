"""What lanes supply beside observations: `rgb84` is what a lane in colour shows, `ram` the console's memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest
from lane_oracle import record_screens

import wsabench
from wsabench.emulator import Lane
from wsabench.errors import SpecError, UnknownNameError
from wsabench.perturb import compile_perturbation
from wsabench.perturb.compiling import Placed
from wsabench.perturb.stages import PureImage
from wsabench.protocol import Protocol

pytestmark = pytest.mark.oracle

BOTH = ("rgb84", "ram")
LATE_AND_COLORFUL = "observation-delay@3+hue-rotate@3"
NAMES = [
    "clean",
    "hue-rotate@3",
    "strobe@5",
    "random-palette",
    "gaussian-noise@3",
    "shot-noise@3",
    "impulse-noise@2",
    "speckle-noise@2",
    "gaussian-blur@3",
    "motion-blur@3",
    "pixelate@3",
    "jpeg-compression@3",
    "fog@3",
    "scan-lines@3",
    "occlusion@3",
    "moving-occlusion@3",
    "camera-shift@3",
    "camera-jitter@3",
    "zoom@3",
    "frame-freeze@3",
    "frame-drop@3",
    "distractor-sprites@3",
    LATE_AND_COLORFUL,
    "invert+fog@2+frame-drop@2+sticky-actions@3",
]


def play(lane: Lane, num_steps: int, seed: int = 5):
    """Yield after the reset and each step of the same random actions."""
    lane.reset(seed)
    yield
    for action in np.random.default_rng(1).integers(lane.num_actions, size=num_steps):
        if lane.terminated or lane.truncated:
            lane.reset()
        else:
            lane.step(int(action))
        yield


@pytest.fixture(scope="module")
def three_lanes():
    """Lanes that supply inputs, that supply none, and that play in colour; reused with other perturbations."""
    clean, protocol = compile_perturbation("clean", "breakout"), Protocol(max_frames=60, noop_max=4)
    return (
        Lane(clean, protocol, inputs=BOTH),
        Lane(clean, protocol),
        Lane(clean, protocol.with_changes(grayscale=False)),
    )


@pytest.mark.parametrize("name", NAMES)
def test_rgb84_is_the_newest_frame_of_a_lane_in_colour_and_changes_nothing_else(name, three_lanes):
    asked, plain, colored = three_lanes
    for lane in three_lanes:
        lane.set_perturbation(compile_perturbation(name, "breakout"))
    for _ in zip(*(play(lane, 20) for lane in three_lanes), strict=True):
        assert np.array_equal(asked.observation, plain.observation)
        assert np.array_equal(asked.inputs["rgb84"], colored.observation[-1].transpose(2, 0, 1))
        assert np.array_equal(asked.inputs["ram"], plain.ram())
    assert not plain.inputs


def test_rgb84_is_the_maximum_of_the_last_two_frames_of_ale_in_colour():
    actions = [int(action) for action in np.random.default_rng(0).integers(4, size=30)]
    _, colors = record_screens("breakout", actions)
    lane = Lane(compile_perturbation("clean", "breakout"), Protocol(noop_max=0), inputs=["rgb84"])
    lane.reset(0)
    for action, pair in zip(actions, colors, strict=True):
        lane.step(action)
        wanted = cv2.resize(pair.max(axis=0), (84, 84), interpolation=cv2.INTER_AREA)
        assert np.array_equal(lane.inputs["rgb84"], wanted.transpose(2, 0, 1))


def test_a_delayed_picture_is_delayed_in_both():
    protocol = Protocol(noop_max=0)
    clean, late = (
        Lane(compile_perturbation(name, "pong"), protocol, inputs=BOTH) for name in ("clean", "observation-delay@3")
    )
    steps = compile_perturbation("observation-delay@3", "pong").images[0].stage.steps  # pyright: ignore
    seen = []
    for _ in zip(*(play(lane, 30) for lane in (clean, late)), strict=True):
        seen.append((clean.observation[-1].copy(), clean.inputs["rgb84"].copy()))
        gray, color = seen[max(0, len(seen) - 1 - steps)]
        assert np.array_equal(late.observation[-1], gray)
        assert np.array_equal(late.inputs["rgb84"], color)
        assert np.array_equal(late.inputs["ram"], clean.ram())


def test_a_frozen_picture_is_frozen_in_both():
    lane = Lane(compile_perturbation("frame-freeze@5", "space_invaders"), Protocol(noop_max=0), inputs=["rgb84"])
    held, last = 0, None
    for _ in play(lane, 60):
        now = lane.observation[-1].copy(), lane.inputs["rgb84"].copy()
        if last is not None and lane.num_frames > 4:
            same = [np.array_equal(a, b) for a, b in zip(now, last, strict=True)]
            assert same[0] or not same[1]  # grey can hide a change of colour, never the other way round
            held += same == [True, True]
        last = now
    assert held > 10


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_vector_environment_delivers_inputs_of_all_lanes(num_workers):
    names, protocol = ["clean", "invert", "gaussian-noise@1"], Protocol(max_frames=100)
    envs = wsabench.make_vec(
        "breakout", 3, names, num_workers=num_workers, protocol=protocol, autoreset_mode="same_step", inputs=BOTH
    )
    lanes = [Lane(compile_perturbation(name, "breakout"), protocol, inputs=BOTH) for name in names]
    _, infos = envs.reset(seed=[2, 4, 6])
    for lane, seed in zip(lanes, (2, 4, 6), strict=True):
        lane.reset(seed)
    actions, ended = np.random.default_rng(3), 0
    for step in range(40):
        for name, shape in (("rgb84", (3, 3, 84, 84)), ("ram", (3, 128))):
            assert infos[name].shape == shape
            assert infos[f"_{name}"].all()
            assert np.array_equal(infos[name], np.stack([lane.inputs[name] for lane in lanes])), (step, name)
        before, copy = infos["ram"], infos["ram"].copy()
        chosen = actions.integers(4, size=3)
        infos = envs.step(chosen)[4]
        assert np.array_equal(before, copy)  # what was told does not change afterwards
        for row, lane in enumerate(lanes):
            lane.step(int(chosen[row]))
            if lane.terminated or lane.truncated:
                ended += 1
                for name in BOTH:
                    assert np.array_equal(infos["final_info"][name][row], lane.inputs[name])
                lane.reset()
    assert ended
    kept = infos["rgb84"][0].copy()
    _, infos = envs.reset(options={"reset_mask": np.array([False, True, True])})
    assert np.array_equal(infos["rgb84"][0], kept)
    assert infos["_rgb84"].all()
    envs.close()


def test_a_single_environment_tells_inputs_in_its_info():
    env = wsabench.make("pong", seed=1, inputs="ram")
    _, info = env.reset()
    assert np.array_equal(info["ram"], env.lane.ram())
    assert "rgb84" not in info
    assert "ram" not in wsabench.make("pong", seed=1).reset()[1]


def test_unknown_inputs_are_refused():
    with pytest.raises(UnknownNameError, match=r"input 'rgb'.*rgb84"):
        wsabench.make_vec("pong", 1, inputs=["rgb"])


@dataclass(frozen=True)
class GrayOnly:
    """A stage of another package that knows luminance only, and may say so."""

    luminance_only: bool

    def start_image(self, generator, shape):
        del generator, shape
        return PureImage(lambda image: image if image.ndim == 2 else image[..., 0])


@pytest.mark.parametrize(
    ("says_so", "message"),
    [
        (True, r"'clean' changes luminance frames only \(GrayOnly\), and an encoder reads rgb84"),
        (False, r"'clean' turned an RGB frame into uint8 of shape \(210, 160\)"),
    ],
)
def test_what_cannot_change_rgb_is_refused_by_name(says_so, message):
    compiled = replace(compile_perturbation("clean", "breakout"), images=(Placed(0, GrayOnly(says_so)),))
    Lane(compiled, Protocol(), inputs=["ram"]).reset(0)
    with pytest.raises(SpecError, match=message):
        Lane(compiled, Protocol(), inputs=["rgb84"]).reset(0)
