"""Agents and algorithms learn a small pixel game through the code that trains the baselines."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from catch import CatchVector

from wsabench.agents import AgentSpec, load_agent, load_spec
from wsabench.training import DQNPreset, PPOPreset
from wsabench.training.evaluations import play_episodes
from wsabench.training.frozen import prepare_bank
from wsabench.training.run import make_trainer
from wsabench.types import LaneBatch

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.e2e]

PRESET = PPOPreset(
    name="learning-test",
    total_steps=40_000,
    num_envs=16,
    rollout_steps=32,
    minibatch_size=128,
    discount=0.9,  # the ball falls for six steps
    gae_lambda=0.8,
    learning_rate=1e-3,
    anneal_clip=False,
    checkpoint_updates=1000,
)
DQN = DQNPreset(
    name="learning-test",
    total_steps=8192,
    num_envs=16,
    row_steps=1024,
    replay_frames=16 * 1024,
    batch_size=64,
    learning_rate=1e-3,
    learning_starts=1024,
    train_every=16,
    target_every=256,
    exploration_share=0.6,
    checkpoint_updates=8,  # the replay's file has room for what is played between two
)
BEST_RETURN = 1.0
SMALL, LARGE = 4, 7
"""Sizes of the field; on a small one the same is learned from fewer games, and by a smaller network."""
SHORT = dataclasses.replace(PRESET, rollout_steps=16)


def mean_return(directory: Path, games: int, grid: int) -> float:
    """Play greedily with the written agent file, through the policy that evaluation uses."""
    policy, envs = load_agent(directory, game="catch", action_selection="greedy"), CatchVector(games, grid=grid)
    observations, _ = envs.reset(seed=list(range(0, 2 * games, 2)))
    ids = torch.arange(games).numpy()
    batch = LaneBatch(ids, (None,) * games, ids > -1, ((),) * games)  # pyright: ignore - greedy draws nothing
    total = 0.0
    for _ in range(grid - 1):
        observations, rewards, *_ = envs.step(policy.act(observations, batch).actions)
        total += float(rewards.sum())
    return total / games


def specification(agent: str, grid: int = LARGE) -> AgentSpec:
    spec = load_spec(agent)
    # A narrower fusion over untrained encoders: what is tested is the fusion and its training.
    if agent == "e2e":
        return spec
    if grid == SMALL:
        small = {"width": 64, "head_units": (64,), "adapter_channels": 4, "adapter_cells": 5}
        return dataclasses.replace(spec, encoder_source="random", encoders=("sr", "ae"), **small)
    return dataclasses.replace(spec, encoder_source="random", encoders=("sr", "okk"))


def learned_return(spec: AgentSpec, preset: PPOPreset | DQNPreset, directory: Path, grid: int = LARGE) -> float:
    """Train until the games of training stay won, or greedy ones by DQN; return the mean of 49 greedy games."""

    def make_envs(game: str, num_envs: int) -> CatchVector:
        return CatchVector(num_envs, grid=grid)

    bank = prepare_bank(spec, "catch", 0, directory, make_envs)
    trainer = make_trainer(spec, preset, "catch", 0, make_envs("catch", preset.num_envs), bank, directory)
    trainer.start()
    num_won = 0
    while trainer.update < preset.num_updates:
        row = trainer.run_and_record()
        mean = row["return_unclipped_mean_50"]
        if isinstance(preset, DQNPreset):
            games = CatchVector(16, grid=grid)
            mean = play_episodes(trainer.learner.player, games, range(0, 98, 2), "q", "greedy").returns.mean()
        # One good update may be luck: the last 50 games are those of half an update.
        num_won = num_won + 1 if mean >= (0.97 if isinstance(preset, DQNPreset) else 0.9) * BEST_RETURN else 0
        if num_won == (1 if isinstance(preset, DQNPreset) else 3):
            break
    trainer.save()
    assert row.get("attention_dead", 0) == 0
    return mean_return(directory, 49, grid)


@pytest.mark.parametrize(
    ("agent", "grid"),
    [
        ("wsa", SMALL),  # the same trainer and algorithm as all others
        *(pytest.param(*one, marks=pytest.mark.slow) for one in (("e2e", SMALL), ("wsa", LARGE), ("e2e", LARGE))),
    ],
)
def test_the_agent_reaches_nine_tenths_of_the_best_return(agent: str, grid: int, tmp_path: Path) -> None:
    preset = SHORT if grid == SMALL else PRESET
    assert learned_return(specification(agent, grid), preset, tmp_path, grid) >= 0.9 * BEST_RETURN


@pytest.mark.slow
def test_dqn_reaches_nine_tenths_of_the_best_return(tmp_path: Path) -> None:
    assert learned_return(specification("e2e"), DQN, tmp_path) >= 0.9 * BEST_RETURN


@pytest.mark.slow
def test_dqn_over_frozen_encoders_learns_too(tmp_path: Path) -> None:
    # A cheap encoder: DQN computes embeddings anew for every gradient.
    spec = dataclasses.replace(specification("wsa"), encoders=("sr",))
    assert learned_return(spec, dataclasses.replace(DQN, total_steps=30 * 1024), tmp_path) >= 0.9 * BEST_RETURN


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dpa", "fix"])
def test_other_fusions_learn(kind: str, tmp_path: Path) -> None:
    spec = specification("wsa")
    spec = dataclasses.replace(spec, kind=kind, context=None if kind == "fix" else spec.context)
    assert learned_return(spec, PRESET, tmp_path) >= 0.9 * BEST_RETURN
