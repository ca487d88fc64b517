"""Sample pictures inside the page."""

import base64

import cv2
import numpy as np
import pytest

from wsabench.evaluation.samples import side_by_side
from wsabench.report.figures import SampleFrame
from wsabench.report.page import page_pictures


def stored(pixels):
    """Return a picture as a browser reads it (blue, green, red, maybe opacity), and its format."""
    ((picture,), left_out) = page_pictures([SampleFrame("t", pixels)])
    assert left_out == 0
    head, content = picture.source.split(",")
    return cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_UNCHANGED), head


@pytest.mark.parametrize(
    ("screen", "kind"),
    [
        (np.zeros((210, 160, 3), np.uint8), "png"),
        (np.full((210, 160, 3), 255, np.uint8), "png"),  # white itself, up to the gap
        (np.random.default_rng(0).integers(0, 256, (250, 160, 3), np.uint8), "webp"),
    ],
    ids=["black", "white", "noise"],
)
def test_the_gap_between_screen_and_observation_is_transparent(screen, kind):
    seen = np.full((84, 84), 255, np.uint8)
    pixels, head = stored(side_by_side(screen, seen))
    assert head.startswith(f"data:image/{kind};")
    assert pixels.shape == (screen.shape[0], 160 + 8 + screen.shape[0], 4)
    opacity = pixels[:, :, 3]
    assert (opacity[:, 160:168] == 0).all()
    assert (opacity[:, :160] == 255).all()
    assert (opacity[:, 168:] == 255).all()
    if kind == "png":
        assert (pixels[:, :160, :3] == screen).all()


@pytest.mark.parametrize("shape", [(10, 12, 3), (210, 378, 3)], ids=["too narrow", "no gap"])
def test_other_pictures_stay_as_they_are(shape):
    picture = np.full(shape, 40, np.uint8)
    pixels, _ = stored(picture)
    assert (pixels == picture).all()
