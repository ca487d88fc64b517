"""The loop that trains one stage of encoders, with checkpoints from which it goes on to the same weights."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from wsabench import seeding
from wsabench.agents import half_precision
from wsabench.encoders import Pretext, PretextBatch
from wsabench.errors import CheckpointError
from wsabench.progress import Reporter
from wsabench.resources import atomic_path
from wsabench.sealed import refused_writes
from wsabench.training.frames.store import FrameStore

FORMAT = "wsabench-pretraining-1"
LOG_STEPS = 50
"""Steps that one row of a loss curve averages; checkpoints are written at multiples of it."""
CHECKPOINT_SECONDS = 30.0

Curve = list[dict[str, float]]


@dataclass
class StageState:
    """Where the training of a stage stands.

    Attributes:
        pretext: The networks.
        optimizer: Adam, over all of them.
        step: Optimiser steps made.
        seconds: Time they took, over all sittings.
        curve: Mean losses of every `LOG_STEPS` steps.
    """

    pretext: Pretext
    optimizer: torch.optim.Adam
    step: int = 0
    seconds: float = 0.0
    curve: Curve = field(default_factory=list)


def start_stage(pretext: Pretext) -> StageState:
    """Return the state before the first step; the networks stay on their device."""
    return StageState(pretext, torch.optim.Adam(pretext.parameters(), lr=pretext.learning_rate))


def train_stage(
    state: StageState, store: FrameStore, num_steps: int, *, seed: int, checkpoint: Path, reporter: Reporter
) -> None:
    """Train on the networks' device until `num_steps` steps are made.

    The checkpoint is rewritten every half minute and at the end.

    The data of step k depend on `seed`, the stage's name and k only, so a run that was killed continues to the same
    weights (on the same kind of machine, with the same number of threads).

    Args:
        state: Changed in place.
        store: The frames.
        num_steps: Steps at which training ends.
        seed: Fixes the order of the data.
        checkpoint: File that is written.
        reporter: Gets the progress.

    Raises:
        StorageError: The checkpoint cannot be written.
    """
    pretext = state.pretext.train()
    device = next(pretext.parameters()).device
    positions = store.positions(pretext.offsets[1])
    background = (torch.from_numpy(mean_frame(store))[None] / 255).to(device)
    saved = started = time.monotonic() - state.seconds
    sums: dict[str, torch.Tensor] = {}
    reporter.start(f"pre-train {pretext.name}", num_steps, "steps")
    reporter.advance(state.step)
    while state.step < num_steps:
        rng = seeding.generator(seed, "pretrain", pretext.name, state.step)
        batch = draw_batch(store, positions, pretext, rng, device)
        with half_precision(device):
            losses = pretext.loss(batch._replace(background=background), state.step)
        _update(state, losses["loss"])
        for name, value in losses.items():  # left on the device: reading them would wait for it in every step
            sums[name] = sums.get(name, 0.0) + value.detach().double()
        if state.step % LOG_STEPS and state.step != num_steps:
            continue
        count = (state.step - 1) % LOG_STEPS + 1
        means = {name: float(total) / count for name, total in sums.items()}
        sums, now = {}, time.monotonic()
        state.seconds = now - started
        state.curve.append({"step": state.step, "seconds": round(state.seconds, 1), **means})
        reporter.advance(count, loss=means["loss"])
        if now - saved > CHECKPOINT_SECONDS or state.step == num_steps:
            save_stage(checkpoint, state)
            saved = now
    reporter.finish()


def draw_batch(
    store: FrameStore,
    positions: npt.NDArray[np.int64],
    pretext: Pretext,
    rng: np.random.Generator,
    device: torch.device | None = None,
) -> PretextBatch:
    """Draw pairs of observations of one episode; `background` is left black.

    Args:
        store: The frames.
        positions: Steps of the store to draw from.
        pretext: The stage: its batch size and offsets.
        rng: What is drawn from, whatever the device.
        device: Where the batch goes, as bytes; None: it stays.
    """
    index = positions[rng.integers(len(positions), size=pretext.batch_size)]
    low, high = pretext.offsets
    offset = rng.integers(low, high + 1, size=pretext.batch_size)
    pair = (torch.from_numpy(store.stacks(at)).to(device) for at in (index, index + offset))
    first, second = ((stacks.float() / 255).contiguous(memory_format=torch.channels_last) for stacks in pair)
    draws = torch.from_numpy(rng.random((pretext.batch_size, pretext.num_draws))).to(device)
    return PretextBatch(first, second, torch.zeros(1, 84, 84, device=device), draws)


def mean_frame(store: FrameStore, num_frames: int = 2_000) -> npt.NDArray[np.float32]:
    """Return the mean of evenly spaced frames, grey levels, float32, shape (84, 84)."""
    index = np.unique(np.linspace(0, len(store) - 1, num_frames).astype(np.int64))
    return store.frames[index].mean(0, dtype=np.float32)


def save_stage(path: Path, state: StageState) -> None:
    """Write weights, Adam's moments, the step and the curve.

    Raises:
        StorageError: The file cannot be written.
    """
    tensors = {f"model.{name}": value.cpu().contiguous() for name, value in state.pretext.state_dict().items()}
    for index, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{name}": value.cpu().contiguous() for name, value in moments.items()}
    metadata = {"format": FORMAT, "name": state.pretext.name, "step": str(state.step)}
    metadata |= {"seconds": repr(state.seconds), "curve": json.dumps(state.curve)}
    metadata["options"] = json.dumps(_options(state.pretext))
    with atomic_path(path) as temporary, refused_writes():
        save_file(tensors, temporary, metadata)


def load_stage(path: Path, state: StageState) -> None:
    """Set `state` to what `save_stage` wrote.

    Raises:
        CheckpointError: The file is damaged or belongs to something else.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        if (metadata.get("format"), metadata.get("name")) != (FORMAT, state.pretext.name):
            raise CheckpointError(
                f"{path} is not a checkpoint of the stage {state.pretext.name}. Delete it to start anew."
            )
        if json.loads(metadata.get("options", "{}")) != _options(state.pretext):
            raise CheckpointError(
                f"{path} was trained with other options of its encoders, {metadata.get('options', 'unknown ones')}; "
                f"{json.dumps(_options(state.pretext))} are asked for. Delete it to start this stage anew."
            )
        state.pretext.load_state_dict(
            {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
        )
    except RuntimeError as error:
        raise CheckpointError(
            f"{path} holds networks of another shape than the stage {state.pretext.name} of this size. Delete it to "
            "start this stage anew."
        ) from error
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} is damaged: {error}. Delete it to start this stage anew.") from error
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("adam."):
            _, index, name = key.split(".")
            moments.setdefault(int(index), {})[name] = value
    state.optimizer.load_state_dict(state.optimizer.state_dict() | {"state": moments})
    state.step, state.seconds = int(metadata["step"]), float(metadata["seconds"])
    state.curve = json.loads(metadata["curve"])


def _options(pretext: Pretext) -> dict[str, dict[str, str]]:
    """Return the options of a stage's encoders that have any: they decide what the stage learns."""
    return {encoder.name: dict(encoder.options) for encoder in pretext.encoders() if encoder.options}


def _update(state: StageState, loss: torch.Tensor) -> None:
    for group in state.optimizer.param_groups:
        group["lr"] = state.pretext.learning_rate_at(state.step)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if state.pretext.max_gradient_norm is not None:
        torch.nn.utils.clip_grad_norm_(state.pretext.parameters(), state.pretext.max_gradient_norm)
    state.optimizer.step()
    state.step += 1
