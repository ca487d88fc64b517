"""A network from elsewhere as a policy: padded batches, a generator and a recurrent state for each lane."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from wsabench.agents.elsewhere.layers import Network, State
from wsabench.agents.policy import BATCH_SIZE, action_distribution, choose_actions, padded_rows
from wsabench.agents.spec import HeadKind
from wsabench.errors import ShapeError
from wsabench.protocol import ActionSelection
from wsabench.types import Abilities, Decision, LaneBatch, Observations

_LaneState = tuple[torch.Tensor, torch.Tensor]


class NetworkPolicy:
    """Plays with a network in single precision; a row's result does not depend on the rows beside it."""

    def __init__(
        self,
        network: Network,
        abilities: Abilities,
        *,
        heads: HeadKind,
        action_selection: ActionSelection,
        epsilon: float = 0.0,
    ) -> None:
        """Take over a network.

        Args:
            network: The network.
            abilities: What it can do; the batch size is set here.
            heads: `actor_critic` for logits, `q` for action values.
            action_selection: `sampled` with each lane's generator, or `greedy`.
            epsilon: Of action values: the share of uniformly random actions under `sampled`.
        """
        self.network = network
        self.abilities = replace(
            abilities,
            batch_size=BATCH_SIZE,
            is_deterministic=action_selection == "greedy",
            num_actions=network.num_actions,
        )
        self._heads: HeadKind = heads
        self._action_selection: ActionSelection = action_selection
        self._epsilon = epsilon
        self._states: dict[int, _LaneState] = {}

    def __repr__(self) -> str:
        """Return the agent, its train seed, and how many parameters and actions it has."""
        parameters = self.network.parameters() if isinstance(self.network, torch.nn.Module) else ()
        return (
            f"{type(self).__name__}({self.abilities.name!r}, train_seed={self.abilities.train_seed}, "
            f"parameters={sum(one.numel() for one in parameters):_}, num_actions={self.abilities.num_actions}, "
            f"action_selection={self._action_selection!r})"
        )

    def act(self, observations: Observations, lanes: LaneBatch) -> Decision:
        """Choose one action per lane.

        Args:
            observations: uint8, shape (N, stack, size, size), newest last.
            lanes: What belongs to each row; one uniform number is drawn from each generator when sampling.

        Raises:
            ShapeError: Observations have another shape or type.
            SpecError: A lane has encoder operations; it has no encoders.
        """
        self._check(observations, lanes)
        logits, values = self.scores(observations, lanes)
        probabilities = action_distribution(logits, self._heads, self._epsilon)
        actions = choose_actions(probabilities, lanes.generators, self._action_selection)
        return Decision(actions, values.numpy().astype(np.float32))

    def scores(self, observations: Observations, lanes: LaneBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits or action values, (N, num_actions), and values, (N,); recurrent states move on."""
        logits, values = [], []
        with torch.no_grad():
            for start in range(0, len(observations), BATCH_SIZE):
                rows = observations[start : start + BATCH_SIZE]
                ids = [int(one) for one in lanes.ids[start : start + len(rows)]]
                state = self._state(ids, lanes.episode_starts[start : start + len(rows)])
                told = self.network(torch.from_numpy(padded_rows(rows)), state)
                self._keep(ids, told.state)
                logits.append(told.logits[: len(rows)])
                best = told.logits.max(dim=1).values if told.values is None else told.values
                values.append(best[: len(rows)])
        return torch.cat(logits), torch.cat(values)

    def _check(self, observations: Observations, lanes: LaneBatch) -> None:
        for operations in lanes.encoder_operations:
            self.abilities.check(operations)
        wanted = (len(lanes.ids), self.network.stack, self.network.size, self.network.size)
        if observations.shape != wanted or observations.dtype != np.uint8:
            raise ShapeError(
                f"The agent {self.abilities.name!r} gets observations {observations.dtype} {observations.shape}. It "
                f"was trained on uint8 {wanted}: play it with frame_stack={wanted[1]} and screen_size={wanted[2]}."
            )

    def _state(self, ids: list[int], starts: np.ndarray) -> State | None:
        """Return the states of some lanes, filled up to a batch; zeros at the start of an episode or a life."""
        if self.network.state_shape is None:
            return None
        layers, size = self.network.state_shape
        hidden, cells = (torch.zeros(layers, BATCH_SIZE, size, dtype=torch.float32, device="cpu") for _ in range(2))
        for row, (lane, is_start) in enumerate(zip(ids, starts, strict=True)):
            if not is_start and lane in self._states:
                hidden[:, row], cells[:, row] = self._states[lane]
        return hidden, cells

    def _keep(self, ids: list[int], state: State | None) -> None:
        """Remember the states of some lanes."""
        if state is not None:
            for row, lane in enumerate(ids):
                self._states[lane] = state[0][:, row].clone(), state[1][:, row].clone()
