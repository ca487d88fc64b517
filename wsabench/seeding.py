"""Named random streams from one root seed.

A stream is named by words and integers, so that adding one never shifts another. Episode seeds depend on the game and
the episode's number only: every agent and every perturbation plays the same episodes, which makes comparisons paired.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np

TRAINING_ROOT = "training"
EVALUATION_ROOT = "evaluation"
OWN_PLAY_ROOT = "own play"


def stream_entropy(root_seed: int, *names: str | int) -> int:
    """Return the 128-bit entropy of the stream `names` below `root_seed`."""
    text = json.dumps([int(root_seed), *(name if isinstance(name, str) else int(name) for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")


def generator(root_seed: int, *names: str | int) -> np.random.Generator:
    """Return a fresh generator for the stream `names` below `root_seed`."""
    return np.random.Generator(np.random.PCG64(stream_entropy(root_seed, *names)))


def integer_seed(root_seed: int, *names: str | int) -> int:
    """Return a seed in 0..2**31-1 for libraries that take a C int (the emulator, torch)."""
    return stream_entropy(root_seed, *names) % 2**31


def evaluation_seed(game: str, episode: int, root_seed: int = 0) -> int:
    """Return the episode seed of an evaluation episode; even, so never one of training's.

    Args:
        game: The game's id.
        episode: The episode's number, from 0.
        root_seed: The run's seed.
    """
    return integer_seed(root_seed, EVALUATION_ROOT, game, episode) & ~1


def start_order(game: str, start_noops: Sequence[int], root_seed: int = 0) -> tuple[int, ...]:
    """Return the numbers of no-ops in the order in which episodes take them where each start is played once.

    Args:
        game: The game's id.
        start_noops: The numbers that there are, `Protocol.start_noops`.
        root_seed: The run's seed.

    Returns:
        All of them in random order, each once; entry i is that of episode i of every agent and perturbation.
    """
    return tuple(generator(root_seed, EVALUATION_ROOT, game, "starts").permutation(np.array(start_noops)).tolist())


def own_play_seed(game: str, episode: int) -> int:
    """Return the seed of a clean episode whose embeddings are kept; odd, so never one of evaluation's."""
    return integer_seed(0, OWN_PLAY_ROOT, game, episode) | 1


def training_seed(train_seed: int, *names: str | int) -> int:
    """Return a seed for an episode played while training; odd, so never one of evaluation's."""
    return integer_seed(train_seed, TRAINING_ROOT, *names) | 1
