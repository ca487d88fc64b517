"""Agents that act on frozen encoders' embeddings, combined by a fusion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wsabench.agents.networks.fusions import FUSIONS, Shapes
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
from wsabench.types import Embedding

if TYPE_CHECKING:
    from wsabench.encoders import EncoderBank


class FusedAgent(ActorCritic):
    """A fusion and heads on its feature."""

    def __init__(self, spec: AgentSpec, num_actions: int, shapes: Shapes, seed: int | None) -> None:
        super().__init__()
        make = Initialiser(seed)
        self.encoder_names = spec.encoders
        self.fusion = FUSIONS[spec.kind](spec, shapes, make)
        self.allows = self.fusion.allows
        self.has_weights = self.fusion.has_weights
        self.heads = HEADS[spec.heads](make, self.fusion.feature_size, spec.head_units, num_actions)

    def prepare(self, stack: Tensor, bank: EncoderBank | None, inputs: Mapping[str, Tensor] | None = None) -> Features:
        """Run the frozen encoders: embeddings in half precision by encoder, maps with channels last."""
        if bank is None:
            raise ValueError("an agent on frozen encoders needs their bank")
        return {name: self._lay_out(embedding) for name, embedding in bank.embed(stack, inputs=inputs).items()}

    def _lay_out(self, embedding: Tensor) -> Tensor:
        """Store an embedding the way training reads it, so that its epochs convert nothing."""
        dtype = storage_dtype(embedding.device)
        # By way of float32, which is exact: a CPU takes five times as long from one half precision to the other.
        stored = embedding if embedding.dtype == dtype else embedding.float().to(dtype)
        return stored.permute(0, 2, 3, 1).contiguous() if stored.dim() == 4 else stored

    def for_training(self, features: Features) -> Features:
        """Return maps as the fusion reads them fastest."""
        return {name: self.fusion.windows(name, feature) for name, feature in features.items()}

    @staticmethod
    def embedding_shape(feature: Tensor) -> tuple[int, ...]:
        """Return the shape of one embedding, as its encoder has it."""
        shape = feature.shape[1:]
        return (shape[2], shape[0], shape[1]) if len(shape) == 3 else tuple(shape)

    @staticmethod
    def read_embedding(feature: Tensor, row: int) -> Embedding:
        """Return a copy of one row of a feature as float32, in the encoder's shape."""
        value = feature[row].float()
        return (value.permute(2, 0, 1) if value.dim() == 3 else value).cpu().numpy().copy()

    @staticmethod
    def write_embedding(feature: Tensor, row: int, embedding: Embedding) -> None:
        """Overwrite one row of a feature; rounds to the feature's type."""
        value = torch.from_numpy(embedding)
        feature[row] = value.permute(1, 2, 0) if value.dim() == 3 else value

    def forward(self, features: Mapping[str, Tensor], lineup: Lineup = AS_TRAINED) -> Output:
        """Evaluate policy, value and the encoders' weights."""
        return self._decide({name: self._as_embedding(feature) for name, feature in features.items()}, lineup)

    @staticmethod
    def _as_embedding(feature: Tensor) -> Tensor:
        """Return a feature in the encoder's shape and in the type that is computed in."""
        embedding = feature.to(compute_dtype(feature.device))
        return embedding.permute(0, 3, 1, 2) if embedding.dim() == 4 else embedding

    def _decide(self, embeddings: Mapping[str, Tensor], lineup: Lineup) -> Output:
        """Fuse embeddings and evaluate the heads."""
        fused = self.fusion(embeddings, lineup)
        logits, value = self.heads(fused.feature)
        return Output(logits, value, fused.weights, fused.comparison)


def attention_is_dead(model: ActorCritic) -> bool:
    """Tell whether the last backward pass brought no gradient to the layer that scores encoders.

    With the paper's ReLU before the softmax this happens when all pre-activations are negative: all scores are 0, the
    weights are uniform, and no step leads out. A minibatch may by chance have such a gradient; attention is dead when
    all of an update have.

    Args:
        model: After `loss.backward()`, before its gradients are cleared.

    Returns:
        False for agents without a scoring layer that learns (`e2e`, `dpa`, uniform or random attention, no attention)
        and for those that fuse a single encoder, whose weight is always 1.
    """
    if not isinstance(model, FusedAgent) or len(model.encoder_names) < 2:
        return False
    weight = model.fusion.scoring_layer()
    return weight is not None and (weight.grad is None or not bool(weight.grad.any()))
