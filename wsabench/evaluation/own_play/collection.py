"""An agent's own clean play, for perturbations that feed back what its encoders and its attention gave there.

It is played once, by the process that plans, and kept below the state folder; workers only read it. Whole episodes are
played in rounds of `ROUND_EPISODES` until there are `MIN_STEPS` steps, with seeds of their own that no evaluation
episode has, under the run's protocol. What is kept does not depend on the order in which lanes play.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wsabench.emulator.rom_files import rom_hash
from wsabench.errors import SpecError, StorageError
from wsabench.evaluation.contestants import Contestant
from wsabench.evaluation.own_play.file import (
    FORMAT,
    OwnPlayContent,
    OwnPlayReference,
    StoredOwnPlay,
    arrays_hash,
    write_own_play,
)
from wsabench.evaluation.rollout import EpisodeLanes, EpisodeTask, TaskList, play
from wsabench.hashing import json_hash
from wsabench.processes import single_thread
from wsabench.protocol import Protocol
from wsabench.resources import make_dir, state_dir
from wsabench.results import provenance
from wsabench.results.provenance import ENGINE_VERSION, UNHASHED
from wsabench.results.records import EpisodeOutcome
from wsabench.seeding import own_play_seed
from wsabench.types import DeclaredPolicy, Embedding, EncoderRoster, EncoderState, LaneEncoders

MIN_STEPS = 5_000
"""Steps that are played at least."""
NUM_MOMENTS = 1_024
"""Steps whose embeddings are kept, every set of so many equally likely: 16 to 64 MiB in half precision at compact
size."""
ROUND_EPISODES = 8
"""Episodes that are played at a time."""
_HALF_LIMIT = float(np.finfo(np.float16).max)


def own_play_of(contestant: Contestant, protocol: Protocol, note: Callable[[str], None]) -> OwnPlayReference:
    """Return where an agent's own play is kept; where it is not, it is played now.

    Args:
        contestant: The agent.
        protocol: How it plays.
        note: Gets a sentence before anything is played, and one where a kept file is damaged.

    Raises:
        SpecError: The agent has no encoders.
        StorageError: The play cannot be kept.
    """
    identity = _identity(contestant, protocol)
    who = f"{contestant.name} (train seed {contestant.train_seed}) on {contestant.game}"
    is_hashed = contestant.checkpoint_hash != UNHASHED
    kept = _kept(_path(identity), identity, who, note) if is_hashed else None
    if kept is None:
        note(f"Playing at least {MIN_STEPS:,} clean steps of {who}, for changes that feed embeddings of its own play.")
        content = collect_own_play(contestant.load(protocol.action_selection), contestant, protocol)
        if not is_hashed:  # what it played stands for what it is
            identity["content"] = arrays_hash(content.arrays())
        write_own_play(_path(identity), content, identity)
        kept = StoredOwnPlay(_path(identity))
    return OwnPlayReference(_path(identity), kept.content_hash, kept.num_steps, kept.num_episodes)


def _path(identity: dict[str, Any]) -> Path:
    """Return the file of an own play."""
    return make_dir(state_dir() / "own-play") / f"{json_hash(identity, 32)}.safetensors"


def _kept(path: Path, identity: dict[str, Any], who: str, note: Callable[[str], None]) -> StoredOwnPlay | None:
    """Return the play that is kept; None where there is none or it is damaged."""
    if not path.exists():
        return None
    try:
        kept = StoredOwnPlay(path)
    except StorageError as error:
        note(f"The kept own play of {who} is played again. {error}")
        return None
    if kept.identity != identity:
        note(f"The kept own play of {who} is played again. {path} holds that of another agent or protocol.")
        return None
    return kept


def _identity(contestant: Contestant, protocol: Protocol) -> dict[str, Any]:
    """Return all that decides an agent's own play, as plain values."""
    return {
        "checkpoint_hash": contestant.checkpoint_hash,
        "encoder_hashes": dict(contestant.abilities.encoder_hashes),
        "game": contestant.game,
        "protocol": protocol.to_dict(),
        "rom_hash": rom_hash(contestant.game),
        "format": FORMAT,
        "min_steps": MIN_STEPS,
        "num_moments": NUM_MOMENTS,
        "round_episodes": ROUND_EPISODES,
        "engine_version": ENGINE_VERSION,
        "versions": provenance.decisive_versions(),
    }


