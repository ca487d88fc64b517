"""Image operators without noise, each against a slow and obvious twin."""

import io
import math

import numpy as np
import pytest
from PIL import Image as PillowImage
from scipy import ndimage

from wsabench.perturb.corruption.blur import MotionBlur, gaussian_blur, motion_taps, smear
from wsabench.perturb.corruption.digital import compress, pixelate, scan_lines
from wsabench.perturb.corruption.geometry import CameraJitter, translate, zoom
from wsabench.perturb.corruption.overlays import Bouncing, DistractorSprites, Occlusion, figures
from wsabench.perturb.corruption.temporal import FrameHold
from wsabench.perturb.corruption.weather import Fog, plasma_fractal
from wsabench.perturb.palette import luminance

pytestmark = pytest.mark.oracle

RNG = np.random.default_rng(1)
IMAGE = np.where(RNG.random((210, 160)) < 0.3, RNG.integers(0, 256, (210, 160)), 20).astype(np.uint8)
COLORED = RNG.integers(0, 256, (214, 160, 3), dtype=np.uint8)
SMOOTH = ndimage.gaussian_filter(RNG.integers(0, 256, (210, 160)).astype(float), 4)
SMOOTH = ((SMOOTH - SMOOTH.min()) / np.ptp(SMOOTH) * 255).astype(np.uint8)
HALF = 0.5 + 1e-3
"""Rounding, and single precision."""


def by_channel(operator, image):
    return np.stack([operator(np.ascontiguousarray(image[..., channel])) for channel in range(3)], axis=-1)


@pytest.mark.parametrize("sigma", [0.5, 1, 3, 6])
def test_gaussian_blur_is_scipys(sigma):
    expected = ndimage.gaussian_filter(IMAGE.astype(float), sigma, mode="nearest", truncate=4)
    assert np.abs(gaussian_blur(IMAGE.copy(), sigma) - expected).max() <= HALF
    assert np.array_equal(
        gaussian_blur(COLORED.copy(), sigma), by_channel(lambda one: gaussian_blur(one, sigma), COLORED)
    )


def slow_smear(image, radius, sigma, degrees, row, column):
    """Walk along the line from a pixel, as ImageMagick does, and average with a half Gaussian."""
    total = weights = 0.0
    for step in range(2 * radius + 1):
        weight = math.exp(-step * step / (2 * sigma * sigma))
        y = row + math.ceil(step * math.sin(math.radians(degrees)) - 0.5)
        x = column + math.ceil(step * math.cos(math.radians(degrees)) - 0.5)
        total += weight * image[min(max(y, 0), image.shape[0] - 1), min(max(x, 0), image.shape[1] - 1)]
        weights += weight
    return total / weights


@pytest.mark.parametrize(("radius", "sigma", "degrees"), [(10, 3, 0), (15, 5, 44.9), (17, 12, -31), (20, 15, -45)])
def test_motion_blur_walks_along_a_line(radius, sigma, degrees):
    blurred = smear(IMAGE.copy(), motion_taps(radius, sigma, degrees))
    for row in (0, 3, 77, 150, 209):
        for column in (0, 40, 111, 159):
            assert abs(blurred[row, column] - slow_smear(IMAGE, radius, sigma, degrees, row, column)) <= HALF
    assert np.array_equal(
        smear(COLORED.copy(), motion_taps(radius, sigma, degrees)),
        by_channel(lambda one: smear(one, motion_taps(radius, sigma, degrees)), COLORED),
    )


def test_motion_blur_draws_its_direction_once_an_episode():
    line = np.zeros((210, 160), np.uint8)
    line[105, 80] = 255
    stage = MotionBlur(20, 15)
    tilts = []
    for seed in range(40):
        state = stage.start_image(np.random.default_rng(seed), line.shape)
        first = state.apply(line.copy())
        assert np.array_equal(first, state.apply(line.copy()))
        rows, columns = np.nonzero(first)
        far = columns.argmin()  # the point is seen from pixels to its left
        tilts.append(math.degrees(math.atan2(105 - rows[far], 80 - columns[far])))
    assert -46 < min(tilts) < -30
    assert 30 < max(tilts) < 46


def slow_translate(image, right, down):
    """Fetch every pixel from where it came, or from the nearest edge."""
    height, width = image.shape[:2]
    rows = [min(max(row - down, 0), height - 1) for row in range(height)]
    columns = [min(max(column - right, 0), width - 1) for column in range(width)]
    return image[np.ix_(rows, columns)]


