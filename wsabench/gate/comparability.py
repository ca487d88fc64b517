"""Whether a run can be held against a reference: it must hold all of it, played by the same rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

from msgspec.structs import replace as replaced

from wsabench.errors import ResultSetError, unknown_name
from wsabench.results.comparing import Difference, Kind, differences, listed
from wsabench.results.manifest import UNKNOWN, Manifest, RecordedPlan
from wsabench.results.result import ResultSet, part_advice
from wsabench.words import counted

_FORBIDDEN: frozenset[Kind] = frozenset({"suite", "suite name", "protocol", "engine", "reference"})
_FORBIDDEN_IN_BOTH: frozenset[Kind] = frozenset({"definition", "rom"})
"""What may be missing on one side, but not differ."""
_NOTED: frozenset[Kind] = frozenset({"version", "build", "package"})
_JOB = ["agent", "train_seed", "game", "perturbation", "severity"]


def require_comparable(run: ResultSet, reference: ResultSet) -> list[str]:
    """Check that a run can be held against a reference.

    The run must hold all that the reference holds: agents, their train seeds, games, cells. It may hold more. Numbers
    of episodes and episode seeds may differ, and so may an agent's train seeds if they have none in common.

    Args:
        run: What is judged.
        reference: What it is held against.

    Returns:
        Sentences on what differs without forbidding a comparison.

    Raises:
        ResultSetError: They cannot be compared; the message names what differs.
    """
    found = differences(run.manifest, reference.manifest)
    ours, theirs = run.manifest.plan, reference.manifest.plan
    reasons = [
        *_unfinished(run),
        *_unfinished(reference),
        *(one.between("in the run", "in the reference") for one in found if _forbids(one)),
        *_missing(ours, theirs),
        *_unscored(theirs),
        *chain(*(_without_hashes(plan, side) for plan, side in ((ours, "run"), (theirs, "reference")))),
    ]
    if reasons:
        raise ResultSetError(
            f"{run.path} cannot be compared with {reference.path}: {listed(reasons, '; ')}. Play the reference's "
            "suite, profile and agents again with this version, or make a new reference."
        )
    versions = [one for one in found if one.kind in _NOTED and UNKNOWN not in (one.first, one.second)]
    return [*(f"{one.between('in the run', 'in the reference')}." for one in versions), *_notes(ours, theirs)]


def with_agents(result: ResultSet, agents: Sequence[str] | None) -> ResultSet:
    """Return a result set without its other agents.

    Args:
        result: The result set.
        agents: Names of those to keep; None keeps all.

    Raises:
        UnknownNameError: It has no agent of that name.
    """
    if agents is None:
        return result
    plan = result.manifest.plan
    known = {job.agent for job in plan.jobs}
    for agent in agents:
        if agent not in known:
            raise unknown_name(f"agent of {result.path}", agent, known)
    kept = replaced(plan, jobs=tuple(job for job in plan.jobs if job.agent in agents))
    episodes = result.episodes.loc[result.episodes["agent"].isin(list(agents))]
    num_finished = len(episodes.drop_duplicates(_JOB))
    manifest: Manifest = replaced(result.manifest, plan=kept)
    return replace(result, episodes=episodes, manifest=manifest, num_finished=num_finished)


def train_seeds(plan: RecordedPlan) -> dict[tuple[str, str], tuple[int, ...]]:
    """Return the sorted train seeds of each agent and game; agents and games stand in the order of the jobs."""
    seeds: dict[tuple[str, str], set[int]] = {}
    for job in plan.jobs:
        seeds.setdefault((job.agent, job.game), set()).add(job.train_seed)
    return {key: tuple(sorted(found)) for key, found in seeds.items()}


def cells_of(plan: RecordedPlan) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the labels of the cells that each agent played in each game, in the order of the jobs."""
    cells: dict[tuple[str, str], dict[str, None]] = {}
    for job in plan.jobs:
        cells.setdefault((job.agent, job.game), {})[job.perturbation] = None
    return {key: tuple(found) for key, found in cells.items()}


