"""Runs of this folder take their sample pictures early in a game; none of its tests is about the moment."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _early(early_pictures: None) -> None: ...
