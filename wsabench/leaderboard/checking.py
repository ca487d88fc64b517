"""What an entry of the leaderboard must fulfil to be true at all: it is text from strangers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from wsabench.errors import ResultSetError, WsabenchError
from wsabench.fields import read_toml
from wsabench.games import check_rom_id
from wsabench.hashing import json_hash
from wsabench.leaderboard.completeness import check_cells
from wsabench.leaderboard.schema import SCHEMA_VERSION, Entry, EntryJob
from wsabench.protocol import Protocol
from wsabench.resources import data_dir
from wsabench.results.manifest import UNKNOWN, AgentEntry
from wsabench.results.provenance import BIT_DECIDING, UNHASHED, FingerprintInputs, fingerprint
from wsabench.seeding import evaluation_seed, start_order
from wsabench.types import BUILT_IN_AGENTS
from wsabench.words import counted

MAX_TEXT = 2_000
"""Most characters of any text."""
MAX_NAME = 80
"""Most characters of what tables call the agent."""
MAX_JOBS = 50_000
MAX_EPISODES = 100_000
"""Most episodes of a job, and the highest number of one."""
MAX_DEPTH = 12
MAX_RETURN = 1e9
MAX_NUMBER = 2**63
"""No number reaches it; infinities and what is no number do not pass either."""
_AGENT = re.compile(r"[A-Za-z0-9][\w.+-]*", re.ASCII)
_PART = r"[a-z0-9][a-z0-9_-]*(@[1-5])?"
_PERTURBATION = re.compile(rf"{_PART}(\+{_PART})*")
_KINDS = ("built-in", "agent", "address", "import", "factory", "object")
_FAMILIES = frozenset({"color", "corruption", "dynamics", "encoder"})
_HASH = re.compile(r"[0-9a-f]{8,64}")
_CLEAN = "clean"
_ADVICE = "Write it with `wsabench submit`, and change nothing by hand."


def suite_versions() -> dict[str, dict[int, str]]:
    """Return the content hash of every version of every suite, by name and version."""
    table = read_toml(data_dir("perturbations") / "suite-versions.toml")
    return {name: {int(version): one["content"] for version, one in hashes.items()} for name, hashes in table.items()}


def checked(entry: Entry) -> Entry:
    """Return an entry that can be true.

    Every number and text is in its range, columns of a job have one length, episode seeds and fingerprints follow from
    what else the entry says, no job occurs twice, games, the suite and its version exist, and no cell of the profile is
    left out. What was played is not checked here: `wsabench verify` plays episodes again.

    Args:
        entry: The entry.

    Raises:
        ResultSetError: It cannot be true; the message says what was found and what is allowed.
    """
    if entry.schema_version != SCHEMA_VERSION:
        raise _wrong("schema_version", entry.schema_version, str(SCHEMA_VERSION))
    _check_texts(msgspec.to_builtins(entry), "", 0)
    _check_suite(entry)
    _check_head(entry)
    _check_protocol(entry)
    _check_networks(entry)
    _check_jobs(entry)
    check_cells(entry)
    _check_fingerprints(entry)
    return entry


def _wrong(where: str, found: Any, allowed: str) -> ResultSetError:
    """Return the error for a value that cannot be."""
    text = repr(found)
    shown = text if len(text) <= MAX_NAME else f"{text[:MAX_NAME]}..."
    return ResultSetError(f"{where} is {shown}. Allowed: {allowed}. {_ADVICE}")


def _check_texts(value: Any, where: str, depth: int) -> None:
    """Refuse texts that are too long or hold control characters, numbers out of range, and what is too deep."""
    if depth > MAX_DEPTH:
        raise ResultSetError(f"{where} is nested more than {MAX_DEPTH} deep. {_ADVICE}")
    if isinstance(value, str):
        if len(value) > MAX_TEXT or any(not c.isprintable() and c != "\n" for c in value):
            raise _wrong(where, value, f"text of up to {MAX_TEXT} characters without control characters")
    elif isinstance(value, int | float) and not abs(value) < MAX_NUMBER:
        raise _wrong(where, value if isinstance(value, float) else "a huge integer", "finite numbers below 2^63")
    elif isinstance(value, Mapping):
        for key, one in value.items():
            _check_texts(key, f"a key of {where or 'the entry'}", depth + 1)
            _check_texts(one, f"{where}.{key}" if where else key, depth + 1)
    elif isinstance(value, list | tuple):
        for place, one in enumerate(value):
            _check_texts(one, f"{where}[{place}]", depth + 1)


def _check_suite(entry: Entry) -> None:
    """Refuse a suite whose version is not one of the published ones."""
    suite, known = entry.suite, suite_versions()
    if suite.name not in known:
        raise _wrong("suite.name", suite.name, ", ".join(known))
    if suite.version not in known[suite.name]:
        versions = ", ".join(map(str, known[suite.name]))
        raise ResultSetError(
            f"suite.version is {suite.version}. Known versions of {suite.name}: {versions}. A higher one needs a newer "
            "wsabench."
        )
    if suite.content_hash != known[suite.name][suite.version]:
        allowed = f"{known[suite.name][suite.version]}, the hash of {suite.name} version {suite.version}"
        raise _wrong("suite.content_hash", suite.content_hash, allowed)


def _check_head(entry: Entry) -> None:
    """Check names, times and versions."""
    if not 0 < len(entry.name) <= MAX_NAME or entry.name != plain_name(entry.name):
        raise _wrong("name", entry.name, f"one line of 1 to {MAX_NAME} characters, single spaces between words")
    if not _AGENT.fullmatch(entry.agent) or len(entry.agent) > MAX_NAME:
        raise _wrong("agent", entry.agent, f"up to {MAX_NAME} letters, digits and _ . + -")
    try:
        is_utc = datetime.fromisoformat(entry.submitted).utcoffset() == timedelta(0)
    except ValueError:
        is_utc = False
    if not is_utc:
        raise _wrong("submitted", entry.submitted, "a time in UTC, 2026-01-31T12:00:00+00:00")
    if not entry.hosts:
        raise _wrong("hosts", [], "at least one kind of machine")
    if missing := [name for name in BIT_DECIDING if entry.versions.get(name, UNKNOWN) == UNKNOWN]:
        raise ResultSetError(
            f"versions: that of {', '.join(missing)} is unknown. Allowed: runs that recorded it. Play the run again."
        )
    if entry.seed < 0:
        raise _wrong("seed", entry.seed, "integers from 0")


def plain_name(text: str) -> str:
    """Return a name without what a reader cannot see: one space between words, letters and accents joined.

    Args:
        text: The name.
    """
    return unicodedata.normalize("NFC", " ".join(text.split()))


def _check_protocol(entry: Entry) -> None:
    """Check how it was played, also in every game where the agent saw it in its own way."""
    try:
        for view in ({}, *entry.view.values()):
            Protocol.from_dict({**entry.protocol, **view})
    except WsabenchError as error:
        raise ResultSetError(f"protocol: {error}") from error


def _check_networks(entry: Entry) -> None:
    """Check who played, and what is said of all of them together."""
    if not entry.agents:
        raise _wrong("agents", [], "at least one network")
    ids = [one.id for one in entry.agents]
    if len(set(ids)) != len(ids):
        raise _wrong("agents", [one.describe() for one in ids], "each train seed and game once")
    for place, one in enumerate(entry.agents):
        _check_network(entry, one, f"agents[{place}]")
    for game in entry.games:
        _check_game(entry, game)
    claims = {
        "privileged": any(one.privileged for one in entry.agents),
        "trusted": any(one.trusted for one in entry.agents),
        "external": is_external(entry.agents),
    }
    for name, value in claims.items():
        if getattr(entry, name) != value:
            raise _wrong(name, getattr(entry, name), f"{value}, by its networks")


def _check_network(entry: Entry, one: AgentEntry, where: str) -> None:
    """Check one of those that played."""
    if one.agent != entry.agent:
        raise _wrong(f"{where}.agent", one.agent, entry.agent)
    if one.train_seed < 0:
        raise _wrong(f"{where}.train_seed", one.train_seed, "integers from 0")
    if one.kind not in _KINDS:
        raise _wrong(f"{where}.kind", one.kind, ", ".join(_KINDS))
    if one.kind == "built-in" and one.source not in BUILT_IN_AGENTS:
        raise _wrong(f"{where}.source", one.source, f"{', '.join(BUILT_IN_AGENTS)}, the agents that are built in")
    if one.checkpoint_hash == UNHASHED or not _is_plain(one.checkpoint_hash):
        raise _wrong(f"{where}.checkpoint_hash", one.checkpoint_hash, "what identifies its weights")
    if one.view != entry.view.get(one.game, {}):
        raise _wrong(f"{where}.view", one.view, f"that of {one.game} in `view`")


def is_external(agents: tuple[AgentEntry, ...]) -> bool:
    """Whether foreign code played: neither built-in agents nor checkpoints of this package."""
    return any(one.kind not in ("agent", "built-in") for one in agents)


def _is_plain(text: str) -> bool:
    return 0 < len(text) <= MAX_NAME * 2 and text.isprintable()


def _check_game(entry: Entry, game: str) -> None:
    """Check what is said of a game."""
    try:
        is_known = check_rom_id(game) == game
    except WsabenchError as error:
        raise ResultSetError(f"agents: {error}") from error
    if not is_known:
        raise _wrong("the id of a game", game, check_rom_id(game))
    tables = {"reference_scores": entry.reference_scores, "roms": entry.roms}
    for name, table in (*tables.items(), ("perturbation_hashes", entry.perturbation_hashes)):
        if game not in table:
            raise _wrong(name, sorted(table), f"one for each game; {game} is missing")


def _check_jobs(entry: Entry) -> None:
    """Check every job, and that none occurs twice."""
    if not 0 < len(entry.jobs) <= MAX_JOBS:
        raise _wrong("the number of jobs", len(entry.jobs), f"1 to {MAX_JOBS:,}")
    networks = {(one.train_seed, one.game): one for one in entry.agents}
    seen: set[tuple[int, str, str]] = set()
    for place, job in enumerate(entry.jobs):
        key, where = (job.train_seed, job.game, job.perturbation), f"jobs[{place}]"
        if key[:2] not in networks:
            raise _wrong(where, key, "jobs of the networks in `agents`")
        if key in seen:
            raise _wrong(where, key, "each network and perturbation once")
        seen.add(key)
        _check_cell(entry, job, where)
        _check_episodes(entry, job, where)
    if idle := sorted(networks.keys() - {key[:2] for key in seen}):
        raise _wrong("agents", idle, "networks that have a job")
    _check_numbers(entry)


def _check_numbers(entry: Entry) -> None:
    """Refuse jobs of a network with different episodes: how far each cell was played must not follow its returns.

    Fewer have those jobs alone that played all starts there are, each once.
    """
    if entry.precision is not None:
        return
    counts = {(job.train_seed, job.game): 0 for job in entry.jobs}
    for job in entry.jobs:
        counts[job.train_seed, job.game] = max(counts[job.train_seed, job.game], len(job.episodes.returns))
    for place, job in enumerate(entry.jobs):
        if job.episodes.first:
            raise _wrong(f"jobs[{place}].episodes.first", job.episodes.first, "0, but in a run to a precision")
        count, allowed = len(job.episodes.returns), counts[job.train_seed, job.game]
        if count != allowed and not (count == _lanes(entry, job).num_starts and plays_each_start_once(entry, job)):
            found = counted(count, "episode")
            raise _wrong(f"jobs[{place}].episodes", found, f"{allowed}, as in its network's other jobs")


def _check_cell(entry: Entry, job: EntryJob, where: str) -> None:
    """Check the perturbation's name, its family and that its content is stated."""
    is_clean = job.perturbation == _CLEAN
    if not _PERTURBATION.fullmatch(job.perturbation) or (not is_clean and _CLEAN in job.perturbation.split("+")):
        raise _wrong(f"{where}.perturbation", job.perturbation, "canonical names such as hue-rotate@3")
    families = job.family.split("+")
    is_family = job.family == _CLEAN if is_clean else _FAMILIES.issuperset(families) and sorted(families) == families
    if not is_family:
        raise _wrong(f"{where}.family", job.family, "clean" if is_clean else ", ".join(sorted(_FAMILIES)))
    if not _HASH.fullmatch(entry.perturbation_hashes[job.game].get(job.perturbation, "")):
        raise _wrong(
            f"perturbation_hashes.{job.game}",
            entry.perturbation_hashes[job.game].get(job.perturbation),
            f"the content hash of {job.perturbation}",
        )


