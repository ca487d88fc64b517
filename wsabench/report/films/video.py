"""Files of films: MP4, which every browser plays, and GIF."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from wsabench.errors import SpecError
from wsabench.resources import atomic_path

Picture = npt.NDArray[np.uint8]
"""RGB, uint8, shape (height, width, 3)."""

_QUALITY = "20"
"""Of x264, 0 best to 51; here text stays sharp."""
_GIF_COLORS = 256
_GIF_SHORTEST_MS = 20
"""Browsers show pictures that last less for 100 ms."""


def can_write_mp4() -> bool:
    """Whether the library that writes MP4 is installed."""
    return find_spec("av") is not None


def require_mp4() -> None:
    """Check that MP4 files can be written.

    Raises:
        SpecError: The library is not installed.
    """
    if not can_write_mp4():
        raise SpecError(
            'MP4 files need the package "av". Install it with `pip install "wsabench[video]"`, or write a .gif, which '
            "needs nothing more."
        )


def write_mp4(path: Path, pictures: Iterable[Picture], fps: int) -> None:
    """Write pictures as an H.264 video, yuv420p, its index first, so that browsers play it while it loads.

    Args:
        path: The file; it is written under another name and then renamed.
        pictures: RGB, uint8, all of one shape (height, width, 3), both even.
        fps: Pictures per second.

    Raises:
        SpecError: The library is not installed.
        StorageError: The file cannot be written.
    """
    require_mp4()
    import av

    index_first = {"movflags": "+faststart"}
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4", options=index_first) as container:
        stream: Any = None
        for picture in pictures:
            if stream is None:
                stream = container.add_stream("libx264", rate=fps, options={"crf": _QUALITY, "threads": "1"})
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        if stream is not None:
            container.mux(stream.encode())


def write_gif(path: Path, pictures: Iterable[Picture], fps: int, samples: Sequence[Picture]) -> None:
    """Write pictures as a GIF that plays again and again.

    Args:
        path: The file; it is written under another name and then renamed.
        pictures: RGB, uint8, all of one shape (height, width, 3).
        fps: Pictures per second; a GIF counts hundredths of a second and shows no more than 50 pictures per second.
        samples: Some of the pictures; the palette of the whole film is made from them.

    Raises:
        StorageError: The file cannot be written.
    """
    palette = Image.fromarray(np.concatenate(samples)).quantize(_GIF_COLORS, Image.Quantize.MEDIANCUT)
    frames = _with_palette(pictures, palette)
    first = next(frames)
    duration = max(_GIF_SHORTEST_MS, 10 * round(100 / fps))
    with atomic_path(path) as temporary:
        first.save(temporary, "GIF", save_all=True, append_images=frames, duration=duration, loop=0, optimize=False)


def _with_palette(pictures: Iterable[Picture], palette: Image.Image) -> Iterator[Image.Image]:
    """Yield the pictures in the colours of a palette; nearest ones, because dithering flickers and swells the file."""
    for picture in pictures:
        yield Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE)
