"""Properties of the colour operators, on arbitrary colours."""

import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from lane_oracle import grey_of, to_byte, transform

from wsabench.games import load_game
from wsabench.perturb import luminance
from wsabench.perturb.catalogue import KINDS
from wsabench.perturb.color import operators as color

pytestmark = pytest.mark.property

COLORS = arrays(np.uint8, st.tuples(st.integers(1, 40), st.just(3)))
PONG = load_game("pong")
PALETTES = arrays(np.uint8, (256, 3))
FACTORS = st.floats(0, 3, allow_nan=False)
DEGREES = st.floats(-360, 360, allow_nan=False)
PARAMETERS = {
    "palette.hue_rotate": st.fixed_dictionaries({"degrees": DEGREES}),
    "palette.saturation": st.fixed_dictionaries({"factor": FACTORS}),
    "palette.value": st.fixed_dictionaries({"factor": FACTORS}),
    "palette.contrast": st.fixed_dictionaries({"factor": FACTORS}),
    "palette.gamma": st.fixed_dictionaries({"gamma": st.floats(0.05, 20)}),
    "palette.invert": st.just({}),
    "palette.channel_permute": st.fixed_dictionaries({"order": st.permutations("rgb").map("".join)}),
}
EVERY_KIND = pytest.mark.parametrize("kind", PARAMETERS)


@EVERY_KIND
@settings(max_examples=30)
@given(data=st.data())
def test_equals_the_standard_librarys_hsv(kind, data):
    rgb, parameters = data.draw(COLORS), data.draw(PARAMETERS[kind])
    changed = KINDS[kind].build(PONG, **parameters)(rgb)
    assert changed.tolist() == [list(transform(kind, parameters, tuple(map(int, one)))) for one in rgb]


@EVERY_KIND
@settings(max_examples=20)
@given(data=st.data())
def test_keeps_the_input_and_gives_bytes(kind, data):
    rgb, parameters = data.draw(COLORS), data.draw(PARAMETERS[kind])
    before = rgb.copy()
    changed = KINDS[kind].build(PONG, **parameters)(rgb)
    assert np.array_equal(rgb, before)
    assert (changed.dtype, changed.shape) == (np.uint8, rgb.shape)
    assert np.array_equal(changed, KINDS[kind].build(PONG, **parameters)(rgb))


@given(COLORS)
def test_hsv_and_back_is_the_identity(rgb):
    hue, saturation, value = color.to_hsv(rgb)
    assert np.array_equal(color.from_hsv(hue, saturation, value), rgb)
    for row, *ours in zip(rgb / 255, hue, saturation, value, strict=True):
        assert ours == pytest.approx(colorsys.rgb_to_hsv(*row), abs=1e-12)


@given(COLORS, DEGREES)
def test_rotation_keeps_greys_and_value(rgb, degrees):
    turned = color.rotate_hue(rgb, degrees)
    assert np.array_equal(turned.max(axis=1), rgb.max(axis=1))
    is_grey = (rgb == rgb[:, :1]).all(axis=1)
    assert np.array_equal(turned[is_grey], rgb[is_grey])


@given(COLORS)
def test_rotation_by_a_third_permutes_channels(rgb):
    # Red becomes green, green blue, blue red.
    assert np.array_equal(color.rotate_hue(rgb, 120), color.permute_channels(rgb, "brg"))


@given(COLORS)
def test_without_saturation_every_color_is_the_grey_of_its_value(rgb):
    grey = color.scale_saturation(rgb, 0)
    assert np.array_equal(grey, np.repeat(rgb.max(axis=1, keepdims=True), 3, axis=1))


@given(COLORS, st.floats(0, 1), st.floats(0, 1))
def test_less_value_is_never_brighter(rgb, first, second):
    low, high = sorted((first, second))
    assert (color.scale_value(rgb, low) <= color.scale_value(rgb, high)).all()


@given(COLORS)
def test_inversion_inverts_luminance_and_undoes_itself(rgb):
    assert np.array_equal(color.invert(color.invert(rgb)), rgb)
    total = luminance(rgb).astype(int) + luminance(color.invert(rgb))
    assert ((total >= 254) & (total <= 256)).all()  # 255 but for rounding; the weights sum to 0.9999


@given(COLORS, st.floats(0.05, 20), st.floats(0.05, 20))
def test_a_higher_gamma_is_never_brighter(rgb, first, second):
    low, high = sorted((first, second))
    assert (color.adjust_gamma(rgb, high) <= color.adjust_gamma(rgb, low)).all()
    ends = (rgb == 0) | (rgb == 255)
    assert np.array_equal(color.adjust_gamma(rgb, high)[ends], rgb[ends])
    assert np.array_equal(color.adjust_gamma(rgb, 1.0), rgb)


@given(PALETTES, st.sets(st.integers(0, 255)), st.tuples(*[st.integers(0, 255)] * 3))
def test_painting_changes_the_given_colors_and_no_others(palette, indices, rgb):
    painted = color.paint(palette, tuple(indices), rgb)
    for index in range(256):
        is_painted = index in indices or index ^ 1 in indices  # the odd index above, for PAL's colour loss
        assert tuple(painted[index]) == (rgb if is_painted else tuple(palette[index]))


@given(PALETTES, st.integers(0, 2**32))
def test_a_shuffle_only_moves_colors(palette, seed):
    shuffled = color.shuffle_palette(palette, seed)
    pairs, moved = (sorted(map(bytes, table.reshape(128, 6))) for table in (palette, shuffled))
    assert pairs == moved
    assert np.array_equal(shuffled, color.shuffle_palette(palette, seed))


@given(COLORS)
def test_luminance_is_its_definition(rgb):
    assert luminance(rgb).tolist() == [grey_of(tuple(one)) for one in rgb]


@given(st.floats(-1, 2))
def test_bytes_are_rounded_halves_up_and_clipped(value):
    assert color.to_bytes(np.array([value]))[0] == to_byte(value)


def test_halves_are_rounded_up():
    assert color.to_bytes(np.array([0.5 / 255, 1.5 / 255, 2.5 / 255, 127.5 / 255])).tolist() == [1, 2, 3, 128]
