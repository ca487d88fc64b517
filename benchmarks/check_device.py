"""Train a little on a GPU and on the CPU, and compare: `python benchmarks/check_device.py`.

For e2e and wsa, PPO and DQN: three updates on each device from the same weights and random numbers. The first update
plays nearly the same steps, so its losses agree up to rounding in bfloat16; then the runs may drift apart. A second run
on the GPU must give the same curve as the first. Exits with 1 where something differs. `--game catch` needs no
emulator, `--device` names another device than `cuda`.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pandas as pd

from wsabench.agents import load_agent, load_spec
from wsabench.processes import single_thread
from wsabench.training.curve import WALL_COLUMNS
from wsabench.training.device import choose_device
from wsabench.training.evaluations import EvaluationPlan
from wsabench.training.frozen import prepare_bank
from wsabench.training.presets import DQNPreset, PPOPreset
from wsabench.training.run import TrainingPlan, build_trainer, make_training_envs
from wsabench.training.trainer import Outlets

PRESETS = {
    "ppo": PPOPreset(name="check", total_steps=3 * 512, num_envs=8, rollout_steps=64, minibatch_size=128, epochs=2),
    "dqn": DQNPreset(
        name="check",
        total_steps=3 * 512,
        num_envs=8,
        row_steps=512,
        replay_frames=4096,
        learning_starts=256,
        train_every=16,  # the CPU computes every embedding of every batch too
    ),
}
COMPARED = {"ppo": ("value_loss", "entropy", "gradient_norm"), "dqn": ("loss", "q_mean", "target_mean")}
TOLERANCE = 0.1
"""Share of the CPU's figure, or absolute where that is below 1: bfloat16 has three digits, and one action that falls
another way because of them is one other step among 512."""


def make_envs(game: str, num_envs: int):
    """Make lanes; Catch stands in where there is no emulator."""
    if game != "catch":
        return make_training_envs(game, num_envs)
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    from catch import CatchVector

    return CatchVector(num_envs, rounds=3)


def train(agent: str, algorithm: str, game: str, device: str, directory: Path) -> pd.DataFrame:
    """Train three updates with one evaluation; return the learning curve."""
    directory.mkdir(parents=True)
    heads = "q" if algorithm == "dqn" else "actor_critic"
    spec = dataclasses.replace(load_spec(agent), heads=heads)
    if spec.kind != "e2e":
        spec = dataclasses.replace(spec, encoder_source="random")
    preset = PRESETS[algorithm]
    plan = TrainingPlan(
        spec=spec,
        preset=preset,
        game=game,
        train_seed=0,
        device=choose_device(device),
        evaluations=EvaluationPlan(every=preset.total_steps, episodes=2),
    )
    with single_thread(), closing(make_envs(game, preset.num_envs)) as envs, closing(make_envs(game, 2)) as others:
        bank = prepare_bank(spec, game, 0, directory, make_envs)
        trainer = build_trainer(plan, envs, bank, directory, Outlets(evaluation_envs=others))
        trainer.start()
        while not trainer.is_finished:
            trainer.run_and_record()
        # Once more from the checkpoint: what was written on the device can be read there.
        build_trainer(plan, envs, bank, directory, Outlets(evaluation_envs=others)).resume()
    load_agent(directory, game=game)  # on the CPU, whatever the device
    return pd.read_csv(directory / "curve.csv")


def compare(agent: str, algorithm: str, game: str, device: str, folder: Path) -> bool:
    """Train on both devices, print what they gave, and return whether they agree."""
    curves, seconds = {}, {}
    for name, where in (("cpu", "cpu"), ("device", device), ("again", device)):
        started = time.perf_counter()
        curves[name] = train(agent, algorithm, game, where, folder / f"{agent}-{algorithm}-{name}")
        seconds[name] = time.perf_counter() - started
    agrees = True
    for column in COMPARED[algorithm]:
        mine, theirs = (float(curves[name][column].iloc[0]) for name in ("cpu", "device"))
        close = math.isclose(mine, theirs, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        agrees &= close
        print(f"{agent} {algorithm} {column}: cpu {mine:.5f}, {device} {theirs:.5f}{'' if close else '  DIFFERS'}")
    plain = [curves[name].drop(columns=list(WALL_COLUMNS)) for name in ("device", "again")]
    repeats = plain[0].equals(plain[1])
    speeds = ", ".join(f"{name} {curves[name]['steps_per_s'].iloc[-1]:.0f}" for name in ("cpu", "device"))
    print(f"{agent} {algorithm}: repeats on {device}: {repeats}; steps/s {speeds}; {seconds['device']:.0f} s")
    return agrees and repeats


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--game", default="breakout")
    parser.add_argument("--agents", default="e2e,wsa")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = [
            compare(agent, algorithm, arguments.game, arguments.device, Path(folder))
            for agent in arguments.agents.split(",")
            for algorithm in PRESETS
        ]
    print("all agree" if all(results) else "SOMETHING DIFFERS")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
