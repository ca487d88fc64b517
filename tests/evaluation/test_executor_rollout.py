"""Episodes do not know which lanes play beside them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from fake_bench import NUM_ACTIONS, TASKS, FakeLanes, ListSource, PlainPolicy, SamplingPolicy, as_plain, played

from wsabench.agents import wrap_policy
from wsabench.errors import SpecError
from wsabench.evaluation.rollout import EpisodeTask, check_range, play
from wsabench.results.records import EpisodeOutcome
from wsabench.seeding import generator
from wsabench.types import Decision, EncoderRoster, LaneBatch


def test_outcomes_are_those_of_a_naive_loop() -> None:
    # One lane at a time, written out: the episode seed's "policy" stream draws, the fake's rules apply.
    for outcome, task in zip(played(SamplingPolicy(), TASKS, 5), TASKS, strict=True):
        stream = generator(task.episode_seed, "policy")
        total, length, limit = 0.0, 0, 3 + task.episode_seed % 10
        actions = b""
        while length < limit:
            seen = (task.episode_seed + 7 * length + len(task.perturbation)) % 256
            action = (int(stream.integers(NUM_ACTIONS)) + seen) % NUM_ACTIONS
            total += action
            actions += bytes([action])
            length += 1
        assert outcome[:5] == (task.job_index, task.episode, total, length, "game_over")
        assert outcome.action_hash == hashlib.sha256(actions).hexdigest()[:16]


@pytest.mark.parametrize(("num_lanes", "portion"), [(1, 100), (3, 1), (16, 100), (40, 2)])
def test_lanes_order_and_portions_change_nothing(num_lanes: int, portion: int) -> None:
    expected = as_plain(played(SamplingPolicy(), TASKS, 7))
    turned = list(reversed(TASKS))
    assert as_plain(played(SamplingPolicy(), turned, num_lanes, portion)) == expected


def test_episode_starts_are_told_once_an_episode() -> None:
    policy = SamplingPolicy()
    outcomes = played(policy, TASKS, 4)
    assert sum(int(batch.episode_starts.sum()) for batch in policy.batches) == len(TASKS)
    assert sum(len(batch.ids) for batch in policy.batches) == sum(outcome.length for outcome in outcomes)


def test_a_policy_that_does_not_pad_always_sees_all_rows() -> None:
    policy = PlainPolicy()
    played(policy, TASKS, 6)
    assert policy.num_rows == {6}


def test_steps_are_counted() -> None:
    counted: list[int] = []
    outcomes: list[EpisodeOutcome] = []
    play(wrap_policy(PlainPolicy()), FakeLanes(4), ListSource(TASKS), outcomes.append, counted.append)
    assert sum(counted) == sum(outcome.length for outcome in outcomes)


def test_no_episodes_no_step() -> None:
    assert played(PlainPolicy(), [], 4) == []


@pytest.mark.parametrize(
    ("chosen", "message"), [([0, 1, 4], "chose action 4. Allowed: 0 to 3"), ([0, -1, 4], "chose action -1")]
)
def test_actions_that_the_game_does_not_have_are_refused(chosen: list[int], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        check_range(np.array(chosen), NUM_ACTIONS)


class Operation(NamedTuple):
    """An encoder operation that fits or does not."""

    name: str

    def check(self, roster: EncoderRoster) -> EncoderRoster:
        if self.name == "wrong":
            raise SpecError("it does not fit.")
        return roster

    def start(self, generator: np.random.Generator) -> Any:
        raise AssertionError("the fake policy applies nothing")


ONE, TWO, WRONG = Operation("one"), Operation("two"), Operation("wrong")


class OperatedPolicy(SamplingPolicy):
    """Draws from the encoder generators too."""

    abilities = replace(
        SamplingPolicy.abilities,
        encoder_roster=EncoderRoster("operated", ("sr", "oke"), None, ("sr", "oke"), frozenset(), 2),
    )

    def __init__(self) -> None:
        super().__init__()
        self.drawn: dict[int, list[float]] = {}

    def act(self, observations: np.ndarray, lanes: LaneBatch) -> Decision:
        for lane, operations, stream in zip(lanes.ids, lanes.encoder_operations, lanes.encoder_generators, strict=True):
            assert (stream is not None) == bool(operations)
            if stream is not None:
                self.drawn.setdefault(int(lane), []).append(stream.random())
        return super().act(observations, lanes)


def operated(operations: Any) -> list[EpisodeTask]:
    return [task._replace(encoder_operations=operations) for task in TASKS[:9]]


def test_operations_reach_the_policy_with_a_stream_of_their_own() -> None:
    clean, policy = OperatedPolicy(), OperatedPolicy()
    expected = as_plain(played(clean, TASKS[:9], 9))
    assert as_plain(played(policy, operated((ONE, TWO)), 9)) == expected  # actions are drawn as ever
    assert clean.drawn == {}
    for lane, task in enumerate(TASKS[:9]):
        stream = generator(task.episode_seed, "encoders")
        assert policy.drawn[lane] == [stream.random() for _ in policy.drawn[lane]]
    assert {batch.encoder_operations[0] for batch in policy.batches} == {(ONE, TWO)}


@pytest.mark.parametrize(
    ("policy", "operations", "message"),
    [
        (OperatedPolicy(), (WRONG,), r"^clean: it does not fit\.$"),
        (SamplingPolicy(), (ONE,), r"^clean: The policy 'SamplingPolicy' has no encoders .* Leave these cells"),
        (PlainPolicy(), (ONE,), r"^clean: .* its abilities state no encoder_roster"),
    ],
)
def test_operations_that_a_policy_cannot_take_are_never_played_as_clean(
    policy: Any, operations: Any, message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        played(policy, operated(operations), 4)
    assert getattr(policy, "batches", []) == []


def test_bounds_of_actions_are_allowed() -> None:
    check_range(np.array([0, 3, 1]), NUM_ACTIONS)
