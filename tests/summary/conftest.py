"""Numbers of this folder's tests rest on few bootstrap draws; the intervals themselves are tested in tests/stats."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _few(few_repetitions: None) -> None: ...
