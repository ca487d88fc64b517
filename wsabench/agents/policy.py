"""A trained agent as a policy: padded batches, a generator and encoder operations of its own for each lane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from wsabench.agents.checkpoint import AgentMeta
from wsabench.agents.networks.comparisons import joined, measure_context, row_of
from wsabench.agents.networks.fused import FusedAgent
from wsabench.agents.networks.network import ActorCritic, Comparison, Features, Lineup, Output, half_precision
from wsabench.agents.operations import EncoderOperations, Pass, check_operations, take_rows
from wsabench.agents.spec import AgentSpec, HeadKind
from wsabench.errors import ShapeError, SpecError
from wsabench.protocol import ActionSelection
from wsabench.stats.context_effect import ContextEffect
from wsabench.types import (
    INPUT_SHAPES,
    PRIVILEGED_INPUTS,
    Actions,
    AgentReads,
    EncoderOperation,
    EncoderRoster,
    FloatArray,
    Inputs,
    LaneBatch,
    Observations,
)

if TYPE_CHECKING:
    from wsabench.encoders import EncoderBank

Q_EPSILON = 0.01
"""Share of uniformly random actions of an agent with action values under `sampled`: what DQN's training ends with."""
BATCH_SIZE = 16
"""Rows of every forward pass; smaller batches are padded, so that no row's result depends on how many there are."""


class AttendedActions(NamedTuple):
    """Actions with the attention that led to them."""

    actions: Actions
    """int64, shape (N,)."""
    weights: npt.NDArray[np.float32]
    """Weight of each encoder, shape (N, num_encoders); columns as in `encoder_names`. Rows sum to 1; where an encoder
    joined after training, to less: the rest is the newcomer's weight."""


