"""Shapes and parameter counts of both sizes, worked out by hand."""

import pytest
import torch

from wsabench.encoders import ENCODERS, PRETEXTS, SIZES, PretextBatch, build_encoder, build_pretext
from wsabench.errors import UnknownNameError


def layer(kernel, inputs, outputs, bias=True):
    """Parameters of a convolution, or with kernel 1 of a linear layer."""
    return kernel * kernel * inputs * outputs + (outputs if bias else 0)


def norm(*channels):
    return 2 * sum(channels)


TRANSPORTER = (
    layer(7, 1, 32, bias=False)
    + layer(3, 32, 32, bias=False)
    + layer(3, 32, 64, bias=False)
    + layer(3, 64, 64, bias=False)
    + layer(3, 64, 128, bias=False)
    + layer(3, 128, 128, bias=False)
    + norm(32, 32, 64, 64, 128, 128)
)
COMPACT_TRANSPORTER = (
    layer(5, 1, 16, bias=False)
    + layer(3, 16, 16, bias=False)
    + layer(3, 16, 32, bias=False)
    + layer(3, 32, 32, bias=False)
    + norm(16, 16, 32, 32)
)
COMPACT_FEATURES = COMPACT_TRANSPORTER + layer(3, 32, 32, bias=False) + layer(3, 32, 8, bias=False) + norm(32, 8)
SR = layer(8, 4, 32) + layer(4, 32, 64) + layer(4, 64, 128) + layer(3, 128, 64) + layer(1, 64 * 9 * 6, 512)
NATURE = layer(8, 2, 32) + layer(4, 32, 64) + layer(3, 64, 64) + layer(1, 64 * 7 * 7, 512)
VOS = NATURE + layer(1, 512, 24 * 21 * 21) + 2 * layer(3, 24, 24) + layer(1, 24, 20)


def transformer(width, depth):
    """Patches of 12 x 12; in each block queries, keys and values, their output, a perceptron and two norms."""
    block = layer(1, width, 3 * width) + layer(1, width, width) + norm(width, width)
    block += layer(1, width, 4 * width) + layer(1, 4 * width, width)
    return layer(12, 1, width) + depth * block + norm(width)


EXPECTED = {
    ("paper", "sr"): ((512,), SR, 2_016_032),
    ("paper", "oke"): ((128, 21, 21), TRANSPORTER, 288_160),
    ("paper", "okk"): ((4, 21, 21), TRANSPORTER + layer(1, 128, 4), 288_676),
    ("paper", "vos"): ((20, 84, 84), VOS, 7_120_540),
    ("paper", "ae"): ((64, 16, 16), layer(8, 1, 32) + layer(3, 32, 64) + layer(3, 64, 64), 57_504),
    ("paper", "vit"): ((192, 7, 7), transformer(192, 12), 5_366_592),
    ("compact", "sr"): ((32, 10, 10), layer(8, 4, 32) + layer(4, 32, 32) + layer(3, 32, 32), 33_888),
    ("compact", "oke"): ((8, 21, 21), COMPACT_FEATURES, 28_320),
    ("compact", "okk"): ((4, 21, 21), COMPACT_TRANSPORTER + layer(1, 32, 4), 16_852),
    ("compact", "vos"): ((8, 42, 42), layer(5, 2, 16) + layer(3, 16, 32) + layer(3, 32, 32) + layer(3, 32, 32), 23_952),
    ("compact", "ae"): ((16, 16, 16), layer(8, 1, 16) + layer(3, 16, 32) + layer(3, 32, 16), 10_304),
    ("compact", "vit"): ((64, 7, 7), transformer(64, 4), 209_344),
}


def test_every_encoder_in_every_size_is_checked():
    assert SIZES == ("compact", "paper")
    assert {(size, name) for size in SIZES for name in ENCODERS} == set(EXPECTED)


@pytest.mark.parametrize(("size", "name"), list(EXPECTED))
def test_shapes_and_parameters(size, name):
    shape, by_layer, parameters = EXPECTED[size, name]
    encoder = build_encoder(name, seed=0, size=size).eval()
    assert sum(parameter.numel() for parameter in encoder.parameters()) == by_layer == parameters
    pixels = torch.rand(2, 4 if encoder.reads == "stack" else 1, 84, 84)
    with torch.inference_mode():
        embedding = encoder(pixels)
    assert encoder.shape == shape
    assert tuple(embedding.shape) == (2, *shape)
    assert encoder.name == name
    assert encoder.reads == ("stack" if name in ("sr", "vos") else "newest")
    if name == "vos":
        assert 0 <= float(embedding.min()) <= float(embedding.max()) <= 1


@pytest.mark.parametrize("name", ["ae", "sr", "transporter", "vos", "vit"])
def test_paper_stages_train_the_paper_encoders_with_its_settings(name):
    pretext = build_pretext(name, seed=0, size="paper")
    for encoder in pretext.encoders():
        assert type(encoder) is type(build_encoder(encoder.name, 0, "paper"))
    settings = {
        "ae": (1e-3, 32, None, (1, 1)),
        "sr": (3e-4, 64, None, (1, 1)),
        "transporter": (1e-3, 64, None, (1, 20)),
        "vos": (1e-4, 32, 5.0, (1, 1)),
        "vit": (1.5e-4, 256, None, (1, 1)),
    }
    found = (pretext.learning_rate, pretext.batch_size, pretext.max_gradient_norm, pretext.offsets)
    assert found == settings[name]


def test_only_transporters_step_size_falls():
    pretext = build_pretext("transporter", seed=0, size="paper")
    rates = [pretext.learning_rate_at(step) for step in (0, 99_999, 100_000, 199_999, 200_000, 1_000_000)]
    assert rates == pytest.approx([1e-3, 1e-3, 0.95e-3, 0.95e-3, 0.95**2 * 1e-3, 0.95**10 * 1e-3])
    for size in SIZES:
        for name in PRETEXTS:
            other = build_pretext(name, seed=0, size=size)
            if (size, name) != ("paper", "transporter"):
                assert other.learning_rate_at(0) == other.learning_rate_at(10**6) == other.learning_rate


def test_same_seed_same_weights():
    for size in SIZES:
        for name in ENCODERS:
            first, again, other = (build_encoder(name, seed, size).state_dict() for seed in (1, 1, 2))
            assert all(torch.equal(first[key], again[key]) for key in first)
            assert any(not torch.equal(first[key], other[key]) for key in first)


def test_reconstructions_have_the_frames_size():
    frames = torch.rand(2, 4, 84, 84)
    batch = PretextBatch(frames, frames, torch.zeros(1, 84, 84))
    for name in ("ae", "transporter"):
        pretext = build_pretext(name, seed=0, size="paper").eval()
        with torch.inference_mode():
            features = pretext.encoders()[0](frames[:, -1:])
            assert tuple(pretext.decoder(features).shape) == (2, 1, 84, 84)
            error = (pretext.decoder(features) - frames[:, -1:]).square().mean()
            if name == "ae":
                assert float(pretext.loss(batch, 0)["loss"]) == pytest.approx(float(error), rel=1e-5)


def test_unknown_sizes_are_named():
    with pytest.raises(UnknownNameError, match=r"Unknown encoder size 'papr'. Did you mean 'paper'"):
        build_encoder("sr", 0, "papr")
    with pytest.raises(UnknownNameError, match=r"Unknown encoder 'srr'. Did you mean 'sr'"):
        build_encoder("srr", 0, "paper")
