"""Makes what the documentation shows of perturbations and agents: measured effects, lists and pictures.

python docs/generate.py            everything; about ten minutes on one core
python docs/generate.py blocks     the lists between markers in the pages of PAGES; seconds
python docs/generate.py effects    effects.csv and effects.md
python docs/generate.py galleries  images/*-gallery*.png
"""

from __future__ import annotations

import csv
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from wsabench.cli.facts.baselines import agents_with_encoders, weight_files
from wsabench.emulator import MIN_EFFECT_GREY_LEVELS, measure_effect
from wsabench.errors import CheckpointError
from wsabench.evaluation.encoder_effect import STEPS_A_DRAW, measure_encoder_effects
from wsabench.games import catalogue_games, load_game
from wsabench.perturb import (
    CatalogueEntry,
    CompiledPerturbation,
    compile_perturbation,
    list_perturbations,
    list_suites,
    load_suite,
    misfit,
    parse_perturbation,
)
from wsabench.perturb.catalogue import all_kinds
from wsabench.perturb.kinds import FAMILIES, KINDS
from wsabench.perturb.rules import parse_patch, reward_note
from wsabench.summary.rows import grouped

DOCS = Path(__file__).parent
GALLERY_GAMES = ("breakout", "pong", "ms_pacman")
GALLERY_DPI = 150
PAGES = ("perturbations.md", "adding-a-perturbation.md", "training.md")
"""Pages with lists between markers."""
NO_WEIGHTS = ("attention_entropy", "attention_dead")
COLUMNS = ("game", "agent", "perturbation", "family", "measure", "value", "changed_steps", "content_hash")

Row = dict[str, Any]


def written(entry: CatalogueEntry) -> list[str]:
    """Return a perturbation's names at all severities."""
    return [entry.name if level is None else f"{entry.name}@{level}" for level in entry.severities]


def table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_escaped(str(cell)) for cell in line) + " |" for line in lines)


def _escaped(text: str) -> str:
    """Return a cell in which Markdown finds no column and, outside of code, no emphasis."""
    parts = text.replace("|", "\\|").split("`")
    return "`".join(part if number % 2 else part.replace("*", "\\*") for number, part in enumerate(parts))


# Lists between markers, for perturbations.md


def kinds_block(family: str) -> str:
    """Return the kinds of a family with their formulae."""
    all_kinds()
    kinds = {name: kind for name, kind in KINDS.items() if kind.family == family}
    return table(
        ("kind", "parameters", "what it does"),
        ((f"`{n}`", ", ".join(f"`{p}`" for p in k.parameters) or "none", k.description) for n, k in kinds.items()),
    )


def parameters_block() -> str:
    """Return all kinds with their family and what their parameters may be."""
    all_kinds()
    rows = []
    for name, kind in KINDS.items():
        parameters = "; ".join(f"`{key}`: {parameter.allowed}" for key, parameter in kind.parameters.items())
        rows.append((f"`{name}`", kind.family, parameters or "none"))
    rows.sort(key=lambda row: FAMILIES.index(row[1]))
    return table(("kind", "family", "parameters"), rows)


def names_block(family: str) -> str:
    """Return the catalogue's perturbations of a family, the games' own left out."""
    rows = []
    for entry in list_perturbations(family):
        if entry.games is None:
            scale = "; ".join(f"`{name}` {', '.join(map(str, steps))}" for name, steps in entry.scale.items())
            rows.append((f"`{entry.name}`", entry.kind, scale or "no scale", entry.source or "own choice"))
    return table(("perturbation", "kind", "severity 1 to 5", "source"), rows)


def counts_block() -> str:
    """Return how many perturbations there are."""
    entries = list_perturbations()
    rows = []
    for family in FAMILIES:
        ours = [entry for entry in entries if entry.family == family and entry.games is None]
        own = [entry for entry in entries if entry.family == family and entry.games is not None]
        rows.append((family, len(ours), sum(len(written(entry)) for entry in ours), len(own) or "-"))
    total = ("all", *(sum(int(row[i]) for row in rows) for i in (1, 2)), sum(int(r[3]) for r in rows if r[3] != "-"))
    return table(
        ("family", "perturbations of any game", "with their severities", "names that games add"), [*rows, total]
    )


