"""Sample pictures and films of each cell: what a person sees and what the agent sees, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from wsabench.evaluation.plan import Plan
from wsabench.protocol import Protocol
from wsabench.results.records import file_stem
from wsabench.results.result import FRAME_GAP, FRAMES_DIR
from wsabench.results.store import ResultStore
from wsabench.seeding import generator, integer_seed

if TYPE_CHECKING:
    from wsabench.perturb import CompiledPerturbation

NUM_STEPS = 60
"""Random steps played before the picture is taken; 4 seconds of play."""
FILM_STEPS = 160
"""Steps of a film; 11 seconds of play."""
FILM_EVERY = 4
"""Steps from one picture of a film to the next."""
_HELD_STEPS = 4
"""In a film each random action is kept this long, so that what the player moves goes somewhere."""
_WHITE = 255

Picture = npt.NDArray[np.uint8]


def write_samples(plan: Plan, store: ResultStore) -> None:
    """Write a sample picture for each game and perturbation that has none yet; changes of encoders have none to show.

    Args:
        plan: The plan.
        store: Where to write.

    Raises:
        StorageError: A picture cannot be written.
    """
    photographers: dict[str, SampleLane] = {}
    for (game, name), compiled in plan.compiled.items():
        file = f"{file_stem(game, name)}.png"
        if compiled.family == "encoder" or store.has_file(FRAMES_DIR, file):
            continue
        if game not in photographers:
            photographers[game] = SampleLane(compiled, plan.protocol)
        store.write_bytes(FRAMES_DIR, file, encode_png(photographers[game].picture(compiled)))
    for photographer in photographers.values():
        photographer.close()


class SampleLane:
    """Plays a fixed sequence of random actions in one game, under one perturbation after the other."""

    def __init__(self, compiled: CompiledPerturbation, protocol: Protocol) -> None:
        """Load the game that `compiled` is for."""
        from wsabench.emulator import Lane

        self._lane = Lane(compiled, protocol)
        self._actions = generator(0, "sample", "actions").integers(0, self._lane.num_actions, size=NUM_STEPS)
        drawn = generator(0, "film", "actions").integers(0, self._lane.num_actions, size=FILM_STEPS // _HELD_STEPS)
        self._held_actions = drawn.repeat(_HELD_STEPS)

    def close(self) -> None:
        """Give the emulator back for other lanes."""
        self._lane.close()

    def picture(self, compiled: CompiledPerturbation) -> Picture:
        """Return the picture under a perturbation of the same game.

        Returns:
            RGB, uint8, shape (height, width, 3): the screen on the left, the newest observation enlarged on the right.
            The moment is the same for every perturbation that leaves the dynamics alone.
        """
        *_, last = self._play(compiled, self._actions, NUM_STEPS)
        return last

    def film(self, compiled: CompiledPerturbation) -> list[Picture]:
        """Return the pictures of a longer play, one every `FILM_EVERY` steps, as `picture` gives them.

        Seed and actions are the same for every perturbation; a lane whose game is over starts another.
        """
        return list(self._play(compiled, self._held_actions, FILM_EVERY))

    def _play(self, compiled: CompiledPerturbation, actions: npt.NDArray[np.int64], every: int) -> Iterator[Picture]:
        """Play the actions from a fixed seed and yield a picture every so many steps."""
        lane = self._lane
        lane.set_perturbation(compiled)
        lane.reset(integer_seed(0, "sample", compiled.game))
        for step, action in enumerate(actions, 1):
            lane.step(int(action))
            if lane.terminated or lane.truncated:
                lane.reset(integer_seed(1, "sample", compiled.game))
            if step % every == 0:
                yield side_by_side(lane.render(), lane.observation[-1])


def side_by_side(screen: Picture, observation: Picture) -> Picture:
    """Join a screen and an observation, enlarged to the screen's height, with a white gap.

    Args:
        screen: RGB, uint8, shape (height, width, 3).
        observation: Luminance (size, size) or RGB (size, size, 3), uint8.

    Returns:
        RGB, uint8, shape (height, width + 8 + height, 3).
    """
    height = screen.shape[0]
    enlarged = cv2.resize(observation, (height, height), interpolation=cv2.INTER_NEAREST)
    if enlarged.ndim == 2:
        enlarged = np.repeat(enlarged[:, :, None], 3, axis=2)
    gap = np.full((height, FRAME_GAP, 3), _WHITE, dtype=np.uint8)
    return np.concatenate([screen, gap, enlarged.astype(np.uint8)], axis=1)


def encode_png(picture: Picture) -> bytes:
    """Return an RGB picture, uint8, shape (height, width, 3), as the bytes of a PNG file."""
    _, encoded = cv2.imencode(".png", picture[:, :, ::-1])
    return encoded.tobytes()
