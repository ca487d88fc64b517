"""Speed of training, beside what a user would have today."""

from __future__ import annotations

import dataclasses
import functools
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Concatenate, NamedTuple, ParamSpec

import numpy as np
import torch

from wsabench.agents import AgentSpec, half_precision, load_spec
from wsabench.bench.peers import WSA_PEER, make_peer, peer_of, update_of, why_missing
from wsabench.bench.turns import OBSERVATIONS, Contestant, bench_rows, speed, take_turns
from wsabench.encoders import EncoderBank
from wsabench.games import load_game
from wsabench.processes import single_thread
from wsabench.seeding import generator
from wsabench.training.algorithms.ppo import PPOLearner
from wsabench.training.device import keep_freed_memory
from wsabench.training.presets import PPOPreset, load_preset
from wsabench.training.run import make_trainer, make_training_envs
from wsabench.training.trainer import Trainer
from wsabench.types import BenchRow, Observations

AGENTS = ("e2e", "wsa", "wsa:paper")
CALIBRATION_FRAMES = 32
UPDATE = "update"
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
    """Measure training steps per second of processor time on one thread: lanes, encoders, updates, everything.

    Agents and peers take turns, each in a process of its own, as they would be used. A rollout is shortened to one
    minibatch, with the preset's lanes, epochs and minibatch size, of an agent and its peer alike: a step still costs
    one evaluation among `num_envs` and `epochs` places in a minibatch, so the ratio of playing and learning is that of
    the full rollout. Encoders are untrained, which changes nothing about their cost.

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
        that extractor, rows `AGENT: forward xN` compare one forward pass of N observations, in ms/observation: of a
        step's and of a minibatch's, which is what the extractor runs while it plays and while it learns.

    Raises:
        UnknownNameError: There is no such agent, preset or game.
    """
    game = load_game(game).id
    chosen = {name: _chosen(name) for name in agents}
    with ExitStack() as stack:
        contestants, passes, seats = {}, {}, {}
        for name, (spec, preset) in chosen.items():
            seat = stack.enter_context(closing(Seat(_seat_agent, game, spec, preset, profile=name if profile else "")))
            peer = peer_of(spec)
            if not peer:
                peer = "e2e" if preset.name == "compact" else f"e2e:{preset.name}"
            elif reason := why_missing(peer):
                warn(reason)
            elif peer not in contestants:
                other = stack.enter_context(closing(Seat(_seat_peer, game, spec, preset, peer)))
                contestants[peer] = Contestant(other.measure(UPDATE))
                if peer == WSA_PEER:
                    for work in _passes(preset):
                        label = f"{peer}: {work}"
                        passes[label] = Contestant(other.measure(work), unit=OBSERVATIONS)
                        passes[f"{name}: {work}"] = Contestant(seat.measure(work), label, OBSERVATIONS)
            seats[name] = seat
            contestants[name] = Contestant(seat.measure(UPDATE), peer if peer != name else "")
        rows = bench_rows(contestants, take_turns(contestants, num_rounds, seconds))
        # Before the forward passes, which are no part of an update.
        shares = [row for seat in seats.values() for row in seat.rows()]
        return rows + bench_rows(passes, take_turns(passes, num_rounds, warm_up_rounds=1)) + shares


def _chosen(name: str) -> tuple[AgentSpec, PPOPreset]:
    """Return an agent and its shortened preset."""
    base, _, chosen = name.partition(":")
    preset_name = chosen or "compact"
    return load_spec(base, preset_name), one_minibatch(load_preset(preset_name))


def _seat_agent(stack: ExitStack, game: str, spec: AgentSpec, preset: PPOPreset, *, profile: str) -> Occupant:
    """Build our trainer as `train` does; `profile`: under this name it says where its time goes."""
    keep_freed_memory()
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    envs = stack.enter_context(closing(make_training_envs(game, preset.num_envs)))
    trainer = make_trainer(spec, preset, game, 0, envs, random_bank(spec), directory)
    trainer.start()
    watch = Profile(trainer) if profile else None
    player = trainer.learner.player
    frames = player.lanes.observations

    def update() -> int:
        trainer.run_update()
        return preset.batch_size

    def forward(observations: Observations) -> int:
        # In one region, and as many, as in a rollout: its weights are brought to half precision once.
        passes = preset.batch_size // len(observations)
        with half_precision(player.device):
            for _ in range(passes):
                player.evaluate(player.prepare(observations))
        return passes * len(observations)

    works = {UPDATE: update} | {
        work: functools.partial(forward, tiled(frames, count)) for work, count in _passes(preset).items()
    }
    return Occupant(works, lambda: [] if watch is None else watch.rows(profile))


