"""How much a change of an agent's own encoders changes what the agent does, and what it attends to."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench.errors import SpecError
from wsabench.evaluation.contestants import find_contestants
from wsabench.evaluation.own_play.collection import own_play_of
from wsabench.evaluation.own_play.file import StoredOwnPlay
from wsabench.evaluation.own_play.supply import needs_own_play, with_own_play
from wsabench.perturb.encoder.selection import DrawnPerEpisode
from wsabench.processes import single_thread
from wsabench.protocol import Protocol
from wsabench.seeding import evaluation_seed, generator
from wsabench.types import Embedding, EncoderOperation, EncoderRoster, Inputs, LaneBatch, LaneEncoders, Observations

if TYPE_CHECKING:
    from wsabench.agents import AgentPolicy

NUM_STEPS = 200
"""Steps of clean play on which the agent is asked."""
STEPS_A_DRAW = 5
"""After so many steps encoders are drawn anew where a perturbation draws them once an episode: 40 draws, not one."""


@single_thread()
def measure_encoder_effects(
    game: str, perturbations: Sequence[str], agent: str, train_seed: int = 0
) -> dict[str, float]:
    """Return how much the action distribution of a shipped agent changes: the mean total variation distance.

    The agent plays 200 steps without a perturbation. On the same observations, in the same order, it is asked again
    with each perturbation; the distance of two distributions is half the sum of |p - q| over the actions: 0 the same,
    1 nothing in common. Only what a perturbation does to the encoders counts here. Encoders that it draws once an
    episode are drawn anew every `STEPS_A_DRAW` steps, so that the number is no single draw's.

    Args:
        game: The game that the agent was trained on.
        perturbations: Names of perturbations, with their severities.
        agent: Name of a shipped agent.
        train_seed: The train seed of its checkpoint.

    Returns:
        By name, 0..1; perturbations that leave encoders alone, or that this agent cannot take, are left out.

    Raises:
        CheckpointError: There is no such checkpoint.
        SpecError: A perturbation is malformed or does not fit the game.
        StorageError: The agent's own play cannot be kept.
        UnknownNameError: Game, agent or perturbation does not exist.
    """
    policy = _policy(agent, game, train_seed)
    fitting = _fitting(policy, game, perturbations, agent, train_seed)
    if not fitting:
        return {}
    clean = _clean_play(agent, game, train_seed)
    changed = _distributions(policy, clean, list(fitting.values()))
    distances = np.abs(changed - clean.distributions[:, None]).sum(axis=2).mean(axis=0) / 2
    return dict(zip(fitting, distances.tolist(), strict=True))


class AttentionCapture(NamedTuple):
    """How much of the attention goes to the encoders whose embeddings are replaced."""

    clean: float
    """Their weight before, 0..1."""
    changed: float
    """Their weight with what they are fed instead."""


@single_thread()
def measure_attention_capture(
    game: str, perturbations: Sequence[str], agent: str, train_seed: int = 0
) -> dict[str, AttentionCapture]:
    """Return how much attention embeddings capture that are fed instead of a shipped agent's own.

    The agent plays as in `measure_encoder_effects`. In every step it is asked on the same observation without and with
    a perturbation, and the weights of those fused encoders are added up whose embeddings the perturbation changes. Both
    sums are averaged over the steps in which it changes any.

    Args:
        game: The game that the agent was trained on.
        perturbations: Names of perturbations, with their severities.
        agent: Name of a shipped agent.
        train_seed: The train seed of its checkpoint.

    Returns:
        By name; perturbations that replace no fused embedding, or that this agent cannot take, are left out, and so is
        everything for an agent without attention.

    Raises:
        As `measure_encoder_effects`.
    """
    policy = _policy(agent, game, train_seed)
    fitting = _fitting(policy, game, perturbations, agent, train_seed)
    encoders = policy.abilities.attends_to
    if not fitting or not encoders:
        return {}
    looks = {name: (_Look(), _Look()) for name in fitting}
    lanes = [(), *((looks[name][0], *taken, looks[name][1]) for name, taken in fitting.items())]
    shares: dict[str, list[AttentionCapture]] = {name: [] for name in fitting}
    for weights in _weights(policy, _clean_play(agent, game, train_seed), lanes):
        for row, (name, (before, after)) in enumerate(looks.items(), 1):
            touched = [not np.array_equal(before.seen[one], after.seen[one]) for one in encoders]
            if any(touched):
                shares[name].append(
                    AttentionCapture(float(weights[0][touched].sum()), float(weights[row][touched].sum()))
                )
    return {name: AttentionCapture(*np.mean(found, axis=0).tolist()) for name, found in shares.items() if found}


class _Look:
    """An operation that changes nothing and keeps the fused embeddings of the newest step."""

    def __init__(self) -> None:
        self.seen: dict[str, Embedding] = {}

    def check(self, roster: EncoderRoster) -> EncoderRoster:
        return roster

    def start(self, generator: np.random.Generator) -> _Look:
        del generator
        return self

    def apply(self, encoders: LaneEncoders) -> None:
        self.seen = {name: encoders.embedding(name) for name in encoders.fused}


def _fitting(
    policy: AgentPolicy, game: str, perturbations: Sequence[str], agent: str, train_seed: int
) -> dict[str, tuple[EncoderOperation, ...]]:
    """Return the encoder operations that an agent can take, ready to start, by name."""
    from wsabench.perturb import compile_perturbation

    operations = {name: compile_perturbation(name, game).encoder_operations for name in perturbations}
    fitting = {name: taken for name, taken in operations.items() if taken and _fits(policy, taken)}
    if not any(map(needs_own_play, fitting.values())):
        return fitting
    own = _own_play(agent, game, train_seed)
    return {name: with_own_play(taken, own) for name, taken in fitting.items()}


@functools.lru_cache(maxsize=4)
def _policy(agent: str, game: str, train_seed: int) -> AgentPolicy:
    """Load a shipped agent."""
    from wsabench.agents import load_trained

    return load_trained(agent, game=game, train_seed=train_seed)


@functools.lru_cache(maxsize=4)
def _own_play(agent: str, game: str, train_seed: int) -> StoredOwnPlay:
    """Return the agent's own clean play, played now where it is not kept."""
    protocol = Protocol.evaluation()
    (contestant,) = find_contestants([agent], [game], [train_seed], protocol)
    return own_play_of(contestant, protocol, lambda _: None).load()


