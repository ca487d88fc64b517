"""A suite of the catalogue that changed has another version: `perturbations/suite-versions.toml` pins both.

`content` is the suite's own hash; `cells` covers every cell that a game of the catalogue has, also games that the suite
does not play by itself. A suite that changed on purpose gets a higher `version` in its file and one more table, a new
game one more line; this prints them:

    PYTHONPATH=. python tests/perturb/test_suite_versions.py
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wsabench.cli import main
from wsabench.errors import SpecError
from wsabench.games import catalogue_games
from wsabench.hashing import json_hash
from wsabench.leaderboard.checking import suite_versions
from wsabench.perturb import compile_perturbation, list_suites, load_suite, misfit
from wsabench.perturb.suites import Suite

TABLE = Path(__file__).resolve().parents[2] / "perturbations/suite-versions.toml"


def pinned() -> dict[str, dict[str, Any]]:
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))


def cells_hash(suite: Suite, game: str) -> str:
    names = [name for name in suite.cells.of(game) if misfit(name, game) is None]
    return json_hash({name: compile_perturbation(name, game).content_hash for name in names}, 16)


def hashes(suite: Suite) -> dict[str, Any]:
    """The suite's hash, and that of all its cells by game."""
    return {"content": suite.content_hash, "cells": {game: cells_hash(suite, game) for game in catalogue_games()}}


def problem(suite: Suite, found: dict[str, Any], table: Mapping[str, Mapping[str, Any]]) -> str:
    """What is wrong between a suite and the table; nothing where its version is there with its hashes."""
    versions = table.get(suite.name, {})
    if list(versions) != [str(number) for number in range(1, suite.version + 1)]:
        return f"{suite.name} is version {suite.version}, the table has {', '.join(versions)}"
    kept = versions[str(suite.version)]
    changed = [game for game, value in kept["cells"].items() if found["cells"].get(game) != value]
    if kept["content"] != found["content"] or changed:
        return f"{suite.name} changed ({', '.join(changed)}) and is still version {suite.version}: raise it"
    new = sorted(found["cells"].keys() - kept["cells"].keys())
    return f"{suite.name}: the table lacks {', '.join(new)}" if new else ""


@pytest.mark.parametrize("name", list_suites())
def test_a_suite_that_changed_has_another_version(name: str) -> None:
    suite = load_suite(name)
    assert not problem(suite, hashes(suite), pinned())


def test_the_table_has_no_other_suite_and_no_hash_twice() -> None:
    assert sorted(pinned()) == list_suites()
    assert all(len({str(one) for one in versions.values()}) == len(versions) for versions in pinned().values())
    assert suite_versions() == {
        name: {int(version): one["content"] for version, one in versions.items()} for name, versions in pinned().items()
    }


def test_a_change_without_a_version_is_noticed() -> None:
    suite = load_suite("smoke")
    found, table = hashes(suite), pinned()
    longer = replace(suite, perturbations=(*suite.perturbations, "invert"))
    assert longer.content_hash != suite.content_hash
    assert "raise it" in problem(longer, hashes(longer), table)
    cells = {**found["cells"], "pong": "0" * 16}
    assert "changed (pong)" in problem(suite, {**found, "cells": cells}, table)
    assert "the table lacks tennis" in problem(suite, {**found, "cells": {**found["cells"], "tennis": "1"}}, table)
    assert "the table has 1" in problem(replace(suite, version=2), found, table)


def test_a_suite_of_one_s_own_may_leave_its_version_out(tmp_path: Path) -> None:
    profile = "[profiles.quick]\ntrain_seeds = [0]\nepisodes = 1\n"
    text = f'summary = "s"\ngames = ["pong"]\nperturbations = ["invert"]\n{profile}'
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    first = load_suite(path)
    assert first.version == 1
    later = tmp_path / "later.toml"
    later.write_text(f"version = 3\n{text}", encoding="utf-8")
    assert (load_suite(later).version, load_suite(later).content_hash) == (3, first.content_hash)
    later.write_text(f"version = 0\n{text}# again", encoding="utf-8")
    with pytest.raises(SpecError, match="version: found 0"):
        load_suite(later)


def test_listing_and_showing_tell_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "suites", "--json"]) == 0
    told = {row["name"]: row["version"] for row in json.loads(capsys.readouterr().out)["suites"]}
    assert told == {name: load_suite(name).version for name in list_suites()}
    assert max(told.values()) > 1
    assert main(["show", "smoke", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == 1


def written() -> str:
    """The tables of the suites as they are now."""
    lines: list[str] = []
    for name in list_suites():
        suite = load_suite(name)
        found = hashes(suite)
        head = f"{name}.{suite.version}"
        lines += [f"[{head}]", f'content = "{found["content"]}"', f"[{head}.cells]"]
        lines += [f'{game} = "{value}"' for game, value in found["cells"].items()]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(written())
