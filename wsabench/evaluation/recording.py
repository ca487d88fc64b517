"""One evaluation episode, played as a run plays it, with everything that was seen, chosen and weighed on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wsabench.errors import SpecError
from wsabench.evaluation.contestants import AgentReference, Contestant, find_contestants
from wsabench.evaluation.lanes import EpisodeLanes, Finish
from wsabench.evaluation.own_play import own_play_of
from wsabench.evaluation.own_play_supply import needs_own_play, supplied
from wsabench.evaluation.records import (
    CONTEXT_FIELDS,
    AttentionSums,
    EpisodeOutcome,
    EpisodeSteps,
    Job,
    context_shares,
    file_stem,
    steps_table,
)
from wsabench.evaluation.rollout import EpisodeTask, Handout, check_encoder_operations, play
from wsabench.evaluation.steps import SMOOTH_STEPS, moving_mean
from wsabench.processes import single_thread
from wsabench.protocol import Protocol
from wsabench.seeding import evaluation_seed
from wsabench.stats.context_effect import ContextEffect
from wsabench.types import EpisodeEnd

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Moment:
    """What was there to see before a step, or after the last one."""

    screen: Picture
    """What a person sees, perturbation included: RGB, uint8, shape (height, width, 3)."""
    observation: Picture
    """The agent's newest frame: luminance (size, size) or RGB (size, size, 3), uint8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A played episode of T steps."""

    agent: str
    train_seed: int
    game: str
    family: str
    perturbation: str
    """Canonical name with severity."""
    severity: int | None
    episode_seed: int
    encoders: tuple[str, ...]
    """Names in the order of the weights; empty for agents without attention."""
    action_names: tuple[str, ...]
    """The game's names of the actions, by index."""
    steps: EpisodeSteps
    episodic_return: float
    attention: AttentionSums | None
    """Sums over the episode, as a run makes them; None for agents without attention."""
    end: EpisodeEnd | None
    """How the episode ended; None where it was cut at the most steps asked for."""
    pictures: tuple[tuple[bytes, bytes], ...]
    """Screen and newest frame as PNG files, before each step and after the last: T + 1 pairs."""
    context: ContextEffect | None = None
    """What the context did to the weights in up to `CONTEXT_STEPS` of the steps; None for agents without a context."""

    @property
    def length(self) -> int:
        """The number of steps."""
        return len(self.steps.actions)

    @property
    def key(self) -> str:
        """Readable and unique; safe as a file name."""
        return file_stem(f"{self.agent}-seed{self.train_seed}", self.game, self.perturbation, str(self.episode_seed))

    def moment(self, step: int) -> Moment:
        """Return what was there to see before a step, or with `length` after the last."""
        screen, observation = self.pictures[step]
        return Moment(_decode(screen), _decode(observation))

    def table(self) -> pa.Table:
        """Return one row a step, of `steps_schema`; with a context also what it did in the episode, in every row."""
        job = Job(
            self.agent,
            self.train_seed,
            self.game,
            self.family,
            self.perturbation,
            self.severity,
            (self.episode_seed,),
            fingerprint="",
        )
        end = self.end or "time_limit"  # not in this table
        outcome = EpisodeOutcome(0, 0, self.episodic_return, self.length, end, self.attention, self.steps)
        table = steps_table(job, [outcome], self.encoders)
        for field, share in zip(CONTEXT_FIELDS, self.context_shares().values(), strict=False):
            table = table.append_column(field, pa.array([share] * self.length, field.type))
        return table

    def context_shares(self) -> dict[str, float | None]:
        """Return both measures of what the context did, by column; None where undefined; empty without a context."""
        return {} if self.context is None else context_shares([self.context])

    def mean_weights(self) -> dict[str, float]:
        """Return each encoder's mean weight over the episode, as a run's table has it; empty without attention."""
        if self.attention is None:
            return {}
        means = self.attention.weights * (1.0 / self.attention.num_steps)
        return dict(zip(self.encoders, means.tolist(), strict=True))

    def smooth_weights(self) -> npt.NDArray[np.float32]:
        """Return the weights' moving mean over `SMOOTH_STEPS`, float32, shape (T, E)."""
        return moving_mean(self.steps.weights, SMOOTH_STEPS)

    def key_moments(self, count: int) -> list[int]:
        """Return steps worth showing, in order.

        The episode is cut into `count` parts of about equal length. From each comes the step whose weights differ most
        from those of the step before, of equals the last; so without attention these are the ends of the parts.

        Args:
            count: How many; fewer when the episode is shorter.
        """
        changes = np.abs(np.diff(self.steps.weights, axis=0, prepend=self.steps.weights[:1])).sum(axis=1)
        parts = np.array_split(np.arange(self.length), min(count, self.length))
        return [int(part[len(part) - 1 - changes[part][::-1].argmax()]) for part in parts]


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


