"""How many parameters the agents train, beside the published figures: whether an implementation is the same thing."""

from __future__ import annotations

from typing import NamedTuple

from wsabench.agents.building import build_agent, count_parameters
from wsabench.agents.spec import load_spec

PAPER_SHAPES: dict[str, tuple[int, ...]] = {
    "sr": (512,),
    "oke": (128, 21, 21),
    "okk": (4, 21, 21),
    "vos": (20, 84, 84),
    "ae": (64, 16, 16),
}
"""Embedding shapes of the encoders in the size `paper` (Piccoli et al. 2026)."""

_PUBLISHED: dict[tuple[str, str], float] = {
    ("wsa", "paper-256"): 8.7,
    ("wsa", "paper-1024"): 34.7,
    ("dpa", "paper-256"): 8.7,
    ("dpa", "paper-1024"): 34.7,
    ("lin", "paper"): 8.7,
    ("mix", "paper"): 4.5,
    ("fix", "paper-256"): 4.9,
    ("fix", "paper-1024"): 19.4,
    ("cnn", "paper"): 4.2,
    ("cnn", "paper-2-layers"): 4.2,
    ("cnn", "paper-3-layers"): 4.2,
    ("res", "paper-512"): 0.3,
    ("res", "paper-2048"): 1.1,
    ("e2e", "paper"): 1.6,
}
"""Trainable parameters in millions of the agents of Carfi 2024 by agent and preset."""


class ParameterCount(NamedTuple):
    """One agent's trainable parameters."""

    agent: str
    preset: str
    trainable: int
    """Heads and adapters included, frozen encoders and reservoirs not."""
    published_millions: float

    def __str__(self) -> str:
        """Return it as a line of a table."""
        name = f"{self.agent}, {self.preset}"
        return f"{name:<20} {self.trainable:>12,} {self.trainable / 1e6:>9.3f} {self.published_millions:>9.1f}"


def parameter_table(num_actions: int = 4) -> list[ParameterCount]:
    """Count the trainable parameters of every agent whose number is published.

    Args:
        num_actions: Size of the action set; the published figures fit 4.

    Returns:
        One entry each, in the order of the published table.

    References:
        Carfi 2024, "Adaptively Combining Skill Embeddings for Reinforcement Learning Agents", table of model sizes.
    """
    counts = []
    for (agent, preset), published in _PUBLISHED.items():
        model = build_agent(load_spec(agent, preset), num_actions, PAPER_SHAPES, seed=None)
        counts.append(ParameterCount(agent, preset, count_parameters(model), published))
    return counts
