"""Encoder operations at work: each lane's own, with what it remembers from step to step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from wsabench.agents.networks.fused import FusedAgent
from wsabench.agents.networks.network import Features, Lineup, Newcomer
from wsabench.errors import ShapeError, SpecError
from wsabench.types import Embedding, EncoderOperation, EncoderRoster, EncoderState, LaneBatch


class Pass(NamedTuple):
    """Rows of a batch that go through the fusion together, because the same newcomers joined in them."""

    rows: tuple[int, ...]
    """Rows of the batch; those that only pad it are in none."""
    lineup: Lineup
    """Row i belongs to the batch's row `rows[i]`; further rows pad it to the batch's size."""


@dataclass(slots=True)
class _Running:
    """The operations of one lane's episode."""

    operations: tuple[EncoderOperation, ...]
    states: tuple[EncoderState, ...]


class EncoderOperations:
    """Applies encoder operations, lane by lane; nothing couples lanes."""

    def __init__(self, model: FusedAgent, roster: EncoderRoster, shapes: dict[str, tuple[int, ...]]) -> None:
        """Prepare.

        Args:
            model: The agent's network, trained; newcomers' adapters are made from it when first needed.
            roster: The agent's encoders.
            shapes: Shape of one embedding of every encoder that runs.
        """
        self._model = model
        self._roster = roster
        self._shapes = shapes
        self._running: dict[int, _Running] = {}
        self._newcomers: dict[str, Newcomer] = {}
        self._checked: set[tuple[EncoderOperation, ...]] = set()

    def apply(self, features: Features, lanes: LaneBatch, start: int, count: int) -> list[Pass]:
        """Let the operations of some lanes change what the fusion gets.

        Args:
            features: What the network prepared for a padded batch, at least `count` rows; changed features are replaced
                in it by changed copies.
            lanes: All lanes.
            start: The lane that is the batch's first row.
            count: Rows that are lanes; those after them pad the batch.

        Returns:
            The passes through the fusion that are needed; every lane is in one.

        Raises:
            ShapeError: An operation gives an embedding of another shape, or a lane has no generator for its operations.
            SpecError: An operation does not fit the agent.
        """
        size = len(next(iter(features.values())))
        batch = _Batch(self._model, features)
        rows = [_Row(batch, row, self._roster) for row in range(count)]
        for row in rows:
            for state in self._states(lanes, start + row.index):
                state.apply(row)
        groups: dict[tuple[str, ...], list[_Row]] = {}
        for row in rows:
            groups.setdefault(row.newcomers, []).append(row)
        return [self._pass(names, members, size) for names, members in groups.items()]

    def _states(self, lanes: LaneBatch, index: int) -> tuple[EncoderState, ...]:
        """Return the states of a lane, started anew with its episode."""
        operations, lane = lanes.encoder_operations[index], int(lanes.ids[index])
        if not operations:
            self._running.pop(lane, None)
            return ()
        running = self._running.get(lane)
        if running is None or lanes.episode_starts[index] or running.operations != operations:
            if operations not in self._checked:
                self._roster.check(operations)
                self._checked.add(operations)
            generator = lanes.encoder_generators[index] if lanes.encoder_generators else None
            if generator is None:
                raise ShapeError(f"Lane {lane} has encoder operations but no generator for them. Pass one per lane.")
            # A stream for each, so that what one draws does not depend on what stands before it.
            streams = generator.spawn(len(operations))
            states = tuple(op.start(stream) for op, stream in zip(operations, streams, strict=True))
            running = self._running[lane] = _Running(operations, states)
        return running.states

    def _pass(self, newcomers: tuple[str, ...], rows: list[_Row], size: int) -> Pass:
        """Return the pass of rows with the same newcomers."""
        padded = [*rows, *[rows[0]] * (size - len(rows))]
        mask = torch.tensor([row.mask for row in padded])
        order = None if all(row.is_in_order for row in rows) else torch.tensor([row.order for row in padded])
        joined = tuple(self._newcomer(name) for name in newcomers)
        weights = torch.tensor([row.weights for row in padded]) if any(row.is_weighed for row in rows) else None
        return Pass(tuple(row.index for row in rows), Lineup(mask, order, joined, weights))

    def _newcomer(self, name: str) -> Newcomer:
        """Return an encoder that joins; its adapter is made once."""
        if name not in self._newcomers:
            adapter = self._model.fusion.newcomer_adapter(self._shapes[name])
            self._newcomers[name] = Newcomer(name, adapter.eval().requires_grad_(requires_grad=False))
        return self._newcomers[name]


