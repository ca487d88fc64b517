"""Agents under encoder operations, against one observation at a time, one encoder after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from fake_encoders import FakeBank, wsa_spec
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from wsabench.agents import AgentMeta, AgentPolicy, Output, build_agent, load_spec
from wsabench.agents.networks.adapters import NewcomerAdapter
from wsabench.agents.networks.fusions import AdaptedFusion, Fused
from wsabench.agents.networks.network import Lineup
from wsabench.encoders import half_precision_is_fast
from wsabench.errors import ShapeError, SpecError
from wsabench.perturb.encoder.attention import OwnMeanAttention, UniformAttention
from wsabench.perturb.encoder.embeddings import NoisyEncoders, StaleEncoders, ZeroDrawn, ZeroEncoders
from wsabench.perturb.encoder.masks import DropDrawn, DropEncoders, FlickerEncoders
from wsabench.perturb.encoder.places import JoinEncoders, PermuteEncoders
from wsabench.types import EncoderOperation, LaneBatch

FUSED = ("a", "b", "c", "d")
SHAPES = {"a": (5,), "b": (3, 12, 12), "c": (4,), "d": (2, 6, 6), "context": (2, 4, 4)}
STEPS = 5
STACKS = np.random.default_rng(0).integers(0, 256, (STEPS, 24, 4, 84, 84), dtype=np.uint8)
Operations = tuple[EncoderOperation, ...]


@dataclass(frozen=True)
class MeanWeights:
    """An agent's own play of which only the attention counts; c never got any."""

    def attention(self) -> dict[str, float]:
        return {"a": 0.5, "b": 0.2, "c": 0.0, "d": 0.3}


CONSTANT = OwnMeanAttention().with_own_play(MeanWeights())  # pyright: ignore[reportArgumentType]
MIXED: list[Operations] = [
    (),
    (DropEncoders(("b",)),),
    (DropDrawn(2),),
    (ZeroEncoders(("fused",)),),
    (ZeroDrawn(2), NoisyEncoders(("context",), 0.4)),
    (NoisyEncoders(("fused",), 0.5),),
    (StaleEncoders(("fused",), 2),),
    (StaleEncoders(("b", "c"), 1), NoisyEncoders(("c",), 0.2), DropEncoders(("a",))),
    (FlickerEncoders(0.6),),
    (PermuteEncoders(0),),
    (JoinEncoders(("context",)),),
    (JoinEncoders(("context",)), PermuteEncoders(3), FlickerEncoders(0.5)),
    (PermuteEncoders(1), DropEncoders(("d",)), PermuteEncoders(2)),
    (UniformAttention(),),
    (CONSTANT,),
    (CONSTANT, DropDrawn(2), PermuteEncoders(1)),
    (CONSTANT, JoinEncoders(("context",)), DropEncoders(("b",))),
    (JoinEncoders(("context",)), PermuteEncoders(3), UniformAttention(), FlickerEncoders(0.5)),
    (CONSTANT, DropEncoders(("a", "b", "d"))),
]


pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.oracle]


@pytest.fixture(scope="module")
def policy() -> AgentPolicy:
    """Four fused encoders; heads strong enough that every encoder counts."""
    spec = wsa_spec(encoders=FUSED)
    model = build_agent(spec, 4, SHAPES, seed=1)
    with torch.no_grad():
        for layer in (module for module in model.modules() if isinstance(module, nn.Linear)):
            layer.bias.uniform_(-0.5, 0.5, generator=torch.Generator().manual_seed(2))
        model.heads.policy[-1].weight.mul_(100)
    return AgentPolicy(model, meta(spec), checkpoint_hash="0", bank=FakeBank(SHAPES))  # pyright: ignore


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


def batch(
    ids: Sequence[int], operations: Sequence[Operations], step: int, generators: Mapping[int, np.random.Generator]
) -> LaneBatch:
    """Return what the policy is told; generators are those of the episode."""
    return LaneBatch(
        ids=np.array(ids),
        generators=tuple(np.random.default_rng(500 + lane) for lane in ids),
        episode_starts=np.full(len(ids), step == 0),
        encoder_operations=tuple(operations),
        encoder_generators=tuple(generators.get(lane) for lane in ids),
    )


