"""Windows that do not overlap: a convolution over them is one product of matrices.

Cut out once a step, they serve every epoch: its backward pass takes less than half the time of the convolution's.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def cut_out(maps: Tensor, kernel: tuple[int, int]) -> Tensor:
    """Return the windows of maps, side by side from the upper left; what is left over at the far edges is dropped.

    Args:
        maps: Shape (N, height, width, channels).
        kernel: Height and width of a window.

    Returns:
        Shape (N, rows, columns, window height x window width x channels).
    """
    height, width = kernel
    rows, columns = maps.shape[1] // height, maps.shape[2] // width
    covered = maps[:, : rows * height, : columns * width]
    return covered.unflatten(1, (rows, height)).unflatten(3, (columns, width)).transpose(2, 3).flatten(3)


def convolve(windows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return what a convolution whose stride is its kernel gives on the maps.

    Args:
        windows: As `cut_out` gives them, with the last axis second: shape (N, size, rows, columns).
        weight: Shape (O, channels, window height, window width).
        bias: Shape (O,).

    Returns:
        Shape (N, O, rows, columns).
    """
    count, size, rows, columns = windows.shape
    samples = windows.permute(0, 2, 3, 1).reshape(-1, size)
    # Few outputs, many windows: the transposed product is the faster one.
    products = functional.linear(weight.permute(0, 2, 3, 1).flatten(1), samples)
    maps = (products + bias.to(products.dtype)[:, None]).unflatten(1, (count, rows, columns))
    return maps.transpose(0, 1)
