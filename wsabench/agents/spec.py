"""What an agent is made of: the specification, read from TOML and stored in every checkpoint."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self, get_args

from wsabench.errors import SpecError, StorageError, nearest_names, unknown_name
from wsabench.resources import data_dir

AgentKind = Literal["e2e", "wsa"]
EncoderSource = Literal["pretrained", "random"]
ScoreActivation = Literal["relu", "leaky_relu", "none"]
HeadKind = Literal["actor_critic", "q"]
_CHOICES = {
    "kind": get_args(AgentKind),
    "encoder_source": get_args(EncoderSource),
    "score_activation": get_args(ScoreActivation),
    "heads": get_args(HeadKind),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpec:
    """An agent's architecture; enough to build the network again.

    Raises:
        SpecError: A value is outside its range, or encoders do not fit the kind.
    """

    name: str
    """The agent's name, as in result tables."""
    kind: AgentKind
    """`e2e`: NatureCNN on pixels. Otherwise the name of the fusion of frozen encoders."""
    preset: str
    """Which of the presets in the agent's file this is (`compact`, `paper`)."""
    width: int
    """Size of the feature that the heads read."""
    head_units: tuple[int, ...] = ()
    """Sizes of the hidden ReLU layers of the policy head and of the value head; none: one linear layer each."""
    encoders: tuple[str, ...] = ()
    """Frozen encoders whose embeddings are combined."""
    context: str | None = None
    """The encoder whose embedding the attention compares with."""
    encoder_source: EncoderSource = "pretrained"
    """`random`: the same architectures without pre-training, the control for every claim about it."""
    adapter_channels: int = 12
    """Channels of the trainable convolution that shrinks an embedding that is a map."""
    adapter_cells: int = 10
    """Height and width that this convolution brings a map to, or just above."""
    score_activation: ScoreActivation = "leaky_relu"
    """What the attention's scores pass before the softmax. `relu`: as in the paper; can die. `leaky_relu`: cannot.
    `none`: cannot either, but the context then adds the same number to every score, which the softmax ignores."""
    heads: HeadKind = "actor_critic"
    """`q`: one head of action values instead of policy and value; the training algorithm sets it."""

    def __post_init__(self) -> None:
        """Check every value, so that a mistake in a file is found before any training."""
        where = f"Agent {self.name!r}"
        for key, allowed in _CHOICES.items():
            if getattr(self, key) not in allowed:
                raise SpecError(f"{where}: {key} is {getattr(self, key)!r}. Allowed: {', '.join(allowed)}.")
        for key in ("width", "adapter_channels", "adapter_cells"):
            _require_positive(where, key, getattr(self, key))
        for key in ("head_units", "encoders"):
            if not isinstance(getattr(self, key), tuple):
                raise SpecError(f"{where}: {key} is {getattr(self, key)!r}. Allowed: a list.")
        for units in self.head_units:
            _require_positive(where, "head_units", units)
        self._check_encoders(where)

    def _check_encoders(self, where: str) -> None:
        if self.kind == "e2e":
            if self.encoders or self.context is not None:
                raise SpecError(f"{where}: an e2e agent reads pixels. Remove `encoders` and `context`.")
            return
        if not self.encoders or self.context is None:
            raise SpecError(f"{where}: a {self.kind} agent needs `encoders` (at least one) and `context`.")
        if len(set(self.encoders)) != len(self.encoders):
            raise SpecError(f"{where}: encoders {list(self.encoders)} name one twice. Name each once.")

    @property
    def all_encoders(self) -> tuple[str, ...]:
        """Every encoder that has to run, the context included, each once."""
        extra = () if self.context is None or self.context in self.encoders else (self.context,)
        return self.encoders + extra

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "agent spec") -> Self:
        """Build from plain values, as found in TOML or in a checkpoint.

        Raises:
            SpecError: A key is unknown or missing, or a value is outside its range.
        """
        names = [field.name for field in fields(cls)]
        for key in values:
            if key not in names:
                near = nearest_names(key, names)
                hint = f"Did you mean {near[0]!r}?" if near else f"Allowed: {', '.join(names)}."
                raise SpecError(f"{where}: unknown key {key!r}. {hint}")
        for key in ("name", "kind", "preset", "width"):
            if key not in values:
                raise SpecError(f"{where}: the key {key!r} is missing. Add it.")
        plain: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**plain)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def _require_positive(where: str, key: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SpecError(f"{where}: {key} is {value!r}. Allowed: integers from 1.")


def list_specs() -> list[str]:
    """Return the names of the agents that have a specification in the baselines folder."""
    return sorted(path.stem for path in data_dir("baselines").glob("*.toml"))


def load_spec(agent: str, preset: str = "compact") -> AgentSpec:
    """Read an agent's specification.

    Args:
        agent: A name from `list_specs()`, or the path of a TOML file.
        preset: One of the file's `[presets.NAME]` tables.

    Raises:
        UnknownNameError: No such agent, or no such preset in its file.
        SpecError: The file is malformed.
        StorageError: The file cannot be read.
    """
    path = _find_spec(agent)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StorageError(f"Cannot read the agent file {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: not valid TOML: {error}. Correct the file.") from error
    presets = table.pop("presets", None)
    if not isinstance(presets, dict) or not presets:
        raise SpecError(f"{path}: no presets found. Add at least one [presets.NAME] table.")
    if preset not in presets:
        raise unknown_name("preset", preset, presets, f"Presets are tables in {path.name}.")
    table.pop("summary", None)
    return AgentSpec.from_dict({**table, **presets[preset], "preset": preset}, where=f"{path}, preset {preset!r}")


def _find_spec(agent: str) -> Path:
    if agent.endswith(".toml"):
        return Path(agent)
    path = data_dir("baselines") / f"{agent}.toml"
    if not path.is_file():
        raise unknown_name("agent", agent, list_specs(), "Or give the path of a .toml file.")
    return path
