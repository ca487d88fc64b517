"""Makes this folder importable, so that tests share fakes (`from catch import CatchVector`)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Run torch on one thread, as training and evaluation do; small networks are no faster with more."""
    from wsabench.training.device import one_thread

    with one_thread():
        yield
