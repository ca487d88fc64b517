"""The price of a plan: its agents play for part of a minute, and the whole run is put together from what that shows."""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench.errors import SpecError, WorkerError
from wsabench.evaluation.cluster import Shard
from wsabench.evaluation.contestants import Contestant
from wsabench.evaluation.own_play.collection import MIN_STEPS, ROUND_EPISODES
from wsabench.evaluation.own_play.supply import needs_own_play
from wsabench.evaluation.plan import Plan, RunOptions, make_plan
from wsabench.evaluation.pricing.answers import mixtures_of
from wsabench.evaluation.pricing.lengths import Law, Lengths
from wsabench.evaluation.pricing.lives import Lives, lives_seen
from wsabench.evaluation.pricing.probe import Measured, Played, Slice, sample
from wsabench.evaluation.pricing.schedule import Cost, Duration, duration_of
from wsabench.evaluation.pricing.space import disk_bytes_of
from wsabench.evaluation.rollout import EpisodeTask
from wsabench.evaluation.runs import check_place_of, checked_workers
from wsabench.evaluation.samples import NUM_STEPS
from wsabench.machine import available_cores, most_memory
from wsabench.results.records import Job
from wsabench.seeding import generator
from wsabench.types import FloatArray

SECONDS = 44.0
"""From the call to the end of the sample; what follows takes a few seconds more."""
_LOOKING_SECONDS = 15.0
"""Of these, at most, to see which cells can be seen."""
_ANSWER_SECONDS = 40.0
"""After so many an agent is taken to hang that is asked whether it is repeatable."""
_LEAST_SLICE_SECONDS = 6.0
"""An agent plays at least so long; of more agents than there is time for, some are drawn."""
_DRAWS = 60
_DRAWS_OF_OTHERS = 12
"""For the other numbers of workers, of which no range is told."""
_MOST_FOLLOWED = 20_000
"""Of more episodes so many are drawn, and stand for the others."""
_MODEL_ERROR, _SPEED_ERROR = 0.16, 0.06
"""Standard deviations of the logarithm: of what lives follow no Weibull distribution, and of a machine's speed from
one minute to the next."""
_WORKERS = (1, 2, 4, 8, 16, 32, 64)
_USUAL_STEPS = 500.0
"""About half of what an episode takes, for samples in which few lives end: random play of 49 games, two episodes each,
takes 895 steps (geometric mean; one standard deviation is a factor of 2.1)."""
_FEW_LIVES = 10
"""Fewer that ended say too little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a price is put together from."""

    setup_seconds: float
    """Seconds to plan, to start workers, and to draw pictures of the cells."""
    own_play_seconds: float
    """Seconds that agents play before the run, where it needs their own clean play."""
    play_seconds: float
    """Seconds that the run itself plays, by the clock."""
    steps: float
    """Steps of single lanes, in all."""
    turns: float
    """Turns, in all; in a turn all lanes of a worker make a step."""
    turn_seconds: float
    """Seconds of a turn without its lanes' steps, on average over all turns."""
    step_seconds: float
    """Seconds of a lane's step, on average over all steps."""
    mean_lengths: dict[str, float]
    """Mean length of each agent's episodes, in steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a run would take."""

    jobs: int
    cells: int
    """Pairs of a game and a perturbation."""
    episodes: int
    hours: float
    """Hours by the clock, with the workers that were asked for."""
    hours_low: float
    """Lower end of a range that holds the true hours about 19 times of 20, on a machine as busy as now."""
    hours_high: float
    """Upper end of that range."""
    disk_bytes: int
    memory_bytes: int
    """Memory of all its processes together."""
    workers: int
    by_workers: dict[int, float]
    """Hours by the number of workers, where each has a core like those here for itself."""
    sampled_episodes: int
    """Number of episodes that were begun to find this out."""
    notes: tuple[str, ...]
    complaint: str
    """A sentence on agents that made no step in time, while others of the same name did; empty where there are none."""
    parts: Parts


