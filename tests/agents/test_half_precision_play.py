"""Half precision and folded encoders play alike: greedy actions of shipped agents beside plain float32 ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import wsabench
from wsabench.agents import AgentPolicy, load_agent
from wsabench.agents.policy import choose_actions
from wsabench.encoders import find_encoder
from wsabench.encoders.standardisation import encoder_input
from wsabench.seeding import generator
from wsabench.types import LaneBatch

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.oracle]

LANES = 16
LARGEST_SHARE = 0.01
"""Of greedy actions that may differ."""


def played(policy: AgentPolicy, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return observations of sampled play, uint8 (steps * LANES, 4, 84, 84), and the greedy actions on them.

    Of two steps one is kept: what follows looks much like it.
    """
    ids = np.arange(LANES)
    batch = LaneBatch(ids, tuple(generator(lane, "play") for lane in ids), ids < 0, ((),) * LANES)
    seen, actions = [], []
    envs = wsabench.make_vec("breakout", LANES, seed=0, protocol=wsabench.Protocol.evaluation())
    observations, _ = envs.reset(seed=0)
    for step in range(2 * steps):
        probabilities = policy.action_probabilities(observations, batch)
        if step % 2:
            seen.append(observations)
            actions.append(probabilities.argmax(axis=1))
        observations, *_ = envs.step(choose_actions(probabilities, batch.generators, "sampled"))
    envs.close()
    return np.concatenate(seen), np.concatenate(actions)


@torch.no_grad()
def plain_greedy(policy: AgentPolicy, observations: np.ndarray) -> np.ndarray:
    """Evaluate the agent step by step in float32: encoders as they were trained, standardised, no half precision."""
    spec, actions = policy.spec, []
    encoders = {name: find_encoder(policy.meta.game, name) for name in spec.all_encoders}
    for part in np.split(observations, len(observations) // LANES):
        stack = torch.from_numpy(part)
        if not encoders:
            features = policy._model.prepare(stack, None)
        else:
            features = {}
            for name, found in encoders.items():
                embedding = found.encoder.eval()(encoder_input(stack, found.encoder))
                mean, scale = found.standardisation.mean, found.standardisation.scale
                embedding = (embedding - mean) / scale
                features[name] = embedding.permute(0, 2, 3, 1) if embedding.dim() == 4 else embedding
        actions.append(policy._model(features).logits.argmax(dim=1).numpy())
    return np.concatenate(actions)


def share_that_differs(agent: str, number: int) -> float:
    policy = load_agent(agent, game="breakout")
    observations, ours = played(policy, -(-number // LANES))
    plain = plain_greedy(policy, observations)
    assert len(set(plain.tolist())) > 2, "an agent that hardly chooses shows nothing"
    return float((ours != plain).mean())


@pytest.mark.parametrize("agent", ["wsa", "e2e"])
def test_at_most_one_greedy_action_in_a_hundred_differs_on_250_observations(agent: str) -> None:
    assert share_that_differs(agent, 250) <= LARGEST_SHARE


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["wsa", "e2e"])
def test_at_most_one_greedy_action_in_a_hundred_differs_on_5000_observations(agent: str) -> None:
    assert share_that_differs(agent, 5000) <= LARGEST_SHARE
