"""MiniLM: a sentence encoder, here in the few layers that inference needs.

Names of modules are those of the published weights.

References:
    Wang et al. 2020, MiniLM: Deep Self-Attention Distillation for Task-Agnostic Compression of Pre-Trained
    Transformers; Reimers and Gurevych 2019, Sentence-BERT; the model all-MiniLM-L6-v2 (Apache 2.0). Devlin
    et al. 2019, BERT, for the layers and the word pieces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional

WIDTH = 384
NUM_HEADS = 12
NUM_LAYERS = 6
INNER = 1536
VOCABULARY = 30_522
MAX_PIECES = 256
"""Longer texts are cut, as sentence-transformers does with this model."""
_POSITIONS = 512
_EPSILON = 1e-12


class MiniLM(nn.Module):
    """From the word pieces of one text to its embedding."""

    def __init__(self) -> None:
        """Build the layers; their weights are to be loaded."""
        super().__init__()
        self.embeddings = _Embeddings()
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(_Layer() for _ in range(NUM_LAYERS))})

    def forward(self, pieces: Tensor) -> Tensor:
        """Return the mean of the last layer over the pieces, scaled to length 1: (384,) from int64 (num_pieces,)."""
        hidden = self.embeddings(pieces)
        for layer in self.encoder["layer"]:  # pyright: ignore[reportGeneralTypeIssues]
            hidden = layer(hidden)
        return functional.normalize(hidden.mean(0), dim=0)


class _Embeddings(nn.Module):
    """Word, position and segment, added and normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(VOCABULARY, WIDTH)
        self.position_embeddings = nn.Embedding(_POSITIONS, WIDTH)
        self.token_type_embeddings = nn.Embedding(2, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, eps=_EPSILON)

    def forward(self, pieces: Tensor) -> Tensor:
        places = self.position_embeddings.weight[: len(pieces)]
        return self.LayerNorm(self.word_embeddings(pieces) + places + self.token_type_embeddings.weight[0])


class _Layer(nn.Module):
    """Self-attention and two linear layers, each added to its input and normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.ModuleDict(
            {
                "self": nn.ModuleDict({name: nn.Linear(WIDTH, WIDTH) for name in ("query", "key", "value")}),
                "output": _Added(WIDTH),
            }
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(WIDTH, INNER)})
        self.output = _Added(INNER)

    def forward(self, hidden: Tensor) -> Tensor:
        heads = self.attention["self"]
        query, key, value = (
            heads[name](hidden).view(-1, NUM_HEADS, WIDTH // NUM_HEADS).transpose(0, 1)  # pyright: ignore[reportIndexIssue]
            for name in ("query", "key", "value")
        )
        attended = functional.scaled_dot_product_attention(query[None], key[None], value[None])[0]
        hidden = self.attention["output"](attended.transpose(0, 1).reshape(-1, WIDTH), hidden)
        return self.output(functional.gelu(self.intermediate["dense"](hidden)), hidden)


class _Added(nn.Module):
    """A linear layer whose result is added to what came before, and normalised."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, eps=_EPSILON)

    def forward(self, value: Tensor, before: Tensor) -> Tensor:
        return self.LayerNorm(self.dense(value) + before)


class WordPieces:
    """BERT's word pieces of texts in ASCII; lower case."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        """Take the pieces in the order of their numbers."""
        self._numbers: Mapping[str, int] = {piece: number for number, piece in enumerate(vocabulary)}

    def numbers(self, text: str) -> list[int]:
        """Return the numbers of a text's pieces, between those of [CLS] and [SEP], at most 256 in all."""
        words = re.findall(r"[^\W_]+|[^\w\s]|_", text.lower())
        pieces = [piece for word in words for piece in self._pieces(word)][: MAX_PIECES - 2]
        return [self._numbers[piece] for piece in ("[CLS]", *pieces, "[SEP]")]

    def _pieces(self, word: str) -> list[str]:
        """Return the longest known beginning of a word, then of its rest, and so on; all unknown if any is."""
        pieces, start = [], 0
        while start < len(word):
            for stop in range(len(word), start, -1):
                piece = ("##" if start else "") + word[start:stop]
                if piece in self._numbers:
                    pieces.append(piece)
                    break
            else:
                return ["[UNK]"]
            start = stop
        return pieces
