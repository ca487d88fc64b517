"""A campaign: a queue that is worked through from a frozen clone of this repository, outside the checkout."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsabench.agents.fetching import REGISTRY, write_registry
from wsabench.errors import SpecError, StorageError, WorkerError, unknown_name
from wsabench.fields import read_toml
from wsabench.resources import EXTRA, atomic_path, make_dir, writing
from wsabench.training.queue import read_records, records_path, write_records
from wsabench.training.queue.handover import RUNS_PAGE
from wsabench.training.queue.record import RunRecord

PLAN = "baselines/campaign.toml"
QUEUE = "baselines/queue.toml"
"""The queue of a campaign that names no other."""
ENVIRONMENT_TARGET = ".venv/.campaign"
NICE = "19"
SHIPPED_TIERS = ("", "a", "b", "c")
"""What a checkout carries; the agents of other tiers go to `baselines-extra`, which git ignores."""
START_SECONDS = 900.0
_COMMIT = re.compile(r"[0-9a-f]{40}")
_FOREIGN = ("PYTHONPATH", "VIRTUAL_ENV", "WSABENCH_DATA", "WSABENCH_PERTURBATIONS")
"""Variables that would let the clone run or read something else than its commit."""
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """One campaign and its places."""

    name: str
    commit: str
    """Hash of the commit that is cloned, hexadecimal."""
    root: Path
    """The checkout that finished files come from and go to."""
    folder: Path
    """Where clone, work and log lie."""
    queue: str = QUEUE
    """The queue file, counted from the checkout."""

    @property
    def clone(self) -> Path:
        """The frozen checkout."""
        return self.folder / "checkout"

    @property
    def work(self) -> Path:
        """The queue's folder."""
        return self.folder / "work"

    @property
    def baselines(self) -> Path:
        """The checkout's agents, which are shipped."""
        return self.root / "baselines"

    @property
    def extra(self) -> Path:
        """The checkout's agents that are not shipped."""
        return self.root / EXTRA

    @property
    def waiting(self) -> Path:
        """What is finished and waits for other runs before it takes its place among the baselines; laid out as they."""
        return self.baselines / "records" / "waiting"

    @property
    def log(self) -> Path:
        """What the queue prints."""
        return self.folder / "queue.log"

    def command(self, *options: str) -> list[str]:
        """Return the clone's own command line on its own queue."""
        program = str(self.clone / ".venv/bin/wsabench")
        return [program, "train", "--queue", str(self.clone / self.queue), "--out", str(self.work), *options]


def find_campaign(root: Path, name: str | None = None) -> Campaign:
    """Read `baselines/campaign.toml` of a checkout.

    The campaign's folder is `NAME` below the environment variable `WSABENCH_CAMPAIGN`, by default below `campaign`
    beside the checkout.

    Args:
        root: The checkout.
        name: The campaign; None: the current one.

    Raises:
        SpecError: The file is malformed, or names no commit for it.
        StorageError: The file cannot be read.
        UnknownNameError: There is no such campaign.
    """
    path = root / PLAN
    table = read_toml(path, advice="Campaigns start from a checkout.")
    campaigns = table.get("campaigns", {})
    if unknown := table.keys() - {"current", "campaigns", "queues"}:
        raise SpecError(f"{path}: unknown key {min(unknown)!r}. Allowed: current, the tables campaigns and queues.")
    for key, commit in campaigns.items():
        if not isinstance(commit, str) or _COMMIT.fullmatch(commit) is None:
            raise SpecError(f"{path}, campaigns, {key}: is {commit!r}. Allowed: a commit's whole hash, 40 digits.")
    chosen = str(table.get("current")) if name is None else name
    if chosen not in campaigns:
        hint = f'Add `{chosen} = "HASH"` to the table campaigns of {path}.'
        raise unknown_name("campaign", chosen, campaigns, hint)
    place = Path(os.environ.get("WSABENCH_CAMPAIGN") or root.parent / "campaign")
    if place.resolve().is_relative_to(root.resolve()):
        raise SpecError(f"WSABENCH_CAMPAIGN is {place}, inside the checkout. Allowed: a folder outside of it.")
    folder = place.resolve() / chosen
    queue = str(table.get("queues", {}).get(chosen, QUEUE))
    return Campaign(name=chosen, commit=campaigns[chosen], root=root, folder=folder, queue=queue)


