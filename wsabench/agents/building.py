"""From a specification to a network."""

from __future__ import annotations

from wsabench.agents.endtoend import EndToEnd
from wsabench.agents.fused import FusedAgent
from wsabench.agents.fusions.base import Shapes
from wsabench.agents.network import ActorCritic
from wsabench.agents.spec import AgentSpec
from wsabench.errors import SpecError


def build_agent(spec: AgentSpec, num_actions: int, shapes: Shapes | None = None, seed: int = 0) -> ActorCritic:
    """Build an agent's network with fresh weights.

    Args:
        spec: The architecture.
        num_actions: Size of the action set.
        shapes: Embedding shape of every encoder, the context included; not needed for `e2e`.
        seed: Fixes the initial weights.

    Raises:
        SpecError: The shape of an encoder that the agent needs is missing.
    """
    if spec.kind == "e2e":
        return EndToEnd(spec, num_actions, seed)
    missing = [name for name in spec.all_encoders if name not in (shapes or {})]
    if missing or shapes is None:
        raise SpecError(f"Agent {spec.name!r} needs the encoders {', '.join(missing)}, which were not given.")
    return FusedAgent(spec, num_actions, shapes, seed)