def _check_episodes(entry: Entry, job: EntryJob, where: str) -> None:
    """Check the columns of a job."""
    columns = job.episodes
    count = len(columns.returns)
    if not 0 < count <= MAX_EPISODES or not 0 <= columns.first <= MAX_EPISODES:
        raise _wrong(f"{where}.episodes", (columns.first, count), f"numbers up to {MAX_EPISODES:,}, at least one")
    for name, values in _columns(job):
        if len(values) != count:
            raise _wrong(f"{where}.episodes.{name}", f"{len(values)} values", f"{count}, as there are returns")
    protocol = _lanes(entry, job)
    for place, values in enumerate(zip(columns.returns, columns.lengths, columns.ends, columns.noops, strict=True)):
        total, length, end, noops = values
        at = f"{where}.episodes, place {place}"
        if abs(total) > MAX_RETURN:
            raise _wrong(f"{at}: the return", total, f"up to {MAX_RETURN:,.0f}")
        if not 0 < length <= protocol.max_frames:
            raise _wrong(f"{at}: the length", length, f"1 to {protocol.max_frames:,}")
        if end == "stalled" and not 0 < protocol.stall_steps <= length:
            raise _wrong(f"{at}: the end", end, f"stalled after {protocol.stall_steps} steps at the earliest")
        if noops is not None and noops < 0:
            raise _wrong(f"{at}: noops", noops, "integers from 0")
    derived = tuple(evaluation_seed(job.game, columns.first + place, entry.seed) for place in range(count))
    if columns.seeds != derived:
        place = next(n for n, (one, other) in enumerate(zip(columns.seeds, derived, strict=True)) if one != other)
        raise _wrong(
            f"{where}.episodes, place {place}: the episode seed",
            columns.seeds[place],
            f"{derived[place]}, which follows from the root seed {entry.seed}",
        )


