"""The protocol: how frames become observations, how an episode starts and how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Literal, Self, get_args

from wsabench.errors import SpecError, unknown_name
from wsabench.types import unboxed
from wsabench.words import counted

ActionSelection = Literal["sampled", "greedy"]
Luminance = Literal["frames", "maximum", "resized"]
Start = Literal["frames", "steps"]
LifeStart = Literal["go_on", "restart"]
StackStart = Literal["zeros", "repeat"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """Preprocessing and episode rules of a lane; the defaults are those of evaluation.

    Raises:
        SpecError: A value is outside its range, or a field has the name that another library gives it.
        UnknownNameError: There is no such field.

    References:
        Mnih et al. 2015 (preprocessing); Machado et al. 2018 (`machado`), whose frame skip is 5, ours 4.
    """

    frame_skip: int = 4
    """Emulator frames in each step; the observation is the maximum of two of them, see `pool_gap`."""
    frame_stack: int = 4
    """Number of observations that are stacked, with the newest last."""
    screen_size: int = 84
    """Height and width of an observation in pixels."""
    grayscale: bool = True
    """Whether observations are luminance. Colour is for encoders that ask for it."""
    noop_max: int = 30
    """At reset a uniformly drawn number of no-op frames in 0..noop_max is played. In a run where nothing else is drawn,
    each of these starts is played at most once."""
    sticky_probability: float = 0.0
    """Probability, in each frame, that the emulator repeats the previous action."""
    full_action_space: bool = False
    """Whether the agent has all 18 actions instead of the game's minimal set."""
    fire_on_reset: bool = True
    """Whether FIRE is pressed once after a reset, where the action set has it."""
    fire_on_life_loss: bool = True
    """Whether FIRE is pressed once after a life loss, where the action set has it."""
    episodic_life: bool = False
    """Whether a life loss ends the episode for the learner (`terminated`), while the game itself goes on."""
    clip_rewards: bool = False
    """Whether rewards are replaced by their sign."""
    max_frames: int = 108_000
    """Emulator frames after which an episode is truncated (`time_limit`)."""
    stall_steps: int = 1_000
    """Steps without reward or lost life after which an episode is truncated (`stalled`); 0 for no such limit."""
    action_selection: ActionSelection = "sampled"
    """How our agents choose an action: they draw from their distribution (`sampled`) or take its mode (`greedy`)."""
    luminance: Luminance = "frames"
    """Where grey is made: of each frame's palette before the maximum (ale-py, Dopamine), of the maximum in RGB
    (Stable-Baselines3), or of that maximum resized in RGB (CleanRL); single pixels differ by up to 37 grey levels."""
    pool_gap: int = 1
    """How many frames before the newest one stands the other frame of that maximum: 1 for the last two frames; 0 for
    the newest frame alone."""
    start: Start = "frames"
    """`frames`: FIRE for one frame, then 0..noop_max no-op frames. `steps`, as wrappers do: 1..noop_max no-op frames,
    then, where the action set has FIRE, one step of it and one step of action 2."""
    life_start: LifeStart = "go_on"
    """After a life loss: `go_on`, or `restart` as wrappers that end the learner's episode do: a no-op step, then FIRE
    and action 2 as in `steps`, and the stack starts anew."""
    stack_start: StackStart = "zeros"
    """What stands in the stack before the first frame: zeros, or that frame repeated."""

    def __new__(cls, *_: Any, **values: Any) -> Self:
        """Refuse fields that do not exist; where another library calls one so, the message has its name here."""
        names = [field.name for field in fields(cls)]
        for name in values:
            if name in ELSEWHERE:
                raise SpecError(f"{name} is called {ELSEWHERE[name]} here. Write Protocol({ELSEWHERE[name]}=...).")
            if name not in names:
                raise unknown_name("protocol field", name, names)
        return object.__new__(cls)

    def __post_init__(self) -> None:
        """Check every range, so that a mistake never reaches the emulator; NumPy scalars become Python's."""
        for field in fields(self):
            object.__setattr__(self, field.name, unboxed(getattr(self, field.name)))
        for name, (lowest, highest) in _RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
                raise SpecError(f"Protocol.{name} is {value!r}. Allowed: integers from {lowest} to {highest}.")
        probability = self.sticky_probability
        if isinstance(probability, bool) or not isinstance(probability, int | float) or not 0 <= probability <= 1:
            raise SpecError(f"Protocol.sticky_probability is {probability!r}. Allowed: numbers from 0 to 1.")
        for name in _SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise SpecError(f"Protocol.{name} is {getattr(self, name)!r}. Allowed: true or false.")
        for name, choice in _CHOICES.items():
            if getattr(self, name) not in get_args(choice):
                allowed = ", ".join(get_args(choice))
                raise SpecError(f"Protocol.{name} is {getattr(self, name)!r}. Allowed: {allowed}.")

    @property
    def may_repeat_episodes(self) -> bool:
        """Whether episodes of one checkpoint can be the same: greedy choice and no sticky actions."""
        return self.action_selection == "greedy" and not self.sticky_probability

    @property
    def start_noops(self) -> range:
        """The numbers of no-op frames with which an episode may start; each is equally likely."""
        return range(min(1, self.noop_max) if self.start == "steps" else 0, self.noop_max + 1)

    @property
    def num_starts(self) -> int:
        """Number of different starts. In greedy play without sticky actions the bench leaves nothing else to chance."""
        return len(self.start_noops)

    @property
    def few_episodes(self) -> str:
        """Words for a message that refuses more episodes, where they may repeat."""
        different = counted(self.num_starts, "different episode")
        return f"greedy play without sticky actions has {different} at most, one for each start"

    @property
    def episodes_for_all_starts(self) -> int:
        """Number of episodes, rounded, that it takes on average until every start was drawn."""
        return round(self.num_starts * sum(1.0 / left for left in range(1, self.num_starts + 1)))

    @classmethod
    def evaluation(cls) -> Self:
        """Return the protocol of evaluation: full games, unclipped rewards, no sticky actions.

        An episode ends as stalled after 1,000 steps without reward or lost life.
        """
        return cls()

    @classmethod
    def training(cls) -> Self:
        """Return the protocol of training: clipped rewards; a life loss ends the learner's episode, not the game."""
        return cls(episodic_life=True, clip_rewards=True)

    @classmethod
    def machado(cls) -> Self:
        """Return the protocol of Machado et al. 2018: sticky actions 0.25, no no-ops, full action space, 18,000 frames.

        Its frame skip is 4, where theirs is 5.
        """
        return cls.named("machado")

    @classmethod
    def named(cls, name: str) -> Self:
        """Return a protocol of `PROTOCOLS` by its name: as the library or paper of that name evaluates.

        Raises:
            UnknownNameError: There is no such protocol.
        """
        if name not in PROTOCOLS:
            raise unknown_name("protocol", name, PROTOCOLS)
        return cls(**PROTOCOLS[name])

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build a protocol from plain values, as they are found in a suite file or a manifest.

        Raises:
            SpecError: A value is outside its range.
            UnknownNameError: A key is not a field of the protocol.
        """
        return cls(**{str(name): value for name, value in values.items()})

    @classmethod
    def of(cls, value: Self | str | Mapping[str, Any] | None) -> Self:
        """Return the protocol that is meant.

        Args:
            value: A protocol, which is returned; the name of one; fields over the defaults; or None for the defaults.

        Raises:
            SpecError: It is something else, or a value is outside its range.
            UnknownNameError: There is no such protocol or field.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls.named(value)
        if value is None or isinstance(value, Mapping):
            return cls.from_dict(dict(value or {}))
        raise SpecError(f"The protocol is {value!r}. Allowed: a wsabench.Protocol, or a name: {', '.join(PROTOCOLS)}.")

    @property
    def text(self) -> str:
        """The name of a named protocol, in quotes; of another one what differs from the defaults, in Python."""
        changed = {field.name: value for field in fields(self) if (value := getattr(self, field.name)) != field.default}
        for name, values in PROTOCOLS.items():
            if changed == values:
                return repr(name)
        return f"Protocol({', '.join(f'{name}={value!r}' for name, value in changed.items())})"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, in declaration order, of `LATER_FIELDS` those that are not the default."""
        values = asdict(self)
        return {
            name: value for name, value in values.items() if name not in LATER_FIELDS or value != LATER_FIELDS[name]
        }

    def with_changes(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, checked again.

        Raises:
            SpecError: A value is outside its range.
            UnknownNameError: There is no such field.
        """
        return replace(self, **changes)


