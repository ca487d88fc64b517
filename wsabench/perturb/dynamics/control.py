"""Changes of the channel between the agent's choice and the console; time in steps (one action each) and frames.

What arrives is one action index for each emulated frame of a step, 0 being NOOP; what leaves is the same. Every state
draws equally often whatever its parameters are, so that a stronger level meets the same chances as a weaker one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from wsabench.errors import SpecError
from wsabench.perturb.kinds import Probability, Range, kind

NOOP = 0
"""Action index of no action in every action set of ALE."""

Delay = Annotated[int, Range(0, 100)]
"""A parameter in steps."""
NumSteps = Annotated[int, Range(1, 100)]
"""A parameter in steps, at least one."""
NumFrames = Annotated[int, Range(1, 100)]
"""A parameter in emulated frames per step; the upper bound is against typing errors, games are played at 2 to 30."""

DELAYS = "Katsikopoulos and Engelbrecht 2003, Markov decision processes with delays and asynchronous cost collection"
"""Source of the delays of actions and observations."""


@kind(
    "control.sticky",
    source="Machado et al. 2018, Revisiting the Arcade Learning Environment, section 5 (there 0.25)",
)
@dataclass(frozen=True, slots=True)
class StickyActions:
    """Before each emulated frame, with `probability` p, execute the last executed action again, not the new one.

    e_f = e_(f-1) with p, else a_f; e_(-1) = NOOP. 0 is clean. As ALE's own `repeat_action_probability`, but drawn by
    the generator of the lane.
    """

    probability: Probability

    def start_control(self, generator: np.random.Generator, num_actions: int) -> StickyState:
        """Return the state for an episode."""
        del num_actions
        return StickyState(generator, self.probability)


class StickyState:
    """The action that was executed last."""

    def __init__(self, generator: np.random.Generator, probability: float) -> None:
        self._generator = generator
        self._probability = probability
        self._executed = NOOP

    def transmit(self, actions: list[int]) -> list[int]:
        """Return the actions, each replaced by the one executed before it where the draw says so."""
        executed = self._executed
        for index, draw in enumerate(self._generator.random(len(actions)).tolist()):
            if draw >= self._probability:
                executed = actions[index]
            actions[index] = executed
        self._executed = executed
        return actions


@kind(
    "control.random",
    source="Tessler et al. 2019, Action robust reinforcement learning and applications in continuous control "
    "(probabilistic action-robust MDP, here with a random adversary); the 5 % of Mnih et al. 2015's evaluation",
)
@dataclass(frozen=True, slots=True)
class RandomActions:
    """In each step, with `probability`, replace the agent's action by one drawn uniformly from all actions of the game.

    The agent's own action is among them. 0 is clean.
    """

    probability: Probability

    def start_control(self, generator: np.random.Generator, num_actions: int) -> RandomState:
        """Return the state for an episode."""
        return RandomState(generator, self.probability, num_actions)


class RandomState:
    """The draws of replaced actions; nothing else is remembered."""

    def __init__(self, generator: np.random.Generator, probability: float, num_actions: int) -> None:
        self._generator = generator
        self._probability = probability
        self._num_actions = num_actions

    def transmit(self, actions: list[int]) -> list[int]:
        """Return the actions, or a drawn one in all frames."""
        is_replaced = self._generator.random() < self._probability
        drawn = int(self._generator.integers(self._num_actions))
        return [drawn] * len(actions) if is_replaced else actions


@kind("control.delay", source=DELAYS)
@dataclass(frozen=True, slots=True)
class ActionDelay:
    """Execute at step t the action chosen at step t - k, with k = `steps`; NOOP while t < k. 0 is clean."""

    draws_nothing: ClassVar[bool] = True

    steps: Delay

    def start_control(self, generator: np.random.Generator, num_actions: int) -> DelayState:
        """Return the state for an episode."""
        del generator, num_actions
        return DelayState(self.steps)


class DelayState:
    """The choices that are under way to the console, oldest first."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._under_way: deque[list[int]] = deque()

    def transmit(self, actions: list[int]) -> list[int]:
        """Return what arrived `steps` calls ago."""
        self._under_way.append(actions)
        return self._under_way.popleft() if len(self._under_way) > self._steps else [NOOP] * len(actions)


@kind("control.frame_skip")
@dataclass(frozen=True, slots=True)
class FrameSkip:
    """Let a step last `frames` emulated frames instead of the protocol's 4. 4 is clean."""

    draws_nothing: ClassVar[bool] = True

    frames: NumFrames

    def start_control(self, generator: np.random.Generator, num_actions: int) -> FrameSkip:
        """Return the state for an episode, which is the stage itself: nothing changes while playing."""
        del generator, num_actions
        return self

    def transmit(self, actions: list[int]) -> list[int]:
        """Return the actions cut, or the last one repeated, to the new number of frames."""
        return resized(actions, self.frames)


@kind(
    "control.frame_skip_jitter",
    source="Gym's first Atari environments, which drew 2, 3 or 4 in every step (Brockman et al. 2016, OpenAI Gym)",
)
@dataclass(frozen=True, slots=True)
class FrameSkipJitter:
    """In each step, with `probability`, draw the number of emulated frames uniformly from `lowest` to `highest`.

    Both ends are included. 0 is clean.

    Raises:
        SpecError: `lowest` is greater than `highest`.
    """

    probability: Probability
    lowest: NumFrames
    highest: NumFrames

    def __post_init__(self) -> None:
        if self.lowest > self.highest:
            raise SpecError(f"lowest is {self.lowest}, highest {self.highest}. Allowed: lowest at most highest.")

    def start_control(self, generator: np.random.Generator, num_actions: int) -> JitterState:
        """Return the state for an episode."""
        del num_actions
        return JitterState(generator, self)


class JitterState:
    """The draws of lengths; nothing else is remembered."""

    def __init__(self, generator: np.random.Generator, stage: FrameSkipJitter) -> None:
        self._generator = generator
        self._stage = stage

    def transmit(self, actions: list[int]) -> list[int]:
        """Return the actions, cut or extended where the draw says so."""
        stage = self._stage
        is_drawn = self._generator.random() < stage.probability
        number = int(self._generator.integers(stage.lowest, stage.highest, endpoint=True))
        return resized(actions, number) if is_drawn else actions


@kind("control.noop_bursts")
@dataclass(frozen=True, slots=True)
class NoopBursts:
    """In each step outside a burst, with `probability` p, start a burst of k = `steps` steps in which NOOP is sent.

    This step is the first of them. The share of such steps tends to p k / (p k + 1 - p). 0 is clean.
    """

    probability: Probability
    steps: NumSteps

    def start_control(self, generator: np.random.Generator, num_actions: int) -> BurstState:
        """Return the state for an episode."""
        del num_actions
        return BurstState(generator, self)


class BurstState:
    """How many steps of the present burst are left."""

    def __init__(self, generator: np.random.Generator, stage: NoopBursts) -> None:
        self._generator = generator
        self._stage = stage
        self._left = 0

    def transmit(self, actions: list[int]) -> list[int]:
        """Return the actions, or NOOP in all frames during a burst."""
        has_started = self._generator.random() < self._stage.probability
        if not self._left and has_started:
            self._left = self._stage.steps
        if not self._left:
            return actions
        self._left -= 1
        return [NOOP] * len(actions)


def resized(actions: list[int], number: int) -> list[int]:
    """Return the first `number` actions; the last one is repeated where there are fewer."""
    return actions[:number] + actions[-1:] * (number - len(actions))
