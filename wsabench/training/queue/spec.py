"""The queue file: which runs there are, what they depend on, and what is wrong with it."""

from __future__ import annotations

import graphlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from wsabench.errors import SpecError, UnknownNameError, nearest_names
from wsabench.fields import read_toml

RunKind = Literal["frames", "pretrain", "train"]
RUN_KINDS: tuple[RunKind, ...] = get_args(RunKind)
REFERENCE = "run:"
"""What a value that names another run's result begins with."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_TEXT, _COUNT, _NUMBER, _FLAG, _LIST, _TABLE = (
    "a text",
    "a whole number",
    "a number",
    "true or false",
    "a list",
    "a table",
)
_COMMON = {"id": _TEXT, "kind": _TEXT, "game": _TEXT, "after": _LIST, "tier": _TEXT, "seed": _COUNT, "workers": _COUNT}
_COLLECTING = {"frames": _COUNT, "data": _TEXT, "expert": _TEXT}
_KEYS: dict[RunKind, dict[str, str]] = {
    "frames": {**_COMMON, **_COLLECTING},
    "pretrain": {
        **_COMMON,
        **_COLLECTING,
        "size": _TEXT,
        "steps": _TABLE,
        "device": _TEXT,
        "shipped": _FLAG,
        "with_shipped": _FLAG,
    },
    "train": {
        **_COMMON,
        "agent": _TEXT,
        "name": _TEXT,
        "algorithm": _TEXT,
        "preset": _TEXT,
        "steps": _COUNT,
        "suite": _TEXT,
        "perturbations": _LIST,
        "clean_share": _NUMBER,
        "evaluate_every": _COUNT,
        "evaluation_episodes": _COUNT,
        "patience": _COUNT,
        "target_return": _NUMBER,
        "tensorboard": _FLAG,
        "track": _LIST,
        "device": _TEXT,
        "encoders": _TEXT,
    },
}
_NEEDED: dict[RunKind, tuple[str, ...]] = {"frames": ("game",), "pretrain": ("game",), "train": ("agent", "game")}
_REFERENCES: dict[str, RunKind] = {"expert": "train", "encoders": "pretrain", "frames": "frames"}
"""Keys that may name another run's result, and the kind of run it has to be."""
_NO_SETTINGS = ("id", "kind", "after", "tier", "device", "workers", "name", "shipped", "track")
"""Keys that do not change what a run computes on one kind of device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRun:
    """One run of a queue."""

    id: str
    kind: RunKind
    game: str
    options: Mapping[str, Any]
    """Every key of its table as it stands in the file."""
    after: tuple[str, ...] = ()
    """Runs that have to be finished before it starts."""
    tier: str = ""
    """The part of the plan that it belongs to; shown, and counted together."""

    @property
    def seed(self) -> int:
        """Train seed, or the seed of frames and initial weights."""
        return int(self.options.get("seed", 0))

    @property
    def agent(self) -> str:
        """The agent that is trained; empty for other kinds."""
        return str(self.options.get("agent", ""))

    @property
    def name(self) -> str:
        """The name under which the trained agent is handed over."""
        return str(self.options.get("name", Path(self.agent).stem if self.agent.endswith(".toml") else self.agent))

    @property
    def is_shipped_encoders(self) -> bool:
        """Whether it makes the encoders that the game ships."""
        return self.kind == "pretrain" and bool(self.options.get("shipped", True))

    @property
    def settings(self) -> dict[str, Any]:
        """The options that decide what comes out."""
        return {key: value for key, value in self.options.items() if key not in _NO_SETTINGS}

    def reference(self, key: str) -> str | None:
        """Return the id of the run that an option names; None where it names none."""
        value = self.options.get(key)
        return value.removeprefix(REFERENCE) if isinstance(value, str) and value.startswith(REFERENCE) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue file, read."""

    name: str
    """What its section of a table of runs is called."""
    path: Path
    runs: tuple[QueueRun, ...]

    def __getitem__(self, run_id: str) -> QueueRun:
        """Return a run by its id."""
        return next(run for run in self.runs if run.id == run_id)

    def where(self, run: QueueRun, key: str = "") -> str:
        """Return the place of a run's key, as messages name it."""
        return f"{self.path}, run {run.id!r}{f', {key}' if key else ''}"

    def shard(self, number: int, of: int) -> tuple[QueueRun, ...]:
        """Return the runs of every `of`-th game, counted from the `number`-th, in the order of the file.

        Args:
            number: From 1 to `of`.
            of: How many shards there are.

        Raises:
            SpecError: The number is out of range.
        """
        if not 1 <= number <= of:
            raise SpecError(f"The shard is {number}/{of}. Allowed: 1/{max(of, 1)} to {max(of, 1)}/{max(of, 1)}.")
        games = list(dict.fromkeys(run.game for run in self.runs))
        return tuple(run for run in self.runs if games.index(run.game) % of == number - 1)


