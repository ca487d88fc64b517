"""Agents whose encoders are trained with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor, nn

from wsabench.agents.networks.fused import FusedAgent
from wsabench.agents.networks.network import AS_TRAINED, Features, Lineup, Output, compute_dtype
from wsabench.agents.spec import AgentSpec
from wsabench.errors import SpecError

if TYPE_CHECKING:
    from wsabench.encoders import EncoderBank

_PIXELS = "stack"
"""Name of the feature that holds observations while the encoders are trained."""


class TunedAgent(FusedAgent):
    """A fusion and heads over encoders that learn.

    They start as the bank's: pre-trained or random, batch normalisation folded into the convolutions, the
    standardisation as it was measured, which stays as it is. In training mode the features are the observations, and
    `forward` runs the encoders, with gradients; in evaluation mode `prepare` runs them, so that all that works on
    embeddings (encoder perturbations) works on these agents too.
    """

    def __init__(self, spec: AgentSpec, num_actions: int, bank: EncoderBank, seed: int | None) -> None:
        """Take copies of the bank's encoders."""
        super().__init__(spec, num_actions, bank.shapes, seed)
        self.encoders = nn.ModuleDict()
        self._reads: dict[str, str] = {}
        for name in spec.all_encoders:
            encoder, factor, shift = bank.trainable(name)
            if encoder.reads not in ("stack", "newest"):
                raise SpecError(
                    f"Agent {spec.name!r}: the encoder {name!r} reads {encoder.reads!r} and cannot be tuned. Allowed: "
                    "encoders of the observation (stack, newest). Set tune_encoders = false, or leave it out."
                )
            self.encoders[name] = _TunedEncoder(encoder, factor, shift)
            self._reads[name] = encoder.reads

    def prepare(self, stack: Tensor, bank: EncoderBank | None = None, inputs: object = None) -> Features:
        """Return the observations, in evaluation mode the embeddings; the bank is not used, nor are other inputs."""
        del bank, inputs
        if self.training:
            return {_PIXELS: stack}
        return {name: self._lay_out(embedding) for name, embedding in self._embed(stack).items()}

    def forward(self, features: Mapping[str, Tensor], lineup: Lineup = AS_TRAINED) -> Output:
        """Evaluate policy, value and the encoders' weights, of observations or of embeddings."""
        if _PIXELS in features:
            return self._decide(self._embed(features[_PIXELS]), lineup)
        return super().forward(features, lineup)

    def _embed(self, stack: Tensor) -> dict[str, Tensor]:
        pixels = stack.to(compute_dtype(stack.device)).div_(255)
        read = {"stack": pixels, "newest": pixels[:, -1:]}
        return {name: encoder(read[self._reads[name]]) for name, encoder in self.encoders.items()}


class _TunedEncoder(nn.Module):
    """An encoder with the standardisation of its embeddings."""

    factor: Tensor
    shift: Tensor

    def __init__(self, encoder: nn.Module, factor: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("factor", factor)
        self.register_buffer("shift", shift)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return standardised embeddings, in the type that is computed in."""
        embedding = self.encoder(pixels)
        return (embedding.float() * self.factor + self.shift).to(compute_dtype(pixels.device))
