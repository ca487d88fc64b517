"""Does each patch that claims to make its game easier do so? `python benchmarks/easier_patches.py`.

Plays every episode twice, without the patch and with it: the same episode seed, so the same start, and the same random
numbers for the actions. From the paired differences it takes the mean and its one-sided 95 % lower bound by Student's t
(n - 1 degrees of freedom): a claim holds where the bound is above 0. What is compared, and after how many steps both
games are cut, stands in the catalogue (`random_play` of the game, `ease` of the patch).

    python benchmarks/easier_patches.py --games seaquest,pong --episodes 100 --out runs/easier.csv
    python benchmarks/easier_patches.py --agent e2e --train-seed 0 --steps 4000 --games breakout

`--agent` takes a shipped agent's name or a path, as `wsabench.load_agent` does, in place of random play; it lives
longer, so its games need more steps. Each finished patch is written to the file at once; a second call goes on from
there. `docs/easier.csv` is what random play gave. The exit code is 1 where a claim does not hold.
"""

from __future__ import annotations

import argparse
import csv
import functools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student_t

from wsabench import Protocol, load_agent
from wsabench.agents import wrap_policy
from wsabench.emulator import action_meanings
from wsabench.errors import SpecError
from wsabench.evaluation.rollout import NUM_LANES, EpisodeLanes, EpisodeTask, Handout, play
from wsabench.games import Game, RamPatch, catalogue_games, load_game
from wsabench.perturb import compile_perturbation
from wsabench.resources import atomic_path
from wsabench.results.records import EpisodeOutcome
from wsabench.seeding import evaluation_seed
from wsabench.types import LaneBatch, Policy

CLEAN = "clean"
EPISODES = 100
CONFIDENCE = 0.95
MEASURES = ("return", "length", "points_conceded")
CONDITIONS = ("game", "patch", "content_hash", "player", "measure", "steps", "first", "episodes")
NUMBERS = ("without", "with", "gain", "bound")
COLUMNS = (*CONDITIONS, *NUMBERS, "holds")

FloatArray = npt.NDArray[np.float64]


class RandomPlay:
    """Draws each action from some of the game's, by the lane's own generator."""

    def __init__(self, allowed: Sequence[int]) -> None:
        self._allowed = np.array(allowed, np.int64)

    def act(self, observations: npt.NDArray[np.uint8], lanes: LaneBatch) -> npt.NDArray[np.int64]:
        return np.array([self._allowed[rng.integers(len(self._allowed))] for rng in lanes.generators])


@dataclass(frozen=True, slots=True)
class Episodes:
    """What was measured in n games, in the order of their numbers; each shape (n,), float64."""

    values: Mapping[str, FloatArray]
    """By the names of `MEASURES`."""

    def advantage(self, other: Episodes, measure: str) -> FloatArray:
        """How much better these games went than `other`, pair by pair: fewer points conceded are better."""
        sign = -1 if measure == "points_conceded" else 1
        return sign * (self.values[measure] - other.values[measure])


class _Tasks:
    """Hands out the episodes of one arm."""

    def __init__(self, game: str, perturbation: str, episodes: range) -> None:
        self._tasks = [EpisodeTask(0, k, evaluation_seed(game, k), perturbation, ()) for k in episodes]

    def take(self, count: int) -> Handout:
        taken, self._tasks = self._tasks[:count], self._tasks[count:]
        return Handout(taken, not self._tasks)


def play_arm(game: str, perturbation: str, steps: int, episodes: range, policy: Policy, num_lanes: int = 1) -> Episodes:
    """Play evaluation episodes of a game, by their numbers, under one perturbation, each cut after `steps` steps."""
    protocol = Protocol(stall_steps=0, max_frames=steps * Protocol().frame_skip)
    outcomes: list[EpisodeOutcome] = []
    player = wrap_policy(policy)
    lanes = EpisodeLanes(game, protocol, num_lanes, player.abilities.inputs)
    play(player, lanes, _Tasks(game, perturbation, episodes), outcomes.append, lambda _: None, keep_steps=True)
    outcomes.sort(key=lambda outcome: outcome.episode)
    conceded = [-np.minimum(outcome.steps.rewards, 0).sum() if outcome.steps else 0.0 for outcome in outcomes]
    columns = ([o.episodic_return for o in outcomes], [o.length for o in outcomes], conceded)
    return Episodes({name: np.array(column, np.float64) for name, column in zip(MEASURES, columns, strict=True)})


def lower_bound(differences: FloatArray, confidence: float = CONFIDENCE) -> float:
    """One-sided lower bound of the mean of independent differences, by Student's t."""
    count = len(differences)
    error = differences.std(ddof=1) / np.sqrt(count)
    return float(differences.mean() - student_t.ppf(confidence, count - 1) * error)


