"""What differs between two manifests, as one list; resuming, merging and the gate say which of it they allow."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Literal, NamedTuple, TypeVar

import msgspec

from wsabench.results.manifest import UNKNOWN, AgentEntry, AgentId, Manifest, RecordedPlan
from wsabench.results.provenance import UNHASHED

Kind = Literal[
    "suite",
    "suite name",
    "words",
    "profile",
    "protocol",
    "seed",
    "episodes",
    "extent",
    "definition",
    "effect",
    "left out",
    "reference",
    "checkpoint",
    "unhashed",
    "own play",
    "engine",
    "version",
    "build",
    "package",
    "unrecorded",
    "rom",
    "fingerprint",
]
"""What sort of thing differs.

`words`: texts that decide nothing. `extent`: games, perturbations, agents or jobs that only one side has. `definition`:
the content hash of a perturbation. `left out`: cells that were not played. `reference`: reference scores. `unhashed`:
an agent of both sides whose content nobody knows; nothing is seen to differ, but it may. `build`: one version, built
otherwise (2.13.0+cpu, 2.13.0+cu128). `unrecorded`: a version that one side did not record. `package`: the version of
wsabench itself. `fingerprint`: that of a job, where the agent is the same.
"""

_MOST_CHARACTERS = 60
_KEPT_CHARACTERS = 16
_MOST_NAMES = 6

Absent = msgspec.UnsetType
ABSENT = msgspec.UNSET
"""Stands for the value of the side that has none."""

_K = TypeVar("_K")
_V = TypeVar("_V")


class Difference(NamedTuple):
    """One thing that two manifests do not have in common."""

    kind: Kind
    what: str
    """In words, `ROM of pong`."""
    path: str
    """Its place in the manifest, without places in lists: `plan.roms.pong`, `plan.jobs.fingerprint`."""
    first: object
    """The value in the first manifest; `ABSENT` where it has none."""
    second: object

    @property
    def is_of_both(self) -> bool:
        """Whether both sides have a value, not one alone."""
        return ABSENT not in (self.first, self.second)

    def between(self, first: str, second: str) -> str:
        """Say how the two differ.

        Args:
            first: Where the first value stands, as in `in the run`.
            second: Where the second one stands.
        """
        if self.kind == "unhashed":
            return f"{self.what} has no hash, so it may have changed"
        if not self.is_of_both:
            return f"{self.what} is only {second if self.first is ABSENT else first}"
        return f"{self.what} is {shortened(self.first)} {first} and {shortened(self.second)} {second}"


def differences(first: Manifest, second: Manifest) -> tuple[Difference, ...]:
    """Return everything in which the plans of two manifests differ, and the versions of wsabench itself.

    Args:
        first: A manifest.
        second: Another manifest.

    Returns:
        In the order of the manifest. The order of agents, games, perturbations and jobs is no difference.
    """
    one, other = first.plan, second.plan
    return (
        *_settings(one, other),
        *_extent("game", "plan.games", one.games, other.games),
        *_extent("perturbation", "plan.perturbations", one.perturbations, other.perturbations),
        *_by_game(one, other),
        *_agents(one, other),
        *_versions(first, second),
        *_jobs(one, other),
    )


def shortened(value: object) -> str:
    """Return a value's text; the beginning of a long one, as of a hash."""
    text = value if isinstance(value, str) else json.dumps(msgspec.to_builtins(value), ensure_ascii=False)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_KEPT_CHARACTERS]}..."


def listed(names: Iterable[object], between: str = ", ") -> str:
    """Return names in a row, of many the first ones and how many more there are."""
    words = [str(name) for name in names]
    more = [f"and {len(words) - _MOST_NAMES} more"] if len(words) > _MOST_NAMES else []
    return between.join([*words[:_MOST_NAMES], *more])


def _settings(first: RecordedPlan, second: RecordedPlan) -> Iterator[Difference]:
    """Yield what differs in single values."""
    values: list[tuple[Kind, str, str, object, object]] = [
        ("suite name", "name of the suite", "suite.name", first.suite.name, second.suite.name),
        ("words", "summary of the suite", "suite.summary", first.suite.summary, second.suite.summary),
        ("suite", "hash of the suite", "suite.content_hash", first.suite.content_hash, second.suite.content_hash),
        ("profile", "profile", "profile", first.profile, second.profile),
        *(
            ("protocol", f"protocol.{name}", f"protocol.{name}", one, other)
            for name, one, other in _pairs(asdict(first.protocol), asdict(second.protocol))  # also those by default
        ),
        ("seed", "seed", "seed", first.seed, second.seed),
        ("episodes", "number of episodes", "episodes", first.episodes, second.episodes),
        ("episodes", "precision", "precision", first.precision, second.precision),
        ("engine", "engine version", "engine_version", first.engine_version, second.engine_version),
    ]
    for kind, what, path, one, other in values:
        if one != other:
            yield Difference(kind, what, f"plan.{path}", one, other)


def _extent(what: str, path: str, first: Iterable[str], second: Iterable[str]) -> Iterator[Difference]:
    """Yield the names that only one side has."""
    for name, one, other in _pairs(dict.fromkeys(first, True), dict.fromkeys(second, True)):
        if ABSENT in (one, other):
            yield Difference("extent", f"{what} {name}", path, one, other)


