"""Scores of probes that were already fitted: twins and pixels are the same however often encoders are trained anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import wsabench
from wsabench.encoders import half_precision_is_fast
from wsabench.hashing import text_hash
from wsabench.resources import make_dir, write_text

CACHE_VERSION = 1
"""Raised whenever the same contestant on the same samples gets other scores."""


class ScoreCache:
    """Scores by contestant, one small file each."""

    def __init__(self, folder: Path, samples: Mapping[str, Any]) -> None:
        """Keep scores in `folder`.

        Args:
            folder: Created if needed.
            samples: What all contestants share: frames, split, variables; JSON values.

        Raises:
            StorageError: The folder cannot be created.
        """
        self._folder = make_dir(folder)
        versions = [CACHE_VERSION, wsabench.__version__, torch.__version__, half_precision_is_fast()]
        self._shared = {"versions": versions, **samples}

    def read(self, contestant: Mapping[str, Any]) -> dict[str, float] | None:
        """Return a contestant's scores, or None if they are not there (or not readable)."""
        try:
            found = json.loads(self._path(contestant).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return {str(name): float(score) for name, score in found["scores"].items()}

    def write(self, contestant: Mapping[str, Any], scores: Mapping[str, float]) -> None:
        """Keep a contestant's scores.

        Raises:
            StorageError: They cannot be written.
        """
        content = {"samples": self._shared, "contestant": dict(contestant), "scores": dict(scores)}
        write_text(self._path(contestant), json.dumps(content))

    def _path(self, contestant: Mapping[str, Any]) -> Path:
        text = json.dumps([self._shared, dict(contestant)], sort_keys=True)
        return self._folder / f"{text_hash(text, 32)}.json"
