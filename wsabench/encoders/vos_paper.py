"""VOS in the paper's size, and MOREL's loss.

References:
    Goel et al. 2018, Unsupervised Video Object Segmentation for Deep Reinforcement Learning (MOREL).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import interpolate

from wsabench.encoders.encoder import SCREEN, Encoder, Pretext, PretextBatch, Reads, conv
from wsabench.encoders.vos import dissimilarity, frame_pair, warp

NUM_MASKS = 20
VECTOR = 512
COARSE_CHANNELS, COARSE = 24, 21
PIXEL = 2 / (SCREEN - 1)
"""Of a frame from -1 to 1."""
SPARSITY_GROWTH = 1e-5
"""Of the sparsity's weight, a step; the weight ends at 1."""


class UpsamplingStage(nn.Module):
    """Twice the height and width, bilinearly; a 3x3 convolution with ReLU is added to that."""

    def __init__(self, channels: int) -> None:
        """Build the convolution."""
        super().__init__()
        self.conv = conv(channels, channels, 3)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return maps of shape (N, C, 2 H, 2 W)."""
        # With channels last both steps take half the time; the linear layer before gives its maps channels first.
        maps = maps.contiguous(memory_format=torch.channels_last)
        # Bfloat16 takes three times as long to enlarge as float32 does.
        larger = interpolate(maps.float(), scale_factor=2, mode="bilinear").to(maps.dtype)
        return larger + self.conv(larger)


class PaperSegmentationEncoder(Encoder):
    """Masks 20 x 84 x 84 in [0, 1] of two blurred frames, from a bottleneck of 512."""

    name = "vos"
    reads: Reads = "stack"
    shape = (NUM_MASKS, SCREEN, SCREEN)

    def __init__(self) -> None:
        """Build the layers."""
        super().__init__()
        self.trunk = nn.Sequential(
            conv(2, 32, 8, 4, padding=0),
            conv(32, 64, 4, 2, padding=0),
            conv(64, 64, 3, padding=0),
            nn.Flatten(),
            nn.Linear(64 * 7 * 7, VECTOR),
            nn.ReLU(),
        )
        self.head = nn.Sequential(
            nn.Linear(VECTOR, COARSE_CHANNELS * COARSE * COARSE),
            nn.ReLU(),
            nn.Unflatten(1, (COARSE_CHANNELS, COARSE, COARSE)),
            UpsamplingStage(COARSE_CHANNELS),
            UpsamplingStage(COARSE_CHANNELS),
            nn.Conv2d(COARSE_CHANNELS, NUM_MASKS, 1),
            nn.Sigmoid(),
        )

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the bottleneck, shape (N, 512), not negative."""
        return self.trunk(torch.cat(frame_pair(pixels), dim=1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return masks, shape (N, 20, 84, 84)."""
        return self.head(self.features(pixels))


def translated_sparsity(masks: torch.Tensor, translations: torch.Tensor) -> torch.Tensor:
    """Return the mean over samples and pixels of the L1 norm of all masks times their translations.

    Args:
        masks: Shape (N, K, H, W), values in [0, 1].
        translations: Shape (N, K, 2).

    Returns:
        Scalar.
    """
    return (masks.mean((2, 3)) * translations.abs().sum(2)).sum(1).mean()


class PaperSegmentationPretext(Pretext):
    """Reconstruction of the newer frame by warping the older one with the masks' translations.

    The flow is the camera's translation plus the sum of mask x object translation; both translations are linear in the
    bottleneck, which gives them in pixels, and start at zero. In the sparsity they count in units of half the frame.
    Loss: DSSIM + weight x sparsity, the weight growing by
    1e-5 a step up to 1.
    """

    name = "vos"
    learning_rate = 1e-4
    batch_size = 32
    max_gradient_norm = 5.0

    def __init__(self) -> None:
        """Build the encoder and the linear layer for translations."""
        super().__init__()
        self.encoder = PaperSegmentationEncoder()
        self.translations = nn.Linear(VECTOR, 2 * (NUM_MASKS + 1))

    def initialise_heads(self) -> None:
        """Start without any motion."""
        nn.init.zeros_(self.translations.weight)

    def encoders(self) -> tuple[Encoder, ...]:
        """Return the encoder."""
        return (self.encoder,)

    def loss(self, batch: PretextBatch, step: int) -> dict[str, torch.Tensor]:
        """Return `loss` = `dssim` + min(1, 1e-5 step) x `sparsity`."""
        older, newer = frame_pair(batch.first)
        features = self.encoder.features(batch.first)
        masks = self.encoder.head(features).float()
        moves = PIXEL * self.translations(features).float().reshape(-1, NUM_MASKS + 1, 2)
        with torch.autocast(masks.device.type, enabled=False):
            flow = torch.einsum("nkhw,nkc->nchw", masks, moves[:, :-1]) + moves[:, -1, :, None, None]
            dssim = dissimilarity(warp(older, flow), newer).mean()
        sparsity = translated_sparsity(masks, moves[:, :-1])
        return {"loss": dssim + min(1.0, SPARSITY_GROWTH * step) * sparsity, "dssim": dssim, "sparsity": sparsity}
