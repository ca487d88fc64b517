"""The emulator: perturbed games as gymnasium environments, one at a time or many together.

Each name loads its part on first use, so that registering environments loads no emulator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsabench.lazy import lazy_names

if TYPE_CHECKING:
    from wsabench.emulator.console import action_meanings
    from wsabench.emulator.effect import MIN_EFFECT_GREY_LEVELS, is_refused, measure_effect, require_effect
    from wsabench.emulator.environment import LaneEnv, make
    from wsabench.emulator.lane import Lane, observation_shape
    from wsabench.emulator.registration import register_envs
    from wsabench.emulator.vector import LaneVectorEnv, make_vec
    from wsabench.emulator.wrapping import PerturbedPixels, wrap

__all__ = [
    "MIN_EFFECT_GREY_LEVELS",
    "Lane",
    "LaneEnv",
    "LaneVectorEnv",
    "PerturbedPixels",
    "action_meanings",
    "is_refused",
    "make",
    "make_vec",
    "measure_effect",
    "observation_shape",
    "register_envs",
    "require_effect",
    "wrap",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "console": ("action_meanings",),
        "effect": ("MIN_EFFECT_GREY_LEVELS", "is_refused", "measure_effect", "require_effect"),
        "environment": ("LaneEnv", "make"),
        "lane": ("Lane", "observation_shape"),
        "registration": ("register_envs",),
        "vector": ("LaneVectorEnv", "make_vec"),
        "wrapping": ("PerturbedPixels", "wrap"),
    },
)
