"""Evaluation during training: full games every so many steps, the best network so far, and when to stop early."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench import seeding
from wsabench.agents.policy import BATCH_SIZE, action_distribution, choose_actions, padded_rows
from wsabench.agents.spec import HeadKind
from wsabench.errors import SpecError
from wsabench.protocol import ActionSelection
from wsabench.training.curve import Row
from wsabench.training.lanes import LaneEnvs, supplied_inputs
from wsabench.training.player import Player
from wsabench.types import Actions, Inputs, Observations

EVALUATION_COLUMNS = (
    "steps",
    "wall_s",
    "episodes",
    "return_mean",
    "return_sd",
    "return_min",
    "return_max",
    "length_mean",
    "stalled",
    "is_best",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPlan:
    """When to evaluate, and when to stop because of it.

    Raises:
        SpecError: A value is outside its range, or stopping early is asked for without evaluations.
    """

    every: int = 0
    """Steps over all lanes between evaluations; 0: none."""
    episodes: int = 100
    """Full games in each evaluation."""
    patience: int | None = None
    """Evaluations without a new best mean return after which training stops; None: it does not."""
    target_return: float | None = None
    """Mean return at which training stops; None: none."""

    def __post_init__(self) -> None:
        """Check every range."""
        for key, value, lowest in (
            ("evaluate_every", self.every, 0),
            ("evaluation_episodes", self.episodes, 1),
            ("patience", self.patience, 1),
        ):
            if value is not None and value < lowest:
                raise SpecError(f"{key} is {value}. Allowed: integers from {lowest}.")
        for key, value in (("patience", self.patience), ("target_return", self.target_return)):
            if value is not None and not self.every:
                raise SpecError(f"{key} needs evaluations during training. Give evaluate_every too, say 40000.")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


@dataclass(slots=True)
class Standing:
    """What the evaluations so far amount to; part of the checkpoint."""

    evaluations: int = 0
    newest: float | None = None
    """Mean return of the last evaluation."""
    best: float | None = None
    """Best mean return."""
    without_improvement: int = 0
    """Evaluations since."""
    stopped: str = ""
    """Why training stopped early; empty while it goes on."""

    def add(self, mean: float, plan: EvaluationPlan) -> bool:
        """Take note of an evaluation; return whether it is the best so far."""
        self.evaluations += 1
        self.newest = mean
        is_best = self.best is None or mean > self.best
        if is_best:
            self.best, self.without_improvement = mean, 0
        else:
            self.without_improvement += 1
        if plan.target_return is not None and mean >= plan.target_return:
            self.stopped = f"the mean return {mean:g} reached the target {plan.target_return:g}"
        elif plan.patience is not None and self.without_improvement >= plan.patience:
            self.stopped = f"{plan.patience} evaluations brought no return above {self.best:g}"
        return is_best


class Episodes(NamedTuple):
    """The games of an evaluation, in the order of their seeds."""

    returns: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.int64]
    stalled: npt.NDArray[np.bool_]

    def row(self, steps: int, wall_s: float, is_best: bool) -> Row:
        """Return the row of the table of evaluations."""
        return {
            "steps": steps,
            "wall_s": round(wall_s, 3),
            "episodes": len(self.returns),
            "return_mean": float(self.returns.mean()),
            "return_sd": float(self.returns.std(ddof=1)) if len(self.returns) > 1 else float("nan"),
            "return_min": float(self.returns.min()),
            "return_max": float(self.returns.max()),
            "length_mean": float(self.lengths.mean()),
            "stalled": int(self.stalled.sum()),
            "is_best": int(is_best),
        }


def validation_seeds(game: str, episodes: int) -> list[int]:
    """Return the episode seeds of evaluations during training: the same games every time, whatever is trained.

    They are even, so never one of training's, and not those of `wsabench run`: the network that did best on these is
    still measured on games that had no say in its choice.
    """
    return [seeding.integer_seed(0, "validation", game, episode) & ~1 for episode in range(episodes)]


def play_episodes(
    player: Player,
    envs: LaneEnvs,
    seeds: Sequence[int],
    heads: HeadKind = "actor_critic",
    action_selection: ActionSelection = "sampled",
) -> Episodes:
    """Play full games with the network as it is; it acts as the agent file does under `wsabench run`.

    Args:
        player: Network, encoders and device; its own lanes are not touched.
        envs: Lanes under the evaluation protocol, clean, autoreset DISABLED.
        seeds: Episode seeds, one per game; each fixes the game and the stream that actions are drawn from.
        heads: What the network's logits are.
        action_selection: `sampled` or `greedy`.

    Returns:
        One entry per game.
    """
    number = envs.num_envs
    # Lanes left over when few games are asked for, and those that are finished at the end, play on unrecorded.
    queue = list(range(len(seeds)))
    games = [queue.pop(0) if queue else -1 for _ in range(number)]
    returns, lengths = np.zeros(len(seeds)), np.zeros(len(seeds), np.int64)
    stalled, open_games = np.zeros(len(seeds), np.bool_), len(seeds)
    current = np.array([seeds[game] for game in games])
    generators = [seeding.generator(int(seed), "policy") for seed in current]
    steps = np.zeros(number, np.int64)
    observations, infos = envs.reset(seed=current)
    act = _actor(player, heads, action_selection)
    player.model.eval()
    while True:
        observations, _, terminated, truncated, infos = envs.step(act(observations, supplied_inputs(infos), generators))
        steps += 1
        over = np.array([bool(end) for end in infos["end"]])
        for lane in np.flatnonzero(over).tolist():
            game = games[lane]
            if game >= 0:
                returns[game], lengths[game] = infos["episode_return"][lane], steps[lane]
                stalled[game] = infos["end"][lane] == "stalled"
                open_games -= 1
            games[lane] = queue.pop(0) if queue else -1
            current[lane] = seeds[games[lane]]
            generators[lane] = seeding.generator(int(current[lane]), "policy")
            steps[lane] = 0
        if not open_games:
            player.model.train()
            return Episodes(returns, lengths, stalled)
        if (lost := (terminated | truncated) & ~over).any():
            observations, infos = envs.reset(options={"reset_mask": lost})
        if over.any():
            observations, infos = envs.reset(seed=current, options={"reset_mask": over})


def _actor(
    player: Player, heads: HeadKind, action_selection: ActionSelection
) -> Callable[[Observations, Inputs, Sequence[np.random.Generator]], Actions]:
    """Return the function that chooses actions, in passes of the batch size that agent files are evaluated with."""

    def act(observations: Observations, inputs: Inputs, generators: Sequence[np.random.Generator]) -> Actions:
        probabilities = []
        for start in range(0, len(observations), BATCH_SIZE):
            rows = slice(start, start + BATCH_SIZE)
            count = len(observations[rows])
            padded_inputs = {name: padded_rows(value[rows]) for name, value in inputs.items()}
            output = player.evaluate(player.prepare(padded_rows(observations[rows]), padded_inputs))
            probabilities.append(action_distribution(output.logits[:count], heads))
        return choose_actions(np.concatenate(probabilities), generators, action_selection)

    return act