def _forbids(one: Difference) -> bool:
    if one.kind == "reference":
        return one.second is not None  # else there is no score to compare with, which is said once
    return one.kind in _FORBIDDEN or (one.kind in _FORBIDDEN_IN_BOTH and one.is_of_both)


def _unfinished(result: ResultSet) -> Iterator[str]:
    """Say that jobs are not finished."""
    if not result.is_complete:
        jobs = f"{result.num_finished} of {counted(len(result.manifest.plan.jobs), 'job')}"
        way_on = part_advice(result.manifest).rstrip(".") or "The command that began it goes on from there"
        yield f"{result.path} is not finished ({jobs}; {way_on[0].lower()}{way_on[1:]})"


def _missing(run: RecordedPlan, reference: RecordedPlan) -> Iterator[str]:
    """Say which agents, train seeds and cells of the reference the run lacks."""
    played, seeds, cells = train_seeds(run), train_seeds(reference), cells_of(reference)
    agents = {agent for agent, _ in played}
    for agent in dict.fromkeys(agent for agent, _ in seeds):
        if agent not in agents:
            found = ", ".join(sorted(agents))
            yield f"the run has no agent {agent!r} (it has {found}; `wsabench run --agents {agent}=...` names one)"
    jobs = {(job.agent, job.game, job.train_seed, job.perturbation) for job in run.jobs}
    for (agent, game), expected in seeds.items():
        if agent not in agents:
            continue
        if (agent, game) not in played:
            yield f"the run has no game {game!r} for {agent}"
            continue
        shared = set(played[agent, game]) & set(expected)
        if shared and shared != set(expected):
            yield f"{agent} on {game} lacks the train seeds {listed(sorted(set(expected) - shared))}"
        wanted = shared or set(played[agent, game])
        absent = [c for c in cells[agent, game] if any((agent, game, seed, c) not in jobs for seed in wanted)]
        if absent:
            yield f"{agent} on {game} lacks the cells {listed(absent)}"


def _unscored(reference: RecordedPlan) -> Iterator[str]:
    """Say which games have no normalised scores."""
    for game in dict.fromkeys(job.game for job in reference.jobs):
        scores = reference.reference_scores.get(game)
        if scores is None or None in (scores.random, scores.human):
            yield f"{game} has no random and human score, so no normalised score"


def _without_hashes(plan: RecordedPlan, side: str) -> Iterator[str]:
    """Say that nobody knows whether the cells of one side are what their names mean on the other."""
    if not plan.perturbation_hashes:
        yield f"the {side}'s manifest has no perturbation hashes (an earlier version made it)"
        return
    played = dict.fromkeys((job.game, job.perturbation) for job in plan.jobs)
    unknown = [f"{name} on {game}" for game, name in played if name not in plan.perturbation_hashes.get(game, {})]
    if unknown:
        yield f"the {side}'s manifest has no hash of the perturbations {listed(unknown)}"


def _notes(run: RecordedPlan, reference: RecordedPlan) -> Iterator[str]:
    """Say which agents, cells and train seeds differ without forbidding a comparison."""
    cells, expected = cells_of(run), cells_of(reference)
    extra = [f"{agent} on {game}" for agent, game in cells if (agent, game) not in expected]
    for key, names in expected.items():
        extra += [f"{cell} ({' on '.join(key)})" for cell in cells[key] if cell not in names]
    if extra:
        yield f"Not judged, because not in the reference or not asked for: {listed(extra)}."
    seeds = train_seeds(run)
    for (agent, game), wanted in train_seeds(reference).items():
        found = seeds[agent, game]
        if not set(found) & set(wanted):
            yield (
                f"{agent} on {game} has other train seeds ({listed(found)}) than the reference ({listed(wanted)}), so "
                "they are not paired."
            )
        elif set(found) - set(wanted):
            yield f"{agent} on {game}: train seeds {listed(sorted(set(found) - set(wanted)))} are not in the reference."
