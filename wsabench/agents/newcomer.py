"""The adapter of an encoder that joined after training: untrained, the mean of the trained ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsabench.agents.adapters import flattened


class NewcomerAdapter(nn.Module):
    """Flatten, the mean of other adapters' linear layers, ReLU.

    The others read inputs of other lengths. Each weight matrix W_i (width, n_i) is brought to the newcomer's length n
    along its input by area interpolation: column j is the mean of the columns floor(j n_i / n) to
    ceil((j + 1) n_i / n) - 1. It is then scaled to its old Frobenius norm, which keeps the variance that it gives for
    white input; the mean of these matrices is the newcomer's weight, the mean of the biases its bias. Convolutions that
    shrink maps before the others' linear layers have no counterpart: the newcomer's embedding is flattened as it is,
    channels last.

    References:
        Piccoli et al. 2026, section on a changing number of pre-trained models, for the question; the paper does not
        say how such an adapter starts, this is our definition.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, others: Sequence[nn.Linear], size: int) -> None:
        """Take the mean of `others` for embeddings of `size` numbers."""
        super().__init__()
        with torch.no_grad():
            self.register_buffer("weight", torch.stack([_resized(o.weight.float(), size) for o in others]).mean(0))
            self.register_buffer("bias", torch.stack([o.bias.float() for o in others]).mean(0))

    def forward(self, embedding: Tensor) -> Tensor:
        """Map (N, *shape) to (N, width)."""
        flat = flattened(embedding)
        return functional.relu(functional.linear(flat, self.weight.to(flat.dtype), self.bias.to(flat.dtype)))


def _resized(weight: Tensor, size: int) -> Tensor:
    """Return a weight matrix for inputs of another length, with the same Frobenius norm."""
    resized = functional.adaptive_avg_pool1d(weight[None], size)[0]
    return resized * (weight.norm() / resized.norm().clamp(min=torch.finfo(torch.float32).tiny))
