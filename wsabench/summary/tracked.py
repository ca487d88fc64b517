"""A run as experiment trackers keep it: what it was made with, and one number for each name."""

from __future__ import annotations

import math
from dataclasses import asdict

from wsabench.results.manifest import Manifest
from wsabench.summary.rows import MEASURES, Bounded
from wsabench.summary.summarise import Summary
from wsabench.version import __version__


def tracked_params(manifest: Manifest) -> dict[str, str]:
    """Return what a run was made with, by name: suite, agents and their hashes, protocol, seed, versions.

    Args:
        manifest: The manifest of the run.
    """
    plan = manifest.plan
    agents = {f"agents.{name}": ", ".join(sources) for name, sources in _sources(manifest).items()}
    return {
        "suite": plan.suite.name,
        "suite.content_hash": plan.suite.content_hash,
        "suite.measure": plan.suite.measure,
        "profile": plan.profile or "",
        "seed": str(plan.seed),
        "episodes": str(plan.episodes),
        "games": ", ".join(plan.games),
        "perturbations": ", ".join(plan.perturbations),
        "agents": ", ".join(dict.fromkeys(one.agent for one in plan.agents)),
        **agents,
        "train_seeds": ", ".join(map(str, sorted({one.train_seed for one in plan.agents}))),
        **{f"protocol.{name}": str(value) for name, value in asdict(plan.protocol).items()},
        "engine_version": str(plan.engine_version),
        "versions.wsabench": __version__,
        **{f"versions.{name}": version for name, version in plan.versions.items()},
    }


def _sources(manifest: Manifest) -> dict[str, list[str]]:
    """Return, by agent, where each of its networks came from and its hash."""
    found: dict[str, list[str]] = {}
    for one in manifest.plan.agents:
        found.setdefault(one.agent, []).append(f"{one.source} ({one.checkpoint_hash})")
    return {name: list(dict.fromkeys(sources)) for name, sources in found.items()}


def tracked_metrics(summary: Summary) -> dict[str, float]:
    """Return the numbers of a run by name, with their 95% intervals as `_low` and `_high` where there are any.

    The names are `AGENT/GAME/CELL/MEASURE` for each cell, where the cell stands by its label and the mean return is
    beside the measures, and `AGENT/SCOPE/MEASURE_METRIC` for each aggregate, where the scope is `clean` or
    `all_perturbations`. What is not defined is left out.

    Args:
        summary: The run's numbers.
    """
    found: dict[str, float] = {}

    def add(name: str, number: Bounded) -> None:
        parts = {name: number.value, f"{name}_low": number.low, f"{name}_high": number.high}
        found.update({key: value for key, value in parts.items() if math.isfinite(value)})

    for row in summary.cells:
        where = f"{row.agent}/{row.game}/{row.label}"
        found[f"{where}/mean_return"] = row.mean_return
        for measure in MEASURES:
            add(f"{where}/{measure}", row.measured(measure))
    for row in summary.aggregates:
        add(f"{row.agent}/{row.scope.replace(' ', '_')}/{row.measure}_{row.metric}", row.value)
    return found
