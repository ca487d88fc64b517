"""Makes this folder importable, so that tests share fakes (`from catch import CatchVector`)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Run torch on one thread, as training and evaluation do; small networks are no faster with more."""
    import torch  # noqa: F401  (before `single_thread`, which leaves it alone where nothing has loaded it)

    from wsabench.processes import single_thread

    with single_thread():
        yield
