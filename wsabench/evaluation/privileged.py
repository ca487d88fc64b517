"""Agents that read more than pixels: how they are marked, and who is compared with whom."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

MARK = "\u00a7"
"""Behind the name of an agent that reads the emulator's memory."""
LEGEND = f"{MARK}: reads the emulator's memory, not only pixels."


def privileged_agents(manifest: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the agents that read more than pixels."""
    return frozenset(str(entry["name"]) for entry in manifest.get("agents", []) if entry.get("privileged"))


def compared_agents(agents: Sequence[str], manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the agents among which claims are made: those on pixels, or all where the run has none of them.

    Args:
        agents: Those that have played, in order.
        manifest: The run's manifest; agents that have not played yet count as part of the run.
    """
    privileged = privileged_agents(manifest)
    of_run = {*agents, *(str(entry["name"]) for entry in manifest.get("agents", []))}
    return tuple(agent for agent in agents if agent not in privileged or of_run <= privileged)


def marked_name(agent: str, privileged: Collection[str]) -> str:
    """Return an agent's name with its mark, if it is one of the privileged ones."""
    return f"{agent} {MARK}" if agent in privileged else agent
