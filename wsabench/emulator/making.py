"""`make` and `make_vec`: the doors to the emulator."""

from __future__ import annotations

from collections.abc import Sequence

from gymnasium.vector import AutoresetMode

from wsabench.emulator.environment import LaneEnv
from wsabench.emulator.vector import LaneVectorEnv, Perturbations, Seeds, make_lanes
from wsabench.perturb import Perturbation
from wsabench.protocol import Protocol


def make(
    game: str,
    perturbation: str | Perturbation = "clean",
    seed: int | None = None,
    protocol: Protocol | None = None,
    render_mode: str | None = None,
    inputs: Sequence[str] = (),
) -> LaneEnv:
    """Make one perturbed game.

    Args:
        game: Id of any of ale-py's single-player ROMs, for example `"breakout"`.
        perturbation: Its name, for example `"hue-rotate@3"`.
        seed: Episode seed of the first episode; None takes one from the operating system.
        protocol: Preprocessing and episode rules; None for those of evaluation.
        render_mode: `"rgb_array"` to make `render()` return what a person sees.
        inputs: What `info` holds beside the rest: `"rgb84"`, the newest frame in colour, uint8 (3, 84, 84); `"ram"`,
            the console's memory after the step, uint8 (128,).

    Returns:
        A gymnasium environment; observations uint8 (4, 84, 84), newest frame last.

    Raises:
        SpecError: The game needs two players, or the perturbation is malformed or does not fit.
        UnknownNameError: Game or perturbation does not exist; the message has the nearest names.
    """
    return LaneEnv(game, perturbation, seed, protocol, render_mode, inputs)


def make_vec(  # noqa: PLR0913  (the public contract)
    game: str,
    num_envs: int,
    perturbations: Perturbations = "clean",
    seed: Seeds = None,
    num_workers: int = 0,
    protocol: Protocol | None = None,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    inputs: Sequence[str] = (),
) -> LaneVectorEnv:
    """Make many perturbed games that are stepped together.

    Args:
        game: Id of any of ale-py's single-player ROMs.
        num_envs: Number of lanes N.
        perturbations: One name for all lanes, or N names.
        seed: An integer, from which each lane derives its own, or N episode seeds.
        num_workers: Worker processes among which the lanes are divided; 0 for this process. Results are the same.
        protocol: Preprocessing and episode rules; None for those of evaluation.
        autoreset_mode: As in gymnasium.
        inputs: As for `make`; in `infos` with one row a lane.

    Returns:
        A gymnasium vector environment; observations uint8 (N, 4, 84, 84), newest frame last.

    Raises:
        ShapeError: Seeds or perturbations are not one a lane.
        SpecError: An argument is malformed or does not fit.
        UnknownNameError: Game or perturbation does not exist; the message has the nearest names.
        WorkerError: A worker process could not be started.
    """
    return make_lanes(game, num_envs, perturbations, seed, num_workers, protocol, autoreset_mode, inputs)
