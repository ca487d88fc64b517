"""The vector environment: many lanes, each with its own perturbation, in this process or in worker processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from wsabench.emulator.environment import (
    check_render_mode,
    check_seed,
    checked_options,
    observation_space,
    shown_perturbation,
    with_names_of_others,
)
from wsabench.emulator.group import LaneGroup, lay_out
from wsabench.emulator.inputs import check_inputs, check_shown, checked_actions
from wsabench.emulator.lane import Lane
from wsabench.emulator.workers import WorkerPool
from wsabench.errors import ShapeError, SpecError, unknown_name
from wsabench.perturb import CompiledPerturbation, Perturbation
from wsabench.protocol import Protocol
from wsabench.seeding import integer_seed
from wsabench.types import unboxed
from wsabench.words import counted

Perturbations = str | Perturbation | Sequence[str | Perturbation | None]
"""One perturbation for all lanes, or one for each lane. None in a reset keeps what the lane has."""
Seeds = int | Sequence[int | None] | npt.NDArray[np.integer[Any]] | None
"""One seed from which each lane derives its own, or one for each lane."""

_OPTIONS = ("reset_mask", "perturbations")
_NAMED = 3
"""Perturbations that a vector environment names when it is printed."""


class LaneVectorEnv(VectorEnv[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[Any]]):
    """Many lanes that are stepped together.

    `infos` has for each lane `lives`, `episode_return` (unclipped, of the game so far), `episode_length` (steps),
    `life_lost`, `game_over` and `end` (`game_over`, `time_limit`, `stalled`, or empty while the game goes on).
    Inputs that were asked for are there by their names (`rgb84`, `ram`), uint8, with one row for each lane. Like
    observations they are those of all lanes, also after a reset of some.
    """

    def __init__(  # noqa: PLR0913  (what `make_vec` takes, checked)
        self,
        perturbations: Sequence[CompiledPerturbation],
        protocol: Protocol,
        seeds: Sequence[int | None],
        num_workers: int,
        autoreset_mode: AutoresetMode,
        inputs: Sequence[str] = (),
        render_mode: str | None = None,
    ) -> None:
        """Load the games; `make_vec` checks the arguments."""
        self.render_mode = render_mode
        self._arguments: tuple[Any, ...] | None = None
        self.game = perturbations[0].game
        self.protocol = protocol
        self.num_envs = len(perturbations)
        self.perturbation_names = [perturbation.name for perturbation in perturbations]
        self.autoreset_mode = autoreset_mode
        self.metadata = {**self.metadata, "autoreset_mode": autoreset_mode}
        self.single_observation_space = observation_space(protocol)
        self._everyone = np.ones(self.num_envs, np.bool_)
        self._was_reset = np.zeros(self.num_envs, np.bool_)
        self._lanes: LaneGroup | WorkerPool
        if num_workers:
            self._lanes = WorkerPool(perturbations, protocol, seeds, num_workers, autoreset_mode, inputs)
            self._arrays = self._lanes.arrays
        else:
            self._arrays = lay_out(self.num_envs, protocol, inputs=inputs)
            self._lanes = LaneGroup(perturbations, protocol, seeds, self._arrays, autoreset_mode)
        self._num_actions = self._lanes.num_actions
        self.single_action_space = Discrete(self._num_actions)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def reset(
        self, *, seed: Seeds = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.uint8], dict[str, Any]]:
        """Start episodes.

        Everything is checked before anything changes: when an argument is refused, all lanes can go on.

        Args:
            seed: An integer, from which each lane derives its own; or N episode seeds, None for the next game.
            options: `reset_mask`, bool (N,): which lanes to reset, all others stay as they are. `perturbations`: a
                new one for all lanes that are reset, or N of them, None for no change.

        Returns:
            Observations, uint8 (N, 4, 84, 84), and infos.

        Raises:
            ShapeError: There is not one seed, mask entry or perturbation for each lane.
            SpecError: A seed or an option is malformed, or a perturbation does not fit the game or the inputs.
            UnknownNameError: A perturbation or option does not exist.
        """
        self._check_open()
        options = checked_options(options)
        for name in options:
            if name not in _OPTIONS:
                raise unknown_name("reset option", name, _OPTIONS)
        mask = self._checked_mask(options.get("reset_mask"))
        seeds = lane_seeds(seed, self.num_envs)
        chosen = lane_perturbations(options.get("perturbations"), self.num_envs)
        rows = [int(row) for row in np.flatnonzero(mask)]
        compiled = [None if (p := chosen[row]) is None else shown_perturbation(p, self.game) for row in rows]
        for perturbation in compiled:
            if perturbation is not None:
                check_shown(perturbation, self._arrays.inputs)
        self._was_reset &= ~mask
        self._lanes.reset(rows, [seeds[row] for row in rows], compiled)
        self._was_reset |= mask
        for row, perturbation in zip(rows, compiled, strict=True):
            if perturbation is not None:
                self.perturbation_names[row] = perturbation.name
        infos = self._arrays.state.infos(mask)
        self._add_inputs(infos)
        return self._arrays.observations.copy(), infos

    def step(
        self, actions: npt.ArrayLike
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], dict[str, Any]]:
        """Play one step of every lane.

        Args:
            actions: Action indices, integers, shape (N,).

        Returns:
            Observations uint8 (N, 4, 84, 84), rewards float64 (N,), terminated and truncated bool (N,), infos.

        Raises:
            ShapeError: There is not one action for each lane.
            SpecError: An action is out of range, or a lane has no running episode.
            WorkerError: A worker process died or failed.
        """
        arrays = self._arrays
        self._check_running()
        arrays.actions[:] = checked_actions(actions, (self.num_envs,), self._num_actions, self.game)
        self._lanes.step()
        infos = arrays.state.infos(self._everyone)
        self._add_inputs(infos)
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            self._add_final(infos)
        return (
            arrays.observations.copy(),
            arrays.rewards.copy(),
            arrays.terminated.copy(),
            arrays.truncated.copy(),
            infos,
        )

    def render(self) -> tuple[npt.NDArray[np.uint8], ...] | None:
        """Return what a person sees of each lane, uint8 (height, width, 3); None without a render mode."""
        return tuple(lane.render() for lane in self.lanes) if self.render_mode else None

    def __repr__(self) -> str:
        """Return the game, the number of lanes, the perturbations that are played now, and what else was asked for."""
        names = list(dict.fromkeys(self.perturbation_names))
        shown = repr(names[0]) if len(names) == 1 else f"[{', '.join(map(repr, names[:_NAMED]))}"
        shown += "" if len(names) == 1 else "]" if len(names) <= _NAMED else f", ... {len(names)} in all]"
        parts = [repr(self.game), f"num_envs={self.num_envs}", f"perturbations={shown}"]
        parts += [] if self.protocol == Protocol() else [f"protocol={self.protocol.text}"]
        return f"{type(self).__name__}({', '.join(parts)})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle by the arguments of `make_vec`: the copy starts anew."""
        if self._arguments is None:
            raise TypeError("Only environments of `make_vec` can be copied.")
        return make_vec, self._arguments

    @property
    def lanes(self) -> list[Lane]:
        """The lanes themselves.

        Raises:
            SpecError: They live in worker processes.
        """
        if isinstance(self._lanes, WorkerPool):
            raise SpecError("The lanes live in worker processes. Allowed: num_workers=0.")
        return self._lanes.lanes

    def close_extras(self, **kwargs: Any) -> None:
        """Stop the workers and let go of the emulators."""
        self._lanes.close()

    def _add_inputs(self, infos: dict[str, Any]) -> None:
        """Add the inputs that were asked for, those of every lane."""
        for name, array in self._arrays.inputs.items():
            infos[name], infos[f"_{name}"] = array.copy(), self._everyone.copy()

    def _add_final(self, infos: dict[str, Any]) -> None:
        """Add the last observation and info of episodes that ended in this step, as gymnasium does."""
        ended = self._arrays.terminated | self._arrays.truncated
        if not ended.any():
            return
        final = np.full(self.num_envs, None, dtype=object)
        for row in np.flatnonzero(ended):
            final[row] = self._arrays.final_observations[row].copy()
        infos["final_obs"], infos["_final_obs"] = final, ended
        final_info = self._arrays.final_state.infos(ended)
        for name, array in self._arrays.final_inputs.items():
            final_info[name], final_info[f"_{name}"] = array.copy(), ended.copy()
        infos["final_info"], infos["_final_info"] = final_info, ended.copy()

    def _check_running(self) -> None:
        """Refuse to step lanes that have no running episode."""
        self._check_open()
        if not self._was_reset.all():
            raise SpecError("Not every lane was reset. Call reset() before the first step.")
        if self.autoreset_mode is AutoresetMode.DISABLED:
            ended = self._arrays.terminated | self._arrays.truncated
            if ended.any():
                raise SpecError(
                    f"The episodes of lanes {np.flatnonzero(ended).tolist()} ended. Without autoreset, call "
                    "reset(options={'reset_mask': ...}) for them first."
                )

    def _check_open(self) -> None:
        """Refuse to use what was closed."""
        if self.closed:
            raise SpecError("The vector environment is closed. Make a new one.")

    def _checked_mask(self, mask: Any) -> npt.NDArray[np.bool_]:
        """Return which lanes to reset."""
        if mask is None:
            return self._everyone
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (self.num_envs,):
            raise ShapeError(f"reset_mask is {mask!r}. Allowed: a boolean array of shape ({self.num_envs},).")
        if not mask.any():
            raise ShapeError("reset_mask selects no lane. Allowed: at least one True.")
        return mask


