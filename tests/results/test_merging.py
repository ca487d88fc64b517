"""Several result sets as one: what fits together, what does not, and that a merged report is that of one run."""

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_returns import same
from msgspec.structs import replace
from result_fixture import (
    ENCODERS,
    VERSIONS,
    agent_entry,
    attention_rows,
    change_manifest,
    edit_manifest,
    label,
    write_result_set,
    write_shard,
)

from wsabench.errors import ResultSetError
from wsabench.report import write_report
from wsabench.results.manifest import SuiteEntry, read_manifest
from wsabench.results.merging import load_results
from wsabench.results.provenance import UNHASHED
from wsabench.results.tables import steps_schema
from wsabench.summary.attention import example_episodes
from wsabench.summary.summarise import summarise

pytestmark = pytest.mark.usefixtures("few_repetitions")

CELLS = (("clean", None), ("hue-rotate", 3), ("invert", None))
SMALL = {
    "agents": ("wsa",),
    "train_seeds": (0,),
    "cells": CELLS[::2],
    "perturbation_hashes": {"breakout": {"clean": "a", "invert": "a"}},
}
TABLES = (
    "samples",
    "cells",
    "perturbations",
    "aggregates",
    "improvement",
    "profiles",
    "severities",
    "seeds",
    "attention",
)


def write(path, **options):
    return write_result_set(path, **{"cells": CELLS, "episodes": 4, **options})


def equal(first, second):
    for name in TABLES:
        same(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize(
    "halves",
    [
        ({"agents": ("wsa",)}, {"agents": ("e2e",)}),
        ({"train_seeds": (0,)}, {"train_seeds": (1, 2)}),
        ({"games": ("breakout",)}, {"games": ("pong",)}),
        ({"cells": CELLS[:1]}, {"cells": CELLS[1:]}),
    ],
    ids=["agents", "train seeds", "games", "cells"],
)
def test_two_halves_give_the_numbers_of_the_whole(tmp_path, halves):
    # The oracle is the same grid as one run.
    whole = {key: tuple(dict.fromkeys(halves[0][key] + halves[1][key])) for key in halves[0]}
    parts = [write(tmp_path / str(place), **half) for place, half in enumerate(halves)]
    merged = load_results(parts)
    equal(summarise(merged), summarise(load_results([write(tmp_path / "whole", **whole)])))
    assert merged.is_complete
    assert [one.name for one in merged.manifest.history.merged_from] == ["0", "1"]


def test_one_run_is_returned_as_it_is(tmp_path):
    assert load_results([write(tmp_path / "run")]).manifest == read_manifest(tmp_path / "run")


def test_jobs_in_both_runs_count_once(tmp_path):
    first = write(tmp_path / "first")
    shutil.copytree(first, tmp_path / "second")
    merged = load_results([first, tmp_path / "second"])
    equal(summarise(merged), summarise(load_results([first])))
    assert merged.manifest.history.merge_notes == ()


def test_a_job_that_only_the_second_run_finished_is_taken_from_there(tmp_path):
    first = write(tmp_path / "first")
    shutil.copytree(first, tmp_path / "second")
    name = "wsa-seed1--breakout--invert.parquet"
    (first / "episodes" / name).unlink()
    (first / "attention" / name).unlink()
    merged = load_results([first, tmp_path / "second"])
    assert merged.is_complete
    equal(summarise(merged), summarise(load_results([tmp_path / "second"])))


def test_equal_settings_with_other_outcomes_are_said(tmp_path):
    import pyarrow.parquet as pq
    from result_fixture import write_shard

    first = write(tmp_path / "first")
    shutil.copytree(first, tmp_path / "second")
    shard = tmp_path / "second" / "episodes" / "e2e-seed0--breakout--clean.parquet"
    table = pq.ParquetFile(shard).read().to_pandas().astype({"severity": "Int64"})
    write_shard(shard, table.assign(**{"return": table["return"] + 1.0}))
    merged = load_results([first, tmp_path / "second"])
    (note,) = merged.manifest.history.merge_notes
    assert "1 cell was played in several runs" in note
    assert "e2e (train seed 0) on breakout, clean" in note
    equal(summarise(merged), summarise(load_results([first])))


def _set(value, *keys):
    """What sets a value of the plan."""

    def change(manifest):
        values = manifest["plan"]
        for key in keys[:-1]:
            values = values[key]
        values[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_set("6" * 16, "suite", "content_hash"), "hash of the suite is 5{16}... in the first and 6{16} in the second"),
        (_set(0, "protocol", "noop_max"), r"protocol\.noop_max is 30 in the first and 0 in the second"),
        (_set(2, "engine_version"), "engine version is 1 in the first and 2"),
        (_set("0.13.0", "versions", "ale-py"), r"ale-py version is 0\.12\.1 in the first and 0\.13\.0"),
        (_set("unknown", "versions", "ale-py"), r"ale-py version is 0\.12\.1 in the first and unknown"),
        (_set("2.14.0", "versions", "torch"), r"torch version is 2\.13\.0 in the first and 2\.14\.0"),
        (_set(31.8, "reference_scores", "breakout", "human"), "human score of breakout is 30.5 in the first and 31.8"),
        (_set({"breakout": "b"}, "roms"), r"ROM of breakout is a{16}\.\.\. in the first and b in"),
        (_set("b", "perturbation_hashes", "breakout", "invert"), "definition of invert on breakout is a in the first"),
        (
            _set("other", "agents", 0, "checkpoint_hash"),
            r"checkpoint of wsa \(train seed 0\) on breakout is [0-9a-f]{16}\.\.\. in the first and other in the sec",
        ),
    ],
)
def test_what_differs_is_named(tmp_path, change, named):
    first = write(tmp_path / "first", **SMALL)
    shutil.copytree(first, tmp_path / "second")
    with pytest.raises(ResultSetError, match=named):
        load_results([first, edit_manifest(tmp_path / "second", change)])