class AgentPolicy:
    """A trained agent without attention; `AttentionPolicy` is the one with it."""

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

        After each call that evaluates observations, `last_values` holds the value that the network gave each row,
        float32, shape (N,); a recorder reads it.
        """
        self._model = model.eval().requires_grad_(requires_grad=False)
        self._bank = bank
        self.meta = meta
        self.checkpoint_hash = checkpoint_hash
        self.action_selection: ActionSelection = action_selection
        self.batch_size = batch_size
        self.last_values: npt.NDArray[np.float32] = np.zeros(0, np.float32)
        self._last_comparisons: list[Comparison] = []
        self._operations = self._prepare_operations()

    @property
    def name(self) -> str:
        """The agent's name, as in result tables."""
        return self.meta.spec.name

    @property
    def game(self) -> str:
        """The game it was trained on."""
        return self.meta.game

    @property
    def train_seed(self) -> int:
        """Identifies the training run."""
        return self.meta.train_seed

    @property
    def spec(self) -> AgentSpec:
        """What the agent is made of."""
        return self.meta.spec

    @property
    def encoder_names(self) -> tuple[str, ...]:
        """The fused encoders, in the order of attention weights; empty without."""
        return self._model.encoder_names

    @property
    def required_inputs(self) -> tuple[str, ...]:
        """What its encoders read beside observations (`rgb84`, `ram`); it has to be in `LaneBatch.inputs`."""
        return () if self._bank is None else self._bank.required_inputs

    @property
    def reads(self) -> AgentReads:
        """What its decisions can depend on, whatever its weights."""
        names = (*self.encoder_names, *([self.spec.context] if self.spec.reads_context and self.spec.context else ()))
        inputs = {} if self._bank is None else self._bank.inputs_of
        return AgentReads(
            encoders=tuple(dict.fromkeys(names)),
            context=self.spec.context,
            available=() if self._bank is None else tuple(self._bank.shapes),
            pixels=not names or any(inputs.get(name) not in PRIVILEGED_INPUTS for name in names),
        )

    def act(self, observations: Observations, lanes: LaneBatch) -> Actions:
        """Choose one action a lane.

        Args:
            observations: uint8, shape (N, 4, 84, 84), newest last.
            lanes: What belongs to each row; one uniform number is drawn from each generator when sampling.

        Returns:
            Action indices, int64, shape (N,).

        Raises:
            ShapeError: Observations have another shape or type, N differs from the number of lanes, or a required
                input is missing.
            SpecError: A lane's encoder operations do not fit this agent.
        """
        return self._decide(observations, lanes)[0]

    def check_encoder_operations(self, operations: Sequence[EncoderOperation]) -> None:
        """Check that encoder operations fit this agent, in this order.

        Raises:
            SpecError: They do not; the message says why.
        """
        check_operations(operations, self._roster())

    def _roster(self) -> EncoderRoster:
        """Return the agent's encoders, as operations check them."""
        return EncoderRoster(
            agent=self.name,
            fused=self.encoder_names,
            context=self.spec.context,
            available=() if self._bank is None else tuple(self._bank.shapes),
            allows=self._model.allows,
            num_kept=len(self.encoder_names),
        )

    def _prepare_operations(self) -> EncoderOperations | None:
        """Return what applies encoder operations; None without encoders."""
        if not isinstance(self._model, FusedAgent) or self._bank is None:
            return None
        return EncoderOperations(self._model, self._roster(), self._bank.shapes)

    def action_probabilities(self, observations: Observations, lanes: LaneBatch) -> FloatArray:
        """Return how probable each action is, float64, shape (N, num_actions); a step for the lanes, as `act` is.

        Raises:
            ShapeError: As `act`.
            SpecError: As `act`.
        """
        return self._distributions(observations, lanes)[0]

    def _decide(self, observations: Observations, lanes: LaneBatch) -> tuple[Actions, npt.NDArray[np.float32] | None]:
        probabilities, weights = self._distributions(observations, lanes)
        return choose_actions(probabilities, lanes.generators, self.action_selection), weights

    def _distributions(
        self, observations: Observations, lanes: LaneBatch
    ) -> tuple[FloatArray, npt.NDArray[np.float32] | None]:
        """Return the probabilities of the actions and the weights of the encoders, one row a lane."""
        _check_observations(observations, len(lanes.ids))
        self._check_inputs(lanes.inputs, len(lanes.ids))
        probabilities, weights, values = [], [], []
        self._last_comparisons = []
        for start in range(0, len(observations), self.batch_size):
            output = self._evaluate(observations, lanes, start)
            count = min(self.batch_size, len(observations) - start)
            probabilities.append(action_distribution(output.logits[:count], self.spec.heads))
            values.append(output.value[:count].float().numpy())
            if output.weights is not None:
                weights.append(output.weights[:count].float().numpy())
            if output.comparison is not None:
                self._last_comparisons.append(output.comparison)
        self.last_values = np.concatenate(values)
        return np.concatenate(probabilities), np.concatenate(weights) if weights else None

    def _evaluate(self, observations: Observations, lanes: LaneBatch, start: int = 0) -> Output:
        """Run one padded batch, its first row the lane `start`."""
        rows = observations[start : start + self.batch_size]
        padded = _padded(rows, self.batch_size)
        inputs = {
            name: _padded(lanes.inputs[name][start : start + self.batch_size], self.batch_size)
            for name in self.required_inputs
        }
        with torch.no_grad(), half_precision():
            features = self._model.prepare(padded, self._bank, inputs)
            passes = self._passes(features, lanes, start, len(rows))
            if len(passes) == 1 and not passes[0].lineup.newcomers:
                return self._model(features, passes[0].lineup)
            outputs = [self._model(take_rows(features, one.rows), one.lineup) for one in passes]
        return _joined(outputs, passes, self.batch_size, len(self.encoder_names))

    def _check_inputs(self, inputs: Inputs, num_lanes: int) -> None:
        for name in self.required_inputs:
            wanted, value = (num_lanes, *INPUT_SHAPES[name]), inputs.get(name)
            if value is None or value.shape != wanted or value.dtype != np.uint8:
                found = "missing" if value is None else f"{value.dtype} of shape {value.shape}"
                raise ShapeError(
                    f"An encoder of {self.name!r} reads {name}, which is {found} in LaneBatch.inputs. Allowed: uint8 "
                    f"of shape {wanted}; make_vec(..., inputs=[{name!r}]) supplies it."
                )

    def _passes(self, features: Features, lanes: LaneBatch, start: int, count: int) -> list[Pass]:
        """Apply the lanes' encoder operations to the features; return the passes through the network they need."""
        if self._operations is not None:
            return self._operations.apply(features, lanes, start, count)
        for operations in lanes.encoder_operations:
            if operations:
                self.check_encoder_operations(operations)
        return [Pass(tuple(range(self.batch_size)), Lineup())]


