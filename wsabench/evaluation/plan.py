"""From a suite and options to jobs, everything checked before the first frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from wsabench.emulator.rom_files import rom_hash
from wsabench.errors import SpecError, WsabenchError, unknown_name
from wsabench.evaluation.contestants import AgentReference, Contestant, Terms, beside, find_contestants
from wsabench.evaluation.fitting import Cell, JobName, fit_agents, fit_cells
from wsabench.evaluation.own_play.collection import own_play_of
from wsabench.evaluation.own_play.supply import needs_own_play
from wsabench.evaluation.pool.asking import AskingRoom, watch_here
from wsabench.hashing import json_hash
from wsabench.protocol import Protocol
from wsabench.results import provenance
from wsabench.results.comparing import listed
from wsabench.results.manifest import (
    PrecisionEntry,
    RecordedPlan,
    ReferenceScores,
    SkippedEntry,
    SuiteEntry,
)
from wsabench.results.provenance import ENGINE_VERSION, FingerprintInputs, fingerprint
from wsabench.results.records import Job
from wsabench.seeding import evaluation_seed, start_order
from wsabench.stats.allocation import DEFAULT_PILOT_EPISODES, MIN_PILOT_EPISODES, TARGETS, Target
from wsabench.types import Permissions, listed_values, unboxed
from wsabench.words import counted

if TYPE_CHECKING:
    from wsabench.perturb import CompiledPerturbation, Suite

T = TypeVar("T")
DEFAULT_AGENTS = ("wsa", "e2e")
"""Who plays where neither the user nor the suite names agents."""
_MOST_EPISODES = 1_000_000
"""Of one job; each takes memory from the beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a user may set; None takes the suite's or profile's value. `run` explains those that say nothing here."""

    suite: Any = "color-shift"
    """A suite's name, the path of a suite file, or a loaded suite."""
    agents: Sequence[AgentReference] | Mapping[str, AgentReference] | AgentReference | None = None
    """None: those of the suite; `DEFAULT_AGENTS` where it names none."""
    profile: str = "quick"
    games: Sequence[str] | None = None
    train_seeds: Sequence[int] | None = None
    episodes: int | None = None
    perturbations: Sequence[str] | None = None
    protocol: Protocol | str | Mapping[str, Any] | None = None
    """A protocol or a named one, for all agents; or single fields, set over the protocol that each agent is played
    under: the profile's, seen as the agent saw its games."""
    seed: int = 0
    precision: float | None = None
    max_episodes: int | None = None
    precision_of: str = "cell"
    permissions: Permissions = field(default_factory=Permissions)
    """What the agents of this run are allowed."""
    worker_timeout: float = 0.0
    """Seconds after which an agent is taken to hang while it is asked whether it is repeatable, `LOADING` times as many
    while it is loaded; 0 for never."""
    asks_apart: bool = False
    """Whether agents with code of their own are loaded, and asked this, in another process and not in this one."""

    def __post_init__(self) -> None:
        """Take one value for a list of one, and NumPy's numbers for Python's."""
        for name in ("games", "train_seeds", "perturbations"):
            object.__setattr__(self, name, listed_values(getattr(self, name)))
        for name in ("episodes", "seed", "precision", "max_episodes"):
            object.__setattr__(self, name, unboxed(getattr(self, name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A checked grid of jobs."""

    suite: Suite
    profile: str
    protocol: Protocol
    seed: int
    num_episodes: int
    games: tuple[str, ...]
    perturbations: tuple[str, ...]
    """Canonical names, in the suite's order; games need not have all."""
    contestants: tuple[Contestant, ...]
    compiled: Mapping[tuple[str, str], CompiledPerturbation]
    """What is played, by game and canonical name of the perturbation; what is refused is not in it."""
    effects: Mapping[str, Mapping[str, float]]
    """Mean change of the observation in grey levels, by game and canonical name; changes of colour and image only."""
    refused: Mapping[str, tuple[str, ...]]
    """Perturbations of the suite that cannot be seen, by game; they are not run."""
    misfits: Mapping[str, Mapping[str, str]]
    """Perturbations of the suite that a game cannot have, by game and name with the reason; they are not run."""
    skipped: tuple[SkippedEntry, ...]
    """Encoder changes that an agent cannot take, and cells that touch nothing that it reads; they are not run."""
    jobs: tuple[Job, ...]
    """Sorted by agent, train seed, game, then in the order of perturbations."""
    precision: PrecisionEntry | None = None
    """None where every job has `num_episodes`, which else is the size of the pilot."""
    first_episode: int = 0
    """Number of the first episode of each job; those before it were the pilot's, or of earlier looks."""

    def contestant_of(self, job: Job) -> Contestant:
        """Return who plays a job."""
        return next(one for one in self.contestants if one.id == job.id)

    def recorded(self) -> RecordedPlan:
        """Return what the manifest says of the plan."""
        return RecordedPlan(
            suite=SuiteEntry(
                name=self.suite.name,
                summary=self.suite.summary,
                content_hash=self.suite.content_hash,
                measure=self.suite.measure,
                version=self.suite.version,
            ),
            profile=self.profile,
            protocol=self.protocol,
            seed=self.seed,
            episodes=self.num_episodes
            if self.precision is None
            else self.precision.max_episodes - self.precision.pilot_episodes,
            games=self.games,
            perturbations=self.perturbations,
            perturbation_hashes=self._perturbation_hashes(),
            effects={
                game: {name: round(value, 4) for name, value in values.items()} for game, values in self.effects.items()
            },
            refused=dict(self.refused),
            misfits={game: dict(reasons) for game, reasons in self.misfits.items()},
            skipped=self.skipped,
            reference_scores={game: _reference_scores(game) for game in self.games},
            agents=tuple(one.entry(self.protocol) for one in self.contestants),
            engine_version=ENGINE_VERSION,
            versions=provenance.decisive_versions(),
            roms={game: rom_hash(game) for game in self.games},
            jobs=tuple(
                job.entry
                if self.first_episode or job.num_episodes != self.num_episodes
                else msgspec.structs.replace(job.entry, episodes=None)
                for job in self.jobs
            ),
            precision=self.precision,
        )

    def pilot(self) -> Plan:
        """Return the first stage of a run to a precision: a run with the same number of episodes of every job."""
        return replace(self, precision=None)

    def after_pilot(self, numbers: Sequence[int]) -> Plan:
        """Return the second stage of a run to a precision.

        Args:
            numbers: Episodes of each job beside the pilot, in the order of `jobs`. They go on where the pilot stopped,
                so they are episodes that a run of more episodes each would play too.
        """
        return replace(self, jobs=self._later(self.jobs, self.num_episodes, numbers), first_episode=self.num_episodes)

    def later(self, first: int, number: int, wanted: Container[JobName]) -> Plan:
        """Return a plan of more episodes of some jobs only.

        Args:
            first: How many episodes of each job were played before, at least 1.
            number: How many more each has.
            wanted: Agent, train seed, game and perturbation of the jobs.
        """
        jobs = [job for job in self.jobs if (job.agent, job.train_seed, job.game, job.perturbation) in wanted]
        later = self._later(jobs, first, [number] * len(jobs))
        return replace(self, jobs=later, num_episodes=number, first_episode=first)

    def _later(self, jobs: Sequence[Job], first: int, numbers: Sequence[int]) -> tuple[Job, ...]:
        """Return jobs with so many episodes each, from the same one on."""
        versions = provenance.decisive_versions()
        return tuple(
            self._job(self.contestant_of(job), job.perturbation, range(first, first + number), versions)
            for job, number in zip(jobs, numbers, strict=True)
        )

    def with_earlier_seeds(self, job: Job) -> Job:
        """Return a job with the seeds of all episodes from the first on, so that an episode's number finds its seed."""
        return replace(job, episode_seeds=(*self._seeds(job.game, range(self.first_episode)), *job.episode_seeds))

    def notes(self) -> list[str]:
        """Return a sentence for each group of cells that is not played, or not as often as was asked for."""
        return [
            *(
                f"Left out on {game}, because the agent could hardly see the change: {', '.join(names)}."
                for game, names in self.refused.items()
            ),
            *(
                f"Left out on {game}, because the game cannot have them: {', '.join(reasons)}."
                for game, reasons in self.misfits.items()
            ),
            *(
                f"Skipped for {one.agent} on {one.game}: {', '.join(one.perturbations)}. {one.reason}"
                for one in self.skipped
            ),
            *self._capped_notes(),
            *dict.fromkeys(note for one in self.contestants for note in one.notes()),
        ]

    def _capped_notes(self) -> list[str]:
        """Say where fewer episodes than were asked for are all that there are."""
        capped: dict[tuple[str, str, int], dict[str, None]] = {}
        for job in self.jobs:
            if job.noops is not None and not self.first_episode and job.num_episodes < self.num_episodes:
                capped.setdefault((job.agent, job.game, job.num_episodes), {})[job.perturbation] = None
        return [
            f"{agent} on {game}: only {counted(number, 'different episode')} {'exists' if number == 1 else 'exist'} in "
            f"{listed(names)}, of {self.num_episodes} that were asked for. Greedy play without sticky actions has one "
            "for each start; each is played once, so the mean over them is exact."
            for (agent, game, number), names in capped.items()
        ]

    def _perturbation_hashes(self) -> dict[str, dict[str, str]]:
        """Return what is really played under each name, by game and name: the same name may change its meaning."""
        return {
            game: {
                name: self.compiled[game, name].content_hash
                for name in self.perturbations
                if (game, name) in self.compiled
            }
            for game in self.games
        }

    def identity(self) -> str:
        """Return a short hash of what decides the results, for the default directory's name."""
        precision = [] if self.precision is None else [str(msgspec.to_builtins(self.precision))]
        return json_hash(sorted([*precision, *(f"{job.key} {job.fingerprint}" for job in self.jobs)]), 8)

    def _seeds(self, game: str, episodes: Iterable[int]) -> tuple[int, ...]:
        """Return the seeds of episodes by their numbers."""
        return tuple(evaluation_seed(game, episode, self.seed) for episode in episodes)

    def _job(self, one: Contestant, perturbation: str, episodes: Iterable[int], versions: Mapping[str, str]) -> Job:
        """Return a contestant's episodes of these numbers under one perturbation as a job.

        Where nothing but the start is left to chance, those without a start of their own are left out.
        """
        compiled = self.compiled[one.game, perturbation]
        own = one.own_play if needs_own_play(compiled.encoder_operations) else None
        noops: tuple[int, ...] | None = None
        if one.plays_each_start_once(compiled):
            order = start_order(one.game, one.protocol.start_noops, self.seed)
            episodes = [episode for episode in episodes if episode < len(order)]
            noops = tuple(order[episode] for episode in episodes)
        seeds = self._seeds(one.game, episodes)
        inputs = FingerprintInputs(
            perturbation_hash=compiled.content_hash,
            protocol=one.protocol.to_dict(),
            checkpoint_hash=one.checkpoint_hash,
            rom_hash=rom_hash(one.game),
            episode_seeds=seeds,
            versions=versions,
            own_play_hash=None if own is None else own.content_hash,
            noops=noops,
        )
        return Job(
            agent=one.name,
            train_seed=one.train_seed,
            game=one.game,
            family=compiled.family,
            perturbation=perturbation,
            severity=compiled.severity,
            episode_seeds=seeds,
            fingerprint=fingerprint(inputs),
            noops=noops,
        )

    def with_jobs(self, left_out: frozenset[JobName]) -> Plan:
        """Return the plan with its jobs, `num_episodes` each, without those to leave out."""
        versions = provenance.decisive_versions()
        jobs = [
            self._job(one, name, range(self.num_episodes), versions)
            for one in sorted(self.contestants, key=lambda c: (c.name, c.train_seed, c.game))
            for name in self.perturbations
            if (one.game, name) in self.compiled and (one.name, one.train_seed, one.game, name) not in left_out
        ]
        return replace(self, jobs=tuple(jobs))


def default_agents(suite: Any) -> tuple[str, ...]:
    """Return who plays a suite where the user names nobody; paths in its file count from the file's folder.

    Args:
        suite: A suite's name, the path of a suite file, or a loaded suite.

    Raises:
        SpecError: The suite's file is malformed.
        UnknownNameError: There is no such suite.
    """
    loaded = _loaded(suite)
    if loaded.file is None:
        return loaded.agents or DEFAULT_AGENTS
    return tuple(beside(one, loaded.file.parent) for one in loaded.agents) or DEFAULT_AGENTS


@contextmanager
def _named_by(suite: Suite | None) -> Iterator[None]:
    """Let what is refused say that a suite's file names the agents; None: the user does."""
    try:
        yield
    except WsabenchError as error:
        if suite is None or not suite.agents:
            raise
        raise type(error)(f"{suite.file or suite.name}, agents: {error}") from error


def _loaded(suite: Any) -> Suite:
    """Return a suite by its name or path; a loaded one as it is."""
    from wsabench import perturb

    return suite if hasattr(suite, "profiles") else perturb.load_suite(suite)


def make_plan(
    options: RunOptions, note: Callable[[str], None] = lambda _: None, *, look_until: float | None = None
) -> Plan:
    """Turn a suite and options into jobs.

    Args:
        options: What the user asked for.
        note: Gets a sentence where an agent must first play for the cells that feed embeddings of its own clean play,
            and where one hangs.
        look_until: For a plan that is priced and not played: no agent's own play is made, and after this moment, by
            `time.monotonic`, cells are taken to be visible. None for a plan that is played.

    Returns:
        The plan; every name exists, every agent loads, every change of colour or image can be seen. A suite's own cell
        that a game cannot have, or that cannot be seen in it, is left out and listed; one that the user names is an
        error. Encoder changes are skipped, and listed, for agents without encoders, and so are cells that provably
        touch nothing that an agent reads.

    Raises:
        CheckpointError: An agent's checkpoint is missing or damaged.
        SpecError: A value is malformed or doubled, a perturbation that the user names does not fit a game or an agent
            or cannot be seen, or nothing is left to play.
        StorageError: An agent's own play cannot be kept.
        UnknownNameError: A suite, profile, game, perturbation or agent does not exist.
        WorkerError: An agent that is loaded in another process ends it or hangs.
    """
    suite = _loaded(options.suite)
    profile = suite.profile(options.profile)
    terms = Terms.chosen(options, profile.protocol)
    protocol = terms.protocol
    train_seeds = _distinct(
        "train seed", [_whole_number("train seed", value, 0) for value in _or(options.train_seeds, profile.train_seeds)]
    )
    games = _game_ids(_or(options.games, suite.games))
    named = None if options.perturbations is None else _canonical_names(options.perturbations)
    wanted = {game: profile.cells.of(game) if named is None else named for game in games}
    is_explicit = named is not None
    precision = _precision(options, games)
    num_episodes = _num_episodes("number of episodes", _or(options.episodes, profile.episodes))
    num_episodes = num_episodes if precision is None else precision.pilot_episodes
    seed = _whole_number("seed", options.seed, 0)
    agents = default_agents(suite) if options.agents is None else options.agents
    cells = fit_cells(wanted, is_explicit=is_explicit, until=look_until)
    with AskingRoom(options.worker_timeout, note) as room:
        watch = partial(watch_here, note, options.worker_timeout)
        terms = replace(terms, watch=watch, elsewhere=room if options.asks_apart else None)
        with _named_by(suite if options.agents is None else None):
            contestants = find_contestants(agents, games, train_seeds, terms)
    if precision is not None:
        _refuse_repeats(contestants)
    left_out, skipped = fit_agents(contestants, cells.compiled, is_explicit=is_explicit)
    if look_until is None:
        contestants = _with_own_play(contestants, cells.compiled, left_out, note)
    draft = Plan(
        suite=suite,
        profile=options.profile,
        protocol=protocol,
        seed=seed,
        num_episodes=num_episodes,
        games=games,
        perturbations=cells.names,
        contestants=contestants,
        compiled=cells.compiled,
        effects=cells.effects,
        refused=cells.refused,
        misfits=cells.misfits,
        skipped=skipped,
        jobs=(),
        precision=precision,
    )
    plan = draft.with_jobs(left_out)
    if not plan.jobs:
        raise SpecError(" ".join(["Nothing is left to play.", *plan.notes(), "Choose other perturbations or agents."]))
    return plan


def _with_own_play(
    contestants: Sequence[Contestant],
    compiled: Mapping[Cell, CompiledPerturbation],
    left_out: frozenset[JobName],
    note: Callable[[str], None],
) -> tuple[Contestant, ...]:
    """Return the contestants, those that play a cell which needs their own clean play with it."""

    def is_needed(one: Contestant) -> bool:
        return any(
            game == one.game
            and needs_own_play(cell.encoder_operations)
            and (one.name, one.train_seed, game, name) not in left_out
            for (game, name), cell in compiled.items()
        )

    return tuple(
        replace(one, own_play=own_play_of(one, one.protocol, note)) if is_needed(one) else one for one in contestants
    )


def _refuse_repeats(contestants: Sequence[Contestant]) -> None:
    """Refuse a precision for agents that have only few different episodes."""
    for one in contestants:
        protocol = one.protocol
        if protocol.may_repeat_episodes:
            number = f"{protocol.num_starts}" if one.is_deterministic else f"about {protocol.episodes_for_all_starts}"
            raise SpecError(
                f"{one.name} on {one.game}: {protocol.few_episodes}, so more of them make nothing more precise. It "
                f"takes {number} --episodes, without --precision, to meet them all."
            )


def _precision(options: RunOptions, games: Sequence[str]) -> PrecisionEntry | None:
    """Return the precision that is asked for, checked; None for the same number of episodes of every job."""
    if options.precision is None:
        if options.max_episodes is not None:
            raise SpecError(
                "--max-episodes belongs to --precision. Give both, or --episodes for as many episodes of every job."
            )
        return None
    width = options.precision
    if isinstance(width, bool) or not isinstance(width, int | float) or not 0 < width < math.inf:
        raise SpecError(f"The precision is {width!r}. Allowed: a half-width above 0 of normalised scores, as in 0.05.")
    target: Target | None = next((name for name in TARGETS if name == options.precision_of), None)
    if target is None:
        raise unknown_name("precision target", str(options.precision_of), TARGETS)
    pilot = _num_episodes("number of episodes of the pilot", _or(options.episodes, DEFAULT_PILOT_EPISODES))
    if pilot < MIN_PILOT_EPISODES:
        raise SpecError(
            f"The pilot has {counted(pilot, 'episode')}. Allowed: integers from {MIN_PILOT_EPISODES}; fewer do not "
            f"show how much episodes vary. Leave --episodes out for {DEFAULT_PILOT_EPISODES}."
        )
    if options.max_episodes is None:
        raise SpecError(f"--precision needs a limit. Give --max-episodes, {2 * pilot} or more, as in 200.")
    most = _num_episodes("largest number of episodes", options.max_episodes)
    if most < 2 * pilot:
        raise SpecError(
            f"--max-episodes allows {counted(most, 'episode')} of a job, and the pilot has {pilot}. Allowed: "
            f"{2 * pilot} or more, twice the pilot. Raise --max-episodes, or set the pilot's size with --episodes."
        )
    unscored = [game for game in games if None in msgspec.structs.astuple(_reference_scores(game))]
    if unscored:
        raise SpecError(
            f"A precision is one of normalised scores, and {', '.join(unscored)} has no random and human score. Choose "
            "other games, or give --episodes without --precision."
        )
    return PrecisionEntry(half_width=float(width), target=target, pilot_episodes=pilot, max_episodes=most)


def _reference_scores(game: str) -> ReferenceScores:
    """Return the random and the human score of a game."""
    from wsabench.games import load_game

    entry = load_game(game)
    return ReferenceScores(random=entry.random_score, human=entry.human_score)


def _game_ids(games: Sequence[str]) -> tuple[str, ...]:
    """Return the games' ids, checked."""
    from wsabench.games import load_game

    return _distinct("game", [load_game(game).id for game in games])


def _canonical_names(perturbations: Sequence[str]) -> tuple[str, ...]:
    """Return the perturbations' canonical names, checked."""
    from wsabench.perturb import parse_perturbation

    return _distinct("perturbation", [parse_perturbation(text).name for text in perturbations])


def _or(value: T | None, default: T) -> T:
    """Return what the user set, else the default."""
    return default if value is None else value


def _distinct(what: str, values: Iterable[Any]) -> tuple[Any, ...]:
    """Return the values, or refuse an empty list or a value that is given twice."""
    kept: list[Any] = []
    for value in values:
        if value in kept:
            raise SpecError(f"The {what} {value!r} is given twice. Give each {what} once.")
        kept.append(value)
    if not kept:
        raise SpecError(f"No {what} was given. Give at least one.")
    return tuple(kept)


def _num_episodes(what: str, value: Any) -> int:
    """Return how many episodes a job has, or refuse."""
    if (found := _whole_number(what, value, 1)) > _MOST_EPISODES:
        raise SpecError(f"The {what} is {found:,}. Allowed: at most {_MOST_EPISODES:,} in each job.")
    return found


def _whole_number(what: str, value: Any, least: int) -> int:
    """Return an integer from `least`, or refuse."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SpecError(f"The {what} is {value!r}. Allowed: integers from {least}.")
    return value
