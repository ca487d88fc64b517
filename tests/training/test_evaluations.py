"""Evaluation during training: games, tables, the best network, stopping early, TensorBoard."""

from __future__ import annotations

import builtins
import functools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from catch import CatchVector

from wsabench import seeding
from wsabench.agents import build_agent, load_agent, load_spec, read_checkpoint
from wsabench.agents.policy import Q_EPSILON, choose_actions
from wsabench.errors import CheckpointError, SpecError
from wsabench.processes import single_thread
from wsabench.progress import SilentReporter
from wsabench.protocol import Protocol
from wsabench.training import DQNPreset, PPOPreset, TrainingOptions, train
from wsabench.training.evaluations import EvaluationPlan, Standing, play_episodes, validation_seeds
from wsabench.training.lanes import TrainingLanes
from wsabench.training.player import Player
from wsabench.training.presets import DQN_PRESETS, PRESETS
from wsabench.training.run import make_training_envs
from wsabench.types import LaneBatch

TINY = PPOPreset(name="compact", total_steps=160, num_envs=4, rollout_steps=8, minibatch_size=16, epochs=1)
AGENT = str(Path(__file__).parents[1] / "narrow.toml")


@pytest.fixture(autouse=True)
def tiny_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "compact", TINY)
    tiny = DQNPreset(name="compact", num_envs=4, row_steps=16, replay_frames=400, learning_starts=16)
    monkeypatch.setitem(DQN_PRESETS, "compact", tiny)


def catch(game: str, num_envs: int) -> CatchVector:
    return CatchVector(num_envs, rounds=3)


