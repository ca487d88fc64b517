"""Pre-training of all encoders of one game: collect frames, train the stages, write encoder files."""

from __future__ import annotations

import copy
import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import wsabench
from wsabench import seeding
from wsabench.encoders import (
    FURTHER_STAGES,
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
from wsabench.evaluation.contestants import AgentReference
from wsabench.games import load_game
from wsabench.progress import Reporter, SilentReporter
from wsabench.resources import check_place, expanded, make_dir, state_dir, write_text
from wsabench.training.device import choose_device, keep_freed_memory
from wsabench.training.frames.collection import Collection, collect_frames
from wsabench.training.frames.experts import DEFAULT_EXPERT, find_expert
from wsabench.training.frames.sources import LaneSource, StepSource
from wsabench.training.frames.store import FrameStore
from wsabench.training.pretraining.loop import Curve, StageState, load_stage, start_stage, train_stage

NUM_FRAMES: Mapping[str, int] = {"compact": 120_000, "paper": 1_000_000}
"""Steps to play, by size."""
STAGE_STEPS: Mapping[str, Mapping[str, int]] = {
    "compact": {"ae": 6_000, "sr": 6_000, "transporter": 4_000, "vos": 6_000, "vit": 6_000},
    "paper": {"ae": 30_000, "sr": 30_000, "transporter": 100_000, "vos": 100_000, "vit": 100_000},
}
"""Optimiser steps of every stage, in the order of training, by size. The paper's are not known: ours are about one pass
over the frames for `ae`, two for `sr`, and for the others as many as the first step of their schedules takes; `vit` is
not the paper's, and takes about 25 passes in its size."""
CALIBRATION_FRAMES: Mapping[str, int] = {"compact": 2_048, "paper": 1_024}
"""Observations that set standardisation and batch normalisation; fewer where embeddings are large."""


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
    out: str | Path | None = None,
    *,
    frames: int | None = None,
    data: str = "random",
    expert: AgentReference = DEFAULT_EXPERT,
    size: str = "compact",
    seed: int = 0,
    steps: Mapping[str, int] | None = None,
    device: str = "cpu",
    workers: int = 1,
    resume: bool = True,
    reporter: Reporter | None = None,
    make_source: Callable[[str], StepSource] = LaneSource,
) -> PretrainResult:
    """Pre-train the encoders of a game on frames of the game.

    Unfinished work is kept below `resources.state_dir()`: frames shard by shard, every stage's weights twice a minute.
    Both sizes share the frames. The process keeps freed memory from then on (`memory.keep_freed_memory`).

    Args:
        game: The game's id.
        out: Folder for the encoder files and loss curves; None: `encoders/GAME`, with size and data appended where they
            are not `compact` and `random`, in the state folder.
        frames: Number of steps to play; None: `NUM_FRAMES`.
        data: Who plays: `random`, `expert` or `mixed` (half of the frames each).
        expert: The expert, as agents are named for evaluation (a shipped one's name, a path, an own policy).
        size: The architecture's size, `compact` or `paper`.
        seed: Fixes the frames, the initial weights and the order of the data.
        steps: Optimiser steps of the stages to train; None: `usual_steps`.
        device: Where the networks train: `cpu`, `cuda`, `cuda:N`, or `auto` for a GPU where there is one.
        workers: Processes that play; they change nothing but the time.
        resume: Continue an earlier run with the same settings instead of starting anew.
        reporter: Gets the progress; None: silent.
        make_source: Makes what is played; by default a clean lane of the game under the evaluation protocol.

    Returns:
        The files.

    Raises:
        CheckpointError: An earlier run's checkpoint, or the expert's, is missing or damaged.
        SpecError: A number is out of range, or there is no such device.
        StorageError: A file cannot be written.
        UnknownNameError: No such game, kind of data, size, stage or expert.
    """
    check_size(size)
    steps = dict(steps or usual_steps(size))
    frames = NUM_FRAMES[size] if frames is None else frames
    check_steps(steps)
    place = choose_device(device)
    game = load_game(game).id
    keep_freed_memory()
    collection = Collection(game, frames, data, None if data == "random" else find_expert(game, expert), seed)
    reporter = reporter or SilentReporter()
    if out is not None:
        check_place(expanded(out))  # before minutes of play
    work = make_dir(state_dir() / "pretraining" / f"{collection.folder_name()}-{size}")
    store = collect_frames(
        collection,
        state_dir() / "frames" / collection.folder_name(),
        make_source=make_source,
        workers=workers,
        reporter=reporter,
    )
    folder = make_dir(state_dir() / "encoders" / _folder_name(game, size, data) if out is None else expanded(out))
    facts = _facts(collection, store, place.type)
    encoders, curves = {}, {}
    for name, num_steps in steps.items():
        checkpoint = work / f"{name}.safetensors"
        weights = seeding.integer_seed(seed, "pretrain-weights", name)
        state = start_stage(build_pretext(name, weights, size).to(place))
        if resume and checkpoint.exists():
            load_stage(checkpoint, state)
        train_stage(state, store, num_steps, seed=seed, checkpoint=checkpoint, reporter=reporter)
        curves[name] = folder / f"{name}.csv"
        write_text(curves[name], _curve_text(state.curve))
        encoders |= _export(state, store, folder, facts, size)
    return PretrainResult(encoders, curves)


