"""What the agents of one table played, as arrays, and each agent's own numbers with their intervals.

A table is about one version of a suite, or about several suites together. Every average is that of the reports: train
seeds, then severities, then perturbations, then (in the table over all suites) suites, then games, each counting the
same. Intervals of agents with too few train seeds (`are_enough`) are over the episodes of these checkpoints only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from msgspec.structs import replace

from wsabench import stats
from wsabench.games import load_game
from wsabench.leaderboard.result import EntryResult, as_result
from wsabench.leaderboard.schema import Entry
from wsabench.results.manifest import RecordedPlan, ReferenceScores
from wsabench.results.records import CLEAN
from wsabench.results.tables import with_labels
from wsabench.seeding import generator
from wsabench.stats import Blocks, are_enough
from wsabench.summary.averages import Averages, Columns, Scope, averages, balanced, undefined_note
from wsabench.summary.rows import UNKNOWN, Bounded, grouped
from wsabench.summary.scores import RANDOM_AGENT, GameScores, collect_scores, reference_scores
from wsabench.types import FloatArray

Unit = Literal["train seeds", "episodes"]
"""What intervals and comparisons of an agent are over."""
ROBUST = "all perturbations"
SUITE_MARK = ":"
"""Joins suite and perturbation where several suites are in one table; no name of a perturbation holds it."""


class Played(NamedTuple):
    """What one agent played in one game, in the suites of a table."""

    scores: GameScores
    clean: tuple[int, ...]
    """The columns of clean play, one for each suite that has it."""
    suites: Mapping[str, Mapping[str, tuple[int, ...]]]
    """By suite and perturbation (without severity) the columns of its severities; no suite without a perturbation."""

    @property
    def game(self) -> str:
        """The game's id."""
        return self.scores.game

    @property
    def robust(self) -> Columns:
        """The perturbed cells: one list for each suite, in which every perturbation counts the same."""
        return [balanced(list(of.values())) for of in self.suites.values()]

    @property
    def families(self) -> dict[str, Columns]:
        """The perturbed cells of each family, arranged as `robust`."""
        cells = self.scores.cells
        found: dict[str, list[list[int]]] = {}
        for of in self.suites.values():
            by_family = grouped(of.values(), lambda columns: cells[columns[0]].family)
            for family, perturbations in by_family.items():
                found.setdefault(family, []).append(balanced(perturbations))
        return dict(found)

    @property
    def perturbations(self) -> dict[str, Columns]:
        """The cells of each perturbation, over its severities."""
        return {name: [list(columns)] for of in self.suites.values() for name, columns in of.items()}


class Beside(NamedTuple):
    """What stands beside an average of retention, as in `Averages`, so that gains in some cells hide no collapse."""

    capped: Bounded
    """The mean where each cell counts 1 at most; with bounds over train seeds only where these are enough."""
    kept_share: float
    """Share of cells that keep at least 0.8 of the clean score, weighted as the average is; NaN where undefined."""
    lost_share: float
    """Share of cells that keep at most 0.1 of it."""


class Marks(NamedTuple):
    """One agent's numbers in a table."""

    unit: Unit
    num_seeds: int
    """Train seeds, the fewest of any game."""
    robust: Bounded
    """Mean normalised score over all perturbations; NaN where no game has reference scores."""
    clean: Bounded
    retention: Bounded
    """NaN where undefined, and in a table of several suites."""
    retention_note: str
    """Why retention is undefined; empty where it is defined."""
    beside: Beside
    """Beside `retention`, and undefined with it."""
    families: Mapping[str, Bounded]
    """Mean normalised score by family."""
    family_retention: Mapping[str, Bounded]
    """Retention by family, as `retention`."""
    family_beside: Mapping[str, Beside]
    """Beside `family_retention`."""
    perturbations: Mapping[str, Bounded]
    """Mean normalised score by perturbation, without severity."""
    num_cells: int
    """Perturbed cells, over all games with reference scores."""
    num_episodes: int
    """Episodes of all cells, train seeds and games."""

    @property
    def worst_family(self) -> tuple[str, Bounded]:
        """The family with the lowest mean score."""
        return _lowest(self.families)

    @property
    def worst_perturbation(self) -> tuple[str, Bounded]:
        """The perturbation with the lowest mean score."""
        return _lowest(self.perturbations)


