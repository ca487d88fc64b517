"""The vision transformer and its masked autoencoder against slow, obvious twins, and what it learns on small videos."""

import math

import numpy as np
import pytest
import torch
from videos import draw, make_videos, train

from wsabench.encoders import EncoderBank, PretextBatch, build_encoder, build_pretext, half_precision_is_fast
from wsabench.encoders.pretrained.vit import Block, normalised, patches, place_codes

VISIBLE, ALL = 12, 49


@pytest.fixture
def draws():
    return torch.Generator().manual_seed(5)


def batch_of(count, draws):
    frames = torch.rand(count, 4, 84, 84, generator=draws)
    return PretextBatch(frames, frames, torch.zeros(1, 84, 84), torch.rand(count, ALL, generator=draws))


def naive_patches(frame):
    """Return the patches of one frame (84, 84), cut out one after another."""
    return [frame[12 * row : 12 * row + 12, 12 * column : 12 * column + 12] for row in range(7) for column in range(7)]


@pytest.mark.oracle
def test_patches_are_cut_row_by_row_and_normalised_one_by_one(draws):
    frames = torch.rand(2, 1, 84, 84, generator=draws, dtype=torch.float64)
    frames[1, 0, 12:24, 24:36] = 0.3  # patch 9, without any edge
    cut, target = patches(frames), normalised(patches(frames))
    for frame, found, normal in zip(frames[:, 0].numpy(), cut.numpy(), target.numpy(), strict=True):
        for patch, one, value in zip(naive_patches(frame), found, normal, strict=True):
            flat = patch.flatten()
            assert one == pytest.approx(flat)
            assert value == pytest.approx((flat - flat.mean()) / math.sqrt(flat.var(ddof=1) + 1e-6))
    assert target[1, 9].abs().max() < 1e-9


@pytest.mark.oracle
@pytest.mark.parametrize("size", ["compact", "paper"])
def test_the_loss_is_the_mean_over_patches_that_are_not_seen(draws, size):
    pretext, batch = build_pretext("vit", seed=0, size=size), batch_of(3, draws)
    order = torch.from_numpy(np.argsort(batch.draws.numpy(), axis=1))
    with torch.inference_mode():
        shown = pretext.reconstruct(batch.first[:, -1:], order).double().numpy()
        loss = float(pretext.loss(batch, 0)["loss"])
    errors = []
    for row in range(3):
        cut = naive_patches(batch.first[row, -1].double().numpy())
        for place in order[row, VISIBLE:].tolist():
            flat = cut[place].flatten()
            errors.append((shown[row, place] - (flat - flat.mean()) / math.sqrt(flat.var(ddof=1) + 1e-6)) ** 2)
    assert len(errors) == 3 * 37
    assert loss == pytest.approx(np.mean(errors), rel=1e-4)


def test_only_what_is_visible_is_read_and_every_patch_goes_to_its_place(draws):
    pretext, batch = build_pretext("vit", seed=0), batch_of(1, draws)
    newest, order = batch.first[:, -1:], batch.draws.argsort(1)
    hidden, seen = int(order[0, VISIBLE]), int(order[0, 0])

    def shown(place=None, permutation=order):
        frame = newest.clone()
        if place is not None:
            row, column = divmod(place, 7)
            frame[0, 0, 12 * row : 12 * row + 12, 12 * column : 12 * column + 12] = torch.linspace(0, 1, 12)
        with torch.inference_mode():
            return pretext.reconstruct(frame, permutation)

    assert torch.equal(shown(), shown(hidden))
    assert not torch.allclose(shown(), shown(seen), atol=1e-3)
    again = torch.cat([order[:, :VISIBLE].flip(1), order[:, VISIBLE:].roll(5, 1)], 1)
    assert torch.allclose(shown(), shown(permutation=again), atol=1e-4)


def test_masks_depend_on_the_draws_alone(draws):
    pretext, batch = build_pretext("vit", seed=0), batch_of(4, draws)
    torch.manual_seed(1)
    loss = pretext.loss(batch, 0)["loss"]
    torch.manual_seed(2)
    assert torch.equal(loss, pretext.loss(batch, 7)["loss"])
    assert not torch.equal(loss, pretext.loss(batch._replace(draws=batch.draws.flip(1)), 0)["loss"])


