"""From a specification to a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch import nn

from wsabench.agents.networks.endtoend import EndToEnd
from wsabench.agents.networks.fused import FusedAgent
from wsabench.agents.networks.fusions import Shapes
from wsabench.agents.networks.network import ActorCritic
from wsabench.agents.networks.tuned import TunedAgent
from wsabench.agents.spec import AgentSpec, load_spec
from wsabench.errors import SpecError

if TYPE_CHECKING:
    from wsabench.encoders import EncoderBank


def build_agent(
    spec: AgentSpec,
    num_actions: int,
    shapes: Shapes | None = None,
    seed: int | None = 0,
    *,
    bank: EncoderBank | None = None,
) -> ActorCritic:
    """Build an agent's network with fresh weights.

    Args:
        spec: The architecture.
        num_actions: Size of the action set.
        shapes: Embedding shape of every encoder, the context included; not needed for `e2e`; default: the bank's.
        seed: Fixes the initial weights; None: they stay undefined, for networks that are loaded or only counted.
        bank: The agent's encoders; needed where they are tuned, which then starts from copies of them.

    Raises:
        SpecError: The shape of an encoder that the agent needs is missing, or the bank of an agent that tunes encoders.
    """
    if spec.kind == "e2e":
        return EndToEnd(spec, num_actions, seed)
    known = bank.shapes if shapes is None and bank is not None else shapes or {}
    if missing := [name for name in spec.all_encoders if name not in known]:
        raise SpecError(f"Agent {spec.name!r} needs the encoders {', '.join(missing)}, which were not given.")
    if not spec.tune_encoders:
        return FusedAgent(spec, num_actions, known, seed)
    if bank is None:
        raise SpecError(f"Agent {spec.name!r} tunes its encoders, which were not given. Pass bank=...")
    return TunedAgent(spec, num_actions, bank, seed)


def count_parameters(module: nn.Module) -> int:
    """Return how many numbers of a module are trained."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


PAPER_SHAPES: dict[str, tuple[int, ...]] = {
    "sr": (512,),
    "oke": (128, 21, 21),
    "okk": (4, 21, 21),
    "vos": (20, 84, 84),
    "ae": (64, 16, 16),
    "vit": (192, 7, 7),
}
"""Embedding shapes of the encoders in the size `paper` (Piccoli et al. 2026; `vit`: ours)."""

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
