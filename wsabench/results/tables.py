"""The tables that jobs, episodes and attention statistics are written as, and what is read from their rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from wsabench.results.records import EpisodeOutcome, Job
from wsabench.stats.context_effect import ContextEffect, total_effect

_JOB_FIELDS = [
    pa.field("agent", pa.string(), nullable=False),
    pa.field("train_seed", pa.int64(), nullable=False),
    pa.field("game", pa.string(), nullable=False),
    pa.field("family", pa.string(), nullable=False),
    pa.field("perturbation", pa.string(), nullable=False),
    pa.field("severity", pa.int64()),
]

START_FIELDS = (pa.field("noops", pa.int64()), pa.field("action_hash", pa.string()))
"""What tells the episodes of a checkpoint in a cell apart: the number of no-op frames at the start, and a hash of what
the agent chose in each step. Two with both equal are the same episode; equal returns say nothing. Null in shards of
earlier versions, which lack the columns."""

EPISODE_SCHEMA = pa.schema(
    [
        *_JOB_FIELDS,
        pa.field("episode_seed", pa.int64(), nullable=False),
        pa.field("episode", pa.int64(), nullable=False),
        pa.field("return", pa.float64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("end", pa.string(), nullable=False),
        pa.field("fingerprint", pa.string(), nullable=False),
        *START_FIELDS,
    ]
)
"""One row for each episode. `return` is unclipped, `length` counts agent steps, `severity` may be null."""

CONTEXT_FIELDS = (pa.field("context_static_share", pa.float64()), pa.field("context_variance_share", pa.float64()))
"""Both measures of `wsabench.stats.context_effect`, null without a context; shards of earlier versions lack them."""

ATTENTION_SCHEMA = pa.schema(
    [
        *_JOB_FIELDS,
        pa.field("encoder", pa.string(), nullable=False),
        pa.field("mean", pa.float64(), nullable=False),
        pa.field("sd", pa.float64(), nullable=False),
        pa.field("entropy", pa.float64(), nullable=False),
        pa.field("num_steps", pa.int64(), nullable=False),
        *CONTEXT_FIELDS,
    ]
)
"""One row for each job and encoder. `entropy` is the mean entropy of the weights in nats; it and what the context does
are the same for all rows of a job."""

WEIGHT_PREFIX = "weight_"
"""What stands before an encoder's name in the columns of a table of steps."""


def episode_table(job: Job, outcomes: Sequence[EpisodeOutcome]) -> pa.Table:
    """Return a job's episodes as a table of `EPISODE_SCHEMA`, in the order of episodes."""
    rows = sorted(outcomes, key=lambda outcome: outcome.episode)
    columns = {
        **_job_columns(job, len(rows)),
        "episode_seed": [job.episode_seeds[row.episode] for row in rows],
        "episode": [row.episode for row in rows],
        "return": [row.episodic_return for row in rows],
        "length": [row.length for row in rows],
        "end": [row.end for row in rows],
        "fingerprint": [job.fingerprint] * len(rows),
        "noops": [row.noops for row in rows],
        "action_hash": [row.action_hash for row in rows],
    }
    return pa.table(columns, schema=EPISODE_SCHEMA)


def attention_table(job: Job, outcomes: Sequence[EpisodeOutcome], encoders: Sequence[str]) -> pa.Table:
    """Return a job's attention statistics over all steps of all episodes, one row for each encoder.

    Args:
        job: The job.
        outcomes: Its episodes; those without attention count for nothing.
        encoders: The encoders' names, in the order of the weights.

    Returns:
        A table of `ATTENTION_SCHEMA`; `sd` is the population standard deviation over steps.
    """
    rows = sorted(outcomes, key=lambda outcome: outcome.episode)
    sums = [row.attention for row in rows if row.attention is not None]
    num_steps = sum(part.num_steps for part in sums)
    scale = 1.0 / max(num_steps, 1)
    zero = np.zeros(len(encoders))
    shares = context_shares(row.context for row in rows if row.context is not None)
    mean = sum((part.weights for part in sums), zero) * scale
    square = sum((part.squares for part in sums), zero) * scale
    columns = {
        **_job_columns(job, len(encoders)),
        "encoder": list(encoders),
        "mean": mean,
        "sd": np.sqrt(np.maximum(square - np.square(mean), 0.0)),
        "entropy": [sum(part.entropy for part in sums) * scale] * len(encoders),
        "num_steps": [num_steps] * len(encoders),
        **{name: [value] * len(encoders) for name, value in shares.items()},
    }
    return pa.table(columns, schema=ATTENTION_SCHEMA)


