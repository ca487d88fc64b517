"""From a suite and options to jobs, everything checked before the first frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from wsabench.emulator.rom_files import rom_hash
from wsabench.errors import SpecError
from wsabench.evaluation.contestants import AgentReference, Contestant, find_contestants
from wsabench.evaluation.fitting import Cell, JobName, fit_agents, fit_cells
from wsabench.evaluation.own_play import own_play_of
from wsabench.evaluation.own_play_supply import needs_own_play
from wsabench.hashing import json_hash
from wsabench.protocol import Protocol
from wsabench.results import provenance
from wsabench.results.manifest import JobEntry, RecordedPlan, ReferenceScores, SkippedEntry, SuiteEntry
from wsabench.results.provenance import ENGINE_VERSION, FingerprintInputs, fingerprint
from wsabench.results.records import Job
from wsabench.seeding import evaluation_seed

if TYPE_CHECKING:
    from wsabench.perturb import CompiledPerturbation, Suite

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a user may set; None takes the suite's or profile's value."""

    suite: Any = "color-shift"
    """A suite's name, the path of a suite file, or a loaded suite."""
    agents: Sequence[AgentReference] | Mapping[str, AgentReference] | AgentReference = ("wsa", "e2e")
    profile: str = "quick"
    games: Sequence[str] | None = None
    train_seeds: Sequence[int] | None = None
    episodes: int | None = None
    perturbations: Sequence[str] | None = None
    protocol: Protocol | None = None
    seed: int = 0


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
    """By game and canonical name, without the refused ones."""
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
            ),
            profile=self.profile,
            protocol=self.protocol,
            seed=self.seed,
            episodes=self.num_episodes,
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
            agents=tuple(one.entry() for one in self.contestants),
            engine_version=ENGINE_VERSION,
            versions=provenance.decisive_versions(),
            roms={game: rom_hash(game) for game in self.games},
            jobs=tuple(_job_entry(job) for job in self.jobs),
        )

    def notes(self) -> list[str]:
        """Return a sentence for each group of cells that is not played."""
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
        return json_hash(sorted(f"{job.key} {job.fingerprint}" for job in self.jobs), 8)


def make_plan(options: RunOptions, note: Callable[[str], None] = lambda _: None) -> Plan:
    """Turn a suite and options into jobs.

    Args:
        options: What the user asked for.
        note: Gets a sentence where an agent must first play for the cells that feed embeddings of its own clean play.

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
    """
    from wsabench import perturb

    suite = options.suite if hasattr(options.suite, "profiles") else perturb.load_suite(options.suite)
    profile = suite.profile(options.profile)
    protocol = options.protocol or profile.protocol
    train_seeds = _distinct(
        "train seed", [_whole_number("train seed", value, 0) for value in _or(options.train_seeds, profile.train_seeds)]
    )
    games = _game_ids(_or(options.games, suite.games))
    named = None if options.perturbations is None else _canonical_names(options.perturbations)
    wanted = {game: profile.cells.of(game) if named is None else named for game in games}
    is_explicit = named is not None
    num_episodes = _whole_number("number of episodes", _or(options.episodes, profile.episodes), 1)
    seed = _whole_number("seed", options.seed, 0)
    cells = fit_cells(wanted, is_explicit=is_explicit)
    contestants = find_contestants(options.agents, games, train_seeds, protocol)
    left_out, skipped = fit_agents(contestants, cells.compiled, is_explicit=is_explicit)
    contestants = _with_own_play(contestants, cells.compiled, left_out, protocol, note)
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
    )
    plan = _with_jobs(draft, left_out)
    if not plan.jobs:
        raise SpecError(" ".join(["Nothing is left to play.", *plan.notes(), "Choose other perturbations or agents."]))
    return plan


def _with_own_play(
    contestants: Sequence[Contestant],
    compiled: Mapping[Cell, CompiledPerturbation],
    left_out: frozenset[JobName],
    protocol: Protocol,
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
        replace(one, own_play=own_play_of(one, protocol, note)) if is_needed(one) else one for one in contestants
    )


def _with_jobs(plan: Plan, left_out: frozenset[JobName]) -> Plan:
    """Return the plan with its jobs, without those to leave out."""
    versions = provenance.decisive_versions()
    jobs = []
    for one in sorted(plan.contestants, key=lambda c: (c.name, c.train_seed, c.game)):
        seeds = tuple(evaluation_seed(one.game, episode, plan.seed) for episode in range(plan.num_episodes))
        for name in plan.perturbations:
            compiled = plan.compiled.get((one.game, name))
            if compiled is None or (one.name, one.train_seed, one.game, name) in left_out:
                continue
            own = one.own_play if needs_own_play(compiled.encoder_operations) else None
            inputs = FingerprintInputs(
                perturbation_hash=compiled.content_hash,
                protocol=plan.protocol.to_dict(),
                checkpoint_hash=one.checkpoint_hash,
                rom_hash=rom_hash(one.game),
                episode_seeds=seeds,
                versions=versions,
                own_play_hash=None if own is None else own.content_hash,
            )
            jobs.append(
                Job(
                    agent=one.name,
                    train_seed=one.train_seed,
                    game=one.game,
                    family=compiled.family,
                    perturbation=name,
                    severity=compiled.severity,
                    episode_seeds=seeds,
                    fingerprint=fingerprint(inputs),
                )
            )
    return replace(plan, jobs=tuple(jobs))


def _reference_scores(game: str) -> ReferenceScores:
    """Return the random and the human score of a game."""
    from wsabench.games import load_game

    entry = load_game(game)
    return ReferenceScores(random=entry.random_score, human=entry.human_score)


def _job_entry(job: Job) -> JobEntry:
    """Return what the manifest says of a job."""
    return JobEntry(
        agent=job.agent,
        train_seed=job.train_seed,
        game=job.game,
        perturbation=job.perturbation,
        file=f"{job.key}.parquet",
        fingerprint=job.fingerprint,
    )


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


def _whole_number(what: str, value: Any, least: int) -> int:
    """Return an integer from `least`, or refuse."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SpecError(f"The {what} is {value!r}. Allowed: integers from {least}.")
    return value