def _columns(job: EntryJob) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the columns of a job by name."""
    for name in ("lengths", "ends", "seeds", "noops", "action_hashes"):
        yield name, getattr(job.episodes, name)


def _check_fingerprints(entry: Entry) -> None:
    """Check the fingerprints of all jobs."""
    networks = {(one.train_seed, one.game): one for one in entry.agents}
    for place, job in enumerate(entry.jobs):
        _check_fingerprint(entry, job, networks[job.train_seed, job.game], f"jobs[{place}]")


def _check_fingerprint(entry: Entry, job: EntryJob, network: AgentEntry, where: str) -> None:
    """Check that a job's fingerprint is that of what the entry says decides its episodes."""
    ways = dict.fromkeys([None, _noops_in_turn(entry, job)])
    allowed = {text for noops in ways for text in _fingerprints(entry, job, network, noops)}
    if job.fingerprint not in allowed:
        raise ResultSetError(
            f"{where}: the fingerprint of {network.id.describe()}, {job.perturbation} is not that of the versions, "
            "protocol, hashes and seeds that the entry states. Submit one run that was played in one place; runs put "
            "together from different versions are no entry."
        )
    if plays_each_start_once(entry, job) and job.episodes.noops != (in_turn := _noops_in_turn(entry, job)):
        allowed = f"{list(in_turn or ())}, because its fingerprint says that each start is played once, in this order"
        raise _wrong(f"{where}.episodes.noops", list(job.episodes.noops), allowed)


