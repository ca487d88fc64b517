"""Edges: where the newest frame changes along rows and along columns.

The worked example of a package that adds an encoder to wsabench: one class, named in the package's entry points.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from wsabench.encoders import Encoder, Reads


class EdgesEncoder(Encoder):
    """Sobel's two filters, their absolute values averaged over 4 x 4 pixels: 2 x 21 x 21; nothing is learnt.

    References:
        Sobel and Feldman 1968, "A 3x3 isotropic gradient operator for image processing".
    """

    name = "edges"
    reads: Reads = "newest"
    shape = (2, 21, 21)

    kernel: torch.Tensor

    def __init__(self) -> None:
        """Set the filters; as a buffer they move with the encoder, and enter its hash."""
        super().__init__()
        across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
        self.register_buffer("kernel", torch.stack([across, across.T])[:, None])

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return edges along columns and along rows.

        Args:
            pixels: Luminance in [0, 1], shape (N, 1, 84, 84).

        Returns:
            Not negative, shape (N, 2, 21, 21).
        """
        gradients = functional.conv2d(functional.pad(pixels, (1, 1, 1, 1), mode="replicate"), self.kernel)
        return functional.avg_pool2d(gradients.abs(), 4)
