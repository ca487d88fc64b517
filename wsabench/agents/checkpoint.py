"""The file of a trained agent: weights as safetensors, what they are as JSON in its header."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, Self

from torch import Tensor

from wsabench.agents.networks.network import ActorCritic
from wsabench.agents.spec import AgentSpec
from wsabench.errors import CheckpointError, SpecError
from wsabench.fields import shown
from wsabench.machine import package_versions
from wsabench.resources import atomic_path
from wsabench.sealed import parse_header, read_sealed, read_weights, sealed_file, tensors_hash

FORMAT = "wsabench-agent-2"
OLD_FORMAT = "wsabench-agent-1"
"""Without a hash of the header; still read."""
_KEY = "agent"
_MOST_ACTIONS = 1_000
"""Far above the 18 of the emulator: a header that says more does not tell the truth."""
_REMEDY = "Restore it, or train again."
_PACKAGES = ("wsabench", "torch", "ale-py", "numpy", "safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentMeta:
    """Where a trained agent comes from."""

    spec: AgentSpec
    game: str
    train_seed: int
    num_actions: int
    steps: int
    """Steps it was trained for, over all lanes."""
    training: dict[str, Any]
    """The trainer's hyper-parameters, its `algorithm`, and the `randomisation` of its games (None: all were clean)."""
    encoder_hashes: dict[str, str]
    """`LoadedEncoder.content_hash` of each frozen encoder it was trained on; empty for agents without."""
    versions: dict[str, str]
    """Versions of the packages it was trained with."""

    @classmethod
    def from_job(cls, job: Mapping[str, Any], steps: int) -> Self:
        """Build from a training job's JSON values and the steps it has played."""
        return cls(
            spec=AgentSpec.from_dict(job["spec"]),
            game=job["game"],
            train_seed=job["train_seed"],
            num_actions=job["num_actions"],
            steps=steps,
            training={**job["preset"], **{key: job.get(key) for key in ("algorithm", "randomisation")}},
            encoder_hashes=job["encoder_hashes"],
            versions=package_versions(_PACKAGES),
        )


class AgentCheckpoint(NamedTuple):
    """A trained agent's file, read."""

    meta: AgentMeta
    weights: dict[str, Tensor]
    content_hash: str
    """SHA-256 of the file."""


def save_checkpoint(path: Path, weights: Mapping[str, Tensor], meta: AgentMeta) -> None:
    """Write a trained agent.

    Args:
        path: Ends in `.safetensors`.
        weights: The network's `state_dict()`.
        meta: What it is.

    Raises:
        StorageError: The file cannot be written.
    """
    told = {**asdict(meta), "spec": meta.spec.to_dict(), "weights_sha256": tensors_hash(weights)}
    with atomic_path(path) as temporary:
        temporary.write_bytes(sealed_file(_KEY, {"format": FORMAT, **told}, weights))


def read_checkpoint(path: Path) -> AgentCheckpoint:
    """Read a trained agent's file.

    Raises:
        CheckpointError: It is missing, damaged or something else.
    """
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint {path}. `wsabench list agents` shows those that are shipped.")
    file = read_weights(path, _REMEDY)
    text = file.metadata.get(_KEY, "{}")
    header = parse_header(text)
    if header.get("format") == FORMAT:
        header = read_sealed(path, text, _REMEDY)
    meta = _parse_meta(header, path)
    if header.get("weights_sha256") != tensors_hash(file.tensors):
        raise CheckpointError(f"{path} is damaged: its weights are not those that were saved. {_REMEDY}")
    return AgentCheckpoint(meta, file.tensors, file.file_hash)


def _parse_meta(header: Mapping[str, Any], path: Path) -> AgentMeta:
    found = header.get("format")
    if found not in (FORMAT, OLD_FORMAT):
        raise CheckpointError(
            f"{path} is not an agent of wsabench: its format is {found!r}, {FORMAT!r} is expected. Give a file that "
            "`wsabench train` wrote."
        )
    names = {field.name for field in fields(AgentMeta)}
    values = {key: value for key, value in header.items() if key in names}
    if missing := sorted(names - values.keys()):
        raise CheckpointError(f"The checkpoint {path} is damaged: its header lacks {', '.join(missing)}. Train again.")
    training = values["training"]
    if found == OLD_FORMAT and isinstance(training, dict) and "value_coefficient" in training:
        # It weighed half the mean squared error then.
        values["training"] = {**training, "value_coefficient": training["value_coefficient"] / 2}
    try:
        spec = AgentSpec.from_dict(values.pop("spec"), where=str(path))
    except (SpecError, AttributeError, TypeError) as error:
        raise CheckpointError(f"The checkpoint {path} describes an agent that cannot be built: {error}") from error
    kinds = {"game": str, "train_seed": int, "num_actions": int, "steps": int, "training": dict}
    kinds |= {"encoder_hashes": dict, "versions": dict}
    for name, kind in kinds.items():
        if not isinstance(values[name], kind) or (name == "num_actions" and not 1 <= values[name] <= _MOST_ACTIONS):
            raise CheckpointError(f"The checkpoint {path} is damaged: its {name} is {shown(values[name])}. {_REMEDY}")
    return AgentMeta(spec=spec, **values)


def fill_network(model: ActorCritic, checkpoint: AgentCheckpoint, path: Path) -> None:
    """Copy a checkpoint's weights into a network.

    Raises:
        CheckpointError: They do not fit, or are not finite.
    """
    wrong = [name for name, value in checkpoint.weights.items() if not bool(value.isfinite().all())]
    if wrong:
        raise CheckpointError(
            f"The checkpoint {path} is damaged: {wrong[0]} is not finite. Restore it, or train again."
        )
    try:
        model.load_state_dict(checkpoint.weights)
    except RuntimeError as error:
        raise CheckpointError(f"The weights in {path} do not fit the agent it describes: {error}") from error
