"""A recorded episode on disk: pictures, steps and attention weights."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wsabench.results.records import AttentionSums, EpisodeOutcome, EpisodeSteps, Job, file_stem
from wsabench.results.tables import CONTEXT_FIELDS, context_shares, steps_table
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
        """Return one row per step, of `steps_schema`; with a context also what it did in the episode, in every row."""
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
            count: How many steps to return; there are fewer when the episode is shorter.
        """
        changes = np.abs(np.diff(self.steps.weights, axis=0, prepend=self.steps.weights[:1])).sum(axis=1)
        parts = np.array_split(np.arange(self.length), min(count, self.length))
        return [int(part[len(part) - 1 - changes[part][::-1].argmax()]) for part in parts]


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


SMOOTH_STEPS = 15
"""Window of the moving mean of weights; one second of play."""


def moving_mean(values: npt.NDArray[np.float32], width: int) -> npt.NDArray[np.float32]:
    """Return the mean over a window around each row, shorter at both ends.

    Args:
        values: float32, shape (T, E).
        width: Rows of the window, odd.

    Returns:
        float32, shape (T, E).
    """
    sums = np.concatenate([np.zeros((1, values.shape[1])), values.cumsum(axis=0, dtype=np.float64)])
    places = np.arange(len(values))
    first, last = np.maximum(places - width // 2, 0), np.minimum(places + width // 2 + 1, len(values))
    return ((sums[last] - sums[first]) / (last - first)[:, None]).astype(np.float32)
