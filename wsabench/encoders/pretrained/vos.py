"""VOS: masks of moving objects, learnt by explaining the next frame through their translations.

References:
    Goel et al. 2018, Unsupervised Video Object Segmentation for Deep Reinforcement Learning (MOREL).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, grid_sample, interpolate, pad, pixel_shuffle

from wsabench.encoders.encoder import SCREEN, Encoder, Pretext, PretextBatch, Reads, conv, pixel_weights

NUM_MASKS = 8
NUM_MOVING = 4
"""The first masks are of moving objects, the others of what stands still."""
MASK_SIZE = 42
SSIM_WINDOW = 11
POOLING = (1, 2, 4)
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2
CHANGE_GAIN = 1000.0


class SegmentationEncoder(Encoder):
    """Masks 8 x 42 x 42 in [0, 1] of two blurred frames: the mean of the older and of the newer half of the stack.

    The first four are for what moves, the last four for what stands still. The paper's has 20 masks of 84 x 84 from a
    fully connected bottleneck, all for what moves, and a second network for what stands still.
    """

    name = "vos"
    reads: Reads = "stack"
    shape = (NUM_MASKS, MASK_SIZE, MASK_SIZE)

    def __init__(self) -> None:
        """Build the layers."""
        super().__init__()
        self.trunk = nn.Sequential(conv(2, 16, 5, 2), conv(16, 32, 3, 2), conv(32, 32, 3))
        self.head = nn.Conv2d(32, 4 * NUM_MASKS, 3, padding=1)

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return trunk features, shape (N, 32, 21, 21)."""
        return self.trunk(torch.cat(frame_pair(pixels), dim=1))

    def masks(self, features: torch.Tensor) -> torch.Tensor:
        """Return masks of trunk features, shape (N, 8, 42, 42)."""
        return pixel_shuffle(self.head(features), 2).sigmoid()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return masks, shape (N, 8, 42, 42)."""
        return self.masks(self.features(pixels))


def frame_pair(stack: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean of the two older and of the two newer frames, each of shape (N, 1, 84, 84)."""
    return (stack[:, :1] + stack[:, 1:2]) / 2, (stack[:, 2:3] + stack[:, 3:]) / 2


def dissimilarity(first: torch.Tensor, second: torch.Tensor, window: int = SSIM_WINDOW) -> torch.Tensor:
    """Return the structural dissimilarity (1 - SSIM) / 2 of every window.

    SSIM with uniform square windows that lie inside the image, population variances, and the usual constants
    0.01^2 and 0.03^2 for values in [0, 1].

    Args:
        first: Shape (N, 1, H, W), values in [0, 1].
        second: Same shape.
        window: Side of a window in pixels.

    Returns:
        Shape (N, 1, H - window + 1, W - window + 1), values in [0, 1]; 0: identical.

    References:
        Wang et al. 2004, Image quality assessment: from error visibility to structural similarity, equation 13.
    """
    moments = torch.stack([first, second, first * first, second * second, first * second])
    mean_1, mean_2, square_1, square_2, product = window_means(moments, window)
    variance_1, variance_2 = square_1 - mean_1**2, square_2 - mean_2**2
    covariance = product - mean_1 * mean_2
    similarity = ((2 * mean_1 * mean_2 + SSIM_C1) * (2 * covariance + SSIM_C2)) / (
        (mean_1**2 + mean_2**2 + SSIM_C1) * (variance_1 + variance_2 + SSIM_C2)
    )
    return (1 - similarity) / 2


def window_means(images: torch.Tensor, window: int) -> torch.Tensor:
    """Return the mean of every square window that lies inside an image.

    Args:
        images: Shape (..., H, W).
        window: Side of a window in pixels.

    Returns:
        Shape (..., H - window + 1, W - window + 1).
    """
    # Two products with banded matrices: many times faster on a CPU than pooling with a large window.
    rows, columns = (_band(size, window, images) for size in images.shape[-2:])
    return rows @ images @ columns.T


