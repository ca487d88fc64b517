"""Adapters of many encoders at once: the same numbers as one after the other, and files that do not know of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from fake_encoders import FakeBank, build_fusion, wsa_spec
from torch import Tensor

from wsabench.agents import build_agent, half_precision
from wsabench.agents.networks import grouping as grouping_module
from wsabench.agents.networks.grouping import AdapterGroup
from wsabench.sealed import tensors_hash

SHAPES = {"a": (4, 21, 21), "v": (32,), "b": (4, 21, 21), "alone": (3, 9, 9), "c": (4, 21, 21), "w": (32,), "ctx": (5,)}
NAMES = tuple(name for name in SHAPES if name != "ctx")
COMPACT = {"width": 16, "adapter_channels": 6, "adapter_cells": 8}
PAPER = {**COMPACT, "adapter_style": "paper"}
STYLES = pytest.mark.parametrize("options", [COMPACT, PAPER], ids=["compact", "paper"])


def embed(count: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(count, *shape, generator=generator) for name, shape in SHAPES.items()}


def one_by_one(fusion: Any, embeddings: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: fusion.adapters[name](embeddings[name]) for name in NAMES if name in fusion.adapters}


@pytest.fixture(params=[0, 10**9], ids=["joined", "apart"])
def limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Both ways to run a group: joined whatever the size, and never."""
    monkeypatch.setattr(grouping_module, "_GROUPED_NUMBERS", 10**9 - request.param)
    monkeypatch.setattr(grouping_module, "_PRODUCT_NUMBERS", 10**9 - request.param)
    return request.param


@STYLES
@pytest.mark.parametrize("kind", ["wsa", "fix", "lin", "res"])
def test_adapted_together_is_adapted_one_by_one(kind: Any, options: dict[str, Any], limit: int) -> None:
    fusion, embeddings = build_fusion(kind, SHAPES, "ctx", seed=2, **options), embed(5)
    with torch.no_grad():
        for name, parameter in fusion.named_parameters():
            if "bias" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(3))
        together, apart = fusion.adapters(embeddings), one_by_one(fusion, embeddings)
    assert together.keys() == apart.keys()
    for name, value in apart.items():
        torch.testing.assert_close(together[name], value, atol=1e-5, rtol=1e-5)
    assert len({float(value.sum()) for value in together.values()}) == len(together), "each has its own weights"


@STYLES
def test_gradients_are_those_of_single_adapters(options: dict[str, Any], limit: int) -> None:
    fusion, embeddings = build_fusion("wsa", SHAPES, "ctx", seed=2, **options), embed(5)
    (sum(value.square().sum() for value in fusion.adapters(embeddings).values())).backward()
    group = next(module for module in fusion.adapters.values() if isinstance(module, AdapterGroup))
    for index, name in enumerate(("a", "b", "c")):
        single = fusion.adapters[name].requires_grad_()
        single(embeddings[name]).square().sum().backward()
        for key, parameter in single.named_parameters():
            stacked = group.get_parameter(key.replace(".", "_")).grad
            torch.testing.assert_close(stacked[index], parameter.grad, atol=1e-4, rtol=1e-4)


def test_only_encoders_of_one_shape_are_adapted_together() -> None:
    adapters: Any = build_fusion("wsa", SHAPES, "ctx", **COMPACT).adapters
    groups = {key for key, module in adapters.items() if isinstance(module, AdapterGroup)}
    assert groups == {"a+b+c", "v+w"}
    assert all(name in adapters for name in NAMES)
    assert not {"a+b+c", "ctx"} & {name for name in ("a+b+c", "ctx") if name in adapters}


def test_a_state_has_every_encoders_own_adapter_and_survives_other_groupings(tmp_path: Path) -> None:
    spec = wsa_spec(encoders=NAMES, context="ctx")
    model = build_agent(spec, 3, SHAPES, seed=1)
    state = model.state_dict()
    assert not [name for name in state if "+" in name]
    assert {f"fusion.adapters.{name}.project.linear.weight" for name in ("a", "b", "c", "alone")} <= state.keys()
    safetensors.torch.save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "a.safetensors")
    read = safetensors.torch.load_file(tmp_path / "a.safetensors")
    other = build_agent(spec, 3, SHAPES, seed=2)
    assert tensors_hash(other.state_dict()) != tensors_hash(state)
    other.load_state_dict(read)
    assert tensors_hash(other.state_dict()) == tensors_hash(state)
    # Without b and v, a and c are a group of two and w is alone.
    left = ("a", "alone", "c", "w")
    fewer = build_agent(wsa_spec(encoders=left, context="ctx"), 3, SHAPES, seed=3)
    fewer.load_state_dict({k: v for k, v in read.items() if ".b." not in k and ".v." not in k})
    assert torch.equal(fewer.fusion.adapters["c"].last.weight, model.fusion.adapters["c"].last.weight)