def new_generators(ids: Sequence[int]) -> dict[int, np.random.Generator]:
    return {lane: np.random.default_rng(1000 + lane) for lane in ids}


def played(policy: AgentPolicy, orders: Sequence[Sequence[int]]) -> list[dict[int, tuple[bytes, bytes]]]:
    """Play one episode in lanes 0 to 23, lane i under MIXED[i % n]; in each step the rows stand in the given order."""
    lanes = sorted({lane for order in orders for lane in order})
    generators = new_generators(lanes)
    seen = []
    for step, order in enumerate(orders):
        told = batch(order, [MIXED[lane % len(MIXED)] for lane in order], step, generators)
        seen.append({})
        for start in range(0, len(order), policy._batch_size):
            output = policy._evaluate(STACKS[step][list(order)], told, start)
            assert output.weights is not None
            for row, lane in enumerate(order[start : start + policy._batch_size]):
                seen[-1][lane] = (output.logits[row].numpy().tobytes(), output.weights[row].numpy().tobytes())
    return seen


class SlowLane:
    """One lane, played with dictionaries of tensors: see `wsabench.types.LaneEncoders`."""

    def __init__(self, embeddings: dict[str, np.ndarray]) -> None:
        self.embeddings = embeddings
        self.fused, self.places, self.context = FUSED, FUSED, "context"
        self.missing: set[str] = set()
        self.given: dict[str, float] | None = None

    @property
    def kept(self) -> tuple[str, ...]:
        return tuple(name for name in self.fused if name not in self.missing)

    def embedding(self, name: str) -> np.ndarray:
        return self.embeddings[name].copy()

    def replace(self, name: str, embedding: np.ndarray) -> None:
        self.embeddings[name] = stored(torch.from_numpy(embedding)).float().numpy().copy()

    def drop(self, name: str) -> None:
        self.missing.add(name)

    def arrange(self, names: Sequence[str]) -> None:
        self.places = tuple(names)

    def join(self, name: str) -> None:
        self.fused, self.places = (*self.fused, name), (*self.places, name)

    def weigh(self, weights: Mapping[str, float]) -> None:
        self.given = dict(weights)


def stored(value: Tensor) -> Tensor:
    """Round to the half precision that embeddings are kept in."""
    return value.to(torch.bfloat16 if half_precision_is_fast() else torch.float16)


def slow_adapted(fusion: Any, name: str, embedding: np.ndarray) -> Tensor:
    """Adapt one embedding of a trained encoder, or of a newcomer."""
    value = torch.from_numpy(embedding)
    if name not in fusion.adapters:
        weight, bias = slow_newcomer([fusion.adapters[other].last for other in FUSED], value.numel())
        return functional.relu(weight @ value.permute(1, 2, 0).flatten() + bias)
    adapter = fusion.adapters[name]
    if value.dim() == 3:
        value = functional.relu(adapter.convolution(value[None]))[0].permute(1, 2, 0).flatten()
    return functional.relu(adapter.last(value))


def slow_newcomer(layers: Sequence[nn.Linear], size: int) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a newcomer's adapter, column by column."""
    width = layers[0].out_features
    total, bias = np.zeros((width, size)), np.zeros(width)
    for layer in layers:
        weight = layer.weight.detach().double().numpy()
        count, resized = weight.shape[1], np.zeros((width, size))
        for column in range(size):
            first, last = column * count // size, -(-(column + 1) * count // size)
            resized[:, column] = sum(weight[:, k] for k in range(first, last)) / (last - first)
        total += resized * np.sqrt((weight**2).sum() / (resized**2).sum()) / len(layers)
        bias += layer.bias.detach().double().numpy() / len(layers)
    return torch.from_numpy(total).float(), torch.from_numpy(bias).float()


