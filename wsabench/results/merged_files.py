"""Writing several result sets as one: parts of a plan that a job array played, or runs of other agents or games."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec.structs import replace

from wsabench.errors import ResultSetError, StorageError
from wsabench.resources import expanded
from wsabench.results.comparing import listed
from wsabench.results.ledger import Ledger, read_ledger
from wsabench.results.manifest import JobEntry, Manifest
from wsabench.results.merging import merge_results, origin
from wsabench.results.result import (
    ATTENTION_DIR,
    EPISODES_DIR,
    FRAMES_DIR,
    STEPS_DIR,
    ResultSet,
    load_result,
    read_whole,
)
from wsabench.results.store import ResultStore
from wsabench.results.tables import with_labels

_TABLES = (STEPS_DIR, ATTENTION_DIR, EPISODES_DIR)
"""Folders with a shard for each job; that which makes a job finished comes last."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What was put together."""

    path: Path
    num_jobs: int
    """Number of jobs of the whole plan."""
    missing: tuple[JobEntry, ...]
    """Jobs that are finished in none of the result sets."""
    command_line: str
    """The command line that began the first of the result sets."""

    @property
    def is_complete(self) -> bool:
        """Whether every job of the plan is there."""
        return not self.missing


def write_merged(paths: Sequence[str | Path], out: str | Path) -> Merged:
    """Write several result sets as one, its files copied to the byte.

    A job that is finished in several of them is kept once, where all of its tables are equal to the bit. The manifest
    names the result sets it comes from (`merged_from`); a run with the same options goes on in the new directory.

    Args:
        paths: Directories of runs, at least one, complete or not.
        out: Directory of the new one; it must not exist or must be empty, but for hidden files.

    Returns:
        What was written, and what is missing.

    Raises:
        ResultSetError: A result set is damaged, they do not fit together, a job has other tables in another one, or
            `out` is not empty.
        StorageError: The new one cannot be written; nothing of it is left.
    """
    target = expanded(out)
    _refuse_full(target)
    if not paths:
        raise ResultSetError("No result set was given. Give at least one that `wsabench run` wrote.")
    results = [load_result(path) for path in paths]
    for result in results:
        if result.manifest.plan.precision is not None:
            raise ResultSetError(
                f"{result.path} is a run to a precision, which goes on from its pilot. Allowed: runs with a fixed "
                "number of episodes. `wsabench report` takes several runs to a precision at once."
            )
    holders = _holders(results)
    manifest = _manifest(results)
    with ExitStack() as undo:
        undo.callback(_remove, target, is_whole=not target.exists())
        keeps_steps = any((result.path / STEPS_DIR).is_dir() for result in results)
        with ResultStore(target, keeps_steps=keeps_steps) as store:
            store.begin(manifest)
            for job in manifest.plan.jobs:
                for file, content in _files(holders.get(job.file, ())):
                    store.write_bytes(file, job.file, content)
            for name, content in _pictures(results):
                store.write_bytes(FRAMES_DIR, name, content)
        undo.pop_all()
    missing = tuple(job for job in manifest.plan.jobs if job.file not in holders)
    return Merged(target, len(manifest.plan.jobs), missing, manifest.history.first.command_line)


class _Holder:
    """A result set that has a job."""

    def __init__(self, result: ResultSet, job: JobEntry, ledger: Ledger) -> None:
        self.path, self._job, self._ledger = result.path, job, ledger
        self.folders = [folder for folder in _TABLES if self._file(folder).exists()]

    def content(self, folder: str) -> bytes:
        """Return the bytes of the job's shard in a folder."""
        return read_whole(self._file(folder), self._ledger)

    def differs_from(self, other: _Holder) -> str | None:
        """Return the folder in which two shards of the job are unequal; None where both have the same in all."""
        for folder in self.folders:
            if folder in other.folders and not _is_equal(self.content(folder), other.content(folder)):
                return folder
        return None

    def _file(self, folder: str) -> Path:
        return self.path / folder / self._job.file


def _refuse_full(target: Path) -> None:
    """Refuse a directory that holds anything."""
    if target.exists() and not target.is_dir():
        raise StorageError(f"{target} is a file. Give a directory for the results.")
    found = sorted(path.name for path in target.glob("*") if not path.name.startswith("."))
    if found:
        raise ResultSetError(
            f"{target} is not empty ({listed(found)}). Allowed: a directory that does not exist or is empty. Give "
            "another one with --out."
        )


def _holders(results: Sequence[ResultSet]) -> dict[str, list[_Holder]]:
    """Return who has each job that is finished anywhere, by file; refuse one that is not the same everywhere."""
    holders: dict[str, list[_Holder]] = {}
    for result in results:
        ledger = read_ledger(result.path)
        columns = with_labels(result.episodes)[["agent", "train_seed", "game", "label"]]
        finished = set(columns.itertuples(index=False, name=None))
        for job in result.manifest.plan.jobs:
            if (job.agent, job.train_seed, job.game, job.perturbation) not in finished:
                continue
            holder = _Holder(result, job, ledger)
            for other in holders.setdefault(job.file, []):
                if folder := other.differs_from(holder):
                    raise ResultSetError(
                        f"{job.id.describe()}, {job.perturbation} is not the same in {other.path} and in "
                        f"{result.path}: {folder}/{job.file} differs. Equal settings on one kind of processor give "
                        "equal files. Delete the one that you do not trust, or report the runs one by one."
                    )
            holders[job.file].append(holder)
    return holders


def _is_equal(first: bytes, second: bytes) -> bool:
    """Whether two shards hold the same table to the bit, however their files are packed."""
    if first == second:
        return True
    one, other = (pq.ParquetFile(pa.BufferReader(content)).read() for content in (first, second))
    return one.equals(other)


def _files(holders: Sequence[_Holder]) -> Iterator[tuple[str, bytes]]:
    """Yield folder and bytes of a job's shards: those of the result set that has most of them, of equals the first."""
    if holders:
        best = max(holders, key=lambda holder: len(holder.folders))
        for folder in best.folders:
            yield folder, best.content(folder)


def _pictures(results: Sequence[ResultSet]) -> Iterator[tuple[str, bytes]]:
    """Yield the sample pictures, each once."""
    found: dict[str, Path] = {}
    for result in results:
        for path in sorted((result.path / FRAMES_DIR).glob("[!.]*.png")):
            found.setdefault(path.name, path)
    for name, path in found.items():
        yield name, read_whole(path, read_ledger(path.parent.parent))


def _manifest(results: Sequence[ResultSet]) -> Manifest:
    """Return the manifest: the joined plan, and all starts in the order of time."""
    merged = merge_results(results).manifest if len(results) > 1 else results[0].manifest
    starts = sorted((start for one in results for start in one.manifest.history.starts), key=lambda start: start.start)
    sources = tuple(origin(result) for result in results)
    return replace(merged, history=replace(merged.history, starts=tuple(starts), merged_from=sources))


def _remove(target: Path, *, is_whole: bool) -> None:
    """Remove what was written of a result set that could not be finished."""
    if is_whole:
        shutil.rmtree(target, ignore_errors=True)
        return
    for path in target.glob("[!.]*"):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
