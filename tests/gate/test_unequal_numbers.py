"""The gate over result sets whose cells have different numbers of episodes, as runs to a precision have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace
from result_fixture import change_manifest, label, write_result_set, write_shard

from wsabench.gate.check import check_runs
from wsabench.results.manifest import read_manifest

CELLS = (("clean", None), ("hue-rotate", 3), ("palette-pal", None))
HASHES = {"breakout": {label(*cell): label(*cell) for cell in CELLS}}
NUMBERS = {"clean": 24, "hue-rotate@3": 15, "palette-pal": 40}


def write(path: Path, numbers: Mapping[str, int], seeds: tuple[int, ...] = (0,), *, alike: bool = False) -> Path:
    """A result set with so many episodes of each cell; `alike`: an episode seed scores the same in every cell."""
    options = {"agents": ("e2e",), "train_seeds": seeds, "cells": CELLS, "episodes": 40, "perturbation_hashes": HASHES}
    write_result_set(path, **options)
    jobs = read_manifest(path).plan.jobs
    for job in jobs:
        shard = path / "episodes" / job.file
        table = pq.ParquetFile(shard).read().to_pandas().astype({"severity": "Int64"}).head(numbers[job.perturbation])
        if alike:
            table["return"] = 10.0 + np.random.default_rng(1).permutation(40)[: len(table)] / 4.0
        write_shard(shard, table)
    return change_manifest(path, jobs=tuple(replace(job, episodes=numbers[job.perturbation]) for job in jobs))


def test_each_cell_takes_all_its_episodes_and_the_average_those_of_all(tmp_path: Path) -> None:
    path = write(tmp_path / "a", NUMBERS)
    result = check_runs(path, path)
    assert result.exit_code == 0
    assert {row.perturbation: (row.num_run, row.num_reference) for row in result.rows} == {
        "all cells": (15, 15),
        **{name: (number, number) for name, number in NUMBERS.items()},
    }
    assert all(row.is_paired for row in result.rows)
    assert "cells have different numbers of episodes" in " ".join(result.notes)


def test_one_side_alone_may_have_them(tmp_path: Path) -> None:
    unequal, equal = write(tmp_path / "a", NUMBERS), write(tmp_path / "b", dict.fromkeys(NUMBERS, 20))
    for run, reference in ((unequal, equal), (equal, unequal)):
        result = check_runs(run, reference)
        assert result.exit_code == 0
        assert [(row.num_run, row.num_reference) for row in result.overall] == [
            (15, 20) if run == unequal else (20, 15)
        ]
        assert not any(row.is_paired for row in result.rows)
        assert "cells have different numbers of episodes" in " ".join(result.notes)
    assert "cells have different numbers" not in " ".join(check_runs(equal, equal).notes)


@pytest.mark.oracle
def test_cells_are_not_taken_for_independent(tmp_path: Path) -> None:
    # An agent that no perturbation touches plays the same episodes in every cell: three cells tell no more than one.
    run, reference = (
        write(tmp_path / "a", NUMBERS, alike=True),
        write(tmp_path / "b", dict.fromkeys(NUMBERS, 20), alike=True),
    )
    returns = 10.0 + np.random.default_rng(1).permutation(40) / 4.0
    variance = returns[:15].var(ddof=1) / 15 + returns[:20].var(ddof=1) / 20
    row = check_runs(run, reference).overall[0]
    assert row.standard_error == pytest.approx(np.sqrt(variance) / 28.8)
    assert row.run == pytest.approx((returns[:15].mean() - 1.7) / 28.8)


def test_each_train_seed_takes_its_own_mean(tmp_path: Path) -> None:
    path = write(tmp_path / "a", NUMBERS, seeds=(0, 1, 2))
    result = check_runs(path, path)
    files = {
        name: [path / "episodes" / f"e2e-seed{seed}--breakout--{name}.parquet" for seed in range(3)] for name in NUMBERS
    }
    means = {
        name: np.mean([pq.ParquetFile(file).read()["return"].to_numpy().mean() for file in found])
        for name, found in files.items()
    }
    assert {row.perturbation: row.run for row in result.cells} == pytest.approx(
        {name: (mean - 1.7) / 28.8 for name, mean in means.items()}
    )
    assert result.overall[0].run == pytest.approx(np.mean([row.run for row in result.cells]))
