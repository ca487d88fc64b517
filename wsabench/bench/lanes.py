"""How fast lanes are beside ale-py's own vector environment and the bare emulator.

All contestants take turns in short rounds, so that what else the machine does hits them alike; a row is the median.
They play the same actions from the same starts, so that their screens change alike too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import ale_py
import numpy as np
import numpy.typing as npt

from wsabench.emulator.console import FIRE
from wsabench.emulator.vector import make_vec
from wsabench.games import catalogue_games, check_rom_id
from wsabench.perturb import list_perturbations, misfit
from wsabench.protocol import Protocol
from wsabench.seeding import generator
from wsabench.types import BenchRow

BARE, ONE_THREAD, TWO_THREADS = "bare emulator", "AtariVectorEnv", "AtariVectorEnv x2"
CLEAN, SHIFT, RAM_PATCH = "clean", "hue-rotate@3", "RAM patch"
PERTURBED = (
    "sticky-actions@3",
    "camera-shift@3",
    "zoom@3",
    "occlusion@3",
    "gaussian-blur@3",
    "jpeg-compression@3",
    "gaussian-noise@3",
)
"""Compared with `clean`: the control channel, geometry, occlusion, and what costs arithmetic at every pixel."""

_PROTOCOL = Protocol(noop_max=0, stall_steps=0, fire_on_life_loss=False)
_SEED = 0

Actions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Contestant:
    """Who takes turns; `prepare` and `finish` are not timed."""

    name: str
    peers: tuple[str, ...]
    play: Callable[[Actions], None]
    """Plays steps with actions of shape (steps, N)."""
    prepare: Callable[[], None] = lambda: None
    finish: Callable[[], None] = lambda: None


def benchmark_env(
    games: Sequence[str] | None = None, num_envs: int = 16, seconds: float = 2.0, rounds: int = 7
) -> list[BenchRow]:
    """Measure steps per second, all on the same random actions.

    Args:
        games: Ids of single-player ROMs; None for the catalogue's.
        num_envs: Lanes stepped together.
        seconds: Time for each contestant in a game, about, all rounds together.
        rounds: How often the contestants take turns.

    Returns:
        Median steps/s over all lanes; the ratio is the median over rounds of own speed / peer's speed. Names are
        `GAME: CONTESTANT`; `x2` is two threads or two worker processes. With several games, rows `all: CONTESTANT`
        have the medians over games.

    Raises:
        SpecError: A game needs two players.
        UnknownNameError: A game does not exist.
    """
    chosen = [check_rom_id(game) for game in games] if games else list(catalogue_games())
    by_game = {game: _benchmark_game(game, num_envs, seconds, rounds) for game in chosen}
    rows = [_row(game, *speed) for game, table in by_game.items() for speed in table]
    if len(by_game) > 1:
        rows += _medians(list(by_game.values()))
    return rows


Speed = tuple[str, str, float, float | None]
"""Name, peer or empty, speed, ratio or None."""


def _row(place: str, name: str, peer: str, value: float, ratio: float | None) -> BenchRow:
    """Return a row with names that say where it was measured."""
    peer = f"{place}: {peer}" if peer else ""
    return {"name": f"{place}: {name}", "peer": peer, "value": value, "unit": "steps/s", "ratio": ratio}


def _medians(tables: list[list[Speed]]) -> list[BenchRow]:
    """Return the medians over games of each comparison."""
    pairs = dict.fromkeys((name, peer) for table in tables for name, peer, _, _ in table)
    rows: list[BenchRow] = []
    for name, peer in pairs:
        found = [speed for table in tables for speed in table if speed[:2] == (name, peer)]
        ratios = [ratio for *_, ratio in found if ratio is not None]
        value = float(np.median([value for _, _, value, _ in found]))
        rows.append(_row("all", name, peer, value, float(np.median(ratios)) if ratios else None))
    return rows


def _benchmark_game(game: str, num_envs: int, seconds: float, rounds: int) -> list[Speed]:
    """Return the comparisons in one game."""
    with _contestants(game, num_envs) as (contestants, num_actions):
        speeds = _take_turns(contestants, num_envs, seconds, rounds, num_actions)
    return [
        (
            contestant.name,
            peer,
            float(np.median(speeds[contestant.name])),
            float(np.median(speeds[contestant.name] / speeds[peer])) if peer else None,
        )
        for contestant in contestants
        for peer in contestant.peers or ("",)
    ]


def _take_turns(
    contestants: list[_Contestant], num_envs: int, seconds: float, rounds: int, num_actions: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Return steps per second in each round; each turn is as many steps as the first contestant plays in its time."""
    draws = generator(_SEED, "benchmark")
    warm_up = draws.integers(num_actions, size=(8, num_envs))
    paces = []
    for contestant in contestants:
        paces.append(_timed(contestant, warm_up) / len(warm_up))
    num_steps = max(4, int(seconds / rounds / float(np.median(paces))))
    speeds = {contestant.name: np.empty(rounds) for contestant in contestants}
    for turn in range(rounds):
        actions = draws.integers(num_actions, size=(num_steps, num_envs))
        for contestant in contestants:
            speeds[contestant.name][turn] = actions.size / _timed(contestant, actions)
    return speeds


