"""CNN: everything as maps of one size, concatenated by channel, convolved."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsabench.agents.networks.adapters import flattened
from wsabench.agents.networks.fusions.base import Shapes
from wsabench.agents.networks.fusions.shrunk import ShrunkFusion, brought_to, reshaped
from wsabench.agents.networks.network import Initialiser
from wsabench.agents.spec import AgentSpec

CHANNELS = 32


class Convolution(ShrunkFusion):
    """The feature is flat(conv(...conv([m_1; ...; m_E]))), 3x3 convolutions to 32 channels, padded, each with ReLU.

    m_i is a shrunk map, or a vector reshaped to channels of the same size, the last filled up with zeros.

    References:
        Piccoli et al. 2026, the fusion called CNN.
    """

    def __init__(self, spec: AgentSpec, shapes: Shapes, make: Initialiser) -> None:
        super().__init__(spec, shapes, make)
        area = self.cells * self.cells
        channels = sum(s[0] if len(s) == 3 else math.ceil(s[0] / area) for s in self.shapes.values())
        inputs = [channels] + [CHANNELS] * (spec.conv_layers - 1)
        self.convolutions = nn.ModuleList([make.convolution(count, CHANNELS, 3, padding=1) for count in inputs])
        self.feature_size = CHANNELS * area

    def combine(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Concatenate and convolve."""
        maps = [
            brought_to(value, self.cells) if value.dim() == 4 else reshaped(value, self.cells)
            for value in (embeddings[name] for name in self.names)
        ]
        hidden = torch.cat(maps, dim=1)
        for layer in self.convolutions:
            hidden = functional.relu(layer(hidden))
        return flattened(hidden)