@pytest.mark.oracle
def test_a_block_is_the_loop_over_heads_and_tokens(draws):
    block = Block(8, 2).double()
    tokens = torch.randn(1, 3, 8, generator=draws, dtype=torch.float64)

    def norm(vector):
        return (vector - vector.mean()) / np.sqrt(vector.var() + 1e-5)

    def linear(layer, vector):
        return layer.weight.detach().numpy() @ vector + layer.bias.detach().numpy()

    split = [linear(block.inputs, norm(token)).reshape(3, 2, 4) for token in tokens[0].numpy()]  # q, k, v by head
    wanted = []
    for one, token in zip(split, tokens[0].numpy(), strict=True):
        mixed = []
        for head in range(2):
            weights = np.exp([one[0, head] @ other[1, head] / 2 for other in split])  # 2: root of the head's size
            mixed.append(sum(w * other[2, head] for w, other in zip(weights / weights.sum(), split, strict=True)))
        attended = token + linear(block.output, np.concatenate(mixed))
        hidden = linear(block.perceptron[0], norm(attended))
        gelu = np.array([x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in hidden])
        wanted.append(attended + linear(block.perceptron[2], gelu))
    assert np.allclose(block(tokens).detach().numpy()[0], wanted, atol=1e-10)


@pytest.mark.oracle
def test_place_codes_are_sines_and_cosines_of_row_and_column():
    codes = place_codes(16)
    for place in range(ALL):
        wanted = []
        for axis in divmod(place, 7):
            frequencies = [10_000 ** (-k / 4) for k in range(4)]
            wanted += [math.sin(axis * f) for f in frequencies] + [math.cos(axis * f) for f in frequencies]
        assert codes[place].tolist() == pytest.approx(wanted, abs=1e-3)
    assert torch.equal(codes.half().float(), codes)  # what a file in half precision would give back
    assert "codes" not in build_encoder("vit", 0).state_dict()


def test_the_map_has_each_patch_in_its_place():
    encoder = build_encoder("vit", seed=0).eval()
    for block in encoder.blocks:  # no mixing: a token depends on its own patch alone
        torch.nn.init.zeros_(block.output.weight)
    frame = torch.zeros(1, 1, 84, 84)
    changed = frame.clone()
    changed[0, 0, 30, 77] = 1.0
    with torch.inference_mode():
        moved = (encoder(changed) - encoder(frame)).abs().sum(1)[0] > 1e-6
    assert moved.nonzero().tolist() == [[30 // 12, 77 // 12]]


def observations(count, seed):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 256, (count, 4, 14, 14), generator=generator, dtype=torch.uint8)
    return coarse.repeat_interleave(6, 2).repeat_interleave(6, 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_repeat_to_the_bit_whatever_their_neighbours(dtype):
    if dtype == torch.bfloat16 and not half_precision_is_fast():
        pytest.skip("bfloat16 is not native here")
    bank = EncoderBank.random(("vit",), "vit", seed=1, calibration_frames=observations(64, 0), dtype=dtype)
    first, mixed = observations(16, 1), observations(16, 2)
    mixed[11] = first[2]
    here, there = bank.embed(first)["vit"], bank.embed(mixed)["vit"]
    assert tuple(here.shape) == (16, 64, 7, 7)
    assert torch.equal(here[2], there[11])
    assert torch.equal(here, bank.embed(first)["vit"])


@pytest.mark.skipif(not half_precision_is_fast(), reason="bfloat16 is not native here")
def test_half_precision_changes_embeddings_little():
    frames = observations(64, 0)
    single, half = (
        EncoderBank.random(("vit",), "vit", seed=1, calibration_frames=frames, dtype=dtype).embed(frames)["vit"].float()
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert (single - half).square().mean().sqrt() < 0.05


def test_it_reconstructs_what_is_hidden_in_unseen_videos():
    videos, other = make_videos(num_videos=32), make_videos(num_videos=32, seed=9)
    pretext = build_pretext("vit", seed=1)
    losses = [row["loss"] for row in train(pretext, videos, 170, batch_size=4, rate=3e-3)]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])
    unseen = draw(other, pretext, 64, np.random.default_rng(4))
    with torch.inference_mode():
        left = float(pretext.loss(unseen, 0)["loss"])
    # A constant for each patch, its own mean, would leave all of its variance.
    assert left < 0.5 * float(normalised(patches(unseen.first[:, -1:])).square().mean())
