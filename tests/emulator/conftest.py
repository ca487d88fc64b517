"""Every test of this folder hands its emulators on to the next one."""

import pytest


@pytest.fixture(autouse=True)
def _closed(closed_lanes: None) -> None: ...
