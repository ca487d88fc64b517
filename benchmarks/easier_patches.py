"""Does each patch that claims to make its game easier do so? `python benchmarks/easier_patches.py`.

Plays every episode twice, without the patch and with it: the same episode seed, so the same start, and the same random
numbers for the actions. From the paired differences it takes the mean and its one-sided 95 % lower bound by Student's t
(n - 1 degrees of freedom): a claim holds where the bound is above 0. What is compared, and after how many steps both
games are cut, stands in the catalogue (`random_play` of the game, `ease` of the patch).

    python benchmarks/easier_patches.py --games seaquest,pong --episodes 100 --out runs/easier.csv
    python benchmarks/easier_patches.py --agent e2e --train-seed 0 --games breakout

`--agent` takes a shipped agent's name or a path, as `wsabench.load_agent` does, in place of random play. Each finished
game is written to the file at once; a second call goes on from there. `docs/easier.csv` is what random play gave. Exits
with 1 where a claim does not hold.
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
from wsabench.emulator import action_meanings
from wsabench.errors import SpecError
from wsabench.evaluation.lanes import NUM_LANES, EpisodeLanes
from wsabench.evaluation.records import EpisodeOutcome
from wsabench.evaluation.rollout import EpisodeTask, Handout, play
from wsabench.games import Game, RamPatch, catalogue_games, load_game
from wsabench.perturb import compile_perturbation
from wsabench.resources import atomic_path
from wsabench.seeding import evaluation_seed
from wsabench.types import LaneBatch, Policy

CLEAN = "clean"
EPISODES = 100
CONFIDENCE = 0.95
MEASURES = ("return", "length", "points_conceded")
COLUMNS = ("game", "patch", "content_hash", "measure", "steps", "episodes", "without", "with", "gain", "bound", "holds")

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

    def __init__(self, game: str, perturbation: str, episodes: int) -> None:
        self._tasks = [EpisodeTask(0, k, evaluation_seed(game, k), perturbation, ()) for k in range(episodes)]

    def take(self, count: int) -> Handout:
        taken, self._tasks = self._tasks[:count], self._tasks[count:]
        return Handout(taken, not self._tasks)


def play_arm(game: str, perturbation: str, steps: int, episodes: int, policy: Policy, num_lanes: int = 1) -> Episodes:
    """Play a game's first evaluation episodes under one perturbation, each cut after `steps` agent steps."""
    protocol = Protocol(stall_steps=0, max_frames=steps * Protocol().frame_skip)
    outcomes: list[EpisodeOutcome] = []
    lanes = EpisodeLanes(game, protocol, num_lanes, getattr(policy, "required_inputs", ()))
    play(policy, lanes, _Tasks(game, perturbation, episodes), outcomes.append, lambda _: None, keep_steps=True)
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


def steps_of(patch: RamPatch, game: Game) -> int:
    return patch.ease.steps or game.random_play.steps


def judge(patch: RamPatch, game: Game, plain: Episodes, patched: Episodes) -> dict[str, object]:
    """One row of the table."""
    measure = patch.ease.measure
    gain = patched.advantage(plain, measure)
    bound = lower_bound(gain)
    numbers = (plain.values[measure].mean(), patched.values[measure].mean(), gain.mean(), bound)
    return {
        "game": game.id,
        "patch": patch.perturbation,
        "content_hash": compile_perturbation(patch.perturbation, game.id).content_hash,
        "measure": measure,
        "steps": steps_of(patch, game),
        "episodes": len(gain),
        **{name: f"{number:.3f}" for name, number in zip(("without", "with", "gain", "bound"), numbers, strict=True)},
        "holds": "yes" if bound > 0 else "no",
    }


class Measurements:
    """Plays arms of one policy; the one without a patch is played once for all patches of a game and number of steps."""

    def __init__(self, episodes: int, agent: str | None = None, train_seed: int | None = None) -> None:
        self._episodes = episodes
        self._agent, self._train_seed = agent, train_seed
        self._plain = functools.cache(self._arm)

    def row(self, patch: RamPatch, game: Game) -> dict[str, object]:
        steps = steps_of(patch, game)
        return judge(patch, game, self._plain(game.id, CLEAN, steps), self._arm(game.id, patch.perturbation, steps))

    def _arm(self, game: str, perturbation: str, steps: int) -> Episodes:
        if self._agent is None:
            return play_arm(game, perturbation, steps, self._episodes, random_play(load_game(game)))
        agent = load_agent(self._agent, game=game, train_seed=self._train_seed)
        return play_arm(game, perturbation, steps, self._episodes, agent, NUM_LANES)


def read_rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def is_current(row: Mapping[str, str], patch: RamPatch, game: Game, episodes: int) -> bool:
    """Whether a row was measured as the catalogue says now."""
    return (row["content_hash"], row["measure"], row["steps"], row["episodes"]) == (
        compile_perturbation(patch.perturbation, game.id).content_hash,
        patch.ease.measure,
        str(steps_of(patch, game)),
        str(episodes),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", help="a shipped agent or a path instead of random play")
    parser.add_argument("--train-seed", type=int, help="which training run of a shipped agent")
    parser.add_argument("--games", default=",".join(catalogue_games()))
    parser.add_argument("--episodes", type=int, default=EPISODES)
    parser.add_argument("--out", type=Path, default=Path("runs/easier.csv"))
    arguments = parser.parse_args()
    measurements = Measurements(arguments.episodes, arguments.agent, arguments.train_seed)
    known = {(row["game"], row["patch"]): row for row in read_rows(arguments.out)}
    rows: list[Mapping[str, object]] = []
    for game in map(load_game, arguments.games.split(",")):
        for patch in game.easier_patches:
            row = known.get((game.id, patch.perturbation))
            if row is None or not is_current(row, patch, game, arguments.episodes):
                rows.append(measurements.row(patch, game))
            else:
                rows.append(row)
            print(*rows[-1].values(), sep="  ", flush=True)
            write_rows(arguments.out, rows)
    return 0 if all(row["holds"] == "yes" for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
