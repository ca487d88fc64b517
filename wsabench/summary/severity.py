"""Robustness of each agent over the severities of a perturbation, beside a baseline, and ranks against clean."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from wsabench import stats
from wsabench.processes import Share, here
from wsabench.results.records import CLEAN
from wsabench.seeding import generator
from wsabench.stats import Blocks, DoseArea, Estimate, MeanDoseArea
from wsabench.summary.aggregates import ALL_PERTURBATIONS, by_agent
from wsabench.summary.averages import Scope, averages, columns_by_perturbation
from wsabench.summary.rows import UNKNOWN, Bounded, CellRow, DoseRow, MeasureRow, RankRow, grouped
from wsabench.summary.scores import GameScores
from wsabench.types import FloatArray

SHAPES = ("worst_score", "dose_area")
"""The measures over severities that are no averages of cells."""
_AVERAGED = (
    "retention",
    "plain_retention",
    "capped_retention",
    "kept_share",
    "lost_share",
    "num_retention_games",
    "robustness_gap",
)
"""What a row takes from `averages` as it is."""
ERRORS = ("corruption_error", "relative_corruption_error", "error_difference", "loss_difference")
"""The measures relative to a baseline: two ratios, which the baseline can leave undefined, and two differences beside
them."""
DEFAULT_BASELINE = "e2e"
"""The agent that is the baseline of corruption errors where it was played; else it is the agent named last."""

Effects = Mapping[str, Mapping[str, float]]
"""Mean change of the 84x84 observation in grey levels, by game and label."""


class _Entry(NamedTuple):
    """Where a perturbation's cells of one game stand in `_blocks`, severities rising."""

    game: int
    """The game's place."""
    columns: list[int]
    doses: list[float] | None
    """Grey levels of each column, NaN where they were not measured; None where the perturbation has no scale."""


Layout = dict[str, list[_Entry]]
"""For each perturbation one entry for each game that has it."""


def default_baseline(agents: Iterable[str]) -> str:
    """Return the agent that corruption errors are relative to where none is named.

    Args:
        agents: The names of the agents, at least one.
    """
    names = list(agents)
    return DEFAULT_BASELINE if DEFAULT_BASELINE in names else names[-1]


def measure_table(
    scores: Sequence[GameScores],
    bootstrap_seed: int,
    baseline: str | None = None,
    common: Sequence[GameScores] = (),
    effects: Effects | None = None,
    share: Share = here,
) -> tuple[MeasureRow, ...]:
    """Return one row for each agent and perturbation, averaged over games, and one over all perturbations.

    Args:
        scores: Every agent and game.
        bootstrap_seed: Seed of the resampling.
        baseline: The agent that corruption errors are relative to; None: `e2e`, or without it the last one.
        common: What all agents played, as `common_play` gives it. The row over all perturbations is about these cells;
            of an agent that is not there, about its own.
        effects: The doses: mean change of the observation in grey levels by game and label, as the manifest has it.
        share: Calls the computation of each agent, in this process or in others.

    Returns:
        The rows, agent by agent. docs/statistics.md defines the measures. What is undefined is NaN, and the note says
        why.
    """
    agents, shared = by_agent(scores), by_agent(common)
    chosen = baseline or default_baseline(agents)
    measured = [
        _Measured(agent, games, shared.get(agent, games), bool(common) and agent not in shared, agents.get(chosen, []))
        for agent, games in agents.items()
    ]
    rows = share(
        partial(_measure_rows, baseline=chosen, bootstrap_seed=bootstrap_seed, effects=effects or {}), measured
    )
    return tuple(row for of_agent in rows for row in of_agent)


class _Measured(NamedTuple):
    """An agent whose robustness is measured."""

    agent: str
    games: Sequence[GameScores]
    whole: Sequence[GameScores]
    """What all agents played, or the agent's own cells."""
    is_apart: bool
    """Whether it is about its own cells while others share theirs."""
    of_baseline: Sequence[GameScores]
    """The games of the baseline."""