def _band(size: int, window: int, like: torch.Tensor) -> torch.Tensor:
    start = torch.arange(size - window + 1, device=like.device)[:, None]
    place = torch.arange(size, device=like.device)[None]
    return ((place >= start) & (place < start + window)).to(like.dtype) / window


def change_maps(older: torch.Tensor, newer: torch.Tensor, window: int = SSIM_WINDOW) -> torch.Tensor:
    """Return where something appeared and where something vanished, as coarse maps with soft edges.

    tanh(`CHANGE_GAIN` x mean brightening, or darkening, of the window around a pixel): even a ball of one pixel comes
    near 1. What is outside the frame never changes.

    Args:
        older: Shape (N, 1, 84, 84), values in [0, 1].
        newer: Same shape.
        window: Side of a window in pixels, odd.

    Returns:
        Shape (N, 2, 42, 42), values in [0, 1]: appeared, vanished.
    """
    changes = torch.cat([(newer - older).relu(), (older - newer).relu()], dim=1)
    means = window_means(pad(changes, (window // 2,) * 4), window)
    return avg_pool2d(torch.tanh(CHANGE_GAIN * means), SCREEN // MASK_SIZE)


def warp(frames: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Return frames whose pixel at p is the input's at p + flow(p), bilinearly.

    Args:
        frames: Shape (N, 1, H, W).
        flow: Displacement (x, y) in units of half the frame, shape (N, 2, H, W).
    """
    _, _, height, width = frames.shape
    rows = torch.linspace(-1, 1, height, device=frames.device)
    columns = torch.linspace(-1, 1, width, device=frames.device)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    grid = torch.stack([x, y], dim=-1) + flow.permute(0, 2, 3, 1)
    return grid_sample(frames, grid, padding_mode="border", align_corners=True)


class SegmentationPretext(Pretext):
    """Reconstruction of the newer frame by warping the older one with the masks' translations.

    Loss: DSSIM + weight x sparsity; the flow is the camera's translation plus the sum of mask x object translation,
    sparsity the mean over pixels of the sum of |mask x translation|, its weight grows by 1e-5 per step up to 1.

    Some things differ from the paper, for runs of thousands of steps instead of hundreds of thousands:

    - the learning rate is ten times as high, and translations start at zero;
    - DSSIM is averaged over the frame and the frame pooled by 2 and by 4, because a ball that moves further than its
      size gives no gradient at full resolution;
    - its windows are weighted by how much moved in them (`strength` 0: not weighted);
    - only the first half of the masks moves anything. They start faint, and a linear read-out of each pixel of them
      tells where something appeared and where something vanished between the two frames, see `change_maps`
      (`change_weight` 0: no). It starts as the sum of two masks for each. This makes them masks of whatever moves, with
      a margin;
    - one linear layer reconstructs both frames from all masks (`own_weight` 0: no), with the weighted error of the
      autoencoder: else the masks forget all that stands still, lives and bricks among it.
    """

    name = "vos"
    learning_rate = 1e-3
    batch_size = 32
    max_gradient_norm = 5.0

    def __init__(self, strength: float = 100.0, own_weight: float = 2.0, change_weight: float = 2.0) -> None:
        """Build the encoder, the head for translations and the linear decoders of the masks."""
        super().__init__()
        self.strength, self.own_weight, self.change_weight = strength, own_weight, change_weight
        self.encoder = SegmentationEncoder()
        self.motion = nn.Sequential(conv(32, 32, 3, 2), nn.Flatten(), nn.Linear(32 * 11 * 11, 128), nn.ReLU())
        self.translations = nn.Linear(128, 2 * (NUM_MOVING + 1))
        self.decoder = nn.Sequential(nn.Conv2d(NUM_MASKS, 8, 5, padding=2), nn.PixelShuffle(2))
        self.changes = nn.Conv2d(NUM_MOVING, 2, 1)

    def initialise_heads(self) -> None:
        """Start without any motion, with faint moving masks: half of them read as appeared, half as vanished."""
        nn.init.zeros_(self.translations.weight)
        nn.init.constant_(self.encoder.head.bias[: 4 * NUM_MOVING], -2.0)  # pyright: ignore[reportOptionalSubscript]
        halves = torch.eye(2).repeat_interleave(NUM_MOVING // 2, dim=1)
        with torch.no_grad():
            self.changes.weight.copy_(halves[:, :, None, None])

    def loss(self, batch: PretextBatch, step: int) -> dict[str, torch.Tensor]:
        """Return `loss` and its parts.

        `loss` = weighted DSSIM + weight x `sparsity` + weight x `changes` + weight x `own`; `dssim` is the plain one of
        the frame, `changes` the mean squared error of the change maps, `own` the weighted one of both frames.
        """
        older, newer = frame_pair(batch.first)
        features = self.encoder.features(batch.first)
        moves = 0.1 * self.translations(self.motion(features)).float().reshape(-1, NUM_MOVING + 1, 2)
        masks = self.encoder.masks(features).float()
        moving = masks[:, :NUM_MOVING]
        with torch.autocast(masks.device.type, enabled=False):
            flow = torch.einsum("nkhw,nkc->nchw", moving, moves[:, :-1]) + moves[:, -1, :, None, None]
            flow = interpolate(flow, size=(SCREEN, SCREEN), mode="bilinear")
            warped = warp(older, flow)
            by_scale = [self._distance(*(avg_pool2d(x, k) for x in (warped, newer, older))) for k in POOLING]
            changes = (self.changes(moving) - change_maps(older, newer)).square().mean()
        distance = torch.stack([weighted for weighted, _ in by_scale]).mean()
        sparsity = (moving.mean((2, 3)) * moves[:, :-1].abs().sum(2)).sum(1).mean()
        error = (self.decoder(masks).float() - torch.cat([newer, older], dim=1)).square()
        own = (pixel_weights(newer, batch.background, self.strength) * error).mean()
        loss = distance + min(1.0, 1e-5 * step) * sparsity + self.change_weight * changes + self.own_weight * own
        return {"loss": loss, "dssim": by_scale[0][1], "sparsity": sparsity, "changes": changes, "own": own}

    def _distance(
        self, warped: torch.Tensor, newer: torch.Tensor, older: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        values = dissimilarity(warped, newer)
        weights = 1 + self.strength * window_means((newer - older).abs(), SSIM_WINDOW)
        return (values * weights).mean() / weights.mean(), values.mean()


PAPER_MASKS = 20
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
    shape = (PAPER_MASKS, SCREEN, SCREEN)

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
            nn.Conv2d(COARSE_CHANNELS, PAPER_MASKS, 1),
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
    1e-5 per step up to 1.
    """

    name = "vos"
    learning_rate = 1e-4
    batch_size = 32
    max_gradient_norm = 5.0

    def __init__(self) -> None:
        """Build the encoder and the linear layer for translations."""
        super().__init__()
        self.encoder = PaperSegmentationEncoder()
        self.translations = nn.Linear(VECTOR, 2 * (PAPER_MASKS + 1))

    def initialise_heads(self) -> None:
        """Start without any motion."""
        nn.init.zeros_(self.translations.weight)

    def loss(self, batch: PretextBatch, step: int) -> dict[str, torch.Tensor]:
        """Return `loss` = `dssim` + min(1, 1e-5 step) x `sparsity`."""
        older, newer = frame_pair(batch.first)
        features = self.encoder.features(batch.first)
        masks = self.encoder.head(features).float()
        moves = PIXEL * self.translations(features).float().reshape(-1, PAPER_MASKS + 1, 2)
        with torch.autocast(masks.device.type, enabled=False):
            flow = torch.einsum("nkhw,nkc->nchw", masks, moves[:, :-1]) + moves[:, -1, :, None, None]
            dssim = dissimilarity(warp(older, flow), newer).mean()
        sparsity = translated_sparsity(masks, moves[:, :-1])
        return {"loss": dssim + min(1.0, SPARSITY_GROWTH * step) * sparsity, "dssim": dssim, "sparsity": sparsity}
