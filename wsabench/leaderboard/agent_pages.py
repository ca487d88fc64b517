"""An agent's page: its numbers by family, game and cell, whom it is told apart from, and how to make them again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any, NamedTuple

from wsabench.leaderboard.badges import badge_of
from wsabench.leaderboard.board import Board, BoardTable, Line, Submission
from wsabench.leaderboard.entry import link_of
from wsabench.leaderboard.ranking import Comparison
from wsabench.leaderboard.rows import (
    NOT_SAID,
    Mark,
    Value,
    checkpoints,
    counted,
    is_built_in,
    kind_of,
    marks_beside,
    places_of,
    randomised_by,
    readable,
    steps_of,
    steps_text,
    value_of,
)
from wsabench.leaderboard.schema import Entry
from wsabench.leaderboard.scoring import Beside, Marks, marks_of
from wsabench.protocol import Protocol
from wsabench.report.badge import badge_svg
from wsabench.report.tables.text import DASH, Table, interval, number, percent
from wsabench.seeding import integer_seed
from wsabench.summary.measures import cell_table
from wsabench.summary.rows import BoundedTwice

_BESIDE_RETENTION = "Capped, kept, lost"
_BESIDE_CAPTION = (
    "Capped: retention where each cell counts 1 at most, so that gains do not pay for collapse. Kept, lost: share of "
    "cells that keep at least 0.8, at most 0.1 of the clean score."
)


class Fact(NamedTuple):
    """One line about an agent."""

    name: str
    text: str
    link: str | None


class Step(NamedTuple):
    """A command and what it does."""

    words: str
    command: str


class BadgeView(NamedTuple):
    """A badge and where its file is."""

    svg: str
    file: str


class Section(NamedTuple):
    """What a page says of one entry."""

    slug: str
    title: str
    about: str
    tables: Sequence[Table]
    steps: Sequence[Step]
    provenance: Sequence[Table]


class AgentPage(NamedTuple):
    """What an agent's page says."""

    name: str
    slug: str
    marks: Sequence[Mark]
    facts: Sequence[Fact]
    standing: Table
    sections: Sequence[Section]
    badges: Sequence[BadgeView]


def agent_page(name: str, board: Board) -> AgentPage:
    """Return the page of an agent.

    Args:
        name: Its name.
        board: The board that it is on.
    """
    found = [(table, line) for table in board.shown for line in table.lines if line.name == name]
    entries = [line.submissions[0].entry for table, line in found if len(table.suites) == 1 and table in board.tables]
    first = found[-1][1]
    return AgentPage(
        name=name,
        slug=first.slug,
        marks=marks_beside(entries),
        facts=_facts(entries),
        standing=_standing(found, board),
        sections=[_section(line, table) for table, line in found if table is not board.overall],
        badges=[
            BadgeView(badge_svg(badge_of(line, table)), f"badges/{line.slug}--{table.slug}.svg")
            for table, line in found
        ],
    )


def _facts(entries: Sequence[Entry]) -> list[Fact]:
    """Return what is said of the agent, each statement once."""
    said: dict[tuple[str, str], None] = {}
    for entry in entries:
        steps, randomised = steps_of(entry), randomised_by(entry)
        built_in = is_built_in(entry)
        for name, text in (
            ("Authors", entry.authors),
            ("Paper", entry.paper),
            ("Code", entry.code),
            ("Checkpoint", entry.checkpoint),
            ("Notes", entry.notes),
            ("Kind", kind_of([entry])),
            ("Method", entry.training.method),
            ("Training steps", None if built_in else steps_text(steps)),
            (
                "Trained on randomised",
                None if built_in else NOT_SAID if randomised is None else ", ".join(randomised) or "none: clean games",
            ),
        ):
            if text:
                said[name, text] = None
    links = {"Paper", "Code", "Checkpoint"}
    return [Fact(name, text, link_of(text) if name in links else None) for name, text in said]


