"""Writing a result set: one shard per finished job, written once, so that a run killed at any moment can go on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec.structs import replace

from wsabench.errors import ResultSetError, StorageError
from wsabench.resources import atomic_path, check_place, make_dir, write_text, writing
from wsabench.results.checks import ShardChecks, ShardError
from wsabench.results.claims import CLAIMS_DIR, STALE_SECONDS, Claim, Claims
from wsabench.results.comparing import Kind, differences, listed
from wsabench.results.ledger import LEDGER_DIR, Ledger, LedgerWriter, plan_hash, read_ledger
from wsabench.results.manifest import (
    MANIFEST_NAME,
    Manifest,
    manifest_text,
    read_content,
    read_manifest,
)
from wsabench.results.records import EpisodeOutcome, Job
from wsabench.results.result import (
    ATTENTION_DIR,
    EPISODES_DIR,
    FRAMES_DIR,
    STEPS_DIR,
    read_shard,
    read_whole,
)
from wsabench.results.tables import (
    ATTENTION_SCHEMA,
    CONTEXT_FIELDS,
    EPISODE_SCHEMA,
    START_FIELDS,
    attention_table,
    episode_table,
    steps_schema,
    steps_table,
)

_FOLDERS = (EPISODES_DIR, ATTENTION_DIR, STEPS_DIR, FRAMES_DIR)
_NO_OTHER_EPISODES: frozenset[Kind] = frozenset({"words", "effect", "package"})
"""What may differ where a run is joined while another process plays it."""
_NO_OTHER_RUN: frozenset[Kind] = frozenset({*_NO_OTHER_EPISODES, "own play", "fingerprint", "unhashed"})
"""What may differ where a run goes on: it decides no episode, or jobs are played again for it."""


class ResultStore:
    """A result directory open for writing by one run.

    Shards are written by one process, under a temporary name that is renamed when complete. A job is finished
    when all its shards are there: that of its episodes, for an agent that attends that of its attention, and that of
    its steps where every step is recorded. Episodes are written last.
    """

    def __init__(self, path: Path, *, keeps_steps: bool = False, stale_seconds: float = STALE_SECONDS) -> None:
        """Open a directory; nothing is written yet.

        Args:
            path: The directory; created on `begin`.
            keeps_steps: Whether every step of agents that attend is recorded too.
            stale_seconds: Seconds after which the claim of another process is stale that does not renew it.
        """
        self.path = path
        self.keeps_steps = keeps_steps
        self.claims = Claims(path, stale_seconds=stale_seconds)
        """Who plays what, where several processes write into the directory."""
        self._is_listed = False
        self.notes: list[str] = []
        """What was found in the directory that the user should know, in sentences."""
        self.is_vouched = True
        """Whether the ledger knows the plan of the manifest that stands there."""
        self._open = ExitStack()
        self._writer = LedgerWriter(path)
        self._open.callback(self._writer.close)
        self._ledger = Ledger()
        self._checks: ShardChecks  # of the plan that `begin` gets

    def __enter__(self) -> ResultStore:
        """Return the store."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release the directory."""
        self._open.close()

    def begin(self, manifest: Manifest, *, alone: bool = False) -> Manifest:
        """Enter the directory for a run: a new one, one that goes on, or one that another process plays just now.

        A new run's manifest is written at once, so that others can compare their plan with it; that of a run that goes
        on is left to `write_manifest`.

        Args:
            manifest: What this run would write.
            alone: Whether no other process may be in the directory.

        Returns:
            The manifest that holds: the given one, or, where an equal run began earlier, with that run's history
            before this start.

        Raises:
            ResultSetError: The directory holds something else or another run's results, or a run that this process
                cannot join.
            StorageError: It cannot be written.
        """
        self._check_place()
        make_dir(self.path)
        self._checked(manifest)  # what is refused is not touched
        self._open.callback(self.claims.close)
        self.claims.open()
        with self.claims.alone(MANIFEST_NAME):  # before anything is decided: another run may begin until then
            others = self.claims.others()
            previous = self._checked(manifest)
            if others:
                _check_joining(previous, manifest, self.path, others[0], alone=alone)
            else:
                self._sweep()
            for folder in (EPISODES_DIR, ATTENTION_DIR, FRAMES_DIR, *([STEPS_DIR] if self.keeps_steps else [])):
                make_dir(self.path / folder)
            self._checks = ShardChecks(manifest.plan)
            if previous is None:
                self._write_manifest(manifest)
            self._take_ledger()
        if previous is None:
            return manifest
        return replace(manifest, history=previous.history.started_again(manifest.history.first))

    def _checked(self, manifest: Manifest | None) -> Manifest | None:
        """Return the manifest that stands in the directory, None where there is none; refuse what is not this run's."""
        if not (self.path / MANIFEST_NAME).exists():
            if foreign := foreign_entries(self.path):
                found = ", ".join(foreign[:3])
                raise ResultSetError(
                    f"{self.path} is no result set and is not empty ({found}). Choose another directory."
                )
            return None
        previous = read_manifest(self.path)
        if manifest is not None:
            check_same_run(previous, manifest, self.path)
        return previous

    def check(self, manifest: Manifest | None = None) -> None:
        """Refuse what `begin` would refuse, as far as that is seen without writing or waiting.

        Args:
            manifest: What the run would write; None: that is not known, so another run's results are not told.

        Raises:
            ResultSetError: The directory holds something else or another run's results.
            StorageError: It cannot be written.
        """
        self._check_place()
        check_place(self.path)
        if self.path.exists():
            self._checked(manifest)

    def _check_place(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise StorageError(f"{self.path} is a file. Give a directory for the results.")

    def is_finished(self, job: Job, encoders: Sequence[str] = ()) -> bool:
        """Whether all of a job's shards are there and whole, that of its episodes with the same fingerprint.

        Shards of an earlier version that lack later columns are whole: they are never written anew. Of a shard that is
        damaged, or makes no sense, `notes` has a sentence: its job is not finished.

        Args:
            job: The job.
            encoders: Names of the encoders the agent attends to; empty for agents without attention.
        """
        folders = [EPISODES_DIR]
        if encoders:
            folders.append(ATTENTION_DIR)
        if encoders and self.keeps_steps:
            folders.append(STEPS_DIR)
        paths = {folder: self.path / folder / f"{job.key}.parquet" for folder in folders}
        if not all(path.exists() for path in paths.values()):
            return False
        try:
            return self._is_whole(job, encoders, paths)
        except ShardError as error:
            self.notes.append(f"{error.what}. {job.describe()} is played again.")
            return False

    def _is_whole(self, job: Job, encoders: Sequence[str], paths: Mapping[str, Path]) -> bool:
        """Whether a job's shards, which are there, are of this run."""
        episodes = read_shard(paths[EPISODES_DIR], EPISODE_SCHEMA, START_FIELDS, self._ledger)
        if set(episodes.column("fingerprint").to_pylist()) != {job.fingerprint}:
            return False  # of a run before something that decides episodes was changed
        entry = job.entry
        self._checks.episodes(paths[EPISODES_DIR], episodes, entry)
        if ATTENTION_DIR in paths:
            table = read_shard(paths[ATTENTION_DIR], ATTENTION_SCHEMA, CONTEXT_FIELDS, self._ledger)
            self._checks.attention(paths[ATTENTION_DIR], table, entry)
            if table.column("encoder").to_pylist() != list(encoders):
                return False
        if STEPS_DIR in paths:
            table = read_shard(paths[STEPS_DIR], steps_schema(encoders), (), self._ledger)
            self._checks.steps(paths[STEPS_DIR], table, entry)
        return episodes.column("episode_seed").to_pylist() == list(job.episode_seeds)

    def has_file(self, folder: str, name: str) -> bool:
        """Whether a small file is in one of the folders, as it was written."""
        path = self.path / folder / name
        try:
            return path.exists() and bool(read_whole(path, self._ledger))
        except ShardError as error:
            self.notes.append(f"{error.what}. It is made again.")
            return False

    def write_job(self, job: Job, outcomes: Sequence[EpisodeOutcome], encoders: Sequence[str]) -> None:
        """Write a finished job's shards.

        Args:
            job: The job.
            outcomes: All of its episodes.
            encoders: Names of the encoders the agent attends to; empty for agents without attention.

        Raises:
            StorageError: The disk is full or the directory cannot be written; nothing of this job is left behind.
        """
        if encoders and self.keeps_steps:
            self._write(STEPS_DIR, job, steps_table(job, outcomes, encoders))
        else:  # those of an earlier run are not of these episodes
            with writing(self.path / STEPS_DIR):
                (self.path / STEPS_DIR / f"{job.key}.parquet").unlink(missing_ok=True)
        if encoders:
            self._write(ATTENTION_DIR, job, attention_table(job, outcomes, encoders))
        self._write(EPISODES_DIR, job, episode_table(job, outcomes))

    def write_manifest(self, manifest: Manifest) -> None:
        """Write the manifest; starts that other processes noted meanwhile stay in it.

        Args:
            manifest: With this process's start as its last one.

        Raises:
            ResultSetError: What stands there is damaged.
            StorageError: It cannot be written.
        """
        with self.claims.alone(MANIFEST_NAME):
            self._write_manifest(manifest)

    def _write_manifest(self, manifest: Manifest) -> None:
        if (self.path / MANIFEST_NAME).exists():
            noted, mine = list(read_manifest(self.path).history.starts), manifest.history.starts[-1]
            same = [one for one in noted if replace(one, end=None) == replace(mine, end=None)]
            if self._is_listed and same:
                noted.remove(same[-1])
            manifest = replace(manifest, history=replace(manifest.history, starts=(*noted, mine)))
        text = manifest_text(manifest)
        self._writer.record_plan(json.loads(text))
        write_text(self.path / MANIFEST_NAME, text)
        self.is_vouched = True
        self._is_listed = True

    def write_bytes(self, folder: str, name: str, content: bytes) -> None:
        """Write a small file into one of the folders.

        Raises:
            StorageError: It cannot be written.
        """
        with atomic_path(self.path / folder / name) as temporary:
            temporary.write_bytes(content)
            self._writer.record(f"{folder}/{name}", content)

    def _write(self, folder: str, job: Job, table: pa.Table) -> None:
        """Write one shard under a temporary name and rename it."""
        name = f"{job.key}.parquet"
        with atomic_path(self.path / folder / name) as temporary:
            sink = pa.BufferOutputStream()  # Arrow takes no path that is not UTF-8
            pq.write_table(table, sink)
            content = sink.getvalue().to_pybytes()
            temporary.write_bytes(content)
            self._writer.record(f"{folder}/{name}", content)

    def _take_ledger(self) -> None:
        """Read the ledger of a run that goes on; begin that of one which an earlier version wrote without."""
        content = read_content(self.path)
        self._ledger = read_ledger(self.path)
        if not self._ledger.is_kept:
            self._writer.adopt(_FOLDERS, content)
            self._ledger = read_ledger(self.path)
        self.is_vouched = plan_hash(content) in self._ledger.plans
        if not self.is_vouched:
            self.notes.append(
                f"{self.path / MANIFEST_NAME}: its plan was changed after the run wrote it. It is written anew."
            )

    def _sweep(self) -> None:
        """Delete temporary files that a killed run left."""
        for folder in (self.path, *(self.path / name for name in _FOLDERS)):
            with writing(folder):
                for leftover in folder.glob(".*.tmp"):
                    leftover.unlink(missing_ok=True)


def check_same_run(previous: Manifest, current: Manifest, path: Path) -> None:
    """Check that a run may go on in a directory that another one began: its plan is the same.

    Args:
        previous: The manifest found there.
        current: What this run would write.
        path: The directory, for the message.

    Raises:
        ResultSetError: They differ in something that decides results, or may; the message names it.
    """
    found = [one for one in differences(previous, current) if one.kind not in _NO_OTHER_RUN]
    if changed := [one.what for one in found if one.kind == "definition" and one.is_of_both]:
        raise ResultSetError(
            f"{path} holds a run with another {listed(changed)}. Choose another directory for this run, or restore the "
            "definition that the run began with."
        )
    if unrecorded := [one.what for one in found if one.kind == "unrecorded"]:
        raise ResultSetError(
            f"{path} holds a run of an earlier version of wsabench: the {listed(unrecorded)} is not recorded there, so "
            "new episodes might not be like the old ones. Reports and checks still read it. Choose another directory "
            "for this run."
        )
    if found:
        raise ResultSetError(
            f"{path} holds a run with other settings: {listed((one.between('there', 'here') for one in found), '; ')} "
            "(there: what the run in that folder began with; here: what this command asks for). Choose another "
            "directory for this run, or repeat the command that began it."
        )


def _check_joining(previous: Manifest | None, current: Manifest, path: Path, other: Claim, *, alone: bool) -> None:
    """Check that a run can join one that another process plays: nothing may differ that decides an episode."""
    if alone:
        raise ResultSetError(
            f"{path} is being played by {other.describe()}. A run to a precision is played by one process at a time. "
            "Wait for it, or choose another directory."
        )
    if previous is None:
        return  # it has not come to its manifest
    found = [one for one in differences(previous, current) if one.kind not in _NO_OTHER_EPISODES]
    if found:
        shown = listed((one.between("there", "here") for one in found), "; ")
        raise ResultSetError(
            f"{path} is being played by {other.describe()}, and this run might not play the same: {shown}. Wait for "
            "it, or choose another directory. (A Python policy with an attribute `version` can be joined.)"
        )


def foreign_entries(path: Path) -> list[str]:
    """Return names in a directory, but for hidden files and what a run leaves that was killed at its very start."""
    names = sorted(entry.name for entry in os.scandir(path))
    known = (*_FOLDERS, CLAIMS_DIR, LEDGER_DIR)
    return [name for name in names if name not in known and not name.startswith(".")]
