"""Several result sets as one: what fits together, what does not, and that a merged report is that of one run."""

import json
import shutil

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from result_fixture import ENCODERS, attention_rows, label, write_result_set, write_shard

from wsabench.errors import ResultSetError
from wsabench.report import write_report
from wsabench.results.merging import load_results
from wsabench.results.records import steps_schema
from wsabench.summary.attention import example_episodes
from wsabench.summary.summarise import summarise

CELLS = (("clean", None), ("hue-rotate", 3), ("invert", None))
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


def edit(path, change):
    """Change a manifest in place."""
    file = path / "manifest.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return path


def equal(first, second):
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(first, name), getattr(second, name))


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
    assert [one["name"] for one in merged.manifest["combined"]] == ["0", "1"]


def test_one_run_is_returned_as_it_is(tmp_path):
    assert "combined" not in load_results([write(tmp_path / "run")]).manifest


def test_jobs_in_both_runs_count_once(tmp_path):
    first = write(tmp_path / "first")
    shutil.copytree(first, tmp_path / "second")
    merged = load_results([first, tmp_path / "second"])
    equal(summarise(merged), summarise(load_results([first])))
    assert merged.manifest["combined_notes"] == []


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
    (note,) = merged.manifest["combined_notes"]
    assert "1 cell was played in several runs" in note
    assert "e2e (train seed 0) on breakout, clean" in note
    equal(summarise(merged), summarise(load_results([first])))


def _suite(m):
    m["suite"]["content_hash"] = "6" * 16


def _protocol(m):
    m["protocol"]["noop_max"] = 0


def _references(m):
    m["reference_scores"]["breakout"]["human"] = 31.8


def _perturbation(m):
    m["perturbation_hashes"]["breakout"]["invert"] = "b"


def _checkpoint(m):
    m["agents"][0]["checkpoint_hash"] = "other"


def _fingerprint(m):
    m["jobs"][0]["fingerprint"] = "other"


def _entry(**values):
    return lambda m: m.update(values)


def _version(name, value):
    return lambda m: m["versions"].update({name: value})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_suite, r"suite hash: 5+\.\.\. and 6666666666666666"),
        (_protocol, r"protocol\.noop_max: 30 and 0"),
        (_entry(seed=1), "seed of the episode seeds: 0 and 1"),
        (_entry(engine_version=2), "engine behaviour version: 1 and 2"),
        (_version("ale-py", "0.13.0"), r"ale-py version: 0\.12\.1 and 0\.13\.0"),
        (_version("torch", "2.14.0"), r"torch version: 2\.13\.0 and 2\.14\.0"),
        (_references, "reference scores of breakout: .*30.5.* and .*31.8"),
        (_entry(roms={"breakout": "b"}), r"ROM of breakout: a+\.\.\. and b"),
        (_perturbation, r"perturbation invert on breakout \(its hash\)"),
        (_checkpoint, "checkpoint of wsa, train seed 0, on breakout"),
    ],
)
def test_what_differs_is_named(tmp_path, change, named):
    first = edit(write(tmp_path / "first"), _entry(perturbation_hashes={"breakout": {"clean": "a", "invert": "a"}}))
    shutil.copytree(first, tmp_path / "second")
    with pytest.raises(ResultSetError, match=named):
        load_results([first, edit(tmp_path / "second", change)])


def test_other_numbers_of_episodes_are_refused(tmp_path):
    runs = [write(tmp_path / "first", agents=("wsa",)), write(tmp_path / "second", agents=("e2e",), episodes=6)]
    with pytest.raises(
        ResultSetError, match=r"first and .*second cannot be combined.*episodes a cell: 4 and 6.*Report"
    ):
        load_results(runs)


def test_a_job_with_another_fingerprint_is_refused(tmp_path):
    first = write(tmp_path / "first")
    shutil.copytree(first, tmp_path / "second")
    (tmp_path / "second" / "episodes" / "wsa-seed0--breakout--clean.parquet").unlink()  # else its shard is refused
    with pytest.raises(ResultSetError, match="fingerprint of wsa, train seed 0, clean"):
        load_results([first, edit(tmp_path / "second", _fingerprint)])