def _standing(found: Sequence[tuple[BoardTable, Line]], board: Board) -> Table:
    rows = [
        (
            table.title if table.is_newest or table is board.overall else f"{table.title} (older)",
            DASH if line.standing is None else str(line.standing.tier),
            places_of(line),
            _text(value_of(line.marks.robust, line.marks.unit, line.marks.num_seeds)),
            _text(value_of(line.marks.clean, line.marks.unit, line.marks.num_seeds)),
            _text(value_of(line.marks.retention, line.marks.unit, line.marks.num_seeds)),
            _beside(line.marks.beside, line.marks),
            _worst(line.marks.worst_family, line.marks),
            _worst(line.marks.worst_perturbation, line.marks),
            str(line.marks.num_seeds),
        )
        for table, line in found
    ]
    columns = (
        "Table",
        "Tier",
        "Possible places",
        "Robust score",
        "Clean score",
        "Retention",
        _BESIDE_RETENTION,
        "Worst family",
        "Worst perturbation",
        "Train seeds",
    )
    units = {(line.marks.unit, line.marks.num_seeds) for _, line in found}
    words = " and ".join(
        f"over {count} train seeds" if unit == "train seeds" else f"over episodes of {checkpoints(count)} only (†)"
        for unit, count in sorted(units)
    )
    caption = f"95% intervals, {words}. Normalised scores. {_BESIDE_CAPTION}"
    return Table("Where it stands", caption, columns, tuple(rows), 1)


def _section(line: Line, table: BoardTable) -> Section:
    submission = line.submissions[0]
    entry = submission.entry
    about = (
        f"{counted(len(line.games), 'game')}, {counted(line.marks.num_seeds, 'train seed')}, "
        f"{counted(entry.num_episodes, 'episode')}; entry {submission.file}, submitted {entry.submitted}."
    )
    notes = [note for note in (line.marks.retention_note,) if note]
    tables = [_families(line), _comparisons(line, table), _cells(line)]
    return Section(
        slug=table.slug,
        title=table.title,
        about=" ".join([about, *(f"{note[0].upper()}{note[1:]}." for note in notes)]),
        tables=[one for one in tables if one.rows],
        steps=_steps(submission),
        provenance=_provenance(submission),
    )


def _families(line: Line) -> Table:
    """Return the scores of each family by game."""
    seed = integer_seed(0, "leaderboard", "families", line.name)
    rows: list[tuple[str, ...]] = []
    for game in line.play:
        marks = marks_of([game], seed)
        rows.append((game.game, "clean", *_score(marks.clean, marks), DASH, DASH))
        rows += [
            (
                *(game.game, family, *_score(score, marks), _text(_value(marks.family_retention[family], marks))),
                _beside(marks.family_beside[family], marks),
            )
            for family, score in marks.families.items()
        ]
    columns = ("Game", "Family", "Mean score", "95% interval", "Retention", _BESIDE_RETENTION)
    return Table("Scores by game and family", _BESIDE_CAPTION, columns, tuple(rows), 2)


def _score(score: Any, marks: Marks) -> tuple[str, str]:
    value = _value(score, marks)
    return value.number, value.interval or DASH


def _beside(beside: Beside, marks: Marks) -> str:
    """Return what stands beside an average of retention: the capped mean, and the shares of cells kept and lost."""
    shares = percent(beside.kept_share), percent(beside.lost_share)
    capped = _text(_value(beside.capped, marks))
    return capped if capped == DASH else ", ".join((capped, *shares))


def _value(score: Any, marks: Marks) -> Value:
    return value_of(score, marks.unit, marks.num_seeds)


def _comparisons(line: Line, table: BoardTable) -> Table:
    """Return whom the agent is told apart from."""
    found = table.comparisons(line.name)
    rows = tuple(
        (
            one.agent_y,
            one.verdict if not one.obstacle else f"not compared: {one.obstacle}",
            number(one.effect.value),
            interval(one.effect.low, one.effect.high),
            DASH if one.obstacle else str(len(one.games)),
            DASH if one.obstacle else str(one.num_cells),
            DASH if one.obstacle else _units(one),
        )
        for one in sorted(found, key=lambda one: one.agent_y)
    )
    columns = ("Other agent", "This one is", "Difference", "Simultaneous 95% interval", "Games", "Cells", "Over")
    caption = "Difference of robust scores over common games and cells. The intervals of all pairs hold together."
    return Table("Compared with each other agent", caption, columns, rows, 2)


def _units(one: Comparison) -> str:
    x, y = one.units
    return x if x == y else f"{x} / {y}"


