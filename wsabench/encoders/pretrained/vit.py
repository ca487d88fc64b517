"""ViT: a vision transformer of the newest frame, pre-trained as a masked autoencoder.

References:
    He et al. 2022, Masked Autoencoders Are Scalable Vision Learners (CVPR).
    Dosovitskiy et al. 2021, An Image Is Worth 16x16 Words (ICLR); Touvron et al. 2021 (DeiT) for ViT-Tiny.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from wsabench.encoders.encoder import SCREEN, Encoder, Pretext, PretextBatch, Reads

PATCH = 12
"""Side of a patch in pixels: 7 x 7 patches. The next divisor of 84, 14, gives 6 x 6, and places a quarter coarser."""
GRID = SCREEN // PATCH
NUM_PATCHES = GRID**2
MASKED_SHARE = 0.75
NUM_VISIBLE = int(NUM_PATCHES * (1 - MASKED_SHARE))
"""Patches that the encoder sees in pre-training: 12 of 49, rounded down as by He et al."""


class Block(nn.Module):
    """Self-attention, then a perceptron with one hidden layer, each normalised before and added to what it reads."""

    def __init__(self, width: int, heads: int) -> None:
        """Build the layers; the hidden layer has four times the width."""
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.inputs = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.perceptron_norm = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map tokens, shape (N, tokens, width), to such."""
        split = self.inputs(self.attention_norm(tokens)).unflatten(-1, (3, self.heads, -1))
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        tokens = tokens + self.output(mixed)
        return tokens + self.perceptron(self.perceptron_norm(tokens))


def place_codes(width: int) -> torch.Tensor:
    """Return what is added to a token to say where its patch lies: fixed sines and cosines of row and column.

    Args:
        width: Of a token; a multiple of 4.

    Returns:
        float32, shape (49, width). The first half of the numbers codes the row r, the second the column: for each,
        sin(r f_k), then cos(r f_k), with f_k = 10000^(-k / K), k = 0..K-1, K = width / 4 (Vaswani et al. 2017 in two
        dimensions, as He et al. have it).
    """
    frequencies = 10_000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    angles = torch.arange(GRID, dtype=torch.float64)[:, None] * frequencies
    code = torch.cat([angles.sin(), angles.cos()], 1)
    rows, columns = code[:, None].expand(-1, GRID, -1), code[None].expand(GRID, -1, -1)
    # Files hold half precision: rounded here, the codes are the same before and after.
    return torch.cat([rows, columns], 2).flatten(0, 1).half().float()


def patches(frames: torch.Tensor) -> torch.Tensor:
    """Cut frames, shape (N, 1, 84, 84), into patches, row by row: shape (N, 49, 144)."""
    return frames.reshape(-1, GRID, PATCH, GRID, PATCH).transpose(2, 3).reshape(-1, NUM_PATCHES, PATCH**2)


def normalised(cut: torch.Tensor) -> torch.Tensor:
    """Return patches, shape (N, 49, 144), each less its mean and divided by the root of its variance plus 1e-6.

    A patch with a ball of two pixels then counts as much as one full of bricks, and one without any edge is 0.
    """
    return (cut - cut.mean(-1, keepdim=True)) / (cut.var(-1, keepdim=True) + 1e-6).sqrt()


