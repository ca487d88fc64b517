"""Aggregates and profiles as rliable computes them: its point estimates, and its intervals beside the joint ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from wsabench import stats
from wsabench.errors import unknown_name
from wsabench.results.records import CLEAN
from wsabench.seeding import generator
from wsabench.stats import Estimate
from wsabench.summary.aggregates import by_agent, with_common_seeds
from wsabench.summary.rows import (
    INTERVALS,
    METRICS,
    AggregateRow,
    Bounded,
    Difference,
    IntervalKind,
    ProfileRow,
    grouped,
)
from wsabench.summary.scores import GameScores
from wsabench.types import FloatArray

REPETITIONS = 2_000
"""Repetitions of rliable's bootstrap, which draws task by task. Its bounds then have a Monte-Carlo error of 3% of
their width."""


def checked_interval(name: str) -> IntervalKind:
    """Return the kind of interval that a name stands for.

    Args:
        name: `joint` or `rliable`.

    Raises:
        UnknownNameError: There is no such kind.
    """
    for kind in INTERVALS:
        if kind == name:
            return kind
    raise unknown_name("interval", name, INTERVALS)


def with_rliable(
    rows: Sequence[AggregateRow], scores: Sequence[GameScores], bootstrap_seed: int, interval: IntervalKind = "joint"
) -> tuple[AggregateRow, ...]:
    """Give aggregates of normalised scores rliable's point estimates, and its interval beside the joint one.

    Args:
        rows: What `aggregate_table` made.
        scores: What it was made from, as `common_play` gives it.
        bootstrap_seed: Seed of rliable's draws.
        interval: Which interval `value` of each row has.

    Returns:
        The rows. Those of retention keep their joint interval, because it is a ratio of means and no aggregate of a
        score matrix. So do those without a value.
    """
    games = by_agent(with_common_seeds(scores)[0])
    found: dict[tuple[str, str], Estimate] = {}
    several: dict[tuple[str, str], bool] = {}
    for (agent, scope), part in grouped(rows, lambda row: (row.agent, row.scope)).items():
        blocks = _blocks(games.get(agent, []), scope)
        if blocks and not any(math.isnan(row.value.value) for row in part if row.measure == "normalised_score"):
            rng = generator(bootstrap_seed, "bootstrap", "rliable", agent, scope)
            matrix = np.concatenate(blocks, axis=1)
            found[agent, scope] = stats.rliable_interval(
                METRICS, [matrix], rng, num_games=len(blocks), repetitions=REPETITIONS
            )
            several[agent, scope] = any(block.shape[1] > 1 for block in blocks)
    sided: list[AggregateRow] = []
    for row in rows:
        key = (row.agent, row.scope)
        if row.measure != "normalised_score" or row.metric not in METRICS or key not in found:
            sided.append(replace(row, joint=row.value))
            continue
        theirs = Bounded.of(found[key], METRICS.index(row.metric))
        sided.append(_beside(row, theirs, interval, plays_several=several[key]))
    return tuple(sided)


def with_rliable_profiles(
    rows: Sequence[ProfileRow], scores: Sequence[GameScores], bootstrap_seed: int, interval: IntervalKind = "joint"
) -> tuple[ProfileRow, ...]:
    """Give performance profiles rliable's point estimates, and its bands where they are asked for.

    Args:
        rows: What `profile_table` made.
        scores: As for `with_rliable`.
        bootstrap_seed: Seed of rliable's draws.
        interval: Which bands the rows have.
    """
    games = by_agent(with_common_seeds(scores)[0])
    sided: list[ProfileRow] = []
    for agent, part in grouped(rows, lambda row: row.agent).items():
        blocks = _blocks(games.get(agent, []), "")
        if not blocks:
            sided += part
            continue
        matrix, thresholds = np.concatenate(blocks, axis=1), [row.threshold for row in part]
        if interval == "rliable":
            rng = generator(bootstrap_seed, "bootstrap", "rliable profile", agent)
            found = stats.rliable_profile(matrix, thresholds, rng, num_games=len(blocks), repetitions=REPETITIONS)
            values = [Bounded.of(found, place) for place in range(len(part))]
        else:
            points = stats.point_profile(matrix, thresholds)
            values = [replace(row.value, value=float(point)) for row, point in zip(part, points, strict=True)]
        sided += [replace(row, value=value, interval=interval) for row, value in zip(part, values, strict=True)]
    return tuple(sided)


def _beside(row: AggregateRow, theirs: Bounded, interval: IntervalKind, *, plays_several: bool) -> AggregateRow:
    """Return a row with both intervals, and why they differ."""
    is_same = math.isclose(row.value.value, theirs.value, rel_tol=1e-9, abs_tol=1e-9)
    joint = replace(row.value, value=theirs.value) if is_same else row.value
    reason: Difference = ""
    if not is_same:
        reason = "rliable counts every cell the same"
    elif theirs.has_bounds and joint.has_bounds:
        reason = "one network plays several cells" if plays_several else "joint is corrected for few train seeds"
    # One quantity has one value on a page: the mean that counts perturbations the same keeps its own, in both modes.
    used = interval if is_same else "joint"
    value = theirs if used == "rliable" else joint
    return replace(row, value=value, interval=used, joint=joint, rliable=theirs, difference=reason)


def _blocks(games: Sequence[GameScores], scope: str) -> list[FloatArray]:
    """Return the mean scores of train seeds in clean, or in all perturbed cells, one block for each game."""
    blocks: list[FloatArray] = []
    for game in games:
        chosen = [(cell.label == CLEAN) == (scope == CLEAN) for cell in game.cells]
        if any(chosen):
            blocks.append(game.means[:, chosen])
    return blocks