def collect_own_play(policy: DeclaredPolicy, contestant: Contestant, protocol: Protocol) -> OwnPlayContent:
    """Let an agent play clean episodes and keep embeddings of them.

    Args:
        policy: The agent, which takes encoder operations.
        contestant: What is known of it.
        protocol: How it plays.

    Returns:
        The means over all steps, of the attention too, and the embeddings of `NUM_MOMENTS` of them (of all where there
        are fewer).

    Raises:
        SpecError: The agent has no encoders.
    """
    lanes = EpisodeLanes(contestant.game, protocol, inputs=contestant.abilities.inputs)
    watchers: list[Watcher] = []
    outcomes: list[EpisodeOutcome] = []
    kept = Moments(NUM_MOMENTS)
    with single_thread():
        while sum(watcher.num_steps for watcher in watchers) < MIN_STEPS:
            new = one_round(kept, len(watchers))
            seeds = [own_play_seed(contestant.game, watcher.episode) for watcher in new]
            tasks = [
                EpisodeTask(0, watcher.episode, seed, "clean", (watcher,))
                for watcher, seed in zip(new, seeds, strict=True)
            ]
            play(policy, lanes, TaskList(tasks), outcomes.append, lambda _: None)
            watchers += new
    lanes.close()
    if not watchers[0].sums:
        raise SpecError(f"The agent {contestant.name!r} has no encoders whose embeddings could be kept. Leave it out.")
    num_steps = sum(watcher.num_steps for watcher in watchers)
    totals = {name: np.sum([watcher.sums[name] for watcher in watchers], axis=0) for name in watchers[0].sums}
    means = {name: np.asarray(total / num_steps, np.float32) for name, total in totals.items()}
    return OwnPlayContent(means, kept.stacked(), num_steps, len(watchers), _mean_attention(policy, outcomes))


def _mean_attention(policy: DeclaredPolicy, outcomes: Sequence[EpisodeOutcome]) -> dict[str, float]:
    """Return each encoder's mean weight over the steps of all episodes, whatever the order in which they ended."""
    sums = [one.attention for one in sorted(outcomes, key=lambda one: one.episode) if one.attention is not None]
    if not sums:
        return {}
    means = np.sum([one.weights for one in sums], axis=0) / sum(one.num_steps for one in sums)
    return dict(zip(policy.abilities.attends_to, means.tolist(), strict=True))


def one_round(kept: Moments, first: int = 0) -> list[Watcher]:
    """Return what watches the episodes of a round, which are numbered from `first`."""
    return [Watcher(first + number, kept) for number in range(ROUND_EPISODES)]


class Watcher:
    """An encoder operation that changes nothing and watches the embeddings of one episode."""

    def __init__(self, episode: int, moments: Moments) -> None:
        self.episode = episode
        self.num_steps = 0
        self.sums: dict[str, np.ndarray] = {}
        """By encoder, float64."""
        self._moments = moments
        self._available: tuple[str, ...] = ()
        self._generator: np.random.Generator | None = None

    def check(self, roster: EncoderRoster) -> EncoderRoster:
        """Note which encoders run."""
        self._available = roster.available
        return roster

    def start(self, generator: np.random.Generator) -> EncoderState:
        """Return itself; each episode has a watcher of its own."""
        self._generator = generator
        return self

    def apply(self, encoders: LaneEncoders) -> None:
        """Add the step's embeddings."""
        context = [encoders.context] if encoders.context else []
        names: dict[str, None] = dict.fromkeys([*encoders.fused, *self._available, *context])
        embeddings = {name: encoders.embedding(name) for name in names}
        for name, value in embeddings.items():
            if name not in self.sums:
                self.sums[name] = np.zeros(value.shape)
            self.sums[name] += value
        if self._generator is not None:
            self._moments.offer(float(self._generator.random()), self.episode, self.num_steps, embeddings)
        self.num_steps += 1


class _Kept(NamedTuple):
    """A step that is kept as long as few others drew a smaller number."""

    rank: float
    """Minus what the step drew: the heap's first is the one to go."""
    episode: int
    step: int
    embeddings: dict[str, np.ndarray]
    """Float16."""


class Moments:
    """Keeps the steps that drew the smallest numbers: a random set, whatever the order in which they come."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[_Kept] = []

    def offer(self, drawn: float, episode: int, step: int, embeddings: dict[str, Embedding]) -> None:
        """Keep a step if it is among the smallest so far."""
        if len(self._heap) == self._size and -drawn <= self._heap[0].rank:
            return
        halves = {name: value.clip(-_HALF_LIMIT, _HALF_LIMIT).astype(np.float16) for name, value in embeddings.items()}
        one = _Kept(-drawn, episode, step, halves)
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, one)
        else:
            heapq.heapreplace(self._heap, one)

    def stacked(self) -> dict[str, np.ndarray]:
        """Return the kept embeddings in the order of play, by encoder."""
        ordered = sorted(self._heap, key=lambda one: (one.episode, one.step))
        return {name: np.stack([one.embeddings[name] for one in ordered]) for name in ordered[0].embeddings}
