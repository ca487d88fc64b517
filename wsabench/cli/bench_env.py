"""Speed of lanes: ours, clean and colour-shifted, beside ale-py's own vector environment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from wsabench.cli.bench import Row
from wsabench.seeding import generator

WORKERS = (1, 2)
PERTURBATIONS = ("clean", "hue-rotate@3")
WARM_UP_STEPS = 50


def measure_env(game: str, num_envs: int, seconds: float) -> list[Row]:
    """Return steps a second over all lanes, for each number of workers: the peer, then ours clean and shifted.

    Args:
        game: The game's id.
        num_envs: Lanes stepped together.
        seconds: Time spent on each row, warm-up left out.
    """
    rows = []
    for workers in WORKERS:
        threads = "1 thread" if workers == 1 else f"{workers} threads"
        peer_name = f"AtariVectorEnv, {threads}"
        peer = _speed(lambda n=workers: _peer(game, num_envs, n), num_envs, seconds)
        rows.append(Row(peer_name, "", peer, "steps/s", None))
        for perturbation in PERTURBATIONS:
            ours = _speed(lambda p=perturbation, n=workers: _ours(game, num_envs, p, n), num_envs, seconds)
            worker_text = "1 worker" if workers == 1 else f"{workers} workers"
            rows.append(Row(f"{perturbation}, {worker_text}", peer_name, ours, "steps/s", ours / peer))
    return rows


def _peer(game: str, num_envs: int, threads: int) -> Any:
    from ale_py.vector_env import AtariVectorEnv

    return AtariVectorEnv(game, num_envs=num_envs, num_threads=threads, noop_max=0, reward_clipping=False)


def _ours(game: str, num_envs: int, perturbation: str, workers: int) -> Any:
    from wsabench import Protocol, make_vec

    protocol = Protocol.evaluation().with_changes(noop_max=0, stall_steps=0)
    return make_vec(game, num_envs, perturbations=perturbation, seed=0, num_workers=workers, protocol=protocol)


def _speed(build: Callable[[], Any], num_envs: int, seconds: float) -> float:
    """Return the steps a second of an environment under random actions, summed over its lanes."""
    env = build()
    try:
        num_actions = int(env.single_action_space.n)
        actions = generator(0, "bench").integers(0, num_actions, (997, num_envs), dtype=np.int64)
        env.reset(seed=0)
        for index in range(WARM_UP_STEPS):
            env.step(actions[index])
        count = 0
        start = time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            env.step(actions[count % len(actions)])
            count += 1
    finally:
        env.close()
    return count * num_envs / elapsed
