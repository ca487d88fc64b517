"""What makes a job's episodes what they are, in one hash: equal fingerprints mean that a job need not be run again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

ENGINE_VERSION = 2
"""Raised whenever lanes, perturbations, the rollout or frozen encoders behave differently; golden trajectories in the
tests force it. 2: encoders compute alike in training and evaluation, compact `oke` in float32."""

UNHASHED = "unhashed"
"""Stands for the checkpoint hash of a policy whose content cannot be hashed; its jobs are always run again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FingerprintInputs:
    """Everything that decides a job's episodes. Summaries and names are not part of it."""

    perturbation_hash: str
    """Content hash of the compiled perturbation."""
    protocol: Mapping[str, Any]
    """The protocol's fields as plain values."""
    checkpoint_hash: str
    """Hash of the agent's weights, or of what else identifies a policy."""
    rom_hash: str
    """SHA-256 of the ROM file."""
    episode_seeds: tuple[int, ...]
    """The episode seeds, in the order of the episodes' numbers."""
    versions: Mapping[str, str]
    """Versions of the packages that decide bits (`provenance.BIT_DECIDING`)."""
    engine_version: int = ENGINE_VERSION
    """Version of this package's behaviour."""
    own_play_hash: str | None = None
    """Hash of the agent's own clean play, for perturbations that feed embeddings of it."""


def fingerprint(inputs: FingerprintInputs) -> str:
    """Return the fingerprint, 32 hexadecimal digits; the order of keys makes no difference."""
    values = asdict(inputs)
    if inputs.own_play_hash is None:
        del values["own_play_hash"]  # as before there was any
    return content_hash(values)


def content_hash(value: Any) -> str:
    """Return 32 hexadecimal digits of the SHA-256 of `value` written as JSON with sorted keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
