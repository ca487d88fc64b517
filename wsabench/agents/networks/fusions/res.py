"""RES: a fixed random reservoir on the concatenation."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from wsabench.agents.networks.adapters import flattened
from wsabench.agents.networks.fusions.base import Shapes
from wsabench.agents.networks.fusions.shrunk import ShrunkFusion
from wsabench.agents.networks.network import Initialiser
from wsabench.agents.spec import AgentSpec

SPECTRAL_RADIUS = 0.9
ITERATIONS = 10


class Reservoir(ShrunkFusion):
    """The feature is h_10 of h_0 = 0, h_k = tanh(U u + W h_{k-1}), with u the concatenation as in LIN.

    U and W are drawn once and never trained; they are stored with the agent. W is 0.9 times a random orthogonal matrix:
    all its eigenvalues have modulus 0.9, and no state can grow. U has independent normal entries of variance 1 / size
    of u, so that standardised embeddings give pre-activations of scale 1.

    The state iterates on one observation and is forgotten afterwards; it does not recur over an episode. That is our
    decision, the sources leave it open: learning shuffles single steps, and a state of the lane would have to be stored
    with each of them, computed by adapters that no longer exist.

    References:
        Jaeger 2001, "The 'echo state' approach to analysing and training recurrent neural networks"; White, Lee and
        Sompolinsky 2004 (orthogonal networks); Piccoli et al. 2026, the fusion called RES (tanh, spectral radius 0.9).
    """

    input_weight: Tensor
    state_weight: Tensor

    def __init__(self, spec: AgentSpec, shapes: Shapes, make: Initialiser) -> None:
        super().__init__(spec, shapes, make)
        self.feature_size = spec.width
        # Random numbers lose nothing by rounding; in half precision the agent's file is half as large.
        inputs = make.normal(spec.width, self.num_numbers, 1.0 / math.sqrt(self.num_numbers))
        self.register_buffer("input_weight", inputs.bfloat16())
        self.register_buffer("state_weight", make.orthogonal(spec.width, SPECTRAL_RADIUS))

    def combine(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Concatenate and iterate."""
        joined = torch.cat([flattened(embeddings[name]) for name in self.names], dim=1)
        driven = functional.linear(joined, self.input_weight.to(joined.dtype))
        state_weight = self.state_weight.to(driven.dtype)
        state = torch.tanh(driven)
        for _ in range(ITERATIONS - 1):
            state = torch.tanh(driven + functional.linear(state, state_weight))
        return state