def _by_game(first: RecordedPlan, second: RecordedPlan) -> Iterator[Difference]:
    """Yield what differs in the games that both sides have."""
    kinds: list[tuple[Kind, str, str]] = [
        ("definition", "definition of", "perturbation_hashes"),
        ("effect", "measured effect of", "effects"),
        ("left out", "refusal of", "refused"),
        ("left out", "misfit of", "misfits"),
    ]
    for game in (game for game in first.games if game in second.games):
        for kind, what, key in kinds:
            ours, theirs = (_by_name(getattr(plan, key).get(game, {})) for plan in (first, second))
            for name, one, other in _pairs(ours, theirs):
                if one != other:
                    found: Kind = "words" if key == "misfits" and ABSENT not in (one, other) else kind  # the reason
                    yield Difference(found, f"{what} {name} on {game}", f"plan.{key}.{game}.{name}", one, other)
        yield from _scores(game, first, second)
        one, other = first.roms.get(game, ABSENT), second.roms.get(game, ABSENT)
        if one != other:
            yield Difference("rom", f"ROM of {game}", f"plan.roms.{game}", one, other)


def _by_name(values: Mapping[str, object] | tuple[str, ...]) -> Mapping[str, object]:
    """Return names alone as a mapping too."""
    return dict.fromkeys(values, True) if isinstance(values, tuple) else values


def _scores(game: str, first: RecordedPlan, second: RecordedPlan) -> Iterator[Difference]:
    """Yield the reference scores of a game that differ."""
    for name in ("random", "human"):
        one, other = (getattr(plan.reference_scores.get(game), name, ABSENT) for plan in (first, second))
        if one != other:
            path = f"plan.reference_scores.{game}.{name}"
            yield Difference("reference", f"{name} score of {game}", path, one, other)


def _agents(first: RecordedPlan, second: RecordedPlan) -> Iterator[Difference]:
    """Yield the agents that only one side has, and what differs in those of both; then what was skipped for them."""
    for identity, one, other in _pairs(_by_id(first), _by_id(second)):
        who = identity.describe()
        if isinstance(one, Absent) or isinstance(other, Absent):
            yield Difference("extent", f"agent {who}", "plan.agents", one, other)
            continue
        if one.checkpoint_hash == other.checkpoint_hash == UNHASHED:
            yield Difference("unhashed", who, "plan.agents.checkpoint_hash", UNHASHED, UNHASHED)
        for name in AgentEntry.__struct_fields__:
            ours, theirs = getattr(one, name), getattr(other, name)
            if ours != theirs:
                what = name.removesuffix("_hash").replace("_", " ")
                yield Difference(
                    _AGENT_KINDS.get(name, "words"), f"{what} of {who}", f"plan.agents.{name}", ours, theirs
                )
    skipped = [
        {(entry.agent, entry.game, name): entry.reason for entry in plan.skipped for name in entry.perturbations}
        for plan in (first, second)
    ]
    for (agent, game, name), one, other in _pairs(*skipped):
        if one != other:
            kind: Kind = "left out" if ABSENT in (one, other) else "words"
            yield Difference(kind, f"skipping of {name} for {agent} on {game}", "plan.skipped", one, other)


_AGENT_KINDS: Mapping[str, Kind] = {"checkpoint_hash": "checkpoint", "own_play": "own play", "view": "protocol"}


def _by_id(plan: RecordedPlan) -> dict[AgentId, AgentEntry]:
    return {entry.id: entry for entry in plan.agents}


def _versions(first: Manifest, second: Manifest) -> Iterator[Difference]:
    """Yield the versions that differ."""
    for name, one, other in _pairs(first.plan.versions, second.plan.versions):
        if one != other:
            yield Difference(_version_kind(one, other), f"{name} version", f"plan.versions.{name}", one, other)
    one, other = (side.history.first.versions.get("wsabench", UNKNOWN) for side in (first, second))
    if one != other:
        yield Difference("package", "wsabench version", "history.starts.versions.wsabench", one, other)


def _version_kind(first: str | Absent, second: str | Absent) -> Kind:
    if isinstance(first, Absent) or isinstance(second, Absent) or UNKNOWN in (first, second):
        return "unrecorded"
    return "build" if first.partition("+")[0] == second.partition("+")[0] else "version"


def _jobs(first: RecordedPlan, second: RecordedPlan) -> Iterator[Difference]:
    """Yield the jobs that only one side has, and those of other starts or, of an equal agent, another fingerprint."""
    ours, theirs = ({(job.id, job.perturbation): job for job in plan.jobs} for plan in (first, second))
    agents, others = _by_id(first), _by_id(second)
    same = {key for key in agents.keys() & others.keys() if _is_same(agents[key], others[key])}
    for (identity, perturbation), one, other in _pairs(ours, theirs):
        what = f"{identity.describe()}, {perturbation}"
        if isinstance(one, Absent) or isinstance(other, Absent):
            sides = (side if isinstance(side, Absent) else side.fingerprint for side in (one, other))
            yield Difference("extent", f"job {what}", "plan.jobs", *sides)
            continue
        if one.each_start_once != other.each_start_once:
            starts = ("each once" if side.each_start_once else "drawn" for side in (one, other))
            yield Difference("episodes", f"choice of starts of {what}", "plan.jobs.each_start_once", *starts)
        if one.fingerprint != other.fingerprint and identity in same:
            prints = one.fingerprint, other.fingerprint
            yield Difference("fingerprint", f"fingerprint of {what}", "plan.jobs.fingerprint", *prints)


def _is_same(first: AgentEntry, second: AgentEntry) -> bool:
    return first.checkpoint_hash == second.checkpoint_hash != UNHASHED


def _pairs(first: Mapping[_K, _V], second: Mapping[_K, _V]) -> Iterator[tuple[_K, _V | Absent, _V | Absent]]:
    """Yield the keys of both mappings with both values."""
    for key in dict.fromkeys([*first, *second]):
        yield key, first.get(key, ABSENT), second.get(key, ABSENT)
