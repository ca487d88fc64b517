"""Scaled dot-product attention with the context as the query."""

from __future__ import annotations

import math

from torch import Tensor

from wsabench.agents.networks.fusions.attending import AttendingFusion


class DotProductAttention(AttendingFusion):
    """Scores a_i = c . s_i / sqrt(d) of adapted embeddings s_i and adapted context c of size d.

    The adapted context is the query, the adapted embeddings are keys and values alike: the number of parameters that is
    published leaves no room for further projections.

    References:
        Vaswani et al. 2017, "Attention is all you need", eq. 1; Piccoli et al. 2026 for its use here.
    """

    def query(self, context: Tensor) -> Tensor:
        """Return the context as it is."""
        return context

    def keys(self, adapted: Tensor) -> Tensor:
        """Return the embeddings as they are."""
        return adapted

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """Return the scaled products."""
        return (query[:, None] * keys).sum(dim=2) / math.sqrt(keys.shape[2])
