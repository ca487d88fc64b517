"""The protocol: how frames become observations, how an episode starts and how it ends."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self, get_args

from wsabench.errors import SpecError, unknown_name

ActionSelection = Literal["sampled", "greedy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """Preprocessing and episode rules of a lane; the defaults are those of evaluation.

    Raises:
        SpecError: A value is outside its range.

    References:
        Mnih et al. 2015 (preprocessing); Machado et al. 2018 (`machado`), whose frame skip is 5, ours 4.
    """

    frame_skip: int = 4
    """Emulator frames per step; the observation is the maximum over the last two."""
    frame_stack: int = 4
    """Observations stacked, newest last."""
    screen_size: int = 84
    """Height and width of an observation in pixels."""
    grayscale: bool = True
    """Luminance observations. Colour is for encoders that ask for it."""
    noop_max: int = 30
    """At reset a uniformly drawn number of no-op frames in 0..noop_max is played."""
    sticky_probability: float = 0.0
    """Probability, a frame, that the emulator repeats the previous action."""
    full_action_space: bool = False
    """All 18 actions instead of the game's minimal set."""
    fire_on_reset: bool = True
    """Press FIRE once after a reset, where the action set has it."""
    fire_on_life_loss: bool = True
    """Press FIRE once after a life loss, where the action set has it."""
    episodic_life: bool = False
    """A life loss ends the episode for the learner (`terminated`); the game itself goes on."""
    clip_rewards: bool = False
    """Rewards replaced by their sign."""
    max_frames: int = 108_000
    """Emulator frames after which an episode is truncated (`time_limit`)."""
    stall_steps: int = 1_000
    """Steps without reward or lost life after which an episode is truncated (`stalled`); 0 for no such limit."""
    action_selection: ActionSelection = "sampled"
    """How our agents choose: from their distribution, or its mode."""

    def __post_init__(self) -> None:
        """Check every range, so that a mistake never reaches the emulator."""
        for name, lowest in _LOWEST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
                raise SpecError(f"Protocol.{name} is {value!r}. Allowed: integers from {lowest}.")
        probability = self.sticky_probability
        if isinstance(probability, bool) or not isinstance(probability, int | float) or not 0 <= probability <= 1:
            raise SpecError(f"Protocol.sticky_probability is {probability!r}. Allowed: numbers from 0 to 1.")
        for name in _SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise SpecError(f"Protocol.{name} is {getattr(self, name)!r}. Allowed: true or false.")
        if self.action_selection not in get_args(ActionSelection):
            allowed = ", ".join(get_args(ActionSelection))
            raise SpecError(f"Protocol.action_selection is {self.action_selection!r}. Allowed: {allowed}.")

    @classmethod
    def evaluation(cls) -> Self:
        """Full games, unclipped rewards, no sticky actions, stall cap of 1,000 steps."""
        return cls()

    @classmethod
    def training(cls) -> Self:
        """Clipped rewards; a life loss ends the learner's episode while the game goes on."""
        return cls(episodic_life=True, clip_rewards=True)

    @classmethod
    def machado(cls) -> Self:
        """Sticky actions 0.25, no no-ops, full action space, 18,000 frames (Machado et al. 2018; frame skip 4)."""
        return cls(sticky_probability=0.25, noop_max=0, full_action_space=True, max_frames=18_000)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from plain values, as found in a suite file or a manifest.

        Raises:
            SpecError: A value is outside its range.
            UnknownNameError: A key is not a field of the protocol.
        """
        names = [field.name for field in fields(cls)]
        for key in values:
            if key not in names:
                raise unknown_name("protocol field", key, names)
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, in declaration order."""
        return asdict(self)

    def with_changes(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, checked again."""
        return replace(self, **changes)


_LOWEST = {"frame_skip": 1, "frame_stack": 1, "screen_size": 1, "noop_max": 0, "max_frames": 1, "stall_steps": 0}
_SWITCHES = (
    "grayscale",
    "full_action_space",
    "fire_on_reset",
    "fire_on_life_loss",
    "episodic_life",
    "clip_rewards",
)
