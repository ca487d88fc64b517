"""Reading of `perturbations/games/*.toml` and of the reference scores."""

from __future__ import annotations

import csv
import functools
import re
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, get_args

from wsabench.errors import SpecError, StorageError
from wsabench.fields import Fields, read_toml
from wsabench.games.records import (
    Confidence,
    Difficulty,
    Ease,
    EaseMeasure,
    Game,
    PatchFamily,
    PatchTime,
    RamPatch,
    RamVariable,
    RandomPlay,
)
from wsabench.games.roms import check_rom_id
from wsabench.resources import catalogue_files, data_dir

_MOST_STEPS = 27_000
"""Half an hour of play, as long as an evaluation's games may be."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class ReferenceScores(NamedTuple):
    """Mean returns that normalise a game's scores; None where the table has none."""

    random: float | None
    human: float | None


def catalogue_games() -> list[str]:
    """Return the ids of the games with a catalogue entry, sorted."""
    return sorted(catalogue_files("games"))


@functools.cache
def load_game(game: str) -> Game:
    """Return what is known of a game.

    Args:
        game: Id of any single-player ROM of ale-py, or what `check_rom_id` takes for one; without a catalogue entry the
            record has empty mappings.

    Raises:
        SpecError: The game needs two players, or its catalogue entry is malformed.
        UnknownNameError: There is no such ROM; the message has the nearest ids.
    """
    game = check_rom_id(game)
    scores = _scores().get(game, ReferenceScores(None, None))
    path = catalogue_files("games").get(game)
    if path is None:
        return Game(game, game.replace("_", " ").title(), scores.random, scores.human)
    return read_game(path, game, scores)


def read_game(path: Path, game: str, scores: ReferenceScores) -> Game:
    """Read one catalogue entry.

    Raises:
        SpecError: It is malformed; the message names file, key, what was found and what is allowed.
        StorageError: It cannot be read.
    """
    table = Fields(read_toml(path), str(path))
    record = Game(
        id=game,
        title=table.text("title"),
        random_score=scores.random,
        human_score=scores.human,
        ram=MappingProxyType({name: _variable(name, entry) for name, entry in _named(table, "ram").items()}),
        objects=MappingProxyType({name: _colors(entry) for name, entry in _named(table, "objects").items()}),
        patches=MappingProxyType({name: _patch(name, entry) for name, entry in _named(table, "patches").items()}),
        modes=table.integers("modes", 0, 255, ()),
        difficulties=table.integers("difficulties", 0, 3, ()),
        random_play=_random_play(table),
    )
    table.close()
    return record


def _named(table: Fields, key: str) -> dict[str, Fields]:
    """Return sub-tables whose names are lower-case words."""
    entries = table.tables(key)
    for name, entry in entries.items():
        if not _NAME.fullmatch(name):
            raise SpecError(f"{entry.where}: the name is {name!r}. Allowed: lower-case letters, digits and _.")
    return entries


def _variable(name: str, entry: Fields) -> RamVariable:
    """Read one entry of the RAM map."""
    variable = RamVariable(
        name=name,
        index=entry.integer("index", 0, 127),
        encoding=entry.text("encoding"),
        confidence=entry.text("confidence", choices=get_args(Confidence)),  # pyright: ignore[reportArgumentType]
        note=entry.text("note", ""),
    )
    entry.close()
    return variable


def _colors(entry: Fields) -> tuple[int, ...]:
    """Read the colours of one object."""
    indices = entry.integers("palette_indices", 0, 255)
    entry.text("evidence", "")
    entry.close()
    return indices


def _random_play(table: Fields) -> RandomPlay:
    """Read how random play shows which patches make the game easier."""
    entry = table.table("random_play")
    actions = entry.texts("actions", ())
    play = RandomPlay(
        steps=entry.integer("steps", 1, _MOST_STEPS, RandomPlay().steps),
        actions=actions,
        reason=entry.text("reason") if actions else "",
    )
    entry.close()
    return play


def _ease(entry: Fields) -> Ease:
    """Read in what a patch makes the game easier."""
    if "ease" in entry.values and entry.values.get("expected_difficulty") != "easier":
        entry.fail("ease", 'only beside expected_difficulty = "easier"')
    found = entry.table("ease")
    ease = Ease(
        measure=found.text("measure", "return", get_args(EaseMeasure)),  # pyright: ignore[reportArgumentType]
        steps=found.integer("steps", 1, _MOST_STEPS) if "steps" in found.values else None,
        reason=found.text("reason") if found.values else "",
    )
    found.close()
    return ease


def _patch(name: str, entry: Fields) -> RamPatch:
    """Read one RAM patch."""
    patch = RamPatch(
        name=name,
        when=entry.text("when", choices=get_args(PatchTime)),  # pyright: ignore[reportArgumentType]
        rule=entry.text("rule"),
        effect=entry.text("effect"),
        expected_difficulty=entry.text("expected_difficulty", choices=get_args(Difficulty)),  # pyright: ignore[reportArgumentType]
        is_verified=entry.switch("verified"),
        is_verified_every_4th_frame=entry.switch("verified_every_4th_frame"),
        how_verified=entry.text("how_verified"),
        family=entry.text("family", "dynamics", get_args(PatchFamily)),  # pyright: ignore[reportArgumentType]
        ease=_ease(entry),
    )
    entry.close()
    return patch


@functools.cache
def _scores() -> dict[str, ReferenceScores]:
    """Read random and human scores.

    References:
        Wang et al. 2016, "Dueling network architectures", table of raw scores, 30 no-ops.
    """
    path = data_dir("baselines") / "reference_scores.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {
                row["game"]: ReferenceScores(float(row["random"]), float(row["human"])) for row in csv.DictReader(file)
            }
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror}. Reinstall wsabench.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise SpecError(
            f"{path}: a row is malformed ({error}). Allowed columns: game, random, human, source."
        ) from error