def _timed(contestant: _Contestant, actions: Actions) -> float:
    """Return the seconds that the steps took."""
    contestant.prepare()
    start = time.perf_counter()
    contestant.play(actions)
    seconds = time.perf_counter() - start
    contestant.finish()
    return seconds


@contextmanager
def _contestants(game: str, num_envs: int) -> Iterator[tuple[list[_Contestant], int]]:
    """Give all contestants, in the order of their turns, and the number of actions."""
    with ExitStack() as stack:
        lanes = _Lanes(game, num_envs)
        stack.callback(lanes.close)
        opened: dict[str, Any] = {}
        for name, num_threads in ((ONE_THREAD, 1), (TWO_THREADS, 2)):
            opened[name] = ale_py.AtariVectorEnv(
                game, num_envs, num_threads=num_threads, noop_max=0, reward_clipping=False, use_fire_reset=True
            )
            stack.callback(opened[name].close)
            opened[name].reset(seed=_SEED)
        for name, perturbation in ((f"{CLEAN} x2", CLEAN), (f"{SHIFT} x2", SHIFT)):
            opened[name] = make_vec(game, num_envs, perturbation, _SEED, num_workers=2, protocol=_PROTOCOL)
            stack.callback(opened[name].close)
            opened[name].reset()
        contestants = [
            _Contestant(BARE, (), lanes.play_bare, lanes.restore),
            _Contestant(ONE_THREAD, (BARE,), _stepping(opened[ONE_THREAD])),
            _Contestant(CLEAN, (ONE_THREAD, BARE), lanes.play, lanes.starting(CLEAN), lanes.keep),
            _Contestant(SHIFT, (ONE_THREAD, BARE), lanes.play, lanes.starting(SHIFT)),
            *(_Contestant(name, (CLEAN,), lanes.play, lanes.starting(term)) for name, term in _perturbed(game)),
            _Contestant(TWO_THREADS, (), _stepping(opened[TWO_THREADS])),
            *(_Contestant(f"{n} x2", (TWO_THREADS,), _stepping(opened[f"{n} x2"])) for n in (CLEAN, SHIFT)),
        ]
        yield contestants, lanes.num_actions


def _perturbed(game: str) -> Iterator[tuple[str, str]]:
    """Give name and perturbation of what is compared with `clean`: the game's first RAM patch, and the operators."""
    entries = list_perturbations()
    patches = (entry.name for entry in entries if entry.kind == "ram.patch" and game in (entry.games or ()))
    if (patch := next(patches, None)) is not None:
        yield RAM_PATCH, patch
    names = {entry.name for entry in entries}
    for term in PERTURBED:
        if term.partition("@")[0] in names and misfit(term, game) is None:
            yield term, term


def _stepping(env: Any) -> Callable[[Actions], None]:
    """Return how an environment plays: it goes on with its games from turn to turn."""

    def play(actions: Actions) -> None:
        for row in actions:
            env.step(row)

    return play


class _Lanes:
    """Lanes in this process; contestants share them, because loading ROMs takes longer than the turns.

    Each turn starts from the consoles' states at the end of the last turn of `clean`.
    """

    def __init__(self, game: str, num_envs: int) -> None:
        self._env = make_vec(game, num_envs, seed=_SEED, protocol=_PROTOCOL)
        self._env.reset()
        self._consoles = [lane.console for lane in self._env.lanes]
        self.num_actions = len(self._consoles[0].actions)
        self.play = _stepping(self._env)
        self.close = self._env.close
        self.keep()

    def keep(self) -> None:
        """Make the present states those that turns start from."""
        self._states = [console.ale.cloneState() for console in self._consoles]

    def starting(self, perturbation: str) -> Callable[[], None]:
        """Return what starts a turn under a perturbation."""

        def start() -> None:
            self._env.reset(options={"perturbations": perturbation})
            self.restore()

        return start

    def play_bare(self, actions: Actions) -> None:
        """Play the lanes' emulators from Python and make nothing of it: what no environment can be faster than."""
        players = [(console.ale, console.actions) for console in self._consoles]
        for row in actions.tolist():
            for (ale, buttons), action in zip(players, row, strict=True):
                button = buttons[action]
                for _ in range(_PROTOCOL.frame_skip):
                    ale.act(button)
                if ale.game_over():
                    ale.reset_game()
                    if FIRE in buttons:
                        ale.act(FIRE)

    def restore(self) -> None:
        """Bring the kept states back."""
        for console, state in zip(self._consoles, self._states, strict=True):
            console.ale.restoreState(state)
