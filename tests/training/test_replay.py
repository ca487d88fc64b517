"""DQN's memory against a naive one that stores whole stacks."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsabench.errors import CheckpointError, StorageError
from wsabench.training.algorithms.replay import Replay
from wsabench.training.lanes import LaneStep


class Step(NamedTuple):
    observation: bytes
    action: int
    reward: float
    following: bytes | None
    """None where the episode is over."""
    frame: int
    """Number of the newest frame of the observation in its lane."""


class Naive:
    """Whole stacks in lists; counts frames as the docstring of `Replay` says."""

    def __init__(self, capacity: int, num_lanes: int) -> None:
        self.per_lane = capacity // num_lanes
        self.steps: list[list[Step]] = [[] for _ in range(num_lanes)]
        self.frames = [0] * num_lanes
        self.last: list[np.ndarray | None] = [None] * num_lanes

    def see(self, lane: int, stack: np.ndarray) -> None:
        last, new = self.last[lane], 4
        for shift in (3, 2, 1):
            if last is not None and (last[shift:] == stack[: 4 - shift]).all():
                new = shift
        self.frames[lane] += new
        self.last[lane] = stack.copy()

    def valid(self) -> list[Step]:
        return [
            step
            for lane, steps in enumerate(self.steps)
            for step in steps
            if step.frame - 3 >= self.frames[lane] - self.per_lane
        ]


class Games:
    """Lanes of tiny 'games': frames are constant pictures, so stacks are told apart by four numbers."""

    def __init__(self, num_lanes: int, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        self.stacks = np.zeros((num_lanes, 4, 84, 84), np.uint8)
        for lane in range(num_lanes):
            self.new_game(lane)

    def frame(self) -> int:
        return int(self.generator.integers(1, 6))  # few values: stacks repeat, and look alike across games

    def new_game(self, lane: int) -> None:
        self.stacks[lane] = 0
        self.stacks[lane, 3] = self.frame()

    def push(self, lane: int) -> None:
        self.stacks[lane, :3] = self.stacks[lane, 1:]
        self.stacks[lane, 3] = self.frame()

    def step(self, kinds: list[str]) -> tuple[LaneStep, np.ndarray]:
        """Play; `kinds` says what happens in each lane. Returns also the observations before any reset."""
        before = []
        for lane, kind in enumerate(kinds):
            self.push(lane)
            before.append(self.stacks[lane].copy())
            if kind == "lost":
                self.push(lane)  # FIRE
            elif kind != "on":
                self.new_game(lane)
        rewards = self.generator.integers(-1, 2, len(kinds)).astype(np.float64)
        ended = np.array([kind != "on" for kind in kinds])
        cut = np.array([kind == "cut" for kind in kinds])
        shown = np.array(before)
        return LaneStep(rewards, ended, cut, shown[cut]), shown


def run(replay: Replay, naive: Naive, games: Games, kinds: list[list[str]]) -> None:
    for row in kinds:
        old = games.stacks.copy()
        frames = [count - 1 for count in naive.frames]
        actions = games.generator.integers(0, 18, len(row))
        played, shown = games.step(row)
        replay.add(actions, played, games.stacks)
        for lane, kind in enumerate(row):
            following = None if kind in ("lost", "over") else shown[lane].tobytes()
            if kind == "cut":
                naive.see(lane, shown[lane])
            naive.see(lane, games.stacks[lane])
            step = Step(old[lane].tobytes(), int(actions[lane]), float(played.rewards[lane]), following, frames[lane])
            naive.steps[lane].append(step)


def everything(replay: Replay) -> set[tuple]:
    """Draw so often that every step comes up."""
    drawn = replay.sample(60 * len(replay), torch.Generator().manual_seed(0))
    return {(o.tobytes(), int(a), float(r), None if t else f.tobytes()) for o, a, r, f, t in zip(*drawn, strict=True)}


KINDS = st.sampled_from(["on"] * 6 + ["lost", "over", "cut"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.data_too_large])
@given(data=st.data(), num_lanes=st.integers(1, 3), per_lane=st.integers(16, 25), seed=st.integers(0, 2**31))
def test_the_replay_holds_what_a_naive_one_holds(data, num_lanes: int, per_lane: int, seed: int) -> None:
    kinds = data.draw(st.lists(st.lists(KINDS, min_size=num_lanes, max_size=num_lanes), min_size=1, max_size=70))
    replay, naive = Replay(per_lane * num_lanes, num_lanes), Naive(per_lane * num_lanes, num_lanes)
    games = Games(num_lanes, seed)
    replay.start(games.stacks)
    for lane, stack in enumerate(games.stacks):
        naive.see(lane, stack)
    run(replay, naive, games, kinds)
    expected = naive.valid()
    assert len(replay) == len(expected)
    assert everything(replay) == {step[:4] for step in expected}


def played(path: Path | None = None, steps: int = 50, slack: int = 0) -> tuple[Replay, Games, Naive]:
    replay, games, naive = Replay(40, 2, path=path, slack=slack), Games(2, 0), Naive(40, 2)
    replay.start(games.stacks)
    for lane, stack in enumerate(games.stacks):
        naive.see(lane, stack)
    run(replay, naive, games, [["on", "on"]] * steps)
    return replay, games, naive


def test_frames_are_stored_once() -> None:
    replay, _, _ = played(steps=10)
    assert replay._pushed.tolist() == [14, 14]
    assert len(replay) == 20


def test_every_step_is_equally_probable() -> None:
    replay, _, _ = played(steps=8)
    generator = torch.Generator().manual_seed(0)
    drawn = np.concatenate([replay.sample(100, generator).actions for _ in range(80)])
    # Actions are drawn from 18 numbers; steps with the same one share a count.
    counts = np.bincount(drawn, minlength=18) / 500
    held = np.bincount(np.concatenate([replay._actions[lane, :8] for lane in range(2)]), minlength=18)
    np.testing.assert_allclose(counts, held, atol=0.2)


def test_what_is_played_after_a_checkpoint_leaves_its_frames_alone(tmp_path: Path) -> None:
    replay, games, _ = played(tmp_path / "frames", slack=20)
    state, shown = replay.state(), games.stacks.copy()
    replay.saved()
    before = everything(replay)
    generator_state = games.generator.bit_generator.state
    assert not replay.needs_saving(4)
    assert replay.needs_saving(5)
    run(replay, Naive(40, 2), games, [["on", "on"]] * 20)
    assert everything(replay) != before
    assert replay.needs_saving(1)
    again = Replay(40, 2, path=tmp_path / "frames", slack=20)
    again.restore(state, shown)
    assert everything(again) == before
    games.stacks, games.generator.bit_generator.state = shown, generator_state
    run(again, Naive(40, 2), games, [["on", "on"]] * 20)
    assert everything(again) == everything(replay)


def test_without_slack_the_same_would_be_lost(tmp_path: Path) -> None:
    replay, games, _ = played(tmp_path / "frames")
    state, shown = replay.state(), games.stacks.copy()
    before = everything(replay)
    run(replay, Naive(40, 2), games, [["on", "on"]] * 3)
    again = Replay(40, 2, path=tmp_path / "frames")
    again.restore(state, shown)
    assert everything(again) != before


def test_other_frames_are_refused(tmp_path: Path) -> None:
    replay, games, _ = played(tmp_path / "frames")
    state = replay.state()
    other = Replay(40, 2, path=tmp_path / "others")
    with pytest.raises(CheckpointError, match="frames do not belong to the checkpoint beside them"):
        other.restore(state, games.stacks)


def test_a_file_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"Cannot make .*no/frames of 0.00 GB"):
        Replay(40, 2, path=tmp_path / "no" / "frames")