def result_of(entries: Mapping[str, Entry]) -> EntryResult:
    """Return the entries of one suite version as a result set, normalised by this version's reference scores.

    Args:
        entries: Entries that were played alike, by the agents' names.
    """
    games = {game for entry in entries.values() for game in entry.games}
    known = {game: load_game(game) for game in games}
    scores = {game: ReferenceScores(random=one.random_score, human=one.human_score) for game, one in known.items()}
    named = {
        name: replace(entry, reference_scores={game: scores[game] for game in entry.games})
        for name, entry in entries.items()
    }
    return as_result(named)


def play_of_suite(result: EntryResult, suite: str) -> dict[str, list[Played]]:
    """Return what each agent played in one suite, by the agents' names.

    Args:
        result: The entries of one version of the suite.
        suite: Its name.
    """
    plan = result.manifest.plan
    scores = _collect(with_labels(result.episodes), plan)
    return {agent: [_played(game, {suite: ""}) for game in games] for agent, games in scores.items()}


def play_of_suites(results: Mapping[str, EntryResult]) -> dict[str, list[Played]]:
    """Return what each agent played in several suites, by the agents' names.

    An agent's train seeds are those that it has in all suites that it played in a game.

    Args:
        results: The entries of one version of each suite, by the suites' names.
    """
    frames: list[pd.DataFrame] = []
    for suite, result in results.items():
        episodes = with_labels(result.episodes)
        marked = {name: suite + SUITE_MARK + episodes[name] for name in ("perturbation", "label")}
        frames.append(episodes.assign(suite=suite, **marked))
    episodes = _with_common_seeds(pd.concat(frames, ignore_index=True))
    plan = next(iter(results.values())).manifest.plan
    prefixes = {suite: suite + SUITE_MARK for suite in results}
    return {
        agent: [_played(game, prefixes) for game in games]
        for agent, games in _collect(episodes, plan, is_joined=True).items()
    }


def unit_of(games: Sequence[Played], num_games: int | None = None) -> Unit:
    """Return what an agent's intervals and comparisons are over: train seeds, where these `are_enough`.

    Args:
        games: The agent's games.
        num_games: The number of games that are averaged; None: those with reference scores.
    """
    # Without any reference scores nothing is averaged, and each game stands by itself.
    count = max(1, sum(game.scores.is_known for game in games)) if num_games is None else num_games
    return "train seeds" if are_enough(fewest_seeds(games), count) else "episodes"


def fewest_seeds(games: Sequence[Played]) -> int:
    """Return how many train seeds an agent has, in the game in which it has fewest."""
    return min(len(game.scores.train_seeds) for game in games)


def marks_of(games: Sequence[Played], bootstrap_seed: int) -> Marks:
    """Return the numbers of one agent.

    Args:
        games: Its games.
        bootstrap_seed: Fixes the resampling.
    """
    known = [game for game in games if game.scores.is_known]
    scores = [game.scores for game in known]
    parts = {"families": _scopes(known, "families"), "perturbations": _scopes(known, "perturbations")}
    scopes = {ROBUST: _scope([game.robust for game in known]), CLEAN: _scope([[game.clean] for game in known])}
    every = {(kind, name): scope for kind, of in {"": scopes, **parts}.items() for name, scope in of.items() if scope}
    keys = {f"{kind}/{name}": scope for (kind, name), scope in every.items()}
    averaged = averages(scores, keys, bootstrap_seed, clean=f"/{CLEAN}") if keys else {}
    unit = unit_of(games)
    seeds = fewest_seeds(games)
    found = {key: _bounded(one.normalised_score, seeds, one.num_games) for key, one in averaged.items()}
    kept = {key: _bounded(one.retention, seeds, one.num_retention_games) for key, one in averaged.items()}
    beside = {key: _beside(one, seeds) for key, one in averaged.items()}
    if unit == "episodes":
        found = _with_bounds(found, _over_episodes(scores, keys, bootstrap_seed))
        kept = _with_bounds(kept, _retention_over_episodes(known, keys, bootstrap_seed))
    of_kind = {kind: {name: found[f"{kind}/{name}"] for name in of} for kind, of in parts.items()}
    retention = kept.get(f"/{ROBUST}", UNKNOWN)
    return Marks(
        unit=unit,
        num_seeds=seeds,
        robust=found.get(f"/{ROBUST}", UNKNOWN),
        clean=found.get(f"/{CLEAN}", UNKNOWN),
        retention=retention,
        retention_note=_retention_note(games, averaged.get(f"/{ROBUST}"), retention),
        beside=beside.get(f"/{ROBUST}", Beside(UNKNOWN, math.nan, math.nan)),
        families=of_kind["families"],
        family_retention={name: kept[f"families/{name}"] for name in parts["families"]},
        family_beside={name: beside[f"families/{name}"] for name in parts["families"]},
        perturbations=of_kind["perturbations"],
        num_cells=sum(len(columns) for game in known for of in game.suites.values() for columns in of.values()),
        num_episodes=int(sum(game.scores.num_episodes.sum() for game in games)),
    )