def _measure_rows(one: _Measured, *, baseline: str, bootstrap_seed: int, effects: Effects) -> list[MeasureRow]:
    agent, games, whole = one.agent, one.games, one.whole
    by_perturbation, all_of = _by_perturbation(games), _whole(whole)
    if not by_perturbation:
        return []
    found = averages(games, by_perturbation, bootstrap_seed) | averages(whole, all_of, bootstrap_seed)
    shapes = _shapes(games, bootstrap_seed, effects)
    if [(game.game, game.cells) for game in games] != [(game.game, game.cells) for game in whole]:
        shapes[ALL_PERTURBATIONS] = _shapes(whole, bootstrap_seed, effects).get(ALL_PERTURBATIONS, _Shape())
    errors, error_note = _errors(one, baseline, list(by_perturbation), bootstrap_seed)
    rows: list[MeasureRow] = []
    for place, (name, scope) in enumerate({**by_perturbation, **all_of}.items()):
        average, shape = found[name], shapes.get(name, _Shape())
        used = whole if name in all_of else games
        about: dict[str, Any] = {field: getattr(average, field) for field in _AVERAGED}
        about |= {error: Bounded.of(errors, place, k) for k, error in enumerate(ERRORS)}
        row = MeasureRow(
            agent=agent,
            perturbation=name,
            num_severities=max(len(columns) for game in scope.values() for columns in game),
            num_games=average.num_games or len(scope),
            num_seeds=average.num_seeds,
            num_perturbations=len({other for at in scope for other in columns_by_perturbation(used[at])})
            if name in all_of
            else 1,
            num_cells=sum(len(columns) for at, game in scope.items() if used[at].is_known for columns in game),
            mean_score=average.normalised_score,
            **shape.fields(),
            **about,
            baseline=baseline,
            note="",
        )
        notes = [average.note, "over its own cells" if one.is_apart and name in all_of else "", shape.note]
        rows.append(replace(row, note=_note(row, "; ".join(filter(None, notes)), error_note)))
    return rows


def dose_table(cells: Iterable[CellRow], effects: Effects) -> tuple[DoseRow, ...]:
    """Return the curves over dose: each cell that has a severity and a measured change, by rising change.

    Args:
        cells: One row for each agent, game and cell.
        effects: Mean change of the observation in grey levels by game and label, as the manifest has it.

    Returns:
        The rows of an agent, game and perturbation one after another, where there are at least two different changes
        and the scores are known.
    """
    rows = [
        DoseRow(
            agent=cell.agent,
            game=cell.game,
            family=cell.family,
            perturbation=cell.perturbation,
            severity=cell.severity,
            label=cell.label,
            dose=effects[cell.game][cell.label],
            normalised_score=cell.normalised_score,
            num_seeds=cell.num_seeds,
        )
        for cell in cells
        if cell.severity is not None
        and cell.label in effects.get(cell.game, {})
        and not math.isnan(cell.normalised_score.value)
    ]
    curves = grouped(rows, lambda row: (row.agent, row.game, row.perturbation)).values()
    drawn = (curve for curve in curves if len({row.dose for row in curve}) > 1)
    return tuple(row for curve in drawn for row in sorted(curve, key=lambda row: row.dose))


