"""The losses of the paper's size, as wholes, against slow twins written from the papers' formulae."""

import math

import numpy as np
import pytest
import torch
from naive_losses import naive_dssim

from wsabench.encoders import PretextBatch, build_pretext
from wsabench.encoders.pretrained.transporter import heat_maps
from wsabench.encoders.pretrained.vos import PIXEL, translated_sparsity

pytestmark = pytest.mark.oracle

DIM = torch.zeros(1, 84, 84)


def batch(count, seed=5):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, count, 4, 12, 12, generator=generator).repeat_interleave(7, 3).repeat_interleave(7, 4)
    return PretextBatch(*coarse, DIM)


def test_st_dim_compares_the_vector_and_the_places_at_t_with_the_places_at_t_plus_1():
    pretext, data = build_pretext("sr", seed=0, size="paper"), batch(3)
    with torch.no_grad():
        found = pretext.loss(data, 0)
        now, later = (pretext.encoder.local_features(x).double() for x in (data.first, data.second))
        vectors = pretext.encoder(data.first).double()
    assert now.shape == (3, 128, 11, 8)
    by_vector = pretext.global_score.weight.detach().double()
    by_place = pretext.local_score.weight.detach().double()
    global_local = local_local = 0.0
    for y, x in np.ndindex(11, 8):
        for i in range(3):
            scores = [
                [float(query @ later[j, :, y, x]) for j in range(3)]
                for query in (by_vector @ vectors[i], by_place @ now[i, :, y, x])
            ]
            losses = [math.log(sum(math.exp(s) for s in row)) - row[i] for row in scores]
            global_local += losses[0] / (88 * 3)
            local_local += losses[1] / (88 * 3)
    assert float(found["global_local"]) == pytest.approx(global_local, rel=1e-4)
    assert float(found["local_local"]) == pytest.approx(local_local, rel=1e-4)
    assert float(found["loss"]) == pytest.approx(global_local + local_local, rel=1e-4)


def test_transporter_reconstructs_the_target_from_the_source_with_the_objects_moved():
    pretext, data = build_pretext("transporter", seed=0, size="paper"), batch(2)
    pretext.eval()  # the statistics of batch normalisation are those of the frames it sees: fixed here
    with torch.no_grad():
        found = float(pretext.loss(data, 0)["loss"])
        source, target = data.first[:, -1:], data.second[:, -1:]
        moved = pretext.features(source)
        there = pretext.features(target)
        at_source, at_target = (heat_maps(pretext.keynet.keypoints(x), 21, 0.1) for x in (source, target))
        for k in range(4):
            for n, y, x in np.ndindex(2, 21, 21):
                a, b = at_source[n, k, y, x], at_target[n, k, y, x]
                moved[n, :, y, x] = (1 - a) * (1 - b) * moved[n, :, y, x] + b * there[n, :, y, x]
        error = pretext.decoder(moved) - target
    assert found == pytest.approx(float(error.square().sum()) / (2 * 84 * 84), rel=1e-4)


def test_no_gradient_flows_through_the_source_frame():
    pretext, data = build_pretext("transporter", seed=0, size="paper"), batch(2)
    pretext.eval()
    first = data.first.clone().requires_grad_()
    second = data.second.clone().requires_grad_()
    pretext.loss(PretextBatch(first, second, DIM), 0)["loss"].backward()
    assert first.grad is None
    assert float(second.grad[:, -1].abs().sum()) > 0


def test_autoencoder_is_the_plain_mean_over_pixels():
    pretext, data = build_pretext("ae", seed=0, size="paper"), batch(2)
    with torch.no_grad():
        found = float(pretext.loss(data, 0)["loss"])
        image = pretext.decoder(pretext.encoder(data.first[:, -1:]))
    total = sum(float((image[n, 0] - data.first[n, -1]).square().sum()) for n in range(2))
    assert found == pytest.approx(total / (2 * 84 * 84), rel=1e-5)


def test_sparsity_is_the_loop_over_masks_and_pixels():
    generator = torch.Generator().manual_seed(1)
    masks = torch.rand(2, 3, 4, 5, generator=generator)
    moves = torch.randn(2, 3, 2, generator=generator)
    total = 0.0
    for n, k, y, x, c in np.ndindex(2, 3, 4, 5, 2):
        total += abs(float(masks[n, k, y, x] * moves[n, k, c]))
    assert float(translated_sparsity(masks, moves)) == pytest.approx(total / (2 * 4 * 5), rel=1e-5)


def set_translations(pretext, camera, first_mask):
    """Move everything by `camera`, and what the first mask covers by `first_mask`, pixels (x, y)."""
    bias = torch.zeros(21, 2)
    bias[0], bias[-1] = torch.tensor(first_mask), torch.tensor(camera)
    with torch.no_grad():
        pretext.translations.bias.copy_(bias.flatten())


def test_segmentation_starts_without_motion():
    pretext, data = build_pretext("vos", seed=0, size="paper"), batch(1)
    with torch.no_grad():
        found = pretext.loss(data, 1_000)
    older, newer = data.first[:, :2].mean(1), data.first[:, 2:].mean(1)
    expected = naive_dssim(older[0].numpy(), newer[0].numpy(), 11)
    assert float(found["loss"]) == float(found["dssim"]) == pytest.approx(expected, abs=1e-5)
    assert float(found["sparsity"]) == 0.0


def test_segmentation_warps_the_older_frame_by_its_masks():
    pretext, data = build_pretext("vos", seed=0, size="paper"), batch(1)
    set_translations(pretext, camera=(2.0, 0.0), first_mask=(0.0, 3.0))
    with torch.no_grad():
        found = pretext.loss(data, 0)
        mask = pretext.encoder(data.first)[0, 0].double().numpy()
    older, newer = (data.first[0, half].mean(0).double().numpy() for half in (slice(0, 2), slice(2, 4)))
    warped = np.zeros((84, 84))
    for y, x in np.ndindex(84, 84):  # each pixel comes from 2 pixels to the right and up to 3 below
        row, column = min(y + 3.0 * mask[y, x], 83.0), min(x + 2, 83)
        top = min(int(row), 82)
        warped[y, x] = older[top, column] * (1 - (row - top)) + older[top + 1, column] * (row - top)
    assert float(found["dssim"]) == pytest.approx(naive_dssim(warped, newer, 11), abs=1e-4)
    assert float(found["sparsity"]) == pytest.approx(mask.mean() * 3.0 * PIXEL, rel=1e-4)


def test_the_sparsity_s_weight_grows_to_1():
    pretext, data = build_pretext("vos", seed=0, size="paper"), batch(1)
    set_translations(pretext, camera=(0.0, 0.0), first_mask=(40.0, 0.0))
    for step, weight in ((0, 0.0), (50_000, 0.5), (100_000, 1.0), (300_000, 1.0)):
        with torch.no_grad():
            found = {name: float(value) for name, value in pretext.loss(data, step).items()}
        assert found["sparsity"] > 0.01
        assert found["loss"] == pytest.approx(found["dssim"] + weight * found["sparsity"], rel=1e-5)