def slow_output(model: Any, lane: SlowLane) -> tuple[Tensor, Tensor]:
    """Return logits and the trained encoders' weights: steps 1 to 5 of weight sharing attention, over a list."""
    fusion = model.fusion
    context = functional.relu(
        fusion.context.linear(torch.from_numpy(lane.embeddings["context"]).permute(1, 2, 0).flatten())
    )
    kept = [name for name in lane.places if name not in lane.missing]
    adapted = [slow_adapted(fusion, name, lane.embeddings[name]) for name in kept]
    scores = [functional.leaky_relu(fusion.score(torch.cat([context, one])), 0.2) for one in adapted]
    weights = torch.cat(scores).softmax(0)
    if lane.given is not None:
        raw = [lane.given.get(name, 0.0) for name in kept]
        # Where no encoder is left that has a weight, all have the same.
        weights = torch.tensor([one / sum(raw) if sum(raw) else 1 / len(kept) for one in raw])
    feature = sum(weight * one for weight, one in zip(weights, adapted, strict=True))
    by_name = dict(zip(kept, weights, strict=True))
    return model.heads.policy(feature), torch.tensor([float(by_name.get(name, 0.0)) for name in FUSED])


@pytest.mark.parametrize("operations", MIXED, ids=str)
def test_an_operated_agent_is_its_slow_twin(
    operations: Operations, policy: AgentPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsabench.agents.policy.half_precision", lambda: torch.autocast("cpu", enabled=False))
    generators = new_generators([7])
    states = [
        operation.start(stream)
        for operation, stream in zip(
            operations, np.random.default_rng(1007).spawn(max(len(operations), 1)), strict=False
        )
    ]
    for step in range(STEPS):
        stack = STACKS[step, :1]
        embedded = FakeBank(SHAPES).embed(torch.from_numpy(stack))
        lane = SlowLane({name: stored(value[0]).float().numpy() for name, value in embedded.items()})
        for state in states:
            state.apply(lane)
        with torch.no_grad():
            logits, weights = slow_output(policy._model, lane)
        output = policy._evaluate(stack, batch([7], [operations], step, generators))
        assert output.weights is not None
        torch.testing.assert_close(output.logits[0], logits, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(output.weights[0], weights, atol=1e-5, rtol=1e-4)
        assert (output.weights[0] == 0).tolist() == (weights == 0).tolist()


@pytest.mark.parametrize("missing", ["a", "b", "d"])
def test_a_dropped_encoder_is_one_that_was_never_there(missing: str, policy: AgentPolicy) -> None:
    left = tuple(name for name in FUSED if name != missing)
    spec = wsa_spec(encoders=left)
    without = build_agent(spec, 4, {name: SHAPES[name] for name in (*left, "context")}, seed=9)
    state = {key: value for key, value in policy._model.state_dict().items() if f"adapters.{missing}." not in key}
    without.load_state_dict(state)
    smaller = AgentPolicy(without, meta(spec), checkpoint_hash="0", bank=FakeBank(SHAPES))  # pyright: ignore
    stack = STACKS[0, :8]
    clean = smaller._evaluate(stack, batch(range(8), [()] * 8, 0, {}))
    drop = ((DropEncoders((missing,)),),) * 8
    masked = policy._evaluate(stack, batch(range(8), drop, 0, new_generators(range(8))))
    assert clean.weights is not None
    assert masked.weights is not None
    torch.testing.assert_close(masked.logits[:8], clean.logits[:8])
    torch.testing.assert_close(masked.weights[:8, [FUSED.index(name) for name in left]], clean.weights[:8])
    assert (masked.weights[:8, FUSED.index(missing)] == 0).all()


@pytest.fixture(scope="module")
def alone(policy: AgentPolicy) -> list[list[dict[int, tuple[bytes, bytes]]]]:
    """What each lane gives when it plays alone."""
    return [played(policy, [[lane]] * STEPS) for lane in range(24)]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.permutations(range(24)), min_size=STEPS, max_size=STEPS), st.integers(1, 24))
def test_no_lane_knows_its_neighbours(
    policy: AgentPolicy, alone: list[Any], orders: list[list[int]], count: int
) -> None:
    # A lane that stops playing leaves; the others stand elsewhere in every step.
    some = played(policy, [order if step < 2 else [i for i in order if i < count] for step, order in enumerate(orders)])
    for step, seen in enumerate(some):
        assert seen == {lane: alone[lane][step][lane] for lane in seen}


