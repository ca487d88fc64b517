"""What probes predict: the verified RAM variables of a game, decoded, and the split of their steps by episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from wsabench import seeding
from wsabench.errors import SpecError
from wsabench.games import decode
from wsabench.training.frames import FrameStore
from wsabench.training.probe_inputs import stored_inputs
from wsabench.types import Inputs

FEW_VALUES = 8
"""Variables with up to this many values are classified (logistic probe), others regressed (ridge probe)."""
SMALLEST_SHARE = 0.05
"""A variable whose values besides the most frequent one make up less than this in any part is left out as constant."""
SHARES = {"train": 0.45, "validation": 0.15, "test": 0.4}
"""Shares of the episodes."""


class RamVariable(Protocol):
    """What of the catalogue's record is read here."""

    @property
    def index(self) -> int:
        """Address, 0 to 127."""
        ...

    @property
    def encoding(self) -> str:
        """As in the RAM map."""
        ...

    @property
    def confidence(self) -> str:
        """`verified` or `annotated`."""
        ...


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
        raise SpecError(f"The frames have {len(names)} episodes. Probes need at least 10: use more frames.")
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
