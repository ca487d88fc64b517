"""Small videos of two bright squares that bounce on a dim static background, and a loop that trains on them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from wsabench.agents import half_precision
from wsabench.encoders import Pretext, PretextBatch

SIZES, LEVELS = (12, 8), (1.0, 0.7)


class Videos(NamedTuple):
    frames: torch.Tensor
    """Luminance in [0, 1], float32, shape (num_videos, length, 84, 84)."""
    centres: torch.Tensor
    """Centre (y, x) of each square in pixels, shape (num_videos, length, 2, 2)."""
    background: torch.Tensor
    """Shape (1, 84, 84)."""


def make_videos(
    num_videos: int = 64, length: int = 24, seed: int = 0, speeds: tuple[int, ...] = (-4, -3, -2, 2, 3, 4)
) -> Videos:
    rng = np.random.default_rng(seed)
    background = np.kron(np.random.default_rng(3).uniform(0, 0.2, (12, 12)), np.ones((7, 7)))
    frames = np.tile(background, (num_videos, length, 1, 1)).astype(np.float32)
    centres = np.zeros((num_videos, length, 2, 2), np.float32)
    limits = 84 - np.array(SIZES)[:, None]
    for video in range(num_videos):
        places, moves = rng.uniform(0, limits, (2, 2)), rng.choice(speeds, (2, 2))
        for time in range(length):
            for (y, x), size, level in zip(places.astype(int), SIZES, LEVELS, strict=True):
                frames[video, time, y : y + size, x : x + size] = level
            centres[video, time] = places.astype(int) + (np.array(SIZES)[:, None] - 1) / 2
            moves = np.where((places + moves < 0) | (places + moves > limits), -moves, moves)
            places = places + moves
    return Videos(
        torch.from_numpy(frames), torch.from_numpy(centres), torch.from_numpy(background.astype(np.float32))[None]
    )


def stacks(videos: Videos, rows: np.ndarray, times: np.ndarray) -> torch.Tensor:
    """Return the stacks of videos `rows` whose newest frame is at `times`, shape (N, 4, 84, 84)."""
    return torch.stack([videos.frames[row, time - 3 : time + 1] for row, time in zip(rows, times, strict=True)])


def draw(videos: Videos, pretext: Pretext, size: int, rng: np.random.Generator) -> PretextBatch:
    num_videos, length = videos.frames.shape[:2]
    rows = rng.integers(num_videos, size=size)
    later = rng.integers(pretext.offsets[0], pretext.offsets[1] + 1, size=size)
    times = rng.integers(3, length - later)
    layout = {"memory_format": torch.channels_last}
    pair = (stacks(videos, rows, at).contiguous(**layout) for at in (times, times + later))
    return PretextBatch(*pair, videos.background, torch.from_numpy(rng.random((size, pretext.num_draws))))


def train(
    pretext: Pretext, videos: Videos, num_steps: int, batch_size: int, rate: float | None = None
) -> list[dict[str, float]]:
    """Train; return the losses of every step. `rate` replaces the stage's own step size."""
    optimizer = torch.optim.Adam(pretext.parameters(), lr=rate or pretext.learning_rate)
    rng, curve = np.random.default_rng(1), []
    pretext.train()
    for step in range(num_steps):
        with half_precision(torch.device("cpu")):
            losses = pretext.loss(draw(videos, pretext, batch_size, rng), step)
        optimizer.zero_grad()
        losses["loss"].backward()
        if pretext.max_gradient_norm is not None:
            torch.nn.utils.clip_grad_norm_(pretext.parameters(), pretext.max_gradient_norm)
        optimizer.step()
        curve.append({name: float(value.detach()) for name, value in losses.items()})
    pretext.eval()
    return curve
