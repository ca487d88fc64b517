"""Types that parts share: what a policy gets and gives, and how an episode ended."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, ParamSpec, Protocol, TypedDict, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from wsabench.errors import SpecError, unknown_name

P = ParamSpec("P")
T = TypeVar("T")

Observations = npt.NDArray[np.uint8]
"""Stacked luminance frames, newest last: uint8, shape (N, frame_stack, screen_size, screen_size) by the protocol, which
is (N, 4, 84, 84) by default."""
Actions = npt.NDArray[np.int64]
"""One action index for each lane, int64, shape (N,)."""
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Inputs = Mapping[str, npt.NDArray[np.uint8]]
"""Further inputs beside the observations, by name, uint8, each (N, *INPUT_SHAPES[name])."""
BoolArray = npt.NDArray[np.bool_]

EpisodeEnd = Literal["game_over", "time_limit", "stalled"]

SuiteMeasure = Literal["retention", "gap", "score"]
"""What agents are compared by in a suite, stated before anything is played: the share of the clean score that is kept,
what is lost of it, or the score itself."""

INPUT_SHAPES: Mapping[str, tuple[int, ...]] = {"rgb84": (3, 84, 84), "ram": (128,)}
"""What lanes can supply beside observations, uint8: `rgb84` is the newest frame in colour (RGB, channels first), `ram`
the console's memory after the step. Lanes supply only what is asked for."""
PRIVILEGED_INPUTS = frozenset({"ram"})
"""Inputs that are no pixels: agents that read them are marked in every table and left out of claims about pixels."""

BUILT_IN_AGENTS: Mapping[str, str] = {
    "random": "Draws every action with equal probability.",
    "noop": "Never touches the controls.",
}
"""Agents that need no training and play every game, with what they do."""


Embedding = npt.NDArray[np.float32]
"""One standardised embedding, float32: shape (size,) for a vector, (channels, height, width) for a map."""

FusionChange = Literal["mask", "order", "newcomers", "weights"]
"""What a fusion can be asked for beyond other embeddings: leave encoders out, exchange places, take one more."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a user allows for the agents of one command, and of no other."""

    trust: bool = False
    """Files may be opened in ways that run code which they hold (pickles, TorchScript)."""
    allow_download: bool = False
    """Files may be fetched from the Hugging Face hub."""


@dataclass(frozen=True, slots=True)
class EncoderRoster:
    """An agent's encoders, for an operation to check whether it fits before anything is played."""

    agent: str
    """The agent's name, for messages."""
    fused: tuple[str, ...]
    """The encoders that are fused, in order; empty for an agent without encoders."""
    context: str | None
    """The encoder that the fusion compares with; None where there is no context."""
    available: tuple[str, ...]
    """All encoders that run, the context included."""
    allows: frozenset[FusionChange]
    """What the fusion can express."""
    num_kept: int
    """Fused encoders that are surely not left out, in any step and whatever is drawn."""

    def check(self, operations: Sequence[EncoderOperation]) -> None:
        """Check that operations fit these encoders, one after the other.

        Raises:
            SpecError: One does not; the message says why.
        """
        roster = self
        for operation in operations:
            roster = operation.check(roster)


@dataclass(frozen=True, slots=True)
class AgentReads:
    """What an agent's decisions can depend on, by the structure of its network and not by its weights."""

    encoders: tuple[str, ...]
    """The encoders whose embeddings have a part, a context that is read included; empty where there are no encoders."""
    context: str | None
    """The encoder called the context, read or not; None where there is no context."""
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

    def weigh(self, weights: Mapping[str, float]) -> None:
        """Give the fused encoders these weights instead of those that the fusion would compute.

        Encoders that are not among them, such as those that join later, get 0. In the end the weights of all that are
        not left out are scaled to sum to 1.
        """
        ...


