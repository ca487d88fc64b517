"""Whether the order of agents depends on what scores are normalised by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from wsabench.errors import ShapeError
from wsabench.stats.ratio.clean_floor import CLEAN_FLOOR
from wsabench.stats.severity import ranks
from wsabench.types import FloatArray
from wsabench.words import counted

NormaliserName = Literal["human", "best agent", "own clean", "log human"]
MIN_AGENTS_FOR_AGREEMENT = 3
"""With two agents an order is the same or reversed, and no correlation says more."""


class Returns(NamedTuple):
    """Mean returns of agents in games, in points, and the returns with which they are compared."""

    clean: FloatArray
    """The returns without perturbation, shape (num_agents, num_games)."""
    perturbed: FloatArray
    """Mean over the perturbed cells, same shape."""
    random: FloatArray
    """The returns of random play, shape (num_games,)."""
    human: FloatArray
    """The returns of human play, same shape, above those of random play."""


class Ranking(NamedTuple):
    """The agents under one normaliser."""

    scores: FloatArray
    """Mean over games of the perturbed scores, shape (num_agents,), in units of the normaliser; NaN without games."""
    ranks: FloatArray
    """The rank of each agent, same shape: 1 is the best, and equal agents share the mean of their ranks."""
    games: tuple[str, ...]
    """The games that entered."""
    left_out: tuple[str, ...]
    """The games in which the normaliser is not defined for every agent."""


class Sensitivity(NamedTuple):
    """The agents' order under several normalisers, and how far the orders agree."""

    rankings: Mapping[NormaliserName, Ranking]
    """The ranking of the agents under each normaliser."""
    agreement: FloatArray
    """Kendall's tau-b between the orders, (num_normalisers, num_normalisers), as in `rankings`; NaN where undefined."""
    lowest: float
    """The smallest agreement of two different normalisers; NaN where there is none."""
    reason: str
    """Why there is no agreement; empty where there is."""


def _human(returns: Returns) -> FloatArray:
    return (returns.perturbed - returns.random) / (returns.human - returns.random)


def _best_agent(returns: Returns) -> FloatArray:
    span = returns.clean.max(axis=0) - returns.random
    return _over(returns.perturbed - returns.random, span, returns)


def _own_clean(returns: Returns) -> FloatArray:
    return _over(returns.perturbed - returns.random, returns.clean - returns.random, returns)


def _log_human(returns: Returns) -> FloatArray:
    scores = _human(returns)
    return np.sign(scores) * np.log1p(np.abs(scores))


NORMALISERS: Mapping[NormaliserName, Callable[[Returns], FloatArray]] = {
    "human": _human,
    "best agent": _best_agent,
    "own clean": _own_clean,
    "log human": _log_human,
}
"""Functions that turn perturbed returns into scores, shape (num_agents, num_games): random play is 0 under each.

`human`: human play is 1. `best agent`: the best clean score of any agent is 1. `own clean`: the agent's own clean
score is 1, so this is retention. `log human`: sign(s) log(1 + |s|) of the human-normalised score s, so that a game with
scores of many times human play counts about as much as others.
"""


def normaliser_sensitivity(games: Sequence[str], returns: Returns) -> Sensitivity:
    """Rank the agents by their mean perturbed score under each normaliser, and compare the orders.

    Args:
        games: Names, one for each column.
        returns: Mean returns of the same games and cells for all agents.

    Returns:
        Rankings, each over the games where its normaliser is defined for every agent, and Kendall's tau-b between them:
        1 the same order, -1 reversed. Where it is low, the order says as much about the normaliser as about the agents.
        With fewer than three agents there is no agreement, and the reason says so.

    Raises:
        ShapeError: Shapes do not match, or a game's human score is not above random play.

    References:
        Kendall 1945, "The treatment of ties in ranking problems" (tau-b). Human-normalised scores: Mnih et al.
        2015, "Human-level control through deep reinforcement learning".
    """
    checked = _checked(games, returns)
    rankings: dict[NormaliserName, Ranking] = {
        name: _ranking(games, function(checked)) for name, function in NORMALISERS.items()
    }
    orders = [ranking.ranks for ranking in rankings.values()]
    agreement = np.full((len(orders), len(orders)), np.nan)
    num_agents = len(checked.clean)
    if num_agents < MIN_AGENTS_FOR_AGREEMENT:
        reason = f"{counted(num_agents, 'agent')}: rank agreement needs {MIN_AGENTS_FOR_AGREEMENT}"
        return Sensitivity(rankings, agreement, np.nan, reason)
    for i, one in enumerate(orders):
        for j, other in enumerate(orders):
            if not (np.isnan(one).any() or np.isnan(other).any()):
                agreement[i, j] = _tau(one, other)
    others = agreement[~np.eye(len(orders), dtype=bool)]
    undefined = [name for name, ranking in rankings.items() if not ranking.games]
    reason = f"no game in which the normaliser is defined: {', '.join(undefined)}" if undefined else ""
    lowest = float(np.nanmin(others)) if not np.isnan(others).all() else np.nan
    return Sensitivity(rankings, agreement, lowest, reason)


def _ranking(games: Sequence[str], scores: FloatArray) -> Ranking:
    defined: list[int] = np.flatnonzero(~np.isnan(scores).any(axis=0)).tolist()
    kept = tuple(games[place] for place in defined)
    left_out = tuple(game for place, game in enumerate(games) if place not in defined)
    means = scores[:, defined].mean(axis=1) if kept else np.full(len(scores), np.nan)
    return Ranking(means, ranks(means), kept, left_out)


def _tau(one: FloatArray, other: FloatArray) -> float:
    from scipy.stats import kendalltau  # here: it takes most of a second to load

    result: Any = kendalltau(one, other)
    return float(result.statistic)


def _over(values: FloatArray, span: FloatArray, returns: Returns) -> FloatArray:
    """Divide by a span; NaN where it is not clearly above random play."""
    clear = span >= CLEAN_FLOOR * (returns.human - returns.random)
    return np.divide(values, span, out=np.full(values.shape, np.nan), where=clear)


def _checked(games: Sequence[str], returns: Returns) -> Returns:
    arrays = Returns(*(np.asarray(part, dtype=np.float64) for part in returns))
    wanted, num_games = arrays.clean.shape, (len(games),)
    fits = len(wanted) == 2 and wanted[0] > 0 and wanted[1:] == num_games and arrays.perturbed.shape == wanted
    if not fits or not arrays.random.shape == arrays.human.shape == num_games:
        raise ShapeError(
            f"{len(games)} games have returns of shapes {[part.shape for part in arrays]}. Allowed: clean and "
            "perturbed (num_agents, num_games), random and human (num_games,)."
        )
    poor = [game for game, span in zip(games, arrays.human - arrays.random, strict=True) if not span > 0]
    if poor:
        raise ShapeError(f"The human score is not above random play in {', '.join(poor)}. Leave these games out.")
    return arrays
