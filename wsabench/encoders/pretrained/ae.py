"""AE: a convolutional autoencoder of the newest frame; the paper's context encoder."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from wsabench.encoders.encoder import Encoder, Pretext, PretextBatch, Reads, conv, pixel_weights


class AutoencoderEncoder(Encoder):
    """Three convolutions on the newest frame: 16 x 16 x 16 (the paper's: 64 x 16 x 16)."""

    name = "ae"
    reads: Reads = "newest"
    shape = (16, 16, 16)
    widths: ClassVar[tuple[int, int, int]] = (16, 32, 16)
    """Feature maps of each convolution."""

    def __init__(self) -> None:
        """Build the layers."""
        super().__init__()
        first, second, third = self.widths
        self.trunk = nn.Sequential(
            conv(1, first, 8, 4, padding=0), conv(first, second, 3, padding=0), conv(second, third, 3, padding=0)
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return feature maps, shape (N, *shape), not negative."""
        return self.trunk(pixels)


class PaperAutoencoderEncoder(AutoencoderEncoder):
    """Three convolutions on the newest frame, 32x8 stride 4, 64x3, 64x3, without padding: 64 x 16 x 16."""

    shape = (64, 16, 16)
    widths = (32, 64, 64)


class AutoencoderPretext(Pretext):
    """Reconstruction of the newest frame by a mirrored decoder.

    The paper minimises the plain mean squared error. Here pixels are weighted by how far they are from the mean frame
    (`strength` 0 gives the plain error): otherwise a ball of two pixels is not worth a feature.
    """

    name = "ae"
    learning_rate = 1e-3
    batch_size = 32
    kind: ClassVar[type[AutoencoderEncoder]] = AutoencoderEncoder

    def __init__(self, strength: float = 100.0) -> None:
        """Build encoder and decoder."""
        super().__init__()
        self.strength = strength
        self.encoder = self.kind()
        first, second, third = self.kind.widths
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(third, second, 3),
            nn.ReLU(),
            nn.ConvTranspose2d(second, first, 3),
            nn.ReLU(),
            nn.ConvTranspose2d(first, 1, 8, 4),
        )

    def loss(self, batch: PretextBatch, step: int) -> dict[str, torch.Tensor]:
        """Return the weighted mean squared error `loss` and the plain one `mse`."""
        newest = batch.first[:, -1:]
        error = (self.decoder(self.encoder(newest)).float() - newest).square()
        weights = pixel_weights(newest, batch.background, self.strength)
        return {"loss": (weights * error).mean(), "mse": error.mean()}


class PaperAutoencoderPretext(AutoencoderPretext):
    """Reconstruction of the newest frame by the mirrored decoder: mean squared error, every pixel alike."""

    kind = PaperAutoencoderEncoder

    def loss(self, batch: PretextBatch, step: int) -> dict[str, torch.Tensor]:
        """Return the mean squared error, `loss`."""
        newest = batch.first[:, -1:]
        return {"loss": (self.decoder(self.encoder(newest)).float() - newest).square().mean()}