class AttentionPolicy(AgentPolicy):
    """A trained agent whose fusion weighs encoders."""

    def act_with_attention(self, observations: Observations, lanes: LaneBatch) -> AttendedActions:
        """Choose as `act` does, and also return the weights of the encoders.

        Raises:
            ShapeError: As `act`.
            SpecError: As `act`.
        """
        actions, weights = self._decide(observations, lanes)
        if weights is None:
            raise SpecError(f"The fusion of {self.name!r} gives no attention weights. Use `act`.")
        return AttendedActions(actions, weights)

    @property
    def has_comparisons(self) -> bool:
        """Whether it compares with a context, so that `comparison` and `measure_context` can be called."""
        return self.spec.needs_context

    def comparison(self, row: int) -> Comparison:
        """Return what the weights of one row of the last call come from; a copy, shape (1, ...) each.

        Args:
            row: A row of the observations of that call.
        """
        batch, place = divmod(row, self.batch_size)
        return row_of(self._last_comparisons[batch], place)

    def measure_context(self, comparisons: Sequence[Comparison], generator: np.random.Generator) -> ContextEffect:
        """Measure how much the context does to the weights in some steps; see `wsabench.stats.context_effect`.

        Args:
            comparisons: What `comparison` gave in these steps, at least one.
            generator: Draws the steps whose contexts are lent.
        """
        return measure_context(self._model, comparisons, generator)


def _padded(rows: npt.NDArray[np.uint8], size: int) -> torch.Tensor:
    """Return rows with zeros behind them, `size` in all."""
    padded = np.zeros((size, *rows.shape[1:]), np.uint8)
    padded[: len(rows)] = rows
    return torch.from_numpy(padded)


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


def action_distribution(logits: torch.Tensor, heads: HeadKind) -> FloatArray:
    """Return how probable each action is under `sampled`.

    Args:
        logits: Of the network, shape (N, num_actions): log probabilities, or action values where `heads` is `q`.
        heads: The kind of heads. `q`: the best action (the first of equals) has probability 1 - `Q_EPSILON`, and
            `Q_EPSILON` is shared out evenly among all actions, the best included.

    Returns:
        float64, shape (N, num_actions), rows sum to 1; `greedy` takes the most probable, so the best action value.
    """
    if heads == "actor_critic":
        return logits.double().softmax(dim=1).cpu().numpy()
    best = logits.argmax(dim=1).cpu().numpy()
    probabilities = np.full(tuple(logits.shape), Q_EPSILON / logits.shape[1])
    probabilities[np.arange(len(best)), best] += 1.0 - Q_EPSILON
    return probabilities


def choose_actions(
    probabilities: FloatArray, generators: Sequence[np.random.Generator], action_selection: ActionSelection
) -> Actions:
    """Choose one action a row.

    Args:
        probabilities: float64, shape (N, num_actions), rows sum to 1.
        generators: One a row; each gives one uniform number when sampling, none when greedy.
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
            f"Observations are {dtype} {shape} for {num_lanes} lanes. Allowed: uint8, shape ({num_lanes}, 4, 84, 84)."
        )