def context_shares(effects: Iterable[ContextEffect]) -> dict[str, float | None]:
    """Return both measures of what the context does over some episodes, by column; None where one is undefined."""
    effect = total_effect(effects)
    shares = (effect.static_share, effect.variance_share)
    named = zip((field.name for field in CONTEXT_FIELDS), shares, strict=True)
    return {name: None if math.isnan(share) else share for name, share in named}


def steps_schema(encoders: Sequence[str]) -> pa.Schema:
    """Return the columns of a table of steps; each encoder's weight is in `weight_NAME`, and `step` counts from 0."""
    return pa.schema(
        [
            *_JOB_FIELDS,
            pa.field("episode_seed", pa.int64(), nullable=False),
            pa.field("episode", pa.int64(), nullable=False),
            pa.field("step", pa.int64(), nullable=False),
            pa.field("action", pa.int64(), nullable=False),
            pa.field("reward", pa.float64(), nullable=False),
            pa.field("return", pa.float64(), nullable=False),
            pa.field("value", pa.float32()),
            *(pa.field(f"{WEIGHT_PREFIX}{name}", pa.float32(), nullable=False) for name in encoders),
        ]
    )


def steps_table(job: Job, outcomes: Sequence[EpisodeOutcome], encoders: Sequence[str]) -> pa.Table:
    """Return every recorded step of a job's episodes, in their order.

    Args:
        job: The job.
        outcomes: Its episodes; those whose steps were not recorded have no rows.
        encoders: The encoders' names, in the order of the weights.

    Returns:
        A table of `steps_schema`; `return` is the return after the step, `value` is null where the agent says none.
    """
    schema = steps_schema(encoders)
    parts: list[pa.Table] = []
    for row in sorted(outcomes, key=lambda outcome: outcome.episode):
        if row.steps is None:
            continue
        length = len(row.steps.actions)
        columns = {
            **_job_columns(job, length),
            "episode_seed": [job.episode_seeds[row.episode]] * length,
            "episode": [row.episode] * length,
            "step": np.arange(length),
            "action": row.steps.actions,
            "reward": row.steps.rewards,
            "return": row.steps.rewards.cumsum(),
            "value": pa.array(row.steps.values, pa.float32(), from_pandas=True),
            **{f"{WEIGHT_PREFIX}{name}": row.steps.weights[:, place] for place, name in enumerate(encoders)},
        }
        parts.append(pa.table(columns, schema=schema))
    return pa.concat_tables(parts) if parts else schema.empty_table()


def _job_columns(job: Job, num_rows: int) -> dict[str, list[str] | list[int] | list[int | None]]:
    """Return the columns that name the job, repeated for each row."""
    return {
        "agent": [job.agent] * num_rows,
        "train_seed": [job.train_seed] * num_rows,
        "game": [job.game] * num_rows,
        "family": [job.family] * num_rows,
        "perturbation": [job.bare_name] * num_rows,
        "severity": [job.severity] * num_rows,
    }


def written_name(perturbation: str, severity: Any) -> str:
    """Return a perturbation as it is written on the command line.

    Args:
        perturbation: Canonical name without severity.
        severity: 1 to 5, or missing where there is no scale.
    """
    if pd.isna(severity) or perturbation.endswith(f"@{int(severity)}"):
        return perturbation
    return f"{perturbation}@{int(severity)}"


def with_labels(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the column `label`: each row's perturbation as it is written, `hue-rotate@3`."""
    (name, names), (severity, severities) = (pd.factorize(table[column]) for column in ("perturbation", "severity"))
    width = len(severities) + 1  # where there is no severity the code is -1
    cells, cell = np.unique(name * width + severity + 1, return_inverse=True)
    labels = [written_name(str(names[at // width]), severities[at % width - 1] if at % width else None) for at in cells]
    # A text for each cell and not for each row: there may be millions.
    return table.assign(label=np.array(labels, dtype=object)[cell])


def has_starts(episodes: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which of N episodes have no-ops and actions, as those of early versions have not: bool, shape (N,)."""
    names = [field.name for field in START_FIELDS]
    return np.asarray(episodes.reindex(columns=names).notna().to_numpy().all(axis=1), np.bool_)


def episode_keys(episodes: pd.DataFrame) -> list[str]:
    """Return a text for each episode that tells it from the others of its checkpoint in its cell.

    No-ops and actions where they are known. Else return, length and end, by which different episodes can look alike, so
    that their number is a lower bound.
    """
    columns = ["noops", "action_hash", "return", "length", "end"]
    table = episodes.reindex(columns=columns).itertuples(index=False, name=None)
    known = has_starts(episodes)
    return [
        f"{noops} {actions}" if is_known else f"{total} {length} {end}"
        for is_known, (noops, actions, total, length, end) in zip(known, table, strict=True)
    ]
