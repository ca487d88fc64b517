"""What the context does: against a loop over steps and draws, and where the answer is known."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from fake_encoders import build_fusion
from hypothesis import given, settings
from hypothesis import strategies as st

from wsabench.agents import build_agent
from wsabench.agents.networks.comparisons import joined, measure_context, row_of
from wsabench.agents.networks.network import Comparison
from wsabench.agents.spec import AgentSpec
from wsabench.stats.context_effect import ContextEffect, EvenSample, context_effect, total_effect

pytestmark = pytest.mark.oracle

SHAPES = {"a": (6,), "b": (6,), "c": (3, 8, 8), "context": (5,)}
FORMS: dict[str, dict[str, Any]] = {
    "relu": {"score_activation": "relu"},
    "leaky_relu": {},
    "none": {"score_activation": "none"},
    "per_encoder": {"score_layer": "per_encoder"},
    "additive": {"score_layer": "additive"},
    "random": {"attention": "random"},
    "dpa": {"kind": "dpa"},
}


def agent(form: str, **changes: Any) -> Any:
    values = {"name": "x", "kind": "wsa", "preset": "p", "width": 8, "adapter_channels": 2, "adapter_cells": 4}
    values |= {"encoders": ("a", "b", "c"), "context": "context", **FORMS[form], **changes}
    model: Any = build_agent(AgentSpec(**values), 3, SHAPES, seed=3)
    with torch.no_grad():
        if "fusion.hidden.weight" in model.state_dict():
            model.fusion.score.weight.mul_(20)  # as training makes it
    return model


def embed(count: int, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(count, *shape, generator=generator) for name, shape in SHAPES.items()}


def compare(model: Any, embeddings: dict[str, torch.Tensor]) -> Comparison:
    with torch.no_grad():
        return model.fusion(embeddings).comparison


def slow_measures(model: Any, embeddings: dict[str, torch.Tensor], seed: int) -> tuple[float, float]:
    """Both measures from whole forward passes, one step after the other; the same draws."""

    def weights(step: int, context: int) -> np.ndarray:
        one = {n: value[step : step + 1] for n, value in embeddings.items()} | {
            "context": embeddings["context"][context : context + 1]
        }
        with torch.no_grad():
            return model.fusion(one).weights[0].double().numpy()

    count = len(embeddings["context"])
    generator = np.random.default_rng(seed)
    own = [weights(step, step) for step in range(count)]
    static = squares = 0.0
    for _ in range(16):
        for step, ahead in enumerate(generator.integers(1, count, count)):
            change = weights(step, (step + int(ahead)) % count) - own[step]
            static += float(max(abs(change)) <= 1e-6)
            squares += float(sum(change**2))
    center = sum(own) / count
    variance = sum(float(sum((w - center) ** 2)) for w in own) / (count - 1)
    return static / (16 * count), (squares / (16 * count)) / (2 * variance)


@pytest.mark.parametrize("form", FORMS)
def test_both_measures_are_those_of_a_loop_over_steps_and_draws(form: str) -> None:
    model, embeddings = agent(form), embed(20)
    found = measure_context(model, [compare(model, embeddings)], np.random.default_rng(7))
    static, share = slow_measures(model, embeddings, 7)
    assert found.num_steps == 20
    assert found.static_share == pytest.approx(static)
    assert found.variance_share == pytest.approx(share, rel=1e-3, abs=1e-9)


def test_what_is_known_of_each_form() -> None:
    found = {}
    for form in FORMS:
        model = agent(form)
        found[form] = measure_context(model, [compare(model, embed(100))], np.random.default_rng(0))
    assert (found["none"].static_share, found["none"].variance_share) == (1, 0), "the context cancels"
    for form in ("relu", "leaky_relu", "random"):
        assert 0 < found[form].static_share < 1, "it cancels where all scores have one sign"
    for form in ("per_encoder", "additive", "dpa"):
        assert found[form].static_share < 0.01
        assert found[form].variance_share > 0.05


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_leaky_relu_whose_inputs_have_one_sign_is_static(sign: int) -> None:
    model = agent("leaky_relu")
    with torch.no_grad():
        model.fusion.score.bias.fill_(sign * 10.0)  # float32 rounds larger sums by more than 1e-6
    found = measure_context(model, [compare(model, embed(50))], np.random.default_rng(0))
    assert (found.static_share, found.variance_share) == (1, 0)


def test_weights_that_do_not_vary_have_no_share() -> None:
    model = agent("relu")
    with torch.no_grad():
        model.fusion.score.bias.fill_(-100.0)
    found = measure_context(model, [compare(model, embed(50))], np.random.default_rng(0))
    assert found.static_share == 1
    assert math.isnan(found.variance_share)


def test_a_context_that_alone_decides_has_the_whole_variance() -> None:
    """w depends on the context only: E|w_i - w_j|^2 over distinct i, j is twice the variance with divisor n - 1."""
    weights = np.random.default_rng(1).dirichlet(np.ones(3), size=400).astype(np.float32)
    found = context_effect(lambda _, contexts: weights[contexts], 400, np.random.default_rng(0))
    assert found.static_share == 0
    assert found.variance_share == pytest.approx(1, abs=0.05)
    pairs = [np.square(weights[i] - weights[j]).sum() for i, j in itertools.permutations(range(400), 2)]
    assert np.mean(pairs) == pytest.approx(2 * weights.astype(float).var(axis=0, ddof=1).sum())


@pytest.mark.parametrize(("size", "share"), [(0.9e-6, 1), (1.1e-6, 0)])
def test_the_limits_of_what_is_the_same(size: float, share: int) -> None:
    def reweigh(steps: Any, contexts: Any) -> Any:
        moved = np.where(contexts == steps, 0.0, size)
        return np.stack([0.25 + steps / 100 + moved, 0.75 - steps / 100 - moved], axis=1).astype(np.float64)

    assert context_effect(reweigh, 10, np.random.default_rng(0)).static_share == share


@given(st.integers(2, 40), st.integers(1, 50), st.integers(0, 5))
@settings(deadline=None, max_examples=30)
def test_pieces_are_asked_for_in_bounded_size_and_change_nothing(count: int, rows: int, seed: int) -> None:
    weights = np.random.default_rng(seed).dirichlet(np.ones(3), size=(count, count)).astype(np.float32)
    asked: list[int] = []

    def reweigh(steps: Any, contexts: Any) -> Any:
        asked.append(len(steps))
        return weights[steps, contexts]

    piecewise = context_effect(reweigh, count, np.random.default_rng(seed), rows_at_once=rows)
    assert max(asked) <= rows
    whole = context_effect(reweigh, count, np.random.default_rng(seed))
    assert piecewise.static_share == whole.static_share
    assert piecewise.variance_share == pytest.approx(whole.variance_share)


def test_one_step_has_no_other() -> None:
    found = context_effect(lambda steps, _: np.ones((len(steps), 1), np.float32), 1, np.random.default_rng(0))
    assert found == ContextEffect(0.0, 0.0, 0.0, 0)
    assert math.isnan(found.static_share)
    assert math.isnan(found.variance_share)


def test_parts_add_up_to_means_over_all_steps() -> None:
    whole = total_effect([ContextEffect(1.0, 0.2, 0.5, 4), ContextEffect(6.0, 0.0, 0.3, 6)])
    assert whole.static_share == pytest.approx(0.7)
    assert whole.variance_share == pytest.approx(0.2 / 1.6)
    assert math.isnan(total_effect([]).static_share)


def test_steps_with_other_numbers_of_places_are_measured_together() -> None:
    """Masked and missing places have the weight 0, whatever the context."""
    model, embeddings = agent("additive"), embed(30)
    few = build_fusion("wsa", SHAPES, "context", encoders=("a", "b"), score_layer="additive", width=8, seed=3)
    few.load_state_dict({k: v for k, v in model.fusion.state_dict().items() if ".c." not in k})
    with torch.no_grad():
        smaller: Any = few(embeddings).comparison
    whole = compare(model, embeddings)
    both = joined([row_of(smaller, 4), whole, row_of(smaller, 5)])
    weights = model.fusion.weigh(both)
    assert both.mask is not None
    assert (weights[[0, -1], 2] == 0).all()
    torch.testing.assert_close(weights[1:-1], model.fusion.weigh(whole))
    torch.testing.assert_close(weights[[0, -1], :2], few.weigh(smaller)[[4, 5]])  # pyright: ignore[reportCallIssue]
    assert measure_context(model, [both], np.random.default_rng(0)).num_steps == 32


def test_where_weights_are_given_the_context_does_nothing() -> None:
    model, embeddings = agent("additive"), embed(30)
    whole, fixed = compare(model, embeddings), torch.tensor([[0.2, 0.3, 0.5]] * 30)
    constant = whole._replace(given=fixed)
    found = measure_context(model, [constant], np.random.default_rng(0))
    assert found.static_share == 1
    assert math.isnan(found.variance_share)
    # Beside rows without, and with one place more, each row keeps its own.
    narrow = Comparison(whole.query[:2], whole.keys[:2, :2], None, torch.tensor([[0.4, 0.6]] * 2))
    weights = model.fusion.weigh(joined([row_of(constant, 3), whole, narrow]))
    assert torch.equal(weights[0], fixed[3])
    assert torch.equal(weights[1:31], model.fusion.weigh(whole))
    assert torch.equal(weights[31:], torch.tensor([[0.4, 0.6, 0.0]] * 2))


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 16, 17, 1000])
def test_an_even_sample_keeps_every_kth_item(count: int) -> None:
    sample, made = EvenSample[int](8), []
    for item in range(count):
        sample.offer(lambda item=item: made.append(item) or item)
    kept = sample.items
    steps = set(np.diff(kept))
    assert len(kept) <= 8
    assert len(kept) >= min(count, 4)
    assert len(steps) <= 1
    if kept:
        assert kept[0] == 0
        assert count - kept[-1] <= max(steps, default=1)
    assert len(made) < 8 * 10, "what is not kept is not made"
