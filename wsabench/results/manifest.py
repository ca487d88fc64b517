"""The manifest of a result set: what was planned, which decides every result, and what happened to it since."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Struct

from wsabench.errors import ResultSetError, SpecError
from wsabench.protocol import LATER_FIELDS, Protocol
from wsabench.types import SuiteMeasure

SCHEMA_VERSION = 2
"""Raised when the layout or the columns of a result set change, but for new last columns, which older shards may lack;
`wsabench.results.migration` brings old ones over."""
MANIFEST_NAME = "manifest.json"
UNKNOWN = "unknown"
"""Stands for a version that an earlier wsabench did not record."""


Natural = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A number from 0 that a column of a shard can hold."""
Positive = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class AgentId(Struct, frozen=True, order=True):
    """One trained network on one game: what tells the agents of a result set apart."""

    agent: str
    train_seed: int
    game: str

    def describe(self) -> str:
        """Return it in words, for messages."""
        return f"{self.agent} (train seed {self.train_seed}) on {self.game}"


class _Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry of the manifest: it has exactly the fields that it declares."""


class _OfAgent(_Strict, frozen=True, kw_only=True):
    """An entry about one agent."""

    agent: str
    train_seed: Natural
    game: str

    @property
    def id(self) -> AgentId:
        """Whom the entry is about."""
        return AgentId(self.agent, self.train_seed, self.game)


class SuiteEntry(_Strict, frozen=True, kw_only=True):
    """The suite that was played."""

    name: str
    summary: str
    content_hash: str
    measure: SuiteMeasure = "retention"
    """What agents are compared by; manifests from before suites said so lack it."""
    version: int | None = None
    """The suite's version; None in manifests from before suites had one."""


class ReferenceScores(_Strict, frozen=True, kw_only=True):
    """The returns that normalise a game's scores; None where the catalogue has none."""

    random: float | None
    human: float | None


class OwnPlayEntry(_Strict, frozen=True, kw_only=True):
    """An agent's own clean play, which some perturbations feed back to it."""

    content_hash: str
    steps: int
    episodes: int


class StatedEntry(_Strict, frozen=True, kw_only=True, omit_defaults=True):
    """A clean score that the notes beside an agent's file state: the mean of unclipped returns of whole games."""

    mean: float
    deviation: float | None = None
    """Standard deviation over episodes; None where they do not say."""
    episodes: int | None = None
    """Number of episodes; None where the notes do not say."""
    is_greedy: bool | None = None
    """Whether the best action was always taken; None where they do not say."""
    source: str = ""
    """The name of the file that says so."""


class AgentEntry(_OfAgent, frozen=True, kw_only=True, omit_defaults=True):
    """One evaluated agent."""

    checkpoint_hash: str
    """Hash of its weights, or of what else identifies it; `provenance.UNHASHED` where nothing does."""
    kind: str
    """`agent` (name or path of a checkpoint), `import` (`module:attribute`) or `object`."""
    source: str
    """The name, path or `module:attribute` that it was found by."""
    encoders: tuple[str, ...]
    """The encoders it attends to, in the order of its weights; empty for none."""
    inputs: tuple[str, ...]
    """The inputs that it reads beside observations (`rgb84`, `ram`)."""
    privileged: bool
    """Whether it reads what is no pixel."""
    own_play: OwnPlayEntry | None
    """Its own clean play; None where no cell needs it."""
    view: dict[str, Any] = {}
    """Fields of the protocol in which its lanes differ from the run's, as it saw its games in training."""
    trusted: bool = False
    """Whether the user let its file run code that it holds (`--trust`)."""
    draws: bool = False
    """Whether it answered otherwise when it was asked twice for the same: the same seeds need not give the same
    table."""
    stated_score: StatedEntry | None = None
    """What the notes beside its file say that it scores in unchanged games."""


