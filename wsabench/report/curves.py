"""Learning curves of the agents of a run, read from the files beside the checkpoints that were evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import pandas as pd

from wsabench.errors import StorageError
from wsabench.hashing import file_hash
from wsabench.resources import baseline_dirs
from wsabench.results.manifest import AgentEntry
from wsabench.summary.rows import CurveRow

_RETURN = "return_unclipped_mean_50"
_RUN_WEIGHTS = ("agent.safetensors", "best.safetensors")
"""The newest and the best network in a training run's folder."""


def learning_curves(agents: Sequence[AgentEntry], baselines: Path | None = None) -> tuple[CurveRow, ...]:
    """Read the learning curves that belong to the checkpoints of a result set.

    Args:
        agents: The agents of a result set.
        baselines: The folder of the baselines; None: the folders of those that are shipped or fetched.

    Returns:
        The points of the curves, curve by curve. Curves are looked for beside shipped baselines and beside checkpoints
        and training folders that were given by their path. A curve is taken only where the checkpoint beside it is the
        one that was evaluated, to the byte.

    Raises:
        StorageError: A curve cannot be read.
    """
    folders = baseline_dirs() if baselines is None else (baselines,)
    rows: list[CurveRow] = []
    for entry in agents:
        curve = next((curve for weights, curve in _places(entry, folders) if _belongs(weights, curve, entry)), None)
        if curve is None:
            continue
        table = _read(curve)
        if _RETURN in table and "steps" in table:
            points = table[["steps", _RETURN]].dropna().itertuples(index=False)
            rows += [CurveRow(id=entry.id, steps=int(steps), return_mean=float(mean)) for steps, mean in points]
    return tuple(rows)


def _places(entry: AgentEntry, baselines: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """Yield where an agent's checkpoint and its curve may lie."""
    stem = f"{entry.source}-seed{entry.train_seed}"
    for folder in baselines:
        yield folder / entry.game / f"{stem}.safetensors", folder / entry.game / f"{stem}-curve.csv"
    if entry.kind == "agent":
        path = Path(entry.source)
        weights = path / _RUN_WEIGHTS[0] if path.is_dir() else path
        yield weights, weights.with_name(f"{weights.stem}-curve.csv")
        if weights.name in _RUN_WEIGHTS:
            yield weights, weights.with_name("curve.csv")


def _belongs(weights: Path, curve: Path, entry: AgentEntry) -> bool:
    """Whether a curve lies beside the checkpoint that was evaluated."""
    if not (curve.is_file() and weights.is_file()):
        return False
    return _file_hash(weights, weights.stat().st_mtime_ns) == entry.checkpoint_hash


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise StorageError(f"The learning curve {path} cannot be read ({error}). Restore it, or delete it.") from error


@lru_cache(maxsize=256)
def _file_hash(path: Path, _: int) -> str:
    return file_hash(path)