class _OneTask:
    """A source of one episode."""

    def __init__(self, task: EpisodeTask) -> None:
        self._task = task

    def take(self, count: int) -> Handout:
        """Return the episode."""
        return Handout([self._task], is_last=True)


def record_episode(  # noqa: PLR0913 - one keyword an option of the command line
    agent: AgentReference,
    game: str,
    *,
    perturbation: str = "clean",
    train_seed: int = 0,
    episode_seed: int | None = None,
    protocol: Protocol | None = None,
    max_steps: int | None = None,
    advance: Callable[[int], None] | None = None,
    note: Callable[[str], None] | None = None,
) -> Recording:
    """Play one evaluation episode and keep every step and picture.

    It is the episode that a run plays with this agent, train seed, game, perturbation, episode seed and protocol: the
    same rollout, alone in its lanes, which changes no bit. Pictures are kept compressed, 2 to 8 KB a step, up to 100 KB
    where a perturbation adds noise.

    Args:
        agent: As one of `run`'s agents.
        game: The game's id.
        perturbation: A perturbation, `clean` for none.
        train_seed: Train seed of an agent given by name; others say their own.
        episode_seed: The episode's seed, as result tables hold it; by default that of a run's first episode.
        protocol: How it is played; `Protocol.evaluation()` by default.
        max_steps: Most steps to play; the whole episode by default.
        advance: Called with the number of steps played since the last call.
        note: Gets a sentence where the agent must first play for a perturbation that feeds embeddings of its own play.

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
    contestant = _one_contestant(agent, game, train_seed, protocol)
    lanes = FilmedLanes(game, protocol, max_steps, contestant.inputs)
    tell = note or (lambda _: None)
    task = EpisodeTask(0, 0, seed, compiled.name, compiled.encoder_operations)
    outcome = _play(contestant, task, lanes, protocol, advance or (lambda _: None), tell)
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


def _one_contestant(agent: AgentReference, game: str, train_seed: int, protocol: Protocol) -> Contestant:
    """Return the agent that plays."""
    given = agent if isinstance(agent, dict) else [agent]
    found = find_contestants(given, [game], [train_seed], protocol)
    if len(found) != 1:
        raise SpecError(f"{len(found)} agents were given. Allowed: one.")
    return found[0]


def _play(
    contestant: Contestant,
    task: EpisodeTask,
    lanes: FilmedLanes,
    protocol: Protocol,
    advance: Callable[[int], None],
    note: Callable[[str], None],
) -> EpisodeOutcome:
    """Play the episode with the rollout that a run uses."""
    outcomes: list[EpisodeOutcome] = []
    policy = contestant.load(protocol.action_selection)
    check_encoder_operations(policy, task)
    if needs_own_play(task.encoder_operations):
        contestant = replace(contestant, own_play=own_play_of(contestant, protocol, note))
    source = supplied(_OneTask(task), contestant)
    with single_thread():
        play(policy, lanes, source, outcomes.append, advance, keep_steps=True)
    return outcomes[0]


def _encode(picture: Picture) -> bytes:
    """Return a picture as a PNG file, fast rather than small."""
    ordered = picture[:, :, ::-1] if picture.ndim == 3 else picture
    _, encoded = cv2.imencode(".png", np.ascontiguousarray(ordered), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return encoded.tobytes()


def _decode(content: bytes) -> Picture:
    """Return what `_encode` was given."""
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None  # noqa: S101  (our own)
    return np.ascontiguousarray(picture[:, :, ::-1] if picture.ndim == 3 else picture).astype(np.uint8)
