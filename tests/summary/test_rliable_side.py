"""Aggregates and profiles with rliable's values, and its intervals beside the joint ones."""

import math

import numpy as np
import pytest
from made_returns import crowd, result, row
from rliable import library, metrics

from wsabench.errors import UnknownNameError
from wsabench.results.tables import with_labels
from wsabench.summary import rliable_side
from wsabench.summary.rows import METRICS, AggregateRow, Bounded
from wsabench.summary.summarise import summarise

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module")
def made():
    return crowd(2, 2, num_seeds=5, num_episodes=3)


@pytest.fixture(scope="module")
def joint(made):
    return summarise(made)


@pytest.fixture(scope="module")
def theirs(made):
    return summarise(made, interval="rliable")


def matrix_of(made, agent):
    """Return the mean normalised scores of perturbed cells, (num_seeds, num_tasks), from the table of episodes."""
    table = with_labels(made.episodes)
    table = table[(table["agent"] == agent) & (table["label"] != "clean")]
    return table.pivot_table(index="train_seed", columns=["game", "label"], values="return").to_numpy() / 10.0


def of(summary, agent, metric, scope="all perturbations"):
    return row(summary.aggregates, agent=agent, metric=metric, scope=scope, measure="normalised_score")


def test_values_are_rliables_in_both_modes(made, joint, theirs):
    for agent in ("agent-0", "agent-1"):
        matrix = matrix_of(made, agent)
        for metric in METRICS:
            expected = getattr(metrics, f"aggregate_{metric}")(matrix)
            assert of(joint, agent, metric).value.value == pytest.approx(expected, abs=1e-12)
            assert of(theirs, agent, metric).value.value == pytest.approx(expected, abs=1e-12)
        profile = [one for one in joint.profiles if one.agent == agent]
        expected = library.score_distributions(matrix, np.array([one.threshold for one in profile]))
        np.testing.assert_array_equal([one.value.value for one in profile], expected)


def test_both_intervals_stand_side_by_side_in_either_mode(joint, theirs):
    for one, other in zip(joint.aggregates, theirs.aggregates, strict=True):
        if one.measure == "normalised_score":
            assert (one.interval, other.interval) == ("joint", "rliable")
            assert (one.value, other.value) == (one.joint, other.rliable)
            assert (one.joint, one.rliable, one.difference) == (other.joint, other.rliable, other.difference)
        else:
            assert other.interval == "joint"
            assert math.isnan(other.rliable.value)
            assert one.value == other.value or math.isnan(one.value.value)
    perturbed, clean = (of(joint, "agent-0", "mean", scope) for scope in ("all perturbations", "clean"))
    assert perturbed.difference == "one network plays several cells"
    assert clean.difference == "joint is corrected for few train seeds"
    width, narrower = (bounds.high - bounds.low for bounds in (perturbed.joint, perturbed.rliable))
    assert narrower < width


def test_rliables_interval_meets_its_own_bootstrap(made, theirs):
    matrix = matrix_of(made, "agent-1")
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    statistic = lambda drawn: np.array([metrics.aggregate_mean(drawn)])  # noqa: E731
    _, bounds = library.get_interval_estimates({"a": matrix}, statistic, reps=2000)
    np.random.set_state(state)  # noqa: NPY002
    found = of(theirs, "agent-1", "mean").value
    width = float(bounds["a"][1, 0] - bounds["a"][0, 0])
    assert (found.low, found.high) == pytest.approx(tuple(bounds["a"][:, 0]), abs=0.1 * width)


def test_profiles_have_the_bands_that_are_asked_for(joint, theirs):
    assert {one.interval for one in joint.profiles} == {"joint"}
    assert {one.interval for one in theirs.profiles} == {"rliable"}
    assert [one.value.value for one in joint.profiles] == [one.value.value for one in theirs.profiles]
    widths = [sum(one.value.high - one.value.low for one in summary.profiles) for summary in (joint, theirs)]
    assert 0 < widths[1] < widths[0]


def test_two_train_seeds_have_no_interval_of_rliable():
    summary = summarise(crowd(1, 1, num_seeds=2, num_episodes=2), interval="rliable")
    one = of(summary, "agent-0", "iqm")
    assert math.isfinite(one.value.value)
    assert not one.value.has_bounds
    assert one.difference == ""


def test_games_without_reference_scores_leave_the_rows_as_they_are():
    from wsabench.results.manifest import ReferenceScores

    unknown = {"g": ReferenceScores(random=None, human=None)}
    cells = {("a", seed, "g", name, None): [4.0] for seed in range(3) for name in ("clean", "invert")}
    summary = summarise(result(cells, reference_scores=unknown), interval="rliable")
    assert all(math.isnan(one.value.value) for one in summary.aggregates)
    assert summary.profiles == ()


def test_another_definition_of_a_value_is_said():
    about = {"agent": "a", "scope": "all perturbations", "measure": "normalised_score", "metric": "mean"}
    one = AggregateRow(**about, value=Bounded(0.5, 0.4, 0.6), num_seeds=5, num_games=1, num_cells=3, note="")
    beside = rliable_side._beside(one, Bounded(0.55, 0.5, 0.6), "joint", plays_several=True)
    assert (beside.value.value, beside.rliable.value) == (0.5, 0.55)
    assert beside.difference == "rliable counts every cell the same"


def test_unknown_intervals_are_refused(made):
    with pytest.raises(UnknownNameError, match=r"jiont.*joint"):
        summarise(made, interval="jiont")