class Listener(SilentReporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.fields: list[dict] = []

    def advance(self, n: int, **fields: float | str) -> None:
        self.fields.append(fields)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def run(directory: Path, **options) -> tuple[pd.DataFrame, Listener]:
    listener = Listener()
    options = {"evaluate_every": 60, "evaluation_episodes": 5} | options
    train(AGENT, "catch", out=directory, reporter=listener, options=TrainingOptions(**options), make_envs=catch)
    return pd.read_csv(directory / "evaluations.csv"), listener


def test_evaluations_come_every_so_many_steps_and_at_the_end(tmp_path: Path) -> None:
    table, listener = run(tmp_path)
    # Updates of 32 steps: after 64, 128 a multiple of 60 was passed; at the end none was.
    assert table["steps"].tolist() == [64, 128, 160]
    assert (table["episodes"] == 5).all()
    assert listener.fields[-1]["evaluation"] == table["return_mean"].iloc[-1]
    assert listener.fields[-1]["best"] == table["return_mean"].max()
    assert listener.warnings == []


def test_the_best_network_is_kept_beside_the_newest(tmp_path: Path) -> None:
    table, _ = run(tmp_path)
    best = table.loc[table["is_best"] == 1, "steps"].iloc[-1]
    assert read_checkpoint(tmp_path / "best.safetensors").meta.steps == best
    assert read_checkpoint(tmp_path / "agent.safetensors").meta.steps == 160
    assert load_agent(tmp_path / "best.safetensors", game="catch").meta.steps == best
    earlier = table["return_mean"].cummax().shift(fill_value=-np.inf)
    assert (table["is_best"] == (table["return_mean"] > earlier)).all()


def test_without_evaluations_nothing_is_evaluated(tmp_path: Path) -> None:
    train(AGENT, "catch", out=tmp_path, make_envs=catch)
    assert not (tmp_path / "evaluations.csv").exists()
    assert not (tmp_path / "best.safetensors").exists()


def test_evaluations_leave_the_training_as_it_was(tmp_path: Path) -> None:
    run(tmp_path / "with")
    train(AGENT, "catch", out=tmp_path / "without", make_envs=catch)
    columns = ["steps", "games", "return_unclipped_mean_50", "policy_loss", "value_loss"]
    curves = [pd.read_csv(tmp_path / name / "curve.csv")[columns] for name in ("with", "without")]
    pd.testing.assert_frame_equal(*curves, check_exact=True)


def test_patience_ends_training_and_a_stopped_run_stays_stopped(tmp_path: Path) -> None:
    table, listener = run(tmp_path, evaluate_every=32, patience=2)
    assert len(table) < 5, "these few steps teach nothing"
    assert table["is_best"].iloc[-2:].tolist() == [0, 0]
    assert len(pd.read_csv(tmp_path / "curve.csv")) == len(table)
    assert [text for text in listener.warnings if "2 evaluations brought no return above" in text]
    again, _ = run(tmp_path, evaluate_every=32, patience=2)
    assert len(again) == len(table)
    with pytest.raises(CheckpointError, match="belongs to another run: evaluations is"):
        run(tmp_path, evaluate_every=32, patience=3)


def test_the_target_return_ends_training(tmp_path: Path) -> None:
    table, listener = run(tmp_path, evaluate_every=32, target_return=-3.0)
    assert len(table) == 1
    assert "reached the target -3" in listener.warnings[0]


def test_standing_counts_evaluations_without_a_new_best() -> None:
    standing, plan = Standing(), EvaluationPlan(every=1, patience=2, target_return=9.0)
    assert [standing.add(mean, plan) for mean in (1.0, 1.0, 2.0, 0.0)] == [True, False, True, False]
    assert (standing.best, standing.without_improvement, standing.stopped) == (2.0, 1, "")
    standing.add(2.0, plan)
    assert standing.stopped == "2 evaluations brought no return above 2"
    other = Standing()
    other.add(9.0, plan)
    assert other.stopped == "the mean return 9 reached the target 9"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"every": -1}, "evaluate_every is -1. Allowed: integers from 0"),
        ({"every": 5, "episodes": 0}, "evaluation_episodes is 0"),
        ({"every": 5, "patience": 0}, "patience is 0"),
        ({"patience": 3}, "patience needs evaluations during training. Give evaluate_every too"),
        ({"target_return": 3.0}, "target_return needs evaluations"),
    ],
)
def test_wrong_plans_are_explained(values: dict, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        EvaluationPlan(**values)


def test_episode_seeds_are_neither_trainings_nor_the_benchs() -> None:
    seeds = validation_seeds("breakout", 200)
    assert len(set(seeds)) == 200
    assert not any(seed % 2 for seed in seeds), "training's are odd"
    assert not set(seeds) & {seeding.evaluation_seed("breakout", episode) for episode in range(1000)}


def player_of(lanes: int) -> Player:
    model = build_agent(load_spec(AGENT), 3, seed=3)
    with torch.no_grad():
        model.heads.policy[-1].weight.mul_(200)  # pyright: ignore - so that it prefers some actions
    return Player(model, None, TrainingLanes(CatchVector(lanes), 0), torch.device("cpu"))


SEEDS = list(range(0, 14, 2))


@functools.cache
def one_by_one() -> tuple[list[float], list[int]]:
    """Return the returns and lengths of games that are played alone."""
    player = player_of(1)
    games = [play_episodes(player, CatchVector(1, rounds=3), [seed]) for seed in SEEDS]
    return [float(game.returns[0]) for game in games], [int(game.lengths[0]) for game in games]


@pytest.mark.parametrize("num_lanes", [1, 3, 7, 16])
def test_returns_belong_to_their_seeds_whatever_the_number_of_lanes(num_lanes: int) -> None:
    player = player_of(1)
    with single_thread():
        together = play_episodes(player, CatchVector(num_lanes, rounds=3), SEEDS)
        returns, lengths = one_by_one()
    assert together.returns.tolist() == returns
    assert together.lengths.tolist() == lengths
    assert len(set(together.lengths.tolist())) > 1
    assert player.model.training


def test_the_network_plays_as_its_agent_file_does_under_run(tmp_path: Path) -> None:
    from wsabench.evaluation.rollout import EpisodeLanes, EpisodeTask, Handout, play

    path = train(AGENT, "breakout", out=tmp_path, steps=32)
    policy = load_agent(path, game="breakout")
    # Short games: after so many frames they are cut.
    protocol, seeds = Protocol.evaluation().with_changes(max_frames=300), [10, 12, 14]
    tasks = [EpisodeTask(0, number, seed, "clean", ()) for number, seed in enumerate(seeds)]
    outcomes = {}

    class Source:
        def take(self, count: int) -> Handout:
            given, tasks[:] = tasks[:count], tasks[count:]
            return Handout(given, not tasks)

    model = build_agent(policy.spec, policy.meta.num_actions)
    model.load_state_dict(read_checkpoint(path / "agent.safetensors").weights)
    envs = make_training_envs("breakout", 2, protocol=protocol)
    player = Player(model, None, TrainingLanes(envs, 0), torch.device("cpu"))
    with single_thread():
        lanes = EpisodeLanes("breakout", protocol, 2)
        play(policy, lanes, Source(), lambda one: outcomes.update({one.episode: one}), lambda count: None)
        episodes = play_episodes(player, envs, seeds)
    expected = [(outcomes[n].episodic_return, outcomes[n].length) for n in range(3)]
    assert list(zip(episodes.returns.tolist(), episodes.lengths.tolist(), strict=True)) == expected
    assert sum(episodes.returns) > 0


def test_tensorboard_shows_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    table, _ = run(tmp_path, tensorboard=True)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    curve = pd.read_csv(tmp_path / "curve.csv")
    losses = events.Scalars("train/policy_loss")
    assert [event.step for event in losses] == curve["steps"].tolist()
    np.testing.assert_allclose([event.value for event in losses], curve["policy_loss"], rtol=1e-6)
    means = events.Scalars("evaluation/return_mean")
    np.testing.assert_allclose([event.value for event in means], table["return_mean"], rtol=1e-6)


def test_a_missing_tensorboard_is_explained_before_anything_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = builtins.__import__

    def refuse(name: str, *args, **options):
        if name == "torch.utils.tensorboard":
            raise ImportError(name)
        return original(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(SpecError, match=r"pip install 'wsabench\[tensorboard\]'`, or leave out --tensorboard"):
        run(tmp_path / "run", tensorboard=True)
    assert not (tmp_path / "run").exists()


def test_q_agents_explore_a_little_in_evaluation_and_not_when_greedy(tmp_path: Path) -> None:
    path = train(AGENT, "catch", out=tmp_path, steps=16, options=TrainingOptions(algorithm="dqn"), make_envs=catch)
    greedy, sampled = load_agent(path, action_selection="greedy"), load_agent(path)
    assert greedy.spec.heads == "q"
    observations = np.random.default_rng(0).integers(0, 256, (4, 4, 84, 84)).astype(np.uint8)
    best = greedy.act(observations, batch(4, 0)).actions
    expected = np.full((4, 3), Q_EPSILON / 3)
    expected[range(4), best] += 1 - Q_EPSILON
    np.testing.assert_allclose(sampled.action_probabilities(observations, batch(4, 0)), expected)
    chosen = np.array([choose_actions(expected, batch(4, seed).generators, "sampled") for seed in range(2000)])
    # Two of three random actions are not the best one.
    assert (chosen != best).mean() == pytest.approx(Q_EPSILON * 2 / 3, abs=0.003)
    # One number is drawn from each lane's own generator, so that clean and perturbed episodes stay paired.
    lanes = batch(4, 5)
    assert (
        sampled.act(observations, lanes).actions.tolist()
        == choose_actions(expected, batch(4, 5).generators, "sampled").tolist()
    )
    for lane, generator in enumerate(batch(4, 5).generators):
        generator.random()
        assert lanes.generators[lane].random() == generator.random()


def batch(count: int, seed: int) -> LaneBatch:
    generators = tuple(seeding.generator(seed, "policy", lane) for lane in range(count))
    return LaneBatch(np.arange(count), generators, np.ones(count, bool), ((),) * count)
