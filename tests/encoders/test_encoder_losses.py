"""Self-supervised losses against slow, obvious twins."""

import math

import numpy as np
import pytest
import torch
from naive_losses import naive_dssim

from wsabench.encoders.encoder import pixel_weights
from wsabench.encoders.pretrained.sr import info_nce
from wsabench.encoders.pretrained.transporter import heat_maps, spatial_mean, transport
from wsabench.encoders.pretrained.vos import CHANGE_GAIN, change_maps, dissimilarity, frame_pair, warp

pytestmark = pytest.mark.oracle


@pytest.fixture
def draws():
    return torch.Generator().manual_seed(5)


def test_info_nce_is_the_loop_over_places_and_samples(draws):
    scores = torch.randn(3, 5, 5, generator=draws, dtype=torch.float64)
    total = 0.0
    for p in range(3):
        for i in range(5):
            partition = sum(math.exp(scores[p, i, j]) for j in range(5))
            total -= math.log(math.exp(scores[p, i, i]) / partition)
    assert float(info_nce(scores)) == pytest.approx(total / 15, abs=1e-12)


def test_info_nce_of_equal_scores_is_the_log_of_the_batch_size():
    assert float(info_nce(torch.zeros(2, 7, 7))) == pytest.approx(math.log(7))


def test_transport_is_the_formula_pixel_by_pixel(draws):
    source, target = torch.rand(2, 2, 3, 4, 5, generator=draws)
    source_maps, target_maps = torch.rand(2, 2, 2, 4, 5, generator=draws)
    moved = transport(source, target, source_maps, target_maps)
    for n, c, y, x in np.ndindex(2, 3, 4, 5):
        value = float(source[n, c, y, x])
        for k in range(2):
            a, b = float(source_maps[n, k, y, x]), float(target_maps[n, k, y, x])
            value = (1 - a) * (1 - b) * value + b * float(target[n, c, y, x])
        assert float(moved[n, c, y, x]) == pytest.approx(value, abs=1e-6)


def test_transport_without_keypoints_keeps_the_source(draws):
    source, target = torch.rand(2, 1, 3, 4, 4, generator=draws)
    nothing = torch.zeros(1, 2, 4, 4)
    assert torch.equal(transport(source, target, nothing, nothing), source)


@pytest.mark.parametrize(("is_half", "scale"), [(False, 0.01), (True, 0.02)])
def test_heat_maps_are_gaussians_of_the_distance(is_half, scale):
    maps = heat_maps(torch.tensor([[[-1.0, 1.0], [0.0, 0.2]]]), 11, 0.1, is_half=is_half)
    for y, x in np.ndindex(11, 11):
        place = (-1 + 0.2 * y, -1 + 0.2 * x)
        for k, centre in enumerate([(-1.0, 1.0), (0.0, 0.2)]):
            distance = (place[0] - centre[0]) ** 2 + (place[1] - centre[1]) ** 2
            assert float(maps[0, k, y, x]) == pytest.approx(math.exp(-distance / scale), abs=1e-6)


def test_spatial_mean_of_one_peak_is_its_place():
    logits = torch.zeros(1, 2, 21, 21)
    logits[0, 0, 0, 20] = 100.0
    mean = spatial_mean(logits)
    assert mean[0, 0].tolist() == pytest.approx([-1.0, 1.0], abs=1e-5)
    assert mean[0, 1].tolist() == pytest.approx([0.0, 0.0], abs=1e-5)


@pytest.mark.parametrize("window", [3, 11])
def test_dssim_is_the_loop_over_windows(draws, window):
    pair = torch.rand(2, 1, 1, 14, 17, generator=draws, dtype=torch.float64)
    expected = naive_dssim(pair[0, 0, 0].numpy(), pair[1, 0, 0].numpy(), window)
    assert float(dissimilarity(pair[0], pair[1], window).mean()) == pytest.approx(expected, abs=1e-10)


def test_dssim_of_equal_images_is_zero(draws):
    image = torch.rand(2, 1, 20, 20, generator=draws)
    assert float(dissimilarity(image, image).abs().max()) == pytest.approx(0.0, abs=1e-5)


def test_warp_by_whole_pixels_shifts(draws):
    image = torch.rand(1, 1, 9, 9, generator=draws)
    flow = torch.zeros(1, 2, 9, 9)
    flow[:, 0] = 2 * (2 / 8)
    assert torch.allclose(warp(image, flow)[..., :7], image[..., 2:], atol=1e-5)
    assert torch.allclose(warp(image, torch.zeros_like(flow)), image, atol=1e-6)


def test_change_maps_are_the_loop_over_windows(draws):
    older, newer = 0.01 * torch.rand(2, 1, 1, 84, 84, generator=draws, dtype=torch.float64)
    maps = change_maps(older, newer, window=5)
    for row, column in ((0, 0), (0, 41), (20, 13), (41, 41)):
        expected = np.zeros(2)
        for y, x in np.ndindex(2, 2):
            top, left = 2 * row + y - 2, 2 * column + x - 2
            window = slice(max(0, top), top + 5), slice(max(0, left), left + 5)
            change = (newer - older)[0, 0].numpy()[window]
            sums = np.maximum(change, 0).sum(), np.maximum(-change, 0).sum()
            expected += np.tanh(CHANGE_GAIN * np.array(sums) / 25) / 4
        assert maps[0, :, row, column].tolist() == pytest.approx(expected.tolist(), abs=1e-9)


def test_change_maps_of_one_moving_pixel_are_its_two_places():
    older, newer = torch.zeros(2, 1, 1, 84, 84)
    older[..., 20, 30], newer[..., 60, 50] = 0.4, 0.4
    appeared, vanished = change_maps(older, newer)[0]
    assert (float(appeared[30, 25]), float(vanished[10, 15])) == pytest.approx((1.0, 1.0), abs=0.01)
    assert (float(appeared[10, 15]), float(vanished[30, 25])) == (0.0, 0.0)


def test_frame_pair_is_the_mean_of_each_half():
    stack = torch.arange(4.0).reshape(1, 4, 1, 1).expand(1, 4, 2, 2)
    older, newer = frame_pair(stack)
    assert (float(older[0, 0, 0, 0]), float(newer[0, 0, 0, 0])) == (0.5, 2.5)


def test_pixel_weights_have_mean_one_and_stress_what_differs():
    frames, background = torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 2)
    frames[0, 0, 1, 1] = 0.5
    weights = pixel_weights(frames, background, 10.0)
    assert weights.flatten().tolist() == pytest.approx([1 / 2.25, 1 / 2.25, 1 / 2.25, 6 / 2.25])
    assert pixel_weights(frames, background, 0.0).tolist() == torch.ones(1, 1, 2, 2).tolist()
