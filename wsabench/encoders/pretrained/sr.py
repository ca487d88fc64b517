"""SR: a state representation learnt by ST-DIM from the stack of frames.

References:
    Anand et al. 2019, Unsupervised State Representation Learning in Atari.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import cross_entropy, interpolate

from wsabench.encoders.encoder import Encoder, Pretext, PretextBatch, Reads, conv


class StateEncoder(Encoder):
    """Three convolutions on the stack; the embedding is the local map 32 x 10 x 10 (the paper's: a vector of 512)."""

    name = "sr"
    reads: Reads = "stack"
    shape = (32, 10, 10)

    def __init__(self) -> None:
        """Build the layers."""
        super().__init__()
        self.trunk = nn.Sequential(conv(4, 32, 8, 4, padding=0), conv(32, 32, 4, 2, padding=1), conv(32, 32, 3))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return local features, shape (N, 32, 10, 10), not negative."""
        return self.trunk(pixels)


def info_nce(scores: torch.Tensor) -> torch.Tensor:
    """Return the InfoNCE loss of a batch, averaged over places.

    Args:
        scores: `scores[p, i, j]` compares sample i at time t with sample j at time t+1 at place p; the pairs i = j are
            the positive ones. Shape (P, N, N).

    Returns:
        Scalar, in nats: mean over p and i of -log softmax_j(scores[p, i, j]) at j = i.
    """
    places, count, _ = scores.shape
    targets = torch.arange(count, device=scores.device).repeat(places)
    return cross_entropy(scores.reshape(places * count, count), targets)


class StatePretext(Pretext):
    """Spatiotemporal deep infomax: global-local and local-local InfoNCE between t and t+1.

    The global vector serves the loss only. Negatives are the other samples of the batch.
    """

    name = "sr"
    learning_rate = 3e-4
    batch_size = 64

    def __init__(self, global_size: int = 128) -> None:
        """Build encoder, global vector and the two bilinear scores."""
        super().__init__()
        self.encoder = StateEncoder()
        channels, height, width = self.encoder.shape
        self.summary = nn.Linear(channels * height * width, global_size)
        self.global_score = nn.Linear(global_size, channels, bias=False)
        self.local_score = nn.Linear(channels, channels, bias=False)

    def scores(self, batch: PretextBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return how well each sample at t fits each sample at t+1, at every place.

        Returns:
            Global-local and local-local scores, float32, shape (100, N, N): place, sample at t, sample at t+1.
        """
        now = self.encoder(batch.first).float()
        later = self.encoder(batch.second).float()
        now_places = now.flatten(2).permute(2, 0, 1)
        later_places = later.flatten(2).permute(2, 1, 0)
        with torch.autocast(now.device.type, enabled=False):
            query = self.global_score(self.summary(now.flatten(1)))
            return query @ later_places, self.local_score(now_places) @ later_places

    def loss(self, batch: PretextBatch, step: int) -> dict[str, torch.Tensor]:
        """Return `loss` = `global_local` + `local_local`."""
        global_local, local_local = (info_nce(scores) for scores in self.scores(batch))
        return {"loss": global_local + local_local, "global_local": global_local, "local_local": local_local}


HEIGHT, WIDTH = 210, 160
LOCAL_CHANNELS = 128
VECTOR = 512


class PaperStateEncoder(Encoder):
    """A vector of 512 from four convolutions without padding and a linear layer; nothing follows the linear layer."""

    name = "sr"
    reads: Reads = "stack"
    shape = (VECTOR,)

    def __init__(self) -> None:
        """Build the layers."""
        super().__init__()
        self.trunk = nn.Sequential(
            conv(4, 32, 8, 4, padding=0), conv(32, 64, 4, 2, padding=0), conv(64, LOCAL_CHANNELS, 4, 2, padding=0)
        )
        self.head = nn.Sequential(conv(LOCAL_CHANNELS, 64, 3, padding=0), nn.Flatten(), nn.Linear(64 * 9 * 6, VECTOR))

    def local_features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the map after the third convolution, shape (N, 128, 11, 8), not negative."""
        return self.trunk(resized(pixels))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return vectors, shape (N, 512)."""
        return self.head(self.local_features(pixels))


def resized(pixels: torch.Tensor) -> torch.Tensor:
    """Return pixels in [0, 1], shape (N, 4, 84, 84), at 210 x 160, bilinearly.

    In bfloat16 on a CPU, bytes are resized: they round no coarser than bfloat16, in a twentieth of the time.
    """
    is_half = pixels.dtype == torch.bfloat16 and pixels.is_cpu and not pixels.requires_grad
    if not is_half:
        return interpolate(pixels, size=(HEIGHT, WIDTH), mode="bilinear")
    # Bfloat16 holds k / 255 closely enough to give every byte k back.
    frames = (pixels * 255).round_().to(torch.uint8).contiguous(memory_format=torch.channels_last)
    return interpolate(frames, size=(HEIGHT, WIDTH), mode="bilinear").to(pixels.dtype).div_(255)


class PaperStatePretext(Pretext):
    """Spatiotemporal deep infomax: the vector at t against the local features at t+1, and these at t against t+1.

    The scores are bilinear; negatives are the other samples of the batch. The batch size is Anand et al.'s.
    """

    name = "sr"
    learning_rate = 3e-4
    batch_size = 64

    def __init__(self) -> None:
        """Build the encoder and the two bilinear scores."""
        super().__init__()
        self.encoder = PaperStateEncoder()
        self.global_score = nn.Linear(VECTOR, LOCAL_CHANNELS, bias=False)
        self.local_score = nn.Linear(LOCAL_CHANNELS, LOCAL_CHANNELS, bias=False)

    def scores(self, batch: PretextBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return how well each sample at t fits each sample at t+1, at every place.

        Returns:
            Global-local and local-local scores, float32, shape (88, N, N): place, sample at t, sample at t+1.
        """
        now = self.encoder.local_features(batch.first)
        later = self.encoder.local_features(batch.second).float().flatten(2).permute(2, 1, 0)
        vector = self.encoder.head(now).float()
        places = now.float().flatten(2).permute(2, 0, 1)
        with torch.autocast(now.device.type, enabled=False):
            return self.global_score(vector) @ later, self.local_score(places) @ later

    def loss(self, batch: PretextBatch, step: int) -> dict[str, torch.Tensor]:
        """Return `loss` = `global_local` + `local_local`, in nats a place."""
        global_local, local_local = (info_nce(scores) for scores in self.scores(batch))
        return {"loss": global_local + local_local, "global_local": global_local, "local_local": local_local}
