"""All kinds of perturbation there are: ours, and those that other packages add by entry point."""

from __future__ import annotations

from wsabench.perturb import color_kinds, corruption_kinds, dynamics_kinds, encoder_kinds
from wsabench.perturb.kinds import KINDS

__all__ = ["KINDS", "color_kinds", "corruption_kinds", "dynamics_kinds", "encoder_kinds"]
