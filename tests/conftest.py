"""Tests lie in folders named as the packages that they test; what they share lies here (`from catch import ...`).

Marks: `oracle`, `property`, `e2e` and `slow`, as pyproject.toml tells them; a test without one is about one behaviour.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from wsabench.emulator import Lane

# How long an example takes says how busy the machine is: a deadline makes tests fail that have found nothing.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

# As many processes test as there are cores, and theirs beside them: two threads each would wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# With so much loaded a collection of all garbage takes a tenth of a second: let them be rare.
gc.set_threshold(1_000, 10, 50)


def pytest_collection_finish() -> None:
    """Let collections of garbage leave alone what stays to the end: thousands of tests, and the modules of all."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _warm_workers() -> Iterator[None]:
    """Fork worker processes from a server that has loaded what they load; see `new_interpreters`."""
    from warm_workers import warm_workers

    with warm_workers():
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_power_cuts() -> Iterator[None]:
    """Let nothing wait for the disk: what is written survives the end of a process without it, and no test goes on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _all_emulators_kept() -> Iterator[None]:
    """Load no ROM twice that was given back: a process that tests plays more games than one of a user."""
    from wsabench.emulator import cartridges

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cartridges, "_MOST_KEPT", 1_000)
        yield


@pytest.fixture
def new_interpreters() -> Iterator[None]:
    """Start worker processes as users do: each is a new interpreter, and takes seconds to load."""
    from warm_workers import cold_workers, use_warm_workers

    cold_workers()
    yield
    use_warm_workers()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Run torch on one thread, as training and evaluation do; small networks are no faster with more."""
    import torch  # noqa: F401  (before `single_thread`, which leaves it alone where nothing has loaded it)

    from wsabench.processes import single_thread

    with single_thread():
        yield


@pytest.fixture
def closed_lanes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the lanes of a test when it ends, so that the next one takes their emulators and need load no ROM."""
    from wsabench.emulator import effect, lane

    made: list[Lane] = []
    init = lane.Lane.__init__

    def remembering(self: Lane, *arguments: Any, **options: Any) -> None:
        init(self, *arguments, **options)
        made.append(self)

    monkeypatch.setattr(lane.Lane, "__init__", remembering)
    yield
    for one in made:
        one.close()
    effect._lane.cache_clear()  # it may hold one of them


@pytest.fixture(scope="module")
def few_repetitions() -> Iterator[None]:
    """Let bootstraps draw few times in the tests of a module, which are about no interval's width."""
    from few_draws import draw_as_usual, draw_few

    draw_few()
    yield
    draw_as_usual()


@pytest.fixture(scope="module")
def early_pictures() -> Iterator[None]:
    """Let runs take the sample picture of a cell after few steps: games of many tests are shorter than the usual."""
    from wsabench.evaluation import samples

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "NUM_STEPS", 6)
        yield


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what a queue finds held be refused soon; it may be held for as long as a killed process takes to end."""
    from wsabench.training.queue import places

    monkeypatch.setattr(places, "LOCK_SECONDS", 0.5)
