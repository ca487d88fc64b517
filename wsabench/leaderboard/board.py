"""The whole leaderboard as typed rows: entries of a folder, one table for each suite version, one over all suites."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from wsabench.errors import ResultSetError, StorageError, WsabenchError
from wsabench.hashing import text_hash
from wsabench.leaderboard.entry import read_entry
from wsabench.leaderboard.ranking import Comparison, Ranking, Standing, ranking_of
from wsabench.leaderboard.result import EntryResult
from wsabench.leaderboard.schema import Entry
from wsabench.leaderboard.scoring import (
    Marks,
    Played,
    marks_of,
    play_of_suite,
    play_of_suites,
    result_of,
)
from wsabench.protocol import Protocol
from wsabench.seeding import integer_seed
from wsabench.summary.rows import grouped

OVERALL = "all suites"
_SLUG_LENGTH = 40


class Submission(NamedTuple):
    """One valid file."""

    file: str
    """Its name in the folder."""
    entry: Entry


class Problem(NamedTuple):
    """One file that is left out."""

    file: str
    reason: str


class TableKey(NamedTuple):
    """What entries of one table have in common."""

    suite: str
    version: int
    content_hash: str
    protocol: Protocol


class Line(NamedTuple):
    """One agent in a table."""

    name: str
    submissions: tuple[Submission, ...]
    """Its entries behind the line, one for each suite."""
    play: tuple[Played, ...]
    """What it played, one for each game."""
    marks: Marks
    standing: Standing | None
    """None where it is not compared with anybody."""
    is_ranked: bool
    """Whether it is one of those that are compared: agents on pixels, or all where none is on pixels only."""

    @property
    def games(self) -> tuple[str, ...]:
        """The games that it played."""
        return tuple(game.game for game in self.play)

    @property
    def slug(self) -> str:
        """The part of file names that stands for the agent, in its page and badges."""
        return slug_of(self.name)


class BoardTable(NamedTuple):
    """A table of agents that were played alike."""

    title: str
    suites: tuple[TableKey, ...]
    """One, or those of the table over all suites."""
    is_newest: bool
    """Whether the table is about the newest version that anybody submitted."""
    lines: tuple[Line, ...]
    """Its agents, by tier, then by robust score; agents without a tier last."""
    ranking: Ranking
    notes: tuple[str, ...]

    @property
    def slug(self) -> str:
        """The part of file names that stands for the table, in its page and the badges of its agents."""
        if len(self.suites) != 1:
            return "all-suites"
        key = self.suites[0]
        return f"{key.suite}-v{key.version}-{text_hash(repr(key), 6)}"

    def comparisons(self, agent: str) -> list[Comparison]:
        """Return the comparisons of one agent, as the first of each pair."""
        found = (one for one in self.ranking.comparisons if agent in (one.agent_x, one.agent_y))
        return [one if one.agent_x == agent else one.mirrored for one in found]

    def why_no_tier(self, line: Line) -> str:
        """Return in a few words why an agent has no tier; empty where it has one.

        Args:
            line: The agent.
        """
        if line.standing is not None:
            return ""
        if not line.is_ranked:
            return "reads more than pixels"
        obstacles = dict.fromkeys(one.obstacle for one in self.comparisons(line.name))
        return "; ".join(obstacles) or "no other agent to compare with"


class Board(NamedTuple):
    """Everything that the site says of agents."""

    overall: BoardTable
    tables: tuple[BoardTable, ...]
    """The table of each suite version and protocol: by suite, newest versions first."""
    problems: tuple[Problem, ...]

    @property
    def shown(self) -> list[BoardTable]:
        """All tables, that over all suites first; of one suite it would say the same again."""
        return [*([self.overall] if len(self.overall.suites) > 1 else []), *self.tables]

    @property
    def newest(self) -> list[BoardTable]:
        """The tables of newest versions."""
        return [table for table in self.tables if table.is_newest]

    @property
    def older(self) -> list[BoardTable]:
        """The tables of older versions, which are in no other table."""
        return [table for table in self.tables if not table.is_newest]

    @property
    def agents(self) -> list[str]:
        """The names of all agents, sorted."""
        return sorted({line.name for table in self.tables for line in table.lines})


def read_folder(folder: Path) -> tuple[list[Submission], list[Problem]]:
    """Read all entries of a folder: its files `*.json`.

    Args:
        folder: Where the files are.

    Returns:
        The valid ones by file name, and those that are left out with the reason. Of two entries of one agent on one
        suite version and protocol the second is left out.

    Raises:
        ResultSetError: There is no such file, or none is valid.
        StorageError: The folder does not exist or cannot be read.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".json" and not path.name.startswith("."))
    except OSError as error:
        raise StorageError(
            f"Cannot read the folder {folder}: {error.strerror}. Give the folder with the entries (*.json)."
        ) from error
    if not paths:
        raise ResultSetError(
            f"{folder} holds no entry (*.json). Put files there that `wsabench submit` wrote, or give another folder."
        )
    submissions: list[Submission] = []
    problems: list[Problem] = []
    seen: dict[tuple[str, TableKey], str] = {}
    for path in paths:
        file = _printable(path.name)
        try:
            entry = read_entry(path)
            first = seen.setdefault((entry.name, key_of(entry)), file)
        except WsabenchError as error:
            problems.append(Problem(file, str(error).replace(str(path), file)))
            continue
        if first != file:
            reason = f"It is a second entry of {entry.name!r} on {entry.suite.name}; the first is {first}. Keep one."
            problems.append(Problem(file, reason))
            continue
        submissions.append(Submission(file, entry))
    if not submissions:
        listed = "\n".join(f"  {problem.file}: {problem.reason}" for problem in problems)
        raise ResultSetError(f"{folder} holds no valid entry:\n{listed}")
    return submissions, problems


