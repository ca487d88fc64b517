"""The pages of the site as texts: what each says, laid out by the templates beside this file."""

from __future__ import annotations

import base64
import csv
import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from wsabench.errors import StorageError
from wsabench.games import load_game
from wsabench.leaderboard.agent_pages import AgentPage, agent_page
from wsabench.leaderboard.badges import badge_of
from wsabench.leaderboard.board import Board, BoardTable, Problem, protocol_words
from wsabench.leaderboard.ranking import TOO_FEW
from wsabench.leaderboard.rows import BUDGETS, BoardRow, board_rows, few_seeds_words, steps_text
from wsabench.perturb import load_suite
from wsabench.protocol import Protocol
from wsabench.report.badge import badge_svg
from wsabench.report.tables.text import Table, number
from wsabench.resources import data_dir
from wsabench.stats import CLEAN_FLOOR
from wsabench.summary.rows import ALPHA
from wsabench.summary.scores import Reference, published_table
from wsabench.version import __version__
from wsabench.words import counted

READING = (
    "Robust score: mean normalised score over all perturbations (0 is random play, 1 human play), averaged over train "
    "seeds, then severities, perturbations and games, each counting the same; over all suites, each suite counts the "
    "same. Clean score: the same without a perturbation. An agent's numbers are about the games that it played.",
    "Tiers: every pair of agents is compared by the robust score, over the games and perturbations that both played. "
    "The test is the larger p of a studentised permutation test and Welch's t test, with Holm's correction over all "
    f"pairs of a table: in at least {1 - ALPHA:.0%} of tables not a single decided comparison is false. An agent is in "
    "tier 1 if no agent is shown to be better, in tier 2 if only agents of tier 1 are, and so on. Agents of one tier "
    "are not shown to be equal: more train seeds or episodes may still part them. An agent that is compared with no "
    "other has no tier.",
    "Possible places: what the decided comparisons leave open, for all agents of a table together.",
    few_seeds_words() + " With more of them intervals and comparisons are over train seeds. Comparisons with a "
    "marked agent, or over games in which the train seeds are too few, are about checkpoints.",
    "Intervals in the tables are 95% for each number by itself, so that they may overlap where a comparison decides, "
    "or not overlap where none does; an agent's page has the simultaneous intervals of the differences.",
    f"Retention: score under perturbations / clean score, undefined where the clean score is not surely above "
    f"{CLEAN_FLOOR:g}. It says how much is kept, not how much there is: no tier rests on it.",
    "Capped, kept, lost: retention where each cell counts 1 at most, so that gains do not pay for collapse; the share "
    "of cells that keep at least 0.8 of the clean score, and of those that keep at most 0.1. The shares count "
    "estimates and have no interval.",
    "Worst: the lowest mean score of any perturbation family (of any perturbation, where a table has one family).",
    "privileged: reads more than pixels, such as the console's memory; it stands in no tier beside agents on pixels. "
    "external: played by code from outside wsabench. trusted: its files run code of their own. draws \u2021: draws "
    "random numbers of its own, so that nobody can play its episodes again. yardstick: comes with the bench, never "
    "trained. `wsabench verify FILE.json` plays a sample of an entry's episodes again.",
    "Training steps and randomisation are what the submitter or the checkpoint says; they are not checked.",
    "A table holds one version of a suite and one protocol. The table over all suites holds the newest versions.",
)


class Filter(NamedTuple):
    """One choice of a filter."""

    value: str
    text: str


class TableView(NamedTuple):
    """A table of the board as the template takes it."""

    slug: str
    title: str
    about: str
    notes: tuple[str, ...]
    rows: Sequence[BoardRow]
    has_retention: bool
    worst_title: str


class IndexPage(NamedTuple):
    """What the first page says."""

    tables: Sequence[TableView]
    older: Sequence[TableView]
    problems: Sequence[Problem]
    reading: Sequence[str]
    kinds: Sequence[str]
    budgets: Sequence[Filter]
    literature: Table
    references: Table


class OlderPage(NamedTuple):
    """What the page of an older version says."""

    table: TableView


class Site(NamedTuple):
    """What all pages share."""

    version: str
    style: str
    scripts: tuple[str, ...]
    script_hashes: str


def pages_of(board: Board) -> dict[str, str]:
    """Return every file of the site by its path from the site's root: pages and badges.

    Args:
        board: The numbers. The same board gives the same bytes.
    """
    loader = PackageLoader("wsabench.leaderboard")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    report = PackageLoader("wsabench.report")
    scripts = (loader.get_source(environment, "board.js")[0], report.get_source(environment, "sort.js")[0])
    # Each script in a block of its own: both declare names for the whole page.
    scripts = tuple(f"{{\n{script}\n}}" for script in scripts)
    site = Site(
        version=__version__,
        style=loader.get_source(environment, "board.css")[0],
        scripts=scripts,
        script_hashes=" ".join(f"'sha256-{_digest(script)}'" for script in scripts),
    )

    def rendered(template: str, page: IndexPage | OlderPage | AgentPage) -> str:
        return environment.get_template(template).render(page=page, site=site, counted=counted)

    files = {"index.html": rendered("index.html", _index(board))}
    for table in board.older:
        files[f"{table.slug}.html"] = rendered("older.html", OlderPage(_view(table)))
    for name in board.agents:
        page = agent_page(name, board)
        files[f"agents/{page.slug}.html"] = rendered("agent.html", page)
    for table in board.shown:
        for line in table.lines:
            files[badge_file(line.slug, table)] = badge_svg(badge_of(line, table))
    return files


