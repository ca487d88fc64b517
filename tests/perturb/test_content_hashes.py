"""The content hash of every perturbation of the catalogue is what it was when `content_hashes.json` was written.

Result sets are compared and resumed by these hashes, so a change of the code may move none of them. A change of a
perturbation itself moves its own: write the file anew, in a commit that says which moved and why:

    PYTHONPATH=. python tests/perturb/test_content_hashes.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsabench.games import catalogue_games
from wsabench.perturb import compile_perturbation, list_perturbations
from wsabench.perturb.catalogue import all_kinds
from wsabench.perturb.compiling import misfit
from wsabench.perturb.entries import NUM_SEVERITIES, CatalogueEntry

pytestmark = pytest.mark.oracle

GOLDEN = Path(__file__).with_name("content_hashes.json")
ANY = "any"
"""Instead of the game's name, of perturbations whose hash is the same in all games."""


def texts(entry: CatalogueEntry) -> list[str]:
    if not entry.has_severity:
        return [entry.name]
    return [f"{entry.name}@{severity}" for severity in range(1, NUM_SEVERITIES + 1)]


def places(entry: CatalogueEntry) -> list[str]:
    """The games to compile an entry in; one stands for all where the hash knows no game."""
    if entry.games is None and all_kinds()[entry.kind].content is None:
        return ["pong"]
    return [game for game in catalogue_games() if entry.games is None or game in entry.games]


def content_hashes() -> Iterator[tuple[str, str]]:
    for entry in list_perturbations():
        games = places(entry)
        for game in games:
            where = ANY if entry.games is None and len(games) == 1 else game
            for text in texts(entry):
                if misfit(text, game) is None:
                    yield f"{where}/{text}", compile_perturbation(text, game).content_hash


def test_no_content_hash_moved() -> None:
    golden, found = json.loads(GOLDEN.read_text()), dict(content_hashes())
    moved = {name: (golden.get(name), found.get(name)) for name in golden | found}
    moved = {name: (old, new) for name, (old, new) in moved.items() if old != new}
    assert not moved, "hashes moved (before, now; None: there is none); see the top of this file"


def test_every_entry_has_a_hash() -> None:
    pinned = {name.partition("/")[2].partition("@")[0] for name in json.loads(GOLDEN.read_text())}
    assert pinned == {entry.name for entry in list_perturbations()}


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(dict(sorted(content_hashes())), indent=1) + "\n")
