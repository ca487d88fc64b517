"""What an agent is made of: the specification, read from TOML and stored in every checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self, get_args

from wsabench.encoders import ENCODER_NAME, FILE_SUFFIXES
from wsabench.errors import SpecError, nearest_names, unknown_name
from wsabench.fields import read_toml, shown
from wsabench.resources import agent_files, data_dir

AgentKind = Literal["e2e", "wsa", "dpa", "lin", "fix", "cnn", "mix", "res"]
EncoderSource = Literal["pretrained", "random"]
EncoderSize = Literal["compact", "paper"]
Embeddings = Literal["standardised", "raw"]
AdapterStyle = Literal["compact", "paper"]
Attention = Literal["learned", "uniform", "random"]
ScoreActivation = Literal["relu", "leaky_relu", "none"]
ScoreLayer = Literal["shared", "per_encoder", "additive"]
HeadKind = Literal["actor_critic", "q"]
_CHOICES = {
    "kind": get_args(AgentKind),
    "encoder_source": get_args(EncoderSource),
    "encoder_size": get_args(EncoderSize),
    "embeddings": get_args(Embeddings),
    "adapter_style": get_args(AdapterStyle),
    "attention": get_args(Attention),
    "score_activation": get_args(ScoreActivation),
    "score_layer": get_args(ScoreLayer),
    "heads": get_args(HeadKind),
}
_FUSIONS = tuple(kind for kind in get_args(AgentKind) if kind != "e2e")
_ATTENDING = ("wsa", "dpa")
"""Fusions that compare with a context."""
_WITHOUT_WIDTH = ("lin", "cnn", "mix")
"""Fusions whose feature has the size that the embeddings give."""
_READ_BY: dict[str, tuple[str, ...]] = {
    "encoder_source": _FUSIONS,
    "encoder_size": _FUSIONS,
    "embeddings": _FUSIONS,
    "tune_encoders": _FUSIONS,
    "adapter_style": _FUSIONS,
    "attention": ("wsa",),
    "score_activation": ("wsa",),
    "score_layer": ("wsa",),
    "conv_layers": ("cnn",),
}
"""Options that only some kinds read; for all others they must keep their default."""


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
    width: int = 0
    """Size that embeddings are projected to (`wsa`, `dpa`, `fix`), of the reservoir (`res`), of the feature (`e2e`).
    Not read by `lin`, `cnn` and `mix`, whose feature has the size that the embeddings give."""
    heads: HeadKind = "actor_critic"
    """`actor_critic`: a policy and a value, for PPO. `q`: action values, for DQN."""
    head_units: tuple[int, ...] = ()
    """Sizes of the hidden ReLU layers of each head; none: one linear layer each."""
    encoders: tuple[str, ...] = ()
    """Frozen encoders whose embeddings are combined: names, or paths of encoder files, which are called by the file's
    stem."""
    context: str | None = None
    """The encoder whose embedding the attention compares with, fused or not; a name or a path. For `wsa`, `dpa`."""
    encoder_source: EncoderSource = "pretrained"
    """`random`: the same architectures without pre-training, the control for every claim about it."""
    encoder_size: EncoderSize = "compact"
    """Size of the encoders' architectures."""
    embeddings: Embeddings = "standardised"
    """`raw`: as the encoders give them, neither centred nor scaled."""
    tune_encoders: bool = False
    """Whether the encoders are trained with the agent; then its checkpoint holds their weights."""
    adapter_style: AdapterStyle = "compact"
    """How a map is shrunk. `compact`: one convolution. `paper`: a 1x1 convolution before it, and maps that are small
    enough already stay as they are."""
    adapter_channels: int = 12
    """Channels of the convolution that shrinks a map; in style `paper` the fewest, a quarter of the map's up to twice
    this."""
    adapter_cells: int = 10
    """Height and width that this convolution brings a map to; smaller sides stay."""
    conv_layers: int = 1
    """Number of 3x3 convolutions of `cnn`."""
    attention: Attention = "learned"
    """`uniform`: every encoder gets the same weight. `random`: a scoring layer that stays as it was drawn."""
    score_layer: ScoreLayer = "shared"
    """`shared`: a_i = f(w_c . c + w_s . s_i + b), one layer for all encoders. `per_encoder`: each has such a layer
    of its own, so none can join later. `additive`: a_i = v . tanh(W_c c + W_s s_i + b) for all encoders, with `width`
    hidden units; the context alone can reverse the order of two encoders."""
    score_activation: ScoreActivation = "leaky_relu"
    """What linear scores pass before the softmax. `relu`: as in the paper; can die. `leaky_relu`:
    cannot. `none`: cannot either. With `score_layer` `shared` the context never reverses the order of two encoders,
    whichever is chosen, and cancels where all scores pass one linear piece: with `none` always. `additive` has none
    of them and does not read this."""
    encoder_files: tuple[str, ...] = field(default=(), compare=False)
    """Where the encoders given by path were found. A run copies them, so this is no part of what an agent is."""

    def __post_init__(self) -> None:
        """Check every value, so that a mistake in a file is found before any training."""
        where = f"Agent {self.name!r}"
        for key, allowed in _CHOICES.items():
            if getattr(self, key) not in allowed:
                raise SpecError(f"{where}: {key} is {getattr(self, key)!r}. Allowed: {', '.join(allowed)}.")
        self._check_read(where)
        for key in ("adapter_channels", "adapter_cells", "conv_layers"):
            _require_positive(where, key, getattr(self, key))
        if self.kind not in _WITHOUT_WIDTH or self.width != 0:
            _require_positive(where, "width", self.width)
        if not isinstance(self.tune_encoders, bool):
            raise SpecError(f"{where}: tune_encoders is {self.tune_encoders!r}. Allowed: true, false.")
        for key in ("head_units", "encoders"):
            if not isinstance(getattr(self, key), tuple):
                raise SpecError(f"{where}: {key} is {getattr(self, key)!r}. Allowed: a list.")
        for units in self.head_units:
            _require_positive(where, "head_units", units)
        self._name_files(where)
        self._check_encoders(where)

    def _check_encoders(self, where: str) -> None:
        if self.kind == "e2e":
            if self.encoders or self.context is not None:
                raise SpecError(f"{where}: an e2e agent reads pixels. Remove `encoders` and `context`.")
            return
        needs = "`encoders` (at least one)" + (" and `context`" if self.needs_context else "")
        if not self.encoders or (self.needs_context and self.context is None):
            raise SpecError(f"{where}: a {self.kind} agent needs {needs}. Add what is missing.")
        if self.kind not in _ATTENDING and self.context is not None:
            raise SpecError(f"{where}: a {self.kind} agent compares with no context. Remove `context`.")
        if len(set(self.encoders)) != len(self.encoders):
            raise SpecError(f"{where}: encoders {list(self.encoders)} name one twice. Name each once.")

    def _check_read(self, where: str) -> None:
        """Refuse options that the kind does not read: they would look like an ablation and change nothing."""
        for one in fields(self):
            value = getattr(self, one.name)
            if value != one.default and self.kind not in _READ_BY.get(one.name, (self.kind,)):
                raise SpecError(
                    f"{where}: {one.name} is {value!r}, but kind {self.kind!r} does not read it. Only "
                    f"{', '.join(_READ_BY[one.name])} do. Remove it."
                )
            if self.score_layer == "additive" and one.name == "score_activation" and value != one.default:
                raise SpecError(
                    f"{where}: score_activation is {value!r}, but score_layer 'additive' does not read it: its scores "
                    "have a tanh inside. Remove it, or choose score_layer 'shared' or 'per_encoder'."
                )

    @property
    def needs_context(self) -> bool:
        """Whether the fusion compares with a context."""
        return self.kind in _ATTENDING and self.attention != "uniform"

    @property
    def reads_context(self) -> bool:
        """Whether the context can have a part in the weights; where scores are a shared linear layer's, it cancels."""
        is_linear = self.kind == "wsa" and self.score_layer == "shared" and self.score_activation == "none"
        return self.needs_context and not is_linear

    @property
    def bank_context(self) -> str:
        """The encoder that the bank is to treat as the context: a fused one where there is no other."""
        return self.context or self.encoders[0]

    def _name_files(self, where: str) -> None:
        """Call encoders that are given by path by the stem of their file."""
        given = [*self.encoders, *([] if self.context is None else [self.context])]
        for text in given:
            if not isinstance(text, str) or not (text.endswith(FILE_SUFFIXES) or ENCODER_NAME.fullmatch(text)):
                raise SpecError(
                    f"{where}: an encoder is {shown(text)}. Allowed: names of letters, digits, _ and - "
                    f"that begin with a letter, and paths of files that end with {', '.join(FILE_SUFFIXES)}."
                )
        paths = tuple(dict.fromkeys(text for text in given if text.endswith(FILE_SUFFIXES)))
        for path in paths:
            if ENCODER_NAME.fullmatch(Path(path).stem) is None:
                raise SpecError(
                    f"{where}: the encoder file {path} would be called {Path(path).stem!r}. Allowed: letters, digits, "
                    "_ and -, a letter first. Rename the file."
                )
        files = {Path(path).stem: path for path in (*self.encoder_files, *paths)}
        object.__setattr__(self, "encoders", tuple(_name_of(text) for text in self.encoders))
        object.__setattr__(self, "context", None if self.context is None else _name_of(self.context))
        object.__setattr__(self, "encoder_files", tuple(files.values()))

    @property
    def files(self) -> dict[str, Path]:
        """The files of encoders that were given by path, by name."""
        return {Path(path).stem: Path(path) for path in self.encoder_files}

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
        needed = ["name", "kind", "preset"] + ["width"] * (values.get("kind") not in _WITHOUT_WIDTH)
        for key in needed:
            if key not in values:
                raise SpecError(f"{where}: the key {key!r} is missing. Add it.")
        plain: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**plain)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values, but for where files were found."""
        told = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        del told["encoder_files"]
        return told


def _name_of(text: str) -> str:
    """Return the name of an encoder: of a file its stem."""
    return Path(text).stem if text.endswith(FILE_SUFFIXES) else text


def _beside(path: Path, table: dict[str, Any]) -> dict[str, Any]:
    """Return a table of a TOML file with the paths of encoder files counted from that file's folder."""

    def found(text: Any) -> Any:
        return str(path.parent / text) if isinstance(text, str) and text.endswith(FILE_SUFFIXES) else text

    changed = dict(table)
    if isinstance(table.get("encoders"), list):
        changed["encoders"] = [found(text) for text in table["encoders"]]
    if "context" in table:
        changed["context"] = found(table["context"])
    return changed


def _require_positive(where: str, key: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_UNITS:
        raise SpecError(f"{where}: {key} is {shown(value)}. Allowed: integers from 1 to {MOST_UNITS}.")


MOST_UNITS = 65_536
"""Of a layer, an adapter or a stack of them; far above any use, so that no file fills the memory by a network."""


def list_specs() -> list[str]:
    """Return the names of the agents that have a specification in the baselines folder."""
    return [path.stem for path in agent_files()]


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
    table = read_toml(path, "the agent file ")
    presets = table.pop("presets", None)
    if not isinstance(presets, dict) or not presets:
        raise SpecError(f"{path}: no presets found. Add at least one [presets.NAME] table.")
    if preset not in presets:
        raise unknown_name("preset", preset, presets, f"Presets are tables in {path.name}.")
    table.pop("summary", None)
    values = _beside(path, {**table, **presets[preset], "preset": preset})
    return AgentSpec.from_dict(values, where=f"{path}, preset {preset!r}")


def _find_spec(agent: str) -> Path:
    if agent.endswith(".toml"):
        return Path(agent)
    path = data_dir("baselines") / f"{agent}.toml"
    if not path.is_file():
        raise unknown_name("agent", agent, list_specs(), "Or give the path of a .toml file.")
    return path