def read_queue(path: Path) -> Queue:
    """Read a queue file and check its structure: keys, types, ids, dependencies.

    Raises:
        SpecError: It is malformed; the message names file, run and key.
        StorageError: It cannot be read.
        UnknownNameError: A key or an id does not exist.
    """
    table = read_toml(path, "the queue ", "Give the path of a TOML file.")
    name = table.pop("name", path.stem)
    tables = table.pop("run", [])
    if table:
        raise SpecError(f"{path}: unknown key {next(iter(table))!r}. Allowed: name, and [[run]] tables.")
    if not isinstance(name, str) or _ID.fullmatch(name) is None:
        raise SpecError(f"{path}, name: is {name!r}. Allowed: letters, digits, and _ . - after the first.")
    if not isinstance(tables, list) or not tables or not all(isinstance(one, dict) for one in tables):
        raise SpecError(f"{path}: there are no runs. Add at least one [[run]] table.")
    queue = Queue(
        name=name, path=path, runs=tuple(_read_run(path, one, number) for number, one in enumerate(tables, 1))
    )
    _check_dependencies(queue)
    return queue


def _read_run(path: Path, table: dict[str, Any], number: int) -> QueueRun:
    run_id = table.get("id")
    if not isinstance(run_id, str) or _ID.fullmatch(run_id) is None:
        raise SpecError(
            f"{path}, run number {number}, id: is {run_id!r}. Allowed: letters, digits, and _ . - after the first."
        )
    where = f"{path}, run {run_id!r}"
    kind = table.get("kind")
    if kind not in RUN_KINDS:
        raise SpecError(f"{where}, kind: is {kind!r}. Allowed: {', '.join(RUN_KINDS)}.")
    keys = _KEYS[kind]
    for key, value in table.items():
        if key not in keys:
            near = nearest_names(key, keys)
            hint = f"Did you mean {near[0]!r}?" if near else f"Allowed: {', '.join(sorted(keys))}."
            raise UnknownNameError(f"{where}: unknown key {key!r}. {hint}")
        if not _is_a(value, keys[key]) and not (key == "frames" and kind == "pretrain" and _is_reference(value)):
            raise SpecError(f"{where}, {key}: is {value!r}. Allowed: {keys[key]}.")
    for key in _NEEDED[kind]:
        if key not in table:
            raise SpecError(f"{where}, {key}: is missing. Add it.")
    after = table.get("after", [])
    if not all(isinstance(one, str) for one in after):
        raise SpecError(f"{where}, after: is {after!r}. Allowed: a list of ids.")
    return QueueRun(
        id=run_id, kind=kind, game=table["game"], options=table, after=tuple(after), tier=table.get("tier", "")
    )