@pytest.mark.parametrize(
    "operation",
    [DropDrawn(0), ZeroDrawn(0), FlickerEncoders(0.0), NoisyEncoders(("fused",), 0.0), StaleEncoders(("fused",), 0)],
    ids=str,
)
def test_identity_parameters_are_clean_bit_for_bit(operation: EncoderOperation, policy: AgentPolicy) -> None:
    generators = new_generators(range(16))
    for step in range(2):
        clean, same = (
            policy._evaluate(STACKS[step, :16], batch(range(16), [operations] * 16, step, generators))
            for operations in ((), (operation,))
        )
        assert clean.weights is not None
        assert same.weights is not None
        assert clean.logits.numpy().tobytes() == same.logits.numpy().tobytes()
        assert clean.weights.numpy().tobytes() == same.weights.numpy().tobytes()


def test_every_operation_but_the_control_changes_the_policy(policy: AgentPolicy) -> None:
    clean = evaluated(policy, ())
    for operations in MIXED[1:]:
        unchanged = torch.allclose(evaluated(policy, operations).logits, clean.logits, atol=1e-5)
        assert unchanged == (operations == (PermuteEncoders(0),)), operations


def evaluated(policy: AgentPolicy, operations: Operations) -> Output:
    """Return the output of the third step of 16 lanes."""
    generators = new_generators(range(16))
    outputs = [
        policy._evaluate(STACKS[step, :16], batch(range(16), [operations] * 16, step, generators)) for step in range(3)
    ]
    return outputs[-1]


class PlaceSensitive(AdaptedFusion):
    """Adds what stands in each place times the place's number."""

    allows = frozenset({"order"})

    def __init__(self, adapters: nn.ModuleDict) -> None:
        nn.Module.__init__(self)
        self.names, self.adapters = FUSED, adapters

    def combine(
        self, adapted: Tensor, embeddings: Mapping[str, Tensor], mask: Tensor | None, given: Tensor | None
    ) -> Fused:
        numbers = torch.arange(1.0, adapted.shape[1] + 1)
        shares = (numbers / numbers.sum()).expand(len(adapted), -1)
        return Fused((adapted * numbers[:, None]).sum(1), shares)


def test_exchanged_places_matter_where_places_matter_and_weights_follow_the_encoder(policy: AgentPolicy) -> None:
    fusion: Any = policy._model.fusion
    generator = torch.Generator().manual_seed(0)
    embeddings = {name: torch.randn(2, *shape, generator=generator) for name, shape in SHAPES.items()}
    order = torch.tensor([[2, 0, 3, 1], [0, 1, 2, 3]])
    with torch.no_grad():
        adapted = {name: fusion.adapters[name](embeddings[name]) for name in FUSED}
        sensitive = PlaceSensitive(fusion.adapters)(embeddings, Lineup(order=order))
        by_hand = 1 * adapted["c"][0] + 2 * adapted["a"][0] + 3 * adapted["d"][0] + 4 * adapted["b"][0]
        torch.testing.assert_close(sensitive.feature[0], by_hand)
        assert sensitive.weights is not None
        torch.testing.assert_close(sensitive.weights, torch.tensor([[0.2, 0.4, 0.1, 0.3], [0.1, 0.2, 0.3, 0.4]]))
        # Weight sharing attention: the same feature, the same weights, encoder by encoder.
        mask = torch.tensor([[True, True, False, True], [True, False, True, True]])
        plain, exchanged = fusion(embeddings, Lineup(mask)), fusion(embeddings, Lineup(mask, order))
        torch.testing.assert_close(plain.feature, exchanged.feature)
        torch.testing.assert_close(plain.weights, exchanged.weights)
        assert torch.equal(exchanged.weights == 0, ~mask)


