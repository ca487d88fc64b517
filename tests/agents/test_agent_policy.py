"""Trained agents as policies: rows are independent, sampling is per lane."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fake_encoders import SHAPES, FakeBank, wsa_spec

from wsabench.agents import AgentMeta, AgentPolicy, build_agent, load_spec
from wsabench.agents.policy import choose_actions
from wsabench.encoders import EncoderBank
from wsabench.errors import ShapeError
from wsabench.types import LaneBatch, Policy

STACKS = np.random.default_rng(0).integers(0, 256, (24, 4, 84, 84), dtype=np.uint8)


def meta(spec: Any) -> AgentMeta:
    return AgentMeta(
        spec=spec,
        game="breakout",
        train_seed=0,
        num_actions=4,
        steps=1,
        training={},
        encoder_hashes={},
        versions={},
    )


def e2e(**options: Any) -> AgentPolicy:
    spec = load_spec("e2e")
    return AgentPolicy(build_agent(spec, 4), meta(spec), checkpoint_hash="0", **options)


def wsa(**options: Any) -> AgentPolicy:
    spec = wsa_spec()
    model = build_agent(spec, 4, SHAPES)
    return AgentPolicy(model, meta(spec), checkpoint_hash="0", bank=FakeBank(), **options)  # pyright: ignore


def lanes(ids: np.ndarray | range | list[int]) -> LaneBatch:
    return LaneBatch(
        ids=np.array(ids, np.int64),
        generators=tuple(np.random.default_rng(100 + lane) for lane in ids),
        episode_starts=np.zeros(len(ids), np.bool_),
        encoder_operations=((),) * len(ids),
    )


@pytest.fixture(scope="module")
def real_wsa() -> AgentPolicy:
    """The shipped architecture over random encoders of the shipped architectures."""
    import torch

    spec = load_spec("wsa")
    bank = EncoderBank.random(spec.encoders, "ae", seed=0, calibration_frames=torch.from_numpy(STACKS))
    return AgentPolicy(build_agent(spec, 4, bank.shapes), meta(spec), checkpoint_hash="0", bank=bank)


@pytest.mark.parametrize("kind", ["e2e", "wsa"])
def test_a_row_never_depends_on_its_neighbours(kind: str, real_wsa: AgentPolicy) -> None:
    policy = e2e() if kind == "e2e" else real_wsa
    reference = policy._evaluate(STACKS[:16], lanes(range(16)))
    generator = np.random.default_rng(1)
    for count in (1, 5, 16):
        rows = generator.permutation(16)[:count]
        output = policy._evaluate(STACKS[rows], lanes(rows))
        assert np.array_equal(output.logits[:count].numpy(), reference.logits[rows].numpy())
        if output.weights is not None and reference.weights is not None:
            assert np.array_equal(output.weights[:count].numpy(), reference.weights[rows].numpy())


@pytest.mark.parametrize("make", [e2e, wsa])
def test_shuffled_and_refilled_lanes_act_alike(make: Any) -> None:
    policy = make()
    apart = [int(policy.act(STACKS[[row]], lanes([row])).actions[0]) for row in range(24)]
    order = np.random.default_rng(2).permutation(24)
    together = policy.act(STACKS[order], lanes(order)).actions
    assert together.tolist() == [apart[row] for row in order]
    assert together.dtype == np.int64


def test_sampling_follows_the_probabilities_with_one_number_a_row() -> None:
    probabilities = np.array([[0.5, 0.25, 0.25, 0.0]])
    generator, twin = np.random.default_rng(3), np.random.default_rng(3)
    counts = np.zeros(4)
    for _ in range(4000):
        action = choose_actions(probabilities, [generator], "sampled")[0]
        assert action == np.searchsorted([0.5, 0.75, 1.0], twin.random(), side="right")
        counts[action] += 1
    # Four standard deviations of a binomial share at 4,000 draws are below 0.032.
    np.testing.assert_allclose(counts / 4000, probabilities[0], atol=0.032)


def test_rounding_never_leads_past_the_last_action() -> None:
    class AlmostOne:
        def random(self) -> float:
            return 1 - 2**-53

    probabilities = np.full((1, 3), 1 / 3 - 1e-9)
    assert choose_actions(probabilities, [AlmostOne()], "sampled")[0] == 2  # pyright: ignore[reportArgumentType]


def test_greedy_takes_the_mode_and_draws_nothing() -> None:
    policy = e2e(action_selection="greedy")
    batch = lanes(range(24))
    before = [generator.bit_generator.state for generator in batch.generators]
    actions = policy.act(STACKS, batch).actions
    logits = policy._evaluate(STACKS[:16], lanes(range(16))).logits
    assert actions[:16].tolist() == logits.argmax(1).tolist()
    assert [generator.bit_generator.state for generator in batch.generators] == before


def test_a_decision_says_what_led_to_it_and_counts_as_its_actions() -> None:
    decision = wsa().act(STACKS, lanes(range(24)))
    assert decision.attention is not None
    assert decision.values is not None
    assert (decision.attention.shape, decision.values.shape) == ((24, 2), (24,))
    np.testing.assert_allclose(decision.attention.sum(axis=1), 1, atol=1e-6)
    taken = np.asarray(decision)
    assert taken.dtype == np.int64
    assert np.array_equal(taken, decision.actions)
    assert np.asarray(decision, dtype=np.int32).dtype == np.int32


@pytest.mark.parametrize("wrong", [STACKS[:2], STACKS[:1].astype(np.float32), STACKS[:1, :3], STACKS[0]])
def test_observations_of_another_shape_or_type_are_refused(wrong: np.ndarray) -> None:
    policy = e2e()
    with pytest.raises(ShapeError, match=r"Allowed: uint8, shape \(1, 4, 84, 84\)"):
        policy.act(wrong, lanes([0]))


def test_both_kinds_are_policies_and_only_one_has_attention() -> None:
    assert isinstance(e2e(), Policy)
    can = e2e().abilities
    assert (can.name, can.train_seed, can.batch_size, can.attends_to) == ("e2e", 0, 16, ())
    assert e2e().act(STACKS, lanes(range(24))).attention is None
    assert wsa().abilities.attends_to == ("vector", "map")
