"""Whether runs may be put together: what decides results must be the same, and every difference is named."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from wsabench.errors import ResultSetError, unknown_name
from wsabench.results.provenance import BIT_DECIDING, UNHASHED
from wsabench.results.result import RunResult

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


_NOTED_VERSIONS = ("wsabench", *BIT_DECIDING)
_JOB = ["agent", "train_seed", "game", "perturbation", "severity"]
_SHOWN = 6


def require_comparable(run: RunResult, reference: RunResult) -> list[str]:
    """Check that a run can be held against a reference.

    The run must hold all that the reference holds: agents, their train seeds, games, cells. It may hold more. Numbers
    of episodes and episode seeds may differ, and so may an agent's train seeds if they have none in common.

    Args:
        run: What is judged.
        reference: What it is held against.

    Returns:
        Sentences on what differs without forbidding a comparison.

    Raises:
        ResultSetError: They cannot be compared; the message names everything that differs.
    """
    found = [
        *_unfinished(run),
        *_unfinished(reference),
        *_settings(run.manifest, reference.manifest),
        *_missing(run.manifest, reference.manifest),
        *_scales(run.manifest, reference.manifest),
        *_perturbations(run.manifest, reference.manifest),
    ]
    if found:
        raise ResultSetError(
            f"{run.path} cannot be compared with {reference.path}: {'; '.join(found)}. Play the reference's suite, "
            "profile and agents again with this version, or make a new reference."
        )
    return list(_notes(run.manifest, reference.manifest))


def with_agents(result: RunResult, agents: Sequence[str] | None) -> RunResult:
    """Return a result set without its other agents.

    Args:
        result: The result set.
        agents: Names of those to keep; None keeps all.

    Raises:
        UnknownNameError: It has no agent of that name.
    """
    if agents is None:
        return result
    known = {job["agent"] for job in result.manifest["jobs"]}
    for agent in agents:
        if agent not in known:
            raise unknown_name(f"agent of {result.path}", agent, known)
    jobs = [job for job in result.manifest["jobs"] if job["agent"] in agents]
    episodes = result.episodes.loc[result.episodes["agent"].isin(list(agents))]
    num_finished = len(episodes.drop_duplicates(_JOB))
    return replace(result, episodes=episodes, manifest={**result.manifest, "jobs": jobs}, num_finished=num_finished)


def train_seeds(manifest: Mapping[str, Any]) -> dict[tuple[str, str], tuple[int, ...]]:
    """Return the train seeds of each agent and game, sorted, in the order of the jobs."""
    seeds: dict[tuple[str, str], set[int]] = {}
    for job in manifest["jobs"]:
        seeds.setdefault((job["agent"], job["game"]), set()).add(job["train_seed"])
    return {key: tuple(sorted(found)) for key, found in seeds.items()}


def cells_of(manifest: Mapping[str, Any]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the perturbations that each agent played in each game, in the order of the jobs."""
    cells: dict[tuple[str, str], dict[str, None]] = {}
    for job in manifest["jobs"]:
        cells.setdefault((job["agent"], job["game"]), {})[job["perturbation"]] = None
    return {key: tuple(found) for key, found in cells.items()}


def _unfinished(result: RunResult) -> Iterator[str]:
    """Say that jobs are not finished."""
    if not result.is_complete:
        jobs = f"{result.num_finished} of {len(result.manifest['jobs'])} jobs"
        yield f"{result.path} is not finished ({jobs}; the command that began it goes on from there)"


def _settings(run: Mapping[str, Any], reference: Mapping[str, Any]) -> Iterator[str]:
    """Say which settings differ: suite, protocol, engine, ROMs."""
    yield from _difference("suite", _suite(run), _suite(reference))
    for name in sorted(run["protocol"].keys() | reference["protocol"].keys()):
        yield from _difference(f"protocol {name}", run["protocol"].get(name), reference["protocol"].get(name))
    yield from _difference("engine version", run.get("engine_version"), reference.get("engine_version"))
    for game, expected in reference.get("roms", {}).items():
        if game in run.get("roms", {}):
            yield from _difference(f"ROM of {game}", run["roms"][game], expected)


def _suite(manifest: Mapping[str, Any]) -> str:
    """Return a suite's name and the hash of its content."""
    return f"{manifest['suite'].get('name')} {str(manifest['suite'].get('content_hash'))[:16]}"


