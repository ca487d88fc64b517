"""Measures what RAM patches do: a game played with a patch and without it, same seed, same way of acting.

The bare emulator, frame skip 1, no sticky actions; rules run before every frame, as in a lane. A `Check` is one number
that tells of the effect, and the range it has only with the patch. Where two runs would part sooner or later, `Paired`
takes short runs from the same saved states.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

import ale_py
import numpy as np
import pytest

from wsabench.emulator.console import Console
from wsabench.games import load_game
from wsabench.perturb.rules import RamPatchStage, compile_rule, parse_rule, patch_rule, ram_addresses
from wsabench.protocol import Protocol


@dataclass(frozen=True, eq=False)
class Trace:
    """What happened in a run; row `t` is the state after frame `t`."""

    game: str
    bytes: np.ndarray
    """uint8, shape (num_frames, 128)."""
    rewards: np.ndarray
    """int64, shape (num_frames,), raw."""
    lives: np.ndarray
    """int64, shape (num_frames,), by the emulator's count."""
    game_overs: np.ndarray
    """bool, shape (num_frames,); the game is started anew before the next frame, and so is the patch."""
    screens: np.ndarray
    """Palette indices, uint8, shape (num_screens, height, width): after frames 0, k, 2k, ... for `screens_every=k`."""

    def total_reward(self):
        return self.rewards.sum()

    def num_game_overs(self):
        return int(self.game_overs.sum())

    def first_game_over(self):
        """Frame of the first game over; NaN if there was none."""
        ends = np.flatnonzero(self.game_overs)
        return ends[0] if len(ends) else np.nan

    def lives_won_back(self):
        """Change of the lives from frame 10 to the end, if one was lost in between; the counter shows each loss."""
        lives = self.lives[10:]
        return lives[-1] - lives[0] if (np.diff(lives) < 0).any() else np.nan

    def pixels(self, index, rows=slice(None), columns=slice(None)):
        """Pixels that have this palette index (or one of several), in each kept screen: int64, shape (num_screens,)."""
        return np.isin(self.screens[:, rows, columns], index).sum((1, 2))

    def colors(self, rows=slice(None), columns=slice(None)):
        """All palette indices seen in an area of the kept screens, as a set."""
        return set(np.unique(self.screens[:, rows, columns]).tolist())


def ram(trace, name):
    """One byte over time by its name in the game's RAM map (or its address), int64, shape (num_frames,)."""
    address = name if isinstance(name, int) else ram_addresses(load_game(trace.game))[name]
    return trace.bytes[:, address].astype(np.int64)


def steps(trace, name):
    """Changes of a byte from frame to frame as -128..127, int64, shape (num_frames - 1,)."""
    return (np.diff(ram(trace, name)) + 128) % 256 - 128


# Ways of acting: (rng, bytes before the frame, frame) -> action. A constant action goes by its name, "noop", "upfire".

Policy = Callable[[np.random.Generator, np.ndarray, int], ale_py.Action]


def _track_pong(rng, memory, frame):
    ball, paddle = int(memory[54]), int(memory[51])
    if ball == 0:
        return ale_py.Action.FIRE
    # The middle of the paddle is 8 below its upper edge; a little jitter varies the angles.
    error = ball - (paddle + 7) + int(rng.integers(-3, 4))
    if abs(error) < 4:
        return ale_py.Action.NOOP
    return ale_py.Action.LEFT if error > 0 else ale_py.Action.RIGHT


def _track_breakout(rng, memory, frame):
    if memory[101] == 0:
        return ale_py.Action.FIRE
    error = int(memory[99]) - (int(memory[72]) + 6) + int(rng.integers(-3, 4))
    if abs(error) < 3:
        return ale_py.Action.NOOP
    return ale_py.Action.RIGHT if error > 0 else ale_py.Action.LEFT


