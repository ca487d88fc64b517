"""LIN: everything flattened and concatenated."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from wsabench.agents.networks.adapters import flattened
from wsabench.agents.networks.fusions.base import Shapes
from wsabench.agents.networks.fusions.shrunk import ShrunkFusion
from wsabench.agents.networks.network import Initialiser
from wsabench.agents.spec import AgentSpec


class Concatenation(ShrunkFusion):
    """The feature is [flat(e_1); ...; flat(e_E)] of vectors and shrunk maps e_i; the heads' first layer does the rest.

    References:
        Piccoli et al. 2026, the fusion called LIN.
    """

    def __init__(self, spec: AgentSpec, shapes: Shapes, make: Initialiser) -> None:
        super().__init__(spec, shapes, make)
        self.feature_size = self.num_numbers

    def combine(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Concatenate; maps with channels last."""
        return torch.cat([flattened(embeddings[name]) for name in self.names], dim=1)
