"""The control channel: each state against a slow twin that follows its definition, and against its statistics."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsabench.perturb.dynamics.control import (
    NOOP,
    ActionDelay,
    FrameSkip,
    FrameSkipJitter,
    NoopBursts,
    RandomActions,
    StickyActions,
)
from wsabench.perturb.dynamics.observation_delay import ObservationDelay

NUM_ACTIONS = 6
SKIP = 4
choices = st.lists(st.integers(0, NUM_ACTIONS - 1), min_size=1, max_size=60)
probabilities = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0])
seeds = st.integers(0, 2**32)


def rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def sent(stage, actions, seed=0) -> list[list[int]]:
    """Return what the console gets in each step."""
    state = stage.start_control(rng(seed), NUM_ACTIONS)
    return [list(state.transmit([action] * SKIP)) for action in actions]


def constant(actions) -> list[list[int]]:
    return [[action] * SKIP for action in actions]


@given(choices, probabilities, seeds)
def test_sticky_actions_equal_the_loop_of_ale(actions, probability, seed):
    draws, executed, expected = rng(seed), NOOP, []
    for action in actions:
        frames = []
        for _ in range(SKIP):
            # stella_environment.cpp: if (rand >= repeat_action_probability) m_player_a_action = player_a_action
            if draws.random() >= probability:
                executed = action
            frames.append(executed)
        expected.append(frames)
    assert sent(StickyActions(probability), actions, seed) == expected


def test_sticky_actions_stick_as_often_as_they_say():
    # Alternating actions: a frame differs from the choice of its step only while the old action sticks. The first
    # frame of a step sticks with p, the n-th with p^n; 4 frames: p + p^2 + p^3 + p^4 of them a step.
    num_steps, p = 20_000, 0.25
    actions = [1 + step % 2 for step in range(num_steps)]
    stuck = np.array(sent(StickyActions(p), actions)) != np.array(actions)[:, None]
    for frame in range(SKIP):
        expected = p ** (frame + 1)
        spread = math.sqrt(expected * (1 - expected) / num_steps)
        assert abs(stuck[:, frame].mean() - expected) < 4.5 * spread
    assert not (stuck[:, 1:] & ~stuck[:, :-1]).any()  # once the new action is executed, it stays


@given(choices, probabilities, seeds)
def test_random_actions_replace_whole_steps(actions, probability, seed):
    draws, expected = rng(seed), []
    for action in actions:
        is_replaced, other = draws.random() < probability, int(draws.integers(NUM_ACTIONS))
        expected.append([other if is_replaced else action] * SKIP)
    assert sent(RandomActions(probability), actions, seed) == expected


def test_random_actions_are_uniform_and_as_often_as_they_say():
    num_steps, p = 20_000, 0.35
    got = np.array(sent(RandomActions(p), [7] * num_steps))[:, 0]  # 7 is no action that could be drawn
    counts = np.bincount(got, minlength=8)
    assert abs(1 - counts[7] / num_steps - p) < 4.5 * math.sqrt(p * (1 - p) / num_steps)
    share = p / NUM_ACTIONS
    assert (abs(counts[:NUM_ACTIONS] / num_steps - share) < 4.5 * math.sqrt(share / num_steps)).all()


@given(choices, st.integers(0, 8))
def test_a_delayed_step_executes_the_choice_of_some_steps_ago(actions, steps):
    padded = [NOOP] * steps + actions
    assert sent(ActionDelay(steps), actions) == constant(padded[: len(actions)])


@given(choices, st.integers(1, 12))
def test_a_changed_frame_skip_lasts_that_long(actions, frames):
    assert sent(FrameSkip(frames), actions) == [[action] * frames for action in actions]


@given(choices, probabilities, st.integers(1, 4), st.integers(4, 9), seeds)
def test_a_jittered_frame_skip_is_drawn_from_its_range(actions, probability, lowest, highest, seed):
    draws, expected = rng(seed), []
    for action in actions:
        is_drawn, number = draws.random() < probability, int(draws.integers(lowest, highest + 1))
        expected.append([action] * (number if is_drawn else SKIP))
    assert sent(FrameSkipJitter(probability, lowest, highest), actions, seed) == expected


def test_a_jittered_frame_skip_is_uniform_and_keeps_the_mean():
    lengths = np.array([len(frames) for frames in sent(FrameSkipJitter(1.0, 1, 7), [3] * 21_000)])
    counts = np.bincount(lengths, minlength=8)
    assert counts[0] == 0
    assert (abs(counts[1:] - 3_000) < 4.5 * math.sqrt(3_000)).all()
    assert abs(lengths.mean() - 4) < 4.5 * 2 / math.sqrt(21_000)


@given(choices, probabilities, st.integers(1, 6), seeds)
def test_bursts_send_noop_for_so_many_steps(actions, probability, steps, seed):
    starts = rng(seed).random(len(actions)) < probability
    expected, step = list(actions), 0
    while step < len(actions):
        if starts[step]:
            expected[step : step + steps] = [NOOP] * len(expected[step : step + steps])
            step += steps
        else:
            step += 1
    assert sent(NoopBursts(probability, steps), actions, seed) == constant(expected)


@pytest.mark.parametrize("probability", [0.01, 0.05, 0.2])
def test_bursts_take_the_share_of_steps_that_the_summary_says(probability):
    num_steps, length = 40_000, 5
    share = probability * length / (probability * length + 1 - probability)
    got = np.array(sent(NoopBursts(probability, length), [3] * num_steps))[:, 0] == NOOP
    assert abs(got.mean() - share) < 6 * math.sqrt(share * (1 - share) * 2 * length / num_steps)


@pytest.mark.parametrize(
    ("make", "levels"),
    [
        (RandomActions, [0.05, 0.1, 0.2, 0.35, 0.5]),
        (lambda p: FrameSkipJitter(p, 8, 9), [0.2, 0.4, 0.6, 0.8, 1.0]),
    ],
)
def test_a_stronger_level_changes_the_same_steps_and_more(make, levels):
    clean, before = constant([7] * 400), set()
    for level in levels:
        changed = {step for step, frames in enumerate(sent(make(level), [7] * 400)) if frames != clean[step]}
        assert before < changed
        before = changed


@pytest.mark.parametrize(
    "stage",
    [
        StickyActions(0.0),
        RandomActions(0.0),
        ActionDelay(0),
        FrameSkip(SKIP),
        FrameSkipJitter(0.0, 1, 7),
        FrameSkipJitter(1.0, SKIP, SKIP),
        NoopBursts(0.0, 5),
    ],
)
@given(choices, seeds)
def test_identity_parameters_change_nothing(stage, actions, seed):
    assert sent(stage, actions, seed) == constant(actions)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.integers(1, 12))
def test_mixed_frames_are_cut_or_their_last_one_repeated(frames, number):
    got = FrameSkip(number).start_control(rng(0), NUM_ACTIONS).transmit(list(frames))
    assert got == [frames[min(index, len(frames) - 1)] for index in range(number)]


@given(st.integers(0, 7), st.integers(1, 20))
def test_an_observation_is_that_of_some_steps_ago_and_at_first_the_first(steps, num_steps):
    state = ObservationDelay(steps).start_image(rng(0), (3, 4))
    for step in range(num_steps):
        image = np.full((3, 4), step, np.uint8)
        seen = state.apply(image)
        assert (seen == max(0, step - steps)).all()
        assert state.preview(image) is image
        image.fill(99)  # what comes before may write to it again
        seen.fill(98)  # what comes after may, too
