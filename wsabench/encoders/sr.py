"""SR: a state representation learnt by ST-DIM from the stack of frames.

References:
    Anand et al. 2019, Unsupervised State Representation Learning in Atari.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import cross_entropy

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

    def encoders(self) -> tuple[Encoder, ...]:
        """Return the encoder."""
        return (self.encoder,)

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
