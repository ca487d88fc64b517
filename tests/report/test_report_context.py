"""What the context does, in shards and in the report, also of earlier runs; cells whose effect is measured as none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_jobs import ENCODERS, JOBS
from msgspec.structs import replace
from result_fixture import write_result_set

from wsabench.errors import ResultSetError
from wsabench.report.tables.definitions import DEFINITIONS, definitions_of
from wsabench.report.tables.results import attention_tables, result_tables
from wsabench.results import load_result
from wsabench.results.merging import merge_results
from wsabench.results.records import EpisodeOutcome, attention_sums
from wsabench.results.tables import ATTENTION_SCHEMA, attention_table
from wsabench.stats.context_effect import ContextEffect
from wsabench.summary.rows import frame_of
from wsabench.summary.summarise import summarise

COLUMNS = ["context_static_share", "context_variance_share"]
NAMES = ("static steps", "context's share of variance")
CELLS = (("clean", None), ("hue-rotate", 3), ("invert", None))


def write(path: Path, agents: tuple[str, ...] = ("wsa", "e2e")) -> Path:
    return write_result_set(path, agents=agents, cells=CELLS)


def outcome(episode: int, context: ContextEffect | None) -> EpisodeOutcome:
    weights = attention_sums(np.full((4, len(ENCODERS)), 1 / len(ENCODERS)))
    return EpisodeOutcome(0, episode, 1.0, 4, "game_over", weights, context=context)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write(tmp_path / "old")


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """As `old`, with both measures: of train seed 0 0.5 and 0.1, of train seed 1 1 and none."""
    path = write(tmp_path / "new")
    for shard in (path / "attention").glob("*.parquet"):
        table = pq.read_table(shard)
        seed = table["train_seed"][0].as_py()
        for name, values in zip(COLUMNS, ((0.5, 1.0), (0.1, None)), strict=True):
            table = table.append_column(name, pa.array([values[seed]] * table.num_rows, pa.float64()))
        pq.write_table(table, shard)
    return path


def test_a_shard_adds_its_episodes_up() -> None:
    effects = [ContextEffect(1.0, 0.2, 0.5, 4), None, ContextEffect(6.0, 0.0, 0.3, 6)]
    table = attention_table(JOBS[0], [outcome(i, one) for i, one in enumerate(effects)], ENCODERS)
    assert table.schema == ATTENTION_SCHEMA
    assert table[COLUMNS[0]].to_pylist() == pytest.approx([0.7] * len(ENCODERS))
    assert table[COLUMNS[1]].to_pylist() == pytest.approx([0.125] * len(ENCODERS))
    for without in ([None], [ContextEffect(0.0, 0.0, 0.0, 0)]):
        table = attention_table(JOBS[0], [outcome(0, one) for one in without], ENCODERS)
        assert [table[name].null_count for name in COLUMNS] == [len(ENCODERS)] * 2


def test_the_report_shows_and_defines_both(new: Path) -> None:
    summary = summarise(load_result(new))
    first = summary.attention[0]
    assert [getattr(first, name) for name in COLUMNS] == [0.75, 0.1], "the mean of the train seeds that have it"
    (table,) = attention_tables(summary)
    assert table.columns[-2:] == NAMES
    assert {row[-2:] for row in table.rows} == {("0.75", "0.10")}
    assert set(NAMES) <= {one.word for one in DEFINITIONS}


@pytest.mark.parametrize(("once", "says"), [((), False), (("clean",), True), (("clean", "invert"), False)])
def test_episode_seeds_are_defined_as_the_run_has_them(old: Path, once: tuple[str, ...], says: bool) -> None:
    plan = load_result(old).manifest.plan
    jobs = [replace(plan.jobs[0], perturbation=name, each_start_once=name in once) for name in ("clean", "invert")]
    found = dict(definitions_of(replace(plan, jobs=tuple(jobs))))
    assert ("the seed does not choose the start" in found["episode seed"]) == says
    assert len(found) == len(DEFINITIONS)


def test_runs_of_earlier_versions_report_as_before(old: Path, new: Path) -> None:
    summary, later = summarise(load_result(old)), summarise(load_result(new))
    (table,), (more,) = attention_tables(summary), attention_tables(later)
    assert table.columns == more.columns[:-2]
    assert table.rows == tuple(row[:-2] for row in more.rows)
    before, after = frame_of(summary.attention), frame_of(later.attention)
    assert before[COLUMNS].isna().all(axis=None)
    pd.testing.assert_frame_equal(before.drop(columns=COLUMNS), after.drop(columns=COLUMNS))


def test_runs_of_both_kinds_merge(old: Path, tmp_path: Path) -> None:
    other: Any = write(tmp_path / "other", agents=("e2e",))
    merged = merge_results([load_result(old), load_result(other)])
    assert set(COLUMNS) <= set(merged.attention.columns)


@pytest.mark.parametrize("name", ["context_variance_share", "num_steps"])
def test_other_missing_columns_are_refused(new: Path, name: str) -> None:
    shard = next((new / "attention").glob("*.parquet"))
    pq.write_table(pq.read_table(shard).drop_columns([name]), shard)
    with pytest.raises(ResultSetError, match="has the columns"):
        load_result(new)


def without_effect(path: Path, agent: str, seeds: tuple[int, ...], num_changed: int = 0) -> Path:
    """Make a cell's episodes those of clean, all but `num_changed` of each train seed."""
    write(path)
    for seed in seeds:
        shard, clean = (
            path / "episodes" / f"{agent}-seed{seed}--breakout--{name}.parquet" for name in ("invert", "clean")
        )
        mine, other = pd.read_parquet(shard), pd.read_parquet(clean)
        mine[["return", "length", "end"]] = other[["return", "length", "end"]]
        mine.loc[: num_changed - 1, "length"] += 1
        schema = pq.read_schema(shard).remove_metadata()
        pq.write_table(pa.Table.from_pandas(mine, schema=schema, preserve_index=False), shard)
    return path


def labels(path: Path) -> tuple[dict[tuple[str, str], str], str]:
    (table,) = result_tables(summarise(load_result(path)), {})
    return {(row[0].split()[0], row[1]): row[0] for row in table.rows}, table.caption


def test_a_cell_whose_effect_is_measured_as_none_is_marked(tmp_path: Path) -> None:
    found, caption = labels(without_effect(tmp_path / "run", "wsa", (0, 1)))
    assert found["invert", "wsa"] == "invert ‡"
    assert [text for text in found.values() if "‡" in text] == ["invert ‡"], "clean itself is not marked"
    assert "‡: no effect measured" in caption
    assert "no effect measured" in {one.word for one in DEFINITIONS}


@pytest.mark.parametrize(("seeds", "num_changed"), [((), 0), ((0,), 0), ((0, 1), 1)])
def test_one_other_episode_is_an_effect(tmp_path: Path, seeds: tuple[int, ...], num_changed: int) -> None:
    found, caption = labels(without_effect(tmp_path / "run", "wsa", seeds, num_changed))
    assert "‡" not in "".join([*found.values(), caption])
