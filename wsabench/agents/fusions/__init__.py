"""Fusions: modules that combine embeddings of frozen encoders into one feature; one file each."""

from wsabench.agents.fusions.adapted import AdaptedFusion
from wsabench.agents.fusions.base import Fused, Fusion
from wsabench.agents.fusions.wsa import WeightSharingAttention

FUSIONS: dict[str, type[Fusion]] = {"wsa": WeightSharingAttention}
"""Fusions by name, the `kind` of an agent's specification."""

__all__ = ["FUSIONS", "AdaptedFusion", "Fused", "Fusion", "WeightSharingAttention"]
