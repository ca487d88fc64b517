"""Adapters: what embeddings of any shape become."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wsabench.agents.networks.adapters import (
    LinearAdapter,
    MapAdapter,
    convolve,
    cut_out,
    exact_reduction,
    make_adapter,
    make_reducer,
    plan_reduction,
    reduction,
)
from wsabench.agents.networks.network import Initialiser
from wsabench.agents.spec import AgentSpec


def spec(style: Any = "paper", cells: int = 16, channels: int = 16) -> AgentSpec:
    return AgentSpec(
        name="x", kind="fix", preset="p", width=8, encoders=("e",), adapter_style=style, adapter_cells=cells,
        adapter_channels=channels,
    )  # fmt: skip


@given(st.integers(1, 200), st.integers(1, 40))
def test_the_papers_reduction_is_exact_and_sees_every_pixel(size: int, cells: int) -> None:
    kernel, stride = exact_reduction(size, cells)
    assert (size - kernel) // stride + 1 == min(size, cells)
    assert kernel >= stride
    assert size - (kernel + stride * (min(size, cells) - 1)) < stride


@given(st.integers(1, 200), st.integers(1, 40))
def test_the_compact_reduction_comes_to_the_cells(size: int, cells: int) -> None:
    kernel, stride = reduction(size, cells)
    assert (size - kernel) // stride + 1 == min(size, cells)


# The first three are the published ones.
@pytest.mark.parametrize(
    ("shape", "channels", "kernel", "stride"),
    [
        ((128, 21, 21), 32, (6, 6), (1, 1)),
        ((4, 21, 21), 16, (6, 6), (1, 1)),
        ((20, 84, 84), 16, (5, 5), (5, 5)),
        ((80, 42, 42), 20, (11, 11), (2, 2)),
        ((1280, 40, 17), 32, (9, 2), (2, 1)),
        ((8, 30, 5), 16, (15, 1), (1, 1)),
    ],
)
def test_the_papers_adapters_follow_one_rule(shape: Any, channels: int, kernel: Any, stride: Any) -> None:
    assert plan_reduction(shape, spec()) == (True, channels, kernel, stride)


@pytest.mark.parametrize("shape", [(512,), (64, 16, 16), (1280, 2, 2), (32, 10, 16)])
def test_what_is_small_enough_stays_as_it_is(shape: Any) -> None:
    make = Initialiser(None)
    assert plan_reduction(shape, spec()) is None
    assert make_reducer(shape, spec(), make) is None
    adapter = make_adapter(shape, spec(), make)
    assert isinstance(adapter, LinearAdapter)
    assert adapter(torch.zeros(3, *shape)).shape == (3, 8)


@pytest.mark.parametrize("style", ["compact", "paper"])
@pytest.mark.parametrize("shape", [(3, 21, 21), (20, 84, 84), (7, 30, 18), (1, 17, 40), (200, 19, 19)])
def test_maps_of_any_shape_become_small_maps_and_vectors(style: Any, shape: Any) -> None:
    reducer = make_reducer(shape, spec(style, cells=8, channels=4), Initialiser(0))
    assert reducer is not None
    small = reducer(torch.ones(2, *shape))
    assert small.shape[1:] == reducer.shape == (reducer.convolution.out_channels, 8, 8)
    adapter = make_adapter(shape, spec(style, cells=8, channels=4), Initialiser(0))
    assert isinstance(adapter, MapAdapter)
    assert adapter(torch.ones(2, *shape)).shape == (2, 8)
    assert torch.equal(adapter.shrink(torch.ones(2, *shape)), small)


def test_compact_adapters_shrink_even_small_maps() -> None:
    assert plan_reduction((32, 10, 10), spec("compact", cells=10, channels=12)) == (False, 12, (1, 1), (1, 1))


@pytest.mark.parametrize(("shape", "is_joined"), [((20, 84, 84), True), ((4, 21, 21), True), ((128, 21, 21), False)])
def test_two_convolutions_run_as_one_where_that_saves_and_learn_the_same(
    shape: tuple[int, int, int], is_joined: bool
) -> None:
    adapter = make_reducer(shape, spec(), Initialiser(0))
    assert adapter is not None
    assert adapter.mix is not None
    assert adapter.is_joined == is_joined
    for bias in (adapter.mix.bias, adapter.convolution.bias):
        assert bias is not None
        torch.nn.init.normal_(bias, generator=torch.Generator().manual_seed(1))
    maps = torch.randn(3, *shape, generator=torch.Generator().manual_seed(2))
    gradients = []
    apart = torch.relu(adapter.convolution(adapter.mix(maps)))
    for result in (apart, adapter(maps)):
        torch.testing.assert_close(result, apart, rtol=1e-4, atol=1e-4)
        result.square().mean().backward()
        gradients.append([parameter.grad.clone() for parameter in adapter.parameters() if parameter.grad is not None])
        adapter.zero_grad()
    assert len(gradients[0]) == 4
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@given(st.integers(1, 3), st.integers(1, 5), st.tuples(*[st.integers(1, 4)] * 2), st.tuples(*[st.integers(0, 3)] * 2))
def test_windows_convolve_as_maps_do(count: int, channels: int, kernel: tuple[int, int], rest: tuple[int, int]) -> None:
    sides = [3 * side + left % side for side, left in zip(kernel, rest, strict=True)]
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(count, *sides, channels, generator=generator)
    weight, bias = torch.randn(6, channels, *kernel, generator=generator), torch.randn(6, generator=generator)
    windows = cut_out(maps, kernel)
    assert windows.shape == (count, 3, 3, kernel[0] * kernel[1] * channels)
    found = convolve(windows.permute(0, 3, 1, 2), weight, bias)
    plain = torch.nn.functional.conv2d(maps.permute(0, 3, 1, 2), weight, bias, kernel)
    torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("shape", "is_cut"), [((20, 84, 84), True), ((4, 21, 21), False), ((128, 21, 21), False)])
def test_an_adapter_reads_windows_instead_of_maps_and_learns_the_same(shape: Any, is_cut: bool) -> None:
    adapter = make_adapter(shape, spec(), Initialiser(0))
    assert isinstance(adapter, MapAdapter)
    maps = torch.randn(3, *shape[1:], shape[0], generator=torch.Generator().manual_seed(2))
    read = adapter.windows(maps)
    assert read.shape[1:] == ((16, 16, 500) if is_cut else maps.shape[1:])
    assert adapter.windows(maps.to("meta")).shape == maps.shape, "a GPU reads maps faster"
    found = []
    for form in (maps, read):
        result = adapter(form.permute(0, 3, 1, 2))
        result.square().mean().backward()
        found.append([result.detach(), *(p.grad.clone() for p in adapter.parameters() if p.grad is not None)])
        adapter.zero_grad()
    assert len(found[0]) == 7
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
