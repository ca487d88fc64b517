"""Numbers for other programs: what is written is what the summary holds, and rliable reads it."""

import json

import numpy as np
import pandas as pd
import pytest
from result_fixture import write_result_set

from wsabench.report.export import score_matrices, tidy_episodes, write_csv, write_rliable
from wsabench.results import load_result
from wsabench.results.manifest import ReferenceScores
from wsabench.stats import iqm
from wsabench.summary.summarise import summarise
from wsabench.words import MINUS

CELLS = (("clean", None), ("hue-rotate", 3), ("invert", None))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    options = {"agents": ("wsa", "file"), "train_seeds": (0, 1, 2), "games": ("breakout", "pong"), "cells": CELLS}
    result = load_result(write_result_set(tmp_path_factory.mktemp("export") / "run", **options))
    return result, summarise(result)


def test_matrices_hold_the_mean_scores_of_train_seeds(loaded):
    result, summary = loaded
    matrices = score_matrices(summary)
    assert matrices.tasks[:3] == ("breakout/clean", "breakout/hue-rotate@3", "breakout/invert")
    assert len(matrices.tasks) == 6
    # By hand from the episodes: (mean return - random) / (human - random) of breakout.
    rows = result.episodes
    chosen = rows[(rows["agent"] == "wsa") & (rows["train_seed"] == 1) & (rows["game"] == "breakout")]
    mean = chosen[chosen["perturbation"] == "invert"]["return"].mean()
    assert matrices.scores["wsa"][1, 2] == pytest.approx((mean - 1.7) / (30.5 - 1.7), abs=1e-12)
    assert matrices.train_seeds == {"wsa": (0, 1, 2), "file": (0, 1, 2)}


def test_retention_has_no_clean_task(loaded):
    assert not any(task.endswith("/clean") for task in score_matrices(loaded[1], "retention").tasks)


def test_rliable_reads_the_score_dictionary(loaded, tmp_path):
    library, metrics = pytest.importorskip("rliable.library"), pytest.importorskip("rliable.metrics")
    write_rliable(loaded[1], tmp_path)
    with np.load(tmp_path / "normalised-score.npz", allow_pickle=False) as archive:
        scores = dict(archive)
    np.random.seed(0)  # noqa: NPY002 - rliable draws from the global generator
    points, intervals = library.get_interval_estimates(
        scores, lambda matrix: np.array([metrics.aggregate_iqm(matrix)]), reps=50
    )
    assert list(points) == ["wsa", "file"]
    for agent, matrix in scores.items():
        assert matrix.shape == (3, 6)
        assert points[agent][0] == pytest.approx(iqm(matrix), abs=1e-12)
        assert intervals[agent].shape == (2, 1)


def test_the_json_file_names_tasks_and_seeds(loaded, tmp_path):
    files = write_rliable(loaded[1], tmp_path)
    assert [file.name for file in files] == [
        f"{name}.{ending}" for name in ("normalised-score", "retention") for ending in ("npz", "json")
    ]
    content = json.loads((tmp_path / "normalised-score.json").read_text())
    matrices = score_matrices(loaded[1])
    assert tuple(content["tasks"]) == matrices.tasks
    np.testing.assert_array_equal(content["scores"]["file"], matrices.scores["file"])


def test_equal_results_give_equal_bytes(loaded, tmp_path):
    for name in ("first", "second"):
        write_rliable(loaded[1], tmp_path / name)
        write_csv(*loaded, tmp_path / name)
    for file in (tmp_path / "first").iterdir():
        assert file.read_bytes() == (tmp_path / "second" / file.name).read_bytes()


def test_a_task_that_one_agent_lacks_is_left_out(loaded):
    result, _ = loaded
    gone = (result.episodes["agent"] == "file") & (result.episodes["perturbation"] == "invert")
    from types import SimpleNamespace

    part = SimpleNamespace(
        has_ledger=True, episodes=result.episodes[~gone], attention=result.attention, manifest=result.manifest
    )
    matrices = score_matrices(summarise(part))
    assert not any(task.endswith("/invert") for task in matrices.tasks)
    assert matrices.scores["wsa"].shape == matrices.scores["file"].shape == (3, 4)


def test_the_csv_file_has_a_row_an_episode(loaded, tmp_path):
    result, summary = loaded
    files = {file.name: file for file in write_csv(result, summary, tmp_path)}
    table = pd.read_csv(files["episodes.csv"], float_precision="round_trip")
    assert len(table) == len(result.episodes)
    assert list(table.columns[:5]) == ["agent", "train_seed", "game", "family", "label"]
    np.testing.assert_array_equal(table["return"], result.episodes["return"])
    np.testing.assert_array_equal(table["normalised_score"], tidy_episodes(result, summary)["normalised_score"])
    means = table.groupby(["agent", "train_seed", "game", "label"])["normalised_score"].mean()
    seeds = pd.read_csv(files["seeds.csv"]).set_index(["agent", "train_seed", "game", "label"])["normalised_score"]
    assert means.to_dict() == pytest.approx(seeds.to_dict(), abs=1e-12)
    assert {"aggregates.csv", "cells.csv", "improvement.csv", "references.csv"} <= files.keys()


def test_sentences_for_machines_have_the_hyphen_for_a_minus(tmp_path):
    unplayable = {"breakout": ReferenceScores(random=1000.0, human=2000.0)}
    run = write_result_set(tmp_path / "run", cells=CELLS, reference_scores=unplayable)
    result = load_result(run)
    summary = summarise(result)
    assert any(MINUS in row.note for row in summary.cells)
    texts = [file.read_text(encoding="utf-8") for file in write_csv(result, summary, tmp_path / "out")]
    assert not any(MINUS in text for text in texts)
    assert any("the clean score -" in text for text in texts)


def test_without_reference_scores_there_is_no_matrix(tmp_path):
    unknown = {"breakout": ReferenceScores(random=None, human=None)}
    run = write_result_set(tmp_path / "run", cells=CELLS, reference_scores=unknown)
    result = load_result(run)
    assert write_rliable(summarise(result), tmp_path / "out") == ()
    assert tidy_episodes(result, summarise(result))["normalised_score"].isna().all()


def test_what_no_difference_can_show_is_empty_with_its_reason(tmp_path):
    result = load_result(write_result_set(tmp_path / "run", train_seeds=(0, 1, 2), cells=CELLS))
    write_csv(result, summarise(result), tmp_path)
    table = pd.read_csv(tmp_path / "comparisons.csv")
    assert table["detectable"].isna().all()
    assert set(table["detectable_note"]) <= {"too few train seeds", "smallest p above alpha"}


def test_rows_over_several_games_count_them(loaded, tmp_path):
    write_csv(*loaded, tmp_path)
    for name in ("aggregates", "improvement", "profiles", "perturbations", "measures", "comparisons"):
        assert set(pd.read_csv(tmp_path / f"{name}.csv")["num_games"]) == {2}, name
