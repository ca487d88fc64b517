"""The shipped form of a trained agent: weights in half precision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from wsabench.agents.checkpoint import read_checkpoint, save_checkpoint
from wsabench.errors import CheckpointError

STORED_DTYPE = "float16"


def export_checkpoint(source: Path, target: Path, name: str | None = None) -> None:
    """Write a trained agent with its float32 weights rounded to float16; all others stay as they are.

    Loading copies them into a float32 network, so what is played is the rounded agent. The header says so:
    `training.stored_dtype`.

    Args:
        source: The agent's file.
        target: Where it goes; ends in `.safetensors`.
        name: What the agent is called from now on; None: as before.

    Raises:
        CheckpointError: The source is missing or damaged, or a weight is too large for float16.
        StorageError: The target cannot be written.
    """
    read = read_checkpoint(source)
    weights = {key: value.half() if value.dtype == torch.float32 else value for key, value in read.weights.items()}
    for key, value in weights.items():
        if not bool(value.isfinite().all()):
            raise CheckpointError(
                f"{source} cannot be written in {STORED_DTYPE}: {key} has values beyond its range of "
                f"{torch.finfo(torch.float16).max:.0f}, or none at all. Keep it in float32."
            )
    spec = read.meta.spec if name is None else replace(read.meta.spec, name=name)
    training = {**read.meta.training, "stored_dtype": STORED_DTYPE}
    save_checkpoint(target, weights, replace(read.meta, spec=spec, training=training))