def _cells(line: Line) -> Table:
    """Return every cell as a report has it."""
    seed = integer_seed(0, "leaderboard", "cells", line.name)
    unit = line.marks.unit
    rows = tuple(
        (
            row.game,
            readable(row.label),
            row.family,
            number(row.mean_return, 1),
            *_with_interval(row.normalised_score, unit),
            number(row.retention.value),
            number(row.robustness_gap.value),
            str(row.num_episodes),
        )
        for row in cell_table([game.scores for game in line.play], seed, {})
    )
    columns = ("Game", "Cell", "Family", "Mean return", "Score", "95% interval", "Retention", "Gap", "Episodes")
    return Table("Every cell", "Gap: clean minus perturbed score.", columns, rows, 3, is_folded=True)


def _with_interval(score: BoundedTwice, unit: str) -> tuple[str, str]:
    ends = (score.low, score.high) if unit == "train seeds" else (score.episode_low, score.episode_high)
    return number(score.value), interval(*ends)


def _worst(worst: tuple[str, Any], marks: Marks) -> str:
    name, score = worst
    return f"{readable(name)} {_value(score, marks).number}" if name else DASH


def _text(value: Value) -> str:
    return f"{value.number} {value.interval}".rstrip()


def _steps(submission: Submission) -> list[Step]:
    """Return the commands that check the entry, and play all of it again."""
    entry, file = submission.entry, shlex.quote(submission.file)
    kinds = {one.kind for one in entry.agents}
    needs = "" if kinds <= {"built-in", "agent"} else " --checkpoint PATH" + (" --trust" if entry.trusted else "")
    agent = entry.agent if kinds <= {"built-in", "agent"} else f"{entry.agent}=PATH"
    command = ["wsabench", "run", "--suite", entry.suite.name, "--agents", agent, "--games", ",".join(entry.games)]
    command += ["--train-seeds", ",".join(map(str, entry.train_seeds)), "--seed", str(entry.seed)]
    if entry.profile is not None:
        command += ["--profile", entry.profile]
    if entry.precision is None:
        command += ["--episodes", str(max(len(job.episodes.returns) for job in entry.jobs))]
    steps = [
        Step("A random sample of its episodes, played again:", f"wsabench verify {file} --sample 20{needs}"),
        Step("All of it, from the start (PATH is where its checkpoint is):", shlex.join(command)),
    ]
    if agent == entry.agent:
        steps[1] = steps[1]._replace(words="All of it, from the start:")
    return steps


def _provenance(submission: Submission) -> list[Table]:
    entry = submission.entry
    protocol = Protocol.from_dict(entry.protocol).to_dict()
    views = [
        (game, name, str(value), str(protocol.get(name, DASH)))
        for game, of in entry.view.items()
        for name, value in of.items()
    ]
    about = [
        ("suite", f"{entry.suite.name}, version {entry.suite.version}"),
        ("content hash of the suite", entry.suite.content_hash),
        ("profile", entry.profile or DASH),
        ("root seed", str(entry.seed)),
        ("wsabench", entry.wsabench),
        ("engine version", str(entry.engine_version)),
        *((name, version) for name, version in sorted(entry.versions.items())),
        *(("played on", f"{one.system}, {one.machine}, {one.processor}") for one in entry.hosts),
        *((f"ROM of {game}", value) for game, value in sorted(entry.roms.items())),
    ]
    networks = [(one.game, str(one.train_seed), one.kind, one.checkpoint_hash) for one in entry.agents]
    left_out = [(one.game, one.reason, ", ".join(one.perturbations)) for one in entry.skipped]
    left_out += [(game, f"{name}: {reason}", name) for game, of in entry.misfits.items() for name, reason in of.items()]
    tables = [
        Table("Where it comes from", "", ("What", "Value"), tuple(about), 2),
        Table("Networks", "", ("Game", "Train seed", "Kind", "Hash of the checkpoint"), tuple(networks), 4),
        Table("Protocol", "", ("Field", "Value"), tuple((name, str(value)) for name, value in protocol.items()), 2),
        Table("View: where it sees or starts otherwise", "", ("Game", "Field", "View", "Protocol"), tuple(views), 4),
        Table("Cells of the suite that were not played", "", ("Game", "Why", "Cells"), tuple(left_out), 3),
    ]
    return [table for table in tables if table.rows]
