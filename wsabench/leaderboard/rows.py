"""The rows of the site's tables as texts: what a reader sees of an agent, a comparison or a score."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from wsabench.leaderboard.board import BoardTable, Line
from wsabench.leaderboard.schema import Entry
from wsabench.leaderboard.scoring import SUITE_MARK, Unit
from wsabench.protocol import Protocol
from wsabench.report.tables.text import DASH, FEW_SEEDS, number, percent
from wsabench.results.result import DRAWS
from wsabench.summary.rows import Bounded
from wsabench.words import counted

CHECKPOINTS = "†"
"""Marks numbers whose interval is over the episodes of these checkpoints only."""
NOT_SAID = "not said"
MANY_GAMES = 3
"""From here on a table names the games only on hovering; the agent's page has them."""
BUDGETS = (1e6, 1e7, 1e8)
"""Agent steps that the filter of training budgets offers."""
_PLOT_WIDTH, _PLOT_HEIGHT, _PLOT_PAD = 84, 26, 5


class Mark(NamedTuple):
    """A word beside an agent's name."""

    word: str
    title: str


class Value(NamedTuple):
    """A number with its interval, as text."""

    number: str
    interval: str
    """Empty where there is none."""
    title: str
    """What the interval is over, or why there is no number."""


class BoardRow(NamedTuple):
    """One agent in a table of the board."""

    name: str
    page: str
    """Address of its page, from the root of the site."""
    marks: tuple[Mark, ...]
    tier: str
    tier_title: str
    places: str
    is_first_of_tier: bool
    robust: Value
    clean: Value
    plot: str
    """An SVG element, of numbers only."""
    retention: Value
    capped: Value
    """Retention where each cell counts 1 at most."""
    kept: str
    """Share of cells kept, as text."""
    lost: str
    worst: Value
    worst_name: str
    seeds: str
    games: str
    num_games: str
    games_brief: str
    """Empty where the names are many."""
    cells: str
    training: str
    randomised: str
    kind: str
    budget: str
    """Agent steps as digits, `0` for built-in agents, empty where nobody says."""
    randomisation: str
    """`none`, `some` or `unknown`, for the filter."""
    is_privileged: bool
    is_external: bool


def board_rows(table: BoardTable) -> list[BoardRow]:
    """Return the rows of a table, in its order.

    Args:
        table: A table of the board.
    """
    low, high = _range(table.lines)
    rows: list[BoardRow] = []
    previous: str | None = None
    for line in table.lines:
        row = _row(line, table, (low, high))
        rows.append(row._replace(is_first_of_tier=previous is not None and row.tier != previous))
        previous = row.tier
    return rows


def value_of(one: Bounded, unit: Unit, num_seeds: int, missing: str = "") -> Value:
    """Return a number with its interval.

    Args:
        one: The number.
        unit: What the interval is over.
        num_seeds: Train seeds of the agent.
        missing: Why there is no number, where there is none.
    """
    if not math.isfinite(one.value):
        return Value(DASH, "", missing)
    mark = CHECKPOINTS if unit == "episodes" else ""
    if not one.has_bounds:
        return Value(number(one.value) + mark, "", "no interval")
    title = f"95% interval over {num_seeds} train seeds"
    if unit == "episodes":
        title = f"95% interval over episodes of {checkpoints(num_seeds)} only"
    return Value(number(one.value) + mark, f"[{number(one.low)}, {number(one.high)}]", title)


def checkpoints(num_seeds: int) -> str:
    """Return how many checkpoints an agent has in each game, in words."""
    return "this checkpoint" if num_seeds == 1 else f"these {num_seeds} checkpoints"


def kind_of(entries: Iterable[Entry]) -> str:
    """Return what kind of agent played, in words."""
    names = {"built-in": "built in", "agent": "wsabench checkpoint", "import": "own policy", "object": "own policy"}
    found = {
        one.source.partition(":")[0] if one.kind == "address" else names.get(one.kind, one.kind)
        for entry in entries
        for one in entry.agents
    }
    return ", ".join(sorted(found))


def steps_of(entry: Entry) -> int | None:
    """Return the agent steps that each network was trained for, the most of any; None where nobody says."""
    training = entry.training
    if training.steps is not None:
        return training.steps
    if training.frames is not None:
        return training.frames // Protocol.from_dict(entry.protocol).frame_skip
    return max((one.steps for one in training.networks if one.steps is not None), default=None)


def steps_text(steps: int | None) -> str:
    """Return a number of steps as readers write it: 2M, 400k."""
    if steps is None:
        return NOT_SAID
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if steps >= size:
            return f"{steps / size:.3g}{letter}"
    return str(steps)


def randomised_by(entry: Entry) -> tuple[str, ...] | None:
    """Return the perturbations of an agent's training; empty for clean games, None where nobody says."""
    training = entry.training
    named = dict.fromkeys([*training.perturbations, *(name for one in training.networks for name in one.randomisation)])
    if named or training.networks:
        return tuple(named)
    return None if training.method is None else ()


def is_built_in(entry: Entry) -> bool:
    """Whether an agent comes with the bench and was never trained."""
    return all(one.kind == "built-in" for one in entry.agents)


def marks_beside(entries: Sequence[Entry]) -> tuple[Mark, ...]:
    """Return the words beside an agent's name."""
    found: list[Mark] = []
    if any(entry.privileged for entry in entries):
        found.append(Mark("privileged", "Reads more than pixels, such as the console's memory: not in any tier"))
    if any(entry.external for entry in entries):
        found.append(Mark("external", "Played by code from outside wsabench; `wsabench verify` plays it again"))
    if any(entry.trusted for entry in entries):
        found.append(Mark("trusted", "Its files run code of their own (`--trust`)"))
    if any(one.draws for entry in entries for one in entry.agents):
        found.append(Mark(f"draws {DRAWS}", "Draws random numbers of its own: nobody can play its episodes again"))
    if all(is_built_in(entry) for entry in entries):
        found.append(Mark("yardstick", "Comes with the bench; it was never trained"))
    return tuple(found)


