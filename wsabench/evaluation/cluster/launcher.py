"""Launching the parts of a run through submitit: one job of a cluster for each part, waited for, then merged."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsabench.errors import ResultSetError, SpecError, WorkerError, unknown_name
from wsabench.resources import check_place
from wsabench.results.merged_files import Merged, write_merged
from wsabench.words import counted

LAUNCHERS = ("slurm", "local")
OPTIONS = ("shards", "partition", "time", "cpus", "mem")
_TIME = "24:00:00"
"""How long a job may take where the user does not say; submitit would end it after minutes."""
_POLL_SECONDS = 1.0
_MOST_SHARDS = 10_000
_LOG_LEVEL = "SUBMITIT_LOG_LEVEL"


@dataclass(frozen=True, slots=True)
class Launch:
    """How the parts of a run are launched; made by `parse`."""

    launcher: str
    """`slurm`, or `local` for processes of this machine."""
    shards: int
    """Number of parts."""
    cpus: int
    """Cores of each job of the cluster, which plays with as many workers."""
    parameters: Mapping[str, Any]
    """What else submitit is told."""

    @classmethod
    def parse(cls, launcher: str | None, words: Sequence[str], workers: int | None = None) -> Launch:
        """Return what a user asks for.

        Args:
            launcher: The launcher's name; None where the user gave none.
            words: Options, each as `KEY=VALUE` with a key of `OPTIONS`.
            workers: Processes of each part; None: one for each of its cores.

        Raises:
            SpecError: There are options without a launcher, a value is malformed, or the number of parts is missing.
            UnknownNameError: There is no such launcher or option.
        """
        if launcher is None:
            raise SpecError("--launcher-option is given without --launcher. Give both.")
        if launcher not in LAUNCHERS:
            raise unknown_name("launcher", launcher, LAUNCHERS)
        given: dict[str, str] = {}
        for word in words:
            key, equals, value = word.partition("=")
            if key not in OPTIONS:
                raise unknown_name("launcher option", key, OPTIONS)
            if not equals or not value:
                raise SpecError(f"--launcher-option is {word!r}. Allowed: KEY=VALUE, as in shards=8.")
            given[key] = value
        if "shards" not in given:
            raise SpecError(f"--launcher {launcher} does not say how many jobs. Give --launcher-option shards=8, say.")
        cpus = _whole("cpus", given.get("cpus", str(workers or 1)), 4096)
        parameters: dict[str, Any] = {"cpus_per_task": cpus, "timeout_min": _minutes(given.get("time", _TIME))}
        if "mem" in given:
            parameters["mem_gb"] = _gigabytes(given["mem"])
        if "partition" in given and launcher == "slurm":
            parameters["slurm_partition"] = given["partition"]
        return cls(launcher, _whole("shards", given["shards"], _MOST_SHARDS), cpus, parameters)


def launch(asked: Launch, words: Sequence[str], out: Path, note: Callable[[str], None]) -> Merged:
    """Submit one job of a cluster for each part, wait for all, and merge what they played.

    Parts and logs stand in `OUT.parts`; the same command goes on there.

    Args:
        asked: How parts are launched.
        words: The command after `wsabench`, without `--shard`, `--out` and `--workers`.
        out: Directory of the merged result set; new or empty.
        note: Hears of progress.

    Returns:
        What was merged.

    Raises:
        ResultSetError: `out` is not empty.
        SpecError: There is no SLURM here, or no submitit.
        StorageError: `out` cannot be written.
        WorkerError: SLURM takes no job, or a job failed; what was finished is kept.
    """
    submitit = check_start(asked, out)
    folder = out.with_name(f"{out.name}.parts")
    parts = [folder / f"{index}-of-{asked.shards}" for index in range(1, asked.shards + 1)]
    commands = [
        [*words, "--shard", f"{index}/{asked.shards}", "--out", str(part), "--workers", str(asked.cpus)]
        for index, part in enumerate(parts, 1)
    ]
    jobs = _submitted(submitit, asked, folder / "logs", commands)
    named = ", ".join(str(job.job_id) for job in jobs)
    note(f"Submitted {counted(len(jobs), 'job')}: {named}. Logs: {folder / 'logs'}")
    try:
        _wait(jobs, note)
    except BaseException:
        for job in jobs:
            if not job.done():
                job.cancel()
        raise
    _check(jobs, folder)
    return write_merged(parts, out)


def check_start(asked: Launch, out: Path) -> Any:
    """Return submitit; refuse a launch for which the place or the cluster is not there.

    Args:
        asked: How parts are launched.
        out: Directory of the merged result set.

    Raises:
        ResultSetError: `out` is not empty.
        SpecError: There is no SLURM here, or no submitit.
        StorageError: `out` cannot be written.
    """
    check_place(out)
    if out.exists() and any(not path.name.startswith(".") for path in out.glob("*")):
        raise ResultSetError(
            f"{out} is not empty. A launcher merges into a new directory: give another one with --out, or go on there "
            "without --launcher."
        )
    submitit = _submitit()
    if asked.launcher == "slurm" and shutil.which("srun") is None:
        raise SpecError(
            "--launcher slurm takes a machine of a SLURM cluster: there is no srun here. Start it there, or give "
            "--launcher local for processes of this machine."
        )
    return submitit


def _submitted(submitit: Any, asked: Launch, logs: Path, commands: Sequence[Sequence[str]]) -> Sequence[Any]:
    """Return the jobs of some commands, which were submitted.

    Raises:
        WorkerError: The cluster refuses the jobs.
    """
    executor = submitit.AutoExecutor(folder=str(logs), cluster=asked.launcher)
    executor.update_parameters(name="wsabench", **asked.parameters)
    try:
        return executor.map_array(play_part, commands)
    except (OSError, subprocess.CalledProcessError, submitit.core.utils.FailedJobError) as error:
        raise WorkerError(
            f"SLURM took no job: {' '.join(str(error).split())}. See the options under --launcher-option."
        ) from error


def _submitit() -> Any:
    """Return submitit as it is without a logging of its own.

    It would set up the logging of the whole process when it is imported: close the handlers of others, and keep the
    standard output of that moment, where its lines would stand before those of `--json`.
    """
    before = os.environ.get(_LOG_LEVEL)
    os.environ[_LOG_LEVEL] = "NOCONFIG"
    try:
        import submitit
    except ImportError as error:
        raise SpecError("--launcher takes submitit. Install it: pip install 'wsabench[slurm]'.") from error
    finally:
        if before is None:
            del os.environ[_LOG_LEVEL]
        else:
            os.environ[_LOG_LEVEL] = before
    return submitit


def play_part(words: Sequence[str]) -> int:
    """Play a part, in the job; its output stands in the job's log.

    Args:
        words: The command after `wsabench`.

    Returns:
        The exit code.
    """
    process = subprocess.Popen([sys.executable, "-P", "-m", "wsabench", *words])
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _wait(jobs: Sequence[Any], note: Callable[[str], None]) -> None:
    """Wait until all jobs are done."""
    told = 0
    while (done := sum(job.done() for job in jobs)) < len(jobs):
        if done > told:
            note(f"{done} of {len(jobs)} parts are done.")
            told = done
        time.sleep(_POLL_SECONDS)


def _check(jobs: Sequence[Any], folder: Path) -> None:
    """Refuse to merge where a part failed."""
    failed = []
    for index, job in enumerate(jobs, 1):
        error = job.exception()
        if error is not None:
            failed.append(f"part {index}/{len(jobs)} ({str(error).splitlines()[0]}; {job.paths.stderr})")
        elif code := job.result():
            failed.append(f"part {index}/{len(jobs)} (exit code {code}; {job.paths.stderr})")
    if failed:
        raise WorkerError(
            f"{len(failed)} of {counted(len(jobs), 'job')} failed: {'; '.join(failed[:3])}. What was finished is kept "
            f"in {folder}: the same command goes on from there, and `wsabench merge` takes what is there."
        )


def _whole(key: str, text: str, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= most:
        raise SpecError(f"--launcher-option {key} is {text!r}. Allowed: whole numbers from 1 to {most}.")
    return int(text)


def _minutes(text: str) -> int:
    """Return minutes from what SLURM calls a time: minutes, HH:MM:SS or D-HH:MM:SS."""
    found = re.fullmatch(r"(?:([0-9]{1,4})-)?([0-9]{1,4}):([0-9]{2}):([0-9]{2})", text)
    if found:
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return max((days * 24 + hours) * 60 + minutes + (seconds > 0), 1)
    if re.fullmatch(r"[1-9][0-9]{0,6}", text):
        return int(text)
    raise SpecError(f"--launcher-option time is {text!r}. Allowed: minutes, HH:MM:SS or D-HH:MM:SS.")


def _gigabytes(text: str) -> float:
    """Return gigabytes from what SLURM calls memory: megabytes, or a number with M, G or T."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]+)?)([MGT]?)B?", text.upper())
    if not found or float(found[1]) <= 0:
        raise SpecError(f"--launcher-option mem is {text!r}. Allowed: a number with M, G or T, as in 8G.")
    return float(found[1]) * {"": 1 / 1024, "M": 1 / 1024, "G": 1.0, "T": 1024.0}[found[2]]
