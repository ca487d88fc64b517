"""Whether runs may be put together: what decides results must be the same, and every difference is named."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wsabench.errors import ResultSetError
from wsabench.evaluation.fingerprint import UNHASHED

_SAME_BY_GAME = (("reference_scores", "reference scores"), ("roms", "ROM"))
_MOST_SHOWN = 6


class Run(NamedTuple):
    """A run's place and manifest."""

    path: Path
    manifest: Mapping[str, Any]


def check_compatible(runs: Sequence[Run]) -> None:
    """Check that runs can be merged into one result set.

    Args:
        runs: Their directories and manifests.

    Raises:
        ResultSetError: Two of them differ in suite, protocol, episode seeds, perturbations, reference scores, ROMs,
            versions that change behaviour, or in an agent of the same name and train seed; all differences are named.
    """
    first = runs[0]
    for run in runs[1:]:
        found = differences(first.manifest, run.manifest)
        if found:
            _refuse(first, run, found)
    for place, run in enumerate(runs):
        for other in runs[place + 1 :]:
            found = [*_by_game_differences(run.manifest, other.manifest), *_agent_differences(run, other)]
            if found:
                _refuse(run, other, found)


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Name what differs between two runs and decides every result: suite, protocol, seeds, versions.

    Args:
        first: A manifest.
        second: Another manifest.

    Returns:
        One phrase a difference, as `protocol.noop_max: 30 and 0`; empty where there is none.
    """
    pairs = [
        ("suite hash", _suite_hash(first), _suite_hash(second)),
        *_protocol_pairs(first.get("protocol", {}), second.get("protocol", {})),
        ("seed of the episode seeds", first.get("seed"), second.get("seed")),
        ("episodes a cell", first.get("episodes"), second.get("episodes")),
        ("engine behaviour version", first.get("engine_version"), second.get("engine_version")),
        ("ale-py version", first["versions"].get("ale-py"), second["versions"].get("ale-py")),
        ("torch version", _release(first["versions"].get("torch")), _release(second["versions"].get("torch"))),
    ]
    return [f"{name}: {_shown(one)} and {_shown(other)}" for name, one, other in pairs if one != other]


def perturbation_hashes(manifest: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """Return the content hashes of what was played, by the perturbation's name and the game; empty where unknown."""
    by_game = manifest.get("perturbation_hashes", {})
    return {(name, game): value for game, hashes in by_game.items() for name, value in hashes.items()}


def changed_perturbations(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Name the perturbations that two manifests both have but define otherwise, as `hue-rotate@3 on breakout`."""
    one, other = perturbation_hashes(first), perturbation_hashes(second)
    return [" on ".join(cell) for cell, value in one.items() if other.get(cell, value) != value]


def _by_game_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Name what differs in games that both runs have."""
    found: list[str] = []
    for key, words in _SAME_BY_GAME:
        one, other = first.get(key, {}), second.get(key, {})
        found += [
            f"{words} of {game}: {_shown(one[game])} and {_shown(other[game])}"
            for game in one
            if game in other and one[game] != other[game]
        ]
    return [*found, *(f"perturbation {cell} (its hash)" for cell in changed_perturbations(first, second))]


def _agent_differences(first: Run, second: Run) -> list[str]:
    """Name agents and jobs that both runs have but not alike."""
    agents = [
        {(one["name"], one["train_seed"], one["game"]): one.get("checkpoint_hash") for one in run.manifest["agents"]}
        for run in (first, second)
    ]
    found: list[str] = []
    changed: set[tuple[Any, ...]] = set()
    for key, checkpoint in agents[0].items():
        if key not in agents[1]:
            continue
        name, train_seed, game = key
        if checkpoint != agents[1][key]:
            found.append(f"checkpoint of {name}, train seed {train_seed}, on {game}")
            changed.add(key)
        elif checkpoint == UNHASHED:
            found.append(f"{name}, train seed {train_seed}, on {game} has no hash, so it may have changed between runs")
            changed.add(key)
    prints = {_job_key(job): job["fingerprint"] for job in first.manifest["jobs"]}
    for job in second.manifest["jobs"]:
        is_same = prints.get(_job_key(job), job["fingerprint"]) == job["fingerprint"]
        if not is_same and (job["agent"], job["train_seed"], job["game"]) not in changed:
            found.append(f"fingerprint of {job['agent']}, train seed {job['train_seed']}, {job['perturbation']}")
    return found


def _refuse(first: Run, second: Run, found: Sequence[str]) -> None:
    shown = "; ".join(found[:_MOST_SHOWN]) + (f"; and {len(found) - _MOST_SHOWN} more" if found[_MOST_SHOWN:] else "")
    raise ResultSetError(
        f"{first.path} and {second.path} cannot be combined. They differ in {shown}. Allowed: runs of one suite with "
        "equal protocol, seeds, episodes, reference scores and versions, and one checkpoint for each agent and train "
        "seed. Report them one by one, or repeat one run with the settings of the other."
    )


def _suite_hash(manifest: Mapping[str, Any]) -> Any:
    suite = manifest.get("suite", {})
    return suite.get("content_hash") if isinstance(suite, Mapping) else suite


def _protocol_pairs(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    return [(f"protocol.{key}", first.get(key), second.get(key)) for key in sorted(first.keys() | second.keys())]


def _release(version: str | None) -> str | None:
    """Return a version without its build: 2.13.0+cpu and 2.13.0+cu128 behave alike but for the last bits."""
    return None if version is None else version.partition("+")[0]


def _job_key(job: Mapping[str, Any]) -> tuple[Any, ...]:
    return job["agent"], job["train_seed"], job["game"], job["perturbation"]


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
