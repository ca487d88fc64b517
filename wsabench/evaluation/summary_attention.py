"""Attention weights per perturbation: means over train seeds, where the seeds differ, how far they move from clean."""

from __future__ import annotations

import numpy as np
import pandas as pd

from wsabench.evaluation.records import CONTEXT_FIELDS
from wsabench.evaluation.summary_scores import CLEAN, with_labels
from wsabench.evaluation.summary_tables import rows_where

_CELL = ["agent", "game", "family", "perturbation", "severity", "label"]


def attention_table(attention: pd.DataFrame | None) -> pd.DataFrame:
    """Average attention weights over train seeds.

    Args:
        attention: The table of a result set, maybe empty.

    Returns:
        One row an agent, game, cell and encoder; empty without attention. `sd` is over steps, `seed_min` and `seed_max`
        over train seeds. `shift` is the share of the weight that stands with other encoders than under `clean`: half
        the sum of absolute differences, of each train seed with itself, then the mean over train seeds; the same for
        all encoders of a cell, NaN without a clean cell. `context_static_share` and `context_variance_share` are means
        over train seeds, the same for all encoders of a cell, NaN where no train seed has them.
    """
    if attention is None or attention.empty:
        return pd.DataFrame()
    labelled = with_labels(attention)
    groups = labelled.groupby([*_CELL, "encoder"], sort=False, dropna=False)
    table = groups.agg(
        mean=("mean", "mean"),
        seed_min=("mean", "min"),
        seed_max=("mean", "max"),
        sd=("sd", lambda sd: float(np.sqrt(np.mean(np.square(sd))))),
        entropy=("entropy", "mean"),
        num_steps=("num_steps", "sum"),
        num_seeds=("train_seed", "nunique"),
        **{field.name: (field.name, "mean") for field in CONTEXT_FIELDS if field.name in labelled},
    ).reset_index()
    table = table.reindex(columns=list(dict.fromkeys([*table.columns, *(field.name for field in CONTEXT_FIELDS)])))
    return table.merge(_shifts(labelled), how="left", on=["agent", "game", "label"])


def _shifts(labelled: pd.DataFrame) -> pd.DataFrame:
    """Return agent, game, label, shift."""
    network = ["agent", "train_seed", "game"]
    clean = rows_where(labelled, label=CLEAN).loc[:, [*network, "encoder", "mean"]]
    paired = labelled.merge(clean, how="left", on=[*network, "encoder"], suffixes=("", "_clean"))
    paired["shift"] = (paired["mean"] - paired["mean_clean"]).abs() / 2
    of_seeds = paired.groupby([*network, "label"], sort=False)["shift"].sum(min_count=1)
    return of_seeds.groupby(["agent", "game", "label"], sort=False).mean().reset_index()