@pytest.mark.parametrize("change", ["missing", "shape", "extra"])
def test_a_state_that_does_not_fit_is_refused(change: str) -> None:
    spec = wsa_spec(encoders=NAMES, context="ctx")
    state = build_agent(spec, 3, SHAPES).state_dict()
    key = "fusion.adapters.b.convolution.weight"
    if change == "missing":
        del state[key]
    elif change == "shape":
        state[key] = state[key][:1]
    else:
        state["fusion.adapters.d.convolution.weight"] = state[key]
    with pytest.raises(RuntimeError):
        build_agent(spec, 3, SHAPES).load_state_dict(state)


def test_initial_weights_do_not_depend_on_grouping() -> None:
    model = build_agent(wsa_spec(encoders=("a", "b"), context="ctx"), 3, SHAPES, seed=1)
    distinct = {**SHAPES, "b": (4, 21, 20)}
    apart = build_agent(wsa_spec(encoders=("a", "b"), context="ctx"), 3, distinct, seed=1)
    key = "fusion.adapters.a.project.linear.weight"
    assert torch.equal(model.state_dict()[key], apart.state_dict()[key])


@STYLES
@pytest.mark.parametrize("kind", ["wsa", "wsa-additive", "dpa", "lin", "fix", "cnn", "mix", "res"])
def test_a_row_never_depends_on_its_neighbours(kind: Any, options: dict[str, Any], limit: int) -> None:
    more = {"width": 64} | ({"score_layer": "additive"} if kind == "wsa-additive" else {})
    fusion, embeddings = build_fusion(kind.partition("-")[0], SHAPES, "ctx", seed=2, **{**options, **more}), embed(16)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad(), half_precision():
        reference = fusion({name: value.bfloat16() for name, value in embeddings.items()})
        for count in (1, 5, 16):
            rows = torch.randperm(16, generator=generator)[:count]
            padded = {name: torch.zeros_like(value).bfloat16() for name, value in embeddings.items()}
            for name, value in embeddings.items():
                padded[name][:count] = value[rows].bfloat16()
            fused = fusion(padded)
            assert torch.equal(fused.feature[:count], reference.feature[rows])
            if fused.weights is not None:
                assert torch.equal(fused.weights[:count], reference.weights[rows])


def test_many_encoders_of_one_shape_are_one_operation() -> None:
    shapes = {f"e{i}": (3, 9, 9) for i in range(30)} | {"ctx": (5,)}
    fusion: Any = build_fusion("wsa", shapes, "ctx", **COMPACT)
    assert [type(module) for module in fusion.adapters.values()] == [AdapterGroup]
    embeddings = {name: torch.zeros(2, *shape) for name, shape in shapes.items()}
    with torch.no_grad(), torch.profiler.profile() as profile:
        fusion(embeddings)
    calls = {event.key: event.count for event in profile.key_averages()}
    # One convolution, one product for all; one linear layer for the context.
    assert (calls["aten::conv2d"], calls["aten::bmm"], calls["aten::linear"]) == (1, 1, 1)


def test_a_newcomers_adapter_is_made_from_grouped_ones_as_from_single_ones() -> None:
    shapes = {"a": (6,), "b": (6,), "ctx": (5,)}
    fusion: Any = build_fusion("wsa", shapes, "ctx", width=4)
    layers = [fusion.adapters[name].last for name in ("a", "b")]
    mean = (layers[0].weight + layers[1].weight) / 2
    torch.testing.assert_close(fusion.newcomer_adapter((6,)).weight, mean)


def test_the_bank_of_an_agent_gives_groups_their_embeddings() -> None:
    bank = FakeBank({"a": (6,), "b": (6,), "context": (4,)})
    model = build_agent(wsa_spec(encoders=("a", "b")), 3, bank.shapes)
    stack = torch.zeros(2, 4, 84, 84, dtype=torch.uint8)
    assert model(model.prepare(stack, bank)).weights.shape == (2, 2)  # pyright: ignore