class EncoderState(Protocol):
    """An encoder operation at work in one lane and episode."""

    def apply(self, encoders: LaneEncoders) -> None:
        """Change the lane's encoders. It is called once in each step, after the operations that stand before it."""
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

    def attention(self) -> Mapping[str, float]:
        """Return the mean weight of each fused encoder over all steps; empty for an agent without attention."""
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
    """Each lane's generator for action selection, seeded from the episode seed at each reset."""
    episode_starts: BoolArray
    """True where this is the first observation of an episode: bool, shape (N,)."""
    encoder_operations: tuple[tuple[EncoderOperation, ...], ...]
    """The encoder operations of each lane, in the order in which they apply; a lane without any has its encoders as
    they were trained."""
    inputs: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """The further inputs that the policy asked for, by name (`rgb84`, `ram`): uint8, shape (N, *INPUT_SHAPES[name])."""
    encoder_generators: tuple[np.random.Generator | None, ...] = ()
    """What each lane's encoder operations draw from, seeded from the episode seed at each reset; never what actions are
    drawn from, so that these stay paired. None for lanes without operations; empty where no lane has any."""
    game: str = ""
    """The id of the game that all these lanes play; empty where whoever asks does not say."""


class Comparisons(Protocol):
    """What the attention weights of one step come from, where a context has a part in them."""

    def row(self, row: int) -> Any:
        """Return a copy of what the weights of one row come from."""
        ...

    def measure(self, kept: Sequence[Any], generator: np.random.Generator) -> Any:
        """Measure how much the context does to the weights in some steps.

        Args:
            kept: What `row` returned in these steps, at least one.
            generator: Draws the steps whose contexts are lent.

        Returns:
            A `wsabench.stats.context_effect.ContextEffect`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy chose in one step, and what led to it; entry i of everything belongs to row i.

    NumPy takes it for its actions, so that `envs.step(policy.act(observations, lanes))` works.
    """

    actions: Actions
    """One action index for each row, int64, shape (N,)."""
    values: npt.NDArray[np.float32] | None = None
    """The return that the policy expects from here on, float32, shape (N,); None where it does not say."""
    attention: npt.NDArray[np.float32] | None = None
    """The weight of each encoder, float32, shape (N, num_encoders), columns as in `Abilities.attends_to`; None where
    the policy does not attend. Rows sum to 1; where an encoder joined after training, to less: the rest is the
    newcomer's weight."""
    comparisons: Comparisons | None = None
    """What the weights come from; None where they come from no context."""

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return the actions."""
        return np.array(self.actions, dtype=dtype, copy=copy)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedScore:
    """What the notes beside an agent's file say that it scores: the mean of unclipped returns of whole games."""

    mean: float
    deviation: float | None = None
    """Standard deviation over episodes; None where they do not say."""
    episodes: int | None = None
    """The number of episodes; None where the notes do not say."""
    is_greedy: bool | None = None
    """Whether the best action was always taken; None where they do not say."""
    source: str = ""
    """The name of the file that says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a policy can do. It is declared once, and the bench asks nothing else.

    A policy of one's own may state it as its attribute `abilities`. What it leaves out there, the name, the train seed,
    the hash and the inputs, is taken from the attributes `name`, `train_seed`, `checkpoint_hash` or `version`, and
    `required_inputs`, where the policy has them.
    """

    name: str = ""
    """The policy's name in tables and messages."""
    train_seed: int = 0
    """The number of the training run that made the policy."""
    checkpoint_hash: str | None = None
    """A hash that stands for the policy's content in fingerprints. None where the content is not known: finished jobs
    are then played again."""
    version: str = ""
    """The user's name for the state of the policy's code. Finished jobs of the same version and weights are kept."""
    inputs: tuple[str, ...] = ()
    """The inputs that the policy reads beside observations (`rgb84`, `ram`). It finds them in `LaneBatch.inputs`."""
    batch_size: int | None = None
    """The number of rows to which the policy fills its own batches, so that it can be given any number of rows. None:
    it always gets as many rows as there are lanes."""
    attends_to: tuple[str, ...] = ()
    """The encoders that the policy weighs, in the order of the columns of `Decision.attention`; empty where it weighs
    none."""
    is_deterministic: bool = False
    """Whether, where the best action is taken (`greedy`), the policy's actions follow from nothing but what it was
    shown since the episode began: it draws no random numbers, not even from its lanes' generators. Then each start is
    played once at most."""
    num_actions: int | None = None
    """The number of actions with which the policy was trained; None where any number will do."""
    encoder_roster: EncoderRoster | None = None
    """The policy's encoders, where it applies `LaneBatch.encoder_operations`; None where it applies none."""
    encoder_hashes: Mapping[str, str] = field(default_factory=dict)
    """The content hash of each of the policy's encoders, by name."""
    reads: AgentReads | None = None
    """What the policy's decisions can depend on; None where that is not known."""
    view: Mapping[str, Any] = field(default_factory=dict)
    """How the policy saw and started its games in training: fields of `wsabench.Protocol` with their values. Its lanes
    are made so, unless the user says otherwise."""
    notes: tuple[str, ...] = ()
    """What a user should hear about the policy before it plays, as whole sentences; its name is put before each."""
    stated_score: StatedScore | None = None
    """The score in unchanged games that the notes beside the policy's file state; None where they state none."""

    def check(self, operations: Sequence[EncoderOperation]) -> None:
        """Check that encoder operations fit the policy, one after the other.

        Raises:
            SpecError: One does not, or the policy applies none; the message says why.
        """
        if self.encoder_roster is not None:
            self.encoder_roster.check(operations)
        elif operations:
            raise SpecError(
                f"The policy {self.name!r} has no encoders that could be changed: its abilities state no "
                "encoder_roster. Leave these cells out."
            )