_NO_FIRE = {"fire_on_reset": False, "fire_on_life_loss": False}
_WRAPPERS = {**_NO_FIRE, "start": "steps", "life_start": "restart"}
PROTOCOLS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "wsabench": {},
        "sb3": {**_WRAPPERS, "luminance": "maximum"},
        "cleanrl": {**_WRAPPERS, "luminance": "resized", "stack_start": "repeat"},
        "dopamine": {**_NO_FIRE, "noop_max": 0, "sticky_probability": 0.25},
        "ale-v5": {**_NO_FIRE, "noop_max": 0, "sticky_probability": 0.25, "pool_gap": 0},
        "machado": {"sticky_probability": 0.25, "noop_max": 0, "full_action_space": True, "max_frames": 18_000},
    }
)
"""What differs from the defaults in each named protocol. `sb3`: `AtariWrapper` with `VecFrameStack` (2.x). `cleanrl`:
the same wrappers, then resize, grey and `FrameStack`. `dopamine`: its `AtariPreprocessing` on sticky actions. `ale-v5`:
Gymnasium's `ALE/*-v5`, which skips 4 frames, sticks and shows the newest frame. `machado`: Machado et al. 2018."""

LATER_FIELDS: Mapping[str, Any] = MappingProxyType(
    {"luminance": "frames", "pool_gap": 1, "start": "frames", "life_start": "go_on", "stack_start": "zeros"}
)
"""Fields that older manifests lack, with their defaults; left out where default, so that no fingerprint moves."""

ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "frameskip": "frame_skip",
        "repeat_action_probability": "sticky_probability",
        "max_num_frames_per_episode": "max_frames",
        "max_episode_steps": "max_frames",
        "terminal_on_life_loss": "episodic_life",
        "grayscale_obs": "grayscale",
        "grayscale_newaxis": "grayscale",
        "stack_num": "frame_stack",
        "reward_clipping": "clip_rewards",
        "clip_reward": "clip_rewards",
        "use_fire_reset": "fire_on_reset",
        "img_height": "screen_size",
        "img_width": "screen_size",
    }
)
"""Fields by what ale-py, Gymnasium and Stable-Baselines3 call them."""

_CHOICES: Mapping[str, Any] = {
    "action_selection": ActionSelection,
    "luminance": Luminance,
    "start": Start,
    "life_start": LifeStart,
    "stack_start": StackStart,
}
_RANGES = {
    "frame_skip": (1, 100),
    "frame_stack": (1, 64),
    "screen_size": (1, 512),
    "noop_max": (0, 10_000),
    "max_frames": (1, 10_000_000),
    "stall_steps": (0, 10_000_000),
    "pool_gap": (0, 100),
}
"""Lowest and highest values: nothing that fills the memory, or never ends, before the first step."""
_SWITCHES = (
    "grayscale",
    "full_action_space",
    "fire_on_reset",
    "fire_on_life_loss",
    "episodic_life",
    "clip_rewards",
)