class JobEntry(_OfAgent, frozen=True, kw_only=True, omit_defaults=True):
    """All episodes of one agent under one perturbation."""

    perturbation: str
    """Canonical name with severity, `hue-rotate@3`."""
    file: str
    """Name of its shards, the same in every folder."""
    fingerprint: str
    """Hash of everything that decides its episodes; each row of its shard holds it too."""
    episodes: Positive | None = None
    """Number of its episodes. None where it has as many as the plan says for every job (`RecordedPlan.episodes`), and
    in a run to a precision while the pilot is not finished."""
    each_start_once: bool = False
    """Whether nothing but the start is left to chance, so that episodes take the starts in turn, each once at most
    (`wsabench.seeding.start_order`). Else each episode draws its start by its own seed."""


class PrecisionEntry(_Strict, frozen=True, kw_only=True):
    """Numbers of episodes come from the spread of a pilot."""

    half_width: float
    """Half the width that the 95% interval, over episodes, of a job's mean normalised score should have."""
    target: Literal["cell", "average"]
    """`cell`: every job should have this half-width; `average`: the root mean square of their half-widths should."""
    pilot_episodes: Positive
    """Episodes of each job in the pilot, which is kept beside the result set and is not part of it."""
    max_episodes: Positive
    """Most episodes of a job, with the pilot's."""


class SkippedEntry(_Strict, frozen=True, kw_only=True):
    """Cells that an agent cannot take, or that touch nothing that it reads."""

    agent: str
    game: str
    perturbations: tuple[str, ...]
    reason: str


class RecordedPlan(_Strict, frozen=True, kw_only=True, omit_defaults=True):
    """What was planned. A run goes on only where its own plan is the same; `comparing` says what counts as such."""

    suite: SuiteEntry
    profile: str | None
    protocol: Protocol
    seed: Natural
    """Root of the episode seeds."""
    episodes: Positive
    """Episodes of each job; in a run to a precision the most that one may have beside the pilot."""
    games: tuple[str, ...]
    perturbations: tuple[str, ...]
    """Canonical names, in the order of the suite; games need not have all."""
    perturbation_hashes: dict[str, dict[str, str]]
    """Content hashes of what is played, by game and name."""
    effects: dict[str, dict[str, float]]
    """Mean change of the observation in grey levels, by game and name; changes of colour and image only."""
    refused: dict[str, tuple[str, ...]]
    """Perturbations that cannot be seen, by game; they are not played."""
    misfits: dict[str, dict[str, str]]
    """Perturbations that a game cannot have, by game and name with the reason; they are not played."""
    skipped: tuple[SkippedEntry, ...]
    reference_scores: dict[str, ReferenceScores]
    """The scores by which returns are normalised, by game."""
    agents: tuple[AgentEntry, ...]
    """In the order in which the user named them."""
    engine_version: int
    versions: dict[str, str]
    """Versions of the packages that decide bits (`provenance.BIT_DECIDING`); `UNKNOWN` where one was not recorded."""
    roms: dict[str, str]
    """SHA-256 of the ROM file, by game."""
    jobs: tuple[JobEntry, ...]
    precision: PrecisionEntry | None = None
    """None where every job has the same number of episodes."""

    def protocols(self) -> dict[AgentId, Protocol]:
        """Return the protocol under which each agent plays."""
        return {entry.id: self.protocol_with(entry.view) for entry in self.agents}

    def protocol_with(self, view: Mapping[str, Any]) -> Protocol:
        """Return the run's protocol, with what is other in an agent's lanes.

        Args:
            view: `AgentEntry.view`.

        Raises:
            SpecError: A value is outside its range.
            UnknownNameError: The protocol has no such field.
            TypeError: A value is of a type that nothing can be compared with.
        """
        return Protocol.from_dict({**self.protocol.to_dict(), **view}) if view else self.protocol


class GitState(_Strict, frozen=True, kw_only=True):
    """The checkout that wsabench ran from."""

    commit: str
    dirty: bool
    """Whether files differed from the commit."""


class Host(_Strict, frozen=True, kw_only=True):
    """The kind of machine, without names and addresses."""

    system: str
    machine: str
    processor: str
    cores: int


