"""What frozen encoders are turned into: the same functions in fewer, faster steps."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear

from wsabench.encoders.encoder import Encoder


class RectifiedConvolution(nn.Module):
    """A convolution and the ReLU after it, in one pass over memory where the CPU's library can; equal to the bit."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        """Take over a convolution, zero-padded and not grouped."""
        super().__init__()
        self.convolution = convolution
        self._geometry = [
            [int(side) for side in sides] for sides in (convolution.padding, convolution.stride, convolution.dilation)
        ]

    def forward(self, maps: Tensor) -> Tensor:
        """Return the rectified maps."""
        weight, bias = self.convolution.weight, self.convolution.bias
        padding, stride, dilation = self._geometry
        # The joined operation has no gradient, and autocast does not know it: encoders that are trained further would
        # play in another type than they learn in.
        is_plain = torch.is_grad_enabled() or torch.is_autocast_enabled("cpu")
        if is_plain or not maps.is_cpu or not has_joined_operation():
            return torch.relu_(conv2d(maps, weight, bias, stride, padding, dilation))
        joined = torch.ops.mkldnn._convolution_pointwise
        return joined(maps, weight, bias, padding, stride, dilation, 1, "relu", [], "")


class PackedLinear(nn.Module):
    """A linear layer in bfloat16 whose weight lies as the CPU's library multiplies it: half the time for a few rows."""

    def __init__(self, linear: nn.Linear) -> None:
        """Take over a layer."""
        super().__init__()
        self.linear = linear
        self._packed: list[Tensor] = []

    def forward(self, rows: Tensor) -> Tensor:
        """Return the products, shape (N, outputs)."""
        weight, bias = self.linear.weight, self.linear.bias
        is_half = rows.is_cpu and rows.dtype == weight.dtype == torch.bfloat16
        if torch.is_grad_enabled() or not is_half or not has_joined_operation():
            return linear(rows, weight, bias)
        if not self._packed:
            self._packed.append(torch.ops.mkldnn._reorder_linear_weight(weight.detach()))
        return torch.ops.mkldnn._linear_pointwise(rows, self._packed[0], bias, "none", [], "")

    def __getstate__(self) -> dict[str, Any]:
        # A packed weight can be neither copied nor pickled; a copy packs its own.
        return self.__dict__ | {"_packed": []}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._packed.clear()
        return super()._apply(fn, recurse)


def half_precision_is_fast() -> bool:
    """Whether this CPU computes bfloat16 natively."""
    return bool(torch.cpu._is_avx512_bf16_supported())


def computing_dtype(encoder: Encoder, dtype: torch.dtype) -> torch.dtype:
    """Return in which type an encoder computes where `dtype` is asked for."""
    return torch.float32 if encoder.needs_single else dtype


def inference_copy(encoder: Encoder, dtype: torch.dtype) -> Encoder:
    """Return a frozen copy that computes in a type, in fewer steps."""
    clone = copy.deepcopy(encoder).eval().requires_grad_(requires_grad=False)
    join_layers(fold_batch_norm(clone))
    return clone.to(computing_dtype(encoder, dtype)).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def has_joined_operation() -> bool:
    """Whether this build of torch has layers with a rectifier in one operation: those for x86 with oneDNN have."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """Merge each batch normalisation into the convolution before it; for inference only.

    Args:
        module: Any module; inside `nn.Sequential` a `BatchNorm2d` must directly follow its `Conv2d`. Changed in place.

    Returns:
        `module`, with the same outputs as it had in evaluation mode.
    """
    for child in module.modules():
        if not isinstance(child, nn.Sequential):
            continue
        for index in range(len(child) - 1):
            first, second = child[index], child[index + 1]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                child[index] = nn.utils.fuse_conv_bn_eval(first.eval(), second.eval())
                child[index + 1] = nn.Identity()
    return module


def join_layers(module: nn.Module) -> nn.Module:
    """Replace layers of `nn.Sequential` by joined and packed ones; for inference only.

    Each ReLU after a convolution joins it, one after a linear layer overwrites its input; linear layers are packed.

    Args:
        module: Any module, batch normalisation folded. Changed in place.

    Returns:
        `module`, with the same outputs.
    """
    for child in list(module.modules()):
        if isinstance(child, nn.Sequential):
            _join(child)
    return module


def _join(layers: nn.Sequential) -> None:
    places = [index for index, layer in enumerate(layers) if not isinstance(layer, nn.Identity)]
    for index, after in pairwise([*places, -1]):
        layer, rectifier = layers[index], layers[after] if after >= 0 else None
        if isinstance(layer, nn.Linear):
            layers[index] = PackedLinear(layer)
            if isinstance(rectifier, nn.ReLU):
                rectifier.inplace = True
        elif isinstance(layer, nn.Conv2d) and isinstance(rectifier, nn.ReLU) and _is_plain(layer):
            layers[index], layers[after] = RectifiedConvolution(layer), nn.Identity()


def _is_plain(convolution: nn.Conv2d) -> bool:
    return convolution.groups == 1 and convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)
