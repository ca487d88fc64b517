"""The end-to-end agent: NatureCNN on stacked frames, without any frozen encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from wsabench.agents.networks.network import (
    AS_TRAINED,
    HEADS,
    ActorCritic,
    Features,
    Initialiser,
    Lineup,
    Output,
    compute_dtype,
    storage_dtype,
)
from wsabench.agents.spec import AgentSpec

if TYPE_CHECKING:
    from wsabench.encoders import EncoderBank

_BLOCK = 4
"""The first convolution's stride: pixels are regrouped in blocks of 4x4."""
_CELLS = 84 // _BLOCK


class EndToEnd(ActorCritic):
    """Three convolutions, one linear layer, linear heads.

    The first convolution (8x8, stride 4) runs as a 2x2 convolution over blocks of 4x4 pixels, which are regrouped once
    when an observation arrives; the same sums, a third less time for a training step.

    References:
        Mnih et al. 2015 (the network); Huang et al. 2022, "The 37 implementation details of PPO" (initialisation).
    """

    def __init__(self, spec: AgentSpec, num_actions: int, seed: int | None) -> None:
        super().__init__()
        make = Initialiser(seed)
        self.conv1 = make.convolution(4, 32, 8, 4)
        self.conv2 = make.convolution(32, 64, 4, 2)
        self.conv3 = make.convolution(64, 64, 3, 1)
        self.linear = make.linear(7 * 7 * 64, spec.width)
        self.heads = HEADS[spec.heads](make, spec.width, spec.head_units, num_actions)

    def prepare(
        self, stack: Tensor, bank: EncoderBank | None = None, inputs: Mapping[str, Tensor] | None = None
    ) -> Features:
        """Regroup pixels in blocks: shape (N, 21, 21, 64), values 0 to 255; the last axis is (frame, row, column).

        Bfloat16, in which bytes are exact, where the network computes in it, so epochs convert nothing; else uint8.
        """
        # Four neighbouring bytes of a row move together as one 32-bit word.
        words = stack.contiguous().view(torch.int32).view(-1, 4, _CELLS, _BLOCK, _CELLS)
        blocks = words.permute(0, 2, 4, 1, 3).contiguous().view(torch.uint8)
        kept = torch.bfloat16 if storage_dtype(stack.device) == torch.bfloat16 else torch.uint8
        return {"blocks": blocks.view(-1, _CELLS, _CELLS, 4 * _BLOCK * _BLOCK).to(kept)}

    def forward(self, features: Mapping[str, Tensor], lineup: Lineup = AS_TRAINED) -> Output:
        """Evaluate policy and value; `lineup` is ignored, there are no encoders."""
        blocks = features["blocks"]
        # The pixels' scale goes into the weights.
        pixels = blocks.to(compute_dtype(blocks.device)).permute(0, 3, 1, 2)
        kernel = self.conv1.weight.view(32, 4, 2, _BLOCK, 2, _BLOCK).permute(0, 1, 3, 5, 2, 4)
        kernel = kernel.reshape(32, 4 * _BLOCK * _BLOCK, 2, 2) / 255.0
        hidden = functional.relu(functional.conv2d(pixels, kernel, self.conv1.bias))
        hidden = functional.relu(self.conv2(hidden))
        hidden = functional.relu(self.conv3(hidden))
        flat = hidden.permute(0, 2, 3, 1).flatten(1)
        logits, value = self.heads(functional.relu(self.linear(flat)))
        return Output(logits, value, None)
