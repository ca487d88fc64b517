"""Rows of a summary: which columns their CSV files have, and what a claim can decide."""

import math

import pandas as pd
import pytest

from wsabench.results.manifest import AgentId
from wsabench.stats import MIN_TRAIN_SEEDS
from wsabench.summary.rows import (
    ALPHA,
    AggregateRow,
    Bounded,
    BoundedTwice,
    CellRow,
    Claim,
    MeasureRow,
    SampleRow,
    SeedRow,
    frame_of,
    grouped,
)

CELL = {"family": "color", "perturbation": "value", "severity": 3, "label": "value@3"}


def claim(**changes):
    numbers = {"p": 0.01, "smallest_p": 0.01, "adjusted_p": 0.02, "num_games": 1, "num_tests": 2, "decided": True}
    seeds = {"num_seeds_x": 6, "num_seeds_y": 5, "paired": False}
    about = {"agent_x": "a", "agent_y": "b", "scope": "each", "perturbation": "value", "measure": "retention"}
    return Claim(**{**about, **numbers, **seeds, "effect": Bounded(0.5, 0.25, 0.75), "sentence": "s", **changes})


def test_bounds_bear_the_name_of_their_field_but_for_the_main_one():
    row = AggregateRow(
        **{"agent": "a", "scope": "clean", "measure": "retention", "metric": "iqm", "value": Bounded(1.0, 0.5, 2.0)},
        **{"num_seeds": 5, "num_games": 1, "num_cells": 2, "note": ""},
    )
    assert list(row.columns())[3:] == [
        *("metric", "value", "low", "high", "num_seeds", "num_games", "num_cells", "note", "interval"),
        *("joint", "joint_low", "joint_high", "rliable", "rliable_low", "rliable_high", "difference"),
    ]
    assert (row.columns()["value"], row.columns()["low"], row.columns()["high"]) == (1.0, 0.5, 2.0)
    names = [
        name
        for name in MeasureRow.__struct_fields__
        if name.endswith(("score", "error", "area", "gap", "tion", "difference"))
    ]
    quantities = [name for name in names if name not in ("perturbation", "plain_retention")]
    about = {"agent": "a", "perturbation": "value", "num_severities": 1, "num_games": 1, "num_seeds": 5}
    doses = {"lowest_dose": 1.0, "highest_dose": 2.0, "area_reason": ""}
    row = MeasureRow(**about, **doses, baseline="b", note="", **dict.fromkeys(quantities, Bounded(1.0)))
    columns = row.columns()
    assert len(quantities) == 10
    assert all({f"{name}_low", f"{name}_high"} < columns.keys() for name in quantities)
    assert not {"low", "high"} & columns.keys()


def test_whom_a_row_is_about_stands_first():
    scores = {"normalised_score": 0.5, "retention": 0.25, "robustness_gap": 0.25}
    seed = SeedRow(id=AgentId("a", 7, "pong"), mean_return=2.0, **CELL, **scores)
    assert list(seed.columns().items())[:4] == [
        ("agent", "a"),
        ("game", "pong"),
        ("train_seed", 7),
        ("family", "color"),
    ]
    counts = {"num_seeds": 1, "num_episodes": 2, "num_distinct_episodes": 2, "mean_return": 2.0}
    twice = dict.fromkeys(scores, BoundedTwice(1.0, 0.0, 2.0, 0.5, 1.5))
    ends = {"num_stalled": 0, "num_time_limit": 0, "num_as_clean": 2}
    cell = CellRow(agent="a", game="pong", **CELL, **counts, **twice, note="", **ends)
    columns = list(cell.columns())
    assert columns[:6] == ["agent", "game", *CELL]
    start = columns.index("retention")
    ends = ("", "_low", "_high", "_episode_low", "_episode_high")
    assert columns[start : start + 5] == [f"retention{end}" for end in ends]


def test_a_frame_has_whole_severities_and_what_is_several_as_text():
    scores = {"mean_return": 2.0, "normalised_score": 0.5, "retention": 0.25, "robustness_gap": 0.25}
    clean = CELL | {"perturbation": "clean", "severity": None, "label": "clean"}
    frame = frame_of([SeedRow(id=AgentId("a", 0, "g"), **cell, **scores) for cell in (CELL, clean)])
    assert frame.to_csv(index=False).splitlines()[1:] == [
        "a,g,0,color,value,3,value@3,2.0,0.5,0.25,0.25",
        "a,g,0,color,clean,,clean,2.0,0.5,0.25,0.25",
    ]
    counts = dict.fromkeys(name for name in SampleRow.__struct_fields__ if name.startswith(("num_", "episodes_")))
    sample = SampleRow(agent="a", game="g", train_seeds=(0, 3), **dict.fromkeys(counts, 2))
    assert frame_of([sample])["train_seeds"].tolist() == ["0, 3"]
    assert isinstance(frame_of([]), pd.DataFrame)
    assert frame_of([]).empty


def test_a_claim_against_clean_play_has_the_columns_of_one_agent():
    columns = claim(agent_y=None, num_seeds_y=6, paired=True).columns()
    assert list(columns)[:2] == ["agent", "scope"]
    assert list(columns)[-5:] == ["decided", "detectable_note", "clean", "num_seeds", "sentence"]
    left_out = {"agent_x", "agent_y", "num_seeds_x", "num_seeds_y", "paired", "clean_x", "clean_y", "left_out"}
    assert not left_out & columns.keys()
    assert list(claim().columns())[:3] == ["agent_x", "agent_y", "scope"]


@pytest.mark.parametrize(
    ("changes", "verdict", "why"),
    [
        ({}, "decided", None),
        ({"decided": False}, "not decided", None),
        ({"smallest_p": ALPHA}, "decided", None),
        ({"smallest_p": ALPHA + 1e-9, "decided": False}, "undecidable", "smallest p above alpha"),
        ({"num_seeds_y": MIN_TRAIN_SEEDS - 1, "decided": False}, "undecidable", "too few train seeds"),
        ({"num_seeds_x": MIN_TRAIN_SEEDS - 1, "smallest_p": 1.0}, "undecidable", "smallest p above alpha"),
        ({"num_seeds_y": 3, "num_games": 2}, "decided", None),
        ({"num_seeds_y": 2, "num_games": 10, "decided": False}, "undecidable", "too few train seeds"),
        ({"obstacle": "clean was not played", "decided": False}, "undecidable", "clean was not played"),
        ({"decided": False, "equivalent": True}, "equivalent", None),
        ({"equivalent": True}, "decided", None),
        ({"smallest_p": 0.1, "equivalent": True}, "equivalent", "smallest p above alpha"),
    ],
)
def test_what_a_claim_can_decide(changes, verdict, why):
    assert (claim(**changes).verdict, claim(**changes).undecidable) == (verdict, why)
    assert (claim(**changes).better == "a") == (verdict == "decided")


@pytest.mark.parametrize(("effect", "better"), [(0.5, "a"), (-0.5, "b"), (0.0, None), (math.nan, None)])
def test_the_better_agent_has_the_effect_on_its_side(effect, better):
    assert claim(effect=Bounded(effect)).better == better
    assert claim(effect=Bounded(effect), agent_y=None).better is None


def test_groups_keep_the_order_of_their_first_items():
    assert grouped(["bb", "a", "cc", "d"], len) == {2: ["bb", "cc"], 1: ["a", "d"]}
    assert list(grouped(["bb", "a"], len)) == [2, 1]
