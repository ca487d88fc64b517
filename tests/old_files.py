"""Files of the formats before the present ones, written as the versions of then wrote them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import safetensors.torch
import torch

from wsabench.agents import AgentMeta
from wsabench.encoders import Encoder, MeasuredEncoder, Standardisation
from wsabench.sealed import tensors_hash


def save_old_encoder(
    path: Path, encoder: Encoder, standardisation: Standardisation, metadata: Mapping[str, str], size: str = "compact"
) -> None:
    """Write `wsabench-encoder-1`: a header key for each text, no hash."""
    tensors = {f"encoder.{name}": value for name, value in encoder.state_dict().items() if value.is_floating_point()}
    tensors |= standardisation.tensors()
    halves = {name: value.detach().half().contiguous() for name, value in tensors.items()}
    header = {**metadata, "format": "wsabench-encoder-1", "name": encoder.name, "size": size}
    safetensors.torch.save_file(halves, path, header)


def save_old_standardisation(path: Path, measured: MeasuredEncoder) -> None:
    """Write `wsabench-standardisation-1`: one key of JSON, no hash."""
    header = {**measured.file.header, "format": "wsabench-standardisation-1"}
    tensors = {key: value.contiguous() for key, value in measured.standardisation.tensors().items()}
    path.write_bytes(safetensors.torch.save(tensors, {"standardisation": json.dumps(header, sort_keys=True)}))


def save_old_agent(path: Path, weights: Mapping[str, torch.Tensor], meta: AgentMeta) -> None:
    """Write `wsabench-agent-1`: one key of JSON, a hash of the weights only."""
    told = {**asdict(meta), "spec": meta.spec.to_dict(), "weights_sha256": tensors_hash(weights)}
    text = json.dumps({"format": "wsabench-agent-1", **told}, sort_keys=True)
    safetensors.torch.save_file({name: weights[name].contiguous() for name in sorted(weights)}, path, {"agent": text})
