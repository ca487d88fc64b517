"""What an attention's weights come from, kept step by step, and the weights under the contexts of other steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from wsabench.agents.networks.fused import FusedAgent
from wsabench.agents.networks.fusions.attending import AttendingFusion
from wsabench.agents.networks.network import ActorCritic, Comparison
from wsabench.stats.context_effect import ContextEffect, context_effect

_NUMBERS_AT_ONCE = 4_000_000
"""Numbers of keys that are weighed in one piece."""


class BatchedComparisons:
    """What the weights of one step come from, batch by batch as they were computed."""

    def __init__(self, model: ActorCritic, batches: Sequence[Comparison], batch_size: int) -> None:
        """Keep the comparisons that `model` made in a step, one per batch of `batch_size` rows."""
        self._model = model
        self._batches = batches
        self._batch_size = batch_size

    def row(self, row: int) -> Comparison:
        """Return what the weights of one row come from; a copy, shape (1, ...) each."""
        batch, place = divmod(row, self._batch_size)
        return row_of(self._batches[batch], place)

    def measure(self, kept: Sequence[Comparison], generator: np.random.Generator) -> ContextEffect:
        """Measure how much the context does to the weights in some steps; see `measure_context`."""
        return measure_context(self._model, kept, generator)


def measure_context(
    model: ActorCritic, comparisons: Sequence[Comparison], generator: np.random.Generator
) -> ContextEffect:
    """Measure how much the context does to the weights in some steps; see `wsabench.stats.context_effect`.

    Args:
        model: The network that made the comparisons.
        comparisons: Of one or more steps each, at least one; places may differ in number.
        generator: Draws the steps whose contexts are lent.

    Raises:
        TypeError: The network weighs nothing by a context.
    """
    fusion = model.fusion if isinstance(model, FusedAgent) else None
    if not isinstance(fusion, AttendingFusion):
        raise TypeError(f"{type(model).__name__} weighs nothing by a context")
    every = joined(comparisons)
    device = every.keys.device

    def reweigh(steps: npt.NDArray[np.int64], contexts: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        here, there = (torch.from_numpy(rows).to(device) for rows in (steps, contexts))
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            return fusion.weigh(_rows(every, here)._replace(query=every.query[there])).cpu().numpy()

    rows = max(1, _NUMBERS_AT_ONCE // math.prod(every.keys.shape[1:]))
    return context_effect(reweigh, len(every.keys), generator, rows_at_once=rows)


def row_of(comparison: Comparison, row: int) -> Comparison:
    """Return a copy of one row, shape (1, ...) each."""
    return _rows(comparison, torch.tensor([row]))


def _rows(comparison: Comparison, rows: Tensor) -> Comparison:
    """Return copies of some rows."""
    mask, given = (None if part is None else part[rows] for part in (comparison.mask, comparison.given))
    return Comparison(comparison.query[rows], comparison.keys[rows], mask, given)


def joined(comparisons: Sequence[Comparison]) -> Comparison:
    """Return the rows of several comparisons; where the numbers of places differ, masked ones fill the smaller up."""
    num_places = max(one.keys.shape[1] for one in comparisons)
    filled = [_filled(one, num_places) for one in comparisons]
    masked, given = any(one.mask is not None for one in filled), any(one.given is not None for one in filled)
    return Comparison(
        torch.cat([one.query for one in filled]),
        torch.cat([one.keys for one in filled]),
        torch.cat([_mask(one) for one in filled]) if masked else None,
        torch.cat([_given(one) for one in filled]) if given else None,
    )


def _filled(one: Comparison, num_places: int) -> Comparison:
    missing = num_places - one.keys.shape[1]
    if missing == 0:
        return one
    # Counted from the last dimension: places are the second.
    ends = [0, 0] * (one.keys.dim() - 2) + [0, missing]
    # Weights that are not given come from the scores, and are 0 where the mask is False.
    given = None if one.given is None else functional.pad(one.given, (0, missing), value=math.nan)
    return Comparison(one.query, functional.pad(one.keys, ends), functional.pad(_mask(one), (0, missing)), given)


def _mask(one: Comparison) -> Tensor:
    """Return which places take part."""
    return torch.ones(one.keys.shape[:2], dtype=torch.bool, device=one.keys.device) if one.mask is None else one.mask


def _given(one: Comparison) -> Tensor:
    """Return the weights that are given, NaN where there are none."""
    return torch.full(one.keys.shape[:2], math.nan, device=one.keys.device) if one.given is None else one.given
