"""Lengths from lives, and answers to what a run asks for: made-up games of known laws, a policy of known costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from wsabench.evaluation.pricing.answers import Operations, answer_seconds, mixtures_of
from wsabench.evaluation.pricing.lengths import Lengths
from wsabench.evaluation.pricing.lives import Lives, lives_seen
from wsabench.evaluation.pricing.probe import Played
from wsabench.evaluation.rollout import NUM_LANES

NUM_CELLS, NUM_EPISODES = 10, 8
MODEL_ERROR = 0.16
"""What the price adds to the spread of its draws, as a standard deviation of the logarithm."""
Law = Callable[[np.random.Generator, int], np.ndarray]
"""Draws lengths of so many lives, of mean 1."""
LAWS: dict[str, Law] = {
    "exponential": lambda rng, n: rng.exponential(size=n),
    "even": lambda rng, n: rng.weibull(2.0, n) / 0.886227,
    "narrow": lambda rng, n: 1.0 + 0.1 * rng.normal(size=n),
    "lognormal": lambda rng, n: rng.lognormal(-0.32, 0.8, n),
    "pareto": lambda rng, n: 1.5 * rng.pareto(2.5, n),
}


def game(rng: np.random.Generator, law: Law, num_lives: int, scale: float) -> npt.NDArray[np.int64]:
    """The lives of an episode in steps."""
    return np.maximum(np.ceil(scale / num_lives * law(rng, num_lives)), 1).astype(np.int64)


def cut(lives: npt.NDArray[np.int64], steps: int, episode: int, *, as_one: bool = False) -> Played:
    """An episode as far as it came in so many steps; with `as_one` what is seen of it without its lives."""
    length = int(lives.sum())
    if as_one:
        is_ended = length <= steps
        return Played(0, episode, min(length, steps), is_ended, (length,) if is_ended else (), 1, 0 if is_ended else 1)
    lost = int((np.cumsum(lives) <= steps).sum())
    spans = tuple(int(one) for one in lives[:lost])
    return Played(0, episode, min(length, steps), length <= steps, spans, len(lives), len(lives) - lost)


def errors(law: Law, num_lives: int, turns: int, number: int, *, as_one: bool = False) -> tuple[np.ndarray, float]:
    """The errors of priced totals of made-up runs of two agents, and how often a 95% range held the truth."""
    rng = np.random.default_rng(turns)
    found, held = [], []
    for _ in range(number):
        scales = 500.0 * np.exp(rng.normal(0.0, 0.3, NUM_CELLS))
        sample: dict[tuple[int, int, int], Played] = {}
        total = 0
        for agent in range(2):
            games = {
                (cell, episode): game(rng, law, num_lives, float(scales[cell]))
                for episode in range(NUM_EPISODES)
                for cell in rng.permutation(NUM_CELLS)
            }
            total += sum(int(lives.sum()) for lives in games.values())
            free = [0] * NUM_LANES
            for (cell, episode), lives in games.items():
                lane = int(np.argmin(free))
                if free[lane] < turns:
                    sample[agent, cell, episode] = cut(lives, turns - free[lane], episode, as_one=as_one)
                    free[lane] += int(lives.sum())
        drawn = totals(sample, rng)
        middle, spread = float(np.median(drawn)), float(np.log(drawn).std())
        found.append(middle / total - 1.0)
        held.append(abs(np.log(middle / total)) <= 2.0 * np.hypot(spread, MODEL_ERROR))
    return np.array(found), float(np.mean(held))


def totals(sample: dict[tuple[int, int, int], Played], rng: np.random.Generator) -> np.ndarray:
    """Steps that the whole run may have."""
    seen = [life for (_, cell, _), one in sample.items() for life in lives_seen(cell, one)]
    lengths, lives = Lengths(seen, 27_000), Lives([("game", one) for one in sample.values()])
    new = Played(0, 0, 0, is_ended=False, lives=lives.at_start("game"))
    keys = [(agent, cell, episode) for agent in range(2) for cell in range(NUM_CELLS) for episode in range(8)]
    played = [sample.get(key, new) for key in keys]
    reached, ages = np.array([(one.steps, one.age) for one in played], np.float64).T
    is_ended, left = np.array([one.is_ended for one in played]), np.array([one.lives for one in played])
    groups = [cell for _, cell, _ in keys]
    drawn = [lengths.law(rng).draw(groups, reached, ages, lives.to_lose(left, rng)) for _ in range(30)]
    return np.where(is_ended, reached, drawn).sum(axis=1)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("turns", [200, 600])
def test_lengths_of_games_of_several_lives_come_from_few_ended_ones(law: str, turns: int) -> None:
    """At 200 turns nearly no episode of 500 steps has ended; both its bias and its error are small."""
    found, held = errors(LAWS[law], 5, turns, 12)
    assert abs(np.median(found)) < (0.2 if law == "pareto" else 0.12)
    assert np.mean(np.abs(found)) < 0.25
    assert held >= (0.8 if law == "pareto" else 0.9)


def test_without_lives_the_same_sample_says_much_less() -> None:
    found, _ = errors(LAWS["even"], 5, 200, 12, as_one=True)
    assert np.mean(np.abs(found)) > 0.3


@pytest.mark.parametrize("law", LAWS)
def test_lengths_of_games_of_one_life_are_told_when_half_of_them_ended(law: str) -> None:
    found, held = errors(LAWS[law], 1, 700, 12)
    assert abs(np.median(found)) < (0.25 if law == "pareto" else 0.15)
    assert held >= (0.7 if law == "pareto" else 0.9)


def test_nothing_ended_leaves_a_wide_range() -> None:
    found, held = errors(LAWS["narrow"], 1, 200, 12)
    assert held >= 0.9
    assert np.abs(found).max() < 4


def test_lives_that_a_game_adds_and_episodes_that_end_before_their_last_life() -> None:
    rng = np.random.default_rng(0)
    plain = Lives([("a", Played(0, 0, 90, True, (30, 30, 30), 3, 0)), ("b", Played(0, 1, 50, False, (20,), 5, 4))])
    assert (plain.at_start("a"), plain.at_start("b"), plain.at_start("unseen")) == (3, 5, 3)
    assert plain.to_lose(np.array([3, 4]), rng).tolist() == [3, 4]
    # Each life that is lost brings a half: 3 lives become 6.
    adding = Lives([("a", Played(0, 0, 60, True, (10,) * 6, 3, 0))])
    assert adding.to_lose(np.full(4000, 3), rng).mean() == pytest.approx(6.0, rel=0.05)
    # Every fourth life ends the episode: of many lives 4 are lost on average.
    stalling = Lives(
        [("a", Played(0, 0, 1200, True, (100, 1100), 50, 49)), ("a", Played(0, 1, 60, False, (30, 20), 50, 48))]
    )
    assert stalling.to_lose(np.full(4000, 50), rng).mean() == pytest.approx(4.0, rel=0.1)


def test_the_lives_of_a_game_without_any_are_one() -> None:
    ended = Played(0, 0, 40, True, (40,), 1, 0)
    assert [(one.steps, one.is_ended) for one in lives_seen("cell", ended)] == [(40, True)]
    going = Played(0, 0, 40, False, (), 1, 1)
    assert [(one.steps, one.is_ended) for one in lives_seen("cell", going)] == [(40, False)]
    just_lost = Played(0, 0, 40, False, (40,), 3, 2)
    assert [(one.steps, one.is_ended) for one in lives_seen("cell", just_lost)] == [(40, True)]


class _Clock:
    """A clock that only a policy moves: a millisecond for an answer, and one for each kind of operation in it."""

    abilities = SimpleNamespace(batch_size=16, inputs=())

    def __init__(self) -> None:
        self.now = 0.0
        self.asked: list[tuple[Operations, ...]] = []

    def act(self, observations: np.ndarray, lanes: Any) -> None:
        """Take the time of an answer."""
        assert len(observations) == len(lanes.ids) == len(lanes.encoder_generators)
        self.asked.append(lanes.encoder_operations)
        self.now += 1e-3 * (1 + len(set(lanes.encoder_operations)))


def test_answers_are_timed_for_what_a_run_asks_and_not_for_what_the_sample_mixes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cell after cell two kinds of operations are in the lanes at most times; the sample has all ten."""
    clock: Any = _Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    lanes: Any = SimpleNamespace(num_lanes=16, observations=np.zeros((16, 4, 84, 84), np.uint8), inputs={}, game="x")
    cells: list[Any] = [("operation", cell) for cell in range(10)]
    in_turn = [(cell,) for cell in cells for _ in range(8)]
    mixtures = mixtures_of(in_turn, np.random.default_rng(0))
    assert all(1 <= len(one) <= NUM_LANES for one in mixtures)
    run = answer_seconds(clock, lanes, mixtures, np.inf)
    assert {own for asked in clock.asked for own in asked} == set(in_turn), "all cells get their turn"
    sample = answer_seconds(clock, lanes, [[(cell,) for cell in (cells * 2)[:16]]], np.inf)
    assert run is not None
    assert sample == pytest.approx(11e-3)
    assert 2.5e-3 < run < 6e-3
    assert mixtures_of([()] * 80, np.random.default_rng(0)) == [], "nothing to ask of an agent without changes"
    assert answer_seconds(clock, lanes, [], np.inf) is None