def complete_rows(game: Played) -> npt.NDArray[np.bool_]:
    """Return which episode seeds every cell and train seed of a game has, shape (num_episodes,)."""
    return np.isfinite(game.scores.returns.sum(axis=(0, 1)))


def distinct_share(game: GameScores, columns: Sequence[int]) -> float:
    """Return which share of a cell's episodes differ from each other, 0 to 1: the smallest over cells and train seeds.

    Args:
        game: What an agent played in a game.
        columns: The columns of the cells.
    """
    used = list(columns)
    return float((game.distinct[:, used] / game.num_episodes[:, used]).min())


def _lowest(values: Mapping[str, Bounded]) -> tuple[str, Bounded]:
    known = {name: one for name, one in values.items() if math.isfinite(one.value)}
    return min(known.items(), key=lambda item: (item[1].value, item[0])) if known else ("", UNKNOWN)


def _bounded(one: Bounded, num_seeds: int, num_games: int) -> Bounded:
    """Return a number with its bounds over train seeds, or without where these are too few over its own games."""
    return one if are_enough(num_seeds, num_games) else Bounded(one.value)


def _beside(averaged: Averages, num_seeds: int) -> Beside:
    """Return what stands beside a retention; bounds over train seeds are none over these episodes."""
    capped = _bounded(averaged.capped_retention, num_seeds, averaged.num_retention_games)
    return Beside(capped, averaged.kept_share, averaged.lost_share)


def _with_common_seeds(episodes: pd.DataFrame) -> pd.DataFrame:
    """Keep, for each agent and game, the train seeds that it has in all its suites there."""
    same = ["agent", "game"]
    suites = episodes.groupby(same)["suite"].transform("nunique")
    of_seed = episodes.groupby([*same, "train_seed"])["suite"].transform("nunique")
    return episodes.loc[of_seed == suites]


def _collect(episodes: pd.DataFrame, plan: RecordedPlan, *, is_joined: bool = False) -> dict[str, list[GameScores]]:
    """Return the scores of each agent; in cells that change the game itself, beside random play where there is any."""
    built_in = [one.agent for one in plan.agents if one.kind == "built-in" and one.source == RANDOM_AGENT]
    of_random = episodes.loc[episodes["agent"].isin(built_in[:1]), ["game", "label", "return"]]
    means = of_random.groupby(["game", "label"], as_index=False).mean()
    played = {(game, label): float(mean) for game, label, mean in means.itertuples(index=False)}
    references = reference_scores(list(episodes["game"].unique()), plan)
    scores, _ = collect_scores(episodes, plan, references, {} if is_joined else played)
    return grouped(scores, lambda game: game.agent)


def _played(scores: GameScores, prefixes: Mapping[str, str]) -> Played:
    """Arrange the cells of a game by suite and perturbation."""
    clean: list[int] = []
    suites: dict[str, dict[str, tuple[int, ...]]] = {}
    for column, cell in enumerate(scores.cells):
        suite = next(name for name, prefix in prefixes.items() if cell.perturbation.startswith(prefix))
        if cell.perturbation == prefixes[suite] + CLEAN:
            clean.append(column)
            continue
        of = suites.setdefault(suite, {})
        of[cell.perturbation] = (*of.get(cell.perturbation, ()), column)
    return Played(scores, tuple(clean), suites)


def _scope(columns: Sequence[Columns]) -> Scope:
    """Return the cells of each game as a scope; games without any are left out."""
    return {place: of for place, of in enumerate(columns) if any(of)}


