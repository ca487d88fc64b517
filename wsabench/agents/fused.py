"""Agents that act on frozen encoders' embeddings, combined by a fusion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wsabench.agents.fusions import FUSIONS
from wsabench.agents.fusions.base import Shapes
from wsabench.agents.network import AS_TRAINED, ActorCritic, Features, Heads, Initialiser, Lineup, Output, QHeads
from wsabench.agents.spec import AgentSpec
from wsabench.encoders import half_precision_is_fast
from wsabench.types import Embedding

if TYPE_CHECKING:
    from wsabench.encoders import EncoderBank


class FusedAgent(ActorCritic):
    """A fusion and heads on its feature."""

    def __init__(self, spec: AgentSpec, num_actions: int, shapes: Shapes, seed: int) -> None:
        super().__init__()
        make = Initialiser(seed)
        self.encoder_names = spec.encoders
        self.fusion = FUSIONS[spec.kind](spec, shapes, make)
        self.allows = self.fusion.allows
        heads = QHeads if spec.heads == "q" else Heads
        self.heads = heads(make, self.fusion.feature_size, spec.head_units, num_actions)

    def prepare(self, stack: Tensor, bank: EncoderBank | None) -> Features:
        """Run the frozen encoders: standardised embeddings in half precision by encoder, maps with channels last."""
        if bank is None:
            raise ValueError("an agent on frozen encoders needs their bank")
        return {name: self._lay_out(embedding) for name, embedding in bank.embed(stack).items()}

    def _lay_out(self, embedding: Tensor) -> Tensor:
        """Store an embedding the way training reads it, so that its epochs convert nothing."""
        stored = embedding.to(torch.bfloat16 if embedding.is_cuda or half_precision_is_fast() else torch.float16)
        return stored.permute(0, 2, 3, 1).contiguous() if stored.dim() == 4 else stored

    @staticmethod
    def embedding_shape(feature: Tensor) -> tuple[int, ...]:
        """Return the shape of one embedding, as its encoder has it."""
        shape = feature.shape[1:]
        return (shape[2], shape[0], shape[1]) if len(shape) == 3 else tuple(shape)

    @staticmethod
    def read_embedding(feature: Tensor, row: int) -> Embedding:
        """Return a copy of one row of a feature as float32, in the encoder's shape."""
        value = feature[row].float()
        return (value.permute(2, 0, 1) if value.dim() == 3 else value).numpy().copy()

    @staticmethod
    def write_embedding(feature: Tensor, row: int, embedding: Embedding) -> None:
        """Overwrite one row of a feature; rounds to the feature's type."""
        value = torch.from_numpy(embedding)
        feature[row] = value.permute(1, 2, 0) if value.dim() == 3 else value

    def forward(self, features: Mapping[str, Tensor], lineup: Lineup = AS_TRAINED) -> Output:
        """Evaluate policy, value and the encoders' weights."""
        device = next(iter(features.values())).device.type
        dtype = torch.bfloat16 if torch.is_autocast_enabled(device) else torch.float32
        embeddings = {
            name: feature.to(dtype).permute(0, 3, 1, 2) if feature.dim() == 4 else feature.to(dtype)
            for name, feature in features.items()
        }
        fused = self.fusion(embeddings, lineup)
        logits, value = self.heads(fused.feature)
        return Output(logits, value, fused.weights)