def start(campaign: Campaign, tell: Tell) -> int:
    """Clone the commit, make its environment, bring finished files back and start the queue, detached.

    Called again it goes on with what is missing; where the queue runs already, nothing is started.

    Args:
        campaign: The campaign.
        tell: Gets lines for the user.

    Returns:
        The process id of the queue, which is also that of its process group.

    Raises:
        SpecError: The clone's queue belongs to another campaign.
        StorageError: The folder cannot be written, or holds another commit.
        WorkerError: A command failed, or the queue ended at once.
    """
    _clone(campaign, tell)
    tell("Making its environment, the first time this takes a few minutes")
    # By the checkout's Makefile, whose recipe is kept in repair; what is installed are the commit's own pins.
    makefile = str(campaign.root / "Makefile")
    _call(["make", "--directory", str(campaign.clone), "--file", makefile, ENVIRONMENT_TARGET])
    _require_own_queue(campaign)
    pid = _running(campaign)
    if pid is not None:
        tell(f"{campaign.name} runs already, process {pid}.")
    else:
        # What waits or is not shipped first: where the records of all runs lie, its files are not.
        for folder in (campaign.waiting, campaign.extra, campaign.baselines):
            if folder.is_dir():
                tell(_call(campaign.command("--bring-back", str(folder))).strip())
        pid = _detach(campaign)
        tell(f"{campaign.name} started, process {pid}.")
    tell(_instructions(campaign, pid))
    return pid


def collect(campaign: Campaign) -> str:
    """Copy what is finished to the checkout's baselines, by the clone's own program, and return what that said.

    Runs of tiers that are not shipped go to `baselines-extra`. Those that wait, because an agent still reads the
    encoders that they would replace, go to `baselines/records/waiting`. The registry of files (`wsabench agents fetch`
    reads it) is written anew.

    Raises:
        StorageError: A file cannot be moved or written.
        WorkerError: The program failed, or there is no clone.
    """
    folder = campaign.baselines
    told = _call(campaign.command("--export", str(folder)))
    _keep_waiting(campaign)
    apart = _set_apart(campaign)
    write_registry([folder, campaign.extra], folder / REGISTRY, elsewhere=apart)
    return told


def _keep_waiting(campaign: Campaign) -> None:
    """Keep what the clone did not hand over yet: into an empty folder it hands over everything."""
    records = read_records(records_path(campaign.baselines, campaign.name))
    waits = {
        run_id
        for run_id, record in records.items()
        if record.outcome == "finished" and record.kind != "frames" and not record.handed_over
    }
    if not waits:
        shutil.rmtree(campaign.waiting, ignore_errors=True)
        return
    with tempfile.TemporaryDirectory(prefix="handover-", dir=campaign.folder) as made:
        _call(campaign.command("--export", made))
        kept = [one for run_id, one in read_records(records_path(Path(made), campaign.name)).items() if run_id in waits]
        names = {name for record in kept for name in record.handed_over}
        for name in names:
            target = campaign.waiting / name
            make_dir(target.parent)
            with atomic_path(target) as temporary:
                shutil.copyfile(Path(made) / name, temporary)
    for path in campaign.waiting.rglob("*"):
        if path.is_file() and path.relative_to(campaign.waiting).as_posix() not in names:
            path.unlink()
    write_records(records_path(campaign.waiting, campaign.name), campaign.name, kept)
    _name_waiting(campaign, kept)


def _name_waiting(campaign: Campaign, kept: Sequence[RunRecord]) -> None:
    """Let the rows of runs that wait lead to their own curves: the clone's program knows those in place alone."""
    page = campaign.baselines / RUNS_PAGE
    waiting = campaign.waiting.relative_to(campaign.baselines).as_posix()
    rows = {f"| `{record.id}` |": record for record in kept}
    lines = page.read_text(encoding="utf-8").splitlines() if page.is_file() else []
    for place, line in enumerate(lines):
        record = next((of_row for start, of_row in rows.items() if line.startswith(start)), None)
        if record is not None:
            for name in record.handed_over:
                line = line.replace(f"({name})", f"({waiting}/{name})")
            lines[place] = line.replace("| finished", "| finished, its files wait for those of other runs", 1)
    if lines:
        with atomic_path(page) as temporary:
            temporary.write_text("\n".join([*lines, ""]), encoding="utf-8")


