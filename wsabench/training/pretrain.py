"""Pre-training of all encoders of one game: collect frames of random play, train the stages, write encoder files."""

from __future__ import annotations

import copy
import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import wsabench
from wsabench import seeding
from wsabench.encoders import (
    PRETEXTS,
    Encoder,
    build_pretext,
    check_size,
    encoder_path,
    measure_standardisation,
    save_encoder,
    set_batch_norm_statistics,
)
from wsabench.errors import SpecError, unknown_name
from wsabench.games import load_game
from wsabench.resources import make_dir, state_dir, write_text
from wsabench.training.frames import FrameStore, StepSource, collect_frames
from wsabench.training.pretrain_loop import Curve, StageState, load_stage, start_stage, train_stage
from wsabench.training.progress import Reporter, SilentReporter

NUM_FRAMES = 120_000
STAGE_STEPS: Mapping[str, int] = {"ae": 6_000, "sr": 6_000, "transporter": 4_000, "vos": 6_000}
"""Optimiser steps of every stage, in the order of training."""
CALIBRATION_FRAMES = 2_048


@dataclass(frozen=True)
class PretrainResult:
    """What pre-training made.

    Attributes:
        encoders: File of every encoder.
        curves: File with the loss curve of every stage.
    """

    encoders: Mapping[str, Path]
    curves: Mapping[str, Path]


def pretrain(  # noqa: PLR0913 - the public contract
    game: str,
    out: Path | None = None,
    *,
    frames: int = NUM_FRAMES,
    size: str = "compact",
    seed: int = 0,
    steps: Mapping[str, int] | None = None,
    resume: bool = True,
    reporter: Reporter | None = None,
    source: StepSource | None = None,
) -> PretrainResult:
    """Pre-train the encoders of a game on frames of random play.

    Unfinished work is kept below `resources.state_dir()`: frames shard by shard, every stage's weights twice a minute.

    Args:
        game: The game's id.
        out: Folder for the encoder files and loss curves; None: `encoders/GAME` in the state folder.
        frames: Number of steps of random play.
        size: The architecture's size.
        seed: Fixes the frames, the initial weights and the order of the data.
        steps: Optimiser steps of the stages to train; None: `STAGE_STEPS`.
        resume: Continue an earlier run with the same settings instead of starting anew.
        reporter: Gets the progress; None: silent.
        source: What is played; None: a clean lane of the game under the evaluation protocol.

    Returns:
        The files.

    Raises:
        CheckpointError: An earlier run's checkpoint is damaged.
        SpecError: A number is out of range.
        StorageError: A file cannot be written.
        UnknownNameError: No such game, size or stage.
    """
    steps = dict(steps or STAGE_STEPS)
    check_size(size)
    _check_steps(steps)
    reporter = reporter or SilentReporter()
    source = source or LaneSource(game)
    work = make_dir(state_dir() / "pretraining" / f"{game}-{size}-frames{frames}-seed{seed}")
    out = make_dir(out or state_dir() / "encoders" / game)
    store = collect_frames(source, work / "frames", game=game, num_frames=frames, seed=seed, reporter=reporter)
    encoders, curves = {}, {}
    for name, num_steps in steps.items():
        checkpoint = work / f"{name}.safetensors"
        state = start_stage(build_pretext(name, seeding.integer_seed(seed, "pretrain-weights", name), size))
        if resume and checkpoint.exists():
            load_stage(checkpoint, state)
        train_stage(state, store, num_steps, seed=seed, checkpoint=checkpoint, reporter=reporter)
        curves[name] = out / f"{name}.csv"
        write_text(curves[name], _curve_text(state.curve))
        facts = {"game": game, "seed": str(seed), "frames": str(len(store)), "data": "random play"}
        encoders |= _export(state, store, out, facts | _versions(), size)
    return PretrainResult(encoders, curves)


class LaneSource:
    """A clean lane of a game under the evaluation protocol, as a source of frames."""

    def __init__(self, game: str) -> None:
        """Load the game.

        Raises:
            UnknownNameError: There is no such game.
        """
        from wsabench.emulator import Lane
        from wsabench.perturb import compile_perturbation, parse_perturbation

        self.game = load_game(game)
        self._lane = Lane(compile_perturbation(parse_perturbation("clean"), game), wsabench.Protocol.evaluation())
        self.num_actions = self._lane.num_actions

    def reset(self, seed: int) -> None:
        """Start a new game."""
        self._lane.reset(seed)

    def step(self, action: int) -> bool:
        """Play one step and return whether the game ended."""
        self._lane.step(action)
        return self._lane.terminated or self._lane.truncated

    def newest(self) -> npt.NDArray[np.uint8]:
        """Return the newest frame, uint8, shape (84, 84)."""
        return self._lane.observation[-1]

    def ram(self) -> npt.NDArray[np.uint8]:
        """Return the console's memory, uint8, shape (128,)."""
        return self._lane.ram()


def calibration_frames(store: FrameStore, count: int = CALIBRATION_FRAMES) -> torch.Tensor:
    """Return evenly spaced observations of a store, uint8, shape (count or fewer, 4, 84, 84)."""
    positions = store.positions()
    return torch.from_numpy(store.stacks(positions[:: max(1, len(positions) // count)][:count]))


def _export(state: StageState, store: FrameStore, out: Path, facts: Mapping[str, str], size: str) -> dict[str, Path]:
    frames = calibration_frames(store)
    files = {}
    for encoder in state.pretext.encoders():
        final = _rounded(encoder)
        set_batch_norm_statistics(final, frames)
        files[encoder.name] = encoder_path(facts["game"], encoder.name, out)
        standardisation = measure_standardisation(final, frames)
        save_encoder(files[encoder.name], final, standardisation, {**facts, "steps": str(state.step)}, size=size)
    return files


def _rounded(encoder: Encoder) -> Encoder:
    # Files hold half precision: the standardisation is measured with the weights that users get.
    return copy.deepcopy(encoder).half().float()


def _curve_text(curve: Curve) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(curve[0]) if curve else ["step"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: f"{value:.6g}" for key, value in row.items()} for row in curve)
    return text.getvalue()


def _versions() -> dict[str, str]:
    return {"wsabench": wsabench.__version__, "torch": torch.__version__, "threads": str(torch.get_num_threads())}


def _check_steps(steps: Mapping[str, Any]) -> None:
    for name, value in steps.items():
        if name not in PRETEXTS:
            raise unknown_name("pre-training stage", name, PRETEXTS)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise SpecError(f"The steps of the stage {name} are {value!r}. Allowed: integers from 1.")