def _scopes(games: Sequence[Played], kind: Literal["families", "perturbations"]) -> dict[str, Scope]:
    each: list[dict[str, Columns]] = [getattr(game, kind) for game in games]
    names = dict.fromkeys(name for of in each for name in of)
    return {name: {place: of[name] for place, of in enumerate(each) if name in of} for name in names}


def _over_episodes(
    games: Sequence[GameScores], scopes: Mapping[str, Scope], bootstrap_seed: int
) -> dict[str, tuple[float, float]]:
    """Return the bounds over episodes of these checkpoints of each scope's mean score."""
    if not scopes:
        return {}
    weights = [np.zeros((len(game.cells), len(scopes))) for game in games]
    for column, scope in enumerate(scopes.values()):
        for place, of in scope.items():
            for cells in of:
                np.add.at(weights[place][:, column], list(cells), 1.0 / (len(cells) * len(of) * len(scope)))

    def statistic(blocks: Blocks) -> FloatArray:
        return np.sum([block.mean(axis=-2) @ weight for block, weight in zip(blocks, weights, strict=True)], axis=0)

    samples = [(game.uncertain_scores, game.drawn_episodes) for game in games]
    rng = generator(bootstrap_seed, "leaderboard", "episodes", games[0].agent, *(game.game for game in games))
    found = stats.episode_interval(statistic, [samples], rng)
    return {name: (float(found.low[place]), float(found.high[place])) for place, name in enumerate(scopes)}


def _with_bounds(values: Mapping[str, Bounded], bounds: Mapping[str, tuple[float, float]]) -> dict[str, Bounded]:
    return {name: Bounded(one.value, *bounds.get(name, ())) for name, one in values.items()}


def _retention_over_episodes(
    games: Sequence[Played], scopes: Mapping[str, Scope], bootstrap_seed: int
) -> dict[str, tuple[float, float]]:
    """Return the bounds of each scope's retention over episodes of these checkpoints, over the games that define it."""
    defined = [place for place, game in enumerate(games) if game.scores.has_retention and len(game.clean) == 1]
    names = [name for name, scope in scopes.items() if set(scope) & set(defined)]
    if not names:
        return {}
    weights = [np.zeros((len(games[place].scores.cells), len(names))) for place in defined]
    for column, name in enumerate(names):
        for weight, place in zip(weights, defined, strict=True):
            for cells in scopes[name].get(place, ()):
                np.add.at(weight[:, column], list(cells), 1.0 / (len(cells) * len(scopes[name][place])))
    counts = np.sum([weight.any(axis=0) for weight in weights], axis=0)

    def statistic(blocks: Blocks) -> FloatArray:
        each: list[FloatArray] = []
        for block, place, weight in zip(blocks, defined, weights, strict=True):
            means = block.mean(axis=-2)
            perturbed = means[:, len(weight) :] @ weight
            clean = np.broadcast_to(means[:, games[place].clean[0], None], perturbed.shape)
            each.append(np.where(weight.any(axis=0), stats.retention(clean, perturbed), 0.0))
        return np.sum(each, axis=0) / counts

    samples = [(_with_above_random(games[place].scores), games[place].scores.drawn_episodes) for place in defined]
    about = (games[0].scores.agent, *(games[place].game for place in defined))
    found = stats.episode_interval(statistic, [samples], generator(bootstrap_seed, "leaderboard", "retention", *about))
    return {name: (float(found.low[place]), float(found.high[place])) for place, name in enumerate(names)}


def _with_above_random(game: GameScores) -> FloatArray:
    """Return the episodes of all cells, then the same above random play of the changed game."""
    scores = game.uncertain_scores
    return np.concatenate([scores, scores - np.nan_to_num(game.random_shift)[:, None]], axis=1)


def _retention_note(games: Sequence[Played], average: Averages | None, retention: Bounded) -> str:
    """Return why retention is undefined, or in which games; empty where there is nothing to say."""
    if average is None or any(len(game.clean) > 1 for game in games):
        return ""
    notes = [note for game in games if game.scores.is_known and (note := undefined_note(game.scores))]
    if not notes and not math.isfinite(retention.value):
        return average.note
    return "; ".join(notes)