def price(
    options: RunOptions,
    workers: int | None = None,
    *,
    shard: str | None = None,
    keeps_steps: bool = False,
    out: str | Path | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Price:
    """Return what a run would take; play for less than a minute, and write nothing.

    Nothing but this minute is used: no result set, no earlier price.

    Args:
        options: The options of the run.
        workers: Number of processes; by default one for each core.
        shard: The part of the plan that is priced, `2/5`; None for all of it.
        keeps_steps: Whether every step of agents that attend is recorded.
        out: Where the run would write; None: its default directory.
        note: Gets a sentence where an agent does not get on in this process.

    Raises:
        ResultSetError: The directory holds something else, or another run's results.
        SpecError: An option is malformed, or the run is one to a precision.
        StorageError: The directory cannot be written.
        WorkerError: An agent ends its process, or hangs.
        WsabenchError: An agent cannot be loaded or fails.
    """
    begin, begun = time.monotonic(), time.time()
    if options.precision is not None:
        raise SpecError(
            "--dry-run and --precision are given. Allowed: one of them, because only its pilot tells how many episodes "
            "a run to a precision has. Price the most it may have: --episodes instead of --precision."
        )
    asked = 0 if multiprocessing.current_process().daemon else checked_workers(workers)  # a pool's may start none
    number = max(asked, 1)  # 0: this process, which is one
    part = None if shard is None else Shard.parse(shard)
    timeout = min(options.worker_timeout or _ANSWER_SECONDS, _ANSWER_SECONDS)
    options = replace(options, asks_apart=asked > 0, worker_timeout=timeout)
    plan = make_plan(options, note, look_until=begin + _LOOKING_SECONDS)
    check_place_of(plan, out, part, is_whole=time.monotonic() < begin + _LOOKING_SECONDS)
    _refuse_hung(plan.contestants)
    mine = plan if part is None else part.part_of(plan)
    if not mine.jobs:
        raise SpecError(f"The part {shard} has no job: the plan has {len(plan.jobs)}. Choose fewer parts.")
    plan_seconds = time.monotonic() - begin
    here = _plays_here(mine.contestants, asked)
    orders = _orders(mine, min(number, available_cores()), max(SECONDS - plan_seconds, 5.0))
    until = begun + max(SECONDS, plan_seconds + 5.0)
    found = sample(orders, until, here=here, note=note, timeout=timeout)
    measured, model = found.measured, _Model(mine, found.measured)
    setup = plan_seconds + found.ready_seconds + model.picture_seconds(plan)
    drawn = [model.way(number, index) for index in range(_DRAWS)]
    draws = np.array([one.seconds for one in drawn]) + setup
    others = {
        count: float(np.median([model.seconds(way, count) for way in drawn[:_DRAWS_OF_OTHERS]]) + setup)
        for count in sorted({*_WORKERS, number} - {number})
    }
    middle = float(np.median(draws))  # a short sample leaves open that games are very long, which would pull a mean up
    parts = model.parts(drawn, setup)
    known = sum(one.steps for part in measured for one in part.episodes)
    unknown = min(max(1.0 - known / max(parts.steps, 1.0), 0.0), 1.0)
    spread = math.hypot(float(np.log(draws).std()), _MODEL_ERROR * unknown, _SPEED_ERROR)
    # Where nothing ended, ways that differ by much may meet at the longest episode: their spread alone says too little.
    low, high = np.quantile(draws, (0.025, 0.975)).tolist()
    memory = [one.memory_bytes for one in measured] or [0]
    return Price(
        jobs=len(mine.jobs),
        cells=len({(job.game, job.perturbation) for job in mine.jobs}),
        episodes=sum(job.num_episodes for job in mine.jobs),
        hours=middle / 3600,
        hours_low=min(middle * math.exp(-2 * spread), low) / 3600,
        hours_high=max(middle * math.exp(2 * spread), high) / 3600,
        disk_bytes=disk_bytes_of(
            plan, mine, parts.steps / sum(job.num_episodes for job in mine.jobs) if keeps_steps else 0.0
        ),
        memory_bytes=most_memory() if here else most_memory() + number * max(memory),
        workers=number,
        by_workers={count: seconds / 3600 for count, seconds in sorted({**others, number: middle}.items())},
        sampled_episodes=sum(len(one.episodes) for one in measured),
        notes=(*plan.notes(), *_notes(mine), *model.notes()),
        complaint=found.complaint,
        parts=parts,
    )


def _refuse_hung(contestants: Sequence[Contestant]) -> None:
    """Refuse agents that gave no answer when they were asked twice for the same."""
    if hung := [one.id.describe() for one in contestants if one.hung]:
        raise WorkerError(
            f"{', '.join(hung)}: no answer came in time when it was shown two steps, so nobody can say how long its "
            "games take. Leave it out, or start the run without --dry-run, which gives it more time."
        )


def _plays_here(contestants: Sequence[Contestant], number: int) -> bool:
    """Whether the sample is played in this process, as a run with so many workers plays these agents."""
    if number == 0 or not all(one.can_travel for one in contestants):
        return True
    return number == 1 and not any(one.runs_own_code for one in contestants)


def _notes(mine: Plan) -> list[str]:
    """Say what else counts."""
    own = sorted({job.agent for job in mine.jobs if _needs_own_play(mine, job)})
    if not own:
        return []
    return [f"{', '.join(own)}: its own clean play, which is kept and needed once, counts as if there was none yet."]


def _needs_own_play(plan: Plan, job: Job) -> bool:
    return needs_own_play(plan.compiled[job.game, job.perturbation].encoder_operations)


def _orders(plan: Plan, number: int, seconds: float) -> list[list[Slice]]:
    """Return what each of some workers plays in the sample: agents in turn, of too many a random choice."""
    slices = [one for one in (_slice(plan, index, who) for index, who in enumerate(plan.contestants)) if one.tasks]
    draws = generator(plan.seed, "price", "agents")
    by_name: dict[str, list[Slice]] = {}
    for one in (slices[index] for index in draws.permutation(len(slices))):
        by_name.setdefault(one.who.name, []).append(one)
    in_turn = [own[place] for place in range(len(slices)) for own in by_name.values() if place < len(own)]
    most = max(len(by_name), int(number * seconds / _LEAST_SLICE_SECONDS))
    kept = in_turn[:most]
    if not kept:
        raise SpecError("No agent can play a sample: all cells need its own clean play. Add the cell clean.")
    orders: list[list[Slice]] = [[] for _ in range(number)]
    for one in kept:  # to the worker with least to play, and rather to one that plays others than this agent
        name = one.who.name
        loads = [(sum(len(held.tasks) for held in own), sum(held.who.name == name for held in own)) for own in orders]
        orders[loads.index(min(loads))].append(one)
    return [order for order in orders if order]


def _slice(plan: Plan, index: int, who: Contestant) -> Slice:
    """Return an agent's episodes in the order of the sample: all cells once in random order, then all once more."""
    draws = generator(plan.seed, "price", who.name, who.train_seed, who.game)
    jobs = [(place, job) for place, job in enumerate(plan.jobs) if job.id == who.id and not _needs_own_play(plan, job)]
    tasks: list[EpisodeTask] = []
    for episode in range(max((job.num_episodes for _, job in jobs), default=0)):
        for chosen in draws.permutation(len(jobs)):
            place, job = jobs[chosen]
            if episode < job.num_episodes:
                operations = plan.compiled[job.game, job.perturbation].encoder_operations
                seed, noops = job.episode_seeds[episode], job.noops_at(episode)
                tasks.append(EpisodeTask(place, episode, seed, job.perturbation, operations, noops))
    in_turn = [
        plan.compiled[job.game, job.perturbation].encoder_operations for _, job in jobs for _ in range(job.num_episodes)
    ]
    needs_own = any(_needs_own_play(plan, job) for job in plan.jobs if job.id == who.id)
    return Slice(index, who, tuple(tasks), tuple(mixtures_of(in_turn, draws)), needs_own)


class _Model:
    """What the sample says of the whole plan."""

    def __init__(self, plan: Plan, measured: Sequence[Measured]) -> None:
        self._plan = plan
        self._costs = _costs(plan, measured)
        seen: dict[tuple[int, int], Played] = {
            (one.job_index, one.episode): one for part in measured for one in part.episodes if one.steps
        }
        if not seen:
            raise SpecError("The machine is too busy: no agent came to a step in the time of a price. Try again.")
        jobs: list[list[tuple[int, int]]] = [[] for _ in plan.contestants]
        places = {who.id: index for index, who in enumerate(plan.contestants)}
        for index, job in enumerate(plan.jobs):
            jobs[places[job.id]] += [(index, episode) for episode in range(job.num_episodes)]
        total = sum(len(own) for own in jobs)
        self._scale = max(total / _MOST_FOLLOWED, 1.0)
        if self._scale > 1.0:
            draws = generator(plan.seed, "price", "episodes")
            jobs = [
                [own[at] for at in sorted(draws.choice(len(own), math.ceil(len(own) / self._scale), replace=False))]
                for own in jobs
            ]
        limit = plan.protocol.max_frames / plan.protocol.frame_skip if plan.protocol.max_frames else 1e9
        by_agent: dict[str, list[tuple[Job, Played]]] = {}
        for (place, _), one in seen.items():
            by_agent.setdefault(plan.jobs[place].agent, []).append((plan.jobs[place], one))
        everyone = [one for own in by_agent.values() for one in own]
        samples = {who.name: by_agent.get(who.name, everyone) for who in plan.contestants}
        seen_lives = {
            name: [life for job, one in own for life in lives_seen((job.game, job.perturbation), one)]
            for name, own in samples.items()
        }
        self._unsure = [name for name, own in seen_lives.items() if sum(one.is_ended for one in own) < _FEW_LIVES]
        self._lives = {name: Lives([(job.game, one) for job, one in own]) for name, own in samples.items()}
        self._lengths = {
            name: Lengths(own, limit, self._usual(name, samples[name])) for name, own in seen_lives.items()
        }
        self._seen = seen
        self._episodes = [self._followed(who, own) for who, own in zip(plan.contestants, jobs, strict=True)]
        self._needing = {job.id for job in plan.jobs if _needs_own_play(plan, job)}

    def notes(self) -> list[str]:
        """Say what the sample does not tell."""
        if not self._unsure:
            return []
        return [
            f"{', '.join(self._unsure)}: fewer than {_FEW_LIVES} lives of games ended in the time of this price. How "
            "long games take is guessed from what is usual in most of them: the hours are rough, and so is their range."
        ]

    def _usual(self, name: str, sample: Sequence[tuple[Job, Played]]) -> float:
        """Return what is usual for a life of an agent's games, in steps; 0 where its sample says enough."""
        lives = float(np.mean([one.start_lives for _, one in sample]))
        return _USUAL_STEPS / lives if name in self._unsure else 0.0

    def way(self, num_workers: int, draw: int) -> _Way:
        """Return one of many ways in which the run may go."""
        draws = generator(self._plan.seed, "price", draw)
        laws = {name: self._lengths[name].law(draws) for name in sorted(self._lengths)}
        lengths: list[FloatArray] = []
        for who, own in zip(self._plan.contestants, self._episodes, strict=True):
            lives = self._lives[who.name].to_lose(own.lives, draws)
            lengths.append(
                np.where(own.is_ended, own.reached, laws[who.name].draw(own.groups, own.reached, own.ages, lives))
            )
        own_seconds = sum(
            cost.load + _own_play_seconds(laws[who.name], self._lives[who.name], who.game, cost, draws)
            for who, cost in zip(self._plan.contestants, self._costs, strict=True)
            if who.id in self._needing
        )
        return _Way(own_seconds, duration_of(lengths, self._costs, num_workers, self._scale), lengths)

    def seconds(self, way: _Way, num_workers: int) -> float:
        """Return how long the same takes another number of workers."""
        return way.own_seconds + duration_of(way.lengths, self._costs, num_workers, self._scale).seconds

    def _followed(self, who: Contestant, own: Sequence[tuple[int, int]]) -> _Episodes:
        """Return how far an agent's episodes came in the sample."""
        new = Played(0, 0, 0, is_ended=False, lives=self._lives[who.name].at_start(who.game))
        played = [self._seen.get(key, new) for key in own]
        return _Episodes(
            groups=[(who.game, self._plan.jobs[index].perturbation) for index, _ in own],
            reached=np.array([one.steps for one in played], np.float64),
            ages=np.array([one.age for one in played], np.float64),
            lives=np.array([one.lives for one in played], np.int64),
            is_ended=np.array([one.is_ended for one in played], np.bool_),
        )

    def parts(self, ways: Sequence[_Way], setup: float) -> Parts:
        """Return what a price is put together from, the middle of all ways of each."""
        turns = np.array([way.played.turns for way in ways])
        steps = np.array([[float(own.sum()) for own in way.lengths] for way in ways]) * self._scale
        costs = np.array([(cost.turn, cost.step) for cost in self._costs])
        means = {
            name: float(np.median([np.concatenate(self._of(name, way.lengths)).mean() for way in ways]))
            for name in dict.fromkeys(job.agent for job in self._plan.jobs)
        }
        return Parts(
            setup_seconds=setup,
            own_play_seconds=float(np.median([way.own_seconds for way in ways])),
            play_seconds=float(np.median([way.played.seconds for way in ways])),
            steps=float(np.median(steps.sum(axis=1))),
            turns=float(np.median(turns.sum(axis=1))),
            turn_seconds=float((turns @ costs[:, 0]).sum() / turns.sum()),
            step_seconds=float((steps @ costs[:, 1]).sum() / steps.sum()),
            mean_lengths=means,
        )

    def _of(self, name: str, lengths: Sequence[FloatArray]) -> list[FloatArray]:
        """Return the lengths of an agent's episodes, by train seed and game."""
        return [own for who, own in zip(self._plan.contestants, lengths, strict=True) if who.name == name]

    def picture_seconds(self, plan: Plan) -> float:
        """Return how long the pictures of the cells take."""
        pictures = sum(compiled.family != "encoder" for compiled in plan.compiled.values())
        return pictures * NUM_STEPS * float(np.mean([cost.step for cost in self._costs]))


class _Episodes(NamedTuple):
    """Where a contestant's N episodes are."""

    groups: list[tuple[str, str]]
    """Game and perturbation."""
    reached: FloatArray
    """Steps that were played, shape (N,)."""
    ages: FloatArray
    """Of the life that goes on, shape (N,)."""
    lives: npt.NDArray[np.int64]
    """To lose, shape (N,)."""
    is_ended: npt.NDArray[np.bool_]


class _Way(NamedTuple):
    """One way in which a run may go."""

    own_seconds: float
    """Of agents' own clean play beforehand."""
    played: Duration
    lengths: list[FloatArray]
    """Of each contestant's episodes, in steps."""

    @property
    def seconds(self) -> float:
        """How long it takes, without what comes before any play."""
        return self.own_seconds + self.played.seconds


def _own_play_seconds(law: Law, lives: Lives, game: str, cost: Cost, draws: np.random.Generator) -> float:
    """Return how long an agent plays for itself: rounds of clean episodes until there are enough steps."""
    steps = seconds = 0.0
    none, start = np.zeros(ROUND_EPISODES), np.full(ROUND_EPISODES, lives.at_start(game))
    while steps < MIN_STEPS:
        one_round = law.draw([(game, "clean")] * ROUND_EPISODES, none, none, lives.to_lose(start, draws))
        steps += float(one_round.sum())
        seconds += float(one_round.max()) * cost.own_turn + float(one_round.sum()) * cost.step
    return seconds


def _costs(plan: Plan, measured: Sequence[Measured]) -> list[Cost]:
    """Return what each agent's play takes; those that played no sample are like others of their name, or like all."""
    timed = [one for one in measured if one.turns]
    if not timed:
        raise SpecError("The machine is too busy: no agent came to a step in the time of a price. Try again.")
    own = {
        one.contestant: Cost(
            turn=max((one.turn_seconds - one.lane_seconds) / one.turns + one.run_seconds, 0.0),
            step=one.lane_seconds / one.lane_steps,
            load=one.load_seconds,
            own_turn=max((one.turn_seconds - one.lane_seconds) / one.turns + one.own_seconds, 0.0),
        )
        for one in timed
    }
    costs = []
    for index, who in enumerate(plan.contestants):
        alike = [cost for at, cost in own.items() if plan.contestants[at].name == who.name] or list(own.values())
        costs.append(own.get(index) or Cost(*np.mean(alike, axis=0).tolist()))
    return costs