def picked(tokens: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Return the tokens, of shape (N, tokens, width), at `index`, shape (N, picked)."""
    return tokens.gather(1, index[:, :, None].expand(-1, -1, tokens.shape[-1]))


class TransformerEncoder(Encoder):
    """Four blocks, 64 wide, on the 7 x 7 patches of the newest frame; the embedding is the map of their tokens.

    The map and not the tokens' mean or a class token, which He et al. use to classify images: where things are is what
    an agent needs, and all other encoders here but the paper's `sr` keep it. There is no class token, which they find
    to make no difference (appendix A.1).
    """

    name = "vit"
    reads: Reads = "newest"
    shape = (64, GRID, GRID)
    depth: ClassVar[int] = 4
    heads: ClassVar[int] = 4

    codes: torch.Tensor

    def __init__(self) -> None:
        """Build the layers."""
        super().__init__()
        width = self.shape[0]
        self.embed = nn.Conv2d(1, width, PATCH, PATCH)
        self.register_buffer("codes", place_codes(width), persistent=False)
        self.blocks = nn.ModuleList(Block(width, self.heads) for _ in range(self.depth))
        self.norm = nn.LayerNorm(width)

    def tokens(self, pixels: torch.Tensor, visible: torch.Tensor | None = None) -> torch.Tensor:
        """Return the tokens of patches, shape (N, patches, width).

        Args:
            pixels: Newest frames, luminance in [0, 1], shape (N, 1, 84, 84).
            visible: The patches that are seen, which alone are computed, int64, shape (N, number); None: all.
        """
        tokens = self.embed(pixels).flatten(2).transpose(1, 2) + self.codes
        if visible is not None:
            tokens = picked(tokens, visible)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the map of all patches' tokens, shape (N, 64, 7, 7), normalised over channels."""
        return self.tokens(pixels).transpose(1, 2).unflatten(2, (GRID, GRID))


class TransformerPretext(Pretext):
    """Masked autoencoding: from 12 of 49 patches, a small transformer reconstructs the other 37, each normalised."""

    name = "vit"
    learning_rate = 1e-3
    batch_size = 32
    num_draws = NUM_PATCHES
    kind: ClassVar[type[TransformerEncoder]] = TransformerEncoder
    decoder_size: ClassVar[tuple[int, int, int]] = (32, 1, 4)
    """Width, number of blocks, and heads of the decoder: less than a tenth of the encoder's work for a token."""

    codes: torch.Tensor

    def __init__(self) -> None:
        """Build encoder and decoder."""
        super().__init__()
        self.encoder = self.kind()
        width, depth, heads = self.decoder_size
        self.narrow = nn.Linear(self.encoder.shape[0], width)
        self.masked = nn.Parameter(torch.zeros(width))
        self.register_buffer("codes", place_codes(width), persistent=False)
        self.decoder = nn.Sequential(
            *(Block(width, heads) for _ in range(depth)), nn.LayerNorm(width), nn.Linear(width, PATCH**2)
        )

    def reconstruct(self, newest: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        """Return the normalised patches of frames, as reconstructed from those that are seen.

        Args:
            newest: Frames, luminance in [0, 1], shape (N, 1, 84, 84).
            order: A permutation of the patches for each frame, int64, shape (N, 49); the first 12 are seen.

        Returns:
            Shape (N, 49, 144), the patches row by row.
        """
        seen = self.narrow(self.encoder.tokens(newest, order[:, :NUM_VISIBLE]))
        hidden = self.masked.expand(len(seen), NUM_PATCHES - NUM_VISIBLE, -1)
        tokens = picked(torch.cat([seen, hidden], 1), order.argsort(1))
        return self.decoder(tokens + self.codes).float()

    def loss(self, batch: PretextBatch, step: int) -> dict[str, torch.Tensor]:
        """Return the mean squared error of the patches that are not seen, normalised: `loss`."""
        newest = batch.first[:, -1:]
        order = batch.draws.argsort(dim=1, stable=True)
        hidden = order[:, NUM_VISIBLE:]
        error = picked(self.reconstruct(newest, order), hidden) - picked(normalised(patches(newest)), hidden)
        return {"loss": error.square().mean()}


class PaperTransformerEncoder(TransformerEncoder):
    """ViT-Tiny: twelve blocks, 192 wide, three heads."""

    shape = (192, GRID, GRID)
    depth = 12
    heads = 3


class PaperTransformerPretext(TransformerPretext):
    """Masked autoencoding by ViT-Tiny; step size and batch are He et al.'s, 1.5e-4 for a batch of 256."""

    learning_rate = 1.5e-4
    batch_size = 256
    kind = PaperTransformerEncoder
    decoder_size = (96, 4, 3)
