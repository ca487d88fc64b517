"""The site on disk: a folder of entries becomes pages and badges that need no network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from wsabench.errors import SpecError
from wsabench.leaderboard.board import Board, Problem, board_of, read_folder
from wsabench.leaderboard.pages import pages_of
from wsabench.resources import make_dir, write_text, writing

FILE_LIST = "site-files.json"
"""Names what was written, so that the next site removes what it no longer has."""


@dataclass(frozen=True, slots=True)
class SiteResult:
    """What was written."""

    index: Path
    num_agents: int
    num_entries: int
    num_tables: int
    """Number of tables of one suite; the one over all suites is not counted."""
    problems: tuple[Problem, ...]
    """The files that were left out."""


def write_site(folder: Path, out: Path) -> SiteResult:
    """Write the site of a folder of entries.

    Args:
        folder: Holds the entries, files `*.json`.
        out: Where the site goes. Files that an earlier site wrote there and this one does not are removed.

    Returns:
        What was written. The same entries give the same bytes.

    Raises:
        ResultSetError: There is no entry, or no valid one.
        SpecError: The site would stand among the entries.
        StorageError: A file cannot be read or written.
    """
    if out.resolve() == folder.resolve():
        raise SpecError(f"The site would stand among the entries in {folder}. Choose another folder: --out DIR.")
    submissions, problems = read_folder(folder)
    board: Board = board_of(submissions, problems)
    files = pages_of(board)
    earlier = _earlier(out)
    for name, text in sorted(files.items()):
        path = out / name
        make_dir(path.parent)
        write_text(path, text)
    for name in sorted(earlier - files.keys()):
        path = out / name
        with writing(path):
            path.unlink(missing_ok=True)
    write_text(out / FILE_LIST, json.dumps(sorted(files), indent=1) + "\n")
    return SiteResult(
        index=out / "index.html",
        num_agents=len(board.agents),
        num_entries=len(submissions),
        num_tables=len(board.tables),
        problems=board.problems,
    )


def _earlier(out: Path) -> set[str]:
    """Return the files that an earlier site wrote here; only pages and badges inside the folder count."""
    try:
        names = json.loads((out / FILE_LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    root = out.resolve()
    return {
        name
        for name in (names if isinstance(names, list) else [])
        if isinstance(name, str) and name.endswith((".html", ".svg")) and (out / name).resolve().is_relative_to(root)
    }
