"""What encoders read beside observations, for the steps of a frame store: its memory, and frames in colour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wsabench import seeding
from wsabench.errors import StorageError
from wsabench.protocol import Protocol
from wsabench.training.frames import FrameStore
from wsabench.types import INPUT_SHAPES

Bytes = npt.NDArray[np.uint8]


def stored_inputs(store: FrameStore, index: npt.NDArray[np.int64], names: Sequence[str]) -> dict[str, Bytes]:
    """Return the further inputs at some steps of a store.

    A store holds luminance and memory. Frames in colour come from playing its games again, whose seeds and actions it
    knows, with a check that the luminance is the same.

    Args:
        store: Frames of a clean lane.
        index: The steps, int64, shape (N,).
        names: Which inputs: `rgb84`, `ram`.

    Returns:
        uint8, each (N, *INPUT_SHAPES[name]).

    Raises:
        StorageError: Playing a game again gives other frames than the store's.
    """
    found: dict[str, Bytes] = {}
    if "ram" in names:
        found["ram"] = np.asarray(store.ram[index])
    if "rgb84" in names:
        found["rgb84"] = _colors(store, index)
    return found


def _colors(store: FrameStore, index: npt.NDArray[np.int64]) -> Bytes:
    from wsabench.emulator import Lane
    from wsabench.perturb import compile_perturbation

    lane = Lane(compile_perturbation("clean", store.game), Protocol.evaluation(), inputs=("rgb84",))
    colors = np.zeros((len(index), *INPUT_SHAPES["rgb84"]), np.uint8)
    places = {int(row): place for place, row in enumerate(index)}
    episodes = store.episodes[index]
    for episode in np.unique(episodes).tolist():
        start = int(np.flatnonzero(store.episodes == episode)[0])
        for row in range(start, int(index[episodes == episode].max()) + 1):
            if row == start:
                lane.reset(seeding.training_seed(store.seed, "frames", store.game, episode))
            else:
                lane.step(int(store.actions[row]))
            if row in places:
                if not np.array_equal(lane.observation[-1], store.frames[row]):
                    raise StorageError(
                        f"Playing the games of {store.path} again gives other frames: they were made with another "
                        "version of the emulator. Delete the folder and collect again."
                    )
                colors[places[row]] = lane.inputs["rgb84"]
    return colors