def _chase_boxing(rng, memory, frame):
    dx, dy = int(memory[33]) - int(memory[32]), int(memory[35]) - int(memory[34])
    if rng.random() < 0.2:
        return ale_py.Action.FIRE
    across = "RIGHT" if dx > 25 else "LEFT" if dx < -25 else ""
    along = "DOWN" if dy > 12 else "UP" if dy < -12 else ""
    return getattr(ale_py.Action, along + across or "FIRE")


_TRACKING = {"pong": _track_pong, "breakout": _track_breakout, "boxing": _chase_boxing}


def _make_policy(policy, game, actions):
    if policy == "random":
        return lambda rng, memory, frame: actions[int(rng.integers(len(actions)))]
    if policy == "random-held":
        # As an agent with frame skip 4 plays.
        held = [actions[0]]

        def act(rng, memory, frame):
            if frame % 4 == 0:
                held[0] = actions[int(rng.integers(len(actions)))]
            return held[0]

        return act
    if policy == "track":
        return _TRACKING[game]
    if isinstance(policy, str):
        action = getattr(ale_py.Action, policy.upper())
        return lambda rng, memory, frame: action
    return policy


@cache
def _console(game):
    return Console(game, Protocol(sticky_probability=0.0))


def _stages(game, patch, setting):
    record = load_game(game)
    rules = []
    if setting is not None:
        rules.append(parse_rule(setting, ram_addresses(record), "setting", "at frame" in setting))
    if patch is not None:
        rules.append(patch_rule(record, patch))
    return [RamPatchStage(compile_rule(rule)) for rule in rules]


class _Run:
    """A console that is played with rules."""

    def __init__(self, game, patch, policy, seed, setting):
        self.game = game
        self.ale = _console(game).ale
        self.stages = _stages(game, patch, setting)
        self.policy = _make_policy(policy, game, _console(game).actions)
        self.rng = np.random.default_rng(seed)
        self.patch_rng = np.random.default_rng([seed, 1])

    def start_rules(self):
        self.states = [stage.start_ram(self.patch_rng, self.ale) for stage in self.stages]

    def play(self, num_frames, screens_every=0, first_frame=0, until_loss=False):
        ale = self.ale
        memory = np.zeros((num_frames, 128), np.uint8)
        rewards, lives, game_overs, screens = [], [], [], []
        before = ale.getRAM()
        for frame in range(num_frames):
            for state in self.states:
                state.apply(ale)
            rewards.append(ale.act(self.policy(self.rng, before, first_frame + frame)))
            before = memory[frame]
            ale.getRAM(before)
            lives.append(ale.lives())
            if screens_every and frame % screens_every == 0:
                screens.append(ale.getScreen())
            game_overs.append(ale.game_over())
            if game_overs[-1]:
                ale.reset_game()
                self.start_rules()
            if until_loss and lives[-1] < lives[0]:
                memory = memory[: frame + 1]
                break
        kept = np.array(screens, np.uint8) if screens else np.zeros((0, *ale.getScreenDims()), np.uint8)
        return Trace(
            self.game, memory, np.array(rewards, np.int64), np.array(lives, np.int64), np.array(game_overs), kept
        )


def play(game, patch, policy="random", num_frames=600, seed=0, screens_every=0, setting=None, until_loss=False):
    """Play a game from power-on, with a patch (None: without).

    Args:
        policy: "random" (a new action each frame), "random-held" (every fourth), "track" (ball tracking in Pong and
            Breakout, a simple chaser in Boxing), an action's name, or a function.
        screens_every: Keep the screen of every so many frames; 0 keeps none.
        setting: A rule that runs before the patch, to bring about what the effect needs; a pair of runs has the same.
        until_loss: Whether the run ends with the first life that is lost.
    """
    run = _Run(game, patch, policy, seed, setting)
    _console(game).power_on(seed)
    run.start_rules()
    return run.play(num_frames, screens_every, until_loss=until_loss)


play_plain = lru_cache(maxsize=32)(play)
"""`play` with a memory, for runs without a patch, which many checks share."""


