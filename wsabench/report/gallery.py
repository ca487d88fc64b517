"""A contact sheet: what a person and what the agent sees under every perturbation of a suite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wsabench.errors import SpecError
from wsabench.evaluation.frames import SampleLane
from wsabench.perturb import Suite, compile_perturbation, load_suite, parse_perturbation
from wsabench.protocol import Protocol
from wsabench.report.figures import SampleFrame, frame_grid
from wsabench.report.style import figure_bytes, figure_style
from wsabench.resources import atomic_path, make_dir

COLUMNS = 4


def draw_gallery(
    suite: str | Path | Suite,
    game: str,
    path: str | Path,
    perturbations: Sequence[str] | None = None,
    protocol: Protocol | None = None,
) -> Path:
    """Draw what a suite does to a game; the moment shown is the same for every perturbation of the picture.

    Args:
        suite: A suite's name, the path of a suite file, or a loaded suite.
        game: Id of any single-player ROM.
        path: The PNG file to write; its folder is created.
        perturbations: Names to draw instead of the suite's; `clean` comes first in any case.
        protocol: How the lane preprocesses; that of evaluation by default.

    Returns:
        The path of the file. Each picture is titled with the perturbation and the mean change of the 84x84 observation
        in grey levels; cells that a run leaves out because the agent could hardly see them are marked.

    Raises:
        SpecError: The file's ending is not `.png`, or a perturbation is malformed or does not fit the game.
        StorageError: The file cannot be written.
        UnknownNameError: Suite, game or perturbation does not exist.
    """
    out = Path(path)
    if out.suffix.lower() != ".png":
        raise SpecError(f"The contact sheet is a PNG picture, but the file is {out.name!r}. Give it the ending .png.")
    names = _loaded(suite).perturbations if perturbations is None else perturbations
    wanted = ["clean", *(name for name in names if name != "clean")]
    lane = SampleLane(compile_perturbation("clean", game), protocol or Protocol.evaluation())
    frames = [_sample(name, game, lane) for name in wanted]
    title = f"{game}: what a person sees (left), what the agent sees (right)"
    with figure_style():
        content = figure_bytes(frame_grid(frames, COLUMNS, title), "png")
    make_dir(out.parent)
    with atomic_path(out) as temporary:
        temporary.write_bytes(content)
    return out


def _loaded(suite: str | Path | Suite) -> Suite:
    return suite if isinstance(suite, Suite) else load_suite(suite)


def _sample(name: str, game: str, lane: SampleLane) -> SampleFrame:
    """Return the picture of one perturbation with its title."""
    from wsabench.emulator import MIN_EFFECT_GREY_LEVELS, measure_effect

    perturbation = parse_perturbation(name)
    picture = lane.picture(compile_perturbation(perturbation, game))
    title = perturbation.name
    if perturbation.family == "color" and not perturbation.is_clean:
        effect = measure_effect(game, perturbation)
        title += f"\n{effect:.1f} grey levels" + (", refused" if effect < MIN_EFFECT_GREY_LEVELS else "")
    return SampleFrame(title, picture)
