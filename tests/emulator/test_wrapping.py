"""Perturbations on an environment that is no Atari game."""

from __future__ import annotations

import functools
import pickle  # noqa: TID251  (what is tested)
from collections import deque
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from gymnasium.wrappers import FrameStackObservation, GrayscaleObservation, RecordEpisodeStatistics

import wsabench
from wsabench.errors import SpecError, UnknownNameError
from wsabench.perturb.catalogue import all_kinds, catalogue
from wsabench.perturb.color.operators import rotate_hue, scale_value
from wsabench.perturb.corruption.noise import GaussianNoise
from wsabench.perturb.portable import allowed_text, portable_entries
from wsabench.seeding import generator

HEIGHT, WIDTH = 40, 52


class Walk(gymnasium.Env[np.ndarray, np.int64]):
    """A coloured square walks over a coloured picture; it tells the actions that it got."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, first_action: int = 0) -> None:
        self.observation_space = Box(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        self.action_space = Discrete(5, start=first_action)
        self.got: list[int] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(30))
        self.steps = 0
        self.got = []
        return self._picture(), {"place": self.place}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict]:
        assert self.action_space.contains(action)
        self.got.append(int(action))
        self.place = (self.place + int(action)) % (WIDTH - 8)
        self.steps += 1
        return self._picture(), float(self.place), self.steps >= 30, False, {"place": self.place}

    def _picture(self) -> np.ndarray:
        rows, columns = np.mgrid[:HEIGHT, :WIDTH]
        picture = np.stack([rows * 5, columns * 4, (rows + columns) % 256], axis=-1).astype(np.uint8)
        picture[10:18, self.place : self.place + 8] = (250, 30, 90)
        return picture


gymnasium.register("Walk-v0", entry_point=Walk)


def played(env: gymnasium.Env, actions: list[int], seed: int | None = 5) -> list[np.ndarray]:
    return [env.reset(seed=seed)[0], *(env.step(np.int64(action))[0] for action in actions)]


ACTIONS = [1, 4, 0, 2, 3, 3, 1, 2]


@pytest.mark.oracle
@pytest.mark.parametrize("severity", [1, 3, 5])
def test_noise_is_that_of_its_own_kernel_on_the_stream_of_the_seed(severity: int) -> None:
    seen = played(wsabench.wrap(Walk(), f"gaussian-noise@{severity}"), ACTIONS)
    stage = GaussianNoise(**catalogue()["gaussian-noise"].resolved(severity))
    state = stage.start_image(generator(5, "perturbation", 0, 0), (HEIGHT, WIDTH, 3))
    for picture, clean in zip(seen, played(Walk(), ACTIONS), strict=True):
        np.testing.assert_array_equal(picture, state.apply(clean.copy()))
        assert (picture != clean).mean() > 0.5


@pytest.mark.oracle
def test_a_composition_changes_colours_in_order_then_images_each_with_a_stream_of_its_place() -> None:
    seen = played(wsabench.wrap(Walk(), "shot-noise@2+hue-rotate@3+camera-jitter@4+value@2"), ACTIONS)
    states = [
        all_kinds()[catalogue()[name].kind]
        .build(None, **catalogue()[name].resolved(severity))
        .start_image(generator(5, "perturbation", place, 0), (HEIGHT, WIDTH, 3))
        for place, name, severity in ((0, "shot-noise", 2), (2, "camera-jitter", 4))
    ]
    for picture, clean in zip(seen, played(Walk(), ACTIONS), strict=True):
        colors = scale_value(rotate_hue(clean.reshape(-1, 3), degrees=108), factor=0.7).reshape(clean.shape)
        np.testing.assert_array_equal(picture, states[1].apply(states[0].apply(colors)))


@pytest.mark.oracle
def test_delayed_actions_arrive_late_and_the_picture_follows() -> None:
    env = wsabench.wrap(Walk(), "action-delay@2")
    (delay,) = catalogue()["action-delay"].resolved(2).values()
    played(env, ACTIONS)
    assert env.unwrapped.got == [0] * delay + ACTIONS[:-delay]


@pytest.mark.parametrize(("noop", "sent"), [(None, 10), (3, 13)])
def test_delays_send_the_no_op_that_the_environment_has(noop: int | None, sent: int) -> None:
    env = wsabench.wrap(Walk(first_action=10), "action-delay@1", noop=noop)
    played(env, [11, 13, 10, 14])
    assert env.unwrapped.got == [sent, 11, 13, 10]


def test_the_name_noop_is_found() -> None:
    class Named(Walk):
        def get_action_meanings(self) -> list[str]:
            return ["LEFT", "RIGHT", "NOOP", "UP", "DOWN"]

    env = wsabench.wrap(Named(), "action-delay@1")
    played(env, [4, 0, 1])
    assert env.unwrapped.got == [2, 4, 0]


@pytest.mark.oracle
def test_random_actions_are_drawn_from_the_stream_of_the_seed() -> None:
    env = wsabench.wrap(Walk(), "gaussian-blur@1+random-actions@5")
    (probability,) = catalogue()["random-actions"].resolved(5).values()
    played(env, ACTIONS * 3)
    draws, expected = generator(5, "perturbation", 1, 0), []
    for action in ACTIONS * 3:
        is_replaced, drawn = draws.random() < probability, int(draws.integers(5))
        expected.append(drawn if is_replaced else action)
    assert env.unwrapped.got == expected != ACTIONS * 3


@pytest.mark.property
@pytest.mark.parametrize("entry", portable_entries(), ids=lambda entry: entry.name)
def test_what_is_allowed_can_be_put_on_colour_frames(entry: Any) -> None:
    name = entry.name if not entry.has_severity else f"{entry.name}@5"
    env = wsabench.wrap(Walk(), name)
    first, again = (played(env, ACTIONS * 3, seed=3) for _ in range(2))
    clean = played(Walk(), ACTIONS * 3, seed=3)
    assert all(env.observation_space.contains(picture) for picture in first)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, clean)


def test_clean_changes_nothing_and_rewards_and_ends_are_the_environments() -> None:
    env, other = wsabench.wrap(Walk(), "clean"), Walk()
    np.testing.assert_array_equal(played(env, ACTIONS), played(other, ACTIONS))
    noisy = wsabench.wrap(Walk(), "fog@4")
    noisy.reset(seed=5), other.reset(seed=5)
    for _ in range(30):
        assert noisy.step(1)[1:] == other.step(1)[1:]


def test_episodes_without_a_seed_go_on_from_the_last_one() -> None:
    env, other = (wsabench.wrap(Walk(), "impulse-noise@3") for _ in range(2))
    runs = [played(env, ACTIONS, seed) for seed in (5, None, None, 5)]
    others = [played(other, ACTIONS[:2], seed) for seed in (5, None, None)]
    np.testing.assert_array_equal(runs[0], runs[3])
    state = (
        all_kinds()["image.impulse_noise"]
        .build(None, **catalogue()["impulse-noise"].resolved(3))
        .start_image(generator(5, "perturbation", 0, 2), (HEIGHT, WIDTH, 3))
    )
    clean = Walk()
    firsts = [clean.reset(seed=seed)[0] for seed in (5, None, None)]
    np.testing.assert_array_equal(runs[2][0], state.apply(firsts[2].copy()))
    np.testing.assert_array_equal(runs[2][0], others[2][0])
    assert not np.array_equal(runs[0][0] != firsts[0], runs[1][0] != firsts[1])


def test_without_any_seed_the_system_gives_one() -> None:
    first, second = (wsabench.wrap(Walk(), "gaussian-noise@5").reset()[0] for _ in range(2))
    assert not np.array_equal(first[30:], second[30:])  # the square is above these rows


@pytest.mark.oracle
@pytest.mark.parametrize("padding", ["reset", "zero"])
def test_a_stack_is_changed_as_it_grows(padding: str) -> None:
    env = wsabench.wrap(FrameStackObservation(GrayscaleObservation(Walk()), 4, padding_type=padding), "shot-noise@4")
    single = wsabench.wrap(GrayscaleObservation(Walk()), "shot-noise@4")
    frames = played(single, ACTIONS)
    blank = frames[0] if padding == "reset" else np.zeros_like(frames[0])
    stack = deque([blank] * 4, maxlen=4)
    for picture, frame in zip(played(env, ACTIONS), frames, strict=True):
        stack.append(frame)
        np.testing.assert_array_equal(picture, np.stack(stack))


def test_a_stack_with_the_channels_last_is_the_same_stack() -> None:
    def last(env: gymnasium.Env) -> gymnasium.Env:
        space = Box(0, 255, (HEIGHT, WIDTH, 4), np.uint8)
        return gymnasium.wrappers.TransformObservation(env, lambda frames: frames.transpose(1, 2, 0), space)

    def stacked() -> gymnasium.Env:
        return FrameStackObservation(GrayscaleObservation(Walk()), 4)

    seen = played(wsabench.wrap(last(stacked()), "fog@3+motion-blur@2"), ACTIONS)
    others = played(wsabench.wrap(stacked(), "fog@3+motion-blur@2"), ACTIONS)
    np.testing.assert_array_equal(np.stack(seen).transpose(0, 3, 1, 2), others)


def test_a_stack_of_colours_and_frames_with_channels_first() -> None:
    seen = played(wsabench.wrap(FrameStackObservation(Walk(), 2), "hue-rotate@2+speckle-noise@2"), ACTIONS)
    plain = played(wsabench.wrap(Walk(), "hue-rotate@2+speckle-noise@2"), ACTIONS)
    np.testing.assert_array_equal(np.stack(seen)[:, 1], plain)

    space = Box(0, 255, (3, HEIGHT, WIDTH), np.uint8)
    first = gymnasium.wrappers.TransformObservation(Walk(), lambda frame: frame.transpose(2, 0, 1), space)
    with pytest.raises(SpecError, match=r"shape \(3, 40, 52\) do not tell what is what. Say it with layout="):
        wsabench.wrap(first, "clean")
    seen = played(wsabench.wrap(first, "hue-rotate@2+speckle-noise@2", layout="CHW"), ACTIONS)
    np.testing.assert_array_equal(np.stack(seen).transpose(0, 2, 3, 1), plain)


def test_a_stack_that_begins_anew_is_shown_anew() -> None:
    class Forgets(FrameStackObservation):
        def step(self, action: Any) -> Any:
            observation, *rest = super().step(action)
            if self.env.unwrapped.steps == 3:
                for _ in range(3):
                    self.obs_queue.append(np.zeros((HEIGHT, WIDTH), np.uint8))
                self.obs_queue.append(observation[-1])
                observation = np.stack(self.obs_queue)
            return observation, *rest

    seen = played(wsabench.wrap(Forgets(GrayscaleObservation(Walk()), 4), "gaussian-noise@3"), ACTIONS)
    assert not seen[3][:3].any()
    assert seen[3][3].any()
    np.testing.assert_array_equal(seen[4][2], seen[3][3])


def test_spec_and_attributes_are_kept_and_it_is_made_again_from_them() -> None:
    env = wsabench.wrap(RecordEpisodeStatistics(gymnasium.make("Walk-v0")), "gaussian-noise@2", noop=1)
    assert env.perturbation == env.get_wrapper_attr("perturbation") == "gaussian-noise@2"
    assert env.get_wrapper_attr("got") == []
    assert env.spec is not None
    assert env.spec.additional_wrappers[-1].kwargs == {"perturbation": "gaussian-noise@2", "layout": None, "noop": 1}
    again = gymnasium.make(env.spec)
    assert type(again) is type(env)
    np.testing.assert_array_equal(played(again, ACTIONS), played(env, ACTIONS))


def test_it_passes_gymnasiums_own_check() -> None:
    from gymnasium.utils.env_checker import check_env

    check_env(wsabench.wrap(gymnasium.make("Walk-v0").unwrapped, "shot-noise@2"), skip_render_check=True)


def test_it_goes_on_after_a_pickle() -> None:
    env = wsabench.wrap(Walk(), "gaussian-noise@3+hue-rotate@1+sticky-actions@5+observation-delay@2")
    played(env, ACTIONS)
    twin = pickle.loads(pickle.dumps(env))  # noqa: S301
    for action in ACTIONS:
        np.testing.assert_array_equal(twin.step(action)[0], env.step(action)[0])


def test_vectors_take_it_as_a_wrapper() -> None:
    envs = gymnasium.make_vec(
        "Walk-v0", 2, vectorization_mode="sync", wrappers=[functools.partial(wsabench.wrap, perturbation="fog@3")]
    )
    pictures, _ = envs.reset(seed=[5, 6])
    np.testing.assert_array_equal(pictures[0], wsabench.wrap(Walk(), "fog@3").reset(seed=5)[0])
    with pytest.raises(SpecError, match="of several wrap each before they are made a vector"):
        wsabench.wrap(envs, "fog@3")


def test_fog_covers_frames_larger_than_the_consoles() -> None:
    space = Box(0, 255, (300, 400, 3), np.uint8)
    large = gymnasium.wrappers.TransformObservation(Walk(), lambda frame: np.full((300, 400, 3), 90, np.uint8), space)
    picture = wsabench.wrap(large, "fog@5").reset(seed=1)[0]
    assert picture.shape == (300, 400, 3)
    assert len(np.unique(picture[260:, 260:])) > 10


@pytest.mark.parametrize(
    ("perturbation", "reason"),
    [
        ("palette-pal", "changes the console's palette"),
        ("strobe@1", "changes the console's palette"),
        ("recolor-black", "changes the console's palette"),
        ("recolor-player", "made from what the catalogue knows of an Atari game"),
        ("lazy-enemy", "made from what the catalogue knows of an Atari game"),
        ("mode-1", "made from what the catalogue knows of an Atari game"),
        ("frame-skip@2", "how many frames the console plays in a step"),
        ("drop-one", "changes an agent's encoders"),
    ],
)
def test_what_needs_the_console_is_refused_with_what_is_allowed(perturbation: str, reason: str) -> None:
    with pytest.raises(SpecError) as caught:
        wsabench.wrap(Walk(), f"fog@1+{perturbation}")
    assert str(caught.value).startswith(f"{perturbation} cannot be put on an environment: it")
    assert reason in str(caught.value)
    assert f"Allowed: {allowed_text()}." in str(caught.value)
    assert "of color hue-rotate, saturation" in allowed_text()
    assert "action-delay" in allowed_text()


def test_environments_that_do_not_fit_are_refused() -> None:
    class Spaces(gymnasium.Env):
        def __init__(self, seen: Any, done: Any) -> None:
            self.observation_space, self.action_space = seen, done

    pixels, actions = Box(0, 255, (HEIGHT, WIDTH), np.uint8), Discrete(3)
    for space in (Box(0, 1, (HEIGHT, WIDTH), np.float32), Dict({"pixels": pixels}), Box(0, 255, (9,), np.uint8)):
        with pytest.raises(SpecError, match=r"Allowed: pixels, a Box of uint8 with two to four axes"):
            wsabench.wrap(Spaces(space, actions), "clean")
    with pytest.raises(SpecError, match=r"observations are float32 of shape \(4,\)\. .*AddRenderObservation"):
        wsabench.wrap(gymnasium.make("CartPole-v1"), "gaussian-noise@3")
    with pytest.raises(SpecError, match=r"actions are MultiDiscrete.*Allowed: Discrete"):
        wsabench.wrap(Spaces(pixels, MultiDiscrete([2, 2])), "clean")
    with pytest.raises(SpecError, match=r"changes colours, and the environment shows grey frames of shape \(40, 52\)"):
        wsabench.wrap(Spaces(pixels, actions), "fog@1+invert")
    with pytest.raises(SpecError, match="does not fit frames of 8 rows and 8 columns"):
        wsabench.wrap(Spaces(Box(0, 255, (8, 8), np.uint8), actions), "distractor-sprites@1")
    with pytest.raises(SpecError, match="The layout is 'HWC' for observations of shape"):
        wsabench.wrap(Spaces(Box(0, 255, (40, 52, 4), np.uint8), actions), "clean", layout="HWC")
    with pytest.raises(SpecError, match=r"noop is 3\. Allowed: integers 0 to 2"):
        wsabench.wrap(Spaces(pixels, actions), "clean", noop=3)
    with pytest.raises(UnknownNameError, match="gaussian-noise"):
        wsabench.wrap(Walk(), "gausian-noise@3")


def test_a_step_before_the_first_reset_and_an_action_out_of_range_are_refused() -> None:
    env = wsabench.wrap(Walk(first_action=2), "clean")
    with pytest.raises(SpecError, match=r"Call reset\(\) first"):
        env.step(2)
    env.reset(seed=0)
    with pytest.raises(SpecError, match=r"The action is 7\. Allowed: 2 to 6"):
        env.step(7)
