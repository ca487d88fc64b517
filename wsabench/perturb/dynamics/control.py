"""Changes of the channel between the agent's choice and the console; time in steps (one action each) and frames.

What arrives is one action index for each emulated frame of a step, 0 being NOOP; what leaves is the same. Every state
draws as often whatever its parameters, so that a stronger level meets the same chances as a weaker one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

NOOP = 0
"""Action index of no action in every action set of ALE."""


@dataclass(frozen=True, slots=True)
class StickyActions:
    """Before each frame, with `probability`, the action of the frame before is executed again instead of the new one.

    References:
        Machado et al. 2018, "Revisiting the Arcade Learning Environment", section 5 (there 0.25); as ALE's own
        `repeat_action_probability`, but drawn from the lane's generator. Each episode starts from NOOP.
    """

    probability: float

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

    def transmit(self, frames: list[int]) -> list[int]:
        """Return the frames, each replaced by the one executed before it where the draw says so."""
        executed = self._executed
        for index, draw in enumerate(self._generator.random(len(frames)).tolist()):
            if draw >= self._probability:
                executed = frames[index]
            frames[index] = executed
        self._executed = executed
        return frames


@dataclass(frozen=True, slots=True)
class RandomActions:
    """With `probability`, the action of a whole step is replaced by one drawn uniformly from all actions.

    References:
        Tessler et al. 2019, "Action robust reinforcement learning and applications in continuous control" (the
        probabilistic action-robust MDP, here with a random adversary); the 5 % of Mnih et al. 2015's evaluation.
    """

    probability: float

    def start_control(self, generator: np.random.Generator, num_actions: int) -> RandomState:
        """Return the state for an episode."""
        return RandomState(generator, self.probability, num_actions)


class RandomState:
    """A generator; nothing is remembered."""

    def __init__(self, generator: np.random.Generator, probability: float, num_actions: int) -> None:
        self._generator = generator
        self._probability = probability
        self._num_actions = num_actions

    def transmit(self, frames: list[int]) -> list[int]:
        """Return the frames, or a drawn action in all of them."""
        is_replaced = self._generator.random() < self._probability
        drawn = int(self._generator.integers(self._num_actions))
        return [drawn] * len(frames) if is_replaced else frames


@dataclass(frozen=True, slots=True)
class ActionDelay:
    """A step executes what the agent chose `steps` steps ago; in the first `steps` steps NOOP.

    References:
        Katsikopoulos and Engelbrecht 2003, "Markov decision processes with delays and asynchronous cost collection".
    """

    steps: int

    def start_control(self, generator: np.random.Generator, num_actions: int) -> DelayState:
        """Return the state for an episode."""
        del generator, num_actions
        return DelayState(self.steps)


class DelayState:
    """Choices under way, oldest first."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._under_way: deque[list[int]] = deque()

    def transmit(self, frames: list[int]) -> list[int]:
        """Return what arrived `steps` calls ago."""
        self._under_way.append(frames)
        return self._under_way.popleft() if len(self._under_way) > self._steps else [NOOP] * len(frames)


@dataclass(frozen=True, slots=True)
class FrameSkip:
    """A step lasts `frames` frames, whatever the protocol says."""

    frames: int

    def start_control(self, generator: np.random.Generator, num_actions: int) -> FrameSkip:
        """Return the state for an episode, which is the stage itself: nothing changes while playing."""
        del generator, num_actions
        return self

    def transmit(self, frames: list[int]) -> list[int]:
        """Return the frames cut, or the last one repeated, to the new number."""
        return resized(frames, self.frames)


@dataclass(frozen=True, slots=True)
class FrameSkipJitter:
    """With `probability`, a step lasts a number of frames drawn uniformly from `lowest` to `highest`.

    References:
        Gym's first Atari environments drew 2, 3 or 4 in every step (Brockman et al. 2016, "OpenAI Gym").
    """

    probability: float
    lowest: int
    highest: int

    def start_control(self, generator: np.random.Generator, num_actions: int) -> JitterState:
        """Return the state for an episode."""
        del num_actions
        return JitterState(generator, self)


class JitterState:
    """A generator; nothing is remembered."""

    def __init__(self, generator: np.random.Generator, stage: FrameSkipJitter) -> None:
        self._generator = generator
        self._stage = stage

    def transmit(self, frames: list[int]) -> list[int]:
        """Return the frames, cut or extended where the draw says so."""
        stage = self._stage
        is_drawn = self._generator.random() < stage.probability
        number = int(self._generator.integers(stage.lowest, stage.highest, endpoint=True))
        return resized(frames, number) if is_drawn else frames


@dataclass(frozen=True, slots=True)
class NoopBursts:
    """Outside a burst, with `probability`, a burst of `steps` steps starts, this step included, in which NOOP is sent.

    The share of NOOP steps tends to p k / (p k + 1 - p).
    """

    probability: float
    steps: int

    def start_control(self, generator: np.random.Generator, num_actions: int) -> BurstState:
        """Return the state for an episode."""
        del num_actions
        return BurstState(generator, self)


class BurstState:
    """How many steps of a burst are left."""

    def __init__(self, generator: np.random.Generator, stage: NoopBursts) -> None:
        self._generator = generator
        self._stage = stage
        self._left = 0

    def transmit(self, frames: list[int]) -> list[int]:
        """Return the frames, or NOOP in all of them during a burst."""
        has_started = self._generator.random() < self._stage.probability
        if not self._left and has_started:
            self._left = self._stage.steps
        if not self._left:
            return frames
        self._left -= 1
        return [NOOP] * len(frames)


def resized(frames: list[int], number: int) -> list[int]:
    """Return the first `number` frames; the last one is repeated where there are fewer."""
    return frames[:number] + frames[-1:] * (number - len(frames))
