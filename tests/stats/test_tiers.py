"""Tiers and places: what decided comparisons say about an order, and nothing more."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from wsabench.errors import ShapeError
from wsabench.stats import possible_places, surely_better, tiers

relations = st.integers(1, 6).flatmap(
    lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=n, max_size=n)
)


def shown(size: int, *pairs: tuple[int, int]) -> np.ndarray:
    better = np.zeros((size, size), dtype=bool)
    for x, y in pairs:
        better[x, y] = True
    return better


def test_undecided_agents_share_the_first_tier() -> None:
    assert tiers(shown(3)).tolist() == [1, 1, 1]
    assert possible_places(shown(3)).tolist() == [[1, 3]] * 3


def test_a_chain_makes_tiers_and_an_agent_between_them_keeps_the_best_it_can_have() -> None:
    # 0 beats 2 and 3, 2 beats 3; 1 is told apart from nobody but 3.
    better = shown(4, (0, 2), (0, 3), (2, 3), (1, 3))
    assert tiers(better).tolist() == [1, 1, 2, 3]
    assert possible_places(better).tolist() == [[1, 2], [1, 3], [2, 3], [4, 4]]


def test_agents_of_a_circle_are_above_nobody_in_it_and_above_all_below_it() -> None:
    better = shown(4, (0, 1), (1, 2), (2, 0), (2, 3))
    assert tiers(better).tolist() == [1, 1, 1, 2]
    assert possible_places(better)[3].tolist() == [4, 4]


@pytest.mark.property
@given(relations)
@settings(max_examples=60, deadline=None)
def test_tiers_are_longest_chains(table: list[list[bool]]) -> None:
    above = surely_better(table)
    size = len(above)

    def longest(agent: int) -> int:
        return 1 + max((longest(other) for other in range(size) if above[other, agent]), default=0)

    assert tiers(table).tolist() == [longest(agent) for agent in range(size)]


@pytest.mark.property
@given(st.permutations(range(5)), st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=10))
@settings(max_examples=60, deadline=None)
def test_true_comparisons_never_put_an_agent_beyond_its_true_place(
    order: list[int], claims: set[tuple[int, int]]
) -> None:
    place = {agent: position for position, agent in enumerate(order, 1)}
    better = shown(5, *((x, y) for x, y in claims if place[x] < place[y]))
    for agent, (best, worst) in enumerate(possible_places(better)):
        assert best <= place[agent] <= worst
        assert tiers(better)[agent] <= place[agent]


def test_what_is_not_square_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"shape \(2, 3\)\. Allowed: \(num_agents, num_agents\)"):
        surely_better(np.zeros((2, 3)))


def test_order_of_agents_changes_nothing() -> None:
    better = shown(5, (0, 2), (0, 3), (2, 3), (1, 3), (4, 0))
    found = tiers(better)
    for order in itertools.permutations(range(5)):
        assert tiers(better[np.ix_(order, order)]).tolist() == found[list(order)].tolist()
