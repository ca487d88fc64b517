"""How full `wsabench run` keeps the cores, and how fast it is beside what one would use today."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from wsabench.agents import list_agents, read_checkpoint
from wsabench.bench.peers import missing_library
from wsabench.bench.playing_peer import CELLS, PEER, PeerOrder, PeerSeat, can_be
from wsabench.bench.playing_seats import LANES, NETWORK, PLAY, Crew, EndlessTasks, as_they_stand, sit
from wsabench.bench.turns import STEPS, Contestant, bench_rows, take_turns
from wsabench.errors import WorkerError
from wsabench.evaluation.contestants import Contestant as Player
from wsabench.evaluation.contestants import find_contestants
from wsabench.evaluation.rollout import NUM_LANES, EpisodeLanes
from wsabench.evaluation.runs import run
from wsabench.evaluation.timing import TIMES_FOLDER, read_times
from wsabench.games import load_game
from wsabench.machine import available_cores
from wsabench.processes import started
from wsabench.protocol import Protocol
from wsabench.seeding import generator
from wsabench.types import Actions, BenchRow, Observations

BOUND = "bound by lanes and network"
WHOLE = "whole run"
PEER_ENVS, PEER_THREADS = (2, 4, 8, 16), (1, 2)
_LEAST_AGREEMENT = 0.9
"""Of greedy actions; ours are computed in half precision."""
_OBSERVED_TURNS, _OBSERVED_GAP = 4, 8
"""Observations of each lane, and random steps before each."""
_SHARE, _SECONDS, _HOURLY = "share", "s", "steps/hour"


def benchmark_run(  # noqa: PLR0913 - one keyword an option of the command line
    game: str = "breakout",
    agent: str = "e2e",
    num_rounds: int = 5,
    seconds: float = 10.0,
    *,
    workers: int | None = None,
    episodes: int = 30,
    whole: Mapping[str, Any] | None = None,
    peer_envs: Sequence[int] = PEER_ENVS,
    peer_threads: Sequence[int] = PEER_THREADS,
    warn: Callable[[str], None] = lambda _: None,
) -> list[BenchRow]:
    """Measure the main job: an agent that plays clean, hue-rotate@3 and gaussian-noise@3, as `wsabench run` does.

    First a whole run, whose worker processes say where their time went. Then turns by the clock, all cores at once: the
    main job without its begin and end; lanes alone, on random actions; the network alone, on full batches; and the
    peer, at the best of its numbers of environments and torch threads, which a turn of each finds out before.

    Args:
        game: The game.
        agent: A trained agent by name or path; train seed 0.
        num_rounds: Turns of each contestant.
        seconds: Seconds of a turn, by the clock.
        workers: Worker processes; None for as many as there are cores.
        episodes: Episodes of each of the three cells in the whole run.
        whole: Options of another whole run instead, as `wsabench.run` takes them.
        peer_envs: Numbers of environments that the peer tries.
        peer_threads: Numbers of torch threads that it tries.
        warn: Is told why the peer is missing.

    Returns:
        Rows. Of the whole run: steps/s from the first decision to the end, and for each worker the share of that time
        in lanes, in the network and in both (utilisation), of its lanes that played in a forward pass (full lanes), and
        the seconds until its first decision. Of the turns: steps/s, medians over the rounds; the main job has one row
        for each of its peers, the bound and `evaluate_policy`. The bound is what a core would play if it did nothing
        but step lanes and run the network.

    Raises:
        SpecError: The agent cannot play.
        UnknownNameError: There is no such agent or game.
        WorkerError: A worker process failed, or the peer's network is not the agent's.
    """
    game = load_game(game).id
    num_workers = workers or available_cores()
    player = find_contestants([agent], [game], [0], Protocol())[0]
    options = whole or {"perturbations": list(CELLS), "episodes": episodes, "train_seeds": [0]}
    rows = _whole_run({"agents": [agent], "games": [game], "workers": num_workers, **options})
    with ExitStack() as stack:
        members = stack.enter_context(started(num_workers, sit, (), "wsabench-bench"))
        crew = Crew(members, player, CELLS)
        contestants = {work: Contestant(partial(crew.measure, work)) for work in (PLAY, LANES, NETWORK)}
        searched: list[BenchRow] = []
        order = _peer_order(player, agent, warn)
        if order is not None:
            searched, order = _best_peer(order, seconds, peer_envs, peer_threads)
            seat = stack.enter_context(closing(PeerSeat(order)))
            searched.append(_agreement(player, seat))
            contestants[PEER] = Contestant(seat.measure)
            contestants[PLAY] = contestants[PLAY]._replace(peer=PEER)
        speeds = take_turns(contestants, num_rounds, seconds)
        crew.dismiss()
    return rows + searched + _turn_rows(contestants, speeds, crew)


def _turn_rows(contestants: dict[str, Contestant], speeds: dict[str, list[float]], crew: Crew) -> list[BenchRow]:
    """Return the rows of the turns, with the bound that lanes and network alone set."""
    pairs = zip(speeds[LANES], speeds[NETWORK], strict=True)
    speeds = {**speeds, BOUND: [1 / (1 / lanes + 1 / network) for lanes, network in pairs]}
    near = bench_rows({PLAY: contestants[PLAY]._replace(peer=BOUND)}, speeds)
    found = bench_rows(contestants | {BOUND: Contestant(float)}, speeds)
    hourly: BenchRow = {**near[0], "value": 3600 * near[0]["value"], "unit": _HOURLY, "peer": "", "ratio": None}
    shares = [
        _row(f"{PLAY}: worker {number}: utilisation", statistics.median(turn.share for turn in turns), _SHARE)
        for number, turns in enumerate(crew.turns)
    ]
    if not contestants[PLAY].peer:
        found = [row for row in found if row["name"] != PLAY]
    return [*found, *near, hourly, *shares]


def _whole_run(options: dict[str, Any]) -> list[BenchRow]:
    """Play a run into a folder that is thrown away; return where its processes' time went."""
    with tempfile.TemporaryDirectory() as folder, _times_to(Path(folder) / "times") as times:
        begun = time.time()
        result = run(**options, out=Path(folder) / "run")
        played = int(result.episodes["length"].sum())
        found = read_times(times)
    ended = max(one.ended for one in found)
    first = min(one.begun for one in found)
    rows = [_row(WHOLE, played / (ended - first), STEPS)]
    for number, one in enumerate(found):
        wall = ended - one.begun
        rows += [
            _row(f"{WHOLE}: worker {number}: {name}", value, unit)
            for name, value, unit in (
                ("utilisation", one.utilisation(ended), _SHARE),
                ("lanes", one.lanes / wall, _SHARE),
                ("network", one.network / wall, _SHARE),
                ("full lanes", one.steps / max(1, one.turns * NUM_LANES), _SHARE),
                ("steps", float(one.steps), "steps"),
                ("start-up", one.begun - begun, _SECONDS),
            )
        ]
    return rows


