"""An entry of the leaderboard: one agent on one version of a suite, with every episode and no computed number.

Scores, intervals and tiers are computed from the episodes whenever a table is made. An entry is text from strangers:
`wsabench.leaderboard.checking` refuses what cannot be true, and `wsabench verify` plays episodes again.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from wsabench.results.manifest import AgentEntry, AgentId, Host, PrecisionEntry, ReferenceScores, SkippedEntry
from wsabench.types import EpisodeEnd, SuiteMeasure

SCHEMA_VERSION = 1
"""Raised when a field changes its meaning or is added; a reader of another version says so."""


class _Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of an entry: it has exactly the fields that it declares."""


class SuiteVersion(_Strict, frozen=True, kw_only=True):
    """The suite that was played. Tables hold one name, version and hash only."""

    name: str
    version: int
    content_hash: str
    """Hash of all that a run of the suite and its claims depend on, 16 hexadecimal digits."""
    summary: str
    measure: SuiteMeasure
    """What agents are compared by."""


class SeedTraining(_Strict, frozen=True, kw_only=True):
    """What the file of one trained network says of its training."""

    train_seed: int
    game: str
    steps: int | None
    """Agent steps over all lanes."""
    algorithm: str | None
    randomisation: tuple[str, ...]
    """Perturbations that its games were drawn from; empty for clean games."""
    versions: dict[str, str]
    """Versions of the packages that it was trained with."""


class Training(_Strict, frozen=True, kw_only=True):
    """How the agent was trained, as far as it is known; what a submitter says is not checked."""

    steps: int | None
    """Agent steps of each network; None where nobody says, or where networks differ."""
    frames: int | None
    """Emulator frames of each network; None where nobody says, or where networks differ."""
    perturbations: tuple[str, ...]
    """What its games were randomised by; empty for clean games, or where nobody says (`method` tells)."""
    method: str | None
    """Algorithm and method, in words."""
    networks: tuple[SeedTraining, ...]
    """What the networks' own files say; none for agents from elsewhere."""


class Episodes(_Strict, frozen=True, kw_only=True):
    """The episodes of one job, column by column; place i of every column belongs to episode `first` + i."""

    first: int
    """Number of the first episode: 0 but in a run to a precision, whose pilot had those before."""
    returns: tuple[float, ...]
    """Undiscounted, unclipped returns."""
    lengths: tuple[int, ...]
    """Lengths in agent steps."""
    ends: tuple[EpisodeEnd, ...]
    seeds: tuple[int, ...]
    """Episode seeds, `wsabench.seeding.evaluation_seed` of game, number and the entry's root seed."""
    noops: tuple[int | None, ...]
    """No-op frames at the start; null in runs of early versions."""
    action_hashes: tuple[str | None, ...]
    """Hash of what the agent chose in each step; null in runs of early versions."""


class EntryJob(_Strict, frozen=True, kw_only=True):
    """All episodes of one network under one perturbation."""

    train_seed: int
    game: str
    perturbation: str
    """Canonical name with severity, `hue-rotate@3`."""
    family: str
    """`color`, `corruption`, `dynamics`, `encoder`, several joined by `+`, or `clean`."""
    fingerprint: str
    """Hash of everything that decides its episodes; it follows from the entry's other fields."""
    episodes: Episodes


class Entry(_Strict, frozen=True, kw_only=True):
    """One agent on one version of a suite: what `wsabench submit` writes."""

    schema_version: int
    suite: SuiteVersion
    name: str
    """What tables call it."""
    agent: str
    """What the run called it."""
    paper: str | None
    """URL or text; so are `code` and `checkpoint`."""
    code: str | None
    checkpoint: str | None
    authors: str | None
    notes: str | None
    submitted: str
    """When it was submitted: UTC, ISO 8601 to the second."""
    wsabench: str
    """The version of wsabench that played."""
    engine_version: int
    versions: dict[str, str]
    """Versions of the packages that decide bits."""
    hosts: tuple[Host, ...]
    """The kinds of machine that it was played on, each once, at least one."""
    protocol: dict[str, Any]
    """The run's protocol as a manifest has it: fields of `wsabench.Protocol`."""
    view: dict[str, dict[str, Any]]
    """By game, the fields of the protocol in which the agent's lanes differ from it; games without any are left out."""
    seed: int
    """Root of the episode seeds."""
    profile: str | None
    precision: PrecisionEntry | None
    """None where every job has the same number of episodes."""
    privileged: bool
    """Whether it reads what is no pixel."""
    external: bool
    """Whether it was played by foreign code, and is neither built in nor a checkpoint of this package."""
    trusted: bool
    """Whether its files were let run code that they hold."""
    training: Training
    reference_scores: dict[str, ReferenceScores]
    """By game, the returns that normalise its scores."""
    perturbation_hashes: dict[str, dict[str, str]]
    """Content hashes of what was played, by game and canonical name."""
    effects: dict[str, dict[str, float]]
    """Mean change of the observation in grey levels, by game and name; changes of colour and image only."""
    refused: dict[str, tuple[str, ...]]
    """Cells of the suite that cannot be seen in a game, by game; they were not played."""
    misfits: dict[str, dict[str, str]]
    """Cells of the suite that a game cannot have, by game and name with the reason."""
    skipped: tuple[SkippedEntry, ...]
    """Cells that this agent cannot take, or that touch nothing that it reads."""
    roms: dict[str, str]
    """SHA-256 of the ROM file, by game."""
    agents: tuple[AgentEntry, ...]
    """Its networks, one for each train seed and game."""
    jobs: tuple[EntryJob, ...]

    @property
    def games(self) -> tuple[str, ...]:
        """The games that it played, in the order of its networks."""
        return tuple(dict.fromkeys(one.game for one in self.agents))

    @property
    def train_seeds(self) -> tuple[int, ...]:
        """Its train seeds, sorted."""
        return tuple(sorted({one.train_seed for one in self.agents}))

    @property
    def perturbations(self) -> tuple[str, ...]:
        """Canonical names of what was played, each once, in the order of the jobs."""
        return tuple(dict.fromkeys(job.perturbation for job in self.jobs))

    @property
    def num_episodes(self) -> int:
        """Episodes of all jobs."""
        return sum(len(job.episodes.returns) for job in self.jobs)

    def network(self, job: EntryJob) -> AgentEntry:
        """Return who played a job."""
        return next(one for one in self.agents if one.id == AgentId(self.agent, job.train_seed, job.game))
