"""Speed of the encoders: milliseconds an observation, beside the same encoder in float32."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from wsabench.cli.bench import Row
from wsabench.seeding import generator

NAMES = ("sr", "oke", "okk", "vos", "ae")
CALIBRATION_FRAMES = 64


def measure_encode(batch: int, threads: int, seconds: float) -> list[Row]:
    """Return the time an observation takes in each encoder and in all together.

    The encoders are untrained, with noise as observations: neither changes how long they take.

    Args:
        batch: Observations embedded together.
        threads: Threads that torch may use.
        seconds: Time spent on each row, warm-up left out.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        stacks = torch.from_numpy(_noise(max(batch, CALIBRATION_FRAMES)))
        return [_row(name, (name,), stacks, batch, seconds) for name in NAMES] + [
            _row("all", NAMES[:-1], stacks, batch, seconds)
        ]
    finally:
        torch.set_num_threads(before)


def _row(label: str, names: Sequence[str], stacks: Any, batch: int, seconds: float) -> Row:
    import torch

    context = names[0] if len(names) == 1 else NAMES[-1]
    times = {}
    for dtype in (None, torch.float32):
        from wsabench.encoders import EncoderBank

        bank = EncoderBank.random(names, context, seed=0, calibration_frames=stacks[:CALIBRATION_FRAMES], dtype=dtype)
        times[dtype] = _milliseconds(bank, stacks[:batch], seconds)
    return Row(label, f"{label}, float32", times[None], "ms/observation", times[torch.float32] / times[None])


def _milliseconds(bank: Any, stacks: Any, seconds: float) -> float:
    """Return the milliseconds an observation takes, warm-up left out."""
    for _ in range(3):
        bank.embed(stacks)
    count = 0
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        bank.embed(stacks)
        count += 1
    return 1000 * elapsed / (count * len(stacks))


def _noise(count: int) -> np.ndarray:
    """Return `count` stacks of noise, uint8, shape (count, 4, 84, 84)."""
    return generator(0, "bench").integers(0, 256, (count, 4, 84, 84), dtype=np.uint8)
