"""Agents: networks, checkpoints, and adapters that make anything a policy."""

from wsabench.agents.attention import attention_is_dead
from wsabench.agents.building import build_agent
from wsabench.agents.checkpoint import (
    AgentCheckpoint,
    AgentMeta,
    read_checkpoint,
    save_checkpoint,
)
from wsabench.agents.foreign import WrappedPolicy, load_policy, wrap_policy
from wsabench.agents.loading import AGENT_FILE, AgentEntry, list_agents, load_agent, load_bank
from wsabench.agents.network import ActorCritic, Features, Output, half_precision
from wsabench.agents.policy import AgentPolicy, AttendedActions, AttentionPolicy
from wsabench.agents.spec import AgentSpec, list_specs, load_spec

__all__ = [
    "AGENT_FILE",
    "ActorCritic",
    "AgentCheckpoint",
    "AgentEntry",
    "AgentMeta",
    "AgentPolicy",
    "AgentSpec",
    "AttendedActions",
    "AttentionPolicy",
    "Features",
    "Output",
    "WrappedPolicy",
    "attention_is_dead",
    "build_agent",
    "half_precision",
    "list_agents",
    "list_specs",
    "load_agent",
    "load_bank",
    "load_policy",
    "load_spec",
    "read_checkpoint",
    "save_checkpoint",
    "wrap_policy",
]