def games_block() -> str:
    """Return what each game brings along."""
    rows = []
    for game in map(load_game, catalogue_games()):
        families = [patch.family for patch in game.verified_patches]
        numbers = (families.count("dynamics"), families.count("color"), len(game.patches) - len(families))
        rows.append((game.id, *numbers, max(len(game.modes) - 1, 0), max(len(game.difficulties) - 1, 0)))
    total = ("all", *(sum(int(row[i]) for row in rows) for i in range(1, 6)))
    head = (
        "game",
        "verified RAM patches, dynamics",
        "verified RAM patches, color",
        "not confirmed",
        "modes",
        "difficulties",
    )
    return table(head, [*rows, total])


def easier_block() -> str:
    """Return what random play showed of the patches that claim to make a game easier."""
    with (DOCS / "easier.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    shown = ("measure", "steps", "episodes", "without", "with", "gain", "bound")
    head = ("game", "patch", "measure", "steps", "games", "without", "with", "better by", "bound")
    body = ((row["game"], f"`{row['patch']}`", *(row[key].replace("_", " ") for key in shown)) for row in rows)
    return table(head, body)


def suites_block() -> str:
    """Return the suites."""
    suites = [load_suite(name) for name in list_suites()]
    return table(
        ("suite", "cells in Breakout", "what it asks"),
        ((f"`{suite.name}`", len(suite.cells.of("breakout")), suite.summary) for suite in suites),
    )


def page_place(path: Path) -> tuple[int, str]:
    """Return what sorts the pages of a gallery: the first has no number at its end, -10 stands behind -9."""
    return len(path.name), path.name


def pictures_block() -> str:
    """Return the pages of the gallery."""
    parts = []
    for game in map(load_game, GALLERY_GAMES):
        for family in ("color", "corruption", "dynamics"):
            paths = sorted((DOCS / "images").glob(f"{game.id}-{family}-gallery*.png"), key=page_place)
            pages = [f"![{game.title}, {family}, page {n}](images/{path.name})" for n, path in enumerate(paths, 1)]
            parts.append("\n\n".join([f"### {game.title}: {family}", *pages]))
    return "\n\n".join(parts)


def attention_block() -> str:
    """Return what the shipped agents that attend to encoders do with them at the end of their training."""
    rows = []
    for game, agent, seed, path in weight_files():
        if not path.is_relative_to(DOCS.parent / "baselines"):
            continue  # fetched, or of somebody else
        with path.with_name(f"{path.stem}-curve.csv").open(encoding="utf-8", newline="") as file:
            curve = list(csv.DictReader(file))
        weighs = [name for name in curve[0] if name.startswith("attention_") and name not in NO_WEIGHTS]
        if not weighs:
            continue
        end = curve[-(-len(curve) * 9 // 10) :]
        shown = {name: _mean(end, name) for name in (*weighs, "context_static_share", "context_variance_share")}
        weights = ", ".join(f"{name.removeprefix('attention_')} {shown[name]:.2f}" for name in weighs)
        context = [f"{shown[name]:.2f}" for name in ("context_static_share", "context_variance_share")]
        rows.append((game.replace("_", " "), f"`{agent}`", seed, weights, *context))
    head = ("game", "agent", "train seed", "mean weights", "static steps", "context's share of variance")
    return table(head, rows)


def _mean(rows: list[dict[str, str]], name: str) -> float:
    return sum(float(row.get(name) or "nan") for row in rows) / len(rows)


def blocks() -> dict[str, str]:
    """Return everything that stands between markers, by its name."""
    found = {f"kinds {family}": kinds_block(family) for family in FAMILIES}
    found |= {f"names {family}": names_block(family) for family in FAMILIES}
    return found | {
        "parameters": parameters_block(),
        "counts": counts_block(),
        "games": games_block(),
        "easier": easier_block(),
        "suites": suites_block(),
        "pictures": pictures_block(),
        "attention": attention_block(),
    }


def filled(text: str, made: Mapping[str, str]) -> str:
    """Return a page with what is between `<!-- begin NAME -->` and `<!-- end -->` made anew."""
    return re.sub(
        r"(<!-- begin ([\w ]+) -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}{made[match[2]]}\n{match[3]}",
        text,
        flags=re.DOTALL,
    )


# Effects


def make_effects(wanted: list[str]) -> list[Row]:
    """Measure every perturbation at every severity in every game that can have it; write effects.csv game by game."""
    path = DOCS / "effects.csv"
    kept: list[Row] = []
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            kept = list(csv.DictReader(file))
    rows: list[Row] = []
    for game in catalogue_games():
        if wanted and game not in wanted:
            rows += [row for row in kept if row["game"] == game]
            continue
        start = time.monotonic()
        rows += game_rows(
            game, {(row["perturbation"], row["content_hash"]): row for row in kept if row["game"] == game}
        )
        print(f"{game}: {time.monotonic() - start:.0f} s", flush=True)
        later = [row for row in kept if row["game"] > game]
        with path.open("w", encoding="utf-8", newline="") as file:
            writer: csv.DictWriter[str] = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows + later)
    return rows


def game_rows(game: str, kept: Mapping[tuple[str, str], Row]) -> list[Row]:
    """Return the rows of one game; `kept` has earlier ones by perturbation and content hash."""
    rows: list[Row] = []
    names = [name for entry in list_perturbations() for name in written(entry) if misfit(name, game) is None]
    for name in names:
        compiled = compile_perturbation(name, game)
        if compiled.family == "encoder":
            continue
        row = kept.get((name, compiled.content_hash))
        if row is None:
            effect = measure_effect(game, name)
            steps = "" if effect.changed_steps is None else f"{effect.changed_steps:.3f}"
            row = _row(compiled, "", "grey levels", effect.value) | {"changed_steps": steps}
        rows.append(row)
    return rows + encoder_rows(game, [name for name in names if parse_perturbation(name).family == "encoder"])


def encoder_rows(game: str, names: list[str]) -> list[Row]:
    """Ask every shipped agent with encoders."""
    rows: list[Row] = []
    for _, agent, seed in (found for found in agents_with_encoders() if found[0] == game):
        try:
            found = measure_encoder_effects(game, names, agent, seed)
        except CheckpointError as error:
            print(f"not asked: {error}")
            continue
        for name, value in found.items():
            rows.append(_row(compile_perturbation(name, game), f"{agent} seed {seed}", "total variation", value))
    return rows


def _row(compiled: CompiledPerturbation, agent: str, measure: str, value: float) -> Row:
    """Return one row of effects.csv."""
    return {
        "game": compiled.game,
        "agent": agent,
        "perturbation": compiled.name,
        "family": compiled.family,
        "measure": measure,
        "value": f"{value:.3f}",
        "changed_steps": "",
        "content_hash": compiled.content_hash,
    }


def effects_page(rows: list[Row]) -> str:
    """Return effects.md."""
    by_cell = {(row["game"], row["perturbation"]): row for row in rows if not row["agent"]}
    games = catalogue_games()
    parts = [_EFFECTS_HEAD.format(least=f"{MIN_EFFECT_GREY_LEVELS:g}")]
    for family in ("color", "corruption", "dynamics"):
        names = [n for entry in list_perturbations(family) if entry.games is None for n in written(entry)]
        body = ((f"`{name}`", *(_cell(by_cell.get((game, name))) for game in games)) for name in names)
        parts.append(f"## {family}\n\n" + table(("", *(game.replace("_", " ") for game in games)), body))
    parts.append(
        _ENCODER_HEAD.format(draw=STEPS_A_DRAW) + "\n\n".join(_encoder_tables([row for row in rows if row["agent"]]))
    )
    parts.append(_OWN_HEAD + "\n\n".join(_own_table(game, by_cell) for game in games))
    return "\n\n".join(parts) + "\n"


def _cell(row: Mapping[str, Any] | None) -> str:
    """Return a cell: the grey levels, and the share of steps of a play; in brackets what a run leaves out."""
    if row is None:
        return ""
    value = _short(float(row["value"]))
    if row["changed_steps"]:
        return f"{value}; {float(row['changed_steps']):.0%}"
    return value if float(row["value"]) >= MIN_EFFECT_GREY_LEVELS else f"({value})"


def _short(value: float) -> str:
    """Return grey levels with as many digits as are worth reading."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _encoder_tables(rows: list[Row]) -> Iterator[str]:
    """Return a table for each agent, with a column for each of its games: means over the train seeds that ship."""
    names = [name for entry in list_perturbations("encoder") for name in written(entry)]
    for agent, of_agent in grouped(rows, lambda row: row["agent"].partition(" seed ")[0]).items():
        games = grouped(of_agent, lambda row: row["game"])
        heads = [f"{game.replace('_', ' ')} ({len({row['agent'] for row in found})})" for game, found in games.items()]
        values = grouped(of_agent, lambda row: (row["game"], row["perturbation"]))
        body = ((f"`{name}`", *(_mean_distance(values.get((game, name), [])) for game in games)) for name in names)
        yield f"### `{agent}`\n\n" + table(("", *heads), body)


def _mean_distance(rows: Sequence[Row]) -> str:
    """Return the mean of some distances with two digits; nothing where there is none."""
    return f"{fmean(float(row['value']) for row in rows):.2f}" if rows else ""


def _own_table(game_id: str, by_cell: Mapping[tuple[str, str], Row]) -> str:
    """Return the perturbations that one game brings along."""
    game = load_game(game_id)
    rows = []
    for patch in game.verified_patches:
        note = reward_note(parse_patch(patch, game), game)
        what = patch.effect + (f". {note}" if note else "")
        rows.append((f"`{patch.perturbation}`", _cell(by_cell.get((game.id, patch.perturbation))), what))
    for switch, values in (("mode", game.modes), ("difficulty", game.difficulties)):
        for value in values[1:]:
            name = f"{switch}-{value}"
            rows.append((f"`{name}`", _cell(by_cell.get((game.id, name))), f"the console's {switch} switch at {value}"))
    return f"### {game.title}\n\n" + table(("", "effect", "what it does"), rows)


_EFFECTS_HEAD = """# Measured effects

Made by `python docs/generate.py effects`. All numbers: [effects.csv](effects.csv). `wsabench show NAME` measures the
same. How: [perturbations.md](perturbations.md#the-measured-effect).

A number is the mean absolute change of the agent's 84x84 view in grey levels (0 to 255) over 300 steps of random play.
In brackets: below {least}, so a run leaves the cell out in that game. After a semicolon, where the game, the controls
or the time of pictures changes: the share of steps after which the console's memory or the view differs. Empty: the
game cannot have it."""

_ENCODER_HEAD = """## encoder

The total variation distance between the agent's action distributions with and without the change, mean over 200 steps
of its own clean play: 0 the same, 1 nothing in common. A number is the mean over the train seeds that ship, of which
there are as many as the brackets say; [effects.csv](effects.csv) has each. Encoders that a run draws for each episode
(`drop-one` and so on) are drawn anew every {draw} steps.

"""

_OWN_HEAD = """## What the games bring along

Verified RAM patches, then modes and difficulties. Random play does not reach every situation: a patch may show nothing
here and still be verified (`wsabench show NAME` tells how).

"""


# Pictures


def galleries(games: Iterable[str]) -> None:
    """Draw every family for three games, all patches but only the first other mode and difficulty."""
    from PIL import Image

    from wsabench.report import draw_gallery
    from wsabench.report.films.gallery import gallery_names

    folder = DOCS / "images"
    for game in games:
        for family in ("color", "corruption", "dynamics"):
            start = time.monotonic()
            names = [n for n in gallery_names(game, family=family) if misfit(n, game) is None and not _is_late(n, game)]
            for old in folder.glob(f"{game}-{family}-gallery*.png"):
                old.unlink()
            drawn = draw_gallery("smoke", game, folder / f"{game}-{family}-gallery.png", names, dpi=GALLERY_DPI)
            for path in drawn.paths:
                with Image.open(path) as picture:
                    small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
                small.save(path, optimize=True)
                print(f"{path.name}: {path.stat().st_size // 1024} KiB", flush=True)
            print(f"{game}, {family}: {len(names)} perturbations, {time.monotonic() - start:.0f} s", flush=True)


def _is_late(name: str, game_id: str) -> bool:
    """Whether it is a mode or difficulty after the first one besides the default."""
    game = load_game(game_id)
    late = [f"mode-{value}" for value in game.modes[2:]] + [f"difficulty-{value}" for value in game.difficulties[2:]]
    return name in late


def main(words: list[str]) -> None:
    """Make what is asked for; everything by default."""
    games = [word for word in words if word in catalogue_games()]
    wanted = [word for word in words if word not in games] or ["blocks", "effects", "galleries"]
    if unknown := [word for word in wanted if word not in ("blocks", "effects", "galleries")]:
        sys.exit(f"Unknown: {', '.join(unknown)}. {__doc__}")
    if "effects" in wanted:
        (DOCS / "effects.md").write_text(effects_page(make_effects(games)), encoding="utf-8")
    if "galleries" in wanted:
        galleries(games or GALLERY_GAMES)
    if "blocks" in wanted:
        made = blocks()
        for page in (DOCS / name for name in PAGES):
            page.write_text(filled(page.read_text(encoding="utf-8"), made), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
