"""The hash of a policy's weights: it follows every change of them, and nothing else."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from wsabench.agents import wrap_policy
from wsabench.agents.weights import weights_hash


class Net(nn.Module):
    def __init__(self, seed: int = 0, scale: float = 1.0) -> None:
        super().__init__()
        self.scale, self.layer, self.norm = scale, nn.Linear(3, 4), nn.BatchNorm1d(4)
        with torch.no_grad():
            self.layer.weight.copy_(torch.randn(4, 3, generator=torch.Generator().manual_seed(seed)))
            self.layer.bias.zero_()

    def forward(self, observations: np.ndarray) -> np.ndarray:
        return np.zeros(len(observations), np.int64)


class Holder:
    """An object with a module somewhere inside."""

    version = "1"

    def __init__(self, inside: Any) -> None:
        self.inside, self.myself = inside, self

    def act(self, observations: np.ndarray, lanes: Any) -> np.ndarray:
        return self.inside(observations)


NET = Net()


def naming(observations: np.ndarray) -> np.ndarray:
    """Use what stands at the top of the module."""
    return NET(observations)


def made_with(net: Net) -> Any:
    return lambda observations: net(observations)


def taking(net: Net, observations: np.ndarray) -> np.ndarray:
    return net(observations)


SHAPES = {
    "itself": lambda net: net,
    "attribute": Holder,
    "deeper": lambda net: Holder({"a": [Holder(net)]}),
    "closure": made_with,
    "partial": lambda net: functools.partial(taking, net),
    "method": lambda net: net.forward,
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("with_code", [False, True])
def test_the_hash_follows_every_weight(shape: str, with_code: bool) -> None:
    make = SHAPES[shape]
    first = weights_hash(make(Net()), with_code=with_code)
    assert first is not None
    assert first == weights_hash(make(Net()), with_code=with_code)
    assert first != weights_hash(make(Net(1)), with_code=with_code)
    moved = Net()
    moved.norm.running_mean[0] = 0.5  # pyright: ignore
    assert first != weights_hash(make(moved), with_code=with_code)
    halved = Net()
    halved.layer.weight.data = halved.layer.weight.data.to(torch.float64)
    assert first != weights_hash(make(halved), with_code=with_code)


def test_a_setting_counts_where_no_version_is_stated() -> None:
    assert weights_hash(Net(), with_code=True) != weights_hash(Net(scale=2.0), with_code=True)
    assert weights_hash(Net(), with_code=False) == weights_hash(Net(scale=2.0), with_code=False)


def test_a_function_names_its_module() -> None:
    assert weights_hash(naming, with_code=False) is not None
    assert weights_hash(made_with, with_code=False) is None
    assert weights_hash(Holder(nn.LazyLinear(2)), with_code=False) is None


def test_new_weights_under_the_same_version_are_another_policy() -> None:
    hashes = [wrap_policy(Holder(Net(seed))).abilities.checkpoint_hash for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert wrap_policy(Holder(np.zeros)).abilities.checkpoint_hash not in hashes


def test_a_module_needs_no_version_and_other_objects_do() -> None:
    hashes = [wrap_policy(net).abilities.checkpoint_hash for net in (Net(), Net(), Net(1), Net(scale=2.0))]
    assert hashes[0] == hashes[1] is not None
    assert len(set(hashes)) == 3
    assert wrap_policy(made_with(Net())).abilities.checkpoint_hash is None
    assert wrap_policy(Holder(Net())).abilities.version == "1"
