"""Weight Sharing Attention: one scoring layer for all encoders, softmax over them, weighted sum."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from wsabench.agents.adapters import LinearAdapter, make_adapter
from wsabench.agents.fusions.adapted import AdaptedFusion
from wsabench.agents.fusions.base import Fused, Shapes
from wsabench.agents.network import Initialiser
from wsabench.agents.spec import AgentSpec

_ACTIVATIONS: dict[str, nn.Module] = {"relu": nn.ReLU(), "leaky_relu": nn.LeakyReLU(0.2), "none": nn.Identity()}


class WeightSharingAttention(AdaptedFusion):
    """Scores a_i = f(Linear([c; s_i])) of adapted embeddings s_i and adapted context c; the feature is sum_i w_i s_i.

    Because all encoders share the scoring layer, any of them can be left out by masking its score. f is the ReLU in the
    paper; when all its inputs are negative no gradient comes back and the weights stay uniform. Without any f the
    context cancels in the softmax. The leaky ReLU (slope 0.2, as in graph attention) has neither fault.

    References:
        Piccoli et al. 2026, "Combining Pre-Trained Models for Enhanced Feature Representation in Reinforcement
        Learning"; Velickovic et al. 2018, "Graph attention networks", eq. 3 (the leaky ReLU).
    """

    allows = frozenset({"mask", "order", "newcomers"})

    def __init__(self, spec: AgentSpec, shapes: Shapes, make: Initialiser) -> None:
        super().__init__(spec, shapes, make)
        if spec.context is None:
            raise ValueError("wsa needs a context encoder")
        self.feature_size = spec.width
        self.names = spec.encoders
        self._context = spec.context
        self._activation = _ACTIVATIONS[spec.score_activation]
        self.adapters = nn.ModuleDict(
            {
                name: make_adapter(shapes[name], spec.width, spec.adapter_channels, spec.adapter_cells, make)
                for name in spec.encoders
            }
        )
        self.context = LinearAdapter(math.prod(shapes[spec.context]), spec.width, make)
        self.score = make.linear(2 * spec.width, 1, gain=1.0)

    def combine(self, adapted: Tensor, embeddings: Mapping[str, Tensor], mask: Tensor | None) -> Fused:
        """Combine; see `AdaptedFusion.combine`. The weights of masked encoders are exactly 0."""
        context = self.context(embeddings[self._context])
        scores = self._scores(context, adapted)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        weights = scores.softmax(dim=1)
        # A plain product and sum: a batched matrix product would round by batch size.
        feature = (weights[:, :, None] * adapted.float()).sum(dim=1)
        return Fused(feature, weights)

    def _scores(self, context: Tensor, adapted: Tensor) -> Tensor:
        """Return scores (N, num_encoders), float32; Linear([c; s]) in its two halves, which saves copies of c."""
        weight_c, weight_s = self.score.weight[0].chunk(2)
        with torch.autocast(adapted.device.type, enabled=False):
            from_context = (context.float() * weight_c).sum(dim=1, keepdim=True)
            from_encoders = (adapted.float() * weight_s).sum(dim=2)
            scores = from_context + from_encoders + self.score.bias
        return self._activation(scores)
