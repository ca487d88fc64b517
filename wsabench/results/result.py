"""Reading a result set: a directory with a manifest, shards of episodes and attention, and sample frames."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from wsabench.errors import ResultSetError
from wsabench.resources import expanded
from wsabench.results.checks import ShardChecks, ShardError, check_plan
from wsabench.results.ledger import Ledger, plan_hash, read_ledger
from wsabench.results.manifest import MANIFEST_NAME, JobEntry, Manifest, present_manifest, read_content
from wsabench.results.tables import ATTENTION_SCHEMA, CONTEXT_FIELDS, EPISODE_SCHEMA, START_FIELDS

EPISODES_DIR = "episodes"
ATTENTION_DIR = "attention"
FRAMES_DIR = "frames"
FRAME_GAP = 8
"""Columns of white between what a person sees and what the agent sees, which is square, in a sample picture."""
STEPS_DIR = "attention_steps"


@dataclass(frozen=True, slots=True)
class ResultSet:
    """A result set in memory."""

    path: Path
    """The directory."""
    episodes: pd.DataFrame
    """One row for each episode, with the columns of `EPISODE_SCHEMA`, in the manifest's order of jobs and then of
    episodes."""
    attention: pd.DataFrame
    """One row for each job and encoder, with the columns of `ATTENTION_SCHEMA`; empty without agents that attend."""
    manifest: Manifest
    """What was planned, and when and where it was played."""
    num_finished: int
    """Number of jobs whose shards are there."""
    has_ledger: bool = True
    """Whether every shard was compared with its checksum in a ledger; result sets of earlier versions have none."""

    @property
    def is_complete(self) -> bool:
        """Whether every planned job is finished."""
        return self.num_finished == len(self.manifest.plan.jobs)


NO_LEDGER = (
    "The result set has no ledger, as an earlier version wrote it: whether its shards are as they were written is not "
    "known. `wsabench migrate` gives it one."
)
"""A caveat for `ResultSet.has_ledger` that is false."""


def part_advice(manifest: Manifest) -> str:
    """Say that a result set is a part of a run and what to do with it; nothing where it is a whole one."""
    shards = manifest.history.shards
    if not shards:
        return ""
    what = "part" if len(shards) == 1 else "parts"
    return (
        f"It is only {what} {', '.join(shards)} of its plan: put all parts together with `wsabench merge PART... --out "
        "RUN`, which says what is missing."
    )


def load_result(path: str | Path) -> ResultSet:
    """Read and check a result set, finished or not.

    Args:
        path: The directory of a run.

    Returns:
        Its tables and manifest. Jobs of which a shard is missing, be it only that of the attention, have no rows.

    Raises:
        ResultSetError: The directory is missing, foreign, damaged or of another schema version.
    """
    directory = expanded(path)
    content = read_content(directory)
    manifest = present_manifest(content, directory)
    ledger = read_ledger(directory)
    if ledger.is_kept and plan_hash(content) not in ledger.plans | read_ledger(directory).plans:
        raise ResultSetError(
            f"{directory / MANIFEST_NAME}: its plan is none that the run's ledger knows: it was changed after the run "
            "wrote it. Restore it from a copy, or start the same run again, which writes it anew."
        )
    return read_tables(directory, manifest, ledger)


def read_tables(directory: Path, manifest: Manifest, ledger: Ledger | None = None) -> ResultSet:
    """Read and check the tables of a result set whose manifest is known.

    Args:
        directory: The directory of a run.
        manifest: What was planned there.
        ledger: Checksums of its files; None for a result set without.

    Raises:
        ResultSetError: A shard is damaged, is not that of the manifest, or makes no sense.
    """
    plan, ledger = manifest.plan, ledger or Ledger()
    check_plan(plan, directory / MANIFEST_NAME)
    _refuse_strangers(directory, plan.jobs)
    checks = ShardChecks(plan)
    episodes: list[pa.Table] = []
    attention: list[pa.Table] = []
    attending = {entry.id for entry in plan.agents if entry.encoders}
    for job in plan.jobs:
        shard, beside = (directory / folder / job.file for folder in (EPISODES_DIR, ATTENTION_DIR))
        if not shard.exists() or (job.id in attending and not beside.exists()):
            continue
        table = read_shard(shard, EPISODE_SCHEMA, START_FIELDS, ledger)
        checks.episodes(shard, table, job)
        episodes.append(table)
        if beside.exists():
            table = read_shard(beside, ATTENTION_SCHEMA, CONTEXT_FIELDS, ledger)
            checks.attention(beside, table, job)
            attention.append(table)
    return ResultSet(
        path=directory,
        episodes=_to_frame(episodes, EPISODE_SCHEMA),
        attention=_to_frame(attention, ATTENTION_SCHEMA),
        manifest=manifest,
        num_finished=len(episodes),
        has_ledger=ledger.is_kept,
    )


def read_shard(path: Path, schema: pa.Schema, later: Sequence[pa.Field] = (), ledger: Ledger | None = None) -> pa.Table:
    """Read one parquet shard of a result set and check its checksum and its columns.

    Args:
        path: The file.
        schema: Its columns.
        later: The last of them, which files of earlier versions lack; null there.
        ledger: Checksums of the result set's files, as they stood at any time before; None to check none.

    Raises:
        ShardError: It is damaged or has other columns.
    """
    content = read_whole(path, ledger)
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            table = file.read()
    except (OSError, ValueError, pa.ArrowException) as error:  # ValueError: text that is not UTF-8
        raise ShardError(f"{path} is damaged and cannot be read ({_first_line(error)})") from error
    if later and table.schema.names == schema.names[: -len(later)]:
        for field in later:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    if table.schema.names != schema.names or table.schema.types != schema.types:
        raise ShardError(
            f"{path} has the columns {', '.join(table.schema.names)}. Allowed: {', '.join(schema.names)}, with the "
            "types of this version"
        )
    try:
        table.validate(full=True)
    except pa.ArrowException as error:
        raise ShardError(f"{path} is damaged: {_first_line(error)}") from error
    return table


def read_whole(path: Path, ledger: Ledger | None = None) -> bytes:
    """Return the bytes of a file in one of a result set's folders, after comparing it with its checksum.

    Args:
        path: The file.
        ledger: Checksums of the result set's files, as they stood at any time before; None to check none.

    Raises:
        ShardError: It cannot be read, or is not what was written.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ShardError(f"{path} cannot be read ({error.strerror})") from error
    file = f"{path.parent.name}/{path.name}"
    if ledger is not None and ledger.why_not(file, content) is not None:
        why = read_ledger(path.parent.parent).why_not(file, content)  # it may have been written a moment ago
        if why is not None:
            raise ShardError(f"{path} is damaged: it {why}")
    return content