@lru_cache(maxsize=8)
def _saved_states(game, policy, starts, seed, setting):
    """The states of a run without patch at these frames."""
    run = _Run(game, None, policy, seed, setting)
    _console(game).power_on(seed)
    run.start_rules()
    states, frame = [], 0
    for start in starts:
        run.play(start - frame, 0, frame)
        frame = start
        states.append(run.ale.cloneState())
    return states


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included."""

    low: float = -math.inf
    high: float = math.inf

    def __contains__(self, number):
        return self.low <= number <= self.high


def at_least(low):
    return Range(low=low)


def at_most(high):
    return Range(high=high)


def exactly(number):
    return Range(number, number)


def between(low, high):
    return Range(low, high)


@dataclass(frozen=True)
class Check:
    """One number of a run that lies in a range with the patch, and out of it without."""

    metric: Callable[[Trace], float]
    expected: Range
    policy: str | Policy = "random"
    num_frames: int = 600
    seed: int = 0
    screens_every: int = 0
    setting: str | None = None

    def measure(self, game, patch):
        """The number with the patch, and without."""
        arguments = (self.policy, self.num_frames, self.seed, self.screens_every, self.setting)
        return float(self.metric(play(game, patch, *arguments))), float(self.metric(play_plain(game, None, *arguments)))


@dataclass(frozen=True)
class Paired:
    """How far a patch moves a number: the median difference between pairs of short runs from identical saved states.

    Take a policy that does not look at the memory: then both runs of a pair have the same actions.
    """

    metric: str | int | Callable[[Trace], float]
    """A byte (its value at the end, differences taken modulo 256 as -128..127), or a number of a run."""
    expected: Range
    """Must not contain 0, the difference without the patch."""
    num_frames: int = 24
    policy: str | Policy = "random"
    """How to act in the pairs."""
    approach: str | Policy = "random"
    """How to act before them."""
    starts: tuple[int, ...] = tuple(range(100, 900, 40))
    """Frames of the approach from which the pairs start."""
    seed: int = 0
    where: Callable[[Trace], bool] = lambda trace: True
    """Which pairs count, told from the run without patch: say, those with a ball in play all the time."""
    setting: str | None = None
    """A rule for the approach and both runs."""

    def measure(self, game, patch):
        """The median difference with the patch, and without it (which is 0, as equal runs are equal)."""
        pairs = [
            pair for pair in zip(self._play(game, patch), self._play(game, None), strict=True) if self.where(pair[1])
        ]
        assert len(pairs) >= 5, f"only {len(pairs)} pairs"
        return float(np.median([self._difference(*pair) for pair in pairs])), 0.0

    def _play(self, game, patch):
        traces = []
        states = _saved_states(game, self.approach, self.starts, self.seed, self.setting)
        for start, state in zip(self.starts, states, strict=True):
            run = _Run(game, patch, self.policy, self.seed + start, self.setting)
            run.ale.restoreState(state)
            run.start_rules()
            traces.append(run.play(self.num_frames, 0, start))
        return traces

    def _difference(self, patched, plain):
        if callable(self.metric):
            return self.metric(patched) - self.metric(plain)
        return (ram(patched, self.metric)[-1] - ram(plain, self.metric)[-1] + 128) % 256 - 128


def assert_effect(game, patch, check):
    """Assert that the effect is there with the patch and not without."""
    patched, plain = check.measure(game, patch)
    measured = f"{game} {patch}: {patched:g} with the patch, {plain:g} without; expected {check.expected}"
    assert patched in check.expected, measured
    assert plain not in check.expected, measured


def assert_complete(game, checks):
    """Assert that each verified patch of the game has a check, and that no other patch has one."""
    verified = {patch.name for patch in load_game(game).verified_patches}
    assert set(checks) == verified


def patch_tests(game, checks):
    """The two tests of a game: each patch has its effect, which is absent without it; each verified patch has a check.

    Assign them to names that begin with `test_`.
    """

    @pytest.mark.oracle
    @pytest.mark.parametrize("patch", checks)
    def test_effect(patch):
        assert_effect(game, patch, checks[patch])

    @pytest.mark.oracle
    def test_complete():
        assert_complete(game, checks)

    return test_effect, test_complete