def rank_table(scores: Sequence[GameScores], bootstrap_seed: int) -> tuple[RankRow, ...]:
    """Rank the agents by mean normalised score, clean and under each perturbation, over what all of them played.

    Args:
        scores: What all agents played, as `common_play` gives it.
        bootstrap_seed: Seed of the resampling.

    Returns:
        One row for each agent, clean and under each perturbation; none with one agent.
    """
    agents = by_agent(scores)
    if len(agents) < 2:
        return ()
    ordered = [sorted(games, key=lambda one: one.game) for games in agents.values()]
    layouts = [_layout(games, [set(game.labels) for game in games], with_clean=True) for games in ordered]
    names = list(layouts[0])
    rng = generator(bootstrap_seed, "bootstrap", "ranks", *agents)

    of_games = [_by_game(layout, len(games)) for layout, games in zip(layouts, ordered, strict=True)]
    are_there = [
        np.array([[*(name in game for name in names), bool(set(game) - {CLEAN})] for game in of_agent])
        for of_agent in of_games
    ]

    def means(agent: int, game: int, block: FloatArray) -> FloatArray:
        return _scope_means(block, of_games[agent][game], names)

    samples = [_blocks(games) for games in ordered]
    found = stats.joined_interval(means, are_there, stats.ranks, samples, rng).within(1.0, float(len(agents)))
    values = [
        stats.over_games(partial(means, agent), *of_agent)
        for agent, of_agent in enumerate(zip(are_there, samples, strict=True))
    ]
    scopes = [*names, *([ALL_PERTURBATIONS] if set(names) - {CLEAN} else [])]
    clean = names.index(CLEAN) if CLEAN in names else None
    clean_ranks = np.full(len(agents), np.nan) if clean is None else found.value[clean]
    found = found._replace(low=np.floor(found.low), high=np.ceil(found.high))
    counts = {
        scope: len({game for name in ([scope] if scope in names else names) for game, *_ in layouts[0][name]})
        for scope in scopes
    }
    return tuple(
        RankRow(
            agent=agent,
            perturbation=scope,
            num_games=counts[scope],
            num_seeds=found.num_seeds,
            score=float(values[column][place]),
            rank=Bounded.of(found, place, column),
            clean_rank=float(clean_ranks[column]),
            change=float(found.value[place, column] - clean_ranks[column]),
            note=stats.seed_note(found.num_seeds, counts[scope]),
        )
        for place, scope in enumerate(scopes)
        for column, agent in enumerate(agents)
    )


def _by_perturbation(games: Sequence[GameScores]) -> Mapping[str, Scope]:
    scopes: dict[str, dict[int, list[list[int]]]] = {}
    for place, game in enumerate(games):
        for name, columns in columns_by_perturbation(game).items():
            scopes.setdefault(name, {})[place] = [columns]
    return scopes


def _whole(games: Sequence[GameScores]) -> dict[str, Scope]:
    """Return all perturbations as a scope, if there are any."""
    scope = {place: list(of.values()) for place, game in enumerate(games) if (of := columns_by_perturbation(game))}
    return {ALL_PERTURBATIONS: scope} if scope else {}


class _Shape(NamedTuple):
    """What is measured of the severities of a scope beside the averages."""

    worst_score: Bounded = UNKNOWN
    dose_area: Bounded = UNKNOWN
    lowest_dose: float = math.nan
    highest_dose: float = math.nan
    area_reason: str = ""
    note: str = ""

    def fields(self) -> dict[str, Any]:
        """Return what a row takes as it is."""
        return {name: value for name, value in self._asdict().items() if name != "note"}


def _shapes(games: Sequence[GameScores], bootstrap_seed: int, effects: Effects) -> dict[str, _Shape]:
    """Return worst score and area over dose by perturbation and over all, of games with reference scores."""
    known = [game for game in games if game.is_known]
    layout = _layout(known, [set(game.labels) for game in known], effects=effects)
    if not layout:
        return {}
    rng = generator(bootstrap_seed, "bootstrap", "severity", known[0].agent)
    blocks = _blocks(known)
    of_games = _by_game(layout, len(known))
    is_there = np.array([_has_shapes(of_game, list(layout)) for of_game in of_games]).reshape(len(known), -1)
    found = stats.averaged_interval(
        lambda place, block: _shape_values(block, of_games[place], list(layout)), is_there, blocks, rng
    )
    found = found._replace(**{end: getattr(found, end).reshape(-1, len(SHAPES)) for end in ("value", "low", "high")})
    areas = {name: _area(blocks, entries) for name, entries in layout.items()}
    names = [*layout, ALL_PERTURBATIONS]
    shapes: dict[str, _Shape] = {}
    for name in names:
        worst, area_value = (Bounded.of(found, names.index(name), k) for k in range(len(SHAPES)))
        if area := areas.get(name):
            shapes[name] = _Shape(
                worst, area_value, area.lowest, area.highest, area.reason, _area_note(blocks, layout[name])
            )
        else:
            shapes[name] = _Shape(worst, area_value, area_reason=_left_out(stats.mean_dose_area(areas)))
    return shapes


