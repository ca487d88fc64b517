"""Verifying: a random sample of the episodes of a run or an entry is played again, and every number is recomputed."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import numpy as np
import pandas as pd

from wsabench.errors import CheckpointError, ResultSetError, SpecError, UnknownNameError
from wsabench.leaderboard.entry import read_entry
from wsabench.leaderboard.recomputing import Problems, number_rows, report_problems, shard_problems
from wsabench.leaderboard.scoring import result_of
from wsabench.leaderboard.submission import hosts_of
from wsabench.resources import expanded
from wsabench.results.comparing import listed, shortened
from wsabench.results.manifest import UNKNOWN, AgentEntry, AgentId, Host, Manifest, RecordedPlan
from wsabench.results.provenance import ENGINE_VERSION, decisive_versions, host_summary
from wsabench.results.records import EpisodeOutcome
from wsabench.results.result import load_result
from wsabench.results.tables import with_labels
from wsabench.seeding import generator, start_order
from wsabench.stats import family_test
from wsabench.types import Permissions

if TYPE_CHECKING:
    from wsabench.evaluation.contestants import Contestant
    from wsabench.evaluation.replaying_apart import ReplayRoom

DEFAULT_SAMPLE = 20
_NAME = re.compile(r"[\w-]+", re.ASCII)
"""Names of shipped agents; no path and no address looks so."""
ALPHA = 0.05
"""Means are told apart where p is at most this."""


class Outcome(NamedTuple):
    """How an episode went."""

    total: float
    """The return."""
    length: int
    end: str
    noops: int | None
    action_hash: str | None


class Replayed(NamedTuple):
    """One episode of the sample: what is stated, and what was found."""

    agent: AgentId
    perturbation: str
    episode: int
    episode_seed: int
    stated: Outcome
    found: Outcome

    @property
    def differences(self) -> tuple[str, ...]:
        """What differs, in words; no-ops and actions count where they are stated."""
        pairs = zip(("return", "length", "end", "no-ops", "actions"), self.stated, self.found, strict=True)
        return tuple(
            f"{what} {one} is stated, {other} was found"
            for what, one, other in pairs
            if one is not None and one != other
        )

    def describe(self) -> str:
        """Return the episode in words."""
        return f"{self.agent.describe()}, {self.perturbation}, episode {self.episode} (seed {self.episode_seed})"


class MeansTest(NamedTuple):
    """Whether stated and found episodes have one mean, where bits cannot be compared."""

    difference: float
    """Mean of found minus stated returns, in normalised scores where the game has reference scores."""
    p: float
    """Two-sided p of the paired sign-flip test over episodes."""
    smallest_p: float
    """The smallest p that so many episodes can give."""

    @property
    def tells_apart(self) -> bool:
        """Whether the means differ."""
        return self.p <= ALPHA

    @property
    def can_tell(self) -> bool:
        """Whether so many episodes can show any difference."""
        return self.smallest_p <= ALPHA


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was found."""

    target: Path
    kind: Literal["run", "entry"]
    suite: str
    num_episodes: int
    """Episodes that there are."""
    seed: int
    """The seed that the sample was drawn with."""
    sample: tuple[Replayed, ...]
    problems: tuple[str, ...]
    """What does not follow from the episodes, or from what the manifest says: one sentence each."""
    environment: tuple[str, ...]
    """Why bits cannot be compared on this machine; nothing where they can."""
    drawing: tuple[str, ...]
    """Agents of the sample that draw random numbers of their own: their bits cannot be compared anywhere."""
    means: MeansTest | None
    """The test over the episodes whose bits cannot be compared; None where all can."""
    numbers: tuple[dict[str, Any], ...]
    """Every aggregate, recomputed from the episodes."""

    @property
    def unequal(self) -> tuple[Replayed, ...]:
        """The episodes that differ."""
        return tuple(one for one in self.sample if one.differences)

    @property
    def share_equal(self) -> float:
        """Share of the sample that is equal in everything that is stated."""
        return 1.0 - len(self.unequal) / len(self.sample)

    @property
    def verdict(self) -> Literal["equal", "differs", "not told apart"]:
        """`equal` to the bit; `differs`; or, where bits cannot be compared, means that are not told apart."""
        if self.problems:
            return "differs"
        if not self.unequal:
            return "equal"
        if any(not self.is_loose(one.agent.agent) for one in self.unequal):
            return "differs"
        if self.means is None or self.means.tells_apart:
            return "differs"
        return "not told apart"

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Why bits cannot be compared, in words; of agents that draw only theirs."""
        return (*self.environment, *(f"{name} draws random numbers of its own" for name in self.drawing))

    def is_loose(self, agent: str) -> bool:
        """Whether an agent's episodes are held to the means only.

        Args:
            agent: Its name.
        """
        return bool(self.environment) or agent in self.drawing

    @property
    def exit_code(self) -> int:
        """0 equal or not told apart, 1 differs."""
        return int(self.verdict == "differs")


@dataclass(frozen=True, slots=True)
class _Target:
    """What is verified."""

    kind: Literal["run", "entry"]
    episodes: pd.DataFrame
    """With the column `label`."""
    manifest: Manifest
    hosts: tuple[Host, ...]
    problems: Problems
    numbers: tuple[dict[str, Any], ...]

    @property
    def plan(self) -> RecordedPlan:
        """What was planned."""
        return self.manifest.plan


def verify(  # noqa: PLR0913 - one keyword an option of the command line
    path: str | Path,
    *,
    sample: int = DEFAULT_SAMPLE,
    seed: int = 0,
    checkpoints: Sequence[str] = (),
    permissions: Permissions | None = None,
    worker_timeout: float = 120.0,
    advance: Callable[[int], None] = lambda _: None,
    note: Callable[[str], None] = lambda _: None,
) -> Verification:
    """Play a random sample of episodes again and recompute every number.

    Args:
        path: Directory of a run, or JSON file of an entry.
        sample: Most episodes to play again.
        seed: Draws the sample.
        checkpoints: Where agents are now, as for `run`'s agents; `NAME=...` where there are several. None for an agent:
            where it was.
        permissions: What the agents are allowed; nothing by default.
        worker_timeout: Seconds without a step after which an agent whose own code runs is taken to hang, 0 for none;
            five times as many until its first step. It plays in a process of its own, which may end without harm.
        advance: Gets the number of steps played since the last call.
        note: Gets a sentence where an agent must first play for some cells.

    Returns:
        What was found.

    Raises:
        CheckpointError: An agent cannot be loaded, has no hash, or is another one.
        ResultSetError: The target is damaged, or a cell or ROM is another one here.
        SpecError: A value is malformed.
        WorkerError: An agent ends its process or hangs.
    """
    from wsabench.evaluation.replaying_apart import replay_room
    from wsabench.evaluation.runs import checked_timeout

    if sample < 1:
        raise SpecError(f"The sample is {sample} episodes. Allowed: integers from 1.")
    target = _opened(expanded(path))
    drawn = _drawn(target.episodes, sample, seed)
    places = _by_agent(target.plan, checkpoints)
    is_foreign = target.kind == "entry"
    with replay_room(checked_timeout(worker_timeout)) as room:
        players = _players(target.plan, drawn, places, permissions or Permissions(), room, is_foreign=is_foreign)
        found = _play(target.plan, drawn, players, room, advance, note)
    replayed = tuple(_replayed(row, found[place]) for place, row in enumerate(_rows(drawn)))
    environment = environment_differences(target.plan, target.hosts)
    drawing = tuple(dict.fromkeys(one.name for one in players.values() if one.draws))
    loose = [one for one in replayed if environment or one.agent.agent in drawing]
    return Verification(
        target=expanded(path),
        kind=target.kind,
        suite=target.plan.suite.name,
        num_episodes=len(target.episodes),
        seed=seed,
        sample=replayed,
        problems=(
            *target.problems,
            *_untrue_claims(target.plan, players, is_like_there=not environment),
            *([] if environment else _untrue_starts(target.plan, drawn, players)),
        ),
        environment=environment,
        drawing=drawing,
        means=_means_test(loose, target.plan, seed) if loose else None,
        numbers=target.numbers,
    )


def _opened(path: Path) -> _Target:
    """Read a run or an entry, check it, and recompute its numbers."""
    if path.is_file():
        entry = read_entry(path)
        result = result_of({entry.agent: entry})  # by our reference scores, whatever it says of them
        return _Target("entry", with_labels(result.episodes), result.manifest, entry.hosts, [], number_rows(result))
    if not path.exists():
        raise ResultSetError(
            f"There is no {path}. Give a directory that `wsabench run` wrote, or an entry's JSON file."
        )
    run = load_result(path)
    if run.episodes.empty:
        raise ResultSetError(f"{path} has no finished episode. Start the same run again; it goes on by itself.")
    problems = [*shard_problems(run), *report_problems(run)]
    return _Target(
        "run", with_labels(run.episodes), run.manifest, hosts_of(run.manifest.history), problems, number_rows(run)
    )


def _drawn(episodes: pd.DataFrame, sample: int, seed: int) -> pd.DataFrame:
    """Return a random sample of episodes, in their order."""
    rng = generator(seed, "verify")
    places = rng.choice(len(episodes), size=min(sample, len(episodes)), replace=False)
    return episodes.iloc[np.sort(places)]


def environment_differences(plan: RecordedPlan, hosts: Sequence[Host]) -> tuple[str, ...]:
    """Return, in words, in what this machine differs from the ones that played, as far as it can move bits.

    Args:
        plan: What was planned.
        hosts: The kinds of machine that played.
    """
    here, versions = host_summary(), decisive_versions()
    there = dict.fromkeys(f"{host.processor} ({host.machine})" for host in hosts)
    found = []
    if list(there) != [this := f"{here.processor} ({here.machine})"]:
        found.append(f"processor: {listed(there)} there, {this} here")
    for name, version in versions.items():
        stated = plan.versions.get(name, UNKNOWN)
        if stated != version:
            found.append(f"{name}: {stated} there, {version} here")
    if plan.engine_version != ENGINE_VERSION:
        found.append(f"engine behaviour version: {plan.engine_version} there, {ENGINE_VERSION} here")
    return tuple(found)


def _by_agent(plan: RecordedPlan, checkpoints: Sequence[str]) -> dict[str, str]:
    """Return where agents are now, by their names."""
    names = list(dict.fromkeys(one.agent for one in plan.agents))
    found: dict[str, str] = {}
    for text in checkpoints:
        name, separator, rest = text.partition("=")
        if separator and name in names and not Path(text).exists():
            found[name] = rest
        elif len(names) == 1:
            found[names[0]] = text
        else:
            raise SpecError(
                f"--checkpoint {text!r} names none of the agents {listed(names)}. Write NAME={text}, once for each."
            )
    return found


def _players(
    plan: RecordedPlan,
    drawn: pd.DataFrame,
    checkpoints: Mapping[str, str],
    permissions: Permissions,
    room: ReplayRoom,
    *,
    is_foreign: bool,
) -> dict[AgentId, Contestant]:
    """Return everyone who plays in a sample, loaded and found to be the same, and every cell too."""
    from wsabench.evaluation.contestants import names_own_code
    from wsabench.evaluation.replaying import contestant_again

    entries = {one.id: one for one in plan.agents}
    players: dict[AgentId, Contestant] = {}
    for row in _rows(drawn):
        _check_cell(plan, row["game"], row["label"])
        who = _agent_of(row)
        if who not in players:
            entry = entries[who]
            if is_foreign and who.agent not in checkpoints and not is_ours(entry):
                raise CheckpointError(
                    f"{who.describe()} is {entry.source!r}, which comes with no wsabench, and an entry's own words are "
                    "never opened. Say where its checkpoint is: --checkpoint PATH, sb3:PATH.zip or as it was run."
                )
            place = checkpoints.get(who.agent)
            load = room.load if _plays_apart(names_own_code(place or entry.source)) else contestant_again
            players[who] = load(entry, plan.protocol, permissions, place)
    return players


def _untrue_claims(plan: RecordedPlan, players: Mapping[AgentId, Contestant], *, is_like_there: bool) -> Problems:
    """Return what is said of those who played and is not true of them: what they read decides where they stand.

    One that is said to repeat itself and draws is held to its means alone, so the claim must not be free. Elsewhere
    than where it played (`is_like_there`) another device may answer differently.
    """
    entries = {one.id: one for one in plan.agents}
    problems: Problems = []
    for who, player in players.items():
        found = player.entry(plan.protocol)
        if is_like_there and found.draws and not entries[who].draws:
            problems.append(f"{who.describe()}: it is said to answer the same each time, and does not.")
        for name in ("encoders", "inputs", "privileged"):
            stated, true = getattr(entries[who], name), getattr(found, name)
            if stated != true:
                problems.append(f"{who.describe()}: {name} {stated!r} is stated, {true!r} is true.")
    return problems


def _untrue_starts(plan: RecordedPlan, drawn: pd.DataFrame, players: Mapping[AgentId, Contestant]) -> Problems:
    """Return the cells of a sample that are said to differ in their starts alone, and do not."""
    from wsabench.perturb import compile_perturbation

    sampled = {(_agent_of(row), row["label"]) for row in _rows(drawn)}
    return [
        f"{job.id.describe()}, {job.perturbation}: nothing but the start is said to be left to chance, and more is."
        for job in plan.jobs
        if job.each_start_once
        and (job.id, job.perturbation) in sampled
        and not players[job.id].plays_each_start_once(compile_perturbation(job.perturbation, job.game))
    ]


def is_ours(entry: AgentEntry) -> bool:
    """Whether an agent comes with wsabench: built in, or a shipped checkpoint by its name."""
    return entry.kind == "built-in" or (entry.kind == "agent" and _NAME.fullmatch(entry.source) is not None)


def _plays_apart(runs_own_code: bool) -> bool:
    """Whether an agent plays in a process of its own; a worker of a pool may start none."""
    return runs_own_code and not multiprocessing.current_process().daemon


def _play(
    plan: RecordedPlan,
    drawn: pd.DataFrame,
    players: Mapping[AgentId, Contestant],
    room: ReplayRoom,
    advance: Callable[[int], None],
    note: Callable[[str], None],
) -> dict[int, EpisodeOutcome]:
    """Play the episodes of a sample; return outcomes by place."""
    from wsabench.evaluation.pool.worker import LaneRoom
    from wsabench.evaluation.replaying import play_again
    from wsabench.evaluation.rollout import EpisodeTask
    from wsabench.perturb import compile_perturbation

    tasks: dict[AgentId, list[EpisodeTask]] = {}
    once = {(job.id, job.perturbation) for job in plan.jobs if job.each_start_once}
    for place, row in enumerate(_rows(drawn)):
        who, number = _agent_of(row), row["episode"]
        order = start_order(who.game, players[who].protocol.start_noops, plan.seed)
        noops = order[number] if (who, row["label"]) in once else None
        compiled = compile_perturbation(row["label"], row["game"])
        task = EpisodeTask(place, number, row["episode_seed"], compiled.name, compiled.encoder_operations, noops)
        tasks.setdefault(who, []).append(task)
    here = LaneRoom()
    found: dict[int, EpisodeOutcome] = {}
    for who in sorted(tasks, key=lambda one: one.game):  # lanes are kept while the game stays the same
        player = players[who]
        if _plays_apart(player.runs_own_code):
            outcomes = room.play(player, tasks[who], advance, note)
        else:
            outcomes = play_again(player, tasks[who], advance, note, here.lanes(player))
        found |= {one.job_index: one for one in outcomes}
    here.close()
    return found


def _agent_of(row: Mapping[str, Any]) -> AgentId:
    """Return whose episode a row is."""
    return AgentId(row["agent"], row["train_seed"], row["game"])


def _check_cell(plan: RecordedPlan, game: str, label: str) -> None:
    """Refuse a game or perturbation that is another one here: there is nothing to compare then."""
    from wsabench.emulator.rom_files import rom_hash
    from wsabench.perturb import compile_perturbation

    try:
        compiled = compile_perturbation(label, game)
    except UnknownNameError as error:
        raise ResultSetError(f"{label} on {game} was played and is not known here. {error}") from error
    facts = {
        f"the ROM of {game}": (plan.roms.get(game), rom_hash(game)),
        f"{label} on {game}": (plan.perturbation_hashes.get(game, {}).get(label), compiled.content_hash),
    }
    for what, (there, here) in facts.items():
        if there != here:
            raise ResultSetError(
                f"{what} is another one here: its hash is {shortened(here)} instead of {shortened(there)}. Verify with "
                "the wsabench, the packages and the catalogue that played."
            )


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as plain values."""
    return [cast("dict[str, Any]", row) for row in table.astype(object).to_dict("records")]


