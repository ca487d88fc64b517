"""What one average does not show: robustness beyond the clean score, where variance comes from, tails, games.

Every analysis is about the compared agents and what all of them played, so that its numbers can be set side by side.
Where the data are too few, its table is empty and a row of `Insight.too_few` says why.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from wsabench import stats
from wsabench.processes import Share, call, here
from wsabench.results.records import CLEAN
from wsabench.seeding import generator
from wsabench.stats import Tail, VarianceComponents
from wsabench.summary.aggregates import ALL_PERTURBATIONS, by_agent
from wsabench.summary.averages import Averages, columns_by_perturbation, over_cells, retentions
from wsabench.summary.insight_rows import (
    AgreementRow,
    Analysis,
    CheckpointRow,
    ComponentRow,
    CorrelationRow,
    EffectiveRow,
    GameRow,
    Insight,
    NewGameRow,
    NormaliserRow,
    ReasonRow,
    TailKind,
    TailRow,
)
from wsabench.summary.rows import Bounded, Measure, grouped
from wsabench.summary.scores import GameScores
from wsabench.types import FloatArray

TAIL_SHARE = 0.25
"""Share of cells whose mean is the conditional value at risk of a report."""
_FOR_GAMES: tuple[Measure, ...] = ("normalised_score", "retention")
Shared = Mapping[str, Sequence[GameScores]]
"""For each agent the games with clean and perturbed cells that all agents played, in one order."""


def insight_of(scores: Sequence[GameScores], bootstrap_seed: int, share: Share = here) -> Insight:
    """Compute every analysis.

    Args:
        scores: What all compared agents played, as `common_play` gives it.
        bootstrap_seed: Seed of all draws.
        share: Calls the computations of each agent, in this process or in others.

    Returns:
        The tables, and one reason for each analysis that the data are too few for.
    """
    shared = {
        agent: [game for game in games if game.index(CLEAN) is not None and columns_by_perturbation(game)]
        for agent, games in by_agent(scores).items()
    }
    if not shared or not all(shared.values()):
        reason = "no game with reference scores has clean and a perturbation that every compared agent played"
        analyses: tuple[Analysis, ...] = Analysis.__args__
        return Insight(too_few=tuple(ReasonRow(analysis=analysis, reason=reason) for analysis in analyses))
    checkpoints = _checkpoints(shared)
    of_all_agents: list[Callable[[], Any]] = [
        partial(_effective, shared, checkpoints, bootstrap_seed),
        partial(_correlations, shared, bootstrap_seed),
        partial(_normalisers, shared),
    ]
    (effective, why_effective), (correlations, why_correlation), of_normalisers = share(call, of_all_agents)
    components, why_components = _components(shared, bootstrap_seed, share)
    tails, why_tails = _tails(shared, bootstrap_seed, share)
    normalisers, agreement, why_normalisers = of_normalisers
    per_game, new_game, why_games = _games(shared, share)
    reasons: dict[Analysis, str] = {
        "effective robustness": why_effective,
        "rank correlation": why_correlation,
        "components of variance": why_components,
        "worst family and cells": why_tails,
        "normalisers": why_normalisers,
        "games": why_games,
    }
    return Insight(
        checkpoints=checkpoints,
        effective_robustness=effective,
        rank_correlation=correlations,
        variance_components=components,
        tails=tails,
        normalisers=normalisers,
        normaliser_agreement=agreement,
        per_game=per_game,
        new_game=new_game,
        too_few=tuple(ReasonRow(analysis=name, reason=reason) for name, reason in reasons.items() if reason),
    )


def _points(games: Sequence[GameScores], family: str = ALL_PERTURBATIONS) -> tuple[tuple[int, ...], FloatArray]:
    """Return an agent's train seeds that are in all games, and their clean and perturbed scores, (num_seeds, 2)."""
    seeds = tuple(sorted(set.intersection(*(set(game.train_seeds) for game in games))))
    found: list[FloatArray] = []
    for game in games:
        columns = _columns(game, family)
        if columns:
            values = game.with_seeds(seeds).means
            clean = values[:, [cell.label for cell in game.cells].index(CLEAN)]
            found.append(np.stack([clean, over_cells(values, columns)], axis=-1))
    return seeds, np.mean(found, axis=0)


def _columns(game: GameScores, family: str) -> list[list[int]]:
    of_family = columns_by_perturbation(game).values()
    return [some for some in of_family if family in (ALL_PERTURBATIONS, game.cells[some[0]].family)]


def _checkpoints(shared: Shared) -> tuple[CheckpointRow, ...]:
    return tuple(
        CheckpointRow(agent=agent, train_seed=seed, clean=float(clean), perturbed=float(perturbed))
        for agent, games in shared.items()
        for seed, (clean, perturbed) in zip(*_points(games), strict=True)
    )


