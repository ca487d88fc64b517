"""Scores from the literature, beside which a report's own can be read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from wsabench.errors import SpecError, StorageError
from wsabench.evaluation.summary_scores import Reference
from wsabench.resources import data_dir

COLUMNS = ("game", "agent", "algorithm", "mean", "sd", "source")


def published_table(references: Mapping[str, Reference]) -> pd.DataFrame:
    """Return the published scores of some games, from `baselines/published_scores.csv`.

    Args:
        references: Random and human score by game.

    Returns:
        Columns game, agent (as the source names it), algorithm, mean, sd (of the source; NaN where not given), source,
        normalised_score (NaN without references), by game. Other protocols and training budgets: for orientation, not
        for tests.

    Raises:
        SpecError: The table lacks a column.
        StorageError: It cannot be read.
    """
    path = data_dir("baselines") / "published_scores.csv"
    try:
        table = pd.read_csv(path)
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror}. Reinstall wsabench.") from error
    if tuple(table.columns) != COLUMNS:
        raise SpecError(f"{path}: columns are {', '.join(table.columns)}. Allowed: {', '.join(COLUMNS)}.")
    # By game in the order of the run; within a game in the order of the file.
    places = {game: place for place, game in enumerate(references)}
    order = np.argsort([places.get(game, len(places)) for game in table["game"]], kind="stable")
    chosen = table.iloc[order[: int(table["game"].isin(list(places)).sum())]].reset_index(drop=True)
    spans = {game: scores.human - scores.random for game, scores in references.items()}
    normalised = [
        (mean - references[game].random) / spans[game] if spans[game] > 0 else np.nan
        for game, mean in zip(chosen["game"], chosen["mean"], strict=True)
    ]
    return chosen.assign(normalised_score=np.array(normalised, dtype=np.float64))