@contextmanager
def _times_to(folder: Path) -> Iterator[Path]:
    """Let processes that are started inside write their times to a folder."""
    folder.mkdir()
    before = os.environ.get(TIMES_FOLDER)
    os.environ[TIMES_FOLDER] = str(folder)
    try:
        yield folder
    finally:
        del os.environ[TIMES_FOLDER]
        if before is not None:
            os.environ[TIMES_FOLDER] = before


def _peer_order(player: Player, agent: str, warn: Callable[[str], None]) -> PeerOrder | None:
    """Return how the peer is built; None where there is none, which is said."""
    if reason := missing_library(PEER):
        warn(reason)
        return None
    paths = [one.path for one in list_agents(player.game) if (one.name, one.train_seed) == (agent, player.train_seed)]
    path = paths[0] if paths else Path(agent)
    read = read_checkpoint(path) if path.is_file() else None
    if read is None or not can_be(read.meta.spec):
        warn(f"{PEER}: it plays agents of kind 'e2e' that are trained with actor and critic; {agent!r} is none.")
        return None
    weights = {name: value.float().numpy() for name, value in read.weights.items()}
    return PeerOrder(player.game, weights, 1, player.protocol.action_selection == "greedy")


def _best_peer(
    order: PeerOrder, seconds: float, numbers: Sequence[int], threads: Sequence[int]
) -> tuple[list[BenchRow], PeerOrder]:
    """Give each way of the peer a turn; return the rows, and the fastest."""
    rows: list[BenchRow] = []
    best, best_speed = order, 0.0
    for num_envs in numbers:
        with closing(PeerSeat(order._replace(num_envs=num_envs))) as seat:
            for num_threads in threads:
                seat.use_threads(num_threads)
                speed = seat.measure(seconds)
                rows.append(_row(f"{PEER}: {num_envs} environments, torch threads: {num_threads}", speed, STEPS))
                if speed > best_speed:
                    best, best_speed = order._replace(num_envs=num_envs, num_threads=num_threads), speed
    return rows, best


def _agreement(player: Player, seat: PeerSeat) -> BenchRow:
    """Return the share of observations of play in which the peer's greedy actions are the agent's.

    Raises:
        WorkerError: It is so small that the networks cannot be the same.
    """
    observations, ours = _observed(player)
    share = float(np.mean(seat.actions(observations) == ours))
    if share < _LEAST_AGREEMENT:
        raise WorkerError(
            f"{PEER}: its actions agree with those of {player.name!r} in {share:.0%} of {len(ours)} observations, so "
            "its network is another one. Report this, with the version of Stable-Baselines3."
        )
    return _row(f"{PEER}: greedy actions as ours", share, _SHARE)


def _observed(player: Player) -> tuple[Observations, Actions]:
    """Return observations of some play at random, and the agent's greedy actions in them."""
    lanes = EpisodeLanes(player.game, player.protocol, inputs=player.abilities.inputs)
    policy, draws = player.load("greedy"), generator(0, "benchmark")
    tasks = EndlessTasks(player.game, CELLS, 0, 1).take(lanes.num_lanes).tasks
    for row, task in enumerate(tasks):
        lanes.start(row, task.episode_seed, task.perturbation)
    seen: list[Observations] = []
    chosen: list[Actions] = []
    for _ in range(_OBSERVED_TURNS):
        for row, task in enumerate(tasks):
            for action in draws.integers(lanes.num_actions, size=_OBSERVED_GAP).tolist():
                if lanes.step(row, action) is not None:
                    lanes.start(row, task.episode_seed, task.perturbation)
        seen.append(lanes.observations.copy())
        chosen.append(policy.act(seen[-1], as_they_stand(lanes)).actions)
    return np.concatenate(seen), np.concatenate(chosen)


def _row(name: str, value: float, unit: str) -> BenchRow:
    return {"name": name, "peer": "", "value": value, "unit": unit, "ratio": None}