class Start(_Strict, frozen=True, kw_only=True, omit_defaults=True):
    """One time that the run was started."""

    start: str
    """UTC, ISO 8601 to the second."""
    end: str | None
    """When its last job was finished; None where it was stopped before, or still plays."""
    command_line: str
    git: GitState | None
    """None for an installed package."""
    host: Host
    versions: dict[str, str]
    """Versions of Python and all packages that results depend on; `UNKNOWN` where they were not recorded."""
    shard: str | None = None
    """Which part of the plan it played, `2/5`; None for all of it."""


class MergedRun(_Strict, frozen=True, kw_only=True):
    """One of several runs that were put together."""

    name: str
    """Name of its directory."""
    agents: tuple[str, ...]
    profile: str | None
    num_jobs: int
    starts: tuple[Start, ...]


class Migration(_Strict, frozen=True, kw_only=True):
    """The result set was brought over from an older layout."""

    schema_version: int
    """The schema version that it had before."""
    wsabench: str
    """Version of wsabench that did it."""
    time: str
    """UTC, ISO 8601 to the second."""
    fingerprints: dict[str, str]
    """What the old manifest called the jobs, by file."""


class SavingEntry(_Strict, frozen=True, kw_only=True):
    """What it saves that each job's number of episodes follows the pilot's spread, reckoned from that spread."""

    episodes: int
    """Episodes of all jobs, without the pilot."""
    pilot_episodes: int
    """Episodes of all jobs in the pilot."""
    fixed_episodes: int | None
    """Episodes of all jobs in a run with equal numbers and the same precision; None where nothing varied."""
    share: float | None
    """`episodes` / `fixed_episodes`."""
    share_with_pilot: float | None
    """(`episodes` + `pilot_episodes`) / `fixed_episodes`."""
    bound: float | None
    """The least `share` that any numbers could have."""
    capped: tuple[str, ...]
    """Jobs that would need more episodes than allowed, in words."""


class History(_Strict, frozen=True, kw_only=True, omit_defaults=True):
    """What happened: it is appended to and decides nothing."""

    starts: tuple[Start, ...]
    """At least one, the first one first."""
    merged_from: tuple[MergedRun, ...]
    merge_notes: tuple[str, ...]
    """Sentences on differences between merged runs that do not forbid merging."""
    migrated_from: tuple[Migration, ...]
    saving: SavingEntry | None = None
    """None where every job has the same number of episodes, and while a pilot is not finished."""

    @property
    def first(self) -> Start:
        """The start that began the run."""
        return self.starts[0]

    @property
    def shards(self) -> tuple[str, ...]:
        """The parts of the plan that alone were played here, `2/5`; empty where a run was of all, or put together."""
        if self.merged_from or None in (found := [start.shard for start in self.starts]):
            return ()
        return tuple(dict.fromkeys(shard for shard in found if shard))

    @property
    def end(self) -> str | None:
        """When the run was finished; None where it is not."""
        return self.starts[-1].end

    @classmethod
    def of_start(cls, start: Start) -> History:
        """Return the history of a run that begins now."""
        return cls(starts=(start,), merged_from=(), merge_notes=(), migrated_from=())

    def started_again(self, start: Start) -> History:
        """Return the history with one more start."""
        return msgspec.structs.replace(self, starts=(*self.starts, start))

    def ended(self, time: str) -> History:
        """Return the history with the end of its last start."""
        last = msgspec.structs.replace(self.starts[-1], end=time)
        return msgspec.structs.replace(self, starts=(*self.starts[:-1], last))


class Manifest(_Strict, frozen=True, kw_only=True):
    """What `manifest.json` holds."""

    schema_version: int
    plan: RecordedPlan
    history: History


