"""On small videos of bouncing squares: each loss falls, and each encoder finds what it should.

Batches are small and some step sizes larger than in real runs, so that it takes seconds on one core. What a stage finds
is measured on other videos than it was trained on.
"""

import numpy as np
import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d
from videos import SIZES, draw, make_videos, stacks, train

from wsabench.encoders import build_pretext
from wsabench.encoders.pretrained.vos import NUM_MOVING


@pytest.fixture(scope="module")
def videos():
    return make_videos()


def fell(curve, part="loss"):
    """Return what is left of a loss: the mean of the last ten steps over that of the first five."""
    return np.mean([row[part] for row in curve[-10:]]) / np.mean([row[part] for row in curve[:5]])


def unseen(videos, count=100):
    """Draw stacks of other videos, and the centres of the squares in their newest frames."""
    rng = np.random.default_rng(0)
    num_videos, length = videos.frames.shape[:2]
    rows, times = rng.integers(num_videos, size=count), rng.integers(3, length, size=count)
    return stacks(videos, rows, times), videos.centres[rows, times]


def on_squares(frames, background):
    return (frames - background).abs() > 0.1


def true_pairs_found(pretext, videos, count=32):
    """Return in how many cases the place-wise scores together name the right frame at t+1; chance is 1 / count."""
    with torch.inference_mode():
        _, local = pretext.scores(draw(videos, pretext, count, np.random.default_rng(4)))
    return float((local.log_softmax(2).sum(0).argmax(1) == torch.arange(count)).float().mean())


def nearest_keypoint(pretext, stack, centres):
    """Return each square's mean distance in pixels to the keypoint that is nearest to it on average."""
    with torch.inference_mode():
        points = (pretext.keynet.keypoints(stack[:, -1:]) + 1) / 2 * 83
    return (points[:, None] - centres[:, :, None]).norm(dim=-1).mean(0).amin(1)


def inside_and_outside(pretext, stack, background, num_moving):
    """Return the mean of each moving mask where a square is in any frame of the stack, and where none is."""
    with torch.inference_mode():
        masks = pretext.encoders()[0](stack)[:, :num_moving]
    covered = on_squares(stack, background).any(1, keepdim=True).float()
    inside = adaptive_avg_pool2d(covered, masks.shape[-1])[:, 0] > 0.5
    return [torch.stack([mask[where].mean() for mask in masks.unbind(1)]) for where in (inside, ~inside)]


@pytest.mark.parametrize(("size", "num_steps"), [("compact", 100), ("paper", 60)])
def test_the_autoencoder_reconstructs_squares(videos, size, num_steps):
    pretext = build_pretext("ae", seed=1, size=size)
    assert fell(train(pretext, videos, num_steps, batch_size=4)) < 0.3
    newest = unseen(make_videos(seed=9))[0][:, -1:]
    with torch.inference_mode():
        image = pretext.decoder(pretext.encoder(newest))
    squares = on_squares(newest, videos.background)
    blank = (newest - videos.background).square()[squares].mean()
    assert (image - newest).square()[squares].mean() < 0.3 * blank


def test_state_scores_name_the_true_pair(videos):
    pretext = build_pretext("sr", seed=1)
    other = make_videos(seed=9)
    assert true_pairs_found(pretext.eval(), other) < 0.2
    curve = train(pretext, videos, 40, batch_size=16)
    assert fell(curve) < 0.97
    assert fell(curve, "local_local") < 0.95
    assert true_pairs_found(pretext, other) > 0.4


@pytest.mark.slow
def test_keypoints_land_on_squares(videos):
    pretext = build_pretext("transporter", seed=1)
    stack, centres = unseen(make_videos(seed=9))
    before = nearest_keypoint(pretext.eval(), stack, centres)
    assert fell(train(pretext, videos, 200, batch_size=8, rate=3e-3)) < 0.3
    after = nearest_keypoint(pretext, stack, centres)
    assert float(after[0]) < SIZES[0] / 2 + 2 < 0.5 * float(before[0])


@pytest.mark.slow
def test_moving_masks_cover_squares(videos):
    pretext = build_pretext("vos", seed=1)
    curve = train(pretext, videos, 120, batch_size=8)
    assert fell(curve) < 0.6
    assert fell(curve, "changes") < 0.5
    stack, _ = unseen(make_videos(seed=9))
    inside, outside = inside_and_outside(pretext, stack, videos.background, NUM_MOVING)
    assert float(inside.max()) > 0.5
    assert float((inside / outside).max()) > 4


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_paper_size_state_scores_name_the_true_pair(videos):
    pretext = build_pretext("sr", seed=1, size="paper")
    assert true_pairs_found(pretext.eval(), make_videos(seed=9)) < 0.2
    assert fell(train(pretext, videos, 60, batch_size=16)) < 0.97
    assert true_pairs_found(pretext, make_videos(seed=9)) > 0.4


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_paper_size_keypoints_land_on_squares(videos):
    pretext = build_pretext("transporter", seed=1, size="paper")
    stack, centres = unseen(make_videos(seed=9))
    assert fell(train(pretext, videos, 150, batch_size=8)) < 0.3
    assert float(nearest_keypoint(pretext, stack, centres)[0]) < SIZES[0] / 2 + 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_paper_size_masks_cover_squares():
    """All squares move alike: to tell apart different motions takes many thousands of steps at this size."""
    videos, other = (make_videos(length=8, seed=seed, speeds=(4,)) for seed in (0, 9))
    pretext = build_pretext("vos", seed=1, size="paper")
    assert fell(train(pretext, videos, 300, batch_size=8, rate=3e-4), "dssim") < 0.8
    stack, _ = unseen(other)
    inside, outside = inside_and_outside(pretext, stack, videos.background, None)
    assert float(inside.max()) > 0.5
    assert float((inside / outside).max()) > 4