def random_play(game: Game) -> RandomPlay:
    """The random play that the game's catalogue entry names."""
    meanings = action_meanings(game.id)
    unknown = [name for name in game.random_play.actions if name not in meanings]
    if unknown:
        raise SpecError(f"{game.id}, random_play.actions: found {unknown}. Allowed: {', '.join(meanings)}.")
    return RandomPlay([meanings.index(name) for name in game.random_play.actions or meanings])


@dataclass(frozen=True, slots=True)
class Player:
    """Who plays which episodes."""

    episodes: range = range(EPISODES)
    agent: str | None = None
    """A shipped agent's name or a path; None: random play."""
    train_seed: int | None = None
    steps: int | None = None
    """Steps after which a game is cut; None: as the catalogue says."""

    @property
    def name(self) -> str:
        seed = "" if self.train_seed is None else f" seed {self.train_seed}"
        return "random" if self.agent is None else f"{self.agent}{seed}"

    def play(self, game: str, perturbation: str, steps: int) -> Episodes:
        if self.agent is None:
            return play_arm(game, perturbation, steps, self.episodes, random_play(load_game(game)))
        agent = load_agent(self.agent, game=game, train_seed=self.train_seed)
        return play_arm(game, perturbation, steps, self.episodes, agent, NUM_LANES)


def conditions(patch: RamPatch, game: Game, player: Player) -> dict[str, str]:
    """How a patch is measured: the columns of its row that must be as they are for its numbers to hold."""
    return {
        "game": game.id,
        "patch": patch.perturbation,
        "content_hash": compile_perturbation(patch.perturbation, game.id).content_hash,
        "player": player.name,
        "measure": patch.ease.measure,
        "steps": str(player.steps or patch.ease.steps or game.random_play.steps),
        "first": str(player.episodes.start),
        "episodes": str(len(player.episodes)),
    }


def judge(measure: str, plain: Episodes, patched: Episodes) -> dict[str, str]:
    """What was measured, as columns of a row."""
    gain = patched.advantage(plain, measure)
    bound = lower_bound(gain)
    numbers = (plain.values[measure].mean(), patched.values[measure].mean(), gain.mean(), bound)
    shown = {name: f"{number:.3f}" for name, number in zip(NUMBERS, numbers, strict=True)}
    return shown | {"holds": "yes" if bound > 0 else "no"}


class Measurements:
    """Measures patches with one player, who plays without a patch only once for a game and number of steps."""

    def __init__(self, player: Player) -> None:
        self._player = player
        self._plain = functools.cache(player.play)

    def row(self, patch: RamPatch, game: Game) -> dict[str, str]:
        found = conditions(patch, game, self._player)
        steps = int(found["steps"])
        plain = self._plain(game.id, CLEAN, steps)
        return found | judge(found["measure"], plain, self._player.play(game.id, patch.perturbation, steps))


def read_rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: Mapping[tuple[str, str], Mapping[str, str]]) -> None:
    """Write the rows of patches that claim something, in the order of the catalogue."""
    claims = [
        (game.id, patch.perturbation) for game in map(load_game, catalogue_games()) for patch in game.easier_patches
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[claim] for claim in claims if claim in rows)


def is_current(row: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether a row was measured as is wanted now."""
    return all(row[key] == value for key, value in wanted.items())


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", help="a shipped agent or a path instead of random play")
    parser.add_argument("--train-seed", type=int, help="which training run of a shipped agent")
    parser.add_argument("--steps", type=int, help="cut games after so many steps instead of the catalogue's")
    parser.add_argument("--games", default=",".join(catalogue_games()))
    parser.add_argument("--episodes", type=int, default=EPISODES)
    parser.add_argument(
        "--first", type=int, default=0, help="number of the first episode; others confirm what was found"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/easier.csv"))
    return parser.parse_args()


def main() -> int:
    arguments = parsed_arguments()
    episodes = range(arguments.first, arguments.first + arguments.episodes)
    player = Player(episodes, arguments.agent, arguments.train_seed, arguments.steps)
    measurements = Measurements(player)
    table = {(row["game"], row["patch"]): row for row in read_rows(arguments.out)}
    held = []
    for game in map(load_game, arguments.games.split(",")):
        for patch in game.easier_patches:
            claim = (game.id, patch.perturbation)
            if claim not in table or not is_current(table[claim], conditions(patch, game, player)):
                table[claim] = measurements.row(patch, game)
                write_rows(arguments.out, table)
            print(*table[claim].values(), sep="  ", flush=True)
            held.append(table[claim]["holds"] == "yes")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
