"""Fusions that weigh adapted embeddings by their scores against an adapted context."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from wsabench.agents.networks.adapters import LinearAdapter, make_adapter
from wsabench.agents.networks.fusions.adapted import AdaptedFusion
from wsabench.agents.networks.fusions.base import Fused, Shapes
from wsabench.agents.networks.network import Comparison, Initialiser
from wsabench.agents.spec import AgentSpec


class AttendingFusion(AdaptedFusion):
    """The softmax of scores weighs the encoders; the feature is the weighted sum. Scoring is the subclass's."""

    allows = frozenset({"mask", "order", "newcomers", "weights"})
    has_weights = True

    def __init__(self, spec: AgentSpec, shapes: Shapes, make: Initialiser) -> None:
        """Build adapters, that of the context last; none for the context where all weights are the same.

        In adapter style `compact` a context that is a map is flattened as it is, in style `paper` shrunk like others.
        """
        super().__init__(spec, shapes, make)
        self.feature_size = spec.width
        self._context = spec.context if spec.needs_context else None
        if self._context is None:
            self.allows = self.allows - {"weights"}
        else:
            shape = tuple(shapes[self._context])
            plain = spec.adapter_style == "compact"
            self.context = (
                LinearAdapter(math.prod(shape), spec.width, make) if plain else make_adapter(shape, spec, make)
            )

    def windows(self, name: str, maps: Tensor) -> Tensor:
        """Return an encoder's maps as they are read fastest; the context's, which two adapters may read, stay."""
        return maps if name == self._context else super().windows(name, maps)

    @abc.abstractmethod
    def query(self, context: Tensor) -> Tensor:
        """Return what adapted contexts (N, width) bring to the scores, float32, shape (N, ...)."""

    @abc.abstractmethod
    def keys(self, adapted: Tensor) -> Tensor:
        """Return what the places (N, num_places, width) bring to the scores, float32, shape (N, num_places, ...)."""

    @abc.abstractmethod
    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """Return the scores of places, float32, shape (N, num_places), of what `query` and `keys` gave."""

    def weigh(self, comparison: Comparison) -> Tensor:
        """Return the weights of the places, float32, shape (N, num_places); those of masked places are exactly 0.

        Args:
            comparison: As a forward pass gave it, or with the queries of other steps.
        """
        weights = _softmax(self.scores(comparison.query, comparison.keys), comparison.mask)
        given = comparison.given
        return weights if given is None else torch.where(given.isnan(), weights, given)

    def combine(
        self, adapted: Tensor, embeddings: Mapping[str, Tensor], mask: Tensor | None, given: Tensor | None
    ) -> Fused:
        """Combine; see `AdaptedFusion.combine`. The weights of masked encoders are exactly 0."""
        comparison = None
        if self._context is None:
            weights = _softmax(adapted.new_zeros(adapted.shape[:2], dtype=torch.float32), mask)
        else:
            context = self.context(embeddings[self._context])
            with torch.autocast(adapted.device.type, enabled=False):
                query = self.query(context.float())
                comparison = Comparison(query, self.keys(adapted.float()), mask, given)
                weights = self.weigh(comparison)
        # A plain product and sum: a batched matrix product would round by batch size.
        feature = (weights[:, :, None] * adapted.float()).sum(dim=1)
        return Fused(feature, weights, comparison)


def _softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Return weights of places by their scores, both (N, num_places)."""
    return (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(dim=1)
