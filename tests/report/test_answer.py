"""The agents in tiers: by decided comparisons alone, whatever the estimates are."""

import itertools

import numpy as np
from made_returns import run
from msgspec import structs

from wsabench.report.tables.answer import answer_of, tiers_of
from wsabench.summary.rows import Bounded, Claim
from wsabench.summary.summarise import summarise


def decided(better, worse, is_decided=True):
    """Return the test of a pair."""
    made = {"scope": "all perturbations", "perturbation": "all perturbations", "measure": "retention", "num_tests": 1}
    numbers = {"p": 0.01, "adjusted_p": 0.01, "smallest_p": 0.001, "num_seeds_x": 6, "num_seeds_y": 6, "num_games": 1}
    return Claim(
        agent_x=better, agent_y=worse, effect=Bounded(0.2), decided=is_decided, paired=False, **made, **numbers
    )


def test_tiers_follow_what_is_decided():
    assert [tier.agents for tier in tiers_of("abc", [])] == [("a", "b", "c")]
    claims = [decided("a", "b"), decided("a", "c"), decided("b", "c")]
    assert [tier.agents for tier in tiers_of("cba", claims)] == [("a",), ("b",), ("c",)]
    assert [tier.agents for tier in tiers_of("abc", [decided("a", "c"), decided("b", "c", False)])] == [
        ("a", "b"),
        ("c",),
    ]
    against = structs.replace(decided("b", "a"), effect=Bounded(-0.2))
    assert [tier.agents for tier in tiers_of("ab", [against])] == [("a",), ("b",)]
    circle = [decided("a", "b"), decided("b", "c"), decided("c", "a")]
    assert [tier.agents for tier in tiers_of("abc", circle)] == [("a", "b", "c")]


def test_each_agent_below_is_beaten_by_one_of_the_tier_above():
    rng = np.random.default_rng(0)
    for _ in range(200):
        names = "abcdef"
        claims = [decided(x, y) for x, y in itertools.combinations(names, 2) if rng.random() < 0.3]
        beaten = {(claim.agent_x, claim.agent_y) for claim in claims}
        tiers = tiers_of(names, claims)
        assert sorted(agent for tier in tiers for agent in tier.agents) == sorted(names)
        for above, below in itertools.pairwise(tiers):
            assert all(any((x, y) in beaten for x in above.agents) for y in below.agents)
        for place, tier in enumerate(tiers):
            rest = [agent for later in tiers[place:] for agent in later.agents]
            assert not any((x, y) in beaten for x in rest for y in tier.agents)


def test_the_answer_says_once_what_is_not_decided():
    clear = answer_of(summarise(run({"a": 7.0, "b": 2.0}, num_seeds=7)))
    assert [tier.agents for tier in clear.tiers] == [("a",), ("b",)]
    assert clear.statement.startswith("a stands in the first of 2 tiers by retention over all perturbations")
    few = answer_of(summarise(run({"b": 2.0, "a": 7.0}, num_seeds=2)))
    assert few.order == ("a", "b")  # one tier, the greater estimate first
    assert few.statement == "These data do not rank the agents: all stand in one tier."
    assert few.undecided.text.startswith("Cannot be decided: b against a under")
    alone = answer_of(summarise(run({"a": 7.0}, num_seeds=7)))
    assert alone.statement == ""
    assert alone.order == ("a",)
