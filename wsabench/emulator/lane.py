"""A lane: one emulator with the protocol's preprocessing and one compiled perturbation.

Follows ale-py's `AtariVectorEnv` to the bit under `clean`, its corners included: at a reset FIRE comes before the
no-ops, the stack starts with zeros, and when a game ends inside a step the frames not captured keep their old content.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import NoReturn

import ale_py
import numpy as np
import numpy.typing as npt

from wsabench.emulator.console import FIRE, NOOP, Console
from wsabench.emulator.frames import BEFORE, NEWEST, make_frames
from wsabench.emulator.inputs import FurtherInputs, check_shown
from wsabench.emulator.wrapped_start import WrappedStart
from wsabench.errors import SpecError
from wsabench.perturb import CompiledPerturbation, ControlState, DrawnColors, ImageState, RamState
from wsabench.protocol import Protocol
from wsabench.seeding import generator
from wsabench.types import EpisodeEnd

Frame = npt.NDArray[np.uint8]


class Lane:
    """One game being played; the state after the last `reset` or `step` is in its attributes.

    `observation` is the live stack, uint8, shape (stack, size, size[, 3]), newest last: copy it to keep it.
    `inputs` holds what was asked for beside it, by name (see `FurtherInputs`), live as well.
    """

    def __init__(
        self,
        perturbation: CompiledPerturbation,
        protocol: Protocol,
        seed: int | None = None,
        observation: Frame | None = None,
        inputs: Sequence[str] = (),
        input_arrays: Mapping[str, Frame] | None = None,
    ) -> None:
        """Load the game that `perturbation` was compiled for.

        Args:
            perturbation: What to change; its `game` is what is played.
            protocol: Preprocessing and episode rules.
            seed: Episode seed of the first episode, from 0; None takes one from the operating system.
            observation: Where to write observations (say, shared memory), uint8 of `observation_shape(protocol)`.
            inputs: What to supply beside observations: `rgb84`, `ram`; nothing costs nothing.
            input_arrays: Where to write these, by name, uint8 of `INPUT_SHAPES`.

        Raises:
            SpecError: The perturbation cannot be shown in an input.
            UnknownNameError: There is no such input.
        """
        self.protocol = protocol
        self.console = Console(perturbation.game, protocol)
        self.num_actions = len(self.console.actions)
        self._ale = self.console.ale
        self._has_fire = FIRE in self.console.actions
        self._frames = make_frames(
            *self.console.screen_dims, protocol.screen_size, protocol.grayscale, protocol.luminance
        )
        self._restarts_lives = protocol.life_start == "restart" and not protocol.episodic_life
        self._in_colour = not protocol.grayscale or protocol.luminance != "frames"
        self._wrapped = WrappedStart(self._play_wrapped_step, self._play_noops, self._show_start, self._has_fire)
        shape = observation_shape(protocol)
        self.observation = np.zeros(shape, np.uint8) if observation is None else observation
        self._further = FurtherInputs(inputs, self.console.screen_dims, input_arrays) if inputs else None
        self.inputs: dict[str, Frame] = self._further.arrays if self._further else {}
        self._first_seed = seed
        self._was_reset = False
        self._game_number = 0
        self.num_noops = 0
        self._given_noops: int | None = None
        self._start_counters()
        self.set_perturbation(perturbation)

    def set_perturbation(self, perturbation: CompiledPerturbation) -> None:
        """Change the perturbation; call `reset` before the next step, which then starts a game even after a lost life.

        Raises:
            SpecError: It was compiled for another game, or cannot be shown in an input.
        """
        current = getattr(self, "perturbation", perturbation)
        if perturbation.game != current.game:
            raise SpecError(
                f"The perturbation {perturbation.name!r} was compiled for {perturbation.game!r}, this lane plays "
                f"{current.game!r}. Compile it for {current.game!r}."
            )
        check_shown(perturbation, self.inputs)
        self.perturbation = perturbation
        self._table = perturbation.rgb if self._in_colour else perturbation.luminance
        self._drawn_colors: DrawnColors | None = None
        self._images: list[ImageState] = []
        self._controls: list[ControlState] = []
        self._rules: list[RamState] = []
        self._can_go_on = False

    def reset(self, seed: int | None = None, num_noops: int | None = None) -> None:
        """Start an episode.

        With a seed: a game that is the same whatever was played before. Without: the first time with the seed given
        at construction; after a life loss under `episodic_life` the same game goes on (FIRE pressed for one step);
        otherwise the next game of the same seed, which like ale-py's goes on from the emulator's memory, unless the
        perturbation sets other switches of the console: then it is switched on again.

        Args:
            seed: Episode seed, from 0.
            num_noops: No-op frames at the start, instead of a number drawn from the seed.
        """
        self._given_noops = num_noops
        if seed is None and self._was_reset:
            if self._can_go_on:
                self._go_on()
            else:
                self._start_game()
            return
        seed = self._first_seed if seed is None else int(seed)
        self.seed = secrets.randbits(31) if seed is None else seed
        self._noops = generator(self.seed, "noops")
        self._was_reset = True
        self._game_number = 0
        self.console.power_on(self.seed % 2**31, self.perturbation.console)
        self._play_start()

    def step(self, action: int) -> None:
        """Play one step: `frame_skip` frames of one action, or fewer when the game ends.

        Args:
            action: Index into the action set; replaced by FIRE after a life loss under `fire_on_life_loss`.
        """
        if self._fire_is_due:
            # The bench presses FIRE, not the agent: it takes no control channel.
            buttons, self._fire_is_due = [FIRE] * self.protocol.frame_skip, False
        else:
            buttons = self._buttons(action)
        raw_reward, is_over, lives = self._play_frames(buttons)
        self._push()
        self.life_lost = 0 < lives < self.lives
        self.lives = lives
        self.restarted = False
        if self.life_lost and not is_over and self._restarts_lives and self.num_frames < self.protocol.max_frames:
            reward, is_over = self._restart_life()
            raw_reward += reward
        self._settle(raw_reward, is_over)
        if self.life_lost and self.protocol.fire_on_life_loss and self._has_fire:
            self._fire_is_due = True

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or pickled: a copy would play on an emulator that is handed on when this one is closed.

        Raises:
            TypeError: Always.
        """
        raise TypeError("A lane has an emulator of its own. It cannot be copied: make another one for the same game.")

    def close(self) -> None:
        """Give the emulator back for other lanes; this one is of no use any more."""
        self.console.close()
        self.__dict__.pop("_ale", None)

    def render(self) -> Frame:
        """Return what a person sees, perturbation included: RGB, uint8, shape (height, width, 3)."""
        colors = self.perturbation if self._drawn_colors is None else self._drawn_colors
        image = colors.rgb[self.screen()]
        for state in self._images:
            image = state.preview(image)
        return image

    def screen(self) -> Frame:
        """Return a copy of the emulator's screen: palette indices, uint8, shape (height, width)."""
        screen = np.empty(self.console.screen_dims, np.uint8)
        self.console.picture.getScreen(screen)
        return screen

    def ram(self) -> npt.NDArray[np.uint8]:
        """Return a copy of the console's memory, uint8, shape (128,)."""
        return self._ale.getRAM()

    def _buttons(self, action: int) -> list[ale_py.Action]:
        """Return what is pressed in each frame of a step."""
        if not self._controls:
            return [self.console.actions[action]] * self.protocol.frame_skip
        frames = [action] * self.protocol.frame_skip
        for state in self._controls:
            frames = state.transmit(frames)
        return [self.console.actions[index] for index in frames]

    def _play_frames(self, buttons: list[ale_py.Action]) -> tuple[int, bool, int]:
        """Play the frames of one step; return the summed reward, whether the game is over, and the lives."""
        ale, limit, rules = self._ale, self.protocol.max_frames, self._rules
        raw_reward, is_over, remaining = 0, False, len(buttons)
        self.console.picture = ale
        gap = self.protocol.pool_gap
        if gap == 0 or remaining <= gap:
            self._clear_before()
        for button in buttons:
            for state in rules:
                state.apply(ale)
            raw_reward += ale.act(button)
            self.num_frames += 1
            is_over = ale.game_over()
            if is_over or self.num_frames >= limit:
                break
            if remaining == 1:
                self._capture(NEWEST)
            elif remaining == 1 + gap:
                self._capture(BEFORE)
            remaining -= 1
        return raw_reward, is_over, ale.lives()

    def _settle(self, raw_reward: int, is_over: bool) -> None:
        """Update reward, ends and counters after a step."""
        protocol = self.protocol
        self.game_over = is_over
        self.episode_return += raw_reward
        self.episode_length += 1
        self.reward = float((raw_reward > 0) - (raw_reward < 0)) if protocol.clip_rewards else float(raw_reward)
        self._idle_steps = 0 if raw_reward or self.life_lost else self._idle_steps + 1
        self.terminated = is_over or (self.life_lost and protocol.episodic_life)
        end: EpisodeEnd | None = None
        if is_over:
            end = "game_over"
        elif self.num_frames >= protocol.max_frames:
            end = "time_limit"
        elif protocol.stall_steps and self._idle_steps >= protocol.stall_steps:
            end = "stalled"
        self.end: EpisodeEnd | None = end
        self.truncated = end is not None and not self.terminated
        self._can_go_on = self.terminated and end is None

    def _start_game(self) -> None:
        """Start the next game, as ale-py does without a seed."""
        self._game_number += 1
        if self.console.switches == self.perturbation.console:
            self.console.start_next()
        else:
            self.console.power_on(self.seed % 2**31, self.perturbation.console)
        self._play_start()

    def _play_start(self) -> None:
        """Start the perturbation, press FIRE, play the no-ops, and fill the stack with the first observation."""
        self._start_perturbation()
        if self.protocol.start == "steps":
            self._start_counters()
            self._start_reward = 0
            self._wrapped.begin()
            self._start_counters()
            self.episode_return = float(self._start_reward)
            self.lives = self._ale.lives()
            return
        if self._has_fire and self.protocol.fire_on_reset:
            self._play_start_frame(FIRE)
        self.num_noops = self._choose_noops()
        for _ in range(self.num_noops):
            self._play_start_frame(NOOP)
            if self._ale.game_over():
                self.console.start_next()
                self._start_rules()
        self._start_counters()
        self._clear_before()
        self._capture(NEWEST)
        self._show_start()
        self.lives = self._ale.lives()

    def _choose_noops(self) -> int:
        """Return how many no-ops begin a game: as many as were given for the episode, else a draw."""
        if self._given_noops is not None:
            return self._given_noops
        allowed = self.protocol.start_noops
        return int(self._noops.integers(allowed.start, allowed.stop))

    def _show_start(self) -> None:
        """Start the stack anew with what was captured."""
        self.observation.fill(0)
        self._frames.restart()
        self._push()
        if self.protocol.stack_start == "repeat":
            self.observation[:-1] = self.observation[-1]

    def _play_start_frame(self, button: ale_py.Action) -> int:
        """Play a frame before the first observation; return its reward."""
        for state in self._rules:
            state.apply(self._ale)
        return self.console.play(button)

    def _play_noops(self, is_first: bool) -> None:
        """Play the no-op frames that begin a game under `steps`, in a game of its own where this one is over."""
        if not is_first:
            self.console.start_next()
            self._start_rules()
        num_noops = self._choose_noops()
        if is_first:
            self.num_noops = num_noops
        for _ in range(num_noops):
            self._start_reward += self._play_start_frame(NOOP)
            if self._ale.game_over():
                self.console.start_next()
                self._start_rules()
        self._clear_before()
        self._capture(NEWEST)

    def _play_wrapped_step(self, action: int) -> tuple[bool, bool]:
        """Play a step that wrappers play by themselves; return whether the game is over, and whether a life is lost."""
        reward, is_over, lives = self._play_frames([self.console.actions[action]] * self.protocol.frame_skip)
        self._start_reward += reward
        is_lost = 0 < lives < self.lives
        self.lives = lives
        return is_over or self.num_frames >= self.protocol.max_frames, is_lost

    def _restart_life(self) -> tuple[int, bool]:
        """Begin the next life as wrappers do; return the reward of these steps, and whether the game ended in them."""
        self._start_reward = 0
        self._wrapped.restart()
        self.lives = self._ale.lives()
        self.restarted = True
        return self._start_reward, self._ale.game_over()

    def _start_perturbation(self) -> None:
        """Start whatever changes while playing, each part with a generator of its own."""
        compiled = self.perturbation
        if compiled.colors:
            self._drawn_colors = DrawnColors(compiled.colors, compiled.game, self._generator_at)
        shape = self._frames.image_shape
        self._images = [p.stage.start_image(self._generator_at(p.place), shape) for p in compiled.images]
        if self._further:
            self._further.start(compiled, self._generator_at)
        self._controls = [
            p.stage.start_control(self._generator_at(p.place), self.num_actions) for p in compiled.controls
        ]
        self._start_rules()

    def _start_rules(self) -> None:
        """Start the RAM rules at a reset of the console."""
        self._rules = [p.stage.start_ram(self._generator_at(p.place), self._ale) for p in self.perturbation.rules]

    def _generator_at(self, place: int) -> np.random.Generator:
        """Return the generator of one part of the perturbation in this game."""
        return generator(self.seed, "perturbation", place, self._game_number)

    def _go_on(self) -> None:
        """Go on with the game after a life loss that ended the learner's episode."""
        if self.protocol.life_start == "restart":
            reward, is_over = self._restart_life()
            self.episode_return += reward
            if is_over or self.num_frames >= self.protocol.max_frames:
                self._start_game()
                return
        if self._fire_is_due:
            self.step(0)
            if self.end is not None:
                self._start_game()
                return
        self.terminated = self.truncated = self.life_lost = self._can_go_on = False
        self.reward = 0.0

    def _start_counters(self) -> None:
        """Set everything that counts within one game."""
        self.num_frames = 0
        self.lives = 0
        self.reward = 0.0
        self.terminated = self.truncated = self.life_lost = self.game_over = self.restarted = False
        self.end = None
        self.episode_return = 0.0
        self.episode_length = 0
        self._idle_steps = 0
        self._fire_is_due = False
        self._can_go_on = False

    def _clear_before(self) -> None:
        """Make the place before the newest screen black."""
        self._frames.clear_before()
        if self._further:
            self._further.clear_before()

    def _push(self) -> None:
        """Bring observation and inputs up to date after the captures of a step."""
        self._frames.push(self.observation, self._images)
        if self._further:
            self._further.push(self._ale)

    def _capture(self, place: int) -> None:
        """Take the screen, through the palette table of the moment."""
        table = self._table
        if self._drawn_colors is not None:
            self._drawn_colors.move_to(self.num_frames)
            table = self._drawn_colors.rgb if self._in_colour else self._drawn_colors.luminance
        picture = self.console.picture
        self._frames.capture(place, picture, table)
        if self._further:
            colors = self.perturbation if self._drawn_colors is None else self._drawn_colors
            self._further.capture(place, picture, colors.rgb)


def observation_shape(protocol: Protocol) -> tuple[int, ...]:
    """Return the shape of one lane's observation: (stack, size, size), with a last 3 in colour."""
    depth = () if protocol.grayscale else (3,)
    return (protocol.frame_stack, protocol.screen_size, protocol.screen_size, *depth)