def _seat_peer(stack: ExitStack, game: str, spec: AgentSpec, preset: PPOPreset, peer: str) -> Occupant:
    """Build the peer's learner; its forward passes lead from stacks to the feature."""
    model = make_peer(peer, spec, game, preset, stack)
    frames = np.asarray(model.get_env().reset())  # pyright: ignore[reportOptionalMemberAccess] - it was made with one

    def forward(stacks: torch.Tensor) -> int:
        with torch.no_grad():
            model.policy.extract_features(stacks, model.policy.features_extractor)
        return len(stacks)

    return Occupant(
        {UPDATE: update_of(model, preset)}
        | {
            work: functools.partial(forward, torch.from_numpy(tiled(frames, count)))
            for work, count in _passes(preset).items()
        }
    )


def _passes(preset: PPOPreset) -> dict[str, int]:
    """Return the forward passes that are measured, with their numbers of observations."""
    return {f"forward x{count}": count for count in (preset.num_envs, preset.minibatch_size)}


def tiled(observations: Observations, count: int) -> Observations:
    """Return `count` observations, the same ones over and over."""
    return np.resize(observations, (count, *observations.shape[1:]))


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


PARTS = ("lanes", "encoders", "policy", "learning")


class Profile:
    """Adds up the processor time of a PPO trainer's parts.

    `lanes`: stepping and resetting them; `encoders`: from observations to what the network reads, for `e2e` only
    regrouped pixels; `policy`: the network's forward passes while playing; `learning`: gradients and optimiser;
    `other`: sampling actions, filling the rollout, advantages, figures of the learning curve.
    """

    def __init__(self, trainer: Trainer) -> None:
        """Watch a trainer from now on; it costs some microseconds per call.

        Raises:
            TypeError: The trainer trains by another algorithm than PPO.
        """
        learner = trainer.learner
        if not isinstance(learner, PPOLearner):
            raise TypeError("only PPO has these parts")
        self._steps = trainer.job.preset.update_steps
        self._times: dict[str, float] = dict.fromkeys(("all", *PARTS), 0.0)
        self._updates = 0
        player = learner.player
        self._watch(player.lanes, "step", "lanes")
        self._watch(player, "prepare", "encoders")
        self._watch(player, "evaluate", "policy")
        self._watch(learner.ppo, "learn", "learning")
        self._watch(trainer, "run_update", "all")

    def _watch(self, owner: Any, method: str, part: str) -> None:
        call: Callable[..., Any] = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.process_time()
            result = call(*args, **kwargs)
            self._times[part] += time.process_time() - started
            self._updates += part == "all"
            return result

        setattr(owner, method, timed)

    def rows(self, name: str) -> list[BenchRow]:
        """Return a row for each part, in us/step; together they are all of it."""
        whole = self._times["all"]
        other = whole - sum(self._times[part] for part in PARTS)
        steps = max(1, self._updates * self._steps)
        parts = [(part, self._times[part]) for part in PARTS] + [("other", other)]
        return [
            {"name": f"{name}: {part}", "peer": "", "value": 1e6 * value / steps, "unit": "us/step", "ratio": None}
            for part, value in parts
        ]


P = ParamSpec("P")


class Occupant(NamedTuple):
    """Who sits in a process."""

    works: Mapping[str, Callable[[], int]]
    """Functions by name; each does a piece of work and returns how many steps or observations it was."""
    rows: Callable[[], list[BenchRow]] = list
    """What it has to say about its work so far."""


class Seat:
    """A process on one thread for one occupant."""

    def __init__(self, build: Callable[Concatenate[ExitStack, P], Occupant], *args: P.args, **kwargs: P.kwargs) -> None:
        """Start the process and build the occupant there.

        Args:
            build: A function of a module, so that the process finds it. Its first argument is the stack on which it
                leaves what closes the occupant.
            args: Further arguments, which are pickled.
            kwargs: The same.

        Raises:
            Exception: Whatever `build` raises.
        """
        # Spawned: a copy of this process would start in this one's memory.
        self._process = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        self._process.submit(_sit, build, args, kwargs).result()

    def measure(self, work: str) -> Callable[[float], float]:
        """Return what measures a work of the occupant, as a `Contestant` has it."""
        return lambda seconds: self._process.submit(_measure, work, seconds).result()

    def rows(self) -> list[BenchRow]:
        """Return what the occupant says about its work so far."""
        return self._process.submit(_rows).result()

    def close(self) -> None:
        """End the process."""
        self._process.submit(_leave)
        self._process.shutdown(cancel_futures=False)


_STACK = ExitStack()
_OCCUPANTS: list[Occupant] = []
"""Of this process: one, once it is built."""


def _sit(build: Callable[..., Occupant], args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
    _STACK.enter_context(single_thread())
    _OCCUPANTS.append(build(_STACK, *args, **kwargs))


def _measure(work: str, seconds: float) -> float:
    return speed(_OCCUPANTS[0].works[work], seconds)


def _rows() -> list[BenchRow]:
    return _OCCUPANTS[0].rows()


def _leave() -> None:
    _STACK.close()