def _effective(
    shared: Shared, checkpoints: Sequence[CheckpointRow], bootstrap_seed: int
) -> tuple[tuple[EffectiveRow, ...], str]:
    points = {
        agent: np.array([(row.clean, row.perturbed) for row in rows])
        for agent, rows in grouped(checkpoints, lambda row: row.agent).items()
    }
    found = stats.effective_robustness(points, generator(bootstrap_seed, "bootstrap", "effective robustness"))
    if np.isnan(found.value).all():
        return (), found.reason
    rows = tuple(
        EffectiveRow(
            agent=agent,
            value=Bounded(float(found.value[place]), float(found.low[place]), float(found.high[place])),
            clean=float(points[agent][:, 0].mean()),
            perturbed=float(points[agent][:, 1].mean()),
            slope=found.slope,
            intercept=found.intercept,
            num_seeds=len(points[agent]),
            num_games=len(shared[agent]),
            note=found.reason if math.isnan(found.low[place]) else "",
        )
        for place, agent in enumerate(found.agents)
    )
    return rows, ""


def _correlations(shared: Shared, bootstrap_seed: int) -> tuple[tuple[CorrelationRow, ...], str]:
    first = next(iter(shared.values()))
    families = dict.fromkeys(cell.family for game in first for cell in game.cells if cell.label != CLEAN)
    scopes = [ALL_PERTURBATIONS, *(families if len(families) > 1 else ())]
    rows: list[CorrelationRow] = []
    for scope in scopes:
        # A family may be missing from some games: there clean counts in the others only.
        of_scope = {
            agent: _points([game for game in games if _columns(game, scope)], scope) for agent, games in shared.items()
        }
        points = {agent: array for agent, (seeds, array) in of_scope.items() if seeds}
        found = stats.rank_correlation(points, generator(bootstrap_seed, "bootstrap", "rank correlation", scope))
        if math.isnan(found.value) and scope == ALL_PERTURBATIONS:
            return (), found.reason
        value = Bounded(found.value, found.low, found.high)
        rows.append(CorrelationRow(family=scope, value=value, num_agents=found.num_agents, note=found.reason))
    return tuple(rows), ""


def _components(shared: Shared, bootstrap_seed: int, share: Share) -> tuple[tuple[ComponentRow, ...], str]:
    usable: list[GameScores] = []
    reasons: dict[str, list[str]] = {}
    for agent, games in shared.items():
        for game in games:
            if reason := _cannot_split(game):
                reasons.setdefault(reason, []).append(f"{agent} on {game.game}")
            else:
                usable.append(game)
    rows = share(partial(_component_rows, bootstrap_seed=bootstrap_seed), usable)
    said = "; ".join(f"{reason}: {_listed(names)}" for reason, names in reasons.items())
    return tuple(row for of_game in rows for row in of_game), said


def _cannot_split(game: GameScores) -> str:
    """Return why an agent's variance in a game cannot be split; empty where it can."""
    if len(game.train_seeds) < 2:
        return "one train seed"
    if _whole_episodes(game).shape[2] < 2:
        return "one episode a cell"
    return "episodes repeat each other (greedy play)" if _repeats(game) else ""


def _split(game: GameScores, rng: np.random.Generator) -> VarianceComponents:
    scores = game.scores
    seed, cell, episode = np.nonzero(~np.isnan(scores))
    return stats.variance_components(scores[seed, cell, episode], seed, cell, rng)


def _component_rows(game: GameScores, bootstrap_seed: int) -> list[ComponentRow]:
    rng = generator(bootstrap_seed, "bootstrap", "components", game.agent, game.game)
    found = _split(game, rng)
    total = float(np.nansum(found.variance))
    # Below three train seeds nothing that differs between them has an interval; episodes have one.
    has_bounds = [
        component == stats.COMPONENTS[-1] or found.num_train_seeds >= stats.MIN_INTERVAL_SEEDS
        for component in stats.COMPONENTS
    ]
    low, high = (np.where(has_bounds, ends, np.nan) for ends in (found.low, found.high))
    return [
        ComponentRow(
            agent=game.agent,
            game=game.game,
            component=component,
            variance=Bounded(float(found.variance[place]), float(low[place]), float(high[place])),
            share=float(found.variance[place]) / total if total > 0 else math.nan,
            num_seeds=found.num_train_seeds,
            num_cells=found.num_cells,
            num_episodes=found.num_episodes,
        )
        for place, component in enumerate(stats.COMPONENTS)
    ]