@pytest.mark.parametrize(("right", "down"), [(2, 2), (16, 16), (-7, 3), (0, -100), (100, 0)])
def test_a_shift_moves_pixels_and_repeats_edges(right, down):
    for image in (IMAGE, COLORED):
        assert np.array_equal(translate(image.copy(), right, down), slow_translate(image, right, down))
    inner = translate(IMAGE.copy(), right, down)[100:-100, 100:-40]
    assert np.array_equal(inner, np.roll(IMAGE, (down, right), (0, 1))[100:-100, 100:-40]) or max(right, down) == 100


def test_jitter_draws_two_offsets_a_step():
    state = CameraJitter(4).start_image(np.random.default_rng(5), IMAGE.shape)
    twin, seen = np.random.default_rng(5), set()
    for _ in range(400):
        right, down = (int(offset) for offset in twin.integers(-4, 5, size=2))
        seen.add((right, down))
        expected = slow_translate(IMAGE, right, down)
        assert np.array_equal(state.apply(IMAGE.copy()), expected)
        assert np.array_equal(state.preview(IMAGE.copy()), expected)
    assert len(seen) == 81  # every offset from -4 to 4 along both axes


@pytest.mark.parametrize("factor", [1.05, 1.3, 2.0, 0.6])
def test_zoom_is_bilinear_about_the_centre(factor):
    rows, columns = ((np.arange(size) - (size - 1) / 2) / factor + (size - 1) / 2 for size in SMOOTH.shape)
    grid = np.meshgrid(rows, columns, indexing="ij")
    expected = ndimage.map_coordinates(SMOOTH.astype(float), grid, order=1, mode="nearest")
    # Places are rounded to 1/32 pixel; the steepest slope of the picture bounds what that changes.
    slope = max(np.abs(np.diff(SMOOTH.astype(int), axis=axis)).max() for axis in (0, 1))
    assert np.abs(zoom(SMOOTH.copy(), factor) - expected).max() <= 0.5 + 2 * slope / 64 + 0.5
    assert np.array_equal(zoom(COLORED.copy(), factor), by_channel(lambda one: zoom(one, factor), COLORED))


def overlaps(size, parts):
    """Return which share of each of `parts` equal pieces of a line every pixel has, shape (parts, size)."""
    edges = np.arange(parts + 1) * size / parts
    pixels = np.arange(size)
    shares = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.clip(shares, 0, 1) * parts / size