def lane_seed(seed: int, lane: int) -> int:
    """Return the episode seed of lane number `lane` below `seed`; even stays even and odd stays odd.

    (Training seeds are odd, evaluation seeds even, see `wsabench.seeding`.)
    """
    return integer_seed(seed, "lane", lane) & ~1 | (seed & 1)


def lane_seeds(seed: Seeds, num_lanes: int) -> list[int | None]:
    """Return one episode seed for each lane.

    Raises:
        ShapeError: A list has not one entry for each lane.
        SpecError: A seed is no integer from 0.
    """
    if seed is None:
        return [None] * num_lanes
    if isinstance(seed, int | np.integer) and not isinstance(seed, bool):
        root = check_seed(seed)
        assert root is not None  # noqa: S101  (only None gives None)
        return [lane_seed(root, lane) for lane in range(num_lanes)]
    if not isinstance(seed, Sequence | np.ndarray) or isinstance(seed, str) or len(seed) != num_lanes:
        seeds = counted(num_lanes, "episode seed")
        raise ShapeError(f"seed is {seed!r}. Allowed: an integer, or {seeds}, one per lane.")
    return [check_seed(item) for item in seed]


def lane_perturbations(perturbations: Perturbations | None, num_lanes: int) -> list[str | Perturbation | None]:
    """Return one perturbation for each lane.

    Raises:
        ShapeError: A list has not one entry for each lane.
    """
    if isinstance(perturbations, str | Perturbation) or not isinstance(perturbations, Iterable):
        return [perturbations] * num_lanes
    chosen = list(perturbations)
    if len(chosen) != num_lanes:
        given = f"{counted(len(chosen), 'perturbation')} for {counted(num_lanes, 'lane')}"
        raise ShapeError(f"{given}. Allowed: one for all, or one per lane.")
    return chosen