def _refuse_strangers(directory: Path, jobs: Sequence[JobEntry]) -> None:
    """Refuse shards that the manifest does not know."""
    known = {job.file for job in jobs}
    for folder in (EPISODES_DIR, ATTENTION_DIR, STEPS_DIR):
        for path in sorted((directory / folder).glob("*.parquet")):
            if path.name not in known and not path.name.startswith("."):
                raise ResultSetError(
                    f"{path} belongs to no job of {directory / MANIFEST_NAME}. Move it to the run it comes from."
                )


def _to_frame(tables: list[pa.Table], schema: pa.Schema) -> pd.DataFrame:
    """Join shards into a data frame; integers that may be missing as nullable ones."""
    table = pa.concat_tables(tables) if tables else schema.empty_table()
    nullable = [field.name for field in schema if field.nullable and pa.types.is_integer(field.type)]
    return table.to_pandas().astype(dict.fromkeys(nullable, "Int64"))


def _first_line(error: BaseException) -> str:
    """Return the first line of an error's text."""
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__


MARK = "\u00a7"
"""Stands behind the name of an agent that reads the emulator's memory."""
LEGEND = f"{MARK}: reads the emulator's memory, not only pixels."


DRAWS = "\u2021"
"""Stands behind the name of an agent whose results need not repeat."""
DRAWS_LEGEND = f"{DRAWS}: draws random numbers of its own: the same seeds need not give the same table."


def drawing_agents(manifest: Manifest) -> tuple[str, ...]:
    """Return the names of the agents that answered otherwise when they were asked twice for the same, sorted."""
    return tuple(sorted({entry.agent for entry in manifest.plan.agents if entry.draws}))


def privileged_agents(manifest: Manifest) -> frozenset[str]:
    """Return the names of the agents that read more than pixels."""
    return frozenset(entry.agent for entry in manifest.plan.agents if entry.privileged)


def compared_agents(agents: Sequence[str], manifest: Manifest) -> tuple[str, ...]:
    """Return the agents among which claims are made: those on pixels, or all where the run has none of them.

    Args:
        agents: The agents that have played, in order.
        manifest: The run's manifest; agents that have not played yet count as part of the run.
    """
    privileged = privileged_agents(manifest)
    of_run = {*agents, *(entry.agent for entry in manifest.plan.agents)}
    return tuple(agent for agent in agents if agent not in privileged or of_run <= privileged)


def marked_name(agent: str, privileged: Collection[str]) -> str:
    """Return an agent's name with its mark, if it is one of the privileged ones."""
    return f"{agent} {MARK}" if agent in privileged else agent
