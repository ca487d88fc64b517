"""From a suite and options to jobs, everything checked before the first frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from wsabench.errors import SpecError
from wsabench.evaluation import provenance
from wsabench.evaluation.contestants import AgentReference, Contestant, find_contestants
from wsabench.evaluation.fingerprint import ENGINE_VERSION, FingerprintInputs, content_hash, fingerprint
from wsabench.evaluation.records import Job
from wsabench.protocol import Protocol
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
    """Canonical names, in the suite's order."""
    contestants: tuple[Contestant, ...]
    compiled: Mapping[tuple[str, str], CompiledPerturbation]
    """By game and canonical name, without the refused ones."""
    effects: Mapping[str, Mapping[str, float]]
    """Mean change of the observation in grey levels, by game and canonical name; colour shifts only."""
    refused: Mapping[str, tuple[str, ...]]
    """Perturbations of the suite that cannot be seen, by game; they are not run."""
    jobs: tuple[Job, ...]
    """Sorted by agent, train seed, game, then in the order of perturbations."""

    def contestant_of(self, job: Job) -> Contestant:
        """Return who plays a job."""
        identity = (job.agent, job.train_seed, job.game)
        return next(one for one in self.contestants if (one.name, one.train_seed, one.game) == identity)

    def manifest(self) -> dict[str, Any]:
        """Return what the manifest says of the plan."""
        return {
            "suite": {
                "name": self.suite.name,
                "summary": self.suite.summary,
                "content_hash": self.suite.content_hash,
            },
            "profile": self.profile,
            "protocol": self.protocol.to_dict(),
            "seed": self.seed,
            "episodes": self.num_episodes,
            "games": list(self.games),
            "perturbations": list(self.perturbations),
            "effects": {
                game: {name: round(value, 4) for name, value in values.items()} for game, values in self.effects.items()
            },
            "refused": {game: list(names) for game, names in self.refused.items()},
            "reference_scores": {game: _reference_scores(game) for game in self.games},
            "agents": [one.to_dict() for one in self.contestants],
            "engine_version": ENGINE_VERSION,
            "versions": provenance.package_versions(),
            "roms": {game: provenance.rom_hash(game) for game in self.games},
            "jobs": [_job_entry(job) for job in self.jobs],
        }

    def identity(self) -> str:
        """Return a short hash of what decides the results, for the default directory's name."""
        return content_hash(sorted(f"{job.key} {job.fingerprint}" for job in self.jobs))[:8]


def make_plan(options: RunOptions) -> Plan:
    """Turn a suite and options into jobs.

    Args:
        options: What the user asked for.

    Returns:
        The plan; every name exists, every agent loads, every colour shift can be seen. A suite's own cell that cannot
        be seen in a game is left out and listed; one that the user names is an error.

    Raises:
        CheckpointError: An agent's checkpoint is missing or damaged.
        SpecError: A value is malformed or doubled, a perturbation does not fit a game or cannot be seen in it.
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
    names = _canonical_names(_or(options.perturbations, profile.perturbations))
    num_episodes = _whole_number("number of episodes", _or(options.episodes, profile.episodes), 1)
    seed = _whole_number("seed", options.seed, 0)
    compiled = {(game, name): perturb.compile_perturbation(name, game) for game in games for name in names}
    effects = measure_effects(compiled, must_be_seen=options.perturbations is not None)
    refused = _refused_cells(effects)
    draft = Plan(
        suite=suite,
        profile=options.profile,
        protocol=protocol,
        seed=seed,
        num_episodes=num_episodes,
        games=games,
        perturbations=names,
        contestants=find_contestants(options.agents, games, train_seeds, protocol),
        compiled={cell: value for cell, value in compiled.items() if cell[1] not in refused.get(cell[0], ())},
        effects=effects,
        refused=refused,
        jobs=(),
    )
    return _with_jobs(draft)


def measure_effects(
    compiled: Mapping[tuple[str, str], CompiledPerturbation], *, must_be_seen: bool
) -> dict[str, dict[str, float]]:
    """Measure how much every colour shift changes what the agent sees.

    Args:
        compiled: Compiled perturbations by game and canonical name.
        must_be_seen: Refuse cells below `MIN_EFFECT_GREY_LEVELS`.

    Returns:
        Mean change of the 84x84 observation in grey levels, by game and name.

    Raises:
        SpecError: A cell that must be seen cannot be seen.
    """
    from wsabench.emulator import measure_effect, require_effect

    measure = require_effect if must_be_seen else measure_effect
    effects: dict[str, dict[str, float]] = {}
    for (game, name), perturbation in compiled.items():
        if perturbation.family == "color":
            effects.setdefault(game, {})[name] = measure(game, name)
    return effects


def _refused_cells(effects: Mapping[str, Mapping[str, float]]) -> dict[str, tuple[str, ...]]:
    """Return the cells that change the observation by less than `MIN_EFFECT_GREY_LEVELS` on average, by game."""
    from wsabench.emulator import MIN_EFFECT_GREY_LEVELS

    hidden = {
        game: tuple(name for name, effect in values.items() if effect < MIN_EFFECT_GREY_LEVELS)
        for game, values in effects.items()
    }
    return {game: names for game, names in hidden.items() if names}


def _with_jobs(plan: Plan) -> Plan:
    """Return the plan with its jobs."""
    versions = provenance.package_versions()
    decisive = {name: versions[name] for name in provenance.BIT_DECIDING}
    jobs = []
    for one in sorted(plan.contestants, key=lambda c: (c.name, c.train_seed, c.game)):
        seeds = tuple(evaluation_seed(one.game, episode, plan.seed) for episode in range(plan.num_episodes))
        for name in plan.perturbations:
            compiled = plan.compiled.get((one.game, name))
            if compiled is None:
                continue
            inputs = FingerprintInputs(
                perturbation_hash=compiled.content_hash,
                protocol=plan.protocol.to_dict(),
                checkpoint_hash=one.checkpoint_hash,
                rom_hash=provenance.rom_hash(one.game),
                episode_seeds=seeds,
                versions=decisive,
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


def _reference_scores(game: str) -> dict[str, float | None]:
    """Return the random and the human score of a game; None where the table has none."""
    from wsabench.games import load_game

    entry = load_game(game)
    return {"random": entry.random_score, "human": entry.human_score}


def _job_entry(job: Job) -> dict[str, Any]:
    """Return what the manifest says of a job."""
    return {
        "agent": job.agent,
        "train_seed": job.train_seed,
        "game": job.game,
        "perturbation": job.perturbation,
        "file": f"{job.key}.parquet",
        "fingerprint": job.fingerprint,
    }


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
