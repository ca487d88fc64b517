"""Properties of every image operator, with any parameters and on any picture."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsabench.games import load_game
from wsabench.perturb.catalogue import KINDS
from wsabench.perturb.corruption.geometry import zoom
from wsabench.perturb.stages import ImageStage

pytestmark = pytest.mark.property

PONG = load_game("pong")
SHARE = st.floats(0, 1)
PARAMETERS = {
    "image.gaussian_noise": {"deviation": st.sampled_from([0.0, 0.1, 1.0])},
    "image.speckle_noise": {"deviation": st.sampled_from([0.0, 0.3, 1.0])},
    "image.shot_noise": {"photons": st.sampled_from([0.1, 3, 1000])},
    "image.impulse_noise": {"amount": SHARE},
    "image.gaussian_blur": {"sigma": st.floats(0, 20)},
    "image.motion_blur": {"radius": st.integers(1, 50), "sigma": st.floats(0.1, 50)},
    "image.pixelate": {"factor": st.floats(0.01, 1)},
    "image.jpeg_compression": {"quality": st.integers(1, 100)},
    "image.fog": {"density": st.floats(0, 10), "decay": st.floats(1, 5)},
    "image.scan_lines": {"strength": SHARE, "period": st.integers(2, 20)},
    "image.occlusion": {"fraction": SHARE, "blocks": st.integers(1, 16), "gray": st.integers(0, 255)},
    "image.moving_occlusion": {
        "fraction": SHARE,
        "blocks": st.integers(1, 16),
        "gray": st.integers(0, 255),
        "speed": st.integers(1, 50),
    },
    "image.camera_shift": {"right": st.integers(-100, 100), "down": st.integers(-100, 100)},
    "image.camera_jitter": {"pixels": st.integers(0, 100)},
    "image.zoom": {"factor": st.floats(0.1, 10)},
    "image.frame_freeze": {"probability": SHARE, "steps": st.integers(1, 1000)},
    "image.frame_drop": {"probability": SHARE},
    "image.distractor_sprites": {
        "count": st.integers(0, 64),
        "scale": st.integers(1, 8),
        "speed": st.integers(0, 50),
    },
}
SHAPES = st.tuples(st.integers(210, 250), st.just(160)) | st.tuples(st.integers(210, 250), st.just(160), st.just(3))
PICTURES = ("black", "white", "flat", "random", "few")
EVERY_KIND = pytest.mark.parametrize("kind", PARAMETERS)


def picture(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Return a frame: of one level, of any levels, or of a few as games have."""
    generator = np.random.default_rng(seed)
    if name in ("random", "few"):
        image = generator.integers(0, 256, shape, dtype=np.uint8)
        return image if name == "random" else image // 80 * 80
    return np.full(shape, {"black": 0, "white": 255, "flat": 87}[name], np.uint8)


def test_every_kind_is_here():
    assert set(PARAMETERS) == {name for name, kind in KINDS.items() if kind.family == "corruption"}


@EVERY_KIND
@settings(max_examples=7, deadline=None)
@given(data=st.data())
def test_frames_stay_frames_and_depend_on_seed_and_picture_alone(kind, data):
    parameters = {name: data.draw(values, name) for name, values in PARAMETERS[kind].items()}
    assert all(KINDS[kind].parameters[name].is_valid(value) for name, value in parameters.items())
    stage = KINDS[kind].build(PONG, **parameters)
    assert isinstance(stage, ImageStage)
    shape, seed = data.draw(SHAPES), data.draw(st.integers(0, 2**32))
    shown = [picture(data.draw(st.sampled_from(PICTURES)), shape, step) for step in range(3)]
    person = picture("random", (*shape[:2], 3), 9)
    generators = [np.random.default_rng(seed) for _ in range(3)]
    plain, looked_at, other = (stage.start_image(generator, shape) for generator in generators)
    for image in shown:
        frame = plain.apply(image.copy())
        assert (frame.dtype, frame.shape) == (np.uint8, shape)
        given_out = looked_at.apply(image.copy())
        assert np.array_equal(frame, given_out)
        given_out[...] = 7  # whoever gets a frame may overwrite it
        for _ in range(2):
            seen = looked_at.preview(person.copy())
            assert (seen.dtype, seen.shape) == (np.uint8, person.shape)
            seen[...] = 7
        other.apply(picture("random", shape, 77))
        states = [generator.bit_generator.state for generator in generators]
        assert states[0] == states[1] == states[2]  # as many draws whatever the picture, none for a look


@EVERY_KIND
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_a_person_sees_in_color_what_an_agent_for_color_gets(kind, data):
    parameters = {name: data.draw(values, name) for name, values in PARAMETERS[kind].items()}
    stage = KINDS[kind].build(PONG, **parameters)
    state = stage.start_image(np.random.default_rng(data.draw(st.integers(0, 99))), (210, 160, 3))
    for step in range(3):
        image = picture("few", (210, 160, 3), step)
        assert np.array_equal(state.apply(image.copy()), state.preview(image.copy()))


@settings(max_examples=30, deadline=None)
@given(factor=st.floats(0.1, 10), height=st.integers(210, 250), seed=st.integers(0, 2**32))
def test_zoom_of_luminance_is_opencvs_remap(factor, height, seed):
    image = picture("random", (height, 160), seed)
    columns, rows = (
        np.clip((np.arange(size) - (size - 1) / 2) / factor + (size - 1) / 2, 0, size - 1).astype(np.float32)
        for size in (160, height)
    )
    maps = cv2.convertMaps(*np.meshgrid(columns, rows), cv2.CV_16SC2)  # places in 1/32 pixel
    expected = cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    assert np.array_equal(zoom(image, factor), image if factor == 1 else expected)