def _shape_values(block: FloatArray, entries: Mapping[str, _Entry], names: Sequence[str]) -> FloatArray:
    """Return `SHAPES` of one game by perturbation and over all, shape (repetitions, 2 (num_names + 1)).

    Over all, the worst is that of all cells, and the area the mean over the perturbations that have one. NaN where the
    game has none.
    """
    found = np.full((len(block), len(names) + 1, len(SHAPES)), np.nan)
    areas: list[FloatArray] = []
    for place, name in enumerate(names):
        if where := entries.get(name):
            means = stats.over_seeds(block[..., where.columns])
            found[:, place, 0] = stats.worst_case(means)
            area = stats.dose_area(means, where.doses)
            if not area.reason:
                found[:, place, 1] = area.value
                areas.append(area.value)
    if entries:
        every = [column for where in entries.values() for column in where.columns]
        found[:, -1, 0] = stats.worst_case(stats.over_seeds(block[..., every]))
    if areas:
        found[:, -1, 1] = np.mean(areas, axis=0)
    return found.reshape(len(block), -1)


def _has_shapes(entries: Mapping[str, _Entry], names: Sequence[str]) -> list[tuple[bool, bool]]:
    """Return which of `SHAPES` a game has by perturbation, and over all."""
    has_area = {
        name: not stats.dose_area(np.zeros(len(where.columns)), where.doses).reason for name, where in entries.items()
    }
    each = [(name in entries, has_area.get(name, False)) for name in names]
    return [*each, (bool(entries), any(has_area.values()))]


def _area(blocks: Blocks, entries: list[_Entry]) -> DoseArea:
    """Return the area over dose of one perturbation, the mean over the games where it has one.

    The range of doses is that of these games together; the reason, where no game has an area, is the first game's.
    """
    areas = _areas(blocks, entries)
    defined = [area for area in areas if not area.reason]
    if not defined:
        return areas[0]
    lowest, highest = min(area.lowest for area in defined), max(area.highest for area in defined)
    return DoseArea(np.mean([area.value for area in defined], axis=0), lowest, highest, "")


def _areas(blocks: Blocks, entries: list[_Entry]) -> list[DoseArea]:
    return [stats.dose_area(stats.over_seeds(blocks[game][..., columns]), doses) for game, columns, doses in entries]


def _area_note(blocks: Blocks, entries: list[_Entry]) -> str:
    """Say in how many games there is an area, where it is neither all nor none."""
    count = sum(not area.reason for area in _areas(blocks, entries))
    return f"area over dose in {count} of {len(entries)} games" if 0 < count < len(entries) else ""


def _left_out(areas: MeanDoseArea) -> str:
    """Name the perturbations without an area, by reason."""
    return "; ".join(f"{reason}: {', '.join(names)}" for reason, names in areas.left_out.items())


def _errors(one: _Measured, baseline: str, perturbations: list[str], bootstrap_seed: int) -> tuple[Estimate, str]:
    """Return the errors relative to the baseline by perturbation and over all, and why some are undefined."""
    shape = (len(perturbations) + 1, len(ERRORS))
    if one.agent == baseline:
        nothing = np.full(shape, np.nan)
        # Against itself a ratio is 1 and a difference 0.
        return Estimate(np.broadcast_to([1.0, 1.0, 0.0, 0.0], shape), nothing, nothing, 0, ""), ""
    theirs = {game.game: game for game in one.of_baseline if game.is_known}
    both = [game for game in one.games if game.game in theirs]
    labels = [set(game.labels) & set(theirs[game.game].labels) for game in both]
    layouts = [_layout(both, labels), _layout([theirs[game.game] for game in both], labels)]
    names = [name for name in perturbations if name in layouts[0]]
    full = np.full(shape, np.nan)
    if not names:
        return Estimate(full, full, full, 0, ""), f"no perturbation in common with {baseline}"

    ours, of_baseline = (
        [{where.game: where.columns for where in layout[name]} for name in names] for layout in layouts
    )
    places = [{game: (ours[k][game], of_baseline[k][game]) for game in ours[k]} for k in range(len(names))]
    rng = generator(bootstrap_seed, "bootstrap", "corruption error", one.agent, baseline)
    samples = [_blocks(both), _blocks([theirs[game.game] for game in both])]
    found = stats.error_interval(samples[0], samples[1], places, rng)
    rows = [*map(perturbations.index, names), len(perturbations)]
    value, low, high = (full.copy() for _ in range(3))
    value[rows], low[rows], high[rows] = found.value, found.low, found.high
    return Estimate(value, low, high, found.num_seeds, ""), ""


