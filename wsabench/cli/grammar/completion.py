"""What the shell completes: games, agents, perturbations, suites, families. Nothing here loads torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from wsabench.types import BUILT_IN_AGENTS


def games(incomplete: str) -> list[str]:
    """Return the ids of games that begin so; behind a comma the next one."""
    from wsabench.games import rom_ids

    return _listed(incomplete, rom_ids())


def agents(incomplete: str) -> list[str]:
    """Return the names of agents that begin so; behind a comma the next one."""
    from wsabench.cli.facts.baselines import agent_specs

    return _listed(incomplete, [*agent_specs(), *BUILT_IN_AGENTS])


def perturbations(incomplete: str) -> list[str]:
    """Return the names of perturbations that begin so, behind `@` the severities, behind `,` and `+` the next one."""
    from wsabench.perturb import list_perturbations

    cut = max(incomplete.rfind(","), incomplete.rfind("+")) + 1
    begun, last = incomplete[:cut], incomplete[cut:]
    names = ["clean"]
    for entry in list_perturbations():
        if "@" in last and entry.has_severity:
            names += [f"{entry.name}@{severity}" for severity in range(1, len(entry.severities) + 1)]
        else:
            names.append(entry.name)
    return [begun + name for name in dict.fromkeys(names) if name.startswith(last)]


def suites(incomplete: str) -> list[str]:
    """Return the names of suites that begin so."""
    from wsabench.perturb import list_suites

    return [name for name in list_suites() if name.startswith(incomplete)]


def families(incomplete: str) -> list[str]:
    """Return the families of perturbations that begin so."""
    from wsabench.perturb import list_perturbations

    return [name for name in dict.fromkeys(e.family for e in list_perturbations()) if name.startswith(incomplete)]


def kinds(incomplete: str) -> list[str]:
    """Return the kinds that begin so and that `wsabench list` lists."""
    from wsabench.cli.listing import KINDS

    return [name for name in KINDS if name.startswith(incomplete)]


def names(incomplete: str) -> list[str]:
    """Return everything that begins so and that `wsabench show` knows."""
    every = (suites, games, agents, families, perturbations)
    return list(dict.fromkeys(name for kind in every for name in kind(incomplete)))


def _listed(incomplete: str, allowed: Iterable[str]) -> list[str]:
    """Return what fits the part behind the last comma, with what stands before it."""
    begun, comma, last = incomplete.rpartition(",")
    return [f"{begun}{comma}{name}" for name in allowed if name.startswith(last)]


COMPLETERS: dict[str, Callable[[str], list[str]]] = {
    "agent": agents,
    "family": families,
    "game": games,
    "kind": kinds,
    "name": names,
    "perturbation": perturbations,
    "suite": suites,
}
"""The functions that complete, by what they complete, as `wsabench.cli.options.completer` names it."""
