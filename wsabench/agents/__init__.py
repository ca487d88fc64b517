"""Agents: networks, checkpoints, and adapters that make anything a policy.

Each name loads its part on first use, so that playing an agent that needs no torch loads none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsabench.lazy import lazy_names

if TYPE_CHECKING:
    from wsabench.agents.asking import Moment, draws_of_its_own
    from wsabench.agents.builtin import BuiltInPolicy
    from wsabench.agents.checkpoint import AgentCheckpoint, AgentMeta, read_checkpoint, save_checkpoint
    from wsabench.agents.elsewhere.factories import is_added, is_factory, made, open_import, takes_train_seed
    from wsabench.agents.elsewhere.opening import load_agent
    from wsabench.agents.elsewhere.references import SCHEMES, split_uri
    from wsabench.agents.foreign import (
        WrappedPolicy,
        describe_policy,
        guarded,
        import_attribute,
        load_policy,
        torch_as_shipped,
        wrap_policy,
    )
    from wsabench.agents.loading import AGENT_FILE, AgentEntry, list_agents, load_bank, load_trained, open_bank
    from wsabench.agents.networks.building import ParameterCount, build_agent, count_parameters, parameter_table
    from wsabench.agents.networks.comparisons import measure_context
    from wsabench.agents.networks.fused import attention_is_dead
    from wsabench.agents.networks.fusions import FUSIONS
    from wsabench.agents.networks.network import ActorCritic, Comparison, Features, Output, half_precision
    from wsabench.agents.policy import AgentPolicy
    from wsabench.agents.spec import AgentSpec, list_specs, load_spec

__all__ = [
    "AGENT_FILE",
    "FUSIONS",
    "SCHEMES",
    "ActorCritic",
    "AgentCheckpoint",
    "AgentEntry",
    "AgentMeta",
    "AgentPolicy",
    "AgentSpec",
    "BuiltInPolicy",
    "Comparison",
    "Features",
    "Moment",
    "Output",
    "ParameterCount",
    "WrappedPolicy",
    "attention_is_dead",
    "build_agent",
    "count_parameters",
    "describe_policy",
    "draws_of_its_own",
    "guarded",
    "half_precision",
    "import_attribute",
    "is_added",
    "is_factory",
    "list_agents",
    "list_specs",
    "load_agent",
    "load_bank",
    "load_policy",
    "load_spec",
    "load_trained",
    "made",
    "measure_context",
    "open_bank",
    "open_import",
    "parameter_table",
    "read_checkpoint",
    "save_checkpoint",
    "split_uri",
    "takes_train_seed",
    "torch_as_shipped",
    "wrap_policy",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "asking": ("Moment", "draws_of_its_own"),
        "builtin": ("BuiltInPolicy",),
        "checkpoint": ("AgentCheckpoint", "AgentMeta", "read_checkpoint", "save_checkpoint"),
        "elsewhere.factories": ("is_added", "is_factory", "made", "open_import", "takes_train_seed"),
        "elsewhere.opening": ("load_agent",),
        "elsewhere.references": ("SCHEMES", "split_uri"),
        "foreign": (
            "WrappedPolicy",
            "describe_policy",
            "guarded",
            "import_attribute",
            "load_policy",
            "torch_as_shipped",
            "wrap_policy",
        ),
        "loading": ("AGENT_FILE", "AgentEntry", "list_agents", "load_bank", "load_trained", "open_bank"),
        "networks.building": ("ParameterCount", "build_agent", "count_parameters", "parameter_table"),
        "networks.comparisons": ("measure_context",),
        "networks.fused": ("attention_is_dead",),
        "networks.fusions": ("FUSIONS",),
        "networks.network": ("ActorCritic", "Comparison", "Features", "Output", "half_precision"),
        "policy": ("AgentPolicy",),
        "spec": ("AgentSpec", "list_specs", "load_spec"),
    },
)
