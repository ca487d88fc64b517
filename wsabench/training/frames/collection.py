"""Collecting frames: random play, an expert's play, or half of each, shard by shard.

A shard is one lane with seeds of its own, so its content depends on neither the lanes played beside it nor the number
of processes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from wsabench import seeding
from wsabench.errors import SpecError, WorkerError, unknown_name
from wsabench.processes import Failure, Worker, serve, single_thread, started
from wsabench.progress import Reporter, SilentReporter
from wsabench.resources import make_dir
from wsabench.training.frames.experts import Expert, sampled_actions
from wsabench.training.frames.sources import LaneSource, StepSource
from wsabench.training.frames.store import FrameStore, Shard, open_frames
from wsabench.training.frames.writer import ShardEncoder, StoreWriter
from wsabench.types import DeclaredPolicy
from wsabench.words import counted

MakeSource = Callable[[str], StepSource]
"""Makes a game to play from its id."""
DATA_KINDS = ("random", "expert", "mixed")
SHARD_FRAMES = 4_000
SMALLEST_STORE = 100
EXPERT_LANES = 8
"""Shards of an expert that are played side by side, to share its forward passes."""
REPORT_STEPS = 250


@dataclass(frozen=True)
class Collection:
    """What to collect; a process can be told it.

    Attributes:
        game: The game's id.
        num_frames: Number of steps to store; rounded up to whole shards (for `mixed` to an even number of them).
        data: `random`; `expert`; or `mixed`: shards of both, alternating.
        expert: Who plays the expert's shards; needed unless `data` is `random`.
        seed: Fixes every game and every action.
        longest_shard: Steps of a shard, fewer where that is more than there are.
    """

    game: str
    num_frames: int
    data: str = "random"
    expert: Expert | None = None
    seed: int = 0
    longest_shard: int = SHARD_FRAMES

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            SpecError: The number of frames is too small, or there is no expert where one is needed.
            UnknownNameError: No such kind of data.
        """
        if self.num_frames < SMALLEST_STORE:
            raise SpecError(f"The number of frames is {self.num_frames}. Allowed: integers from {SMALLEST_STORE}.")
        if self.data not in DATA_KINDS:
            raise unknown_name("kind of pre-training data", self.data, DATA_KINDS)
        if (self.expert is None) != (self.data == "random"):
            needed = "needs an expert" if self.expert is None else "has no expert"
            raise SpecError(f"Pre-training data {self.data!r} {needed}. Use data 'expert' or 'mixed' with an expert.")

    @property
    def shard_frames(self) -> int:
        """Steps of a shard."""
        num_kinds = 2 if self.data == "mixed" else 1
        return min(self.longest_shard, -(-self.num_frames // num_kinds))

    @property
    def num_shards(self) -> int:
        """Number of shards."""
        num = -(-self.num_frames // self.shard_frames)
        return num + num % 2 if self.data == "mixed" else num

    @property
    def group(self) -> int:
        """Shards that are played side by side."""
        return {"random": 1, "expert": EXPERT_LANES, "mixed": 2 * EXPERT_LANES}[self.data]

    def is_expert(self, shard: int) -> bool:
        """Whether the expert plays a shard."""
        return self.data == "expert" or (self.data == "mixed" and shard % 2 == 1)

    def holds_actions(self, shard: int) -> bool:
        """Whether a randomly played shard holds each action for some steps: every second one of them."""
        return (shard // 2 if self.data == "mixed" else shard) % 2 == 1

    def folder_name(self) -> str:
        """Return a name that differs where the content does."""
        expert = "" if self.expert is None else f"-{self.expert.name}-{self.expert.hash[:8]}"
        return f"{self.game}-{self.data}{expert}-frames{self.num_frames}-seed{self.seed}"

    def settings(self) -> dict[str, Any]:
        """Return what `store.json` says."""
        return {
            "game": self.game,
            "seed": self.seed,
            "num_shards": self.num_shards,
            "shard_frames": self.shard_frames,
            "data": self.data,
            "expert": "" if self.expert is None else self.expert.name,
            "expert_hash": "" if self.expert is None else self.expert.hash,
        }


def collect_frames(
    collection: Collection,
    path: Path,
    *,
    make_source: MakeSource = LaneSource,
    workers: int = 1,
    reporter: Reporter | None = None,
) -> FrameStore:
    """Play and store what was seen; an unfinished store at `path` is continued.

    Half of the random shards draw a uniform action each step; the others hold each drawn action for 1 to 8 steps, which
    moves a paddle or a ship further than a random walk does. The expert samples its actions.

    Another process that fills the same store is waited for.

    Args:
        collection: What to play.
        path: The store's folder.
        make_source: Makes a game to play from its id; by default a clean lane.
        workers: Processes that play; the store is the same with any number.
        reporter: Gets the progress; None: silent.

    Returns:
        The finished store, opened for reading.

    Raises:
        SpecError: The number of workers is below 1, the expert's actions do not fit, or several processes cannot import
            `make_source`.
        StorageError: The folder cannot be written, or holds a store made with other settings.
        WorkerError: A worker process died or failed; finished shards are kept.
    """
    if workers < 1:
        raise SpecError(f"The number of workers is {workers}. Allowed: integers from 1.")
    reporter = reporter or SilentReporter()
    with _alone(make_dir(path)):
        writer = StoreWriter(path, collection.settings())
        reporter.start("collect frames", collection.num_shards * collection.shard_frames, "steps")
        reporter.advance(writer.finished * collection.shard_frames)
        bounds = range(writer.finished, collection.num_shards, collection.group)
        groups = [range(first, min(first + collection.group, collection.num_shards)) for first in bounds]
        play = _play_in_turn if workers == 1 else _play_in_processes(workers)
        with contextlib.closing(play(collection, groups, make_source, reporter)) as played:
            for shards in played:
                for shard in shards:
                    writer.append(shard)
        reporter.finish()
    return open_frames(path)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process writes to a folder; the system frees it when the process ends in any way."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def play_shards(
    collection: Collection,
    shards: Sequence[int],
    sources: Sequence[StepSource],
    policy: DeclaredPolicy | None,
    count_steps: Callable[[int], None] = lambda _: None,
) -> list[Shard]:
    """Play some shards side by side.

    Args:
        collection: What to play.
        shards: Numbers of the shards.
        sources: A game for each.
        policy: The expert; None where no shard needs it.
        count_steps: Gets the number of steps played, now and then.
    """
    lanes = [_Lane(collection, shard, source) for shard, source in zip(shards, sources, strict=False)]
    experts = [lane for lane in lanes if lane.is_expert]
    for row in range(collection.shard_frames):
        playing = [lane for lane in experts if not lane.has_ended]
        if playing and policy is not None:
            num_actions = playing[0].source.num_actions
            stacks = np.stack([lane.source.stack() for lane in playing])
            starts = [lane.is_start for lane in playing]
            numbers = [lane.shard for lane in playing]
            chosen = sampled_actions(policy, stacks, numbers, [lane.rng for lane in playing], starts, num_actions)
            for lane, action in zip(playing, chosen.tolist(), strict=True):
                lane.next_action = action
        for lane in lanes:
            lane.play_row()
        if (row + 1) % REPORT_STEPS == 0 or row + 1 == collection.shard_frames:
            count_steps(len(lanes) * (row % REPORT_STEPS + 1))
    return [lane.encoder.finish() for lane in lanes]


class _Lane:
    """One shard being played."""

    def __init__(self, collection: Collection, shard: int, source: StepSource) -> None:
        self.source, self.shard = source, shard
        self.is_expert = collection.is_expert(shard)
        self.rng = seeding.generator(collection.seed, "frames", collection.game, shard)
        self.encoder = ShardEncoder(collection.shard_frames)
        self.has_ended, self.is_start = True, False
        self.next_action = 0
        self._collection = collection
        self._holds = collection.holds_actions(shard)
        self._episode = (shard << 12) - 1
        self._hold = 0

    def play_row(self) -> None:
        """Start a game where the last one ended, else play one step; keep what is seen."""
        if self.has_ended:
            self._episode, self._hold, self.has_ended, self.is_start = self._episode + 1, 0, False, True
            names = ("frames", self._collection.game, self._episode)
            self.source.reset(seeding.training_seed(self._collection.seed, *names))
            action = 0
        else:
            self.is_start = False
            action = self.next_action if self.is_expert else self._random_action()
            self.has_ended = self.source.step(action)
        self.encoder.append(self.source.newest(), self.source.ram(), action, self._episode)

    def _random_action(self) -> int:
        if self._hold == 0:
            self.next_action = int(self.rng.integers(self.source.num_actions))
            self._hold = int(self.rng.integers(1, 9)) if self._holds else 1
        self._hold -= 1
        return self.next_action


_Groups = Sequence[Sequence[int]]


def _play_in_turn(
    collection: Collection, groups: Iterable[Sequence[int]], make_source: MakeSource, reporter: Reporter
) -> Generator[list[Shard], None, None]:
    """Play the groups in this process."""
    policy: DeclaredPolicy | None = None
    sources: list[StepSource] = []
    for group in groups:
        if policy is None and collection.expert is not None:
            policy = collection.expert.load()
        while len(sources) < len(group):
            sources.append(make_source(collection.game))
        yield play_shards(collection, group, sources, policy, reporter.advance)


def _play_in_processes(workers: int) -> Callable[..., Generator[list[Shard], None, None]]:
    """Return a player of groups in `workers` processes; not many groups wait to be written."""

    def play(
        collection: Collection, groups: _Groups, make_source: MakeSource, reporter: Reporter
    ) -> Generator[list[Shard], None, None]:
        _check_importable(make_source)
        number = min(workers, len(groups))
        orders = [*groups, *[None] * number]  # in turn to each process; None: nothing is left for it
        with started(number, _serve, (collection, make_source), "wsabench-collect") as players:
            num_sent = 0
            for index, group in enumerate(groups):
                player = players[index % number]
                with _noticing_death(player, group[0], collection):
                    for order in orders[num_sent : index + 2 * number]:
                        players[num_sent % number].connection.send(order)
                        num_sent += 1
                    shards: list[Shard] | Failure = player.connection.recv()
                if isinstance(shards, Failure):
                    raise shards.to_error("A worker process", _way_on(group[0], collection))
                reporter.advance(len(shards) * collection.shard_frames)
                yield shards

    return play


@contextlib.contextmanager
def _noticing_death(player: Worker, num_kept: int, collection: Collection) -> Iterator[None]:
    """Turn a broken connection into the error for a process that is gone."""
    try:
        yield
    except (EOFError, ConnectionResetError, BrokenPipeError) as error:
        raise WorkerError(f"A worker process {player.how_it_ended()}. {_way_on(num_kept, collection)}") from error


def _way_on(num_kept: int, collection: Collection) -> str:
    """Say what is kept and what to do when a worker process cannot go on."""
    return (
        f"Kept: {num_kept} of {counted(collection.num_shards, 'shard')}. Start the same collection again to go on, "
        "with fewer workers if it ends again."
    )


def _check_importable(make_source: MakeSource) -> None:
    """Refuse what a process of its own cannot import."""
    name = getattr(make_source, "__qualname__", repr(make_source))
    if getattr(make_source, "__module__", None) == "__main__" or "<" in name:
        raise SpecError(
            f"{name} is defined in the program's main module or inside a function, where worker processes cannot find "
            "it. Move it into a module that can be imported, or use workers=1."
        )


def _serve(connection: Connection, collection: Collection, make_source: MakeSource) -> None:
    """Play groups in a worker process until None comes instead of one."""

    def work() -> None:
        import torch  # noqa: F401  (before `single_thread`, which leaves it alone where nothing has loaded it)

        with single_thread():
            for shards in _play_in_turn(collection, iter(connection.recv, None), make_source, SilentReporter()):
                connection.send(shards)

    serve(connection, work)
