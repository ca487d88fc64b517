"""OKE and OKK: the feature encoder and the keypoint network of Transporter.

References:
    Kulkarni et al. 2019, Unsupervised Learning of Object Keypoints for Perception and Control.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import nn

from wsabench.encoders.encoder import Encoder, Pretext, PretextBatch, Reads, conv, pixel_weights

MAP = 21
NUM_FEATURES = 8
NUM_KEYPOINTS = 4
GAUSSIAN_STD = 0.1
"""Of a keypoint's Gaussian, in coordinates from -1 to 1 across the frame."""


def _trunk() -> nn.Sequential:
    return nn.Sequential(
        conv(1, 16, 5, 2, norm=True),
        conv(16, 16, 3, norm=True),
        conv(16, 32, 3, 2, norm=True),
        conv(32, 32, 3, norm=True),
    )


class FeatureEncoder(Encoder):
    """Feature maps 8 x 21 x 21 of the newest frame, six convolutions (the paper's: 128 x 21 x 21, six as well).

    Eight maps are few enough for pre-training to matter: 32 random ones keep all that a linear probe can use.
    """

    name = "oke"
    reads: Reads = "newest"
    shape = (NUM_FEATURES, MAP, MAP)
    # What moves is a small part of what these maps show: in bfloat16 a hundredth of an agent's greedy actions changed.
    needs_single = True

    def __init__(self) -> None:
        """Build the layers."""
        super().__init__()
        self.trunk = nn.Sequential(*_trunk(), conv(32, 32, 3, norm=True), conv(32, NUM_FEATURES, 3, norm=True))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return feature maps, shape (N, 8, 21, 21), not negative."""
        return self.trunk(pixels)


class KeypointEncoder(Encoder):
    """The keypoint network: maps K x 21 x 21 of the newest frame, one for each of K = 4 keypoints.

    A keypoint is the mean place under the softmax of its map (`keypoints`). Pre-training draws a Gaussian there
    (`heat_maps`), d being the distance from the keypoint and std `GAUSSIAN_STD`. Options:

    - `output`, what agents get. `map`: the raw maps, the output of the 1x1 convolution, as the agents of Piccoli et al.
      2026 get them; they also show what else on the screen looks like a keypoint. `gaussians`: those of pre-training,
      which hold 2K numbers, float32.
    - `gaussian`, their formula. `full`: exp(-d^2 / std^2), as in the published implementations of Transporter. `half`:
      exp(-d^2 / (2 std^2)), a normal density without its factor.

    Encoder files of the first format hold encoders with `gaussians` and `half`.
    """

    OPTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType(
        {"output": ("map", "gaussians"), "gaussian": ("full", "half")}
    )

    name = "okk"
    reads: Reads = "newest"
    shape = (NUM_KEYPOINTS, MAP, MAP)
    channels = 32
    """Of the trunk's output."""
    # Not `needs_single`: of policies that read one encoder alone and copy a shipped agent's greedy actions, bfloat16
    # changed 0.7 % of the actions on the raw maps, 1.6 % on `oke`, 2.1 % on `gaussians` (2,000 observations).

    def __init__(self, options: Mapping[str, str] | None = None) -> None:
        """Build the layers.

        Args:
            options: See the class; what is left out has its default.

        Raises:
            SpecError: No such option or value.
        """
        super().__init__()
        self.options = self.resolve_options(options)
        self.trunk = self.build_trunk()
        self.head = nn.Conv2d(self.channels, NUM_KEYPOINTS, 1)

    @staticmethod
    def build_trunk() -> nn.Sequential:
        """Return the convolutions before the 1x1 convolution."""
        return _trunk()

    def maps(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the raw maps, shape (N, K, 21, 21)."""
        return self.head(self.trunk(pixels))

    def keypoints(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return keypoint coordinates (y, x) in [-1, 1], float32, shape (N, K, 2)."""
        return spatial_mean(self.maps(pixels).float())

    def heat_maps(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the Gaussians at the keypoints, values in [0, 1], float32, shape (N, K, 21, 21)."""
        return heat_maps(self.keypoints(pixels), MAP, GAUSSIAN_STD, is_half=self.options["gaussian"] == "half")

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return what agents get, shape (N, 4, 21, 21): raw maps, not bounded, or Gaussians in [0, 1]."""
        return self.heat_maps(pixels) if self.options["output"] == "gaussians" else self.maps(pixels)


def spatial_mean(logits: torch.Tensor) -> torch.Tensor:
    """Return the mean place under each map's softmax, as its two marginals give it.

    Args:
        logits: Shape (N, K, H, W).

    Returns:
        Coordinates (y, x), -1 at the first row or column and 1 at the last, shape (N, K, 2).
    """
    rows = torch.linspace(-1, 1, logits.shape[2], device=logits.device)
    columns = torch.linspace(-1, 1, logits.shape[3], device=logits.device)
    probability = logits.flatten(2).softmax(-1).reshape(logits.shape)
    return torch.stack([probability.sum(3) @ rows, probability.sum(2) @ columns], dim=-1)


def heat_maps(keypoints: torch.Tensor, size: int, std: float, *, is_half: bool = False) -> torch.Tensor:
    """Return isotropic Gaussians with height 1 around keypoints, exp(-d^2 / std^2) at distance d.

    Args:
        keypoints: Coordinates (y, x) in [-1, 1], shape (N, K, 2).
        size: Height and width of a map.
        std: Distance at which a map has fallen to 1/e, in the coordinates' unit.
        is_half: Draw exp(-d^2 / (2 std^2)) instead, whose standard deviation is std.

    Returns:
        Shape (N, K, size, size), values in [0, 1].
    """
    grid = torch.linspace(-1, 1, size, device=keypoints.device)
    marginals = torch.exp(-(keypoints[..., None] - grid).square() / ((2 if is_half else 1) * std**2))
    return marginals[..., 0, :, None] * marginals[..., 1, None, :]


def transport(
    source: torch.Tensor, target: torch.Tensor, source_maps: torch.Tensor, target_maps: torch.Tensor
) -> torch.Tensor:
    """Return source features with the objects moved: cut out at both frames' keypoints, pasted from the target.

    For one keypoint after another: (1 - H_source) (1 - H_target) features + H_target target.

    Args:
        source: Features of the source frame, shape (N, C, H, W).
        target: Features of the target frame, same shape.
        source_maps: Heat maps of the source's keypoints, shape (N, K, H, W).
        target_maps: Heat maps of the target's keypoints, same shape.
    """
    moved = source
    for k in range(source_maps.shape[1]):
        at_source, at_target = source_maps[:, k : k + 1], target_maps[:, k : k + 1]
        moved = (1 - at_source) * (1 - at_target) * moved + at_target * target
    return moved


class TransporterPretext(Pretext):
    """Reconstruction of a later frame of the episode from transported features of an earlier one.

    No gradient flows through the source frame. The error's pixels are weighted by how far they are from the mean frame
    (`strength` 0: the paper's plain mean squared error), so that small moving things are worth a keypoint.

    Besides, one linear layer reconstructs the target frame from its own features (`own_weight` 0, as in the paper: no).
    Transport alone lets features learn only what keypoints move; bricks, lives and score come from the source frame.
    """

    name = "transporter"
    learning_rate = 1e-3
    batch_size = 32
    offsets = (1, 20)

    def __init__(self, strength: float = 100.0, own_weight: float = 1.0) -> None:
        """Build both encoders, the refining decoder and the linear one of the features."""
        super().__init__()
        self.strength, self.own_weight = strength, own_weight
        self.features = FeatureEncoder()
        self.keynet = KeypointEncoder()
        self.decoder = nn.Sequential(
            conv(NUM_FEATURES, 32, 3, norm=True),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            conv(32, 16, 3, norm=True),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            nn.Conv2d(16, 1, 3, padding=1),
        )
        self.own = nn.Sequential(nn.Conv2d(NUM_FEATURES, 16, 5, padding=2), nn.PixelShuffle(4))

    def encoders(self) -> tuple[Encoder, ...]:
        """Return the feature encoder and the keypoint encoder."""
        return (self.features, self.keynet)

    def loss(self, batch: PretextBatch, step: int) -> dict[str, torch.Tensor]:
        """Return `loss` = weighted mean squared error + weight x `own`; `mse` is the target frame's plain error."""
        source, target = batch.first[:, -1:], batch.second[:, -1:]
        with torch.no_grad():
            source_features, source_maps = self.features(source), self.keynet.heat_maps(source)
        features = self.features(target)
        moved = transport(source_features, features, source_maps, self.keynet.heat_maps(target))
        error = (self.decoder(moved).float() - target).square()
        weights = pixel_weights(target, batch.background, self.strength)
        own = (weights * (self.own(features).float() - target).square()).mean()
        return {"loss": (weights * error).mean() + self.own_weight * own, "own": own, "mse": error.mean()}


CHANNELS = 128
DECAY, DECAY_STEPS = 0.95, 100_000


def _paper_trunk() -> nn.Sequential:
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
        self.trunk = _paper_trunk()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return feature maps, shape (N, 128, 21, 21), not negative."""
        return self.trunk(pixels)


class PaperKeypointEncoder(KeypointEncoder):
    """The keypoint network with the paper's trunk; options and methods are those of `KeypointEncoder`."""

    channels = CHANNELS

    @staticmethod
    def build_trunk() -> nn.Sequential:
        """Return the convolutions before the 1x1 convolution."""
        return _paper_trunk()


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
