"""Things that move over the screen and turn back at its edges."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]
"""Row and column of each thing's upper left corner, int64, shape (num_things, 2)."""


class Bouncing:
    """Straight paths, reflected at the edges; where a thing is follows from the step alone."""

    def __init__(self, generator: np.random.Generator, num_things: int, room: npt.ArrayLike, speed: int) -> None:
        """Draw starts and velocities.

        Args:
            generator: Draws two uniform numbers and four integers a thing.
            num_things: How many there are.
            room: Largest row and column, shape (2,) or (num_things, 2).
            speed: Largest speed along each axis, in native pixels a step, each from 1 on as likely; 0: all stand still.
        """
        self._room = np.broadcast_to(np.asarray(room, np.int64), (num_things, 2))
        # A larger thing with the same draw covers a smaller one: floor(u (H - h + 1)) falls no faster than h grows.
        self._start = np.floor(generator.random((num_things, 2)) * (self._room + 1)).astype(np.int64)
        size = generator.integers(min(1, speed), speed, size=(num_things, 2), endpoint=True)
        self._velocity = size * (2 * generator.integers(0, 2, size=(num_things, 2)) - 1)

    def at(self, step: int) -> Places:
        """Return where everything is at a step."""
        period = np.maximum(2 * self._room, 1)
        phase = (self._start + step * self._velocity) % period
        return np.minimum(phase, 2 * self._room - phase)