def _printable(name: str) -> str:
    """Return a file's name on one line; what cannot be printed, half a character say, is written as in Python."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in name)


def key_of(entry: Entry) -> TableKey:
    """Return the table that an entry belongs to."""
    suite = entry.suite
    return TableKey(suite.name, suite.version, suite.content_hash, Protocol.from_dict(entry.protocol))


def slug_of(name: str) -> str:
    """Return a name as part of a file name: lower-case letters, digits and hyphens, with a hash that keeps it unique.

    Args:
        name: Any text.
    """
    safe = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_SLUG_LENGTH].rstrip("-")
    return f"{safe}-{text_hash(name, 8)}" if safe else text_hash(name, 8)


def board_of(submissions: Sequence[Submission], problems: Sequence[Problem] = ()) -> Board:
    """Compute the whole board.

    Args:
        submissions: Valid entries, at least one; no agent has two in a table.
        problems: The files that are left out.

    Returns:
        The tables. The order of the files changes nothing.
    """
    ordered = sorted(submissions, key=lambda one: (one.entry.name, one.file))
    groups = grouped(ordered, lambda one: key_of(one.entry))
    newest = {
        suite: max(key.version for key in groups if key.suite == suite) for suite in {key.suite for key in groups}
    }
    keys = sorted(groups, key=lambda key: (key.suite, -key.version, -len(groups[key]), repr(key)))
    results = {key: result_of({one.entry.name: one.entry for one in groups[key]}) for key in keys}
    tables = tuple(
        _table_of(key, results[key], groups[key], is_newest=key.version == newest[key.suite], keys=keys) for key in keys
    )
    main: dict[str, TableKey] = {}
    for key in keys:  # of several protocols the one with the most entries stands first
        main.setdefault(key.suite, key)
    overall = _overall({key: results[key] for key in main.values()}, {key: groups[key] for key in main.values()})
    return Board(overall, tables, tuple(sorted(problems)))


def _table_of(
    key: TableKey, result: EntryResult, submissions: Sequence[Submission], *, is_newest: bool, keys: Sequence[TableKey]
) -> BoardTable:
    """Return the table of one suite version and protocol."""
    play = play_of_suite(result, key.suite)
    seed = integer_seed(0, "leaderboard", key.suite, key.content_hash, repr(key.protocol))
    alike = [other for other in keys if other[:3] == key[:3]]
    title = f"{key.suite}, version {key.version}"
    if len(alike) > 1:
        title += f", {protocol_words(key.protocol)}"
    files = {one.entry.name: (one,) for one in submissions}
    lines, ranking = _lines(play, files, seed)
    return BoardTable(title, (key,), is_newest, lines, ranking, tuple(_left_out(play, files)))


def protocol_words(protocol: Protocol) -> str:
    """Return in which fields a protocol differs from the bench's own."""
    usual = Protocol.evaluation().to_dict()
    differing = [f"{name} {value}" for name, value in protocol.to_dict().items() if usual.get(name) != value]
    return ", ".join(differing) or "the bench's own protocol"


