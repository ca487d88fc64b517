"""The measures of a cell, a perturbation or all cells: one definition of each average for every table of a report.

An average takes train seeds first, then the severities of a perturbation, then the perturbations of a game, then games,
each counting the same. Agents, games and cells that lack a number leave the average, and the note names them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from msgspec import structs

from wsabench import stats
from wsabench.results.records import CLEAN
from wsabench.seeding import generator
from wsabench.stats import Estimate, GameSeeds, RatioEstimate, Region
from wsabench.summary.rows import UNKNOWN, Bounded, grouped
from wsabench.summary.scores import GameScores
from wsabench.types import BoolArray, FloatArray
from wsabench.words import decimal

NOTABLE_SHIFT = 0.05
"""Where a perturbation moves the normalised score of random play by more, both versions of a measure are shown: above
random play of the changed and of the unchanged game."""

Columns = Sequence[Sequence[int]]
"""Cells of a game: one entry for each perturbation, which holds the columns of its severities."""
Scope = Mapping[int, Columns]
"""What an average is over: for each game, by its place, the cells of that game."""


class Averages(NamedTuple):
    """The measures of one agent over the cells of a scope, with intervals over train seeds."""

    normalised_score: Bounded
    """The mean normalised score."""
    retention: Bounded
    """The mean retention, corrected for bias."""
    plain_retention: float
    """The mean retention by the ratio of means as it is."""
    capped_retention: Bounded
    """The mean retention where each cell counts 1 at most."""
    kept_share: float
    """Share of cells that keep at least 0.8 of the clean score."""
    lost_share: float
    """Share of cells that keep at most 0.1 of it."""
    robustness_gap: Bounded
    """The mean robustness gap."""
    retention_clean_random: float
    """Retention above random play of the unchanged game, where the scope changes what random play scores; else NaN."""
    gap_clean_random: float
    """The robustness gap in the same way."""
    num_games: int
    """Number of games that enter the score."""
    num_seeds: int
    """Number of train seeds, the fewest of any game."""
    num_retention_games: int
    """Number of games that enter the retention."""
    note: str
    """What is undefined or left out, and how little the intervals say; empty when nothing is to be said."""


_UNDEFINED = Averages(
    *(UNKNOWN, UNKNOWN, math.nan, UNKNOWN, math.nan, math.nan, UNKNOWN, math.nan, math.nan), 0, 0, 0, ""
)


def averages(
    games: Sequence[GameScores], scopes: Mapping[str, Scope], bootstrap_seed: int, *, clean: str = CLEAN
) -> dict[str, Averages]:
    """Return the measures of one agent over several scopes.

    Args:
        games: The agent's games.
        scopes: What to average over, by name.
        bootstrap_seed: Seed of the resampling; equal scopes get equal intervals, whatever else is asked for.
        clean: The name of the scope that is clean play: its retention is 1 and its gap 0 by definition, without
            interval.

    Returns:
        The averages by name.
    """
    known = {name: [place for place in scope if games[place].is_known] for name, scope in scopes.items()}
    found: dict[str, Averages] = {}
    for places in dict.fromkeys(map(tuple, known.values())):
        names = [name for name, used in known.items() if tuple(used) == places]
        found |= _over_games(games, {name: scopes[name] for name in names}, places, bootstrap_seed, clean)
    return {name: found[name] for name in scopes}


def columns_by_perturbation(game: GameScores, *, with_clean: bool = False) -> dict[str, list[int]]:
    """Return the columns of each perturbation's severities, in the order of the run.

    Args:
        game: The scores.
        with_clean: Whether clean play is one of them.
    """
    places = (column for column, cell in enumerate(game.cells) if with_clean or cell.label != CLEAN)
    return grouped(places, lambda column: game.cells[column].perturbation)


def balanced(columns: Columns) -> list[int]:
    """Return columns, repeated so that their plain mean counts every perturbation the same.

    Args:
        columns: The severities of each perturbation.
    """
    common = math.lcm(*map(len, columns))
    return [column for severities in columns for column in severities for _ in range(common // len(severities))]


def over_cells(values: FloatArray, columns: Columns) -> FloatArray:
    """Average cells of one game: the severities of a perturbation, then perturbations.

    Args:
        values: Shape (..., num_cells).
        columns: The severities of each perturbation.

    Returns:
        Shape (...).
    """
    return np.mean([values[..., list(severities)].mean(axis=-1) for severities in columns], axis=0)


def _over_games(
    games: Sequence[GameScores],
    scopes: Mapping[str, Scope],
    places: tuple[int, ...],
    bootstrap_seed: int,
    clean: str,
) -> dict[str, Averages]:
    """Return the averages of scopes that have the same games with reference scores."""
    unknown = {name: [games[place].game for place in scope if place not in places] for name, scope in scopes.items()}
    notes = {name: f"no reference scores for {', '.join(some)}" if some else "" for name, some in unknown.items()}
    if not places:
        return {
            name: _UNDEFINED._replace(note=notes[name], num_seeds=min(len(games[place].train_seeds) for place in scope))
            for name, scope in scopes.items()
        }
    used = [games[place] for place in places]
    with_clean = [place for place in places if games[place].clean_column is not None]
    columns = [[scope[place] for scope in scopes.values()] for place in places]
    of_clean = [columns[places.index(place)] for place in with_clean]
    scores = _scores(used, columns, bootstrap_seed)
    gaps = _gaps([games[place] for place in with_clean], of_clean, bootstrap_seed)
    of_scopes = retentions(used, [list(of_scope) for of_scope in zip(*columns, strict=True)])
    shifted = _gaps_clean_random([games[place] for place in with_clean], of_clean, len(scopes))
    lacking = _without_clean(used)
    defined = [len(game.train_seeds) for game in used if game.has_retention]
    few = stats.seed_note(min(defined), len(defined)) if defined else ""
    of_retention = f"retention: {few}" if few not in ("", scores.note) else ""
    found: dict[str, Averages] = {}
    for place, name in enumerate(scopes):
        texts = [scores.note, notes[name], lacking, of_scopes[place].note, of_retention if name != clean else ""]
        found[name] = of_scopes[place]._replace(
            normalised_score=Bounded.of(scores, place),
            robustness_gap=UNKNOWN if gaps is None else Bounded.of(gaps, place),
            gap_clean_random=shifted[place],
            num_games=len(places),
            num_seeds=scores.num_seeds,
            note="; ".join(dict.fromkeys(text for text in texts if text)),
        )
        if name == clean:
            found[name] = _of_clean(found[name])
    return found


def _scores(games: Sequence[GameScores], columns: Sequence[Sequence[Columns]], bootstrap_seed: int) -> Estimate:
    blocks = [_over_scopes(game.means, scopes) for game, scopes in zip(games, columns, strict=True)]
    return stats.studentised_interval(blocks, generator(bootstrap_seed, "bootstrap", "scores", *_names(games)))


def _gaps(games: Sequence[GameScores], columns: Sequence[Sequence[Columns]], bootstrap_seed: int) -> Estimate | None:
    if not games:
        return None
    blocks = [
        game.means[:, clean, None] - _over_scopes(game.above_random, scopes)
        for game, scopes in zip(games, columns, strict=True)
        if (clean := game.clean_column) is not None
    ]
    return stats.studentised_interval(blocks, generator(bootstrap_seed, "bootstrap", "gaps", *_names(games)))


def _over_scopes(values: FloatArray, scopes: Sequence[Columns]) -> FloatArray:
    """Return `over_cells` of several scopes of one game, shape (num_seeds, num_scopes)."""
    if all(len(columns) == 1 and len(columns[0]) == 1 for columns in scopes):
        return values[:, [columns[0][0] for columns in scopes]]
    return np.stack([over_cells(values, columns) for columns in scopes], axis=-1)


def _names(games: Sequence[GameScores]) -> tuple[str, str]:
    # Named without the cells: another perturbation in the suite moves no interval of this one.
    return games[0].agent, "+".join(game.game for game in games)


def retentions(games: Sequence[GameScores], scopes: Sequence[Sequence[Columns]]) -> list[Averages]:
    """Return the averages of retention over several scopes, and why some are undefined or without bounds.

    Scopes with as many cells in each game are computed at once.

    Args:
        games: One agent's games with reference scores.
        scopes: What to average over: for each scope the cells of each game.

    Returns:
        For each scope its averages, of which only the fields of retention and the note are filled in.
    """
    notes = [note for game in games if (note := undefined_note(game))]
    used = [place for place, game in enumerate(games) if game.has_retention]
    if not used:
        return [_UNDEFINED._replace(note="; ".join(notes))] * len(scopes)
    cells = [[balanced(scope[place]) for place in used] for scope in scopes]
    found: list[Averages] = [_UNDEFINED] * len(scopes)
    for alike in grouped(range(len(scopes)), lambda scope: tuple(map(len, cells[scope]))).values():
        of_alike = _retention_alike([games[place] for place in used], [cells[scope] for scope in alike], notes)
        for scope, one in zip(alike, of_alike, strict=True):
            found[scope] = one
    return found


def _retention_alike(
    games: Sequence[GameScores], cells: Sequence[Sequence[list[int]]], notes: Sequence[str]
) -> list[Averages]:
    """Return the fields of retention of scopes with as many cells in each game; all games define retention."""
    found = stats.retention_averages(_seeds(games, cells, [game.above_random for game in games]))
    mean, capped = found.mean, found.capped
    usual = stats.seed_note(mean.num_seeds, len(games))
    is_unknown = np.isnan(capped.low)
    if len(cells) > 1 and (mean.note != usual or is_unknown.any() != is_unknown.all()):
        # What is said of all of them at once need not hold for each.
        return [one for scope in cells for one in _retention_alike(games, [scope], notes)]
    shares = stats.kept_shares_of_each(found.cells)
    others = _retentions_clean_random(games, cells)
    said: list[Averages] = []
    for place, share in enumerate(shares):
        texts = list(notes)
        if mean.region[place] != Region.BOUNDED and mean.num_seeds >= stats.MIN_RATIO_SEEDS:
            where = "" if len(games) == 1 else " of some game"
            shape = Region(int(mean.region[place])).words
            texts.append(
                f"Fieller's set of the retention{where} has no bound ({shape}): any bounds shown are wider ones"
            )
        if mean.note != usual:
            texts.append(mean.note)
        said.append(
            _UNDEFINED._replace(
                retention=_bounded(mean, place),
                plain_retention=float(mean.plain[place]),
                capped_retention=_bounded(capped, place),
                kept_share=share.kept,
                lost_share=share.lost,
                retention_clean_random=others[place],
                num_retention_games=len(games),
                note="; ".join(texts),
            )
        )
    return said


def _seeds(
    games: Sequence[GameScores], cells: Sequence[Sequence[list[int]]], values: Sequence[FloatArray]
) -> list[GameSeeds]:
    """Return clean and perturbed scores of each game, one data set for each scope."""
    seeds: list[GameSeeds] = []
    for place, (game, scores) in enumerate(zip(games, values, strict=True)):
        columns = np.array([of_scope[place] for of_scope in cells])
        clean = game.means[:, game.clean_column]
        perturbed = np.ascontiguousarray(np.swapaxes(scores[:, columns], 0, 1))
        seeds.append((np.tile(clean, (len(cells), 1)), perturbed))
    return seeds


def _bounded(estimate: RatioEstimate, place: int) -> Bounded:
    return Bounded(*(float(part[place]) for part in (estimate.value, estimate.low, estimate.high)))


def _retentions_clean_random(games: Sequence[GameScores], cells: Sequence[Sequence[list[int]]]) -> list[float]:
    """Return the retention of each scope above random play of the unchanged game; NaN where that is what it is."""
    moved = [_is_shifted(game) for game in games]
    shifted = [
        place
        for place, scope in enumerate(cells)
        if any(of_game[columns].any() for of_game, columns in zip(moved, scope, strict=True))
    ]
    found = [math.nan] * len(cells)
    if shifted:
        seeds = _seeds(games, [cells[place] for place in shifted], [game.means for game in games])
        for place, value in zip(shifted, stats.mean_retention(seeds).value, strict=True):
            found[place] = float(value)
    return found


def undefined_note(game: GameScores) -> str:
    """Return why retention is undefined in a game; empty where it is defined.

    Args:
        game: One agent in one game with reference scores.
    """
    bound = game.clean_bound
    if bound is None or bound.is_defined:
        return ""
    low = "no lower bound" if math.isnan(bound.low) else f"one-sided 95% lower bound {decimal(bound.low)}"
    return (
        f"retention undefined on {game.game}: the clean score {decimal(bound.value)} is not surely above "
        f"{stats.CLEAN_FLOOR:g} ({low})"
    )


def _is_shifted(game: GameScores) -> BoolArray:
    """Whether each cell of a game changes notably what random play scores there, shape (num_cells,)."""
    return np.abs(np.nan_to_num(game.random_shift)) > NOTABLE_SHIFT


def _gaps_clean_random(
    games: Sequence[GameScores], columns: Sequence[Sequence[Columns]], num_scopes: int
) -> list[float]:
    """Return the gap of each scope above random play of the unchanged game; NaN where that is what it is."""
    moved = [_is_shifted(game) for game in games]
    found: list[float] = []
    for scope in range(num_scopes):
        used = [(game, of[scope], shifted) for game, of, shifted in zip(games, columns, moved, strict=True)]
        if not any(shifted[balanced(of)].any() for _, of, shifted in used if shifted.any()):
            found.append(math.nan)
            continue
        gaps = [(game.means[:, game.clean_column] - over_cells(game.means, of)).mean() for game, of, _ in used]
        found.append(float(np.mean(gaps)))
    return found


def _without_clean(used: Sequence[GameScores]) -> str:
    missing = [game.game for game in used if game.clean_column is None]
    return f"clean was not played on {', '.join(missing)}: no retention and no gap there" if missing else ""


def _of_clean(found: Averages) -> Averages:
    """Return the measures of clean play, set against itself: there is nothing to be uncertain about."""
    is_defined = found.num_retention_games > 0
    one = Bounded(1.0 if is_defined else math.nan)
    return found._replace(
        retention=one,
        plain_retention=one.value,
        capped_retention=one,
        robustness_gap=structs.replace(UNKNOWN, value=0.0),
    )
