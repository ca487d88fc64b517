"""A queue's child process whose runs are pretended: they count, keep a checkpoint and write a few files.

Called like `wsabench.training.queue.child`. `runs/ID/fail` makes a run fail, `runs/ID/crash` makes its process fail.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from forked import Forked

from wsabench.errors import SpecError
from wsabench.progress import Reporter
from wsabench.resources import make_dir, write_text
from wsabench.training.queue.child import Work, main
from wsabench.training.queue.options import expected_steps
from wsabench.training.queue.places import Places
from wsabench.training.queue.running import child_command
from wsabench.training.queue.spec import Queue, QueueRun, RunKind
from wsabench.training.trainer import CURVE_NAME

CHILD = Path(__file__).resolve()
TASKS = {"frames": "collect frames", "pretrain": "pre-train all", "train": "train it"}
CURVE = "steps,wall_s,games,return_unclipped_mean_50,return_clipped_mean_50\n"
STEP_SECONDS = 0.01


def pretended(queue: Queue, run: QueueRun, places: Places, device: str) -> Sequence[str]:
    """Return the command of a child that pretends."""
    return [sys.executable, str(CHILD), *child_command(queue, run, places, device)[3:]]


def forked(command: Sequence[str], log: Path) -> Forked:
    """Start the command of a child that pretends, at once."""

    def work() -> int:
        os.environ["OMP_NUM_THREADS"] = "1"
        return main(command[2:], work=WORK)

    return Forked(work, log)


def pretend(queue: Queue, run: QueueRun, places: Places, device: str, reporter: Reporter) -> list[Path]:
    folder, total = places.run(run.id), expected_steps(queue, run)
    with (places.root / "starts.txt").open("a") as file:
        file.write(f"{run.id} {os.getpid()} {os.environ['OMP_NUM_THREADS']} {os.environ['WSABENCH_HOME']}\n")
    if (folder / "fail").exists():
        raise SpecError("It was told to fail.")
    if (folder / "crash").exists():
        raise RuntimeError("unforeseen")
    checkpoint = folder / "count.txt"
    done = int(checkpoint.read_text()) if checkpoint.exists() else 0
    reporter.start(TASKS[run.kind], total, "step")
    reporter.advance(done)
    stride = max(1, total // 20)
    while done < total:
        time.sleep(STEP_SECONDS * (40 if (folder / "slow").exists() else 1))
        more = min(stride, total - done)
        done += more
        write_text(checkpoint, str(done))
        reporter.advance(more)
    reporter.finish()
    if run.kind != "train":
        made = make_dir(places.encoders(run.id)) / "ae.safetensors"
        write_text(made, f"{run.kind} of {run.game}")
        return [made]
    write_text(folder / CURVE_NAME, f"{CURVE}{total},1.0,60,3.5,2.5\n")
    write_text(places.agent(run.id), f"agent {run.id}")
    return [folder / CURVE_NAME, places.agent(run.id)]


WORK: Mapping[RunKind, Work] = dict.fromkeys(("frames", "pretrain", "train"), pretend)

if __name__ == "__main__":
    sys.exit(main(work=WORK))
