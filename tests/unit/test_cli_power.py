"""`wsabench power` and `wsabench bench stats`."""

import json

import pytest
from result_fixture import write_result_set

from wsabench.cli import main
from wsabench.evaluation import load_result
from wsabench.evaluation.summary_benchmark import benchmark_stats
from wsabench.evaluation.summary_power import variation_of_run

NOISE = ["--seed-sd", "0.6", "--episode-sd", "1.788854"]


def test_the_table_is_cohens_and_fits_80_columns(capsys):
    # Variance 0.36 + 3.2 / 5 = 1 and an effect of 0.5: 64 seeds of each agent (Cohen 1988, table 2.4.1).
    assert main(["power", "--effect", "0.5", *NOISE, "--episodes", "5,100"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.split()[:2] == ["5", "64"] for line in lines)
    assert any("fewer than 4 seeds" in line.replace("\n", " ") for line in [" ".join(lines)])


def test_json_has_the_plans(capsys):
    assert main(["power", "--effect", "0.5", *NOISE, "--episodes", "5", "--tests", "6", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["fewest_seeds_that_can_decide"] == 5
    assert answer["plans"][0]["num_seeds"] > 64
    assert answer["plans"][0]["power"] >= 0.8


def test_variation_comes_from_a_run(tmp_path, capsys):
    directory = write_result_set(tmp_path / "run")
    found = variation_of_run(load_result(directory))
    assert main(["power", "--effect", "0.1", "--from", str(directory), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["seed_sd"], answer["episode_sd"]) == pytest.approx(tuple(found))
    assert main(["power", "--effect", "0.1", "--from", str(directory), "--seed-sd", "0.2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seed_sd"] == 0.2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--effect", "0.1"], "The noise is not known. Give --seed-sd and --episode-sd, or --from RUN_DIR"),
        (["--effect", "0", *NOISE], "The effect is 0. Allowed: numbers other than 0"),
        (["--effect", "0.1", *NOISE, "--episodes", "5,x"], "--episodes is '5,x'. Allowed: integers from 1"),
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