@with_names_of_others
def make_vec(  # noqa: PLR0913  (the public contract)
    game: str,
    num_envs: int,
    perturbations: Perturbations = "clean",
    seed: Seeds = None,
    num_workers: int = 0,
    protocol: Protocol | str | None = None,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    inputs: Sequence[str] = (),
    render_mode: str | None = None,
) -> LaneVectorEnv:
    """Make many perturbed games that are stepped together.

    Args:
        game: The id of any of ale-py's single-player ROMs.
        num_envs: The number of lanes, N.
        perturbations: One name for all lanes, or N names.
        seed: An integer, from which each lane derives its own, or N episode seeds.
        num_workers: The number of worker processes among which the lanes are divided; 0 for this process. Results are
            the same.
        protocol: The rules of preprocessing and of episodes, or their name, such as `"machado"`. None takes those of
            evaluation.
        autoreset_mode: When a lane starts its next episode, as in gymnasium.
        inputs: What `infos` holds beside the rest, as for `make`, with one row for each lane.
        render_mode: `"rgb_array"` to make `render()` return one picture for each lane; not with worker processes.

    Returns:
        A gymnasium vector environment. Its observations are uint8 (N, 4, 84, 84), with the newest frame last.

    Raises:
        ShapeError: There is not one seed or perturbation for each lane.
        SpecError: An argument is malformed or does not fit.
        UnknownNameError: Game, perturbation or argument does not exist; the message has the nearest names.
        WorkerError: A worker process could not be started.
    """
    num_envs, num_workers = unboxed(num_envs), unboxed(num_workers)
    arguments = (game, num_envs, perturbations, seed, num_workers, protocol, autoreset_mode, inputs, render_mode)
    check_render_mode(render_mode)
    if render_mode is not None and num_workers:
        raise SpecError("Lanes in worker processes cannot be drawn. Allowed with a render_mode: num_workers=0.")
    for name, value, lowest in (("num_envs", num_envs, 1), ("num_workers", num_workers, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
            raise SpecError(f"{name} is {value!r}. Allowed: integers from {lowest}.")
    modes = {mode.name.casefold(): mode for mode in AutoresetMode} | {
        mode.value.casefold(): mode for mode in AutoresetMode
    }
    mode = modes.get(autoreset_mode.casefold()) if isinstance(autoreset_mode, str) else autoreset_mode
    if not isinstance(mode, AutoresetMode):
        raise unknown_name("autoreset mode", autoreset_mode, [mode.name for mode in AutoresetMode])
    chosen = lane_perturbations(perturbations, num_envs)
    compiled = [shown_perturbation("clean" if p is None else p, game) for p in chosen]
    seeds = lane_seeds(seed, num_envs)
    wanted = check_inputs(inputs)
    env = LaneVectorEnv(compiled, Protocol.of(protocol), seeds, min(num_workers, num_envs), mode, wanted, render_mode)
    env._arguments = arguments
    return env
