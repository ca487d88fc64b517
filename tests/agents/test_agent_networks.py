"""The networks against slow, obvious versions of the same formulas."""

from __future__ import annotations

import pytest
import torch
from fake_encoders import SHAPES, FakeBank, wsa_spec
from torch import nn
from torch.nn import functional

from wsabench.agents import build_agent, load_spec
from wsabench.agents.networks.network import Lineup

pytestmark = pytest.mark.oracle


def observations(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 4, 84, 84), dtype=torch.uint8, generator=generator)


def test_e2e_equals_the_convolutions_of_nature_cnn() -> None:
    model = build_agent(load_spec("e2e"), 4, seed=3)
    stack = observations(3)
    with torch.no_grad():
        output = model(model.prepare(stack, None))
        hidden = functional.relu(functional.conv2d(stack.float() / 255, model.conv1.weight, model.conv1.bias, stride=4))
        hidden = functional.relu(functional.conv2d(hidden, model.conv2.weight, model.conv2.bias, stride=2))
        hidden = functional.relu(functional.conv2d(hidden, model.conv3.weight, model.conv3.bias))
        feature = functional.relu(model.linear(hidden.permute(0, 2, 3, 1).flatten(1)))
        torch.testing.assert_close(output.logits, model.heads.policy(feature), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(output.value, model.heads.value(feature)[:, 0], atol=1e-5, rtol=1e-4)


def test_e2e_has_the_published_number_of_parameters() -> None:
    # Breakout, 4 actions: conv 4*32*64+32, 32*64*16+64, 64*64*9+64; linear 3136*512+512; heads 512*4+4, 512+1.
    expected = 8224 + 32832 + 36928 + 1_606_144 + 2052 + 513
    assert sum(p.numel() for p in build_agent(load_spec("e2e"), 4).parameters()) == expected == 1_686_693


def slow_wsa(model: nn.Module, embeddings: dict[str, torch.Tensor], row: int, names: tuple[str, ...]) -> tuple:
    """Steps 1 to 5 of weight sharing attention, one observation, one encoder after the other."""
    fusion = model.fusion
    scores, adapted = [], []
    context = functional.relu(fusion.context.linear(embeddings["context"][row].permute(1, 2, 0).flatten()))
    for name in names:
        if name == "map":
            small = functional.relu(fusion.adapters["map"].convolution(embeddings["map"][row][None]))[0]
            projected = functional.relu(fusion.adapters["map"].project.linear(small.permute(1, 2, 0).flatten()))
        else:
            projected = functional.relu(fusion.adapters["vector"].linear(embeddings["vector"][row]))
        adapted.append(projected)
        scores.append(functional.leaky_relu(fusion.score(torch.cat([context, projected])), 0.2))
    weights = torch.cat(scores).softmax(0)
    feature = sum(w * s for w, s in zip(weights, adapted, strict=True))
    return weights, model.heads.policy(feature)


@pytest.mark.parametrize("kept", [("vector", "map"), ("map",), ("vector",)])
def test_wsa_equals_its_formula_and_a_mask_equals_removal(kept: tuple[str, ...]) -> None:
    model, bank, stack = build_agent(wsa_spec(), 3, SHAPES, seed=1), FakeBank(), observations(4)
    embeddings = {name: e.bfloat16().float() for name, e in bank.embed(stack).items()}
    mask = torch.tensor([[name in kept for name in ("vector", "map")]] * 4)
    with torch.no_grad():
        features = {n: f.float() for n, f in model.prepare(stack, bank).items()}
        embeddings = {n: f.permute(0, 3, 1, 2) if f.dim() == 4 else f for n, f in features.items()}
        output = model(features, Lineup(mask))
        for row in range(4):
            weights, logits = slow_wsa(model, embeddings, row, kept)
            expected = torch.zeros(2)
            expected[mask[row]] = weights
            torch.testing.assert_close(output.weights[row], expected)
            torch.testing.assert_close(output.logits[row], logits)


def attention(spec_changes: dict, bias: float, context_scale: float) -> torch.Tensor:
    model, bank = build_agent(wsa_spec(**spec_changes), 3, SHAPES, seed=1), FakeBank()
    with torch.no_grad():
        model.fusion.score.bias.fill_(bias)
        model.fusion.score.weight[:, :8] = -1.0  # a strong context makes every score negative
        features = model.prepare(observations(8), bank)
        features["context"] *= context_scale
        return model(features).weights


def test_without_an_activation_the_context_cancels_and_with_one_it_counts() -> None:
    plain = {"score_activation": "none"}
    torch.testing.assert_close(attention(plain, 0.0, 0.0), attention(plain, 0.0, 9.0))
    leaky = {"score_activation": "leaky_relu"}
    assert (attention(leaky, 0.0, 0.0) - attention(leaky, 0.0, 9.0)).abs().max() > 0.01


def test_the_papers_relu_can_die_and_the_leaky_one_cannot() -> None:
    # With every pre-activation far below 0 the ReLU's scores are all 0: weights exactly uniform.
    assert torch.equal(attention({"score_activation": "relu"}, -100.0, 1.0), torch.full((8, 2), 0.5))
    assert (attention({"score_activation": "leaky_relu"}, -100.0, 1.0) - 0.5).abs().max() > 0.001


def test_compact_wsa_has_at_most_2_6_million_trainable_parameters() -> None:
    shapes = {"sr": (32, 10, 10), "oke": (32, 21, 21), "okk": (4, 21, 21), "vos": (8, 42, 42), "ae": (16, 16, 16)}
    count = sum(p.numel() for p in build_agent(load_spec("wsa"), 4, shapes).parameters())
    assert count <= 2_600_000


def test_weights_depend_on_the_seed_only() -> None:
    torch.manual_seed(0)
    one = build_agent(load_spec("e2e"), 4, seed=5).state_dict()
    state = torch.get_rng_state()
    two = build_agent(load_spec("e2e"), 4, seed=5).state_dict()
    other = build_agent(load_spec("e2e"), 4, seed=6).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["linear.weight"], other["linear.weight"])
    assert torch.equal(torch.get_rng_state(), state), "the global generator was used"