@pytest.mark.parametrize("factor", [0.6, 0.5, 0.4, 0.3, 0.25, 0.01])
def test_pixelate_shows_block_means(factor):
    height, width = IMAGE.shape
    num_rows, num_columns = int(height * factor), int(width * factor)
    means = overlaps(height, num_rows) @ IMAGE @ overlaps(width, num_columns).T
    rows = [(2 * row + 1) * num_rows // (2 * height) for row in range(height)]  # where the centre row + 1/2 lies
    columns = [(2 * column + 1) * num_columns // (2 * width) for column in range(width)]
    assert np.abs(pixelate(IMAGE.copy(), factor) - means[np.ix_(rows, columns)]).max() <= HALF
    assert np.array_equal(pixelate(COLORED.copy(), factor), by_channel(lambda one: pixelate(one, factor), COLORED))


@pytest.mark.parametrize("quality", [25, 7, 90])
def test_jpeg_is_what_another_program_writes_and_reads(quality):
    for image in (IMAGE, COLORED):
        written = io.BytesIO()
        PillowImage.fromarray(image).save(written, "JPEG", quality=quality)
        expected = np.asarray(PillowImage.open(written)).astype(int)
        difference = np.abs(compress(image.copy(), quality) - expected)
        assert difference.max() <= 2
        assert difference.mean() < 0.05


@pytest.mark.parametrize(("strength", "period"), [(0.2, 2), (1.0, 2), (0.5, 3)])
def test_scan_lines_darken_the_last_row_of_each_period(strength, period):
    for image in (IMAGE, COLORED):
        changed = scan_lines(image.copy(), strength, period)
        for row in range(len(image)):
            is_dark = row % period == period - 1
            expected = np.floor(image[row] * (1 - strength) + 0.5) if is_dark else image[row]
            assert np.array_equal(changed[row], expected)


def slow_plasma(draw, size, decay):
    """The diamond-square algorithm, point by point on a torus; `draw(n)` gives the next n uniform numbers in -1..1."""
    heights = {(0, 0): 0.0}
    step, wibble = size, 100.0
    while step >= 2:
        half = step // 2

        def settle(points, neighbours):
            new = {}
            for (row, column), offset in zip(points, draw(len(points)), strict=True):
                around = [heights[(row + y) % size, (column + x) % size] for y, x in neighbours]
                new[row, column] = sum(around) / 4 + wibble * wibble * offset  # noqa: B023
            heights.update(new)

        starts = range(0, size, step)
        diagonal = [(-half, -half), (-half, half), (half, -half), (half, half)]
        straight = [(-half, 0), (half, 0), (0, -half), (0, half)]
        settle([(row + half, column + half) for row in starts for column in starts], diagonal)
        settle([(row, column + half) for row in starts for column in starts], straight)
        settle([(row + half, column) for row in starts for column in starts], straight)
        step, wibble = half, wibble / decay
    values = np.array([[heights[row, column] for column in range(size)] for row in range(size)])
    values -= values.min()
    return values / values.max()


@pytest.mark.parametrize("decay", [2.0, 1.4])
def test_the_plasma_fractal_is_diamond_and_square(decay):
    twin = np.random.default_rng(6)
    expected = slow_plasma(lambda count: twin.uniform(-1, 1, size=count), 32, decay)
    assert plasma_fractal(np.random.default_rng(6), 32, decay) == pytest.approx(expected, abs=1e-9)


def test_fog_adds_a_fractal_and_scales_back():
    fractal = plasma_fractal(np.random.default_rng(6), 256, 1.7)
    for image in (IMAGE, COLORED // 2):
        state = Fog(2.5, 1.7).start_image(np.random.default_rng(6), image.shape)
        layer = fractal[: image.shape[0], : image.shape[1]].reshape(*image.shape[:2], *(1,) * (image.ndim - 2))
        x, brightest = image / 255, image.max() / 255
        expected = np.clip((x + 2.5 * layer) * brightest / (brightest + 2.5), 0, 1) * 255
        for frame in (state.apply(image.copy()), state.apply(image.copy()), state.preview(image.copy())):
            assert np.abs(frame - expected).max() <= HALF
    assert not state.apply(np.zeros_like(COLORED)).any()


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.4, 1.0])
def test_one_block_covers_its_share_and_several_at_most_theirs(fraction):
    for image in (IMAGE, COLORED):
        black = np.zeros_like(image)
        one = Occlusion(fraction, 1, 200).start_image(np.random.default_rng(2), image.shape).apply(black.copy())
        assert set(np.unique(one)) <= {0, 200}
        height, width = (round(size * math.sqrt(fraction)) for size in image.shape[:2])
        assert (one > 0).sum() == height * width * (image.size // (image.shape[0] * image.shape[1]))
        assert (one > 0).mean() == pytest.approx(fraction, abs=0.01)
        rows, columns = np.nonzero(one.reshape(*one.shape[:2], -1)[..., 0])
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (height, width)
        four = Occlusion(fraction, 4, 200).start_image(np.random.default_rng(2), image.shape).apply(black.copy())
        assert fraction / 4 - 0.01 < (four > 0).mean() < fraction + 0.01


def test_more_occlusion_covers_what_less_does():
    covered = np.zeros(IMAGE.shape, bool)
    for fraction in (0, 0.05, 0.1, 0.2, 0.3, 0.4):
        for seed in range(5):
            state = Occlusion(fraction, 4, 200).start_image(np.random.default_rng(seed), IMAGE.shape)
            frame = state.apply(np.zeros_like(IMAGE)) > 0
            assert np.array_equal(frame, state.apply(np.zeros_like(IMAGE)) > 0)  # it stands still
            if seed == 4:
                assert not (covered & ~frame).any()
                covered = frame


@pytest.mark.parametrize(("room", "speed"), [((50, 30), 7), ((1, 0), 3), ((0, 0), 2), ((9, 200), 0)])
def test_things_go_straight_on_and_turn_back_at_the_edges(room, speed):
    paths = Bouncing(np.random.default_rng(4), 6, room, speed)
    places, ways = paths.at(0).tolist(), (paths.at(1) - paths.at(0)).tolist()
    assert all(0 <= place[axis] <= room[axis] for place in places for axis in (0, 1))
    twin = np.random.default_rng(4)
    twin.random((6, 2))
    sizes = twin.integers(min(1, speed), speed, size=(6, 2), endpoint=True)
    ways = (sizes * (2 * twin.integers(0, 2, size=(6, 2)) - 1)).tolist()
    for step in range(300):
        assert paths.at(step).tolist() == places
        for place, way in zip(places, ways, strict=True):
            for axis in (0, 1):
                for _ in range(abs(way[axis])):  # pixel by pixel
                    if not 0 <= place[axis] + (1 if way[axis] > 0 else -1) <= room[axis]:
                        way[axis] = -way[axis]
                    moved = place[axis] + (1 if way[axis] > 0 else -1)
                    place[axis] = moved if 0 <= moved <= room[axis] else place[axis]


def test_moving_blocks_follow_their_paths():
    state = Occlusion(0.1, 3, 9, speed=5).start_image(np.random.default_rng(7), IMAGE.shape)
    side = math.sqrt(0.1 / 3)
    height, width = round(210 * side), round(160 * side)
    paths = Bouncing(np.random.default_rng(7), 3, (210 - height, 160 - width), 5)
    for step in range(60):
        expected = IMAGE.copy()
        for top, left in paths.at(step).tolist():
            for row in range(top, top + height):
                expected[row, left : left + width] = 9
        assert np.array_equal(state.apply(IMAGE.copy()), expected)
        assert np.array_equal(state.preview(IMAGE.copy()), expected)


def test_sprites_are_drawn_pixel_by_pixel():
    generator = np.random.default_rng(9)
    paths = Bouncing(generator, 16, (210 - 16, 160 - 16), 4)
    masks = [figures(2)[which] for which in generator.integers(0, 6, size=16)]
    colors = generator.integers(0, 256, size=(16, 3), dtype=np.uint8)
    states = {
        ndim: DistractorSprites(16, 2, 4).start_image(np.random.default_rng(9), image.shape)
        for ndim, image in ((2, IMAGE), (3, COLORED[:210]))
    }
    for step in range(3):
        for image, inks in ((IMAGE, luminance(colors)), (COLORED[:210], colors)):
            expected = image.copy()
            for (top, left), mask, ink in zip(paths.at(step).tolist(), masks, inks, strict=True):
                for row, column in np.argwhere(mask):
                    expected[top + row, left + column] = ink
            assert np.array_equal(states[image.ndim].apply(image.copy()), expected)


def test_figures_are_different_and_scaled():
    shown = {mask.tobytes() for mask in figures(1)}
    assert len(shown) == 6
    for small, large in zip(figures(1), figures(3), strict=True):
        assert np.array_equal(large, np.kron(small, np.ones((3, 3), bool)))


@pytest.mark.parametrize(("probability", "steps"), [(0.3, 1), (0.1, 4), (0.5, 3), (0.0, 5), (1.0, 2)])
def test_a_picture_is_held_as_a_list_of_frames_says(probability, steps):
    state = FrameHold(probability, steps).start_image(np.random.default_rng(3), (2, 2))
    twin = np.random.default_rng(3)
    shown: list[int] = []
    remaining = 0
    for step in range(200):
        is_hit = twin.random() < probability
        if remaining == 0 and is_hit and shown:
            remaining = steps
        if remaining:
            remaining -= 1
            shown.append(shown[-1])
        else:
            shown.append(step)
        frame = state.apply(np.full((2, 2), step, np.uint8))
        assert frame.tolist() == [[shown[-1]] * 2] * 2
        person = state.preview(np.full((2, 2, 3), step, np.uint8))
        assert (person == shown[-1]).all()
        frame[:] = 255  # what was given out may be overwritten
    held = np.mean([frame != step for step, frame in enumerate(shown)])
    share = probability * steps / (1 - probability + probability * steps)
    assert held == pytest.approx(share, abs=0.12)


def test_lost_frames_are_independent():
    state = FrameHold(0.4, 1).start_image(np.random.default_rng(3), (1, 1))
    shown = np.array([int(state.apply(np.full((1, 1), step % 251, np.uint8))[0, 0]) for step in range(8000)])
    is_lost = (shown != np.arange(8000) % 251).astype(float)
    assert is_lost.mean() == pytest.approx(0.4, abs=0.02)
    assert abs(np.corrcoef(is_lost[1:], is_lost[:-1])[0, 1]) < 0.04
