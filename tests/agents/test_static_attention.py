"""Linear scores never let the context reverse the order of two encoders; additive scores do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from fake_encoders import build_fusion
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from wsabench.agents.networks.network import Comparison

pytestmark = pytest.mark.property

WIDTH, PLACES = 4, 3
NUMBERS = st.floats(-3, 3, width=32)
SHAPES = {"a": (6,), "b": (6,), "c": (6,), "context": (5,)}
LINEAR = pytest.mark.parametrize("activation", ["relu", "leaky_relu", "none"])


def attention(**options: Any) -> Any:
    return build_fusion("wsa", SHAPES, "context", seed=1, width=WIDTH, **options)


def weigh(fusion: Any, context: Tensor, adapted: Tensor) -> Tensor:
    with torch.no_grad():
        return fusion.weigh(Comparison(fusion.query(context), fusion.keys(adapted), None))


def drawn(*shape: int) -> Any:
    return arrays(np.float32, shape, elements=NUMBERS).map(torch.from_numpy)


@LINEAR
@settings(deadline=None)
@given(drawn(2, WIDTH), drawn(PLACES, WIDTH), drawn(2 * WIDTH + 1))
def test_linear_scores_never_reverse_two_encoders(
    activation: Any, contexts: Tensor, places: Tensor, layer: Tensor
) -> None:
    fusion = attention(score_activation=activation)
    with torch.no_grad():
        fusion.score.weight.copy_(layer[None, :-1])
        fusion.score.bias.copy_(layer[-1:])
    one, other = weigh(fusion, contexts, places.expand(2, -1, -1)).unbind(0)
    differences = (one[:, None] - one) * (other[:, None] - other)
    # May tie under one context; 1e-5 is for rounding.
    assert differences.min() >= -1e-5


@LINEAR
@settings(deadline=None)
@given(drawn(2, WIDTH), drawn(PLACES, WIDTH), st.sampled_from([-1.0, 1.0]))
def test_the_context_cancels_where_all_scores_have_one_sign(
    activation: Any, contexts: Tensor, places: Tensor, sign: float
) -> None:
    fusion = attention(score_activation=activation)
    with torch.no_grad():
        fusion.score.weight.copy_(0.3 * fusion.score.weight.abs())
        fusion.score.bias.fill_(sign * 20)  # no sum of drawn numbers reaches it
    one, other = weigh(fusion, contexts, places.expand(2, -1, -1)).unbind(0)
    torch.testing.assert_close(one, other, atol=2e-6, rtol=0)


def test_additive_scores_reverse_two_encoders_by_the_context_alone() -> None:
    """Worked out by hand: a saturated tanh no longer tells two encoders apart, and another unit decides.

    Two hidden units with v = (1, -1): a(s) = tanh(c + s_1) - tanh(s_2). Encoder a has s = (2, 0.5), b has (0, 0).
    c = 0: a: tanh 2 - tanh 0.5 = 0.964 - 0.462 = 0.502, b: 0. c = 3: a: tanh 5 - tanh 0.5 = 0.538,
    b: tanh 3 = 0.995. So b overtakes a.
    """
    fusion = attention(score_layer="additive")
    with torch.no_grad():
        fusion.hidden.weight.zero_()
        fusion.hidden.bias.zero_()
        fusion.score.weight.copy_(torch.tensor([[1.0, -1.0, 0.0, 0.0]]))
        fusion.hidden.weight[0, 0] = 1.0  # W_c: the context's first number into the first unit
        fusion.hidden.weight[0, WIDTH] = fusion.hidden.weight[1, WIDTH + 1] = 1.0
    places = torch.tensor([[2.0, 0.5, 0, 0], [0, 0, 0, 0]]).expand(2, -1, -1)
    low, high = weigh(fusion, torch.tensor([[0.0, 0, 0, 0], [3.0, 0, 0, 0]]), places)
    expected = [torch.tensor([0.502, 0.0]), torch.tensor([0.538, 0.995])]
    torch.testing.assert_close(torch.stack([low, high]), torch.stack(expected).softmax(1), atol=1e-3, rtol=0)
    assert low[0] > low[1]
    assert high[0] < high[1]


def test_a_drawn_additive_layer_reverses_encoders_too() -> None:
    """No construction is needed: larger scores as training makes them, standard normal contexts and places."""
    fusion = attention(score_layer="additive")
    generator = torch.Generator().manual_seed(0)
    contexts, places = (torch.randn(200, *shape, generator=generator) for shape in ((WIDTH,), (2, WIDTH)))
    one, other = weigh(fusion, 3 * contexts, places), weigh(fusion, 3 * contexts.roll(1, 0), places)
    reversed_steps = (one[:, 0] > one[:, 1]) != (other[:, 0] > other[:, 1])
    assert reversed_steps.float().mean() > 0.1
