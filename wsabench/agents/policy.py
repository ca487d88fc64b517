"""A trained agent as a policy: padded batches, a generator and encoder operations of its own for each lane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from wsabench.agents.checkpoint import AgentMeta
from wsabench.agents.networks.comparisons import BatchedComparisons, joined, row_of
from wsabench.agents.networks.fused import FusedAgent
from wsabench.agents.networks.network import ActorCritic, Comparison, Features, Lineup, Output, half_precision
from wsabench.agents.operations import EncoderOperations, Pass, take_rows
from wsabench.agents.spec import AgentSpec, HeadKind
from wsabench.errors import ShapeError
from wsabench.protocol import ActionSelection
from wsabench.types import (
    INPUT_SHAPES,
    PRIVILEGED_INPUTS,
    Abilities,
    Actions,
    AgentReads,
    Decision,
    EncoderRoster,
    FloatArray,
    Inputs,
    LaneBatch,
    Observations,
    OwnPolicy,
)
from wsabench.words import counted

if TYPE_CHECKING:
    from wsabench.encoders import EncoderBank

Q_EPSILON = 0.01
"""Share of uniformly random actions of an agent with action values under `sampled`: what DQN's training ends with."""
BATCH_SIZE = 16
"""Rows of every forward pass; smaller batches are padded, so that no row's result depends on how many there are."""


class _Seen(NamedTuple):
    """What the network says of each lane, one row per lane."""

    probabilities: FloatArray
    values: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32] | None
    comparisons: BatchedComparisons | None