def test_runs_of_other_episodes_are_not_put_together(tmp_path):
    first, second = (write(tmp_path / str(seed), seed=seed) for seed in (0, 1))
    with pytest.raises(ResultSetError, match="seed is 0 in the first and 1 in the second"):
        load_results([first, second])


@pytest.mark.parametrize(
    "change",
    [
        _set("1.1", "versions", "numpy"),
        _set("unknown", "versions", "numba"),
        _set("standard", "profile"),
        _set("other", "suite", "name"),
        _set(2.0, "effects", "breakout", "invert"),
        _set({}, "perturbation_hashes"),
        _set({}, "roms"),
        _set({}, "reference_scores"),
    ],
)
def test_what_decides_no_result_may_differ(tmp_path, change):
    first = write(tmp_path / "first", **SMALL)
    shutil.copytree(first, tmp_path / "second")
    assert load_results([first, edit_manifest(tmp_path / "second", change)]).is_complete


def test_other_numbers_of_episodes_are_refused(tmp_path):
    runs = [write(tmp_path / "first", agents=("wsa",)), write(tmp_path / "second", agents=("e2e",), episodes=6)]
    with pytest.raises(
        ResultSetError,
        match=r"first and .*second cannot be combined: number of episodes is 4 in the first and 6 .*Report",
    ):
        load_results(runs)


def test_a_job_with_another_fingerprint_is_refused(tmp_path):
    first = write(tmp_path / "first")
    shutil.copytree(first, tmp_path / "second")
    (tmp_path / "second" / "episodes" / "wsa-seed0--breakout--clean.parquet").unlink()  # else its shard is refused
    with pytest.raises(ResultSetError, match=r"fingerprint of wsa \(train seed 0\) on breakout, clean is .* and other"):
        load_results([first, edit_manifest(tmp_path / "second", _set("other", "jobs", 0, "fingerprint"))])


def test_agents_without_a_hash_may_not_be_in_two_runs(tmp_path):
    first = write(tmp_path / "first", agents=("own",), train_seeds=(0,))
    change_manifest(first, agents=(agent_entry("own", checkpoint_hash=UNHASHED),))
    shutil.copytree(first, tmp_path / "second")
    with pytest.raises(ResultSetError, match=r"own \(train seed 0\) on breakout has no hash"):
        load_results([first, tmp_path / "second"])


