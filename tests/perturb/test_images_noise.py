"""Noise: tables against the distributions they stand for, frames against slow loops, draws against their statistics."""

import numpy as np
import pytest
from scipy import stats

from wsabench.perturb import compile_perturbation
from wsabench.perturb.corruption.noise import (
    NUM_QUANTILES,
    GaussianNoise,
    ImpulseNoise,
    ShotNoise,
    SpeckleNoise,
    gaussian_offsets,
    shot_table,
    speckle_table,
    uniform_draws,
)

pytestmark = pytest.mark.oracle

RESOLUTION = 1 / NUM_QUANTILES
SHAPE = (210, 160)
IMAGE = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)


def run(stage, image, num_steps=1, seed=3):
    """Return the frames that an operator makes of the same image in successive steps."""
    state = stage.start_image(np.random.default_rng(seed), image.shape)
    return np.stack([state.apply(image.copy()) for _ in range(num_steps)])


def halves(generator, size):
    """Return 16-bit draws, cut from 64-bit integers one by one, lowest bits first."""
    words = [int(word) for word in generator.integers(0, 2**64, size=-(-size // 4), dtype=np.uint64)]
    return [(word >> shift) & 0xFFFF for word in words for shift in (0, 16, 32, 48)][:size]


@pytest.mark.parametrize("shape", [(2, 5), (3, 4, 3), (210, 160)])
def test_draws_are_16_bit_pieces_of_the_generators_integers(shape):
    draws = uniform_draws(np.random.default_rng(8), shape)
    assert (draws.dtype, draws.shape) == (np.uint16, shape)
    assert draws.ravel().tolist() == halves(np.random.default_rng(8), int(np.prod(shape)))


@pytest.mark.parametrize("deviation", [0.01, 0.08, 0.38])
def test_gaussian_offsets_have_the_normals_probabilities(deviation):
    values, counts = np.unique(gaussian_offsets(deviation), return_counts=True)
    scaled = stats.norm(scale=255 * deviation)
    expected = scaled.cdf(values + 0.5) - scaled.cdf(values - 0.5)
    assert np.abs(counts * RESOLUTION - expected).max() <= 1.01 * RESOLUTION
    assert np.array_equal(values, -values[::-1])  # symmetric, so the mean is 0
    assert np.array_equal(counts, counts[::-1])


def test_gaussian_noise_adds_the_offset_of_each_draw_and_clips():
    offsets = gaussian_offsets(0.26)
    draws = halves(np.random.default_rng(3), IMAGE.size)
    expected = [min(255, max(0, int(x) + int(offsets[i]))) for x, i in zip(IMAGE.ravel(), draws, strict=True)]
    assert run(GaussianNoise(0.26), IMAGE)[0].ravel().tolist() == expected


@pytest.mark.parametrize("deviation", [0.08, 0.12])
def test_gaussian_noise_has_mean_deviation_and_no_memory(deviation):
    grey = np.full(SHAPE, 128, np.uint8)  # far enough from both ends that nothing is clipped
    noise = run(GaussianNoise(deviation), grey, 20).astype(float) - 128
    num = noise.size
    assert abs(noise.mean()) < 4 * 255 * deviation / np.sqrt(num)
    assert noise.std() == pytest.approx(np.hypot(255 * deviation, np.sqrt(1 / 12)), rel=0.005)
    pairs = {"right": (noise[:, :, 1:], noise[:, :, :-1]), "down": (noise[:, 1:], noise[:, :-1])}
    pairs |= {"fourth": (noise[:, :, 4:], noise[:, :, :-4]), "next step": (noise[1:], noise[:-1])}
    for name, (first, second) in pairs.items():
        assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 4 / np.sqrt(first.size), name


@pytest.mark.parametrize("photons", [60, 12, 3, 2.5])
@pytest.mark.parametrize("level", [0, 1, 14, 128, 255])
def test_shot_noise_has_the_poissons_probabilities(photons, level):
    counts = stats.poisson(level / 255 * photons)
    expected: dict[int, float] = {}
    for count in range(400):
        value = min(255, int(255 * count / photons + 0.5))
        expected[value] = expected.get(value, 0.0) + float(counts.pmf(count))
    found = np.bincount(shot_table(photons)[level], minlength=256) * RESOLUTION
    assert np.abs(found - [expected.get(value, 0.0) for value in range(256)]).max() <= 1.01 * RESOLUTION


def test_shot_noise_keeps_the_mean_and_its_variance_grows_with_it():
    for level in (40, 80, 120):
        frames = run(ShotNoise(60), np.full(SHAPE, level, np.uint8), 5).astype(float)
        assert frames.mean() == pytest.approx(level, rel=0.01)
        assert frames.var() == pytest.approx(level * 255 / 60, rel=0.03)  # Var(k) = E(k), k = x / 255 * photons


def test_shot_and_speckle_noise_look_up_level_and_draw():
    draws = halves(np.random.default_rng(3), IMAGE.size)
    for stage, table in ((ShotNoise(5), shot_table(5)), (SpeckleNoise(0.45), speckle_table(0.45))):
        expected = [int(table[x, i]) for x, i in zip(IMAGE.ravel(), draws, strict=True)]
        assert run(stage, IMAGE)[0].ravel().tolist() == expected


def test_speckle_table_is_the_level_times_a_normal_around_one():
    table = speckle_table(0.35)
    for draw in (0, 1, 777, 32768, 65535):
        z = stats.norm.ppf((draw + 0.5) / NUM_QUANTILES)
        for level in (0, 1, 60, 200, 255):
            assert abs(int(table[level, draw]) - min(255, max(0, level + level * 0.35 * z))) <= 0.5 + 1e-9


@pytest.mark.parametrize("amount", [0.03, 0.27, 1.0])
def test_impulse_noise_replaces_its_share(amount):
    frames = run(ImpulseNoise(amount), np.full(SHAPE, 77, np.uint8), 10)
    assert set(np.unique(frames)) <= {0, 77, 255}
    margin = 4 * np.sqrt(0.25 / frames.size)
    for value in (0, 255):
        assert (frames == value).mean() == pytest.approx(amount / 2, abs=margin)


def test_impulse_noise_goes_by_the_draws():
    draws = halves(np.random.default_rng(3), IMAGE.size)
    threshold = round(0.17 / 2 * 65536)
    expected = [
        0 if i < threshold else 255 if i >= 65536 - threshold else int(x)
        for x, i in zip(IMAGE.ravel(), draws, strict=True)
    ]
    assert run(ImpulseNoise(0.17), IMAGE)[0].ravel().tolist() == expected


@pytest.mark.parametrize("stage", [GaussianNoise(0.2), SpeckleNoise(0.4), ShotNoise(10), ImpulseNoise(0.2)])
def test_color_noise_is_independent_in_each_channel_and_grey_noise_the_same_for_a_person(stage):
    rgb = np.full((*SHAPE, 3), 128, np.uint8)
    colored = run(stage, rgb)[0].astype(float)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert abs(np.corrcoef(colored[..., first].ravel(), colored[..., second].ravel())[0, 1]) < 0.03
    state = stage.start_image(np.random.default_rng(3), SHAPE)
    grey = state.apply(rgb[..., 0].copy())
    assert np.array_equal(state.preview(rgb.copy()), np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize(("name", "table"), [("speckle-noise", speckle_table), ("shot-noise", shot_table)])
def test_all_severities_in_turn_build_each_table_once(name, table):
    table.cache_clear()
    stages = [compile_perturbation(f"{name}@{severity}", "pong").images[0].stage for severity in range(1, 6)]
    for episode in range(3):
        for stage in stages:
            stage.start_image(np.random.default_rng(episode), (4, 4))
    info = table.cache_info()
    assert (info.misses, info.hits) == (5, 10)
    assert info.maxsize * table(stages[0].photons if name == "shot-noise" else stages[0].deviation).nbytes == 80 * 2**20
    table.cache_clear()
