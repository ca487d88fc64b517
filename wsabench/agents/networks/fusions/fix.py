"""FIX: every embedding projected to one size, concatenated."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from wsabench.agents.networks.fusions.adapted import AdaptedFusion
from wsabench.agents.networks.fusions.base import Fused, Shapes
from wsabench.agents.networks.network import Initialiser
from wsabench.agents.spec import AgentSpec


class FixedSizeConcatenation(AdaptedFusion):
    """The feature is [s_1; ...; s_E] of adapted embeddings s_i, each of size d.

    Every place has its own columns in the heads: no encoder can be left out, none can join, but two can change places.

    References:
        Piccoli et al. 2026, the fusion called FIX.
    """

    allows = frozenset({"order"})

    def __init__(self, spec: AgentSpec, shapes: Shapes, make: Initialiser) -> None:
        super().__init__(spec, shapes, make)
        self.feature_size = len(self.names) * spec.width

    def combine(
        self, adapted: Tensor, embeddings: Mapping[str, Tensor], mask: Tensor | None, given: Tensor | None
    ) -> Fused:
        """Concatenate; see `AdaptedFusion.combine`."""
        del embeddings, mask, given
        return Fused(adapted.flatten(1), None)
