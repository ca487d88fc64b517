"""Numbers as text: cells of tables, and the tables of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from wsabench.report.tables.text import DASH, FEW, Table, estimate, interval, number
from wsabench.results.records import CLEAN
from wsabench.stats import MIN_TRAIN_SEEDS
from wsabench.summary.measures import MEASURES
from wsabench.summary.summarise import Summary
from wsabench.summary.tables import groups_of, rows_of, rows_where

UNTOUCHED = "‡"
"""Marks a cell in which every episode went as the clean one of the same network and episode seed."""

_METRIC_NAMES = {"mean": "mean", "median": "median", "iqm": "IQM", "optimality_gap": "optimality gap"}
_CONTEXT_NAMES = {"context_static_share": "static steps", "context_variance_share": "context's share of variance"}
"""What the context does: columns of attention tables, where it is known."""
_MEASURE_NAMES = {"normalised_score": "normalised score", "retention": "retention"}


def sample_size_table(summary: Summary) -> Table:
    """Return the sample sizes, which stand before every result."""
    columns = (
        "agent",
        "game",
        "train seeds",
        "cells",
        "episodes a cell",
        "episodes",
        "distinct",
        "stalled",
        "time limit",
    )
    keys = ("num_seeds", "num_cells", "episodes_per_cell", "num_episodes", "num_distinct_episodes")
    keys += ("num_stalled", "num_time_limit")
    rows = []
    for row in rows_of(summary.samples):
        counts = [str(row[key]) for key in keys]
        counts[0] = f"{row['num_seeds']} ({row['train_seeds']})"
        rows.append((row["agent"], row["game"], *counts))
    caption = "Stalled and time limit: episodes that were ended, with their return as it stood."
    return Table("Sample sizes", caption, columns, tuple(rows), 2)


def result_tables(summary: Summary, effects: dict[str, dict[str, float]]) -> list[Table]:
    """Return one table a game with every cell and agent.

    Args:
        summary: The numbers.
        effects: Mean change of the observation in grey levels by game and label, as the manifest has it.
    """
    columns = (
        "perturbation",
        "agent",
        "change, grey levels",
        "mean return",
        "normalised score",
        "score, these checkpoints only",
        "retention",
        "robustness gap",
        "stalled",
    )
    tables: list[Table] = []
    for (game,), part in groups_of(summary.cells, "game"):
        rows = [
            _result_row(row, effects.get(game, {}).get(label, math.nan))
            for (label,), of_label in groups_of(part, "label")
            for row in rows_of(of_label)
        ]
        caption = (
            "Brackets: 95% interval over train seeds; 'these checkpoints only': 95% interval of the "
            "normalised score over their episodes. Change: mean absolute change of the 84x84 observation, of 255."
        )
        if any(_is_as_clean(row) for row in rows_of(part)):
            caption += f" {UNTOUCHED}: no effect measured, every episode has the clean one's return, length and end."
        tables.append(Table(f"Results on {game}", caption, columns, tuple(rows), 2))
    return tables


def average_table(summary: Summary) -> Table | None:
    """Return the means over games; None where there is one game."""
    if len(set(summary.cells["game"])) == 1:
        return None
    rows = [
        (row["label"], row["agent"], str(row["num_games"]), *(estimate(row, name) for name in MEASURES))
        for (label,), part in groups_of(summary.perturbations, "label")
        for row in rows_of(part)
    ]
    columns = ("perturbation", "agent", "games", "normalised score", "retention", "robustness gap")
    caption = "Mean over the games that have the perturbation."
    return Table("Mean over games", caption, columns, tuple(rows), 2)


def aggregate_summary_table(summary: Summary) -> Table | None:
    """Return the aggregates over cells, one row an agent and scope; None where there are none."""
    rows: list[tuple[str, ...]] = []
    for (scope, measure), part in groups_of(summary.aggregates, "scope", "measure"):
        for (agent,), of_agent in groups_of(part, "agent"):
            by_metric = {row["metric"]: row for row in rows_of(of_agent)}
            values = [estimate(by_metric[metric], "value") for metric in _METRIC_NAMES]
            cells = str(next(iter(by_metric.values()))["num_cells"])
            rows.append((scope, _MEASURE_NAMES[measure], agent, cells, *values))
    if not rows:
        return None
    columns = ("over", "of", "agent", "cells", *_METRIC_NAMES.values())
    caption = "Over the cells that every agent played. Brackets: 95% interval over train seeds."
    return Table("Aggregates", caption, columns, tuple(rows), 3)


def improvement_summary_tables(summary: Summary) -> list[Table]:
    """Return the probabilities of improvement, one table a pair of agents."""
    tables: list[Table] = []
    for (agent_x, agent_y), pair in groups_of(summary.improvement, "agent_x", "agent_y"):
        rows = []
        for (label,), part in groups_of(pair, "label"):
            by_measure = {row["measure"]: row for row in rows_of(part)}
            shown = [_probability(by_measure[m]) if m in by_measure else DASH for m in _MEASURE_NAMES]
            rows.append((label, *shown))
        fewest = min(row["num_seeds"] for row in rows_of(pair))
        why = "all train seeds fall the same way" if fewest > 1 else "one train seed"
        caption = f"0.5: no difference; ties count half. No bracket: {why}."
        title = f"Probability that {agent_x} beats {agent_y}"
        tables.append(Table(title, caption, ("perturbation", *_MEASURE_NAMES.values()), tuple(rows), 1))
    return tables


def attention_tables(summary: Summary) -> list[Table]:
    """Return the attention weights, one table an agent and game."""
    tables: list[Table] = []
    for (agent, game), part in groups_of(summary.attention, "agent", "game"):
        encoders = list(dict.fromkeys(part["encoder"]))
        context = [name for name in _CONTEXT_NAMES if bool(part[name].notna().any())]
        rows = []
        for (label,), of_label in groups_of(part, "label"):
            weights = {row["encoder"]: row for row in rows_of(of_label)}
            shown = [_weight(weights[name]) if name in weights else DASH for name in encoders]
            ends = [number(float(of_label[column].mean())) for column in ("shift", "entropy", *context)]
            rows.append((label, *shown, *ends))
        seeds = int(part["num_seeds"].max())
        spread = f", mean of {seeds} train seeds, in brackets the least and the greatest" if seeds > 1 else ""
        caption = (
            f"Mean weight over all steps{spread}. Shift: share of the weight that stands with other encoders than "
            f"under clean. Entropy in nats; uniform attention has {number(math.log(len(encoders)))}."
        )
        columns = ("perturbation", *encoders, "shift", "entropy", *(_CONTEXT_NAMES[name] for name in context))
        tables.append(Table(f"Attention of {agent} on {game}", caption, columns, tuple(rows), 1))
    return tables


def _weight(row: Mapping[str, Any]) -> str:
    """Return a mean weight, with its range over train seeds where there are several."""
    text = number(row["mean"])
    return text if row["num_seeds"] < 2 else f"{text} [{number(row['seed_min'])}, {number(row['seed_max'])}]"


def headline(summary: Summary) -> list[str]:
    """Return what the numbers say of the compared agents, in plain sentences that claim nothing beyond the sample."""
    sentences: list[str] = []
    for agent in summary.compared:
        rows = rows_of(rows_where(summary.perturbations, agent=agent))
        clean = [row for row in rows if row["label"] == CLEAN]
        shifted = [row for row in rows if row["label"] != CLEAN and math.isfinite(row["retention"])]
        text = f"{agent}: clean normalised score {_in_words(clean[0], 'normalised_score')}" if clean else f"{agent}"
        if shifted:
            worst, best = (choose(shifted, key=lambda row: row["retention"]) for choose in (min, max))
            mean = sum(row["retention"] for row in shifted) / len(shifted)
            text += f"; keeps {number(mean)} of it on average over {len(shifted)} perturbation"
            text += f"{'s' if len(shifted) > 1 else ''}, "
            text += f"least under {worst['label']} ({number(worst['retention'])})"
            text += f", most under {best['label']} ({number(best['retention'])})" if len(shifted) > 1 else ""
        sentences.append(f"{text}.")
    return sentences


def _in_words(row: dict[str, Any], name: str) -> str:
    """Return an estimate for a sentence, which has no legend: too few train seeds are said."""
    text, count = estimate(row, name), int(row["num_seeds"])
    return f"{text.removesuffix(FEW)} (only {count} train seeds)" if text.endswith(FEW) else text


def _probability(row: dict[str, Any]) -> str:
    text = estimate(row, "value")
    is_unmarked = text != DASH and not text.endswith(FEW)
    return f"{text} {FEW}" if is_unmarked and row["num_seeds"] < MIN_TRAIN_SEEDS else text


def _is_as_clean(row: dict[str, Any]) -> bool:
    """Whether every episode of a perturbed cell went as the clean one."""
    return bool(row["label"] != CLEAN and row["num_as_clean"] == row["num_episodes"] > 0)


def _result_row(row: dict[str, Any], effect: float) -> tuple[str, ...]:
    is_clean = row["label"] == CLEAN
    return (
        f"{row['label']} {UNTOUCHED}" if _is_as_clean(row) else row["label"],
        row["agent"],
        number(effect, 1),
        number(row["mean_return"], 1),
        estimate(row, "normalised_score"),
        interval(row["normalised_score_episode_low"], row["normalised_score_episode_high"]),
        DASH if is_clean else estimate(row, "retention"),
        DASH if is_clean else estimate(row, "robustness_gap"),
        f"{row['num_stalled']}/{row['num_episodes']}",
    )