def plays_each_start_once(entry: Entry, job: EntryJob) -> bool:
    """Whether a job's fingerprint says that its episodes took the starts in turn, each once.

    Args:
        entry: The entry.
        job: One of its jobs.
    """
    noops = _noops_in_turn(entry, job)
    return noops is not None and job.fingerprint in _fingerprints(entry, job, entry.network(job), noops)


def _noops_in_turn(entry: Entry, job: EntryJob) -> tuple[int, ...] | None:
    """Return the no-ops of a job's episodes if each start is played once; None where that cannot be."""
    protocol, count = _lanes(entry, job), len(job.episodes.returns)
    if not protocol.may_repeat_episodes or job.episodes.first or count > protocol.num_starts:
        return None
    return start_order(job.game, protocol.start_noops, entry.seed)[:count]


def _lanes(entry: Entry, job: EntryJob) -> Protocol:
    """Return the protocol of a job's lanes."""
    return Protocol.from_dict({**entry.protocol, **entry.view.get(job.game, {})})


def _fingerprints(entry: Entry, job: EntryJob, network: AgentEntry, noops: tuple[int, ...] | None) -> set[str]:
    """Return the fingerprints that follow from the entry, with these no-ops at the starts; None: with drawn ones."""
    return job_fingerprints(
        network,
        Protocol.from_dict(entry.protocol),
        perturbation_hash=entry.perturbation_hashes[job.game][job.perturbation],
        rom_hash=entry.roms[job.game],
        episode_seeds=job.episodes.seeds,
        versions=entry.versions,
        engine_version=entry.engine_version,
        noops=noops,
    )


def job_fingerprints(network: AgentEntry, protocol: Protocol, **decisive: Any) -> set[str]:
    """Return the fingerprints of a job that follow from what is said of it: without the agent's own play, and with it.

    Args:
        network: Who plays.
        protocol: The run's protocol; the agent's view goes over it.
        decisive: The other fields of `FingerprintInputs`, but for `own_play_hash`.
    """
    own = None if network.own_play is None else network.own_play.content_hash
    known = {
        "protocol": protocol.with_changes(**network.view).to_dict(),
        "checkpoint_hash": network.checkpoint_hash,
        **decisive,
    }
    return {fingerprint(FingerprintInputs(**known, own_play_hash=one)) for one in (None, own)}


def schema_hash() -> str:
    """Return a hash of an entry's fields and its classes' docstrings, which a test pins to its schema version."""
    return json_hash(msgspec.json.schema(Entry), 16)
