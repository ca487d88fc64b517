"""Which agents of a table are shown to be better than which, and the tiers that follow.

Two agents are compared by their mean normalised score over the perturbed cells that both played, in the games that
both played. The rows of a test are train seeds where these are enough (`wsabench.stats.are_enough`) over the games that
both played; else the episode seeds, each averaged over the agent's checkpoints and cells, so that the comparison is
about these checkpoints. A comparison is decided where the larger of the studentised permutation test's and Welch's p is
at most alpha after Holm's correction over all pairs of the table (`wsabench.stats.family_test`, `adjust_over_pairs`):
in at least 95% of tables no decided comparison is false.

A pair whose train seeds or episodes are so few that no relabelling could give a small enough p beside so many others is
no test and costs the others nothing; which pairs these are follows from numbers of rows alone. Welch's test by itself
would decide some of them, and be wrong in 29% of tables of 24 equal agents with 5 train seeds of which half fail.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import special

from wsabench import stats
from wsabench.leaderboard.scoring import Played, Unit, complete_rows, distinct_share, unit_of
from wsabench.seeding import generator
from wsabench.stats import MIN_TRAIN_SEEDS
from wsabench.summary.averages import Columns, balanced, over_cells
from wsabench.summary.rows import ALPHA, Bounded
from wsabench.types import FloatArray

MIN_ROWS = MIN_TRAIN_SEEDS
"""With fewer episodes of an agent in a game, it is not compared there by its episodes."""
FEWEST_DRAWS = 9_999
MOST_DRAWS = 200_000
"""Relabellings of a pair that are drawn at most: enough for 10,000 pairs, a table of 140 agents."""
_DRAWS_PER_PAIR = 10 / ALPHA

Verdict = Literal["better", "worse", "not decided", "undecidable", "not compared"]
TOO_FEW = "too few train seeds or episodes for a table of so many agents"


class Comparison(NamedTuple):
    """Two agents of a table."""

    agent_x: str
    agent_y: str
    units: tuple[Unit, Unit]
    games: tuple[str, ...]
    """The games that the comparison is about."""
    num_cells: int
    """Perturbed cells that both played, over these games."""
    effect: Bounded
    """Mean score of x minus that of y; the bounds of all pairs of the table hold together in 95% of tables."""
    adjusted_p: float
    """After Holm over all pairs; 1 where the t test alone decides that nothing can be decided; NaN if not compared."""
    obstacle: str
    """Why the two are not compared; empty where they are."""

    @property
    def verdict(self) -> Verdict:
        """What is shown of x."""
        if self.obstacle:
            return "undecidable" if self.obstacle == TOO_FEW else "not compared"
        if self.adjusted_p > ALPHA or not self.effect.value:
            return "not decided"
        return "better" if self.effect.value > 0 else "worse"

    @property
    def mirrored(self) -> Comparison:
        """The same with the agents exchanged."""
        effect = self.effect
        return self._replace(
            agent_x=self.agent_y,
            agent_y=self.agent_x,
            units=self.units[::-1],
            effect=Bounded(-effect.value, -effect.high, -effect.low),
        )


class Standing(NamedTuple):
    """Where an agent stands in a table."""

    tier: int
    best_place: int
    worst_place: int
    num_compared: int
    """Other agents that it is compared with."""


class Ranking(NamedTuple):
    """The order of a table, as far as it is decided."""

    standings: Mapping[str, Standing]
    """Where each agent stands, by name; an agent that is compared with nobody is not in it."""
    comparisons: tuple[Comparison, ...]


class _Pair(NamedTuple):
    """Two agents as rows that a test can take."""

    agents: tuple[str, str]
    units: tuple[Unit, Unit]
    games: tuple[str, ...]
    num_cells: int
    x: list[FloatArray]
    """One array for each game, shape (num_rows, 1)."""
    y: list[FloatArray]
    obstacle: str


def ranking_of(agents: Mapping[str, Sequence[Played]], bootstrap_seed: int) -> Ranking:
    """Compare all pairs of agents and sort them into tiers.

    Args:
        agents: What each agent of the table played, by name.
        bootstrap_seed: Fixes the relabelling.
    """
    pairs = [_pair_of(agents[x], agents[y], (x, y)) for x, y in itertools.combinations(agents, 2)]
    comparisons = _compared(pairs, bootstrap_seed)
    names = list(agents)
    better = np.zeros((len(names), len(names)), dtype=np.bool_)
    for one in comparisons:
        x, y = names.index(one.agent_x), names.index(one.agent_y)
        better[x, y], better[y, x] = one.verdict == "better", one.verdict == "worse"
    counts = {
        name: sum(not one.obstacle for one in comparisons if name in (one.agent_x, one.agent_y)) for name in names
    }
    tiers, places = stats.tiers(better), stats.possible_places(better)
    standings = {
        name: Standing(int(tiers[place]), int(places[place, 0]), int(places[place, 1]), counts[name])
        for place, name in enumerate(names)
        if counts[name]
    }
    return Ranking(standings, comparisons)


def _compared(pairs: Sequence[_Pair], bootstrap_seed: int) -> tuple[Comparison, ...]:
    """Return the tests of all pairs, adjusted over those that can be compared.

    Relabelling takes long with many agents. Where Welch's p after Holm is above alpha nothing can be decided, and p is
    1 without it: a larger p is a valid one.
    """
    pairs = _without_undecidable(pairs)
    usable = [pair for pair in pairs if not pair.obstacle]
    estimates = [stats.contrast(pair.x, pair.y) for pair in usable]
    welch = [2.0 * np.minimum(*one.p()) for one in estimates]
    is_open = [bool(np.nanmin(p) <= ALPHA) for p in stats.adjust_over_pairs(welch)]
    alpha = ALPHA / max(len(usable), 1)
    draws = _num_draws(len(usable))
    p: list[FloatArray] = []
    bounds: list[tuple[float, float]] = []
    for pair, estimate, wanted in zip(usable, estimates, is_open, strict=True):
        if wanted:
            rng = generator(bootstrap_seed, "leaderboard", "relabelling", *pair.agents)
            test = stats.family_test(pair.x, pair.y, rng, alpha, draws)
            p.append(test.adjusted_p)
            bounds.append((float(test.low[0]), float(test.high[0])))
            continue
        p.append(np.ones(1))
        width = float(special.stdtrit(estimate.freedom, 1.0 - alpha / 2.0)[0] * estimate.standard_error[0])
        bounds.append((float(estimate.effect[0]) - width, float(estimate.effect[0]) + width))
    adjusted = iter(zip(estimates, stats.adjust_over_pairs(p), bounds, strict=True))
    return tuple(_not_compared(pair) if pair.obstacle else _comparison(pair, *next(adjusted)) for pair in pairs)


def _num_draws(num_pairs: int) -> int:
    """Return how many relabellings of a pair are drawn, so that p stays fine enough after Holm."""
    return min(max(FEWEST_DRAWS, math.ceil(_DRAWS_PER_PAIR * num_pairs) - 1), MOST_DRAWS)


def _without_undecidable(pairs: Sequence[_Pair]) -> list[_Pair]:
    """Mark the pairs that could not be decided whatever the scores are.

    The tests are the largest group of pairs, those with the smallest possible p first, in which each could be decided
    if it were the first one; pairs with equal possibilities stay together.
    """
    usable = [pair for pair in pairs if not pair.obstacle]
    smallest = [_smallest_p(pair, _num_draws(len(usable))) for pair in usable]
    counts = {value: sum(other <= value for other in smallest) for value in smallest}
    allowed = max((value for value, count in counts.items() if value * count <= ALPHA), default=0.0)
    is_open = iter(value <= allowed for value in smallest)
    return [pair if pair.obstacle or next(is_open) else pair._replace(obstacle=TOO_FEW) for pair in pairs]


def _smallest_p(pair: _Pair, draws: int) -> float:
    """Return the smallest p that relabelling the rows of a pair can give (see `wsabench.stats.family_test`)."""
    sizes = [(len(x), len(y)) for x, y in zip(pair.x, pair.y, strict=True)]
    count = math.prod(math.comb(x + y, x) for x, y in sizes)
    if count > stats.MAX_ENUMERATED:
        return 1.0 / (draws + 1)
    return (2.0 if all(x == y for x, y in sizes) else 1.0) / count


def _comparison(pair: _Pair, estimate: stats.Contrast, adjusted: FloatArray, bounds: tuple[float, float]) -> Comparison:
    effect = Bounded(float(estimate.effect[0]), *bounds)
    return Comparison(*pair.agents, pair.units, pair.games, pair.num_cells, effect, float(adjusted[0]), "")


def _not_compared(pair: _Pair) -> Comparison:
    return Comparison(*pair.agents, pair.units, (), 0, Bounded(math.nan), math.nan, pair.obstacle)


def _pair_of(games_x: Sequence[Played], games_y: Sequence[Played], agents: tuple[str, str]) -> _Pair:
    """Return two agents on the games and cells that both played."""
    both = [(x, y) for x in games_x for y in games_y if x.game == y.game and x.scores.is_known]
    shared = [(x, y, columns) for x, y in both if (columns := _shared(x, y))[0]]
    units = (unit_of(games_x), unit_of(games_y))
    if not shared:
        return _Pair(agents, units, (), 0, [], [], "no perturbed cell in common" if both else "no game in common")
    # Games that lack episodes leave, and in fewer games train seeds may be too few, whose episodes may be too.
    used = list(range(len(shared)))
    while True:
        units = (unit_of(games_x, len(used)), unit_of(games_y, len(used)))
        x = [_rows(one, columns[0], units[0]) for one, _, columns in shared]
        y = [_rows(other, columns[1], units[1]) for _, other, columns in shared]
        sides = tuple(zip((x, y), units, strict=True))
        left = [at for at in used if all(unit == "train seeds" or len(of[at]) >= MIN_ROWS for of, unit in sides)]
        if left == used:
            break
        used = left
    return _Pair(
        agents,
        units,
        tuple(shared[place][0].game for place in used),
        sum(len({column for of in shared[place][2][0] for column in of}) for place in used),
        [x[place] for place in used],
        [y[place] for place in used],
        "" if used else f"fewer than {MIN_ROWS} episodes",
    )


def _shared(x: Played, y: Played) -> tuple[Columns, Columns]:
    """Return the perturbed cells that both agents played in a game, arranged as `Played.robust`, for x and for y."""
    places = {label: column for column, label in enumerate(y.scores.labels)}
    of_x: list[list[int]] = []
    of_y: list[list[int]] = []
    for suite in x.suites.values():
        shared = [
            common for columns in suite.values() if (common := [c for c in columns if x.scores.labels[c] in places])
        ]
        if shared:
            of_x.append(balanced(shared))
            of_y.append([places[x.scores.labels[column]] for column in of_x[-1]])
    return of_x, of_y


def _rows(game: Played, columns: Columns, unit: Unit) -> FloatArray:
    """Return an agent's mean score in some cells of a game: a row for each train or episode seed, shape (num_rows, 1).

    Repeated episodes of greedy play carry no news: the rows' spread about their mean is stretched so that the standard
    error is that of the different ones.
    """
    if unit == "train seeds":
        return over_cells(game.scores.means, columns)[:, None]
    scores = game.scores.scores.mean(axis=0)[:, complete_rows(game)]
    rows = over_cells(scores.T, columns)[:, None]
    share = distinct_share(game.scores, sorted({column for of in columns for column in of}))
    if share * len(rows) < 2:  # one episode over and over tells nothing about others
        return rows[:1]
    return rows.mean(axis=0) + (rows - rows.mean(axis=0)) / math.sqrt(share)
