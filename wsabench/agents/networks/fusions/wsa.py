"""Weight Sharing Attention: one scoring layer for all encoders, softmax over them, weighted sum."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsabench.agents.networks.fusions.attending import AttendingFusion
from wsabench.agents.networks.fusions.base import Shapes
from wsabench.agents.networks.network import Initialiser
from wsabench.agents.spec import AgentSpec

_ADDITIVE_GAIN = 0.1
"""Norm of v at the start: scores of a few hundredths, weights within a few per cent of uniform."""
_ACTIVATIONS: dict[str, nn.Module] = {"relu": nn.ReLU(), "leaky_relu": nn.LeakyReLU(0.2), "none": nn.Identity()}


class WeightSharingAttention(AttendingFusion):
    """Scores adapted embeddings s_i against the adapted context c; the feature is sum_i w_i s_i with w = softmax(a).

    All encoders share what scores them, so any of them can be left out by masking its score. There are two forms:

    - linear (`score_layer` `shared`, the paper's): a_i = f(w_c . c + w_s . s_i + b). f is the ReLU in the paper; when
      all its inputs are negative no gradient comes back and the weights stay uniform. The leaky ReLU (slope 0.2, as in
      graph attention) cannot die in this way. With every f that never decreases the attention is *static*: the context
      adds the same number to all inputs of f, so it never reverses the order of two encoders. Where f is linear over
      them, as both ReLUs are where all inputs have one sign and as no f at all is everywhere, it adds the same number
      to all scores and cancels in the softmax.
    - `additive`: a_i = v . tanh(W_c c + W_s s_i + b), with as many hidden units as the width. It can reverse the order
      of two encoders by the context alone.

    Ablations: weights that are always uniform (no scoring layer, no context), a scoring layer that is never trained,
    and one linear scoring layer for each place, which no newcomer has.

    References:
        Piccoli et al. 2026, "Combining Pre-Trained Models for Enhanced Feature Representation in Reinforcement
        Learning"; Velickovic et al. 2018, "Graph attention networks", eq. 3 (the leaky ReLU); Brody, Alon and Yahav
        2022, "How attentive are graph attention networks?" (static attention); Bahdanau, Cho and Bengio 2015, "Neural
        machine translation by jointly learning to align and translate", appendix A.1.2 (additive).
    """

    def __init__(self, spec: AgentSpec, shapes: Shapes, make: Initialiser) -> None:
        """Build adapters and what scores."""
        super().__init__(spec, shapes, make)
        self._activation = _ACTIVATIONS[spec.score_activation]
        self._is_additive = spec.score_layer == "additive"
        if spec.score_layer == "per_encoder":
            self.allows = self.allows - {"newcomers"}
        if spec.attention == "uniform":
            return
        if self._is_additive:
            # [W_c W_s] in one matrix. Its gain keeps the inputs of the tanh near 0, where it passes gradients on; the
            # small v starts near uniform attention. A bias beside v would cancel in the softmax.
            self.hidden = make.linear(2 * spec.width, spec.width, gain=1.0)
            self.score = make.linear(spec.width, 1, gain=_ADDITIVE_GAIN, bias=False)
        else:
            rows = len(spec.encoders) if spec.score_layer == "per_encoder" else 1
            self.score = make.linear(2 * spec.width, rows, gain=1.0)
        if spec.attention == "random":
            for name in ("hidden", "score"):
                if name in self._modules:
                    _freeze(self.get_submodule(name))

    def scoring_layer(self) -> nn.Parameter | None:
        """Return the weight of the layer that context and embeddings enter, if it learns."""
        name = "hidden" if self._is_additive else "score"
        weight = getattr(self, name).weight if name in self._modules else None
        return weight if isinstance(weight, nn.Parameter) else None

    def query(self, context: Tensor) -> Tensor:
        """Return w_c . c, shape (N, 1), or with a layer for each encoder (N, E); additive W_c c, shape (N, width)."""
        if self._is_additive:
            return functional.linear(context, self.hidden.weight.chunk(2, dim=1)[0])
        return (context[:, None] * self.score.weight.chunk(2, dim=1)[0]).sum(dim=2)

    def keys(self, adapted: Tensor) -> Tensor:
        """Return w_s . s_i, shape (N, num_places); additive W_s s_i, shape (N, num_places, width)."""
        if self._is_additive:
            return functional.linear(adapted, self.hidden.weight.chunk(2, dim=1)[1])
        return (adapted * self.score.weight.chunk(2, dim=1)[1]).sum(dim=2)

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """Return f of the sum, or v . tanh of it."""
        if self._is_additive:
            return (torch.tanh(query[:, None] + keys + self.hidden.bias) * self.score.weight[0]).sum(dim=2)
        return self._activation(query + keys + self.score.bias)


def _freeze(layer: nn.Module) -> None:
    """Turn a layer's parameters into buffers: stored with the agent, but nothing that an optimiser sees."""
    for name, value in list(layer.named_parameters()):
        delattr(layer, name)
        layer.register_buffer(name, value.detach())