@runtime_checkable
class Policy(Protocol):
    """Anything that can be evaluated."""

    def act(self, observations: Observations, lanes: LaneBatch) -> npt.ArrayLike | Decision:
        """Return one action index for each lane, int64, shape (N,), or a `Decision` with them.

        Args:
            observations: What the N lanes show: uint8, by default of shape (N, 4, 84, 84), newest frame last.
            lanes: What else is known of these lanes; entry i belongs to row i of the observations.
        """
        ...


class DeclaredPolicy(Protocol):
    """A policy as the bench plays it: it says what it can do, and its answers are checked."""

    @property
    def abilities(self) -> Abilities:
        """What it can do."""
        ...

    def act(self, observations: Observations, lanes: LaneBatch) -> Decision:
        """Return what it chooses in each lane."""
        ...


class OwnPolicy:
    """Marks a policy of this project, not of a user.

    Its answers need no check, and it draws from the generators of its lanes alone.
    """


class BenchRow(TypedDict):
    """One measurement of speed, as `wsabench bench --json` prints it."""

    name: str
    """What was measured."""
    peer: str
    """What it is compared with, measured in the same run; empty without a peer."""
    value: float
    """The number that was measured, in `unit`."""
    unit: str
    """`steps/s`, `steps/hour`, `steps`, `us/step`, `ms/observation`, `parameters`, `us/repetition`, `share`, `MiB` or
    `s`."""
    ratio: float | None
    """How much better it is than the peer: above 1 is better, 1 the same. None without a peer."""


def unboxed(value: Any) -> Any:
    """Return a NumPy scalar as the Python value that it holds, and anything else as it is.

    Example:
        >>> unboxed(np.float32(0.25)), unboxed(np.int64(3)), unboxed("a")
        (0.25, 3, 'a')
    """
    return value.item() if isinstance(value, np.generic) else value


def listed_values(value: Any) -> Any:
    """Return one value as a list of one, and several as a list of Python values; None stays None.

    Example:
        >>> listed_values("breakout"), listed_values(0), listed_values(np.arange(2)), listed_values(None)
        (['breakout'], [0], [0, 1], None)
    """
    if value is None:
        return None
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        return [unboxed(value)]
    return [unboxed(one) for one in value]


def named_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """Let a public function refuse arguments that it does not have, with the nearest names of those that it has.

    Args:
        function: A function without `**` in its signature.

    Returns:
        The function, which raises `UnknownNameError` where Python would raise a TypeError without a hint.
    """
    allowed = [name for name in inspect.signature(function).parameters if name != "self"]

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        for name in kwargs:
            if name not in allowed:
                raise unknown_name("argument", name, allowed, f"`help` of `{function.__name__}` explains all.")
        return function(*args, **kwargs)

    return checked