def badge_file(slug: str, table: BoardTable) -> str:
    """Return the path of an agent's badge from the site's root.

    Args:
        slug: The agent's slug.
        table: Where it stands.
    """
    return f"badges/{slug}--{table.slug}.svg"


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


def _index(board: Board) -> IndexPage:
    tables = [_view(table) for table in board.shown if table.is_newest]
    kinds = {kind for table in tables for row in table.rows for kind in row.kind.split(", ")}
    return IndexPage(
        tables=tables,
        older=[_view(table) for table in board.older],
        problems=board.problems,
        reading=READING,
        kinds=sorted(kinds),
        budgets=[Filter(f"{budget:.0f}", steps_text(int(budget))) for budget in BUDGETS],
        literature=_literature(),
        references=_references(),
    )


def _view(table: BoardTable) -> TableView:
    rows = board_rows(table)
    is_one = len(table.suites) == 1
    has_families = len({name for line in table.lines for name in line.marks.families}) > 1
    return TableView(
        slug=table.slug,
        title=table.title,
        about=_about(table),
        notes=table.notes,
        rows=rows,
        has_retention=is_one,
        worst_title="Worst family" if has_families else "Worst perturbation",
    )


def _about(table: BoardTable) -> str:
    """Return in words what a table is about and what its comparisons decide."""
    compared = [one for one in table.ranking.comparisons if not one.obstacle]
    decided = sum(one.verdict in ("better", "worse") for one in compared)
    if not compared:
        said = "No two agents can be compared here."
    else:
        said = f"Decided: {decided} of {counted(len(compared), 'comparison')} of two agents."
    if hopeless := sum(one.verdict == "undecidable" for one in table.ranking.comparisons):
        said += f" {counted(hopeless, 'pair')} cannot be decided: {TOO_FEW}."
    played = {tuple((game.game, *sorted(game.scores.labels)) for game in line.play) for line in table.lines}
    if len(played) > 1:
        said += (
            " Not all played the same games and cells: scores of two rows may be about different ones, tiers are about "
            "what each two played in common."
        )
    if len(table.suites) != 1:
        suites = ", ".join(f"{key.suite} (version {key.version})" for key in table.suites)
        return f"Each suite counts the same: {suites}. {said}"
    key = table.suites[0]
    suite = load_suite(key.suite)
    entries = [one.entry for line in table.lines for one in line.submissions]
    # What strangers say of a suite counts only where nobody else knows: of its older versions.
    summary = suite.summary if suite.content_hash == key.content_hash else entries[0].suite.summary if entries else ""
    end = "" if summary.endswith((".", "?", "!")) else "."
    differs = key.protocol != Protocol.evaluation()
    played = f" Played with {protocol_words(key.protocol)}." if differs else ""
    return f"{summary}{end}{played} Content hash {key.content_hash}. {said}"


def _literature() -> Table:
    """Return clean scores that papers report, for orientation."""
    path = data_dir("baselines") / "published_scores.csv"
    games = sorted({row["game"] for row in _csv(path.name)})
    known = {game: load_game(game) for game in games}
    references = {
        game: Reference(*(math.nan if one is None else one for one in (of.random_score, of.human_score)))
        for game, of in known.items()
    }
    rows = tuple(
        (
            row.game,
            row.agent,
            row.algorithm,
            f"{row.mean:g}",
            "" if math.isnan(row.sd) else f"{row.sd:g}",
            number(row.normalised_score),
            row.source,
        )
        for row in published_table(references)
    )
    columns = ("Game", "Agent", "Algorithm", "Mean return", "SD", "Normalised", "Source")
    return _source_table("Clean scores in the literature", columns, rows)


def _references() -> Table:
    rows = tuple((row["game"], row["random"], row["human"], row["source"]) for row in _csv("reference_scores.csv"))
    return _source_table("Reference scores", ("Game", "Random", "Human", "Source"), rows)


def _source_table(title: str, columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> Table:
    """Return a table whose last column, the source, stands after the name, so that texts stand left."""
    order = (0, len(columns) - 1, *range(1, len(columns) - 1))
    return Table(
        title=title,
        caption="",
        columns=tuple(columns[place] for place in order),
        rows=tuple(tuple(row[place] for place in order) for row in rows),
        num_text_columns=4 if len(columns) > 4 else 2,
    )


def _csv(name: str) -> list[Mapping[str, str]]:
    path = data_dir("baselines") / name
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror}. Reinstall wsabench.") from error