def _tails(shared: Shared, bootstrap_seed: int, share: Share) -> tuple[tuple[TailRow, ...], str]:
    rows: list[TailRow] = []
    reasons: dict[str, list[str]] = {}
    found = share(partial(_tails_of, bootstrap_seed=bootstrap_seed), list(shared.items()))
    for agent, of_agent in zip(shared, found, strict=True):
        for one in of_agent:
            if isinstance(one, str):
                reasons.setdefault(one, []).append(agent)
            else:
                rows.append(one)
    return tuple(rows), "; ".join(f"{reason} ({_listed(names)})" for reason, names in reasons.items())


def _tails_of(one: tuple[str, Sequence[GameScores]], bootstrap_seed: int) -> list[TailRow | str]:
    """Return the tails of an agent, each the reason why there is none instead."""
    agent, games = one
    if any(_repeats(game) for game in games):
        return ["episodes repeat each other (greedy play)"]
    rows: list[TailRow | str] = []
    for kind in TailKind.__args__:
        groups = _groups(games, kind)
        blocks = [_grouped_episodes(game, groups, kind) for game in games]
        rng = generator(bootstrap_seed, "bootstrap", "tails", agent, kind)
        found = _tail_of(kind, blocks, rng) if groups else None
        if found is None or math.isnan(found.value):
            rows.append(f"{kind}: {found.reason if found else 'no group is in every game'}")
        else:
            rows.append(_tail_row(agent, kind, groups, found, (len(games), blocks[0].shape[2])))
    return rows


def _groups(games: Sequence[GameScores], kind: TailKind) -> list[str]:
    """Return the families, or the cells, that are in every game."""
    named = [dict.fromkeys(_group(game, kind, column) for column in _perturbed(game)) for game in games]
    return [name for name in named[0] if all(name in names for names in named)]


def _group(game: GameScores, kind: TailKind, column: int) -> str:
    return game.cells[column].family if kind == "worst family" else game.cells[column].label


def _perturbed(game: GameScores) -> list[int]:
    return [column for column, cell in enumerate(game.cells) if cell.label != CLEAN]


def _grouped_episodes(game: GameScores, groups: Sequence[str], kind: TailKind) -> FloatArray:
    """Return the mean score of each episode over the cells of each group, (num_seeds, num_groups, num_episodes)."""
    episodes = _whole_episodes(game)
    columns = {name: [column for column in _perturbed(game) if _group(game, kind, column) == name] for name in groups}
    means = [episodes[:, some].mean(axis=1) for some in columns.values()]
    return np.stack(means, axis=1) if means else episodes[:, :0]


def _tail_of(kind: TailKind, blocks: Sequence[FloatArray], rng: np.random.Generator) -> Tail:
    if kind == "worst family":
        return stats.worst_group(blocks, rng)
    return stats.conditional_value_at_risk(blocks, TAIL_SHARE, rng)


def _tail_row(agent: str, kind: TailKind, groups: Sequence[str], found: Tail, counts: tuple[int, int]) -> TailRow:
    most = int(np.argmax(found.chosen))
    # Of a choice of several groups each has its part; times their number it is the share of splits that chose it.
    amount = 1.0 if kind == "worst family" else max(1.0, TAIL_SHARE * len(groups))
    return TailRow(
        agent=agent,
        kind=kind,
        value=Bounded(found.value, found.low, found.high),
        naive=found.naive,
        chosen=groups[most],
        chosen_share=min(1.0, float(found.chosen[most]) * amount),
        num_groups=len(groups),
        num_games=counts[0],
        num_seeds=found.num_seeds,
        num_episodes=counts[1],
        note=found.reason,
    )


def _normalisers(shared: Shared) -> tuple[tuple[NormaliserRow, ...], tuple[AgreementRow, ...], str]:
    agents = list(shared)
    first = shared[agents[0]]
    usable = [place for place, game in enumerate(first) if game.reference.human > game.reference.random]
    if len(agents) < 2 or not usable:
        reason = "1 agent: there is no order" if len(agents) < 2 else "no game's human score is above random play"
        return (), (), reason
    means = {
        agent: [np.nanmean(shared[agent][place].returns, axis=2).mean(axis=0) for place in usable] for agent in agents
    }
    games = [first[place] for place in usable]
    clean = [[row[game.labels.index(CLEAN)] for row, game in zip(of, games, strict=True)] for of in means.values()]
    perturbed = [
        [over_cells(row, list(columns_by_perturbation(game).values())) for row, game in zip(of, games, strict=True)]
        for of in means.values()
    ]
    references = np.array([game.reference for game in games]).T
    returns = stats.Returns(np.array(clean), np.array(perturbed), *references)
    found = stats.normaliser_sensitivity([game.game for game in games], returns)
    rows = tuple(
        NormaliserRow(
            agent=agent,
            normaliser=name,
            score=float(ranking.scores[place]),
            rank=float(ranking.ranks[place]),
            num_games=len(ranking.games),
            left_out=ranking.left_out,
        )
        for name, ranking in found.rankings.items()
        for place, agent in enumerate(agents)
    )
    names = list(found.rankings)
    agreement = tuple(
        AgreementRow(
            normaliser_x=one,
            normaliser_y=other,
            tau=float(found.agreement[i, names.index(other)]),
            num_agents=len(agents),
        )
        for i, one in enumerate(names)
        for other in names[i + 1 :]
    )
    is_ordered = len(agents) >= stats.MIN_AGENTS_FOR_AGREEMENT
    return rows, agreement if is_ordered else (), found.reason