class AgentPolicy(OwnPolicy):
    """A trained agent."""

    def __init__(
        self,
        model: ActorCritic,
        meta: AgentMeta,
        *,
        checkpoint_hash: str,
        bank: EncoderBank | None = None,
        action_selection: ActionSelection = "sampled",
        batch_size: int = BATCH_SIZE,
    ) -> None:
        """Take over a network.

        Args:
            model: The network.
            meta: What it is.
            checkpoint_hash: SHA-256 of its file.
            bank: The frozen encoders it needs.
            action_selection: `sampled` with each lane's generator, or `greedy`.
            batch_size: Rows of every forward pass.
        """
        self._model = model.eval().requires_grad_(requires_grad=False)
        self._bank = bank
        self.meta = meta
        self.action_selection: ActionSelection = action_selection
        self._batch_size = batch_size
        self.abilities = self._abilities(checkpoint_hash)
        self._operations = self._prepare_operations()

    def __repr__(self) -> str:
        """Return the agent, its game, its train seed, and how many parameters it has beside frozen encoders."""
        count = sum(parameter.numel() for parameter in self._model.parameters())
        return (
            f"{type(self).__name__}({self.spec.name!r}, game={self.meta.game!r}, train_seed={self.meta.train_seed}, "
            f"parameters={count:_}, action_selection={self.action_selection!r})"
        )

    @property
    def spec(self) -> AgentSpec:
        """What the agent is made of."""
        return self.meta.spec

    def act(self, observations: Observations, lanes: LaneBatch) -> Decision:
        """Choose one action per lane.

        Args:
            observations: uint8, shape (N, 4, 84, 84), newest last.
            lanes: What belongs to each row; one uniform number is drawn from each generator when sampling.

        Returns:
            The actions, with the values that the network gave, and with the attention where its fusion attends.

        Raises:
            ShapeError: Observations have another shape or type, N differs from the number of lanes, or a required
                input is missing.
            SpecError: A lane's encoder operations do not fit this agent.
        """
        seen = self._see(observations, lanes)
        actions = choose_actions(seen.probabilities, lanes.generators, self.action_selection)
        return Decision(actions, seen.values, seen.weights, seen.comparisons)

    def _abilities(self, checkpoint_hash: str) -> Abilities:
        """Return what the agent can do, by its network and its encoders."""
        fused = self._model.encoder_names
        return Abilities(
            name=self.spec.name,
            train_seed=self.meta.train_seed,
            checkpoint_hash=checkpoint_hash,
            inputs=() if self._bank is None else self._bank.required_inputs,
            batch_size=self._batch_size,
            attends_to=fused if self._model.has_weights else (),
            is_deterministic=self.action_selection == "greedy",
            num_actions=self.meta.num_actions,
            encoder_roster=self._roster,
            encoder_hashes=self.meta.encoder_hashes,
            reads=self._reads(fused),
        )

    @property
    def _roster(self) -> EncoderRoster:
        """The agent's encoders, as operations check them."""
        return EncoderRoster(
            agent=self.spec.name,
            fused=self._model.encoder_names,
            context=self.spec.context,
            available=self._available,
            allows=self._model.allows,
            num_kept=len(self._model.encoder_names),
        )

    @property
    def _available(self) -> tuple[str, ...]:
        """All encoders that run."""
        return () if self._bank is None else tuple(self._bank.shapes)

    def _reads(self, fused: tuple[str, ...]) -> AgentReads:
        """Return what its decisions can depend on, whatever its weights."""
        names = (*fused, *([self.spec.context] if self.spec.reads_context and self.spec.context else ()))
        inputs = {} if self._bank is None else self._bank.inputs_of
        return AgentReads(
            encoders=tuple(dict.fromkeys(names)),
            context=self.spec.context,
            available=self._available,
            pixels=not names or any(inputs.get(name) not in PRIVILEGED_INPUTS for name in names),
        )

    def _prepare_operations(self) -> EncoderOperations | None:
        """Return what applies encoder operations; None without encoders."""
        if not isinstance(self._model, FusedAgent) or self._bank is None:
            return None
        return EncoderOperations(self._model, self._roster, self._bank.shapes)

    def action_probabilities(self, observations: Observations, lanes: LaneBatch) -> FloatArray:
        """Return how probable each action is, float64, shape (N, num_actions); a step for the lanes, as `act` is.

        Raises:
            ShapeError: As `act`.
            SpecError: As `act`.
        """
        return self._see(observations, lanes).probabilities

    def _see(self, observations: Observations, lanes: LaneBatch) -> _Seen:
        """Return what the network says of each lane."""
        _check_observations(observations, len(lanes.ids))
        self._check_inputs(lanes.inputs, len(lanes.ids))
        probabilities, weights, values, comparisons = [], [], [], []
        for start in range(0, len(observations), self._batch_size):
            output = self._evaluate(observations, lanes, start)
            count = min(self._batch_size, len(observations) - start)
            probabilities.append(action_distribution(output.logits[:count], self.spec.heads))
            values.append(output.value[:count].float().numpy())
            if output.weights is not None:
                weights.append(output.weights[:count].float().numpy())
            if output.comparison is not None:
                comparisons.append(output.comparison)
        is_compared = bool(weights) and self.spec.needs_context
        return _Seen(
            np.concatenate(probabilities),
            np.concatenate(values),
            np.concatenate(weights) if weights else None,
            BatchedComparisons(self._model, comparisons, self._batch_size) if is_compared else None,
        )

    def _evaluate(self, observations: Observations, lanes: LaneBatch, start: int = 0) -> Output:
        """Run one padded batch, its first row the lane `start`."""
        rows = observations[start : start + self._batch_size]
        padded = torch.from_numpy(padded_rows(rows, self._batch_size))
        inputs = {
            name: torch.from_numpy(padded_rows(lanes.inputs[name][start : start + self._batch_size], self._batch_size))
            for name in self.abilities.inputs
        }
        with torch.no_grad(), half_precision():
            features = self._model.prepare(padded, self._bank, inputs)
            passes = self._passes(features, lanes, start, len(rows))
            if len(passes) == 1 and not passes[0].lineup.newcomers:
                return self._model(features, passes[0].lineup)
            outputs = [self._model(take_rows(features, one.rows), one.lineup) for one in passes]
        return _joined(outputs, passes, self._batch_size, len(self._model.encoder_names))

    def _check_inputs(self, inputs: Inputs, num_lanes: int) -> None:
        for name in self.abilities.inputs:
            wanted, value = (num_lanes, *INPUT_SHAPES[name]), inputs.get(name)
            if value is None or value.shape != wanted or value.dtype != np.uint8:
                found = "missing" if value is None else f"{value.dtype} of shape {value.shape}"
                raise ShapeError(
                    f"An encoder of {self.spec.name!r} reads {name}, which is {found} in LaneBatch.inputs. Allowed: "
                    f"uint8 of shape {wanted}; make_vec(..., inputs=[{name!r}]) supplies it."
                )

    def _passes(self, features: Features, lanes: LaneBatch, start: int, count: int) -> list[Pass]:
        """Apply the lanes' encoder operations to the features; return the passes through the network they need."""
        if self._operations is not None:
            return self._operations.apply(features, lanes, start, count)
        for operations in lanes.encoder_operations:
            self.abilities.check(operations)
        return [Pass(tuple(range(self._batch_size)), Lineup())]


