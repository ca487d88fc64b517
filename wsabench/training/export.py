"""From a training run to the file that is shipped."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

import safetensors.torch

from wsabench.agents import AGENT_FILE, AgentMeta, save_checkpoint
from wsabench.errors import CheckpointError, StorageError
from wsabench.resources import make_dir, write_text, writing
from wsabench.tracking.event_files import EventFiles
from wsabench.tracking.tracker import IDS_NAME
from wsabench.training.algorithms.dqn import REPLAY_NAME
from wsabench.training.storage import read_meta
from wsabench.training.trainer import BEST_NAME, CHECKPOINT_NAME, CURVE_NAME, EVALUATIONS_NAME

MAX_CURVE_ROWS = 200


def export(run_dir: Path, path: Path) -> Path:
    """Write a run's newest network as an agent file, and its learning curve beside it.

    Args:
        run_dir: A training run's folder.
        path: The agent file, `NAME-seedK.safetensors`; the curve goes to `NAME-seedK-curve.csv`, thinned to 200 rows.

    Returns:
        `path`.

    Raises:
        CheckpointError: The folder holds no run, or a damaged one.
        StorageError: The files cannot be written.
    """
    checkpoint = run_dir / CHECKPOINT_NAME
    if not checkpoint.is_file():
        raise CheckpointError(f"{run_dir} holds no training run: {CHECKPOINT_NAME} is missing. Give a run's folder.")
    meta = read_meta(checkpoint)
    weights = safetensors.torch.load_file(checkpoint)
    model = {name.removeprefix("model."): value for name, value in weights.items() if name.startswith("model.")}
    make_dir(path.parent)
    save_checkpoint(path, model, AgentMeta.from_job(meta["job"], int(meta["steps"])))
    try:
        rows = (run_dir / CURVE_NAME).read_text(encoding="utf-8").splitlines()[: int(meta["update"]) + 1]
    except OSError as error:
        raise CheckpointError(f"The learning curve of {run_dir} cannot be read: {error.strerror}.") from error
    write_text(path.with_name(f"{path.stem}-curve.csv"), "\n".join(thinned(rows)) + "\n")
    return path


def thinned(lines: list[str], limit: int = MAX_CURVE_ROWS) -> list[str]:
    """Return a CSV's header and at most `limit` of its rows: every k-th, counted so that the last is kept."""
    header, rows = lines[:1], lines[1:]
    stride = max(1, -(-len(rows) // limit))
    return header + rows[::-1][::stride][::-1]


_KEPT = (CHECKPOINT_NAME, CURVE_NAME, AGENT_FILE, EVALUATIONS_NAME, BEST_NAME, EventFiles.FOLDER, IDS_NAME, "encoders")


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the folder, so that two processes never write one run."""
    with writing(directory / "lock"):
        file = (directory / "lock").open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StorageError(
                f"Another process is training in {directory}. Wait for it, or choose another folder."
            ) from error
        yield


def set_aside(directory: Path) -> None:
    """Rename what an earlier run left, so that starting again loses nothing; files that are not ours stay.

    The replay's frames are removed: they are large, and no agent needs them.
    """
    number = 1
    while any(directory.glob(f"abandoned-{number}-*")):
        number += 1
    with writing(directory):
        for name in _KEPT:
            if (directory / name).exists():
                (directory / name).rename(directory / f"abandoned-{number}-{name}")
        (directory / REPLAY_NAME).unlink(missing_ok=True)
