"""The kinds of the family `corruption`, changes of the native frame: importing this module registers them."""

from wsabench.perturb.corruption import blur, digital, geometry, noise, overlays, temporal, weather

__all__ = ["blur", "digital", "geometry", "noise", "overlays", "temporal", "weather"]
