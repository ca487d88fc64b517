"""Types that parts share: what a policy gets and gives, and how an episode ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypedDict, runtime_checkable

import numpy as np
import numpy.typing as npt

Observations = npt.NDArray[np.uint8]
"""Stacked luminance frames, uint8, shape (N, 4, 84, 84), newest last."""
Actions = npt.NDArray[np.int64]
"""One action index a lane, int64, shape (N,)."""
FloatArray = npt.NDArray[np.float64]
Inputs = Mapping[str, npt.NDArray[np.uint8]]
"""Further inputs beside the observations, by name, uint8, each (N, *INPUT_SHAPES[name])."""
BoolArray = npt.NDArray[np.bool_]

EpisodeEnd = Literal["game_over", "time_limit", "stalled"]

INPUT_SHAPES: Mapping[str, tuple[int, ...]] = {"rgb84": (3, 84, 84), "ram": (128,)}
"""What lanes can supply beside observations, uint8: `rgb84` is the newest frame in colour (RGB, channels first), `ram`
the console's memory after the step. Lanes supply only what is asked for."""
PRIVILEGED_INPUTS = frozenset({"ram"})
"""Inputs that are no pixels: agents that read them are marked in every table and left out of claims about pixels."""


Embedding = npt.NDArray[np.float32]
"""One standardised embedding, float32: shape (size,) for a vector, (channels, height, width) for a map."""

FusionChange = Literal["mask", "order", "newcomers"]
"""What a fusion can be asked for beyond other embeddings: leave encoders out, exchange places, take one more."""


@dataclass(frozen=True, slots=True)
class EncoderRoster:
    """An agent's encoders, for an operation to check whether it fits before anything is played."""

    agent: str
    """The agent's name, for messages."""
    fused: tuple[str, ...]
    """The encoders that are fused, in order; empty for an agent without."""
    context: str | None
    """The encoder that the fusion compares with; None without."""
    available: tuple[str, ...]
    """All encoders that run, the context included."""
    allows: frozenset[FusionChange]
    """What the fusion can express."""
    num_kept: int
    """Fused encoders that are surely not left out, in any step and whatever is drawn."""


@dataclass(frozen=True, slots=True)
class AgentReads:
    """What an agent's decisions can depend on, by the structure of its network and not by its weights."""

    encoders: tuple[str, ...]
    """The encoders whose embeddings have a part, a context that is read included; empty for an agent without."""
    context: str | None
    """The encoder called the context, read or not; None without."""
    available: tuple[str, ...]
    """All encoders that run, read or not."""
    pixels: bool
    """Whether it, or one of these encoders, reads the picture."""


class LaneEncoders(Protocol):
    """One lane's encoders in one step, as an operation sees and changes them."""

    @property
    def fused(self) -> tuple[str, ...]:
        """The encoders that are fused: the agent's in their order, then newcomers; those left out are among them."""
        ...

    @property
    def kept(self) -> tuple[str, ...]:
        """The fused encoders that are not left out, in the order of `fused`."""
        ...

    @property
    def places(self) -> tuple[str, ...]:
        """Whose adapted embedding stands in each place of the fusion; as `fused` when nothing was exchanged."""
        ...

    @property
    def context(self) -> str:
        """The encoder that the fusion compares with."""
        ...

    def embedding(self, name: str) -> Embedding:
        """Return a copy of an encoder's embedding as the operations before left it."""
        ...

    def replace(self, name: str, embedding: Embedding) -> None:
        """Set an encoder's embedding, of the same shape; where it is fused and the context, in both roles."""
        ...

    def drop(self, name: str) -> None:
        """Leave a fused encoder out; one at least must stay."""
        ...

    def arrange(self, names: Sequence[str]) -> None:
        """Set whose adapted embedding stands in each place: all of `fused`, each once."""
        ...

    def join(self, name: str) -> None:
        """Fuse one more of the available encoders through an untrained adapter."""
        ...


class EncoderState(Protocol):
    """An encoder operation at work in one lane and episode."""

    def apply(self, encoders: LaneEncoders) -> None:
        """Change the lane's encoders; called once a step, after the operations that stand before it."""
        ...


@runtime_checkable
class EncoderOperation(Protocol):
    """A change of the agent's own encoders: an immutable plain value, which travels to worker processes."""

    def check(self, roster: EncoderRoster) -> EncoderRoster:
        """Return the roster that the operations after this one meet.

        Raises:
            SpecError: The operation does not fit these encoders.
        """
        ...

    def start(self, generator: np.random.Generator) -> EncoderState:
        """Return the state for an episode, with a generator of its own."""
        ...


class OwnPlay(Protocol):
    """Embeddings of whole clean episodes that an agent played itself."""

    @property
    def num_moments(self) -> int:
        """Steps of that play whose embeddings are kept, chosen at random."""
        ...

    def mean(self, name: str) -> Embedding:
        """Return an encoder's mean embedding over all steps."""
        ...

    def moment(self, name: str, index: int) -> Embedding:
        """Return an encoder's embedding at one of the kept steps, 0 to `num_moments` - 1."""
        ...


@runtime_checkable
class OwnPlayOperation(EncoderOperation, Protocol):
    """An operation that needs embeddings of the agent's own play; it starts only after `with_own_play`."""

    def with_own_play(self, play: OwnPlay) -> EncoderOperation:
        """Return the operation that can start."""
        ...


@dataclass(frozen=True, slots=True)
class LaneBatch:
    """What a policy is told about the lanes whose observations it sees; entry i belongs to row i.

    Nothing in it couples lanes: recurrent state is keyed by `ids`, sampling uses each lane's own generator.
    """

    ids: npt.NDArray[np.int64]
    """Lane ids, int64, shape (N,)."""
    generators: tuple[np.random.Generator, ...]
    """The lane's generator for action selection, seeded from the episode seed at each reset."""
    episode_starts: BoolArray
    """True where this is the first observation of an episode, shape (N,)."""
    encoder_operations: tuple[tuple[EncoderOperation, ...], ...]
    """The encoder operations of each lane, in the order in which they apply; none: encoders as trained."""
    inputs: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """Further inputs that encoders asked for, by name (`rgb84`, `ram`), each with N rows."""
    encoder_generators: tuple[np.random.Generator | None, ...] = ()
    """What each lane's encoder operations draw from, seeded from the episode seed at each reset; never what actions are
    drawn from, so that these stay paired. None for lanes without operations; empty where no lane has any."""


@runtime_checkable
class Policy(Protocol):
    """Anything that can be evaluated."""

    def act(self, observations: Observations, lanes: LaneBatch) -> Actions:
        """Return one action index a lane, int64, shape (N,)."""
        ...


PolicyFunction = Callable[[Observations], npt.ArrayLike]
"""A plain callable from observations (N, 4, 84, 84) to N action indices; accepted wherever a policy is."""


class BenchRow(TypedDict):
    """One measurement of speed, as `wsabench bench --json` prints it."""

    name: str
    """What was measured."""
    peer: str
    """What it is compared with, measured in the same run; empty without a peer."""
    value: float
    """Its speed or time."""
    unit: str
    """`steps/s`, `us/step`, `ms/observation`, `parameters`, `us/repetition` or `s`."""
    ratio: float | None
    """Above 1: better than the peer. None without a peer."""