def _games(shared: Shared, share: Share) -> tuple[tuple[GameRow, ...], tuple[NewGameRow, ...], str]:
    places = range(len(next(iter(shared.values()))))
    defined = [place for place in places if all(games[place].has_retention for games in shared.values())]
    found = share(partial(_games_of, defined=defined), list(shared.items()))
    means = [row for _, of_agent in found for row in of_agent]
    scores = [row for row in means if row.measure == "normalised_score"]
    return tuple(row for of_agent, _ in found for row in of_agent), tuple(means), scores[0].note if scores else ""


def _games_of(one: tuple[str, Sequence[GameScores]], defined: Sequence[int]) -> tuple[list[GameRow], list[NewGameRow]]:
    """Return the measures of an agent by game, and of their means; retention in the games at the defined places."""
    agent, every = one
    rows: list[GameRow] = []
    means: list[NewGameRow] = []
    for measure in _FOR_GAMES:
        games = list(every) if measure == "normalised_score" else [every[place] for place in defined]
        if games:
            of_games, of_mean = _per_game(agent, measure, games)
            rows += of_games
            means += of_mean
    return rows, means


def _per_game(agent: str, measure: Measure, games: Sequence[GameScores]) -> tuple[list[GameRow], list[NewGameRow]]:
    """Return a measure of an agent in each game, and the row of its mean; nothing where a game has no number."""
    is_score = measure == "normalised_score"
    each = [] if is_score else [_retention([game]) for game in games]
    # The error of a ratio is not known.
    values = (
        [_score_and_error(game) for game in games] if is_score else [(one.retention.value, math.nan) for one in each]
    )
    value, error = np.array(values).T
    if np.isnan(value).any():
        return [], []
    found = stats.per_game(value, error)
    rows = [
        GameRow(
            agent=agent,
            game=game.game,
            measure=measure,
            value=float(found.value[place]),
            error=float(found.error[place]),
            without=float(found.without[place]),
            **({} if is_score else _beside(each[place])),
            **({} if is_score or len(games) == 1 else _beside_without(games, place)),
            num_seeds=len(game.train_seeds),
            num_cells=len(_perturbed(game)),
        )
        for place, game in enumerate(games)
    ]
    mean = NewGameRow(
        agent=agent,
        measure=measure,
        mean=Bounded(found.mean, found.mean_low, found.mean_high),
        new_game=Bounded(found.mean, found.new_low, found.new_high),
        between_sd=found.between_sd,
        **({} if is_score else _beside(_retention(games))),
        most_influential=games[found.most_influential].game if len(games) > 1 else "",
        num_games=len(games),
        note=found.reason,
    )
    return rows, [mean]


def _retention(games: Sequence[GameScores]) -> Averages:
    """Return an agent's retention over all perturbations of some games in which it is defined."""
    return retentions(games, [[list(columns_by_perturbation(game).values()) for game in games]])[0]


def _beside(averaged: Averages) -> dict[str, float]:
    """Return what stands beside an average of retention, by the names of fields."""
    return {
        "capped_retention": averaged.capped_retention.value,
        "kept_share": averaged.kept_share,
        "lost_share": averaged.lost_share,
    }


def _beside_without(games: Sequence[GameScores], place: int) -> dict[str, float]:
    others = [game for other, game in enumerate(games) if other != place]
    return {f"without_{name}": value for name, value in _beside(_retention(others)).items()}


def _score_and_error(game: GameScores) -> tuple[float, float]:
    """Return the mean perturbed score of a game and its standard error over train seeds."""
    of_seeds = over_cells(game.means, list(columns_by_perturbation(game).values()))
    count = len(of_seeds)
    return float(of_seeds.mean()), float(of_seeds.std(ddof=1)) / math.sqrt(count) if count > 1 else math.nan


def _whole_episodes(game: GameScores) -> FloatArray:
    """Return the scores of the episodes that every job of the game has, (num_seeds, num_cells, num_episodes)."""
    return game.scores[..., ~np.isnan(game.scores).any(axis=(0, 1))]


def _repeats(game: GameScores) -> bool:
    """Whether some episodes of a checkpoint are copies of each other, which halves or variances would take for news."""
    return bool((game.distinct < (~np.isnan(game.returns)).sum(axis=2)).any())


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