def usual_steps(size: str, stages: Iterable[str] | None = None) -> dict[str, int]:
    """Return the optimiser steps of stages as `STAGE_STEPS` has them.

    Args:
        size: The architecture's size.
        stages: Their names; None: all but `FURTHER_STAGES`.

    Raises:
        UnknownNameError: There is no such size or stage.
    """
    check_size(size)
    known = STAGE_STEPS[size]
    chosen = [name for name in known if name not in FURTHER_STAGES] if stages is None else list(stages)
    for name in chosen:
        if name not in known:
            raise unknown_name("pre-training stage", name, known)
    return {name: steps for name, steps in known.items() if name in chosen}


def _folder_name(game: str, size: str, data: str) -> str:
    return "-".join([game, *([] if size == "compact" else [size]), *([] if data == "random" else [data])])


def _facts(collection: Collection, store: FrameStore, device: str) -> dict[str, str]:
    """Return what the files' headers say of where the weights came from, besides size and steps."""
    facts = {"game": collection.game, "seed": str(collection.seed), "frames": str(len(store)), "data": collection.data}
    if collection.expert is not None:
        facts |= {"expert": collection.expert.name, "expert_hash": collection.expert.hash}
    facts |= {"frames_hash": store.content_hash, "device": device}
    return facts | _versions()


def calibration_frames(store: FrameStore, count: int) -> torch.Tensor:
    """Return evenly spaced observations of a store, uint8, shape (count or fewer, 4, 84, 84)."""
    positions = store.positions()
    return torch.from_numpy(store.stacks(positions[:: max(1, len(positions) // count)][:count]))


def _export(state: StageState, store: FrameStore, out: Path, facts: Mapping[str, str], size: str) -> dict[str, Path]:
    frames = calibration_frames(store, CALIBRATION_FRAMES[size])
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
    return copy.deepcopy(encoder).cpu().half().float()


def _curve_text(curve: Curve) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(curve[0]) if curve else ["step"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: f"{value:.6g}" for key, value in row.items()} for row in curve)
    return text.getvalue()


def _versions() -> dict[str, str]:
    return {"wsabench": wsabench.__version__, "torch": torch.__version__, "threads": str(torch.get_num_threads())}


def check_steps(steps: Mapping[str, Any]) -> None:
    """Check names and numbers of the optimiser steps of stages.

    Raises:
        SpecError: A number is not an integer from 1.
        UnknownNameError: There is no such stage.
    """
    for name, value in steps.items():
        if name not in PRETEXTS:
            raise unknown_name("pre-training stage", name, PRETEXTS)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise SpecError(f"The steps of the stage {name} are {value!r}. Allowed: integers from 1.")
