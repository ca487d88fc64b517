"""MIX: maps through one convolution, vectors as they are, concatenated."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from wsabench.agents.networks.adapters import flattened
from wsabench.agents.networks.fusions.base import Shapes
from wsabench.agents.networks.fusions.cnn import CHANNELS
from wsabench.agents.networks.fusions.shrunk import ShrunkFusion, brought_to
from wsabench.agents.networks.network import Initialiser
from wsabench.agents.spec import AgentSpec


class Mixture(ShrunkFusion):
    """The feature is [v_1; ...; flat(conv([m_1; ...]))] of vectors v and shrunk maps m; one 3x3 convolution, then ReLU.

    The convolution has 32 channels and padding. Without maps there is none.

    References:
        Piccoli et al. 2026, the fusion called MIX.
    """

    def __init__(self, spec: AgentSpec, shapes: Shapes, make: Initialiser) -> None:
        super().__init__(spec, shapes, make)
        maps = {name: shape for name, shape in self.shapes.items() if len(shape) == 3}
        self._maps = tuple(maps)
        self._vectors = tuple(name for name in self.names if name not in maps)
        self.feature_size = sum(math.prod(self.shapes[name]) for name in self._vectors)
        self.convolution = None
        if maps:
            self.convolution = make.convolution(sum(shape[0] for shape in maps.values()), CHANNELS, 3, padding=1)
            self.feature_size += CHANNELS * self.cells * self.cells

    def combine(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Convolve maps, concatenate."""
        parts = [embeddings[name] for name in self._vectors]
        if self.convolution is not None:
            maps = torch.cat([brought_to(embeddings[name], self.cells) for name in self._maps], dim=1)
            parts.append(flattened(functional.relu(self.convolution(maps))))
        return torch.cat(parts, dim=1)
