"""What probes predict: the verified RAM variables of a game, decoded, and the split of their steps by episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from wsabench import seeding
from wsabench.errors import SpecError, StorageError
from wsabench.games import RamVariable, decode
from wsabench.protocol import Protocol
from wsabench.training.frames.store import FrameStore
from wsabench.types import INPUT_SHAPES, Inputs
from wsabench.words import counted

FEW_VALUES = 8
"""Variables with up to this many values are classified (logistic probe), others regressed (ridge probe)."""
SMALLEST_SHARE = 0.05
"""A variable whose values besides the most frequent one make up less than this in any part is left out as constant."""
SHARES = {"train": 0.45, "validation": 0.15, "test": 0.4}
"""Shares of the episodes."""


@dataclass(frozen=True)
class ProbeTarget:
    """One variable to predict.

    Attributes:
        name: Its name in the game's RAM map.
        kind: `classes` or `number`.
        values: Decoded value of each sample, float64, shape (N,); for classes their number from 0.
    """

    name: str
    kind: Literal["classes", "number"]
    values: npt.NDArray[np.float64]


@dataclass(frozen=True)
class ProbeSamples:
    """Steps to probe on.

    Attributes:
        stacks: Observations, uint8, shape (N, 4, 84, 84).
        ram: Memory, uint8, shape (N, 128).
        parts: For `train`, `validation` and `test` the rows, int64; no episode is in two of them.
        inputs: What encoders read beside observations, by name, uint8, N rows each.
    """

    stacks: npt.NDArray[np.uint8]
    ram: npt.NDArray[np.uint8]
    parts: Mapping[str, npt.NDArray[np.int64]]
    inputs: Inputs = field(default_factory=dict)


def draw_samples(store: FrameStore, num_samples: int, seed: int, inputs: Sequence[str] = ()) -> ProbeSamples:
    """Take evenly spaced steps of a store and split them by episode.

    Args:
        store: Frames that pre-training has not seen.
        num_samples: Number of steps.
        seed: Fixes which episode goes to which part.
        inputs: What encoders read beside observations: `rgb84`, `ram`.

    Raises:
        SpecError: The store has fewer steps, or fewer than ten episodes.
    """
    positions = store.positions()
    if num_samples > len(positions):
        raise SpecError(
            f"{num_samples} probe samples were asked for, the frames have {len(positions)}. Use more frames."
        )
    index = positions[np.linspace(0, len(positions) - 1, num_samples).astype(np.int64)]
    parts = split_by_episode(store.episodes[index], seed)
    return ProbeSamples(store.stacks(index), store.ram[index], parts, stored_inputs(store, index, inputs))


def split_by_episode(episodes: npt.NDArray[np.int32], seed: int) -> dict[str, npt.NDArray[np.int64]]:
    """Assign whole episodes to training, validation and test.

    Args:
        episodes: Episode of each sample, shape (N,).
        seed: Fixes the assignment.

    Returns:
        For each part its rows, int64, ascending.

    Raises:
        SpecError: There are fewer than ten episodes.
    """
    names = np.unique(episodes)
    if len(names) < 10:
        found = counted(len(names), "episode")
        raise SpecError(f"The frames have {found}. Probes need at least 10: use more frames.")
    order = seeding.generator(seed, "probe-split").permutation(names)
    bounds = np.cumsum([round(share * len(names)) for share in list(SHARES.values())[:-1]])
    chosen = zip(SHARES, np.split(order, bounds), strict=True)
    return {part: np.flatnonzero(np.isin(episodes, group)) for part, group in chosen}


def probe_targets(variables: Mapping[str, RamVariable], samples: ProbeSamples) -> tuple[list[ProbeTarget], list[str]]:
    """Return the verified variables that vary, and the names of those that do not (nearly) vary in every part."""
    targets, constant = [], []
    for name, variable in variables.items():
        if variable.confidence != "verified":
            continue
        values = decode(np.ascontiguousarray(samples.ram[:, variable.index]), variable.encoding)
        if min(_minor_share(values[rows]) for rows in samples.parts.values()) < SMALLEST_SHARE:
            constant.append(name)
            continue
        found, classes = np.unique(values, return_inverse=True)
        if len(found) <= FEW_VALUES:
            targets.append(ProbeTarget(name, "classes", classes.astype(np.float64)))
        else:
            targets.append(ProbeTarget(name, "number", values))
    return targets, constant


def _minor_share(values: npt.NDArray[np.float64]) -> float:
    counts = np.unique(values, return_counts=True)[1]
    return float(1 - counts.max() / counts.sum())


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
    lane.close()
    return colors
