"""Weight Sharing Attention: one scoring layer for all encoders, softmax over them, weighted sum."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wsabench.agents.fusions.attending import AttendingFusion
from wsabench.agents.fusions.base import Shapes
from wsabench.agents.network import Initialiser
from wsabench.agents.spec import AgentSpec

_ACTIVATIONS: dict[str, nn.Module] = {"relu": nn.ReLU(), "leaky_relu": nn.LeakyReLU(0.2), "none": nn.Identity()}


class WeightSharingAttention(AttendingFusion):
    """Scores a_i = f(Linear([c; s_i])) of adapted embeddings s_i and adapted context c; the feature is sum_i w_i s_i.

    Because all encoders share the scoring layer, any of them can be left out by masking its score. f is the ReLU in the
    paper; when all its inputs are negative no gradient comes back and the weights stay uniform. Without any f the
    context cancels in the softmax. The leaky ReLU (slope 0.2, as in graph attention) has neither fault.

    Ablations: weights that are always uniform (no scoring layer, no context), a scoring layer that is never trained,
    and one scoring layer for each place, which no newcomer has.

    References:
        Piccoli et al. 2026, "Combining Pre-Trained Models for Enhanced Feature Representation in Reinforcement
        Learning"; Velickovic et al. 2018, "Graph attention networks", eq. 3 (the leaky ReLU).
    """

    def __init__(self, spec: AgentSpec, shapes: Shapes, make: Initialiser) -> None:
        super().__init__(spec, shapes, make)
        self._activation = _ACTIVATIONS[spec.score_activation]
        if spec.score_layer == "per_encoder":
            self.allows = frozenset({"mask", "order"})
        if spec.attention == "uniform":
            return
        rows = len(spec.encoders) if spec.score_layer == "per_encoder" else 1
        self.score = make.linear(2 * spec.width, rows, gain=1.0)
        if spec.attention == "random":
            _freeze(self.score)

    def scoring_layer(self) -> nn.Parameter | None:
        """Return the scoring layer's weight, if it learns."""
        weight = self.score.weight if "score" in self._modules else None
        return weight if isinstance(weight, nn.Parameter) else None

    def scores(self, context: Tensor, adapted: Tensor) -> Tensor:
        """Return scores; Linear([c; s]) in its two halves, which saves copies of c."""
        weight_c, weight_s = self.score.weight.chunk(2, dim=1)
        with torch.autocast(adapted.device.type, enabled=False):
            from_context = (context.float()[:, None] * weight_c).sum(dim=2)
            from_encoders = (adapted.float() * weight_s).sum(dim=2)
            scores = from_context + from_encoders + self.score.bias
        return self._activation(scores)


def _freeze(layer: nn.Linear) -> None:
    """Turn a layer's parameters into buffers: stored with the agent, but nothing that an optimiser sees."""
    for name, value in list(layer.named_parameters()):
        delattr(layer, name)
        layer.register_buffer(name, value.detach())
