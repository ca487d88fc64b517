"""Every fusion against its slow twin, and what it says it can express."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_encoders import build_fusion
from slow_fusions import SLOW
from torch import Tensor, nn

from wsabench.agents.networks.fusions import FUSIONS
from wsabench.agents.networks.network import Initialiser, Lineup, Newcomer
from wsabench.agents.spec import AgentSpec
from wsabench.errors import SpecError

pytestmark = pytest.mark.oracle

SETS: dict[str, dict[str, tuple[int, ...]]] = {
    "mixed": {"v": (6,), "m": (3, 12, 12), "w": (19,), "n": (2, 9, 7), "s": (5, 2, 2), "context": (2, 4, 4)},
    "vectors": {"v": (6,), "w": (19,), "u": (6,), "context": (3,)},
    "maps": {"m": (3, 12, 12), "n": (3, 12, 12), "o": (2, 12, 12), "p": (3, 12, 12), "context": (2, 4, 4)},
    "one": {"m": (20, 12, 12), "context": (4,)},
}
COMPACT = {"width": 8, "adapter_channels": 2, "adapter_cells": 4}
PAPER = {**COMPACT, "adapter_style": "paper"}


ATTENDING = pytest.mark.parametrize("kind", ["wsa", "wsa-additive", "dpa"])


def make(kind: Any, shapes: dict[str, tuple[int, ...]], **options: Any) -> Any:
    """Build a fusion, or a form of it, with biases that count."""
    more: dict[str, Any] = {"conv_layers": 2} if kind == "cnn" else {}
    if kind == "wsa-additive":
        kind, more = "wsa", {"score_layer": "additive"}
    fusion = build_fusion(kind, shapes, "context", seed=3, **{**COMPACT, **more, **options})
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, parameter in fusion.named_parameters():
            if "bias" in name:
                parameter.uniform_(-0.5, 0.5, generator=generator)
    return fusion


def embed(shapes: dict[str, tuple[int, ...]], count: int = 2, seed: int = 5) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(count, *shape, generator=generator) for name, shape in shapes.items()}


def fused_names(shapes: dict[str, tuple[int, ...]]) -> tuple[str, ...]:
    return tuple(name for name in shapes if name != "context")


@pytest.mark.parametrize("style", [COMPACT, PAPER], ids=["compact", "paper"])
@pytest.mark.parametrize("shapes", SETS.values(), ids=SETS)
@pytest.mark.parametrize("kind", SLOW)
def test_a_fusion_is_its_slow_twin(kind: str, shapes: dict[str, tuple[int, ...]], style: dict[str, Any]) -> None:
    fusion, embeddings = make(kind, shapes, **style), embed(shapes)
    with torch.no_grad():
        fused = fusion(embeddings)
    assert fused.feature.shape == (2, fusion.feature_size)
    assert fusion.has_weights == (fused.weights is not None)
    for row in range(2):
        one = {name: value[row].double().numpy() for name, value in embeddings.items()}
        if style is PAPER and fusion.has_weights and len(shapes["context"]) == 3:
            assert max(shapes["context"][1:]) <= 4, "the twin flattens the context"
        feature, weights = SLOW[kind](fusion, one, fused_names(shapes), "context")
        np.testing.assert_allclose(fused.feature[row], feature, atol=2e-5, rtol=1e-4)
        if fused.weights is not None:
            np.testing.assert_allclose(fused.weights[row], weights, atol=1e-6)


def test_every_kind_of_agent_has_its_fusion_and_its_twin() -> None:
    for kind in ("wsa", "dpa", "lin", "fix", "cnn", "mix", "res"):
        assert kind in FUSIONS
    assert {*FUSIONS, "wsa-additive"} == SLOW.keys()


@ATTENDING
def test_weights_are_a_softmax_and_the_feature_their_sum(kind: str) -> None:
    shapes = SETS["mixed"]
    fusion, embeddings = make(kind, shapes), embed(shapes, count=9)
    with torch.no_grad():
        fused = fusion(embeddings)
        adapted = fusion.adapters(embeddings)
    assert (fused.weights > 0).all()
    torch.testing.assert_close(fused.weights.sum(1), torch.ones(9))
    by_hand = sum(fused.weights[:, i, None] * adapted[name] for i, name in enumerate(fused_names(shapes)))
    torch.testing.assert_close(fused.feature, by_hand)
    assert fused.weights.std(0).max() > 0.001, "the weights depend on the observation"


@ATTENDING
@pytest.mark.parametrize("shapes", [SETS["mixed"], SETS["maps"]], ids=["mixed", "maps"])
def test_permuted_encoders_permute_the_weights_and_leave_the_feature(kind: str, shapes: Any) -> None:
    names = fused_names(shapes)
    fusion, embeddings = make(kind, shapes), embed(shapes, count=7)
    order = [2, 0, 3, 1, 4][: len(names)]
    moved = make(kind, shapes, encoders=tuple(names[i] for i in order))
    moved.load_state_dict(fusion.state_dict())
    with torch.no_grad():
        fused, permuted = fusion(embeddings), moved(embeddings)
    torch.testing.assert_close(permuted.weights, fused.weights[:, order])
    torch.testing.assert_close(permuted.feature, fused.feature)


@ATTENDING
@pytest.mark.parametrize("missing", ["m", "p"])
def test_a_masked_encoder_is_one_that_was_never_there(kind: str, missing: str) -> None:
    shapes = SETS["maps"]
    left = tuple(name for name in fused_names(shapes) if name != missing)
    fusion, embeddings = make(kind, shapes), embed(shapes, count=7)
    smaller = make(kind, shapes, encoders=left)
    smaller.load_state_dict({k: v for k, v in fusion.state_dict().items() if f"adapters.{missing}." not in k})
    mask = torch.tensor([[name in left for name in fused_names(shapes)]] * 7)
    with torch.no_grad():
        masked, without = fusion(embeddings, Lineup(mask)), smaller(embeddings)
    torch.testing.assert_close(masked.feature, without.feature)
    torch.testing.assert_close(masked.weights[mask].view(7, -1), without.weights)
    assert (masked.weights[~mask] == 0).all()


ALLOWED = {
    "wsa": {"mask", "order", "newcomers", "weights"},
    "wsa-additive": {"mask", "order", "newcomers", "weights"},
    "dpa": {"mask", "order", "newcomers", "weights"},
    "fix": {"order"},
    "lin": set(),
    "cnn": set(),
    "mix": set(),
    "res": set(),
}


@pytest.mark.parametrize("kind", ALLOWED)
def test_a_fusion_does_what_it_allows_and_refuses_the_rest(kind: str) -> None:
    shapes = {"a": (6,), "b": (6,), "c": (3, 8, 8), "context": (4,)}
    fusion, embeddings = make(kind, shapes), embed(shapes)
    assert fusion.allows == ALLOWED[kind]
    adapter = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    lineups = {
        "mask": Lineup(torch.tensor([[True, False, True]] * 2)),
        "order": Lineup(order=torch.tensor([[1, 2, 0]] * 2)),
        "newcomers": Lineup(newcomers=(Newcomer("context", adapter),)),
        "weights": Lineup(weights=torch.tensor([[0.2, 0.3, 0.5], [math.nan] * 3])),
    }
    with torch.no_grad():
        plain = fusion(embeddings).feature
        assert torch.equal(fusion(embeddings, Lineup(torch.ones(2, 3, dtype=torch.bool))).feature, plain)
        for change, lineup in lineups.items():
            if change not in ALLOWED[kind]:
                with pytest.raises(SpecError, match=rf"was asked for {change}, which it cannot express\. Allowed: "):
                    fusion(embeddings, lineup)
                continue
            same = torch.allclose(fusion(embeddings, lineup).feature, plain)
            assert same == (change == "order" and kind != "fix")
            if change == "weights":
                given = fusion(embeddings, lineup)
                assert torch.equal(given.weights, torch.stack([lineup.weights[0], fusion(embeddings).weights[1]]))
                assert torch.equal(given.feature[1], plain[1])


def test_fix_exchanges_what_stands_in_its_places() -> None:
    shapes = SETS["maps"]
    fusion, embeddings = make("fix", shapes), embed(shapes)
    with torch.no_grad():
        plain = fusion(embeddings).feature.unflatten(1, (4, 8))
        moved = fusion(embeddings, Lineup(order=torch.tensor([[2, 0, 3, 1], [0, 1, 2, 3]]))).feature.unflatten(
            1, (4, 8)
        )
    assert torch.equal(moved[0], plain[0][[2, 0, 3, 1]])
    assert torch.equal(moved[1], plain[1])


@pytest.mark.parametrize("kind", ["cnn", "mix", "lin", "fix", "res"])
def test_fusions_without_attention_have_no_context(kind: Any) -> None:
    with pytest.raises(SpecError, match=f"a {kind} agent compares with no context. Remove `context`"):
        AgentSpec(name="x", kind=kind, preset="p", width=8, encoders=("a",), context="a")


def test_the_reservoir_contracts_with_its_spectral_radius_and_is_never_trained() -> None:
    fusion = make("res", SETS["mixed"], width=40)
    moduli = torch.linalg.eigvals(fusion.state_weight).abs()
    torch.testing.assert_close(moduli, torch.full((40,), 0.9), atol=1e-5, rtol=0)
    embeddings = {name: value.requires_grad_() for name, value in embed(SETS["mixed"]).items()}
    fusion(embeddings).feature.sum().backward()
    assert all("adapters" in name for name, _ in fusion.named_parameters())
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in fusion.parameters())
    assert {"input_weight", "state_weight"} <= fusion.state_dict().keys()


def test_the_reservoirs_state_is_of_a_useful_scale() -> None:
    fusion = build_fusion("res", {"v": (512,), "w": (300,)}, width=64)
    with torch.no_grad():
        state = fusion(embed({"v": (512,), "w": (300,)}, count=50)).feature
    assert 0.3 < float(state.std()) < 0.9
    assert float((state.abs() > 0.99).float().mean()) < 0.2


def test_the_fusion_that_the_documentation_adds_works() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "agents.md").read_text(encoding="utf-8")
    found = re.search(r"^```python\n(.*?ElementwiseMaximum.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    scope: dict[str, Any] = {}
    exec(found[1], scope)
    spec = AgentSpec(name="top", kind="fix", preset="p", encoders=fused_names(SETS["maps"]), **COMPACT)
    fusion, embeddings = scope["ElementwiseMaximum"](spec, SETS["maps"], Initialiser(0)), embed(SETS["maps"])
    mask = torch.tensor([[True, False, True, True], [False, False, False, True]])
    with torch.no_grad():
        adapted = fusion.adapters(embeddings)
        feature = fusion(embeddings, Lineup(mask)).feature
    m, o, p = (adapted[name][0] for name in ("m", "o", "p"))
    assert torch.equal(feature[0], torch.maximum(torch.maximum(m, o), p))
    assert torch.equal(feature[1], adapted["p"][1])