def _set_apart(campaign: Campaign) -> list[str]:
    """Move the files of runs that are not shipped out of the baselines, with a copy of their records; return names."""
    records = read_records(records_path(campaign.baselines, campaign.name)).values()
    apart = [record for record in records if record.handed_over and record.tier not in SHIPPED_TIERS]
    names = [name for record in apart for name in record.handed_over]
    for name in names:
        source, target = campaign.baselines / name, campaign.extra / name
        if source.is_file():
            make_dir(target.parent)
            with writing(target):
                source.replace(target)
    here = [record for record in apart if all((campaign.extra / name).is_file() for name in record.handed_over)]
    if here:
        write_records(records_path(campaign.extra, campaign.name), campaign.name, here)
    return names


def status(campaign: Campaign) -> str:
    """Return where the queue stands, as the clone's own program says it.

    Raises:
        WorkerError: It failed, or there is no clone.
    """
    return _call(campaign.command("--status"))


def _clone(campaign: Campaign, tell: Tell) -> None:
    if not campaign.clone.exists():
        tell(f"Cloning {campaign.commit[:12]} to {campaign.clone}")
        make_dir(campaign.folder)
        unfinished = campaign.folder / f"checkout-{os.getpid()}"
        _call(["git", "clone", "--quiet", "--no-checkout", str(campaign.root), str(unfinished)])
        _call(["git", "-C", str(unfinished), "checkout", "--quiet", "--detach", campaign.commit])
        unfinished.rename(campaign.clone)
    found = _call(["git", "-C", str(campaign.clone), "rev-parse", "HEAD"]).strip()
    changed = _call(["git", "-C", str(campaign.clone), "status", "--porcelain", "--untracked-files=no"]).strip()
    if found != campaign.commit or changed:
        what = f"commit {found[:12]}" if found != campaign.commit else f"changed files: {changed.split()[-1]}, ..."
        raise StorageError(
            f"{campaign.clone} is not the frozen commit {campaign.commit[:12]} of {campaign.name}; it has {what}. "
            "Restore it, or remove that folder and call this again; runs go on."
        )


def _require_own_queue(campaign: Campaign) -> None:
    path = campaign.clone / campaign.queue
    found = read_toml(path).get("name")
    if found != campaign.name:
        raise SpecError(f"{path}, name: is {found!r}. Allowed: {campaign.name!r}, as its rows and records are called.")


def _running(campaign: Campaign) -> int | None:
    """Return the process that works through the queue; None where none does."""
    told: dict[str, Any] = json.loads(_call(campaign.command("--status", "--json")))
    return told["pid"]


def _detach(campaign: Campaign) -> int:
    """Start the queue in a session of its own, nice, and wait until it has its folder."""
    with campaign.log.open("ab") as log:
        process = subprocess.Popen(
            ["nice", "-n", NICE, *campaign.command()],
            cwd=campaign.clone,
            env={**_environment(), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _yield_to_other_sessions(process.pid)
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            if process.returncode == 0:
                return process.pid  # nothing was left to do
            lines = campaign.log.read_text(encoding="utf-8", errors="replace").splitlines()
            told = lines[-1] if lines else "It printed nothing."
            raise WorkerError(
                f"The queue ended at once with exit code {process.returncode}: {told} Log: {campaign.log}"
            )
        if _running(campaign) is not None:
            return process.pid
        time.sleep(1.0)
    raise WorkerError(f"The queue did not start within {START_SECONDS:.0f} s. Look into {campaign.log}.")


def _yield_to_other_sessions(pid: int) -> None:
    """Let the session of a process give way: Linux shares the processor by session first, by niceness within one."""
    group = Path(f"/proc/{pid}/autogroup")
    with contextlib.suppress(OSError):  # other systems, or kernels that share by process
        group.write_text(NICE, encoding="ascii")


def _instructions(campaign: Campaign, pid: int) -> str:
    return (
        f"Log:      {campaign.log}\n"
        f"Status:   make campaign-status\n"
        f"Pause:    kill -STOP -- -{pid}     go on: kill -CONT -- -{pid}\n"
        f"Stop:     kill -TERM {pid}     (make campaign goes on from the last checkpoints)\n"
        f"Results:  make campaign-collect copies finished files to {campaign.baselines}"
    )


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in _FOREIGN}


def _call(command: Sequence[str]) -> str:
    """Run a command to its end and return what it printed.

    Raises:
        WorkerError: It failed, or there is no such program.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=_environment(), check=False)
    except OSError as error:
        raise WorkerError(
            f"Cannot run {command[0]}: {error.strerror}. `make campaign` prepares what is needed."
        ) from error
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or "it printed nothing").splitlines()
        raise WorkerError(f"`{' '.join(command)}` failed with exit code {done.returncode}: {' '.join(lines[-5:])}")
    return done.stdout