def _replayed(row: Mapping[str, Any], outcome: EpisodeOutcome) -> Replayed:
    """Return an episode with what is stated and what was found."""
    noops, actions = (None if pd.isna(row[name]) else row[name] for name in ("noops", "action_hash"))
    return Replayed(
        agent=_agent_of(row),
        perturbation=row["label"],
        episode=row["episode"],
        episode_seed=row["episode_seed"],
        stated=Outcome(row["return"], row["length"], row["end"], None if noops is None else int(noops), actions),
        found=Outcome(outcome.episodic_return, outcome.length, outcome.end, outcome.noops, outcome.action_hash),
    )


def _means_test(sample: Sequence[Replayed], plan: RecordedPlan, seed: int) -> MeansTest:
    """Test whether stated and found returns have one mean: paired by episode, networks held fixed.

    Where bits differ, an episode played twice is two draws of the same network under the same start, so under the
    hypothesis their difference is symmetric about 0 (`wsabench.stats.family_test` of one sample).
    """
    differences = [(one.found.total - one.stated.total) / _scale(plan, one.agent.game) for one in sample]
    test = family_test([np.array(differences)[:, None]], None, generator(seed, "verify", "means"))
    # One episode has no spread, so no p.
    return MeansTest(float(np.mean(differences)), float(np.nan_to_num(test.single_p[0], nan=1.0)), test.smallest_p)


def _scale(plan: RecordedPlan, game: str) -> float:
    """Return what a normalised score of 1 is in points; 1 where the game has no reference scores."""
    scores = plan.reference_scores.get(game)
    if scores is None or scores.random is None or scores.human is None or scores.human == scores.random:
        return 1.0
    return abs(scores.human - scores.random)