def _missing(run: Mapping[str, Any], reference: Mapping[str, Any]) -> Iterator[str]:
    """Say which agents, train seeds and cells of the reference the run lacks."""
    played, seeds, cells = train_seeds(run), train_seeds(reference), cells_of(reference)
    agents = {agent for agent, _ in played}
    for agent in dict.fromkeys(agent for agent, _ in seeds):
        if agent not in agents:
            found = ", ".join(sorted(agents))
            yield f"the run has no agent {agent!r} (it has {found}; `wsabench run --agents {agent}=...` names one)"
    jobs = {(job["agent"], job["game"], job["train_seed"], job["perturbation"]) for job in run["jobs"]}
    for (agent, game), expected in seeds.items():
        if agent not in agents:
            continue
        if (agent, game) not in played:
            yield f"the run has no game {game!r} for {agent}"
            continue
        shared = set(played[agent, game]) & set(expected)
        if shared and shared != set(expected):
            yield f"{agent} on {game} lacks the train seeds {_names(sorted(set(expected) - shared))}"
        wanted = shared or set(played[agent, game])
        absent = [c for c in cells[agent, game] if any((agent, game, seed, c) not in jobs for seed in wanted)]
        if absent:
            yield f"{agent} on {game} lacks the cells {_names(absent)}"


def _scales(run: Mapping[str, Any], reference: Mapping[str, Any]) -> Iterator[str]:
    """Say where normalised scores are not on one scale, or there is none."""
    for game in dict.fromkeys(job["game"] for job in reference["jobs"]):
        ours, theirs = (side.get("reference_scores", {}).get(game, {}) for side in (run, reference))
        if None in (theirs.get("random"), theirs.get("human")):
            yield f"{game} has no random and human score, so no normalised score"
        elif ours or game in run["games"]:
            for name in ("random", "human"):
                yield from _difference(f"{name} score of {game}", ours.get(name), theirs.get(name))


def _perturbations(run: Mapping[str, Any], reference: Mapping[str, Any]) -> Iterator[str]:
    """Say which of the reference's cells are other perturbations in the run, under the same name, or may be."""
    for side, manifest in (("run", run), ("reference", reference)):
        if "perturbation_hashes" not in manifest:
            yield f"the {side}'s manifest has no perturbation hashes (an earlier version made it)"
            return
        played = dict.fromkeys((job["perturbation"], job["game"]) for job in manifest["jobs"])
        unknown = [" on ".join(cell) for cell in played if cell not in perturbation_hashes(manifest)]
        if unknown:
            yield f"the {side}'s manifest has no hash of the perturbations {_names(unknown)}"
    if changed := changed_perturbations(run, reference):
        yield f"the perturbations are defined otherwise: {_names(changed)}"


def _notes(run: Mapping[str, Any], reference: Mapping[str, Any]) -> Iterator[str]:
    """Say what differs without forbidding a comparison."""
    for name in _NOTED_VERSIONS:
        ours, theirs = run["versions"].get(name), reference["versions"].get(name)
        if ours != theirs and None not in (ours, theirs):  # earlier versions did not record all
            yield f"{name} is {ours} in the run and {theirs} in the reference."
    cells, expected = cells_of(run), cells_of(reference)
    extra = [f"{agent} on {game}" for agent, game in cells if (agent, game) not in expected]
    for key, names in expected.items():
        extra += [f"{cell} ({' on '.join(key)})" for cell in cells[key] if cell not in names]
    if extra:
        yield f"Not in the reference, so not judged: {_names(extra)}."
    seeds = train_seeds(run)
    for (agent, game), wanted in train_seeds(reference).items():
        found = seeds[agent, game]
        if not set(found) & set(wanted):
            yield (
                f"{agent} on {game} has other train seeds ({_names(found)}) than the reference ({_names(wanted)}), so "
                "they are not paired."
            )
        elif set(found) - set(wanted):
            yield f"{agent} on {game}: train seeds {_names(sorted(set(found) - set(wanted)))} are not in the reference."


def _difference(what: str, ours: object, theirs: object) -> Iterator[str]:
    """Say that two values differ."""
    if ours != theirs:
        yield f"{what} is {_text(ours)} in the run and {_text(theirs)} in the reference"


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:16]}..."


def _names(names: Iterable[object]) -> str:
    words = [str(name) for name in names]
    return ", ".join(words[:_SHOWN]) + (f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else "")
