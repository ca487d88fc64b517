"""Speed of training, beside what a user would have today."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from wsabench.agents import AgentSpec, load_spec
from wsabench.encoders import EncoderBank
from wsabench.seeding import generator
from wsabench.training.benchmark import OBSERVATIONS, Contestant, bench_rows, take_turns
from wsabench.training.benchmark_peers import WSA_PEER, make_peer, peer_of, update_of, why_missing
from wsabench.training.benchmark_profile import Profile
from wsabench.training.device import one_thread
from wsabench.training.presets import PPOPreset, load_preset
from wsabench.training.run import make_trainer, make_training_envs
from wsabench.types import BenchRow

if TYPE_CHECKING:
    from stable_baselines3 import PPO

    from wsabench.training.trainer import Trainer

AGENTS = ("e2e", "wsa", "wsa:paper")
CALIBRATION_FRAMES = 32
Warn = Callable[[str], None]


def benchmark_train(
    game: str = "breakout",
    agents: Sequence[str] = AGENTS,
    num_rounds: int = 5,
    seconds: float = 2.0,
    *,
    profile: bool = False,
    warn: Warn = lambda _: None,
) -> list[BenchRow]:
    """Measure training steps a second of processor time on one thread: lanes, encoders, updates, everything.

    Agents and peers take turns. A rollout is shortened to one minibatch, with the preset's lanes, epochs and minibatch
    size, of an agent and its peer alike: a step still costs one evaluation among `num_envs` and `epochs` places in a
    minibatch, so the ratio of playing and learning is that of the full rollout. Encoders are untrained, which changes
    nothing about their cost.

    Args:
        game: The game that is played.
        agents: Names of agent specifications, `NAME:PRESET`; without a preset: `compact`.
        num_rounds: Turns of each contestant.
        seconds: Processor time of a turn, at least.
        profile: Whether rows say where the agents' time goes, in us/step.
        warn: Is told which peers are missing, and why.

    Returns:
        Rows in steps/s, medians over the rounds. `e2e` is compared with Stable-Baselines3's PPO, an agent of the
        paper's sizes with the same PPO over a plain features extractor, other agents with `e2e` of their preset. Beside
        that extractor, a row `AGENT: forward` compares one forward pass of a step's observations, in ms/observation.

    Raises:
        UnknownNameError: There is no such agent, preset or game.
    """
    with ExitStack() as stack:
        stack.enter_context(one_thread())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench = _Bench(game, folder, stack, warn)
        for name in agents:
            bench.add(name)
        profiles = {name: Profile(trainer) for name, trainer in bench.trainers.items()} if profile else {}
        rows = bench_rows(bench.contestants, take_turns(bench.contestants, num_rounds, seconds))
        # Before the forward passes, which are no part of an update.
        shares = [row for name, one in profiles.items() for row in one.rows(name)]
        return rows + bench_rows(bench.passes, take_turns(bench.passes, num_rounds, warm_up_rounds=1)) + shares


class _Bench:
    """The contestants of a run."""

    def __init__(self, game: str, folder: Path, stack: ExitStack, warn: Warn) -> None:
        self._game, self._folder, self._stack, self._warn = game, folder, stack, warn
        self.trainers: dict[str, Trainer] = {}
        self.contestants: dict[str, Contestant] = {}
        self.passes: dict[str, Contestant] = {}
        """Forward passes, compared apart."""

    def add(self, name: str) -> None:
        """Add an agent, and its peer if that is not there yet."""
        base, _, chosen = name.partition(":")
        preset_name = chosen or "compact"
        spec, preset = load_spec(base, preset_name), one_minibatch(load_preset(preset_name))
        trainer = self._trainer(name, spec, preset)
        peer = peer_of(spec)
        if not peer:
            peer = "e2e" if preset_name == "compact" else f"e2e:{preset_name}"
        elif reason := why_missing(peer):
            self._warn(reason)
        elif peer not in self.contestants:
            model = make_peer(peer, spec, self._game, preset, self._stack)
            self.contestants[peer] = Contestant(update_of(model, preset))
            if peer == WSA_PEER:
                self._add_passes(name, trainer, model)
        self.trainers[name] = trainer
        self.contestants[name] = Contestant(update_of_trainer(trainer, preset), peer if peer != name else "")

    def _trainer(self, name: str, spec: AgentSpec, preset: PPOPreset) -> Trainer:
        directory = self._folder / name.replace(":", "-")
        directory.mkdir()
        envs = self._stack.enter_context(closing(make_training_envs(self._game, preset.num_envs)))
        trainer = make_trainer(spec, preset, self._game, 0, envs, random_bank(spec), directory)
        trainer.start()
        return trainer

    def _add_passes(self, name: str, trainer: Trainer, model: PPO) -> None:
        """Compare what both do to choose a step's actions: from uint8 stacks to the feature."""
        player = trainer.learner.player
        observations = player.lanes.observations.copy()
        stacks = torch.from_numpy(observations)

        def ours() -> int:
            player.evaluate(player.prepare(observations))
            return len(observations)

        def theirs() -> int:
            with torch.no_grad():
                model.policy.extract_features(stacks, model.policy.features_extractor)
            return len(observations)

        label = f"{WSA_PEER}: forward"
        self.passes[label] = Contestant(theirs, unit=OBSERVATIONS)
        self.passes[f"{name}: forward"] = Contestant(ours, label, OBSERVATIONS)


def one_minibatch(preset: PPOPreset) -> PPOPreset:
    """Return a preset whose rollout is one minibatch, all else the same."""
    return dataclasses.replace(preset, rollout_steps=max(1, preset.minibatch_size // preset.num_envs))


def random_bank(spec: AgentSpec) -> EncoderBank | None:
    """Return untrained encoders for an agent, calibrated on noise; None for agents without."""
    if spec.kind == "e2e":
        return None
    frames = generator(0, "bench").integers(0, 256, (CALIBRATION_FRAMES, 4, 84, 84)).astype("uint8")
    return EncoderBank.random(
        spec.encoders,
        spec.bank_context,
        seed=0,
        calibration_frames=torch.from_numpy(frames),
        size=spec.encoder_size,
        embeddings=spec.embeddings,
    )


def update_of_trainer(trainer: Trainer, preset: PPOPreset) -> Callable[[], int]:
    """Return a call that plays one rollout and learns from it."""

    def update() -> int:
        trainer.run_update()
        return preset.batch_size

    return update
