"""Speed of training and of the encoders, as rows of the bench."""

from __future__ import annotations

import dataclasses
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import torch

from wsabench.agents import load_spec
from wsabench.encoders import EncoderBank
from wsabench.seeding import generator
from wsabench.training.frozen import prepare_bank
from wsabench.training.presets import load_preset
from wsabench.training.run import make_trainer, make_training_envs, one_thread
from wsabench.types import BenchRow

PEER = "stable-baselines3 PPO"
WARM_UP_ROUNDS = 2


def benchmark_train(
    game: str = "breakout", agents: Sequence[str] = ("e2e", "wsa"), preset: str = "compact", num_rounds: int = 3
) -> list[BenchRow]:
    """Measure training steps a second on one thread: rollout, encoders, updates, everything.

    The contestants take turns, one update each, so that a change of the machine's speed hits all alike; the median
    counts. Encoders are untrained, which changes nothing about their cost. The peer is Stable-Baselines3's PPO with the
    same lanes, rollout, epochs and minibatches, where it is installed.

    Args:
        game: The game that is played.
        agents: Names of agent specifications.
        preset: Of architecture and hyper-parameters.
        num_rounds: Updates a contestant.

    Returns:
        Rows in steps/s.
    """
    with ExitStack() as stack:
        stack.enter_context(one_thread())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        contestants = {name: _contestant(name, game, preset, folder / name, stack) for name in agents}
        peer = _peer(game, preset, stack)
        if peer is not None:
            contestants[PEER] = peer
        speeds = _take_turns(contestants, num_rounds)
    baseline = speeds.get(PEER)
    return [_row(name, speeds[name], "steps/s", PEER if baseline else "", baseline) for name in agents]


def benchmark_encode(
    names: Sequence[str] = ("sr", "oke", "okk", "vos", "ae"), batch_size: int = 16, num_rounds: int = 20
) -> list[BenchRow]:
    """Measure milliseconds an observation of each encoder on one thread, against the same encoder in float32.

    Args:
        names: Encoders.
        batch_size: Observations in a pass.
        num_rounds: Passes; the median counts.

    Returns:
        Rows in ms/observation; `all` is all of them in one pass.
    """
    frames = generator(0, "bench").integers(0, 256, (64, 4, 84, 84)).astype("uint8")
    stacks = torch.from_numpy(frames)
    groups = {name: (name,) for name in names} | ({"all": tuple(names)} if len(names) > 1 else {})
    with one_thread():
        return [_encode_row(label, group, stacks, batch_size, num_rounds) for label, group in groups.items()]


def _encode_row(label: str, names: tuple[str, ...], stacks: torch.Tensor, batch_size: int, num_rounds: int) -> BenchRow:
    banks = {
        kind: EncoderBank.random(names, names[0], seed=0, calibration_frames=stacks, dtype=dtype)
        for kind, dtype in (("ours", None), ("float32", torch.float32))
    }
    times: dict[str, list[float]] = {kind: [] for kind in banks}
    for turn in range(num_rounds + WARM_UP_ROUNDS):
        for kind, bank in banks.items():
            seconds = _seconds(lambda bank=bank: bank.embed(stacks[:batch_size]))
            if turn >= WARM_UP_ROUNDS:
                times[kind].append(1000 * seconds / batch_size)
    value, other = (statistics.median(times[kind]) for kind in ("ours", "float32"))
    return {"name": label, "peer": "float32", "value": value, "unit": "ms/observation", "ratio": other / value}


def _contestant(name: str, game: str, preset: str, folder: Path, stack: ExitStack) -> Callable[[], int]:
    spec, hyper = load_spec(name, preset), load_preset(preset)
    if spec.kind != "e2e":
        spec = dataclasses.replace(spec, encoder_source="random")
    folder.mkdir()
    bank = prepare_bank(spec, game, 0, folder, make_training_envs)
    envs = stack.enter_context(closing(make_training_envs(game, hyper.num_envs)))
    trainer = make_trainer(spec, hyper, game, 0, envs, bank, folder)
    trainer.start()

    def update() -> int:
        trainer.run_update()
        return hyper.batch_size

    return update


def _peer(game: str, preset: str, stack: ExitStack) -> Callable[[], int] | None:
    if importlib.util.find_spec("stable_baselines3") is None:
        return None
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_atari_env
    from stable_baselines3.common.vec_env import VecFrameStack

    hyper = load_preset(preset)
    title = "".join(word.capitalize() for word in game.split("_"))
    envs = stack.enter_context(
        closing(VecFrameStack(make_atari_env(f"{title}NoFrameskip-v4", hyper.num_envs, seed=0), 4))
    )
    model = PPO(
        "CnnPolicy",
        envs,
        n_steps=hyper.rollout_steps,
        batch_size=hyper.minibatch_size,
        n_epochs=hyper.epochs,
        device="cpu",
        seed=0,
    )

    def update() -> int:
        model.learn(hyper.batch_size, reset_num_timesteps=False)
        return hyper.batch_size

    return update


def _take_turns(contestants: dict[str, Callable[[], int]], num_rounds: int) -> dict[str, float]:
    """Return the median speed of each contestant in units a second; the first round only warms up."""
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(num_rounds + 1):
        for name, update in contestants.items():
            started = time.perf_counter()
            count = update()
            if turn:
                speeds[name].append(count / (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in speeds.items()}


def _row(name: str, value: float, unit: str, peer: str, other: float | None) -> BenchRow:
    ratio = None if other is None else value / other
    return {"name": name, "peer": peer, "value": value, "unit": unit, "ratio": ratio}


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started
