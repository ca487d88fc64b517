"""A trained agent as a policy: padded batches, a generator for each lane, encoder operations as a mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from wsabench.agents.checkpoint import AgentMeta
from wsabench.agents.network import ActorCritic, Output, half_precision
from wsabench.agents.spec import AgentSpec
from wsabench.errors import ShapeError, SpecError
from wsabench.protocol import ActionSelection
from wsabench.types import Actions, BoolArray, EncoderOperation, FloatArray, LaneBatch, Observations

if TYPE_CHECKING:
    from wsabench.encoders import EncoderBank

BATCH_SIZE = 16
"""Rows of every forward pass; smaller batches are padded, so that no row's result depends on how many there are."""


class AttendedActions(NamedTuple):
    """Actions with the attention that led to them."""

    actions: Actions
    """int64, shape (N,)."""
    weights: npt.NDArray[np.float32]
    """Weight of each encoder, shape (N, num_encoders), rows sum to 1; columns as in `encoder_names`."""


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
        """
        self._model = model.eval().requires_grad_(requires_grad=False)
        self._bank = bank
        self.meta = meta
        self.checkpoint_hash = checkpoint_hash
        self.action_selection: ActionSelection = action_selection
        self.batch_size = batch_size

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

    def act(self, observations: Observations, lanes: LaneBatch) -> Actions:
        """Choose one action a lane.

        Args:
            observations: uint8, shape (N, 4, 84, 84), newest last.
            lanes: What belongs to each row; one uniform number is drawn from each generator when sampling.

        Returns:
            Action indices, int64, shape (N,).

        Raises:
            ShapeError: Observations have another shape or type, or N differs from the number of lanes.
            SpecError: A lane's encoder operation does not fit this agent.
        """
        return self._decide(observations, lanes)[0]

    def _decide(self, observations: Observations, lanes: LaneBatch) -> tuple[Actions, npt.NDArray[np.float32] | None]:
        _check_observations(observations, len(lanes.ids))
        mask = self._mask(lanes.encoder_operations)
        probabilities, weights = [], []
        for start in range(0, len(observations), self.batch_size):
            rows = slice(start, start + self.batch_size)
            output = self._evaluate(observations[rows], mask[rows])
            count = len(observations[rows])
            probabilities.append(output.logits[:count].double().softmax(dim=1).numpy())
            if output.weights is not None:
                weights.append(output.weights[:count].float().numpy())
        chosen = choose_actions(np.concatenate(probabilities), lanes.generators, self.action_selection)
        return chosen, np.concatenate(weights) if weights else None

    def _evaluate(self, observations: Observations, mask: BoolArray) -> Output:
        """Run one padded batch."""
        count, size = len(observations), self.batch_size
        padded = np.zeros((size, *observations.shape[1:]), np.uint8)
        padded[:count] = observations
        full_mask = np.ones((size, mask.shape[1]), np.bool_)
        full_mask[:count] = mask
        with torch.no_grad(), half_precision():
            features = self._model.prepare(torch.from_numpy(padded), self._bank)
            return self._model(features, torch.from_numpy(full_mask) if self.encoder_names else None)

    def _mask(self, operations: Sequence[EncoderOperation | None]) -> BoolArray:
        """Return which encoders take part in each row, bool, shape (N, num_encoders)."""
        names = self.encoder_names
        mask = np.ones((len(operations), len(names)), np.bool_)
        for row, operation in enumerate(operations):
            if operation is None or not operation.dropped:
                continue
            if unknown := sorted(operation.dropped - set(names)):
                fused = f"it fuses {', '.join(names)}" if names else "it has no encoders"
                raise SpecError(f"The agent {self.name!r} cannot drop {', '.join(unknown)}: {fused}. Leave it out.")
            mask[row] = [name not in operation.dropped for name in names]
            if not mask[row].any():
                raise SpecError(f"All encoders of {self.name!r} would be dropped. Keep at least one.")
        return mask


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
