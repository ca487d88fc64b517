"""Agents: networks, checkpoints, and adapters that make anything a policy."""

from wsabench.agents.checkpoint import AgentCheckpoint, AgentMeta, read_checkpoint, save_checkpoint
from wsabench.agents.foreign import WrappedPolicy, describe_policy, load_policy, system_failure, wrap_policy
from wsabench.agents.loading import AGENT_FILE, AgentEntry, list_agents, load_agent, load_bank, open_bank
from wsabench.agents.networks.building import (
    ParameterCount,
    build_agent,
    count_parameters,
    parameter_table,
)
from wsabench.agents.networks.comparisons import measure_context
from wsabench.agents.networks.fused import attention_is_dead
from wsabench.agents.networks.fusions import FUSIONS
from wsabench.agents.networks.network import ActorCritic, Comparison, Features, Output, half_precision
from wsabench.agents.policy import AgentPolicy
from wsabench.agents.spec import AgentSpec, list_specs, load_spec

__all__ = [
    "AGENT_FILE",
    "FUSIONS",
    "ActorCritic",
    "AgentCheckpoint",
    "AgentEntry",
    "AgentMeta",
    "AgentPolicy",
    "AgentSpec",
    "Comparison",
    "Features",
    "Output",
    "ParameterCount",
    "WrappedPolicy",
    "attention_is_dead",
    "build_agent",
    "count_parameters",
    "describe_policy",
    "half_precision",
    "list_agents",
    "list_specs",
    "load_agent",
    "load_bank",
    "load_policy",
    "load_spec",
    "measure_context",
    "open_bank",
    "parameter_table",
    "read_checkpoint",
    "save_checkpoint",
    "system_failure",
    "wrap_policy",
]
