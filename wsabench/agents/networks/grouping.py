"""Adapters of many encoders at once: those for embeddings of one shape run as one batched operation."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsabench.agents.networks.adapters import Adapter, LinearAdapter, MapAdapter, MapReducer, flattened, joined_kernels

_GROUPED_NUMBERS = 3 * 2**20
"""On a CPU maps are joined for a grouped convolution up to this many numbers. Beyond, each encoder's convolution is
large enough to be worth its call, and joining the maps only moves memory: measured, one after another is then 1.2 to 2
times as fast. On a GPU calls are what costs, so there maps are always joined."""
_PRODUCT_NUMBERS = 2**22
"""On a CPU matrices are multiplied together up to this many numbers: half precision makes a copy of them first, which
should stay in the memory that the allocator keeps."""


class AdapterGroup(nn.Module):
    """Adapters of one architecture; each parameter of theirs is one tensor with the adapters as first axis."""

    def __init__(self, members: Sequence[Adapter]) -> None:
        """Take over the weights of `members`, which read embeddings of one shape."""
        super().__init__()
        self._size = len(members)
        # In a tuple it is no submodule: its own weights are none of the network's.
        self._templates = (copy.deepcopy(members[0]).to("meta"),)
        self._is_joined = isinstance(members[0], MapReducer) and members[0].is_joined
        for name, _ in members[0].named_parameters():
            stacked = torch.stack([member.get_parameter(name).detach() for member in members])
            self.register_parameter(_flat(name), nn.Parameter(stacked))

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The parameters' names in a single adapter."""
        return tuple(name for name, _ in self._templates[0].named_parameters())

    def member(self, index: int) -> Adapter:
        """Return one adapter, its weights views of this group's; for reading, not for training."""
        member = copy.deepcopy(self._templates[0])
        weights = {name: self._stacked(name)[index].detach() for name in self.parameter_names}
        member.load_state_dict(weights, assign=True)
        return member.requires_grad_(requires_grad=False)

    def forward(self, embeddings: Sequence[Tensor]) -> Tensor:
        """Adapt one embedding (N, *shape) for each adapter; the result's first axis is the adapters."""
        template = self._templates[0]
        if isinstance(template, LinearAdapter):
            return self._project("linear", torch.stack([flattened(embedding) for embedding in embeddings]))
        layers = [("mix", template.mix), ("convolution", template.convolution)]
        maps = self._shrink([(name, layer) for name, layer in layers if layer is not None], embeddings)
        if isinstance(template, MapAdapter):
            return self._project("project.linear", maps.permute(0, 1, 3, 4, 2).flatten(2))
        return maps

    def _shrink(self, layers: Sequence[tuple[str, nn.Conv2d]], maps: Sequence[Tensor]) -> Tensor:
        """Convolve each map with its own kernels, then ReLU: shape (adapters, N, channels, height, width)."""
        kernels = [(self._stacked(f"{n}.weight"), self._stacked(f"{n}.bias"), _stride(layer)) for n, layer in layers]
        if self._is_joined:
            (mix, mix_bias, _), (kernel, bias, stride) = kernels
            kernels = [(*joined_kernels(mix, mix_bias, kernel, bias), stride)]
        if maps[0].device.type == "cpu" and self._size * maps[0].numel() > _GROUPED_NUMBERS:
            apart = list(maps)
            for weights, biases, stride in kernels:
                each = zip(apart, weights.unbind(0), biases.unbind(0), strict=True)
                apart = [functional.conv2d(one, weight, bias, stride) for one, weight, bias in each]
            return functional.relu(torch.stack(apart))
        joined = torch.cat(list(maps), dim=1)
        for weight, bias, stride in kernels:
            joined = functional.conv2d(joined, weight.flatten(0, 1), bias.flatten(), stride, groups=self._size)
        return functional.relu(joined).unflatten(1, (self._size, -1)).transpose(0, 1)

    def _project(self, name: str, vectors: Tensor) -> Tensor:
        """Multiply each adapter's rows (adapters, N, size) with its own matrix, then ReLU."""
        weight, bias = self._stacked(f"{name}.weight"), self._stacked(f"{name}.bias")
        together = self._size if weight.is_cuda else max(1, _PRODUCT_NUMBERS // weight[0].numel())
        parts = zip(vectors.split(together), weight.split(together), strict=True)
        products = torch.cat([torch.bmm(rows, matrices.transpose(1, 2)) for rows, matrices in parts])
        return functional.relu(products + bias[:, None].to(products.dtype))

    def _stacked(self, name: str) -> Tensor:
        return self.get_parameter(_flat(name))


class Adapters(nn.ModuleDict):
    """The adapters of an agent by encoder.

    Encoders whose embeddings have one shape are adapted together. Seen from outside, in `state_dict()` and by name,
    each has its own adapter, so a checkpoint does not depend on which encoders were adapted together.
    """

    def __init__(self, members: Mapping[str, Adapter], shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Group adapters.

        Args:
            members: By encoder.
            shapes: Embedding shape of each.
        """
        super().__init__()
        by_shape: dict[tuple[int, ...], list[str]] = {}
        for name in members:
            by_shape.setdefault(shapes[name], []).append(name)
        self._groups = {"+".join(names): tuple(names) for names in by_shape.values() if len(names) > 1}
        self._places = {name: (key, i) for key, names in self._groups.items() for i, name in enumerate(names)}
        for names in by_shape.values():
            key = "+".join(names)
            self.add_module(key, AdapterGroup([members[name] for name in names]) if len(names) > 1 else members[key])
        self.register_state_dict_post_hook(_take_apart)
        self.register_load_state_dict_pre_hook(_put_together)

    def __getitem__(self, key: str) -> Any:
        """Return an encoder's adapter; where it is one of a group, a copy that shares its weights."""
        if key in self._places:
            group, index = self._places[key]
            return self._group(group).member(index)
        return super().__getitem__(key)

    def __contains__(self, key: str) -> bool:
        """Whether an encoder has an adapter."""
        return key in self._places or (super().__contains__(key) and key not in self._groups)

    def forward(self, embeddings: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Adapt every encoder's embedding; `embeddings` may hold others, which are left out."""
        adapted = {}
        for key, module in self._modules.items():
            if isinstance(module, AdapterGroup):
                names = self._groups[key]
                together = module([embeddings[name] for name in names])
                adapted |= zip(names, together.unbind(0), strict=True)
            elif module is not None:
                adapted[key] = module(embeddings[key])
        return adapted

    def windows(self, name: str, maps: Tensor) -> Tensor:
        """Return what an encoder's adapter reads of its maps, (N, height, width, channels), as it is read fastest."""
        adapter = self._modules.get(name)
        return adapter.windows(maps) if isinstance(adapter, MapReducer) else maps

    def parts(self) -> list[tuple[str, AdapterGroup, tuple[str, ...]]]:
        """Return the groups: key, module, encoders."""
        return [(key, self._group(key), names) for key, names in self._groups.items()]

    def _group(self, key: str) -> AdapterGroup:
        group = super().__getitem__(key)
        if not isinstance(group, AdapterGroup):
            raise TypeError(f"{key!r} is no group of adapters")
        return group


_State = dict[str, Any]


def _take_apart(module: nn.Module, state: _State, prefix: str, _: _State) -> None:
    """Give each adapter of a group its own entries in a state."""
    for key, group, names in _parts(module):
        for parameter in group.parameter_names:
            stacked = state.pop(f"{prefix}{key}.{_flat(parameter)}")
            # Cloned: files refuse tensors that share memory.
            state |= {f"{prefix}{name}.{parameter}": stacked[i].clone() for i, name in enumerate(names)}


def _put_together(module: nn.Module, state: _State, prefix: str, *_: Any) -> None:
    """Make of the adapters' own entries those of their groups; what is missing stays missing."""
    for key, group, names in _parts(module):
        for parameter in group.parameter_names:
            found = [f"{prefix}{name}.{parameter}" for name in names]
            if all(one in state for one in found):
                state[f"{prefix}{key}.{_flat(parameter)}"] = torch.stack([state.pop(one) for one in found])


def _parts(module: nn.Module) -> list[tuple[str, AdapterGroup, tuple[str, ...]]]:
    return module.parts() if isinstance(module, Adapters) else []


def _stride(layer: nn.Conv2d) -> tuple[int, int]:
    return layer.stride[0], layer.stride[1]


def _flat(name: str) -> str:
    """Return a parameter's name without the dots that torch refuses."""
    return name.replace(".", "_")


def make_adapters(
    shapes: Mapping[str, tuple[int, ...]], make_one: Callable[[tuple[int, ...]], Adapter | None]
) -> Adapters:
    """Build the adapters of encoders, one after the other in their order; None for encoders that need none.

    Args:
        shapes: Embedding shape by encoder.
        make_one: From a shape to an adapter.
    """
    made = {name: make_one(shape) for name, shape in shapes.items()}
    return Adapters({name: adapter for name, adapter in made.items() if adapter is not None}, shapes)
