"""The kinds of the family `color`: importing this module registers them."""

from wsabench.perturb.color import operators, recolor

__all__ = ["operators", "recolor"]
