"""One evaluation episode, played as a run plays it, with everything that was seen, chosen and weighed on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from wsabench.errors import SpecError
from wsabench.evaluation.contestants import AgentReference, Contestant, Terms, find_contestants
from wsabench.evaluation.pool.asking import watch_here
from wsabench.evaluation.pool.watchdog import WORKER_TIMEOUT
from wsabench.evaluation.replaying import play_again
from wsabench.evaluation.rollout import EpisodeLanes, EpisodeTask, Finish
from wsabench.protocol import Protocol
from wsabench.results.recorded import Recording, _encode
from wsabench.seeding import evaluation_seed, start_order
from wsabench.types import EpisodeEnd, Permissions


class FilmedLanes(EpisodeLanes):
    """Lanes of which the first plays one episode and is filmed."""

    def __init__(self, game: str, protocol: Protocol, max_steps: int | None, inputs: Sequence[str] = ()) -> None:
        """Prepare; `max_steps` cuts the episode, `inputs` are what lanes supply beside observations."""
        super().__init__(game, protocol, inputs=inputs)
        self.pictures: list[tuple[bytes, bytes]] = []
        self.end: EpisodeEnd | None = None
        self._max_steps = max_steps

    def step(self, row: int, action: int) -> Finish | None:
        """Take a picture of what the agent saw and play one step; also end the episode where it is cut."""
        self._take_picture(row)
        finish = super().step(row, action)
        lane = self.lane(row)
        self.end = lane.end
        if finish is None and lane.episode_length == self._max_steps:
            finish = Finish(lane.episode_return, lane.episode_length, "time_limit")
        if finish is not None:
            self._take_picture(row)
        return finish

    def _take_picture(self, row: int) -> None:
        """Keep the lane's screen and newest frame."""
        screen, newest = self.lane(row).render(), self.observations[row, -1]
        self.pictures.append((_encode(screen), _encode(newest)))


def record_episode(  # noqa: PLR0913 - one keyword an option of the command line
    agent: AgentReference,
    game: str,
    *,
    perturbation: str = "clean",
    train_seed: int = 0,
    episode_seed: int | None = None,
    noops: int | None = None,
    protocol: Protocol | None = None,
    max_steps: int | None = None,
    permissions: Permissions | None = None,
    advance: Callable[[int], None] | None = None,
    note: Callable[[str], None] | None = None,
) -> Recording:
    """Play one evaluation episode and keep every step and picture.

    It is the episode that a run plays with this agent, train seed, game, perturbation, episode seed and protocol: the
    same rollout, alone in its lanes, which changes no bit. Pictures are kept compressed, 2 to 8 KB per step, up to
    100 KB where a perturbation adds noise.

    Args:
        agent: As one of `run`'s agents.
        game: The game's id.
        perturbation: A perturbation, `clean` for none.
        train_seed: Train seed of an agent given by name; others say their own.
        episode_seed: The episode's seed, as result tables hold it; by default that of a run's first episode.
        noops: No-op frames at its start, as result tables hold them; needed with an episode seed where greedy play
            takes each start once. By default those of a run's first episode, or those that the episode seed draws.
        protocol: How it is played; `Protocol.evaluation()` by default.
        max_steps: Most steps to play; the whole episode by default.
        permissions: What the agent is allowed; nothing by default.
        advance: Called with the number of steps played since the last call.
        note: Gets a sentence where the agent must first play for a perturbation that feeds embeddings of its own play,
            where it makes no step for long, and what a user should hear about the agent.

    Raises:
        CheckpointError: The agent's checkpoint is missing or damaged.
        SpecError: A value is malformed, or the perturbation does not fit the game or the agent.
        StorageError: The agent's own play cannot be kept.
        UnknownNameError: Agent, game or perturbation does not exist.
    """
    from wsabench.emulator import action_meanings
    from wsabench.games import load_game
    from wsabench.perturb import compile_perturbation

    game = load_game(game).id
    compiled = compile_perturbation(perturbation, game)
    protocol = protocol or Protocol.evaluation()
    if max_steps is not None and max_steps < 1:
        raise SpecError(f"The most steps to play are {max_steps}. Allowed: integers from 1.")
    seed = evaluation_seed(game, 0) if episode_seed is None else episode_seed
    tell = note or (lambda _: None)
    terms = Terms(
        protocol=protocol,
        permissions=permissions or Permissions(),
        watch=partial(watch_here, tell, WORKER_TIMEOUT),
    )
    contestant = _one_contestant(agent, game, train_seed, terms)
    protocol = contestant.protocol
    lanes = FilmedLanes(game, protocol, max_steps, contestant.abilities.inputs)
    if noops is not None and noops not in protocol.start_noops:
        numbers = protocol.start_noops
        raise SpecError(f"The no-ops are {noops}. Allowed under this protocol: {numbers[0]} to {numbers[-1]}.")
    if noops is None and episode_seed is None and contestant.plays_each_start_once(compiled):
        noops = start_order(game, protocol.start_noops)[0]
    for text in contestant.notes():
        tell(text)
    task = EpisodeTask(0, 0, seed, compiled.name, compiled.encoder_operations, noops)
    (outcome,) = play_again(contestant, [task], advance or (lambda _: None), tell, lanes, keep_steps=True)
    lanes.close()
    assert outcome.steps is not None  # noqa: S101  (asked for)
    return Recording(
        agent=contestant.name,
        train_seed=contestant.train_seed,
        game=game,
        family=compiled.family,
        perturbation=compiled.name,
        severity=compiled.severity,
        episode_seed=seed,
        encoders=contestant.encoders,
        action_names=tuple(action_meanings(game, protocol)),
        steps=outcome.steps,
        episodic_return=outcome.episodic_return,
        attention=outcome.attention,
        context=outcome.context,
        end=lanes.end,
        pictures=tuple(lanes.pictures),
    )


def _one_contestant(agent: AgentReference, game: str, train_seed: int, terms: Terms) -> Contestant:
    """Return the agent that plays."""
    given = agent if isinstance(agent, dict) else [agent]
    found = find_contestants(given, [game], [train_seed], terms)
    if len(found) != 1:
        raise SpecError(f"{len(found)} agents were given. Allowed: one.")
    return found[0]