@pytest.mark.parametrize("size", [1, 3, 7, 40])
def test_a_newcomers_adapter_is_its_slow_twin(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    layers = [nn.Linear(count, 6) for count in (5, 12, 7)]
    with torch.no_grad():
        for layer in layers:
            layer.weight.normal_(generator=generator)
            layer.bias.normal_(generator=generator)
    adapter = NewcomerAdapter(layers, size)
    weight, bias = slow_newcomer(layers, size)
    torch.testing.assert_close(adapter.weight, weight)
    torch.testing.assert_close(adapter.bias, bias)
    value = torch.randn(4, size, generator=generator)
    torch.testing.assert_close(adapter(value), functional.relu(value @ weight.T + bias))
    assert not list(adapter.parameters())


def test_the_mean_of_equal_adapters_for_an_equal_input_is_the_same_adapter() -> None:
    layer = nn.Linear(9, 4)
    adapter = NewcomerAdapter([layer, layer, layer], 9)
    torch.testing.assert_close(adapter.weight, layer.weight)
    torch.testing.assert_close(adapter.bias, layer.bias)


def test_a_newcomers_weight_is_what_is_missing_to_one(policy: AgentPolicy) -> None:
    told = batch(range(3), [(), (JoinEncoders(("context",)),), (DropEncoders(("a",)),)], 0, new_generators(range(3)))
    weights = policy.act(STACKS[0, :3], told).attention
    assert weights.shape == (3, 4)
    np.testing.assert_allclose(weights[[0, 2]].sum(1), 1, atol=1e-6)
    assert 0.01 < weights[1].sum() < 0.99
    assert weights[2, 0] == 0


def test_the_trained_state_knows_nothing_of_newcomers(policy: AgentPolicy) -> None:
    before = set(policy._model.state_dict())
    evaluated(policy, (JoinEncoders(("context",)),))
    assert set(policy._model.state_dict()) == before


def test_operations_leave_the_draws_of_actions_alone(policy: AgentPolicy) -> None:
    told = [batch(range(13), operations, 0, new_generators(range(13))) for operations in ([()] * 13, MIXED)]
    for one in told:
        policy.act(STACKS[0, :13], one)
    states = [[generator.bit_generator.state for generator in one.generators] for one in told]
    assert states[0] == states[1]


def test_a_new_episode_or_operation_starts_anew(policy: AgentPolicy) -> None:
    def logits(step: int, operations: Operations, *, is_start: bool) -> bytes:
        told = batch([3], [operations], 0 if is_start else 1, new_generators([3]))
        return policy._evaluate(STACKS[step, :1], told).logits[0].numpy().tobytes()

    stale = (StaleEncoders(("fused",), 1),)
    first = logits(0, stale, is_start=True)
    assert logits(1, stale, is_start=False) != logits(1, stale, is_start=True)
    assert logits(0, stale, is_start=False) != first  # step 1 is still fed
    assert logits(0, stale, is_start=True) == first
    logits(1, (StaleEncoders(("fused",), 2),), is_start=False)
    logits(2, (), is_start=False)
    assert logits(0, stale, is_start=False) == first  # in between the lane had other operations


def test_operations_that_do_not_fit_stop_the_policy(policy: AgentPolicy) -> None:
    spec = load_spec("e2e")
    e2e = AgentPolicy(build_agent(spec, 4), meta(spec), checkpoint_hash="0")
    drop = (DropEncoders(("sr",)),)
    told = batch([0], [drop], 0, new_generators([0]))
    for agent, message in ((policy, "'tiny-wsa' has no encoder sr: it fuses a, b, c, d"), (e2e, "'e2e' has no enco")):
        with pytest.raises(SpecError, match=message):
            agent.act(STACKS[0, :1], told)
        with pytest.raises(SpecError, match=message):
            agent.abilities.check(drop)
    policy.abilities.check((DropEncoders(("a",)),))
    e2e.abilities.check(())
    with pytest.raises(ShapeError, match="Lane 0 has encoder operations but no generator for them"):
        policy.act(STACKS[0, :1], batch([0], [(DropEncoders(("a",)),)], 0, {}))


class WrongShape:
    """A third party's operation with a mistake."""

    def check(self, roster: Any) -> Any:
        return roster

    def start(self, generator: np.random.Generator) -> WrongShape:
        return self

    def apply(self, encoders: Any) -> None:
        encoders.replace("b", np.zeros(3, np.float32))


def test_an_embedding_of_another_shape_is_refused(policy: AgentPolicy) -> None:
    message = r"gave float32 of shape \(3,\) for b. Allowed: float32, shape \(3, 12, 12\)"
    with pytest.raises(ShapeError, match=message):
        policy.act(STACKS[0, :1], batch([0], [(WrongShape(),)], 0, new_generators([0])))
