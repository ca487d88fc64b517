"""Contact sheets and film strips: what a person and what the agent sees under every perturbation of a suite or family.

A perturbation that changes the picture alone is shown at one moment, the same for all; one that changes the game is
shown as a film strip.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from wsabench.errors import SpecError, unknown_name
from wsabench.evaluation.samples import FILM_EVERY, SampleLane
from wsabench.perturb import (
    CompiledPerturbation,
    Suite,
    compile_perturbation,
    list_perturbations,
    load_suite,
    misfit,
    parse_perturbation,
)
from wsabench.perturb.kinds import FAMILIES
from wsabench.protocol import Protocol
from wsabench.report.figures import SampleFrame, frame_grid
from wsabench.report.figures.style import PNG_DPI, figure_bytes, figure_style
from wsabench.report.films.filmstrip import Film, choose_moments, draw_strip
from wsabench.resources import atomic_path, make_dir

COLUMNS = 4
"""Pictures beside each other on a contact sheet."""
SHOWN_SEVERITY = 3
"""The severity at which a family is shown."""

_CELLS_A_PAGE = 32
_FILMS_A_PAGE = 10
_STEPS_A_SECOND = 15
_ENCODERS = "acts on the agent's encoders: nothing to draw"

Advance = Callable[[int], None]
"""Called with the number of perturbations that were drawn since the last call."""


class Gallery(NamedTuple):
    """What was drawn."""

    paths: tuple[Path, ...]
    """The pages; empty where there was nothing to draw."""
    left_out: Mapping[str, str]
    """Perturbations without a picture, and why."""


def gallery_names(game: str, suite: str | Path | Suite | None = None, family: str | None = None) -> list[str]:
    """Return the perturbations that a gallery shows.

    Args:
        game: The game's id.
        suite: A suite's name, the path of a suite file, or a loaded suite; all its cells are shown, also those of this
            game only.
        family: A family; all its perturbations that fit the game are shown, at severity 3 where there is a scale.

    Raises:
        SpecError: Both are given, or neither.
        UnknownNameError: There is no such suite or family.
    """
    if (suite is None) == (family is None):
        raise SpecError("A gallery shows a suite or a family. Give one of the two.")
    if suite is not None:
        return list((suite if isinstance(suite, Suite) else load_suite(suite)).cells.of(game))
    if family not in FAMILIES:
        raise unknown_name("family", str(family), FAMILIES)
    return [
        f"{entry.name}@{SHOWN_SEVERITY}" if entry.has_severity else entry.name
        for entry in list_perturbations(family)
        if entry.games is None or game in entry.games
    ]


def draw_gallery(
    suite: str | Path | Suite,
    game: str,
    path: str | Path,
    perturbations: Sequence[str] | None = None,
    *,
    dpi: int = PNG_DPI,
    advance: Advance | None = None,
) -> Gallery:
    """Draw what perturbations do to a game, `clean` first, on as many pages as it takes.

    Args:
        suite: A suite's name, the path of a suite file, or a loaded suite.
        game: Id of any single-player ROM.
        path: The PNG file of the first page; its folder is created. Further pages get -2, -3 and so on in their names.
        perturbations: Names to draw instead of the suite's; one that does not fit the game is then an error.
        dpi: Dots per inch; a page is 6.8 inches wide.
        advance: Called with 1 after each perturbation.

    Returns:
        The pages, and what is on no page. Each picture is titled with the perturbation and its measured effect; cells
        that a run leaves out because the agent could hardly see them are marked.

    Raises:
        SpecError: The file's ending is not `.png`, or a perturbation is malformed.
        StorageError: A file cannot be written.
        UnknownNameError: There is no such suite, game or perturbation.
    """
    out = Path(path)
    if out.suffix.lower() != ".png":
        raise SpecError(f"The contact sheet is a PNG picture, but the file is {out.name!r}. Give it the ending .png.")
    names = (
        gallery_names(game, suite)
        if perturbations is None
        else [parse_perturbation(name).name for name in perturbations]
    )
    left_out: dict[str, str] = {}
    cells: list[CompiledPerturbation] = []
    for name in names:
        reason = misfit(name, game) if perturbations is None else None
        compiled = None if reason else compile_perturbation(name, game)
        if compiled is None or compiled.family == "encoder":
            left_out[name] = reason or _ENCODERS
        elif compiled.family != "clean":
            cells.append(compiled)
    make_dir(out.parent)
    paths: list[Path] = []
    with figure_style(), closing(SampleLane(compile_perturbation("clean", game), Protocol.evaluation())) as lane:
        for figure in _pages(cells, lane, advance or (lambda _: None)):
            file = out.with_name(f"{out.stem}-{len(paths) + 1}.png") if paths else out
            with atomic_path(file) as temporary:
                temporary.write_bytes(figure_bytes(figure, "png", dpi))
            paths.append(file)
    return Gallery(tuple(paths), left_out)


def _pages(cells: Sequence[CompiledPerturbation], lane: SampleLane, advance: Advance) -> Iterator[Figure]:
    """Yield the pages: contact sheets, then film strips."""
    films = [cell for cell in cells if _is_film(cell)]
    pictures = [cell for cell in cells if not _is_film(cell)]
    for page in _divided(pictures, _CELLS_A_PAGE - 1):
        yield _sheet(page, lane, advance)
    for page in _divided(films, _FILMS_A_PAGE - 1):
        yield _strip(page, lane, advance)


def _divided(cells: Sequence[CompiledPerturbation], most: int) -> Iterator[Sequence[CompiledPerturbation]]:
    """Yield as few pages as there can be, of about the same number of cells: none holds a single left-over one."""
    pages = -(-len(cells) // most)
    ends = [-(-page * len(cells) // pages) for page in range(pages + 1)] if pages else []
    for start, end in itertools.pairwise(ends):
        yield cells[start:end]


def _is_film(cell: CompiledPerturbation) -> bool:
    """Whether one moment would not show it: the game, the controls or the time of pictures changes."""
    return "dynamics" in cell.family or cell.shows_old_frames


def _sheet(cells: Sequence[CompiledPerturbation], lane: SampleLane, advance: Advance) -> Figure:
    """Return a page with one picture for each perturbation."""
    game = cells[0].game
    frames = [SampleFrame("clean", lane.picture(compile_perturbation("clean", game)))]
    for cell in cells:
        frames.append(SampleFrame(f"{cell.name}\n{_effect_text(cell)}", lane.picture(cell)))
        advance(1)
    return frame_grid(frames, COLUMNS, f"{game}: what a person sees (left), what the agent sees (right)")


def _strip(cells: Sequence[CompiledPerturbation], lane: SampleLane, advance: Advance) -> Figure:
    """Return a page with one film strip for each perturbation."""
    game = cells[0].game
    films = [Film("clean", lane.film(compile_perturbation("clean", game)))]
    for cell in cells:
        films.append(Film(f"{cell.name}: {_effect_text(cell)}", lane.film(cell)))
        advance(1)
    moments = choose_moments(films)
    steps = [(moment + 1) * FILM_EVERY for moment in moments]
    heads = [f"step {step} ({step / _STEPS_A_SECOND:.1f} s)" for step in steps]
    title = f"{game}: the same seed and actions; what a person sees (left), what the agent sees (right)"
    return draw_strip(films, moments, heads, title)


def _effect_text(cell: CompiledPerturbation) -> str:
    """Return the measured effect in words, with a mark where a run leaves the cell out or random play shows nothing."""
    from wsabench.emulator import measure_effect

    effect = measure_effect(cell.game, cell.name)
    text = effect.text if _is_film(cell) else f"{effect.value:.1f} grey levels"
    unseen = ", refused" if effect.measure == "observation" else ", not reached in random play"
    return text + ("" if effect.is_seen else unseen)
