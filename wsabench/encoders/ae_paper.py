"""AE in the paper's size, with its plain loss."""

from __future__ import annotations

import torch
from torch import nn

from wsabench.encoders.encoder import Encoder, Pretext, PretextBatch, Reads, conv


class PaperAutoencoderEncoder(Encoder):
    """Three convolutions on the newest frame, 32x8 stride 4, 64x3, 64x3, without padding: 64 x 16 x 16."""

    name = "ae"
    reads: Reads = "newest"
    shape = (64, 16, 16)

    def __init__(self) -> None:
        """Build the layers."""
        super().__init__()
        self.trunk = nn.Sequential(conv(1, 32, 8, 4, padding=0), conv(32, 64, 3, padding=0), conv(64, 64, 3, padding=0))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return feature maps, shape (N, 64, 16, 16), not negative."""
        return self.trunk(pixels)


class PaperAutoencoderPretext(Pretext):
    """Reconstruction of the newest frame by the mirrored decoder: mean squared error, every pixel alike."""

    name = "ae"
    learning_rate = 1e-3
    batch_size = 32

    def __init__(self) -> None:
        """Build encoder and decoder."""
        super().__init__()
        self.encoder = PaperAutoencoderEncoder()
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(64, 64, 3),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 3),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 8, 4),
        )

    def encoders(self) -> tuple[Encoder, ...]:
        """Return the encoder."""
        return (self.encoder,)

    def loss(self, batch: PretextBatch, step: int) -> dict[str, torch.Tensor]:
        """Return the mean squared error, `loss`."""
        newest = batch.first[:, -1:]
        return {"loss": (self.decoder(self.encoder(newest)).float() - newest).square().mean()}