def test_builds_and_processors_may_differ_and_are_said(tmp_path):
    first = write(tmp_path / "first", agents=("wsa",))
    start = read_manifest(first).history.first
    torch = {"torch": "2.13.0+cu128"}
    second = write(
        tmp_path / "second",
        agents=("e2e",),
        versions={**VERSIONS, **torch},
        packages={**start.versions, **torch},
        host=replace(start.host, processor="another processor"),
    )
    (note,) = load_results([first, second]).manifest.history.merge_notes
    assert "processors (a processor, another processor), torch (2.13.0, 2.13.0+cu128)" in note


def test_the_third_run_is_compared_with_the_second_too(tmp_path):
    runs = [write(tmp_path / "0", agents=("wsa",)), write(tmp_path / "1", games=("pong",))]
    runs.append(write(tmp_path / "2", games=("pong",), agents=("e2e",), roms={"pong": "b"}))
    with pytest.raises(ResultSetError, match=r"/1 and .*/2 cannot be combined.*ROM of pong"):
        load_results(runs)


def test_caveats_of_the_quick_profile_stay(tmp_path):
    suite = SuiteEntry(name="mine", summary="", content_hash="")  # all that it lists was played
    runs = [write(tmp_path / "0", agents=("wsa",), suite=suite, profile="standard")]
    runs.append(write(tmp_path / "1", agents=("e2e",), suite=suite))
    assert any("before you name a winner" in note for note in summarise(load_results(runs)).notes)


def test_a_combined_report_says_where_its_parts_come_from(tmp_path):
    command = "wsabench run --agents e2e --out elsewhere"
    runs = [
        write(tmp_path / "first", agents=("wsa",)),
        write(tmp_path / "second", agents=("e2e",), command_line=command),
    ]
    shutil.rmtree(runs[0] / "frames")  # pictures are taken from any of the runs
    files = write_report(runs, formats=("html", "md"))
    assert files.html == runs[0] / "report-combined" / "report.html"
    page, text = files.html.read_text(), files.markdown.read_text()
    assert page.count("<img") == len(CELLS)
    assert "Combined runs" in page
    assert command in text
    assert f"wsabench report {tmp_path / 'first'} {tmp_path / 'second'}" in text


def write_steps(run, agent, first_weight):
    """Record two steps of the first episode of every job of an agent."""
    weights = {f"weight_{name}": [0.0, 0.0] for name in ENCODERS}
    weights["weight_sr"], weights["weight_vos"] = [first_weight, 0.5], [1 - first_weight, 0.5]
    (run / "attention_steps").mkdir(exist_ok=True)
    schema = steps_schema(ENCODERS)
    for job in read_manifest(run).plan.jobs:
        if job.agent != agent:
            continue
        played = pq.read_table(run / "episodes" / job.file).to_pandas().iloc[[0, 0]]
        table = played.assign(episode=0, step=[0, 1], action=0, reward=0.0, value=0.0, **weights)
        columns = {name: pa.array(table[name], schema.field(name).type, from_pandas=True) for name in schema.names}
        pq.write_table(pa.table(columns, schema=schema), run / "attention_steps" / job.file)


def test_recorded_attention_is_taken_from_every_run(tmp_path):
    runs = []
    for name, weight in (("a", 0.75), ("b", 0.25)):
        run = write(tmp_path / name, agents=(name,), train_seeds=(0,))
        change_manifest(run, agents=(agent_entry(name, encoders=ENCODERS),))
        for cell in CELLS:
            file = f"{name}-seed0--breakout--{label(*cell)}.parquet"
            write_shard(run / "attention" / file, attention_rows(name, 0, "breakout", cell))
        write_steps(run, name, weight)
        runs.append(run)
    merged = load_results(runs)
    found = example_episodes(merged, summarise(merged).attention, runs)
    assert [(one.id.agent, one.label, float(one.weights[0, 0])) for one in found] == [
        (agent, cell, weight)
        for agent, weight in (("a", 0.75), ("b", 0.25))
        for cell in ("clean", "invert", "hue-rotate@3")  # clean, then where the weights moved most
    ]
    # Of the second run alone: its own.
    assert {one.id.agent for one in example_episodes(load_results(runs[1:]), ())} == {"b"}
    files = write_report(runs, formats=("svg",))
    names = {file.stem for file in files.figures}
    assert {"attention-episodes-a-breakout", "attention-episodes-b-breakout"} <= names


def test_no_run_at_all_is_refused():
    with pytest.raises(ResultSetError, match="No result directory"):
        load_results([])
