"""`wsabench power` and `wsabench bench stats`."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from result_fixture import CELLS, label, write_result_set, write_shard

from wsabench.bench.statistics import ReportSize, benchmark_large_report, benchmark_stats
from wsabench.cli import main
from wsabench.gate.check import check_runs
from wsabench.protocol import Protocol
from wsabench.results import load_result
from wsabench.summary.noise import noise_of_run

NOISE = ["--seed-sd", "0.6", "--episode-sd", "1.788854"]


def test_the_table_is_cohens_and_fits_80_columns(capsys):
    # Variance 0.36 + 3.2 / 5 = 1 and an effect of 0.5: 64 seeds of each agent (Cohen 1988, table 2.4.1).
    assert main(["power", "--effect", "0.5", *NOISE, "--episodes", "5,100"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.split()[:2] == ["5", "64"] for line in lines)
    assert any("fewer than 5 seeds" in line.replace("\n", " ") for line in [" ".join(lines)])


def test_json_has_the_plans(capsys):
    assert main(["power", "--effect", "0.5", *NOISE, "--episodes", "5", "--tests", "6", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["fewest_seeds_that_can_decide"] == 5  # max-T: six perturbations need no more seeds than one
    assert (answer["num_tests"], answer["num_pairs"]) == (6, 1)
    assert answer["plans"][0]["num_seeds"] > 64
    assert answer["plans"][0]["power"] >= 0.8


def test_pairs_of_agents_need_more_seeds(capsys):
    assert main(["power", "--effect", "0.5", *NOISE, "--tests", "6", "--pairs", "10", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fewest_seeds_that_can_decide"] == 6
    assert main(["power", "--effect", "0.5", *NOISE, "--tests", "6", "--pairs", "3"]) == 0
    assert "over 6 tests and 3 pairs" in " ".join(capsys.readouterr().out.split())


def test_variation_comes_from_a_run(tmp_path, capsys):
    directory = write_result_set(tmp_path / "run")
    found = noise_of_run(load_result(directory))

    assert main(["power", "--effect", "0.1", "--from", str(directory), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    # Planned with is the limit; the estimate stands beside it.
    assert (answer["seed_sd"], answer["episode_sd"]) == pytest.approx((found.seed_sd_limit, found.variation.episode_sd))
    assert (answer["seed_sd_estimate"], answer["seed_sd_confidence"]) == (pytest.approx(found.variation.seed_sd), 0.8)
    assert answer["seed_sd"] > answer["seed_sd_estimate"]
    assert main(["power", "--effect", "0.1", "--from", str(directory), "--seed-sd", "0.2", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["seed_sd"] == 0.2
    assert "seed_sd_estimate" not in answer
    assert main(["power", "--effect", "0.1", "--from", str(directory)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"this is the run's upper 80% limit; its estimate is {found.variation.seed_sd:.3g}." in printed


def of_seeds(path, *means):
    """Write a run of one agent in two cells whose train seeds have these mean returns, with noisy episodes."""
    directory = write_result_set(path, ("wsa",), tuple(range(len(means))), (("clean", None), ("invert", None)))
    for shard in (directory / "episodes").iterdir():
        table = pq.ParquetFile(shard).read().to_pandas().astype({"severity": "Int64"})
        middle = means[int(table["train_seed"].iloc[0])]
        write_shard(shard, table.assign(**{"return": middle + 4.0 * (np.arange(len(table)) % 2) - 2.0}))
    return str(directory)


def test_an_estimate_of_0_is_not_planned_with(tmp_path, capsys):
    # Two seeds that differ by less than their episodes' noise, but not by nothing.
    words = ["power", "--effect", "0.1", "--measure", "normalised_score", "--json", "--from"]
    assert main([*words, of_seeds(tmp_path / "near", 16.0, 16.5)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["seed_sd_estimate"] == 0.0
    assert answer["seed_sd"] > 0.02
    assert main([*words, of_seeds(tmp_path / "far", 16.0, 19.0)]) == 0
    assert json.loads(capsys.readouterr().out)["seed_sd"] > answer["seed_sd"]
    # Seeds that are alike to the last digit: not even the limit tells.
    alike = of_seeds(tmp_path / "alike", 16.0, 16.0)
    assert main([*words, alike]) == 2
    said = capsys.readouterr().err
    assert "does not tell how much seeds vary" in said
    assert "Give --seed-sd" in said
    assert main([*words, alike, "--seed-sd", "0.1"]) == 0


@pytest.mark.oracle
def test_the_noise_of_a_retention_is_that_of_a_ratio_of_means(tmp_path):
    # The third seed fails clean: a mean of its own ratios would be told by it alone.
    clean, perturbed = np.array([31.7, 30.2, 2.0]), np.array([16.0, 15.0, 6.0])
    random_play, human = 1.7, 30.5  # the references of Breakout
    directory = write_result_set(tmp_path / "run", ("wsa",), (0, 1, 2), (("clean", None), ("invert", None)))
    for shard in (directory / "episodes").iterdir():
        table = pq.ParquetFile(shard).read().to_pandas().astype({"severity": "Int64"})
        middle = (clean if table["perturbation"].iloc[0] == "clean" else perturbed)[int(table["train_seed"].iloc[0])]
        write_shard(shard, table.assign(**{"return": middle + 4.0 * (np.arange(len(table)) % 2) - 2.0}))
    found = noise_of_run(load_result(directory)).variation
    c, p = ((means - random_play) / (human - random_play) for means in (clean, perturbed))
    shares = (p - p.mean() / c.mean() * c) / c.mean()
    steps = (
        2.0 / (human - random_play) * (1.0 - p.mean() / c.mean()) / c.mean()
    )  # an episode's way from its seed's mean
    count = 3 * len(load_result(directory).episodes) // 18
    within = steps**2 * count / (count - 1)
    assert found.episode_sd == pytest.approx(np.sqrt(within))
    assert found.seed_sd == pytest.approx(np.sqrt(shares.var(ddof=1) - within / count))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--effect", "0.1"], "The noise is not known. Give --seed-sd and --episode-sd, or --from RUN_DIR"),
        (["--effect", "0", *NOISE], "The effect is 0. Allowed: numbers other than 0"),
        (
            ["--effect", "0.1", *NOISE, "--try-episodes", "5,x"],
            "--try-episodes holds 'x'. Allowed: whole numbers from 1",
        ),
        (["--effect", "0.1", *NOISE, "--measure", "retentoin"], "Did you mean 'retention'"),
        (["--effect", "0.1", *NOISE, "--alpha", "1.5"], "alpha is 1.5"),
    ],
)
def test_bad_input_is_one_message(words, said, capsys):
    assert main(["power", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_the_bench_has_rows_beside_rliable():
    rows = benchmark_stats(1, with_report=False)
    assert [row["peer"] for row in rows] == ["rliable"] * 3
    improvement = next(row for row in rows if row["name"] == "probability of improvement")
    assert improvement["ratio"] > 50  # about 800 on an idle machine; processor time, so load matters little


def test_a_large_report_is_measured_by_its_size():
    rows = benchmark_large_report(ReportSize(agents=2, games=2, seeds=3, cells=6, episodes=2))
    name = "report: 2 agents x 2 games x 3 seeds x 6 cells x 2 episodes"
    units = [(name, "s"), (f"{name}, clock", "s"), (f"{name}, memory of this process", "MiB")]
    assert [(row["name"], row["unit"]) for row in rows] == units
    assert all(row["value"] > 0 for row in rows)


def test_an_average_over_cells_needs_fewer_seeds_and_says_the_hours(capsys):
    words = ["power", "--effect", "0.5", *NOISE, "--episodes", "5", "--json"]
    assert main(words) == 0
    one = json.loads(capsys.readouterr().out)["plans"][0]
    assert (one["hours_of_play"], one["hours_of_training"]) == (None, None)
    costs = ["--seconds-per-episode", "36", "--hours-per-seed", "2"]
    assert main([*words, "--plan", "average", "--cells", "4", *costs]) == 0
    answer = json.loads(capsys.readouterr().out)
    plan = answer["plans"][0]
    # Variance 0.36 + 3.2 / 20 = 0.52 in place of 1: about 0.52 as many seeds.
    assert answer["episode_sd"] == pytest.approx(1.788854 / 2)
    assert plan["num_seeds"] == pytest.approx(0.52 * one["num_seeds"], abs=1.5)
    assert plan["hours_of_training"] == 2 * 2 * plan["num_seeds"]
    assert plan["hours_of_play"] == pytest.approx(2 * plan["num_seeds"] * 4 * 5 * 0.01)


def test_a_gate_is_planned_from_numbers_or_from_a_run(tmp_path, capsys):
    words = ["power", "--plan", "gate", "--effect", "0.4", "--episodes", "5,20"]
    assert main([*words, "--score", "0.8", "--episode-sd", "0.3", "--cells", "4", "--seconds-per-episode", "36"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert [line.split()[-1] for line in printed.splitlines() if line.split()[:1] == ["20"]] == ["0.8"]
    assert main([*words, "--from", str(write_result_set(tmp_path / "run")), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["num_cells"], answer["num_agents"]) == (9, 2)
    few, many = answer["plans"]
    assert 0 < few["average"] <= many["average"]
    assert many["cell"] <= many["average"]


def set_scores(directory, score, part, starts=None):
    """Give 20 episodes of the shards whose name contains `part` normalised scores on Breakout around one."""
    for shard in directory.glob(f"episodes/*{part}*.parquet"):
        table = pq.ParquetFile(shard).read().to_pandas().astype({"severity": "Int64"})
        returns = 1.7 + 28.8 * score + np.arange(len(table)) % 4
        given = {} if starts is None else {"noops": starts, "action_hash": [f"{start:016d}" for start in starts]}
        write_shard(shard, table.assign(**{"return": returns}, **given))


ONE_CHECKPOINT = {"agents": ("wsa", "e2e"), "train_seeds": (0,), "episodes": 20}
HASHES = {"breakout": {label(*cell): label(*cell) for cell in CELLS}}


def test_a_gate_is_planned_with_the_cells_that_a_check_would_test(tmp_path, capsys):
    run = write_result_set(tmp_path / "run", **ONE_CHECKPOINT, perturbation_hashes=HASHES)
    set_scores(run, 0.5, "wsa")
    set_scores(run, -0.06, "e2e")  # the mean of 0, 1, 2, 3 on top: 1.5 / 28.8 = 0.052
    set_scores(run, -0.06, "palette-pal")
    checked = check_runs(run, run)
    tested = [row for row in checked.cells if row.verdict != "untested"]
    assert {row.agent for row in tested} == {"wsa"}

    words = ["power", "--plan", "gate", "--effect", "0.4", "--episodes", "20", "--from", str(run)]
    assert main([*words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["num_cells"], answer["num_agents"]) == (len(tested), 1)
    assert answer["score"] == pytest.approx(0.5 + 1.5 / 28.8)
    assert answer["left_out"] == ["wsa on breakout (palette-pal)", "e2e on breakout (all its cells)"]
    assert main(words) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Left out, because the run is not above random play there: wsa on breakout (palette-pal); e2e on" in printed

    set_scores(run, -0.06, "wsa")
    assert main(words) == 2
    printed = capsys.readouterr()
    assert "would test nothing" in printed.err
    assert not printed.out


def test_no_gate_is_planned_from_episodes_that_are_all_there_are(tmp_path, capsys):
    protocol = Protocol(action_selection="greedy", noop_max=3)
    run = write_result_set(tmp_path / "run", **ONE_CHECKPOINT | {"agents": ("wsa",)}, protocol=protocol)
    set_scores(run, 0.5, "wsa", np.arange(20) % 4)
    words = ["power", "--plan", "gate", "--effect", "0.4", "--from", str(run)]
    assert main(words) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "wsa on breakout: greedy play without sticky actions has 4 different episodes at most" in told
    assert "With all 4 of them a check decides such cells exactly" in told
    assert main([*words, "--score", "0.5", "--episode-sd", "0.2"]) == 0  # of cells that draw


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--plan", "gates"], "Unknown plan 'gates'"),
        (["--plan", "gate"], "planned from --score and --episode-sd"),
        (["--plan", "gate", "--score", "0.8", "--episode-sd", "0.3", "--margin", "0.6"], "is no regression"),
        (["--plan", "gate", "--score", "0.8", "--episode-sd", "0"], "standard deviation above 0"),
    ],
)
def test_a_plan_that_cannot_be_made_is_refused(words, message, capsys):
    assert main(["power", "--effect", "0.4", *words]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