def manifest_text(manifest: Manifest) -> str:
    """Return the text of `manifest.json`: JSON for people to read too, fields in the order declared."""
    content = msgspec.to_builtins(manifest)
    content["plan"]["protocol"] = manifest.plan.protocol.to_dict()  # later fields only where they are not the default
    if manifest.plan.suite.version is None:
        del content["plan"]["suite"]["version"]  # as before suites had one
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_manifest(directory: Path) -> Manifest:
    """Read and check a result set's manifest.

    Args:
        directory: The directory of the result set.

    Raises:
        ResultSetError: It is missing, unreadable, not a manifest, of another schema version, or a field is missing,
            unknown or of another type; the message names the file and the field.
    """
    return present_manifest(read_content(directory), directory)


def present_manifest(content: Mapping[str, Any], directory: Path) -> Manifest:
    """Return plain values as a manifest, strictly checked; the error for an older schema version says what to do.

    Args:
        content: What `read_content` returned.
        directory: Where it was read, for messages.

    Raises:
        ResultSetError: As of `read_manifest`.
    """
    path, version = directory / MANIFEST_NAME, content["schema_version"]
    if type(version) is int and 0 < version < SCHEMA_VERSION:  # JSON's true is no 1
        command = shlex.join(["wsabench", "migrate", str(directory), "--out", f"{directory}-migrated"])
        raise ResultSetError(
            f"{path} has schema version {version}; this version of wsabench reads {SCHEMA_VERSION}. Bring the result "
            f"set over, the old one stays as it is: {command}"
        )
    return manifest_of(content, path)


def read_content(directory: Path) -> dict[str, Any]:
    """Read a manifest of any schema version as plain values, which are not checked.

    Args:
        directory: The directory of the result set.

    Raises:
        ResultSetError: It is missing, unreadable, or not a manifest.
    """
    path = directory / MANIFEST_NAME
    if not directory.is_dir():
        raise ResultSetError(f"There is no result directory {directory}. Give the directory that `wsabench run` wrote.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_finite, parse_float=_finite)
        json.dumps(content, ensure_ascii=False).encode()  # half a character, `\\ud800` say, can be read but not written
    except FileNotFoundError as error:
        raise ResultSetError(
            f"{directory} is not a result set: it has no {MANIFEST_NAME}. Give the directory that `wsabench run` wrote."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ResultSetError(
            f"{path} cannot be read ({error}). Restore it from a copy, or run again into a new directory."
        ) from error
    if not isinstance(content, dict) or "schema_version" not in content:
        raise ResultSetError(f"{path} is not the manifest of a result set: it has no schema_version.")
    return content


def manifest_of(content: Mapping[str, Any], path: Path) -> Manifest:
    """Return plain values as a manifest, strictly checked.

    Args:
        content: The values, of the present schema version.
        path: Where they were read, for messages.

    Raises:
        ResultSetError: The schema version is another one, or a field is missing, unknown or of another type.
    """
    if content["schema_version"] != SCHEMA_VERSION:
        raise ResultSetError(
            f"{path} has schema version {content['schema_version']!r}. Allowed: {SCHEMA_VERSION}. "
            "Read it with the wsabench version it names, or run again."
        )
    try:
        manifest = msgspec.convert(content, Manifest)
    except (msgspec.ValidationError, SpecError) as error:
        raise _damaged(path, str(error)) from error
    # A dataclass would take its defaults for missing fields, and ignore those it does not know.
    written, known = content["plan"]["protocol"].keys(), {field.name for field in fields(Protocol)}
    for key in sorted((written ^ known) - (LATER_FIELDS.keys() - written)):
        what = "missing required" if key in known else "contains unknown"
        raise _damaged(path, f"Object {what} field `{key}` - at `$.plan.protocol`")
    if not manifest.history.starts:
        raise _damaged(path, "Expected at least one start - at `$.history.starts`")
    return manifest


def _finite(text: str) -> float:
    """Return a number of a JSON file, where it is one that can be calculated with."""
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is no finite number")
    return value


def _damaged(path: Path, reason: str) -> ResultSetError:
    return ResultSetError(
        f"{path} is damaged: {reason.rstrip('.')}. Restore it from a copy, or run again into a new directory."
    )
