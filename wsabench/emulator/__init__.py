"""The emulator: perturbed games as gymnasium environments, one at a time or many together.

Each name loads its part on first use, so that registering environments loads no emulator.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsabench.bench.lanes import benchmark_env
    from wsabench.emulator.console import action_meanings
    from wsabench.emulator.effect import MIN_EFFECT_GREY_LEVELS, measure_effect, require_effect
    from wsabench.emulator.environment import LaneEnv, make
    from wsabench.emulator.lane import Lane, observation_shape
    from wsabench.emulator.registration import register_envs
    from wsabench.emulator.vector import LaneVectorEnv, make_vec

__all__ = [
    "MIN_EFFECT_GREY_LEVELS",
    "Lane",
    "LaneEnv",
    "LaneVectorEnv",
    "action_meanings",
    "benchmark_env",
    "make",
    "make_vec",
    "measure_effect",
    "observation_shape",
    "register_envs",
    "require_effect",
]

_HOME = {
    "MIN_EFFECT_GREY_LEVELS": "effect",
    "LaneEnv": "environment",
    "LaneVectorEnv": "vector",
    "Lane": "lane",
    "action_meanings": "console",
    "benchmark_env": "benchmark",
    "make": "making",
    "make_vec": "making",
    "measure_effect": "effect",
    "observation_shape": "lane",
    "register_envs": "registration",
    "require_effect": "effect",
}


def __getattr__(name: str) -> Any:
    """Load the part that holds `name`, on first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'wsabench.emulator' has no attribute {name!r}")
    return getattr(import_module(f"wsabench.emulator.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
