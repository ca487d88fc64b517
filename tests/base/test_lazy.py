"""Packages whose names load their module on first use."""

from __future__ import annotations

import importlib

import pytest

LAZY = ["wsabench", "wsabench.agents", "wsabench.emulator", "wsabench.evaluation", "wsabench.results", "wsabench.stats"]


@pytest.mark.parametrize("name", LAZY)
def test_every_public_name_has_a_home_and_every_home_a_public_name(name: str) -> None:
    package = importlib.import_module(name)
    assert dir(package) == sorted(package.__all__)
    for public in package.__all__:
        assert getattr(package, public) is not None


@pytest.mark.parametrize("name", LAZY)
def test_an_unknown_name_is_an_attribute_error(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'nothing'"):
        _ = importlib.import_module(name).nothing
