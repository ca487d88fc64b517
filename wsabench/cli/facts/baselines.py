"""What the baselines folder holds, read without torch: agent descriptions and trained weights."""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

from wsabench.errors import CheckpointError
from wsabench.fields import read_toml
from wsabench.resources import agent_files, baseline_dirs
from wsabench.types import BUILT_IN_AGENTS

_WEIGHTS = re.compile(r"(?P<agent>.+)-seed(?P<seed>\d+)\.safetensors")


def agent_specs() -> dict[str, dict[str, Any]]:
    """Return the description of every agent of `baselines/*.toml`, by name.

    Raises:
        SpecError: A file is not TOML.
        StorageError: A file cannot be read.
    """
    return {path.stem: read_toml(path) for path in agent_files()}


def weight_files(agent: str | None = None) -> list[tuple[str, str, int, Path]]:
    """Return (game, agent, train seed, path) of every shipped or fetched checkpoint, of one agent if named."""
    found: dict[tuple[str, str, int], Path] = {}
    for folder in baseline_dirs():
        for path in folder.glob("*/*.safetensors"):
            match = _WEIGHTS.fullmatch(path.name)
            if match and agent in (None, match["agent"]):
                found.setdefault((path.parent.name, match["agent"], int(match["seed"])), path)
    return [(*key, path) for key, path in sorted(found.items())]


def agents_with_encoders() -> list[tuple[str, str, int]]:
    """Return (game, agent, train seed) of every shipped or fetched checkpoint of an agent that fuses encoders.

    A checkpoint whose agent has no description in `baselines/*.toml`, such as a variant of `e2e`, is none.
    """
    specs = agent_specs()
    return [(game, agent, seed) for game, agent, seed, _ in weight_files() if specs.get(agent, {}).get("encoders")]


def agent_rows() -> list[dict[str, Any]]:
    """Return one row for each agent and game with its train seeds; agents without weights have none."""
    seeds: dict[tuple[str, str], list[int]] = {}
    for game, agent, seed, _ in weight_files():
        seeds.setdefault((agent, game), []).append(seed)
    rows = [
        {"agent": agent, "game": game, "train seeds": ", ".join(str(seed) for seed in sorted(numbers))}
        for (agent, game), numbers in sorted(seeds.items())
    ]
    trained = {agent for agent, _ in seeds}
    untrained = [name for name in agent_specs() if name not in trained]
    built_in = [{"agent": name, "game": "any", "train seeds": "built in"} for name in BUILT_IN_AGENTS]
    return rows + [{"agent": name, "game": None, "train seeds": "none trained"} for name in untrained] + built_in


def read_header(path: Path) -> dict[str, Any]:
    """Return a weights file's metadata (JSON values decoded), tensor count, parameter count, size and SHA-256.

    Raises:
        CheckpointError: The file is missing, or is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="np") as file:
            shapes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118 - a safetensors file is no dict
            metadata = file.metadata() or {}
        content = path.read_bytes()
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a readable weights file: {error}. Reinstall wsabench, or train again."
        ) from error
    return {
        "metadata": {key: _decoded(value) for key, value in sorted(metadata.items())},
        "tensors": len(shapes),
        "parameters": sum(math.prod(shape) for shape in shapes),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
