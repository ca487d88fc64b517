"""OKE and OKK in the paper's size, and Transporter's plain loss.

References:
    Kulkarni et al. 2019, Unsupervised Learning of Object Keypoints for Perception and Control.
"""

from __future__ import annotations

import torch
from torch import nn

from wsabench.encoders.encoder import Encoder, Pretext, PretextBatch, Reads, conv
from wsabench.encoders.transporter import MAP, KeypointEncoder, transport

CHANNELS = 128
DECAY, DECAY_STEPS = 0.95, 100_000


def _trunk() -> nn.Sequential:
    return nn.Sequential(
        conv(1, 32, 7, norm=True),
        conv(32, 32, 3, norm=True),
        conv(32, 64, 3, 2, norm=True),
        conv(64, 64, 3, norm=True),
        conv(64, CHANNELS, 3, 2, norm=True),
        conv(CHANNELS, CHANNELS, 3, norm=True),
    )


class PaperFeatureEncoder(Encoder):
    """Feature maps 128 x 21 x 21 of the newest frame; padding keeps the size but for the two strides of 2."""

    name = "oke"
    reads: Reads = "newest"
    shape = (CHANNELS, MAP, MAP)

    def __init__(self) -> None:
        """Build the layers."""
        super().__init__()
        self.trunk = _trunk()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return feature maps, shape (N, 128, 21, 21), not negative."""
        return self.trunk(pixels)


class PaperKeypointEncoder(KeypointEncoder):
    """The keypoint network with the paper's trunk; options and methods are those of `KeypointEncoder`."""

    channels = CHANNELS

    @staticmethod
    def build_trunk() -> nn.Sequential:
        """Return the convolutions before the 1x1 convolution."""
        return _trunk()


class PaperTransporterPretext(Pretext):
    """Reconstruction of a later frame of the episode from transported features of an earlier one, mean squared error.

    No gradient flows through the source frame. The refining decoder mirrors the trunk.
    """

    name = "transporter"
    learning_rate = 1e-3
    batch_size = 64
    offsets = (1, 20)

    def __init__(self) -> None:
        """Build both encoders and the refining decoder."""
        super().__init__()
        self.features = PaperFeatureEncoder()
        self.keynet = PaperKeypointEncoder()
        self.decoder = nn.Sequential(
            conv(CHANNELS, CHANNELS, 3, norm=True),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            conv(CHANNELS, 64, 3, norm=True),
            conv(64, 64, 3, norm=True),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            conv(64, 32, 3, norm=True),
            conv(32, 32, 3, norm=True),
            nn.Conv2d(32, 1, 7, padding=3),
        )

    def learning_rate_at(self, step: int) -> float:
        """Return 1e-3, times 0.95 every 100,000 steps."""
        return self.learning_rate * DECAY ** (step // DECAY_STEPS)

    def encoders(self) -> tuple[Encoder, ...]:
        """Return the feature encoder and the keypoint encoder."""
        return (self.features, self.keynet)

    def loss(self, batch: PretextBatch, step: int) -> dict[str, torch.Tensor]:
        """Return the mean squared error of the target frame, `loss`."""
        source, target = batch.first[:, -1:], batch.second[:, -1:]
        with torch.no_grad():
            source_features, source_maps = self.features(source), self.keynet.heat_maps(source)
        moved = transport(source_features, self.features(target), source_maps, self.keynet.heat_maps(target))
        return {"loss": (self.decoder(moved).float() - target).square().mean()}
