"""Hyper-parameters of PPO: the paper's, and those tuned for a small CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from wsabench.errors import SpecError, unknown_name


@dataclass(frozen=True, slots=True, kw_only=True)
class PPOPreset:
    """PPO's hyper-parameters; the defaults are the paper's (Piccoli et al. 2026).

    Raises:
        SpecError: A value is outside its range.
    """

    name: str
    total_steps: int = 10_000_000
    """Steps over all lanes after which training ends and the learning rate has come down to 0."""
    num_envs: int = 8
    """Lanes that are stepped together."""
    rollout_steps: int = 128
    """Steps a lane between updates."""
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
    discount: float = 0.99
    gae_lambda: float = 0.95
    """Decay of the advantage estimate (Schulman et al. 2016)."""
    entropy_coefficient: float = 0.01
    value_coefficient: float = 0.5
    max_gradient_norm: float = 0.5
    checkpoint_updates: int = 10
    """A checkpoint is written every so many updates."""

    def __post_init__(self) -> None:
        """Check every range."""
        for key in ("total_steps", "num_envs", "rollout_steps", "epochs", "minibatch_size", "checkpoint_updates"):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise SpecError(f"PPO preset {self.name!r}: {key} is {value!r}. Allowed: integers from 1.")
        for key in ("learning_rate", "clip", "max_gradient_norm"):
            if not getattr(self, key) > 0:
                raise SpecError(f"PPO preset {self.name!r}: {key} is {getattr(self, key)!r}. Allowed: above 0.")
        for key in ("discount", "gae_lambda"):
            if not 0 <= getattr(self, key) <= 1:
                raise SpecError(f"PPO preset {self.name!r}: {key} is {getattr(self, key)!r}. Allowed: 0 to 1.")
        if self.batch_size % self.minibatch_size:
            raise SpecError(
                f"PPO preset {self.name!r}: a rollout has {self.batch_size} steps, which minibatch_size "
                f"{self.minibatch_size} does not divide. Choose a divisor."
            )

    @property
    def batch_size(self) -> int:
        """Steps in a rollout, over all lanes."""
        return self.num_envs * self.rollout_steps

    @property
    def num_updates(self) -> int:
        """Rollouts until at least `total_steps` are played."""
        return -(-self.total_steps // self.batch_size)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PPOPreset:
        """Build from plain values, as stored in a checkpoint."""
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


PRESETS = {
    "paper": PPOPreset(name="paper"),
    # Twice the lanes and twice the step size: the same number of gradients a step at larger, cheaper batches. The clip
    # range stays, because ratios in bfloat16 are only good to about a per cent.
    "compact": PPOPreset(
        name="compact", total_steps=1_000_000, num_envs=16, learning_rate=5e-4, anneal_clip=False, checkpoint_updates=10
    ),
}


def load_preset(name: str) -> PPOPreset:
    """Return the preset called `name`.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in PRESETS:
        raise unknown_name("training preset", name, PRESETS)
    return PRESETS[name]