def _fits(policy: AgentPolicy, operations: Sequence[EncoderOperation]) -> bool:
    """Whether the agent can take these operations."""
    try:
        policy.abilities.check(operations)
    except SpecError:
        return False
    return True


class _Play(NamedTuple):
    """A game of the agent as it was trained."""

    observations: Observations
    """uint8, shape (200, 4, 84, 84)."""
    distributions: npt.NDArray[np.float64]
    """Probabilities of the actions, shape (200, num_actions)."""
    inputs: Sequence[Inputs] = ()
    """The further inputs of each step, one row each."""


@functools.lru_cache(maxsize=4)
def _clean_play(agent: str, game: str, train_seed: int) -> _Play:
    """Let the agent play, its actions sampled."""
    from wsabench.emulator import Lane
    from wsabench.perturb import compile_perturbation

    policy = _policy(agent, game, train_seed)
    lane = Lane(compile_perturbation("clean", game), Protocol.evaluation(), inputs=policy.abilities.inputs)
    lane.reset(evaluation_seed(game, 0))
    draws = generator(evaluation_seed(game, 0), "policy")
    observations, inputs, distributions = [], [], []
    for step in range(NUM_STEPS):
        observations.append(lane.observation.copy())
        inputs.append({name: value[None].copy() for name, value in lane.inputs.items()})
        told = _batch([()], np.array([step == 0]), [draws], inputs[-1])
        distributions.append(policy.action_probabilities(observations[-1][None], told)[0])
        lane.step(int(draws.choice(len(distributions[-1]), p=distributions[-1])))
        if lane.end is not None:
            lane.reset()
    lane.close()
    return _Play(np.stack(observations), np.stack(distributions), inputs)


def _distributions(
    policy: AgentPolicy, clean: _Play, operations: Sequence[tuple[EncoderOperation, ...]]
) -> npt.NDArray[np.float64]:
    """Return the action distributions, one lane for each of `operations`: shape (steps, lanes, actions)."""
    return np.stack([policy.action_probabilities(*step) for step in _steps(clean, operations)])


def _weights(
    policy: AgentPolicy, clean: _Play, operations: Sequence[tuple[EncoderOperation, ...]]
) -> Iterator[npt.NDArray[np.float32]]:
    """Give the encoders' weights in each step, one lane for each of `operations`: shape (lanes, encoders)."""
    decisions = (policy.act(*step) for step in _steps(clean, operations))
    return (decision.attention for decision in decisions if decision.attention is not None)


def _steps(
    clean: _Play, operations: Sequence[tuple[EncoderOperation, ...]]
) -> Iterator[tuple[Observations, LaneBatch]]:
    """Give what a policy is asked in each step, one lane for each of `operations`."""
    generators = [generator(0, "encoder effect") for _ in operations]
    draw = np.array([_draws_alone(lane) for lane in operations])
    for step, (observation, inputs) in enumerate(zip(clean.observations, clean.inputs, strict=True)):
        observations = np.repeat(observation[None], len(operations), axis=0)
        starts = np.full(len(operations), step == 0) | (draw & (step % STEPS_A_DRAW == 0))
        yield observations, _batch(operations, starts, generators, _repeated(inputs, len(operations)))


def _draws_alone(operations: Sequence[EncoderOperation]) -> bool:
    """Whether operations draw encoders once an episode and keep nothing else from step to step."""
    changes = [one for one in operations if not isinstance(one, _Look)]
    # Around an operation that needs the agent's own play there is what hands it that play.
    return bool(changes) and all(isinstance(getattr(one, "operation", one), DrawnPerEpisode) for one in changes)


def _repeated(inputs: Inputs, count: int) -> Inputs:
    return {name: np.repeat(value, count, axis=0) for name, value in inputs.items()}


def _batch(
    operations: Sequence[tuple[EncoderOperation, ...]],
    starts: npt.NDArray[np.bool_],
    generators: Sequence[np.random.Generator],
    inputs: Inputs,
) -> LaneBatch:
    """Return one lane for each of `operations`; `starts` says in which an episode begins."""
    return LaneBatch(
        ids=np.arange(len(operations)),
        generators=tuple(generators),
        episode_starts=starts,
        encoder_operations=tuple(operations),
        inputs=inputs,
        encoder_generators=tuple(generators),
    )