def _overall(results: Mapping[TableKey, EntryResult], groups: Mapping[TableKey, Sequence[Submission]]) -> BoardTable:
    """Return the table over all suites, of the newest version of each."""
    by_agent = grouped((one for of in groups.values() for one in of), lambda one: one.entry.name)
    mixed = sorted(name for name, of in by_agent.items() if not _are_same_networks([one.entry for one in of]))
    notes = [f"{name} is left out: its networks of one train seed and game differ between suites." for name in mixed]
    files = {name: tuple(of) for name, of in sorted(by_agent.items()) if name not in mixed}
    play = play_of_suites({key.suite: result for key, result in results.items()})
    play = {name: play[name] for name in files if name in play}
    seed = integer_seed(0, "leaderboard", OVERALL, *(key.content_hash for key in results))
    lines, ranking = _lines(play, files, seed)
    return BoardTable("All suites", tuple(results), True, lines, ranking, (*notes, *_left_out(play, files)))


def _are_same_networks(entries: Sequence[Entry]) -> bool:
    """Whether an agent's network of each train seed and game is the same in all its entries."""
    hashes: dict[tuple[int, str], str] = {}
    return all(
        hashes.setdefault((one.train_seed, one.game), one.checkpoint_hash) == one.checkpoint_hash
        for entry in entries
        for one in entry.agents
    )


def _left_out(play: Mapping[str, Sequence[Played]], files: Mapping[str, tuple[Submission, ...]]) -> list[str]:
    """Return which agents or games a table lacks because some train seed did not finish."""
    notes: list[str] = []
    for name, of in files.items():
        played = {game.game for game in play.get(name, ())}
        if missing := sorted({game for one in of for game in one.entry.games} - played):
            notes.append(f"{name} on {', '.join(missing)} is left out: no cell is finished for every train seed.")
    return notes


def _lines(
    play: Mapping[str, list[Played]], files: Mapping[str, tuple[Submission, ...]], seed: int
) -> tuple[tuple[Line, ...], Ranking]:
    """Return the lines of a table in order, and the comparisons behind their tiers."""
    is_privileged = {name: any(one.entry.privileged for one in files[name]) for name in play}
    is_ranked = {name: not is_privileged[name] or all(is_privileged.values()) for name in play}
    ranking = ranking_of({name: games for name, games in play.items() if is_ranked[name]}, seed)
    lines = [
        Line(
            name=name,
            submissions=files[name],
            play=tuple(games),
            marks=marks_of(games, seed),
            standing=ranking.standings.get(name),
            is_ranked=is_ranked[name],
        )
        for name, games in play.items()
    ]
    return tuple(sorted(lines, key=_place)), ranking


def _place(line: Line) -> tuple[bool, float, bool, float, str]:
    """Return what lines are sorted by: tier, then robust score downwards; what is unknown stands last."""
    score = line.marks.robust.value
    tier = math.inf if line.standing is None else line.standing.tier
    return (not line.is_ranked, tier, math.isnan(score), 0.0 if math.isnan(score) else -score, line.name)