def readable(name: str) -> str:
    """Return a perturbation's name without its suite."""
    return name.rpartition(SUITE_MARK)[2]


def _row(line: Line, table: BoardTable, span: tuple[float, float]) -> BoardRow:
    marks, entries = line.marks, [one.entry for one in line.submissions]
    unit, seeds = marks.unit, marks.num_seeds
    has_families = len({name for one in table.lines for name in one.marks.families}) > 1
    worst_name, worst = marks.worst_family if has_families else marks.worst_perturbation
    steps = next((one for one in map(steps_of, entries) if one is not None), None)
    randomised = next((one for one in map(randomised_by, entries) if one is not None), None)
    is_yardstick = all(map(is_built_in, entries))
    return BoardRow(
        name=line.name,
        page=f"agents/{line.slug}.html",
        marks=marks_beside(entries),
        tier=DASH if line.standing is None else str(line.standing.tier),
        tier_title=tier_title(line, table),
        places=places_of(line),
        is_first_of_tier=False,
        robust=value_of(marks.robust, unit, seeds, "no perturbed cell was played in a game with reference scores"),
        clean=value_of(marks.clean, unit, seeds, "clean was not played in a game with reference scores"),
        plot=_plot(marks.clean, marks.robust, span),
        retention=value_of(marks.retention, unit, seeds, marks.retention_note or "not defined here"),
        capped=value_of(marks.beside.capped, unit, seeds),
        kept=percent(marks.beside.kept_share),
        lost=percent(marks.beside.lost_share),
        worst=value_of(worst, unit, seeds),
        worst_name=readable(worst_name),
        seeds=str(seeds),
        games=", ".join(line.games),
        num_games=str(len(line.games)),
        games_brief=", ".join(line.games) if len(line.games) < MANY_GAMES else "",
        cells=f"{counted(marks.num_cells, 'cell')}, {counted(marks.num_episodes, 'episode')}",
        training="none" if is_yardstick else steps_text(steps),
        randomised="none" if is_yardstick else _randomised_text(randomised),
        kind=kind_of(entries),
        budget="0" if is_yardstick else "" if steps is None else str(steps),
        randomisation="none" if is_yardstick or randomised == () else "unknown" if randomised is None else "some",
        is_privileged=any(entry.privileged for entry in entries),
        is_external=any(entry.external for entry in entries),
    )


def tier_title(line: Line, table: BoardTable) -> str:
    """Return in words why an agent has its tier in a table, or none."""
    if line.standing is None:
        return f"No tier: {table.why_no_tier(line)}"
    ahead = line.standing.tier - 1
    what = "nobody is shown to be better" if not ahead else f"at least {ahead} shown to be better, one above the other"
    return f"Tier {line.standing.tier}: {what}; compared with {line.standing.num_compared} others"


def places_of(line: Line) -> str:
    """Return the places that an agent can have; a dash where it is not compared."""
    if line.standing is None:
        return DASH
    best, worst = line.standing.best_place, line.standing.worst_place
    return str(best) if best == worst else f"{best}{DASH}{worst}"


def _randomised_text(names: tuple[str, ...] | None) -> str:
    if names is None:
        return NOT_SAID
    return ", ".join(names) if names else "none"


def _range(lines: Sequence[Line]) -> tuple[float, float]:
    """Return the ends of the axis of a table's pictures: 0 and 1 lie in it."""
    ends = [end for line in lines for one in (line.marks.clean, line.marks.robust) for end in _ends(one)]
    return min(0.0, *ends, 0.0), max(1.0, *ends, 1.0)


def _ends(one: Bounded) -> tuple[float, ...]:
    return tuple(end for end in (one.value, one.low, one.high) if math.isfinite(end))


def _plot(clean: Bounded, robust: Bounded, span: tuple[float, float]) -> str:
    """Return a picture of clean score (ring) above robust score (dot), each with its interval; 0 and 1 are lines."""
    low, high = span

    def at(value: float) -> str:
        return f"{_PLOT_PAD + (value - low) / (high - low) * (_PLOT_WIDTH - 2 * _PLOT_PAD):.1f}"

    parts = [f'<line class="axis" x1="{at(x)}" x2="{at(x)}" y1="1" y2="{_PLOT_HEIGHT - 1}"/>' for x in (0.0, 1.0)]
    for one, y, name in ((clean, 8, "clean"), (robust, 18, "robust")):
        if one.has_bounds:
            parts.append(f'<line class="{name}" x1="{at(one.low)}" x2="{at(one.high)}" y1="{y}" y2="{y}"/>')
        if math.isfinite(one.value):
            parts.append(f'<circle class="{name}" cx="{at(one.value)}" cy="{y}" r="3.5"/>')
    size = f'width="{_PLOT_WIDTH}" height="{_PLOT_HEIGHT}" viewBox="0 0 {_PLOT_WIDTH} {_PLOT_HEIGHT}"'
    return f'<svg class="plot" {size} aria-hidden="true">{"".join(parts)}</svg>'


def few_seeds_words() -> str:
    """Return what the mark of few train seeds says."""
    return (
        f"{CHECKPOINTS} {FEW_SEEDS}: the interval covers the episodes of these checkpoints only and says nothing about "
        "another training run."
    )