def padded_rows(rows: npt.NDArray[np.uint8], size: int = BATCH_SIZE) -> npt.NDArray[np.uint8]:
    """Return rows with zeros behind them, `size` in all."""
    padded = np.zeros((size, *rows.shape[1:]), np.uint8)
    padded[: len(rows)] = rows
    return padded


def _joined(outputs: Sequence[Output], passes: Sequence[Pass], size: int, num_encoders: int) -> Output:
    """Return the outputs of several passes as one batch; of the weights those of the trained encoders."""
    logits = outputs[0].logits.new_zeros(size, outputs[0].logits.shape[1])
    value = outputs[0].value.new_zeros(size)
    weights = None if outputs[0].weights is None else outputs[0].weights.new_zeros(size, num_encoders)
    for output, one in zip(outputs, passes, strict=True):
        rows, count = list(one.rows), len(one.rows)
        logits[rows], value[rows] = output.logits[:count], output.value[:count]
        if weights is not None and output.weights is not None:
            weights[rows] = output.weights[:count, :num_encoders]
    return Output(logits, value, weights, _joined_comparison(outputs, passes))


def _joined_comparison(outputs: Sequence[Output], passes: Sequence[Pass]) -> Comparison | None:
    """Return what the weights of several passes come from, in the order of the batch's rows; None without a context."""
    by_row = {
        row: row_of(output.comparison, place)
        for output, one in zip(outputs, passes, strict=True)
        if output.comparison is not None
        for place, row in enumerate(one.rows)
    }
    return joined([by_row[row] for row in sorted(by_row)]) if by_row else None


def action_distribution(logits: torch.Tensor, heads: HeadKind, epsilon: float = Q_EPSILON) -> FloatArray:
    """Return how probable each action is under `sampled`.

    Args:
        logits: Of the network, shape (N, num_actions): log probabilities, or action values where `heads` is `q`.
        heads: The kind of heads. `q`: the best action (the first of equals) has probability 1 - `epsilon`, and
            `epsilon` is shared out evenly among all actions, the best included.
        epsilon: Share of uniformly random actions where there are action values.

    Returns:
        float64, shape (N, num_actions), rows sum to 1; `greedy` takes the most probable, so the best action value.
    """
    if heads == "actor_critic":
        return logits.double().softmax(dim=1).cpu().numpy()
    best = logits.argmax(dim=1).cpu().numpy()
    probabilities = np.full(tuple(logits.shape), epsilon / logits.shape[1])
    probabilities[np.arange(len(best)), best] += 1.0 - epsilon
    return probabilities


def choose_actions(
    probabilities: FloatArray, generators: Sequence[np.random.Generator], action_selection: ActionSelection
) -> Actions:
    """Choose one action per row.

    Args:
        probabilities: float64, shape (N, num_actions), rows sum to 1.
        generators: One per row; each gives one uniform number when sampling, none when greedy.
        action_selection: `sampled`: the smallest action whose cumulative probability exceeds the number. `greedy`: the
            most probable, the first of equals.

    Returns:
        int64, shape (N,).
    """
    if action_selection == "greedy":
        return probabilities.argmax(axis=1).astype(np.int64)
    uniform = np.array([generator.random() for generator in generators])
    cumulative = probabilities.cumsum(axis=1)
    # Rounding can leave the last sum a hair below 1.
    chosen = (cumulative <= uniform[:, None]).sum(axis=1)
    return np.minimum(chosen, probabilities.shape[1] - 1).astype(np.int64)


def _check_observations(observations: Observations, num_lanes: int) -> None:
    shape = getattr(observations, "shape", None)
    dtype = getattr(observations, "dtype", None)
    if shape is None or shape[1:] != (4, 84, 84) or dtype != np.uint8 or shape[0] != num_lanes:
        raise ShapeError(
            f"Observations are {dtype} {shape} for {counted(num_lanes, 'lane')}. Allowed: uint8, shape "
            f"({num_lanes}, 4, 84, 84)."
        )
