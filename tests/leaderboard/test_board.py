"""What stands in which table: versions and protocols apart, and invalid files named."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from made_entries import made_entry, quick_cells
from msgspec.structs import replace

from wsabench.errors import ResultSetError, StorageError
from wsabench.leaderboard.badges import badge_of
from wsabench.leaderboard.board import Board, Submission, board_of, read_folder, slug_of
from wsabench.leaderboard.entry import write_entry
from wsabench.leaderboard.rows import tier_title
from wsabench.leaderboard.schema import Entry
from wsabench.protocol import Protocol
from wsabench.report.badge import GREY


def board(*entries: Entry) -> Board:
    return board_of([Submission(f"{place}.json", entry) for place, entry in enumerate(entries)])


def test_versions_have_tables_of_their_own_and_only_the_newest_is_in_the_table_over_all_suites() -> None:
    found = board(
        made_entry("old", level=1.0),
        made_entry("new", level=0.5, version=2),
        made_entry("other", "corruption", level=0.5),
    )
    tables = {table.title: [line.name for line in table.lines] for table in found.tables}
    assert tables == {
        "color-shift, version 2": ["new"],
        "color-shift, version 1": ["old"],
        "corruption, version 1": ["other"],
    }
    assert [table.title for table in found.older] == ["color-shift, version 1"]
    assert sorted(line.name for line in found.overall.lines) == ["new", "other"]


def test_protocols_are_not_mixed_and_the_titles_say_which() -> None:
    sticky = Protocol.evaluation().with_changes(sticky_probability=0.25)
    found = board(made_entry("a"), made_entry("b"), made_entry("c", protocol=sticky))
    assert [(table.title, len(table.lines)) for table in found.tables] == [
        ("color-shift, version 1, the bench's own protocol", 2),
        ("color-shift, version 1, sticky_probability 0.25", 1),
    ]
    assert sorted(line.name for line in found.overall.lines) == ["a", "b"]


def test_privileged_agents_stand_in_no_tier_beside_agents_on_pixels() -> None:
    (table,) = board(made_entry("pixels", level=0.5), made_entry("ram", level=2.0, privileged=True)).tables
    assert [(line.name, line.is_ranked) for line in table.lines] == [("pixels", True), ("ram", False)]
    assert table.lines[1].standing is None
    assert all("ram" not in (one.agent_x, one.agent_y) for one in table.ranking.comparisons)
    (alone,) = board(made_entry("ram", privileged=True), made_entry("ram too", level=0.0, privileged=True)).tables
    assert [line.standing.tier for line in alone.lines if line.standing] == [1, 2]


def test_an_agent_that_is_compared_with_nobody_has_no_tier_and_it_is_said_why() -> None:
    def reasons(*entries: Entry) -> dict[str, str]:
        (table,) = board(*entries).tables
        for line in table.lines:
            assert (line.standing is None) == bool(why := table.why_no_tier(line))
            badge = badge_of(line, table)
            assert badge.value.startswith(f"no tier ({why}), robust " if why else "tier "), badge.value
            assert (badge.color == GREY) == bool(why)
            assert not why or tier_title(line, table) == f"No tier: {why}"
        return {line.name: table.why_no_tier(line) for line in table.lines}

    assert reasons(made_entry("alone")) == {"alone": "no other agent to compare with"}
    assert reasons(made_entry("a", level=1.0), made_entry("b", level=0.0)) == {"a": "", "b": ""}
    assert reasons(made_entry("pixels"), made_entry("ram", privileged=True)) == {
        "pixels": "no other agent to compare with",
        "ram": "reads more than pixels",
    }
    few = made_entry("a", num_episodes=4), made_entry("b", num_episodes=4)
    assert set(reasons(*few).values()) == {"fewer than 5 episodes"}


def test_an_agent_with_other_networks_in_another_suite_is_not_averaged_over_suites() -> None:
    entry = made_entry("a", "corruption")
    changed = [replace(one, checkpoint_hash="0" * 16) for one in entry.agents]
    found = board(made_entry("a"), made_entry("b"), replace(entry, agents=tuple(changed)))
    assert [line.name for line in found.overall.lines] == ["b"]
    assert found.overall.notes == ("a is left out: its networks of one train seed and game differ between suites.",)


def test_lines_stand_by_tier_then_score_and_what_is_unknown_last() -> None:
    (table,) = board(
        made_entry("z", level=1.0),
        made_entry("y", level=0.5),
        made_entry("x", level=0.0),
        made_entry("only clean", level=3.0, cells=("clean",)),
    ).tables
    assert [line.name for line in table.lines] == ["z", "y", "x", "only clean"]
    assert math.isnan(table.lines[-1].marks.robust.value)


def test_names_become_different_safe_file_names() -> None:
    names = ["../../etc/passwd", "A", "a", "<b>", "日本", "x" * 80, ".", "CON"]
    slugs = [slug_of(name) for name in names]
    assert len(set(slugs)) == len(names)
    assert all(set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") and len(slug) < 60 for slug in slugs)


def test_an_invalid_file_and_a_second_entry_are_named_and_the_others_stand(tmp_path: Path) -> None:
    entry = made_entry("a", cells=quick_cells("color-shift"))
    write_entry(tmp_path / "a.json", entry)
    write_entry(tmp_path / "copy.json", entry)
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    (tmp_path / "two\nlines.json").write_text("{}", encoding="utf-8")
    (tmp_path / os.fsdecode(b"\xff.json")).write_text("{}", encoding="utf-8")
    (tmp_path / "note.txt").write_text("no entry", encoding="utf-8")
    submissions, problems = read_folder(tmp_path)
    assert [one.file for one in submissions] == ["a.json"]
    reasons = {problem.file: problem.reason for problem in problems}
    assert list(reasons) == ["broken.json", "copy.json", "two\\nlines.json", "\\udcff.json"]
    assert all(text.isprintable() for text in reasons.values())
    assert "second entry of 'a' on color-shift; the first is a.json" in reasons["copy.json"]
    assert str(tmp_path) not in reasons["broken.json"]


def test_folders_without_entries_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultSetError, match=r"holds no entry \(\*\.json\)"):
        read_folder(tmp_path)
    (tmp_path / "broken.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ResultSetError, match=r"holds no valid entry:\n  broken\.json: "):
        read_folder(tmp_path)
    with pytest.raises(StorageError, match="Cannot read the folder"):
        read_folder(tmp_path / "missing")


def test_the_shipped_entries_are_valid_and_cover_all_shipped_agents() -> None:
    root = Path(__file__).resolve().parents[2]
    submissions, problems = read_folder(root / "results/leaderboard")
    assert problems == []
    assert len(submissions) >= 20
    shipped = {(path.parent.name, path.stem.partition("-")[0]) for path in (root / "baselines").glob("*/*.safetensors")}
    played = {(game, one.entry.name) for one in submissions for game in one.entry.games}
    for agent in ("wsa", "e2e", "random", "noop"):
        assert {suite for one in submissions if one.entry.name == agent for suite in [one.entry.suite.name]} == {
            *("color-shift", "corruption", "dynamics", "encoder-dropout", "smoke")
        }
        games = {game for game, name in shipped if name == agent}
        assert {(game, agent) for game in games} <= played
    assert max(path.stat().st_size for path in (root / "results/leaderboard").glob("*.json")) < 100_000