def _is_a(value: object, kind: str) -> bool:
    if kind in (_COUNT, _NUMBER):
        types = int if kind == _COUNT else (int, float)
        return isinstance(value, types) and not isinstance(value, bool) and (kind == _NUMBER or value >= 0)  # pyright: ignore[reportOperatorIssue]
    return isinstance(value, {_TEXT: str, _FLAG: bool, _LIST: list, _TABLE: dict}[kind])


def _is_reference(value: object) -> bool:
    return isinstance(value, str) and value.startswith(REFERENCE)


def _check_dependencies(queue: Queue) -> None:
    known: dict[str, QueueRun] = {}
    for run in queue.runs:
        if run.id in known:
            raise SpecError(f"{queue.where(run, 'id')}: is given twice. Give each run an id of its own.")
        known[run.id] = run
    for run in queue.runs:
        for one in run.after:
            _check_known(queue, run, "after", one, known)
            if known[one].game != run.game:
                raise SpecError(
                    f"{queue.where(run, 'after')}: {one!r} is a run of {known[one].game}, this one of {run.game}. "
                    "Allowed: runs of the same game, so that a queue can be split by games."
                )
        for key, kind in _REFERENCES.items():
            if (one := run.reference(key)) is not None:
                _check_known(queue, run, key, one, known)
                _check_reference(queue, run, key, known[one], kind)
    try:
        graphlib.TopologicalSorter({run.id: run.after for run in queue.runs}).prepare()
    except graphlib.CycleError as error:
        raise SpecError(
            f"{queue.path}, after: the runs wait for each other: {' -> '.join(error.args[1])}. Break the circle."
        ) from error
    _check_shipped(queue)


def _check_known(queue: Queue, run: QueueRun, key: str, one: str, known: Mapping[str, QueueRun]) -> None:
    if one not in known:
        near = nearest_names(one, known)
        hint = f"Did you mean {near[0]!r}?" if near else "Allowed: ids of this file."
        raise UnknownNameError(f"{queue.where(run, key)}: there is no run {one!r}. {hint}")


def _check_reference(queue: Queue, run: QueueRun, key: str, other: QueueRun, kind: RunKind) -> None:
    where = queue.where(run, key)
    if other.kind != kind:
        raise SpecError(f"{where}: {other.id!r} is a run of kind {other.kind!r}. Allowed: one of kind {kind!r}.")
    if other.id not in run.after:
        raise SpecError(f"{where}: {other.id!r} is not among the runs that it comes after. Add it to `after`.")
    if key == "frames":
        for given in ("data", "expert"):
            if given in run.options:
                raise SpecError(f"{queue.where(run, given)}: the frames of {other.id!r} say that already. Remove it.")
        if run.seed != other.seed:
            raise SpecError(f"{queue.where(run, 'seed')}: is {run.seed}, but {other.id!r} has {other.seed}. Use one.")


def _check_shipped(queue: Queue) -> None:
    """Refuse two results that would be handed over under one name."""
    taken: dict[tuple[str, ...], QueueRun] = {}
    for run in queue.runs:
        if run.kind == "train":
            place = (run.game, run.name, str(run.seed))
        elif run.is_shipped_encoders:
            place = (run.game, "encoders")
        else:
            continue
        if place in taken:
            key = "name" if run.kind == "train" else "shipped"
            raise SpecError(
                f"{queue.where(run, key)}: would be handed over under the same name as {taken[place].id!r}. "
                f"{'Give it another name or seed.' if key == 'name' else 'Set it to false in one of them.'}"
            )
        taken[place] = run


def parse_shard(text: str) -> tuple[int, int]:
    """Return number and count of `i/n`.

    Raises:
        SpecError: It is something else, or `i` is not from 1 to `n`.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise SpecError(f"--shard is {text!r}. Allowed: i/n with i from 1 to n, for example 1/2.")
    return int(match[1]), int(match[2])


def of_shard(queue: Queue, shard: tuple[int, int] | None) -> Sequence[QueueRun]:
    """Return the runs of a shard, or all."""
    return queue.runs if shard is None else queue.shard(*shard)
