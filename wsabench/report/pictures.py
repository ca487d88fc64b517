"""Sample pictures inside the page, small enough that the whole page stays light."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from wsabench.evaluation.result import FRAME_GAP
from wsabench.report.figures import SampleFrame

MOST_BYTES = 4_000_000
"""All pictures of a page together, as they stand in it."""

_LOSSLESS_BYTES = 14_000
"""Larger pictures (noise does not compress) are stored with loss."""
_WEBP_QUALITY = 70
_WHITE = _OPAQUE = 255


class PagePicture(NamedTuple):
    """One picture as it stands in the page."""

    title: str
    source: str
    """A data URI."""
    width: int
    height: int


def page_pictures(frames: Sequence[SampleFrame], most_bytes: int = MOST_BYTES) -> tuple[list[PagePicture], int]:
    """Encode sample pictures for the page.

    Args:
        frames: In the order of the run.
        most_bytes: Room for all of them.

    Returns:
        The pictures that fit, in order, and how many had to be left out.
    """
    pictures: list[PagePicture] = []
    used = 0
    for frame in frames:
        source = _data_uri(frame)
        used += len(source)
        if used > most_bytes:
            break
        height, width = frame.pixels.shape[:2]
        pictures.append(PagePicture(frame.title, source, width, height))
    return pictures, len(frames) - len(pictures)


def _data_uri(frame: SampleFrame) -> str:
    """Return a picture as PNG, or as WebP where that is much smaller; the gap between its halves is transparent."""
    import cv2

    pixels = frame.pixels[:, :, ::-1]
    height, width = pixels.shape[:2]
    start = width - height - FRAME_GAP
    if start > 0 and (pixels[:, start : start + FRAME_GAP] == _WHITE).all():
        opacity = np.full((height, width, 1), _OPAQUE, dtype=np.uint8)
        opacity[:, start : start + FRAME_GAP] = 0
        pixels = np.concatenate([pixels, opacity], axis=2)
    kind, encoded = "png", cv2.imencode(".png", pixels)[1]
    if encoded.size > _LOSSLESS_BYTES:
        kind, encoded = "webp", cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, _WEBP_QUALITY])[1]
    return f"data:image/{kind};base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"
