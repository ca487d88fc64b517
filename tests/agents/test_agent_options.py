"""Ablations as options of an agent's specification: each changes what it says, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from fake_encoders import SHAPES, FakeBank, as_policy, build_fusion, wsa_spec
from torch import Tensor

from wsabench.agents import (
    AgentSpec,
    attention_is_dead,
    build_agent,
    count_parameters,
    half_precision,
    load_spec,
)
from wsabench.agents.networks.network import Lineup, compute_dtype, storage_dtype
from wsabench.encoders import EncoderBank, half_precision_is_fast
from wsabench.errors import SpecError
from wsabench.perturb.encoder.masks import DropEncoders
from wsabench.perturb.encoder.places import JoinEncoders
from wsabench.types import LaneBatch

STACK = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (6, 4, 84, 84), dtype=np.uint8))


def run(spec: AgentSpec, seed: int = 1, shapes: Any = SHAPES, change: Any = None) -> tuple[Any, Any, dict[str, Tensor]]:
    model = build_agent(spec, 3, shapes, seed=seed)
    features = model.prepare(STACK, FakeBank(shapes))  # pyright: ignore[reportArgumentType]
    if change is not None:
        change(model)
    return model, model(features), features


def lanes(operations: tuple[Any, ...] = ()) -> LaneBatch:
    return LaneBatch(
        ids=np.arange(6),
        generators=tuple(np.random.default_rng(i) for i in range(6)),
        episode_starts=np.ones(6, np.bool_),
        encoder_operations=(operations,) * 6,
        encoder_generators=tuple(np.random.default_rng(i) for i in range(6)),
    )


def test_uniform_attention_is_the_mean_and_has_neither_scores_nor_context() -> None:
    model, output, features = run(wsa_spec(attention="uniform"))
    assert torch.equal(output.weights, torch.full((6, 2), 0.5))
    assert not [name for name in model.state_dict() if "score" in name or "context" in name]
    masked = model(features, Lineup(torch.tensor([[True, False]] * 6)))
    assert torch.equal(masked.weights, torch.tensor([[1.0, 0.0]] * 6))
    assert "weights" not in model.allows, "others could not be told from its own"
    output.logits.sum().backward()
    assert not attention_is_dead(model), "it was never to learn"


def test_uniform_attention_needs_no_context() -> None:
    spec = wsa_spec(attention="uniform", context=None)
    assert (spec.all_encoders, spec.bank_context) == (("vector", "map"), "vector")
    assert run(spec)[1].weights.shape == (6, 2)


def test_random_attention_scores_but_never_learns_to() -> None:
    model, output, _ = run(wsa_spec(attention="random"))
    learned = build_agent(wsa_spec(), 3, SHAPES, seed=1)
    assert torch.equal(model.state_dict()["fusion.score.weight"], learned.state_dict()["fusion.score.weight"])
    assert count_parameters(model) == count_parameters(learned) - (2 * 8 + 1)
    assert output.weights.std() > 0.001
    (output.logits.sum() + output.value.sum()).backward()
    # Nothing that an optimiser sees is left without a gradient.
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert not attention_is_dead(model)


def test_a_scoring_layer_for_each_encoder() -> None:
    model, output, features = run(wsa_spec(score_layer="per_encoder"))
    assert model.fusion.score.weight.shape == (2, 16)
    assert model.allows == {"mask", "order", "weights"}
    fusion = model.fusion
    with torch.no_grad():
        embeddings = {n: f.float().permute(0, 3, 1, 2) if f.dim() == 4 else f.float() for n, f in features.items()}
        context, adapted = fusion.context(embeddings["context"]), fusion.adapters(embeddings)
        raw = [
            torch.cat([context, adapted[name]], 1) @ fusion.score.weight[i] + fusion.score.bias[i]
            for i, name in enumerate(("vector", "map"))
        ]
        scores = torch.nn.functional.leaky_relu(torch.stack(raw, 1), 0.2)
    torch.testing.assert_close(output.weights, scores.softmax(1))
    policy = as_policy(model, wsa_spec(score_layer="per_encoder"), FakeBank())
    with pytest.raises(SpecError, match="the fusion of 'tiny-wsa' cannot"):
        policy.abilities.check((JoinEncoders(("context",)),))
    policy.abilities.check((DropEncoders(("map",)),))


ADDITIVE = {"score_layer": "additive"}


def test_additive_attention_starts_near_uniform_and_gradients_reach_all_of_it() -> None:
    model, output, _ = run(wsa_spec(**ADDITIVE, width=64))
    assert 1e-4 < (output.weights - 0.5).abs().max() < 0.05
    (output.logits.square().sum() + output.value.sum()).backward()
    assert not attention_is_dead(model)
    from_context, from_encoders = model.fusion.hidden.weight.grad.chunk(2, dim=1)
    assert model.fusion.score.bias is None, "it would cancel in the softmax"
    # Every hidden unit gets some; an input that is 0 in all rows, by the adapters' ReLU, brings none.
    for gradient in (from_context.abs().amax(1), from_encoders.abs().amax(1), model.fusion.hidden.bias.grad):
        assert gradient.all()
    assert model.fusion.score.weight.grad.all()


def test_additive_attention_dies_where_every_tanh_is_saturated_and_this_is_found() -> None:
    def saturated(model: Any) -> None:
        with torch.no_grad():
            model.fusion.hidden.bias.fill_(100.0)

    model, output, _ = run(wsa_spec(**ADDITIVE), change=saturated)
    assert torch.equal(output.weights, torch.full((6, 2), 0.5))
    (output.logits.square().sum() + output.value.sum()).backward()
    assert attention_is_dead(model)


def test_additive_attention_has_the_ablations_of_the_linear_one() -> None:
    model, output, _ = run(wsa_spec(**ADDITIVE, attention="uniform"))
    assert torch.equal(output.weights, torch.full((6, 2), 0.5))
    assert not [name for name in model.state_dict() if "score" in name or "hidden" in name or "context" in name]
    model, output, _ = run(wsa_spec(**ADDITIVE, attention="random"))
    learned = build_agent(wsa_spec(**ADDITIVE), 3, SHAPES, seed=1)
    assert count_parameters(model) == count_parameters(learned) - (2 * 8 * 8 + 8 + 8)
    for name in ("fusion.hidden.weight", "fusion.hidden.bias", "fusion.score.weight"):
        assert torch.equal(model.state_dict()[name], learned.state_dict()[name])
    (output.logits.sum() + output.value.sum()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert not attention_is_dead(model)


def test_additive_attention_takes_newcomers_and_is_one_set_of_weights_for_any_number() -> None:
    model, _, _ = run(wsa_spec(**ADDITIVE))
    policy = as_policy(model, wsa_spec(**ADDITIVE), FakeBank())
    plain = policy.act(STACK.numpy(), lanes()).attention  # pyright: ignore
    joined = policy.act(STACK.numpy(), lanes((JoinEncoders(("context",)),))).attention  # pyright: ignore
    assert (joined.sum(1) < 0.9).all()
    np.testing.assert_allclose(joined / joined.sum(1, keepdims=True), plain, atol=1e-6)
    many = {f"e{i}": (6,) for i in range(50)} | {"context": (4,)}
    assert count_parameters(build_fusion("wsa", many, "context", width=8, **ADDITIVE).hidden) == 2 * 8 * 8 + 8


@pytest.mark.parametrize("activation", ["relu", "none"])
def test_additive_attention_does_not_read_an_activation(activation: str) -> None:
    with pytest.raises(
        SpecError, match=rf"score_activation is '{activation}', but score_layer 'additive' does not read"
    ):
        wsa_spec(**ADDITIVE, score_activation=activation)


@pytest.mark.parametrize("context", ["vector", "map"])
def test_the_context_may_be_a_fused_encoder(context: str) -> None:
    spec = wsa_spec(context=context)
    assert spec.all_encoders == ("vector", "map")
    shapes = {name: SHAPES[name] for name in spec.all_encoders}
    model = build_agent(spec, 3, shapes)
    size = int(np.prod(shapes[context]))
    assert model.state_dict()["fusion.context.linear.weight"].shape == (8, size)


def test_a_large_context_is_shrunk_as_others_in_the_papers_style() -> None:
    fusion: Any = build_fusion(
        "wsa",
        {"v": (6,), "m": (3, 12, 12)},
        encoders=("v",),
        context="m",
        width=8,
        adapter_style="paper",
        adapter_cells=4,
    )
    assert "context.mix.weight" in fusion.state_dict()


def test_the_papers_relu_dies_when_all_is_negative_and_this_is_found() -> None:
    def negative(model: Any) -> None:
        with torch.no_grad():
            model.fusion.score.bias.fill_(-100.0)

    model, output, _ = run(wsa_spec(score_activation="relu"), change=negative)
    (output.logits.square().sum() + output.value.sum()).backward()
    assert attention_is_dead(model)
    assert all(p.grad.any() for n, p in model.named_parameters() if "adapters" in n), "the rest still learns"
    for alive in ("leaky_relu", "none"):
        model, output, _ = run(wsa_spec(score_activation=alive), change=negative)
        (output.logits.square().sum() + output.value.sum()).backward()
        assert not attention_is_dead(model)
    model, output, _ = run(wsa_spec(score_activation="relu"))
    (output.logits.square().sum() + output.value.sum()).backward()
    assert not attention_is_dead(model)


def test_only_a_layer_that_should_learn_can_be_dead() -> None:
    unseen = build_agent(wsa_spec(), 3, SHAPES)
    assert attention_is_dead(unseen), "no gradient at all"
    assert not attention_is_dead(build_agent(wsa_spec(encoders=("map",)), 3, SHAPES)), "a single weight is always 1"
    assert not attention_is_dead(build_agent(load_spec("e2e"), 3, seed=None))
    for kind in ("dpa", "lin", "fix", "cnn", "mix", "res"):
        context = "context" if kind == "dpa" else None
        assert not attention_is_dead(build_agent(wsa_spec(kind=kind, context=context), 3, SHAPES))


def test_large_heads() -> None:
    model = build_agent(wsa_spec(head_units=(1024, 512, 256)), 3, SHAPES, seed=None)
    sizes = [tuple(p.shape) for n, p in model.heads.policy.named_parameters() if "weight" in n]
    assert sizes == [(1024, 8), (512, 1024), (256, 512), (3, 256)]


@pytest.mark.parametrize("kind", ["e2e", "wsa"])
def test_q_heads_give_action_values_and_their_maximum(kind: str) -> None:
    values = {"name": "q", "kind": "e2e", "preset": "p", "width": 32, "heads": "q", "head_units": (16,)}
    spec = AgentSpec(**values) if kind == "e2e" else wsa_spec(heads="q")  # pyright: ignore[reportArgumentType]
    _, output, _ = run(spec)
    assert output.logits.shape == (6, 3)
    assert torch.equal(output.value, output.logits.max(1).values)
    assert output.logits.dtype == torch.float32


@pytest.mark.parametrize("kind", ["dpa", "lin", "fix", "cnn", "mix", "res"])
def test_every_fusion_plays_and_only_those_that_weigh_give_weights(kind: str) -> None:
    spec = wsa_spec(kind=kind, context="context" if kind == "dpa" else None)
    shapes = {name: SHAPES[name] for name in spec.all_encoders}
    bank = FakeBank(shapes)
    model = build_agent(spec, 3, shapes, seed=1)
    policy = as_policy(model, spec, bank)
    assert policy.abilities.attends_to == (("vector", "map") if kind == "dpa" else ())
    decision = policy.act(STACK.numpy(), lanes())
    assert len(decision.actions) == 6
    assert (decision.attention is not None) == (kind == "dpa")
    if kind != "dpa":
        with pytest.raises(SpecError, match="the fusion of 'tiny-wsa' cannot leave encoders out"):
            policy.act(STACK.numpy(), lanes((DropEncoders(("map",)),)))


def random_bank(**options: Any) -> EncoderBank:
    return EncoderBank.random(("okk", "sr"), "ae", seed=0, calibration_frames=STACK, dtype=torch.float32, **options)


def test_raw_embeddings_are_those_before_standardisation() -> None:
    standardised, raw = random_bank().embed(STACK), random_bank(embeddings="raw").embed(STACK)
    _, factor, shift = random_bank().trainable("sr")
    torch.testing.assert_close(standardised["sr"].float(), raw["sr"].float() * factor + shift, atol=2e-2, rtol=2e-2)
    assert float(standardised["sr"].float().std()) > 0.5 * 1
    assert not torch.allclose(standardised["sr"], raw["sr"], atol=1e-2)


TUNED = AgentSpec(
    name="tuned", kind="wsa", preset="p", width=8, encoders=("okk", "sr"), context="ae", tune_encoders=True
)


def test_tuned_encoders_are_trained_and_give_what_frozen_ones_gave_at_first() -> None:
    bank = random_bank()
    model = build_agent(TUNED, 3, seed=1, bank=bank)
    frozen = build_agent(AgentSpec.from_dict({**TUNED.to_dict(), "tune_encoders": False}), 3, bank.shapes, seed=1)
    features = model.train().prepare(STACK, bank)
    assert {name: (value.dtype, tuple(value.shape)) for name, value in features.items()} == {
        "stack": (torch.uint8, (6, 4, 84, 84))
    }
    output, before = model(features), frozen(frozen.prepare(STACK, bank))
    torch.testing.assert_close(output.logits, before.logits, atol=1e-3, rtol=1e-2)
    torch.testing.assert_close(output.weights, before.weights, atol=1e-3, rtol=1e-2)
    (output.logits.square().sum() + output.value.sum()).backward()
    assert all(p.grad is not None and p.grad.any() for n, p in model.named_parameters() if n.startswith("encoders"))
    assert count_parameters(model) > count_parameters(frozen)


@pytest.mark.parametrize("size", ["compact", "paper"])
def test_tuned_encoders_play_as_they_learn(size: str) -> None:
    """PPO compares the policy that played with the one that learns: before an update they are the same, to the bit."""
    names = ("sr", "oke", "okk", "vos")
    bank = EncoderBank.random(names, "ae", seed=2, calibration_frames=STACK, size=size, dtype=torch.float32)
    spec = AgentSpec.from_dict({**TUNED.to_dict(), "encoders": names, "encoder_size": size})
    model = build_agent(spec, 3, seed=1, bank=bank).train()
    features = model.prepare(STACK, bank)
    with half_precision(torch.device("cpu")):
        learning = model(features)
        with torch.no_grad():
            playing = model(features)
    assert torch.equal(playing.logits, learning.logits)
    assert torch.equal(playing.value, learning.value)


def test_a_tuned_agent_plays_on_its_own_encoders_and_takes_encoder_perturbations() -> None:
    bank = random_bank()
    model = build_agent(TUNED, 3, seed=1, bank=bank)
    with torch.no_grad():
        model.encoders["sr"].encoder.state_dict()  # a copy of the bank's
        for parameter in model.encoders["sr"].parameters():
            parameter.mul_(1.5)
    policy = as_policy(model, TUNED, bank)
    features = model.prepare(STACK, bank)
    assert set(features) == {"okk", "sr", "ae"}
    untouched = bank.embed(STACK)
    torch.testing.assert_close(
        features["ae"].permute(0, 3, 1, 2).float(), untouched["ae"].float(), atol=0.05, rtol=0.05
    )
    assert not torch.allclose(features["sr"].float(), untouched["sr"].permute(0, 2, 3, 1).float(), atol=0.1)
    dropped = policy.act(STACK.numpy(), lanes((DropEncoders(("sr",)),)))
    np.testing.assert_array_equal(dropped.attention, [[1.0, 0.0]] * 6)


def test_encoders_that_read_no_pixels_cannot_be_tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    bank = random_bank()
    monkeypatch.setattr(bank._encoders["sr"], "reads", "ram")
    with pytest.raises(SpecError, match=r"the encoder 'sr' reads 'ram' and cannot be tuned\. Allowed: "):
        build_agent(TUNED, 3, bank=bank)
    with pytest.raises(SpecError, match=r"tunes its encoders, which were not given\. Pass bank="):
        build_agent(TUNED, 3, bank.shapes)


def test_half_precision_is_of_the_device() -> None:
    fast = half_precision_is_fast()
    with half_precision():
        assert compute_dtype(torch.device("cpu")) == (torch.bfloat16 if fast else torch.float32)
    assert compute_dtype(torch.device("cpu")) == torch.float32
    assert half_precision("cpu").device == half_precision(torch.device("cpu")).device == "cpu"
    with pytest.warns() if not torch.cuda.is_available() else half_precision():
        region = half_precision("cuda:0")
    assert (region.device, region.fast_dtype) == ("cuda", torch.bfloat16)
    assert storage_dtype(torch.device("cuda")) == torch.bfloat16


@pytest.mark.parametrize("kind", ["wsa", "dpa", "lin", "fix", "cnn", "mix", "res"])
def test_what_epochs_read_is_smaller_and_gives_the_same(kind: Any) -> None:
    # Windows of 3x3 side by side cover 12 of 13 lines and columns.
    shapes = SHAPES | {"map": (3, 13, 13)}
    context = "context" if kind in ("wsa", "dpa") else None
    model = build_agent(wsa_spec(kind=kind, context=context, adapter_style="paper"), 3, shapes, seed=1)
    features = model.prepare(STACK, FakeBank(shapes))  # pyright: ignore[reportArgumentType]
    kept = model.for_training(features)
    assert {name: tuple(feature.shape) for name, feature in kept.items()} == {
        "vector": (6, 6), "map": (6, 4, 4, 27), "context": (6, 4, 4, 2)
    }  # fmt: skip
    one, other = model(features), model(kept)
    for field in ("logits", "value", "weights"):
        torch.testing.assert_close(getattr(other, field), getattr(one, field))


def test_a_map_that_is_context_and_fused_too_is_kept_as_a_map() -> None:
    shapes = {"vector": (6,), "map": (3, 12, 12)}
    model = build_agent(wsa_spec(context="map", adapter_style="paper"), 3, shapes, seed=1)
    features = {"vector": torch.ones(2, 6), "map": torch.ones(2, 12, 12, 3)}
    assert model.for_training(features)["map"] is features["map"]
    assert model(model.for_training(features)).weights is not None