class _Batch:
    """The features of a batch; a feature is copied before it is first changed."""

    def __init__(self, model: FusedAgent, features: Features) -> None:
        self._model = model
        self._features = features
        self._copied: set[str] = set()

    def shape(self, name: str) -> tuple[int, ...]:
        return self._model.embedding_shape(self._features[name])

    def read(self, name: str, row: int) -> Embedding:
        return self._model.read_embedding(self._features[name], row)

    def write(self, name: str, row: int, embedding: Embedding) -> None:
        if name not in self._copied:
            # The encoders computed it in inference mode, where torch forbids changes from outside.
            self._features[name] = self._features[name].clone()
            self._copied.add(name)
        self._model.write_embedding(self._features[name], row, embedding)


class _Row:
    """One row of a batch, as operations see it: `wsabench.types.LaneEncoders`."""

    def __init__(self, batch: _Batch, index: int, roster: EncoderRoster) -> None:
        self.index = index
        self.context = roster.context or ""
        self.fused = self.places = roster.fused
        self._num_trained = len(roster.fused)
        self._batch = batch
        self._dropped: set[str] = set()
        self._given: Mapping[str, float] | None = None

    @property
    def kept(self) -> tuple[str, ...]:
        return tuple(name for name in self.fused if name not in self._dropped)

    @property
    def newcomers(self) -> tuple[str, ...]:
        return self.fused[self._num_trained :]

    @property
    def mask(self) -> list[bool]:
        return [name not in self._dropped for name in self.fused]

    @property
    def order(self) -> list[int]:
        return [self.fused.index(name) for name in self.places]

    @property
    def is_in_order(self) -> bool:
        return self.places == self.fused

    @property
    def is_weighed(self) -> bool:
        return self._given is not None

    @property
    def weights(self) -> list[float]:
        """The given weights of those that are kept, which sum to 1; NaN where none are given."""
        if self._given is None:
            return [math.nan] * len(self.fused)
        kept = {name: self._given.get(name, 0.0) for name in self.kept}
        total = sum(kept.values())
        if total <= 0:  # of those that have a weight none is left
            return [float(kept_one) / len(kept) for kept_one in self.mask]
        return [kept.get(name, 0.0) / total for name in self.fused]

    def embedding(self, name: str) -> Embedding:
        return self._batch.read(name, self.index)

    def replace(self, name: str, embedding: Embedding) -> None:
        wanted = self._batch.shape(name)
        if embedding.shape != wanted or embedding.dtype != np.float32:
            raise ShapeError(
                f"An encoder operation gave {embedding.dtype} of shape {embedding.shape} for {name}. "
                f"Allowed: float32, shape {wanted}."
            )
        self._batch.write(name, self.index, embedding)

    def drop(self, name: str) -> None:
        if self.kept == (name,):
            raise SpecError(f"All encoders would be left out, {name} the last. Keep at least one.")
        self._dropped.add(name)

    def arrange(self, names: Sequence[str]) -> None:
        if sorted(names) != sorted(self.fused):
            raise SpecError(f"The places would go to {', '.join(names)}. Allowed: {', '.join(self.fused)}, each once.")
        self.places = tuple(names)

    def join(self, name: str) -> None:
        self.fused = (*self.fused, name)
        self.places = (*self.places, name)

    def weigh(self, weights: Mapping[str, float]) -> None:
        self._given = dict(weights)


def take_rows(features: Features, rows: Sequence[int]) -> Features:
    """Return some rows of features, padded with the first of them to as many rows as there were."""
    size = len(next(iter(features.values())))
    padded = torch.tensor([*rows, *[rows[0]] * (size - len(rows))])
    return {name: feature[padded] for name, feature in features.items()}
