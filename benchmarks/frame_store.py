"""How compact a frame store is, and how fast stacks are read from it in any order.

Usage: python benchmarks/frame_store.py [NUM_FRAMES] [GAME ...]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from wsabench.training.frames.collection import Collection, collect_frames

BATCH, NUM_BATCHES = 64, 200


def measure(game: str, num_frames: int, folder: Path) -> str:
    started = time.perf_counter()
    store = collect_frames(Collection(game, num_frames), folder)
    seconds = time.perf_counter() - started
    on_disk = sum(path.stat().st_size for path in folder.iterdir())
    positions, rng = store.positions(), np.random.default_rng(0)
    store.stacks(positions[:BATCH])  # compiles
    batches = [positions[rng.integers(len(positions), size=BATCH)] for _ in range(NUM_BATCHES)]
    started = time.perf_counter()
    for index in batches:
        store.stacks(index)
    rate = BATCH * NUM_BATCHES / (time.perf_counter() - started)
    step_bytes = on_disk / len(store)
    cells = [game, f"{store.frames.num_bytes / len(store):.0f}", f"{step_bytes:.0f}", f"{step_bytes / 1e3:.2f} GB"]
    return f"| {' | '.join(cells)} | {rate:,.0f} | {len(store) / seconds:,.0f} |"


def main() -> None:
    num_frames = int(sys.argv[1]) if len(sys.argv) > 1 else 40_000
    print(f"{num_frames} steps of random play a game, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| game | bytes a frame | bytes a step with memory | 1M steps | stacks/s | steps/s written |")
    print("| --- | --- | --- | --- | --- | --- |")
    for game in sys.argv[2:] or ["breakout", "pong", "ms_pacman"]:
        with tempfile.TemporaryDirectory() as folder:
            print(measure(game, num_frames, Path(folder) / "store"), flush=True)


if __name__ == "__main__":
    main()
