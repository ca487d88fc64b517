"""Memory stays flat over many steps, and environments give back what they took."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from wsabench import make_vec

pytestmark = pytest.mark.slow

LANES = 64
STEPS, EVERY = 1_000_000, 100_000
"""Steps of all lanes together, and after how many each memory is looked at."""
MIB = 2**20


def resident() -> int:
    """Return the memory of this process that is in use, in bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int:
    """Return the number of open files."""
    return len(list(Path("/proc/self/fd").iterdir()))


def shared_memory() -> set[str]:
    """Return the names of shared memory and semaphores."""
    return {one.name for one in Path("/dev/shm").glob("*")}


def children() -> set[str]:
    """Return the processes that this one started."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split())


@pytest.mark.timeout(0)
def test_memory_is_flat_over_many_steps() -> None:
    names = ["clean", "hue-rotate@3", "gaussian-noise@3", "sticky-actions@2"]
    envs = make_vec("breakout", num_envs=LANES, perturbations=names * (LANES // len(names)), seed=0)
    actions = np.random.default_rng(0)
    envs.reset()
    seen: dict[int, float] = {}
    for step in range(1, STEPS // LANES + 1):
        envs.step(actions.integers(4, size=LANES))
        if step * LANES % EVERY < LANES:
            seen[step * LANES] = round(resident() / MIB, 1)
    envs.close()
    print("MiB after steps:", seen)  # noqa: T201 - shown by `pytest -s`
    first, *_, last = seen.values()
    # Until the first look caches fill; what a step leaked of only 10 bytes would be 8.6 MiB at the last one.
    assert last - first < 8, seen


@pytest.mark.parametrize(("num_workers", "num_before"), [(0, 50), (2, 5)])
@pytest.mark.timeout(0)
def test_a_hundred_environments_give_back_what_they_took(num_workers: int, num_before: int) -> None:
    """With workers one takes seconds, nearly all of it to start two interpreters; there is less to warm up here."""

    def use() -> None:
        envs = make_vec("breakout", num_envs=2, num_workers=num_workers, seed=0)
        envs.reset()
        envs.step(np.zeros(2, np.int64))
        envs.close()

    for _ in range(num_before):  # until the allocator has what it keeps
        use()
    before, shared, memory = (open_files(), children()), shared_memory(), resident()
    for _ in range(100):
        use()
    assert (open_files(), children()) == before
    assert not shared_memory() - shared
    assert resident() - memory < 16 * MIB
