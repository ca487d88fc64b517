"""The files of a recorded episode: video, animation, figure, table of steps."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from wsabench.errors import SpecError
from wsabench.report.figures.episode import episode_figure
from wsabench.report.figures.style import figure_bytes, figure_style, settle
from wsabench.report.films.film import FilmMaker
from wsabench.report.films.video import require_mp4, write_gif, write_mp4
from wsabench.resources import atomic_path, check_place, make_dir
from wsabench.results.recorded import Recording

FORMATS = (".mp4", ".gif", ".png", ".parquet", ".csv")
"""The endings that a file of a recording may have."""
FOLDER_FORMATS = (".mp4", ".gif", ".png", ".parquet")
"""The endings of the files that are written into a folder."""
GIF_PICTURES = 300
"""A GIF has at most about so many pictures; one of a longer episode shows every second, third, ... step, because a
thousand pictures take 10 MB."""
FIGURE_DPI = 200
"""Dots per inch of a recording's figure."""

_FIRST_SIZE, _SMALL = 2, 1

Advance = Callable[[int], None]
"""Called with the number of pictures that were drawn since the last call."""
Picture = npt.NDArray[np.uint8]
"""RGB, uint8, shape (height, width, 3)."""


def is_folder(path: Path, text: str = "") -> bool:
    """Whether an output is meant as a folder: it exists as one, ends with a slash, or has no ending.

    Args:
        path: The output.
        text: The output as the user wrote it, because a `Path` loses its last slash.
    """
    return path.is_dir() or text.endswith(("/", os.sep)) or not path.suffix


def check_output(path: Path, text: str = "") -> None:
    """Check an output before anything is played; nothing is created.

    Args:
        path: A file or a folder.
        text: The output as the user wrote it.

    Raises:
        SpecError: The ending is not one of `FORMATS`, or the library that writes MP4 is not installed.
        StorageError: The place cannot be written.
    """
    folder = path if is_folder(path, text) else path.parent
    if folder != path:
        if path.suffix.lower() not in FORMATS:
            raise SpecError(
                f"The recording's file is {path.name!r}. Allowed endings: {', '.join(FORMATS)}; or give a folder."
            )
        if path.suffix.lower() == ".mp4":
            require_mp4()
    check_place(folder)


def gif_interval(length: int) -> int:
    """Return how many steps lie between the pictures of a GIF of an episode of `length` steps."""
    return -(-length // GIF_PICTURES)


def num_drawn(recording: Recording, paths: Sequence[Path]) -> int:
    """Return how many pictures of films these files need: `write_recording` calls `advance` so many times."""
    return sum(len(_film_steps(recording, path)) for path in paths)


def write_recording(
    recording: Recording, paths: Sequence[Path], fps: int, advance: Advance | None = None
) -> tuple[Path, ...]:
    """Write the files of a recording; this needs neither the emulator nor torch.

    Args:
        recording: The episode.
        paths: Files with one of the endings in `FORMATS`; their folders are created.
        fps: Pictures per second of films, 1 to 60.
        advance: Called with 1 after each picture of a film.

    Returns:
        The files, in their order.

    Raises:
        SpecError: An ending is unknown, or the library that writes MP4 is not installed.
        StorageError: A file cannot be written; nothing of it is left behind.
    """
    for path in paths:
        make_dir(path.parent)
        _write(recording, path, fps, advance or (lambda _: None))
    return tuple(paths)


def _write(recording: Recording, path: Path, fps: int, advance: Advance) -> None:
    """Write one file."""
    match path.suffix.lower():
        case ".mp4":
            maker = FilmMaker(recording, _FIRST_SIZE)
            write_mp4(path, _counted(maker.pictures(), advance), fps)
        case ".gif":
            maker = FilmMaker(recording, _SMALL)
            samples = [maker.picture(step) for step in recording.key_moments(8)]
            every = gif_interval(recording.length)
            write_gif(path, _counted(maker.pictures(every), advance), fps, samples)
        case ".png":
            with figure_style():
                content = figure_bytes(settle(episode_figure(recording)), "png", FIGURE_DPI)
            with atomic_path(path) as temporary:
                temporary.write_bytes(content)
        case ".parquet":
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                pq.write_table(recording.table(), file)
        case ".csv":
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                pacsv.write_csv(recording.table(), file)
        case _:
            check_output(path)


def _film_steps(recording: Recording, path: Path) -> range:
    """Return the steps whose pictures a file shows, the end as one more."""
    every = {".mp4": 1, ".gif": gif_interval(recording.length)}.get(path.suffix.lower())
    return range(0) if every is None else range(-(-recording.length // every) + 1)


def _counted(pictures: Iterable[Picture], advance: Advance) -> Iterator[Picture]:
    """Yield the pictures and count them."""
    for picture in pictures:
        yield picture
        advance(1)