def _scope_means(block: FloatArray, entries: Mapping[str, _Entry], names: Sequence[str]) -> FloatArray:
    """Return one game's mean score under each name, and last over all perturbations, (repetitions, num_names + 1).

    NaN where the game has none.
    """
    nothing = np.full(len(block), np.nan)
    found = {
        name: block[..., entries[name].columns].mean(axis=(-2, -1)) if name in entries else nothing for name in names
    }
    perturbed = [mean for name, mean in found.items() if name in entries and name != CLEAN]
    overall = np.mean(perturbed, axis=0) if perturbed else nothing
    return np.stack([*found.values(), overall], axis=-1)


def _blocks(games: Sequence[GameScores]) -> list[FloatArray]:
    """Return the mean scores of train seeds, clean first (NaN where it was not played), then every cell."""
    blocks: list[FloatArray] = []
    for game in games:
        values, clean = game.means, game.clean_column
        first = np.full((len(values), 1), np.nan) if clean is None else values[:, [clean]]
        blocks.append(np.concatenate([first, values], axis=1))
    return blocks


def _layout(
    games: Sequence[GameScores],
    labels: Sequence[set[str]],
    *,
    with_clean: bool = False,
    effects: Effects | None = None,
) -> Layout:
    """Return where the cells of each perturbation stand in `_blocks`, severities rising, and their doses."""
    layout: Layout = {}
    for place, (game, wanted) in enumerate(zip(games, labels, strict=True)):
        found: dict[str, list[tuple[int, int]]] = {}
        for column, cell in enumerate(game.cells):
            if cell.label in wanted and (with_clean or cell.label != CLEAN):
                found.setdefault(cell.perturbation, []).append((cell.severity or 0, column))
        changes = (effects or {}).get(game.game, {})
        for name, cells in found.items():
            cells.sort()
            doses = [changes.get(game.cells[column].label, math.nan) for _, column in cells]
            has_scale = all(severity for severity, _ in cells)
            # Clean is the first column of a block, so each cell stands one further.
            columns = [column + 1 for _, column in cells]
            layout.setdefault(name, []).append(_Entry(place, columns, doses if has_scale else None))
    return layout


def _by_game(layout: Layout, num_games: int) -> list[dict[str, _Entry]]:
    """Return the entries of each game by perturbation."""
    return [
        {name: where for name, entries in layout.items() for where in entries if where.game == place}
        for place in range(num_games)
    ]


def _note(row: MeasureRow, note: str, error_note: str) -> str:
    """Say what is undefined in a row, and why."""
    notes = [note, error_note]
    if np.isnan(row.mean_score.value):
        return "; ".join([*filter(None, notes), "no normalised scores"])
    if not error_note and np.isnan(row.corruption_error.value):
        notes.append(f"corruption error undefined ({row.baseline} makes no error, or did not play this)")
    if not error_note and np.isnan(row.relative_corruption_error.value):
        notes.append(f"relative corruption error undefined ({row.baseline} loses no score)")
    elif (
        row.num_seeds >= stats.MIN_INTERVAL_SEEDS
        and row.agent != row.baseline
        and np.isnan(row.relative_corruption_error.low)
    ):
        notes.append(f"relative corruption error without interval ({row.baseline} hardly loses score)")
    return "; ".join(filter(None, notes))
