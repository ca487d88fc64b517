"""The training checkpoint: everything that an undisturbed run would have, in one file that is replaced atomically.

The frames of DQN's replay alone lie in a file of their own, see `wsabench.training.algorithms.replay`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from wsabench.errors import CheckpointError
from wsabench.resources import atomic_path
from wsabench.sealed import refused_writes
from wsabench.training.algorithms.learner import Learner, LearnerState
from wsabench.training.lanes import LaneState

FORMAT = "wsabench-training-3"
HALVED = "wsabench-training-2"
"""The format before, in which PPO's `value_coefficient` weighed half the mean squared error."""


class TrainingState(NamedTuple):
    """What a checkpoint holds besides the network and its optimiser."""

    meta: dict[str, Any]
    """What was trained and how far, JSON values."""
    lanes: LaneState
    learner: LearnerState
    """What the algorithm adds."""


def save_training(path: Path, learner: Learner, state: TrainingState) -> None:
    """Write a checkpoint.

    Raises:
        StorageError: The file cannot be written; the previous one is kept.
    """
    tensors = {f"model.{name}": value for name, value in learner.model.state_dict().items()}
    for name, parameter in learner.model.named_parameters():
        for key, value in learner.optimiser.state[parameter].items():
            tensors[f"optimiser.{key}.{name}"] = value
    tensors["generator"] = learner.generator.get_state()
    tensors |= {f"lanes.{name}": torch.from_numpy(value) for name, value in state.lanes.items()}
    tensors |= {f"learner.{name}": value for name, value in state.learner.items()}
    header = {"format": FORMAT, "training": json.dumps(state.meta)}
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with atomic_path(path) as temporary, refused_writes():
        safetensors.torch.save_file(contiguous, temporary, metadata=header)


def read_meta(path: Path) -> dict[str, Any]:
    """Return what a checkpoint says it is.

    Raises:
        CheckpointError: It is damaged or not a training checkpoint.
    """
    return _meta(_open(path)[0])


def load_training(path: Path, learner: Learner) -> TrainingState:
    """Read a checkpoint into the network, its optimiser and the generator.

    Raises:
        CheckpointError: It is damaged or belongs to another network.
    """
    header, tensors = _open(path)
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "optimiser": {}, "lanes": {}, "learner": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        if part in parts:
            parts[part][rest] = value
    try:
        learner.model.load_state_dict(parts["model"])
        for name, parameter in learner.model.named_parameters():
            if f"step.{name}" not in parts["optimiser"]:
                continue  # no gradient has reached it yet, so the optimiser knows nothing of it
            saved = {key: parts["optimiser"][f"{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq")}
            # The fused optimiser wants the moments in the parameter's own memory order, and the step on its device.
            moments = {key: torch.empty_like(parameter).copy_(saved[key]) for key in ("exp_avg", "exp_avg_sq")}
            step = saved["step"].clone().to(parameter.device)
            learner.optimiser.state[parameter] = {"step": step, **moments}
        learner.generator.set_state(tensors["generator"])
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} does not fit the network: {error}. Train into another folder, or start again without resume."
        ) from error
    lanes = {name: value.numpy() for name, value in parts["lanes"].items()}
    return TrainingState(_meta(header), lanes, parts["learner"])


def _meta(header: dict[str, str]) -> dict[str, Any]:
    meta = json.loads(header["training"])
    if header["format"] == HALVED and "value_coefficient" in meta["job"]["preset"]:
        meta["job"]["preset"]["value_coefficient"] *= 0.5
    return meta


def _open(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} is damaged: {error}. Start again without resume.") from error
    if header.get("format") not in (FORMAT, HALVED):
        raise CheckpointError(
            f"{path} has format {header.get('format')!r}; {FORMAT!r} is expected. Go on with the version that wrote "
            "it, or start again without resume."
        )
    return header, tensors
