"""Hyper-parameters of the algorithms: the paper's, and those tuned for a small CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Self, get_args, overload

from wsabench.errors import SpecError, unknown_name

Algorithm = Literal["ppo", "dqn"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What every algorithm has.

    Raises:
        SpecError: A value is outside its range.
    """

    algorithm: ClassVar[Algorithm]
    _counts: ClassVar[tuple[str, ...]]
    _above_zero: ClassVar[tuple[str, ...]]
    _shares: ClassVar[tuple[str, ...]]

    name: str
    total_steps: int = 10_000_000
    """Steps over all lanes after which training ends."""
    num_envs: int = 8
    """Lanes that are stepped together."""
    discount: float = 0.99
    checkpoint_updates: int = 10
    """A checkpoint is written every so many updates."""
    evaluate_every: int = 0
    """Steps between evaluations unless others are asked for; 0: none."""
    evaluation_episodes: int = 100
    """Full games in each evaluation."""

    def __post_init__(self) -> None:
        """Check every range."""
        kind = f"{self.algorithm.upper()} preset {self.name!r}"
        counts = ("total_steps", "num_envs", "checkpoint_updates", "evaluation_episodes", *self._counts)
        for key, lowest in {**dict.fromkeys(counts, 1), "evaluate_every": 0}.items():
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
                raise SpecError(f"{kind}: {key} is {value!r}. Allowed: integers from {lowest}.")
        for key in self._above_zero:
            if not getattr(self, key) > 0:
                raise SpecError(f"{kind}: {key} is {getattr(self, key)!r}. Allowed: above 0.")
        for key in ("discount", *self._shares):
            if not 0 <= getattr(self, key) <= 1:
                raise SpecError(f"{kind}: {key} is {getattr(self, key)!r}. Allowed: 0 to 1.")
        self._check_sizes(kind)

    def _check_sizes(self, kind: str) -> None:
        """Check what depends on several values."""

    @property
    def update_steps(self) -> int:
        """Steps of an update, so of a row of the learning curve, over all lanes."""
        raise NotImplementedError

    @property
    def num_updates(self) -> int:
        """Updates until at least `total_steps` are played."""
        return -(-self.total_steps // self.update_steps)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from plain values, as stored in a checkpoint."""
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class PPOPreset(Preset):
    """PPO's hyper-parameters; the defaults are the paper's (Piccoli et al. 2026).

    Raises:
        SpecError: A value is outside its range.
    """

    algorithm: ClassVar[Algorithm] = "ppo"
    _counts: ClassVar[tuple[str, ...]] = ("rollout_steps", "epochs", "minibatch_size")
    _above_zero: ClassVar[tuple[str, ...]] = ("learning_rate", "clip", "max_gradient_norm")
    _shares: ClassVar[tuple[str, ...]] = ("gae_lambda",)

    rollout_steps: int = 128
    """Steps per lane between updates."""
    epochs: int = 4
    """Passes over a rollout."""
    minibatch_size: int = 256
    """Steps in one gradient."""
    learning_rate: float = 2.5e-4
    """Adam's step size at the start; it falls to 0 linearly."""
    clip: float = 0.1
    """How far the probability ratio may move before its gradient is cut."""
    anneal_clip: bool = True
    """Whether `clip` falls to 0 with the learning rate."""
    gae_lambda: float = 0.95
    """Decay of the advantage estimate (Schulman et al. 2016)."""
    entropy_coefficient: float = 0.01
    """Weight of the policy's entropy in the loss."""
    value_coefficient: float = 0.5
    """Weight of the value's mean squared error in the loss, as Stable-Baselines3's `vf_coef`."""
    max_gradient_norm: float = 0.5

    def _check_sizes(self, kind: str) -> None:
        if self.batch_size % self.minibatch_size:
            raise SpecError(
                f"{kind}: a rollout has {self.batch_size} steps, which minibatch_size "
                f"{self.minibatch_size} does not divide. Choose a divisor."
            )

    @property
    def batch_size(self) -> int:
        """Steps in a rollout, over all lanes."""
        return self.num_envs * self.rollout_steps

    @property
    def update_steps(self) -> int:
        """Steps of an update: a rollout."""
        return self.batch_size


@dataclass(frozen=True, slots=True, kw_only=True)
class DQNPreset(Preset):
    """DQN's hyper-parameters; the defaults are the paper's (Piccoli et al. 2026), steps counted over all lanes.

    What the paper leaves open is as in Mnih et al. 2015 (Huber loss, no double Q-learning) and Stable-Baselines3 2
    (gradients clipped at norm 10).

    Raises:
        SpecError: A value is outside its range.
    """

    algorithm: ClassVar[Algorithm] = "dqn"
    _counts: ClassVar[tuple[str, ...]] = ("row_steps", "replay_frames", "batch_size", "train_every", "target_every")
    _above_zero: ClassVar[tuple[str, ...]] = ("learning_rate", "max_gradient_norm")
    _shares: ClassVar[tuple[str, ...]] = ("exploration_start", "exploration_end", "exploration_share")

    row_steps: int = 1024
    """Steps of a row of the learning curve."""
    replay_frames: int = 100_000
    """Frames that the replay holds, over all lanes; a step needs one, a new game four."""
    batch_size: int = 32
    """Steps in one gradient."""
    learning_rate: float = 1e-4
    """Adam's step size, the same all the time."""
    learning_starts: int = 100_000
    """Steps of random play before the first gradient."""
    train_every: int = 4
    """Steps between gradients."""
    target_every: int = 1000
    """Steps after which the target network becomes a copy of the network."""
    exploration_start: float = 1.0
    """Share of random actions at the first step."""
    exploration_end: float = 0.01
    """Share of random actions from the step on where it has fallen, linearly."""
    exploration_share: float = 0.1
    """Share of the training in which it falls."""
    max_gradient_norm: float = 10.0

    def _check_sizes(self, kind: str) -> None:
        if isinstance(self.learning_starts, bool) or not isinstance(self.learning_starts, int):
            raise SpecError(f"{kind}: learning_starts is {self.learning_starts!r}. Allowed: integers from 0.")
        if self.learning_starts < self.num_envs:
            raise SpecError(
                f"{kind}: learning_starts is {self.learning_starts}. Allowed: from {self.num_envs}, one step per lane."
            )
        if self.row_steps % self.num_envs:
            raise SpecError(f"{kind}: row_steps {self.row_steps} is no multiple of num_envs {self.num_envs}.")
        if self.replay_frames < 16 * self.num_envs:
            raise SpecError(
                f"{kind}: replay_frames is {self.replay_frames}. Allowed: from {16 * self.num_envs}, 16 per lane."
            )

    @property
    def update_steps(self) -> int:
        """Steps of a row of the learning curve."""
        return self.row_steps

    def exploration(self, step: int) -> float:
        """Return the share of random actions after `step` steps."""
        if step < self.learning_starts:
            return 1.0
        progress = min(1.0, step / max(1.0, self.exploration_share * self.total_steps))
        return self.exploration_start + progress * (self.exploration_end - self.exploration_start)


PRESETS = {
    "paper": PPOPreset(name="paper", evaluate_every=40_000),
    # Twice the lanes and twice the step size: as many gradients per step at larger, cheaper batches. The clip
    # range stays, because ratios in bfloat16 are only good to about a per cent. The value's error counts half as much:
    # the shipped agents learnt so.
    "compact": PPOPreset(
        name="compact",
        total_steps=1_000_000,
        num_envs=16,
        learning_rate=5e-4,
        anneal_clip=False,
        value_coefficient=0.25,
        checkpoint_updates=10,
    ),
}
DQN_PRESETS = {
    "paper": DQNPreset(name="paper", evaluate_every=40_000),
    # A gradient every 8 steps instead of 4 at two and a half times the step size, and a tenth of the steps: a day's
    # work becomes hours. The replay's 0.35 GB fit beside a second run.
    "compact": DQNPreset(
        name="compact",
        total_steps=1_000_000,
        num_envs=16,
        replay_frames=50_000,
        learning_rate=2.5e-4,
        learning_starts=10_000,
        train_every=8,
        target_every=2_000,
    ),
}


@overload
def load_preset(name: str, algorithm: Literal["ppo"] = "ppo") -> PPOPreset: ...
@overload
def load_preset(name: str, algorithm: str) -> PPOPreset | DQNPreset: ...
def load_preset(name: str, algorithm: str = "ppo") -> PPOPreset | DQNPreset:
    """Return an algorithm's preset called `name`.

    Raises:
        UnknownNameError: There is no such algorithm, or no such preset.
    """
    if algorithm not in ALGORITHMS:
        raise unknown_name("training algorithm", algorithm, ALGORITHMS)
    presets: Mapping[str, PPOPreset | DQNPreset] = PRESETS if algorithm == "ppo" else DQN_PRESETS
    if name not in presets:
        raise unknown_name("training preset", name, presets)
    return presets[name]