def test_agents_without_a_hash_may_not_be_in_two_runs(tmp_path):
    def unhashed(m):
        m["agents"][0]["checkpoint_hash"] = "unhashed"

    first = edit(write(tmp_path / "first", agents=("own",), train_seeds=(0,)), unhashed)
    shutil.copytree(first, tmp_path / "second")
    with pytest.raises(ResultSetError, match="own, train seed 0, on breakout has no hash"):
        load_results([first, tmp_path / "second"])


def test_builds_and_processors_may_differ_and_are_said(tmp_path):
    def other_machine(m):
        m["versions"]["torch"] = "2.13.0+cu128"
        m["host"]["processor"] = "another processor"

    first = write(tmp_path / "first", agents=("wsa",))
    second = edit(write(tmp_path / "second", agents=("e2e",)), other_machine)
    (note,) = load_results([first, second]).manifest["combined_notes"]
    assert "processors (a processor, another processor), torch (2.13.0, 2.13.0+cu128)" in note


def test_the_third_run_is_compared_with_the_second_too(tmp_path):
    runs = [write(tmp_path / "0", agents=("wsa",)), write(tmp_path / "1", games=("pong",))]
    runs.append(edit(write(tmp_path / "2", games=("pong",), agents=("e2e",)), _entry(roms={"pong": "b"})))
    with pytest.raises(ResultSetError, match=r"/1 and .*/2 cannot be combined.*ROM of pong"):
        load_results(runs)


def test_caveats_of_the_quick_profile_stay(tmp_path):
    runs = [write(tmp_path / "0", agents=("wsa",), profile="standard"), write(tmp_path / "1", agents=("e2e",))]
    assert any("names no winner" in note for note in summarise(load_results(runs)).notes)


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
    assert "wsabench report first second" in text


def write_steps(run, agent, first_weight):
    """Record two steps of the first episode of every job of an agent."""
    weights = {f"weight_{name}": [0.0, 0.0] for name in ENCODERS}
    weights["weight_sr"], weights["weight_vos"] = [first_weight, 0.5], [1 - first_weight, 0.5]
    (run / "attention_steps").mkdir(exist_ok=True)
    schema = steps_schema(ENCODERS)
    for job in json.loads((run / "manifest.json").read_text())["jobs"]:
        if job["agent"] != agent:
            continue
        played = pq.read_table(run / "episodes" / job["file"]).to_pandas().iloc[[0, 0]]
        table = played.assign(episode=0, step=[0, 1], action=0, reward=0.0, value=0.0, **weights)
        columns = {name: pa.array(table[name], schema.field(name).type, from_pandas=True) for name in schema.names}
        pq.write_table(pa.table(columns, schema=schema), run / "attention_steps" / job["file"])


def test_recorded_attention_is_taken_from_every_run(tmp_path):
    runs = []
    for name, weight in (("a", 0.75), ("b", 0.25)):
        run = write(tmp_path / name, agents=(name,), train_seeds=(0,))
        edit(run, lambda manifest: manifest["agents"][0].update(encoders=list(ENCODERS)))
        for cell in CELLS:
            file = f"{name}-seed0--breakout--{label(*cell)}.parquet"
            write_shard(run / "attention" / file, attention_rows(name, 0, "breakout", cell))
        write_steps(run, name, weight)
        runs.append(run)
    merged = load_results(runs)
    found = example_episodes(merged, summarise(merged).attention, runs)
    assert [(one.agent, one.label, float(one.weights[0, 0])) for one in found] == [
        (agent, cell, weight)
        for agent, weight in (("a", 0.75), ("b", 0.25))
        for cell in ("clean", "invert", "hue-rotate@3")  # clean, then where the weights moved most
    ]
    # Of the second run alone: its own.
    assert {one.agent for one in example_episodes(load_results(runs[1:]), pd.DataFrame())} == {"b"}
    files = write_report(runs, formats=("svg",))
    names = {file.stem for file in files.figures}
    assert {"attention-episodes-a-breakout", "attention-episodes-b-breakout"} <= names


def test_no_run_at_all_is_refused():
    with pytest.raises(ResultSetError, match="No result directory"):
        load_results([])
