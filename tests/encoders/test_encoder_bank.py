"""Encoders, standardisation, files and the bank."""

import copy
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from wsabench.encoders import (
    ENCODERS,
    EncoderBank,
    Standardisation,
    build_encoder,
    build_pretext,
    encoder_path,
    fold_batch_norm,
    half_precision_is_fast,
    load_encoder,
    measure_standardisation,
    save_encoder,
    set_batch_norm_statistics,
)
from wsabench.encoders.inference import PackedLinear, RectifiedConvolution, has_joined_operation, join_layers
from wsabench.encoders.pretrained.sr import resized
from wsabench.encoders.standardisation import encoder_input
from wsabench.errors import CheckpointError, ShapeError, SpecError, UnknownNameError

NAMES = ("sr", "oke", "okk", "vos")
SHAPES = {"sr": (32, 10, 10), "oke": (8, 21, 21), "okk": (4, 21, 21), "vos": (8, 42, 42), "ae": (16, 16, 16)}


def observations(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 256, (count, 4, 14, 14), generator=generator, dtype=torch.uint8)
    return coarse.repeat_interleave(6, 2).repeat_interleave(6, 3)


@pytest.fixture(scope="module")
def frames():
    return observations(64)


@pytest.fixture(scope="module")
def bank(frames):
    return EncoderBank.random(NAMES, "ae", seed=1, calibration_frames=frames)


@pytest.fixture(scope="module")
def saved(tmp_path_factory, frames):
    """Every encoder in a file."""
    path = tmp_path_factory.mktemp("encoders")
    for name in ENCODERS:
        encoder = build_encoder(name, seed=3)
        set_batch_norm_statistics(encoder, frames)
        metadata = {"game": "pong", "steps": "7"}
        save_encoder(encoder_path("pong", name, path), encoder, measure_standardisation(encoder, frames), metadata)
    return path


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of them, to damage."""
    return shutil.copytree(saved, tmp_path, dirs_exist_ok=True)


def test_embeddings_have_declared_shapes_and_half_precision(bank, frames):
    assert (bank.names, bank.context, bank.shapes, bank.source) == (NAMES, "ae", SHAPES, "random")
    embeddings = bank.embed(frames[:5])
    assert {name: tuple(e.shape) for name, e in embeddings.items()} == {n: (5, *s) for n, s in SHAPES.items()}
    assert all(e.dtype == torch.float16 for e in embeddings.values())
    assert set(bank.embed(frames[:2], only=["sr"])) == {"sr"}


def test_embeddings_are_standardised_on_the_calibration_frames(bank, frames):
    for embedding in bank.embed(frames).values():
        values = embedding.double()
        assert values.mean(0).abs().max() < 0.15
        scale = values.square().mean((0, 2, 3)).sqrt()
        assert scale.max() < 1.1
        assert 0.9 < scale.median() < 1.1


def test_standardisation_is_the_definition(frames):
    encoder = build_encoder("sr", seed=2).eval()
    mean, scale, _ = measure_standardisation(encoder, frames)
    with torch.inference_mode():
        embedding = encoder(encoder_input(frames, encoder)).double()
    assert torch.allclose(mean.double(), embedding.mean(0), atol=1e-5)
    expected = embedding.var(0, correction=0).mean((1, 2)).sqrt()
    floor = 0.05 * expected[expected > 1e-8].median()
    assert torch.allclose(scale.flatten().double(), expected.clamp(min=floor), rtol=1e-3)


def test_a_silent_channel_does_not_explode(frames):
    encoder = build_encoder("ae", seed=2)
    with torch.no_grad():
        encoder.trunk[2][0].weight[0] *= 1e-4
        encoder.trunk[2][0].weight[1] = 0.0
    scale = measure_standardisation(encoder, frames).scale.flatten()
    assert scale[0] == scale[1] == scale.min()
    assert 0.01 < scale[0] / scale.median() < 0.06


def test_one_row_does_not_depend_on_its_neighbours(bank):
    first, other = observations(16, 1), observations(16, 2)
    mixed = other.clone()
    mixed[11] = first[2]
    here, there = bank.embed(first), bank.embed(mixed)
    assert all(torch.equal(here[name][2], there[name][11]) for name in SHAPES)


def test_a_random_bank_depends_on_its_seed_only(bank, frames):
    torch.manual_seed(99)
    state = torch.random.get_rng_state()
    again = EncoderBank.random(NAMES, "ae", seed=1, calibration_frames=frames)
    other = EncoderBank.random(NAMES, "ae", seed=2, calibration_frames=frames)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert again.hashes == bank.hashes
    assert all(other.hashes[name] != bank.hashes[name] for name in SHAPES)
    embedded = (one.embed(frames[:8]).values() for one in (bank, again))
    assert all(torch.equal(a, b) for a, b in zip(*embedded, strict=True))


def test_a_bank_is_frozen(bank):
    assert not list(bank.parameters())
    assert not bank.state_dict()
    assert not bank.train().training
    assert not bank.embed(observations(1))["sr"].requires_grad


@pytest.mark.parametrize("name", ["oke", "okk"])
def test_folding_batch_normalisation_changes_nothing(name, frames):
    encoder = build_encoder(name, seed=4)
    set_batch_norm_statistics(encoder, frames)
    pixels = encoder_input(frames[:8], encoder)
    with torch.inference_mode():
        before = encoder(pixels)
        folded = fold_batch_norm(copy.deepcopy(encoder))(pixels)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in fold_batch_norm(encoder).modules())
    assert torch.allclose(before, folded, atol=1e-4)


def test_batch_statistics_are_those_of_the_frames(frames):
    encoder = build_encoder("oke", seed=4)
    set_batch_norm_statistics(encoder, frames[:64])
    first = encoder.trunk[0]
    with torch.inference_mode():
        expected = first[0](encoder_input(frames[:64], encoder)).mean((0, 2, 3))
    assert torch.allclose(first[1].running_mean, expected, atol=1e-4)
    assert not encoder.training


def test_half_and_single_precision_agree(frames):
    banks = [
        EncoderBank.random(NAMES, "ae", seed=1, calibration_frames=frames, dtype=dtype)
        for dtype in (torch.float32, torch.bfloat16)
    ]
    for single, half in zip(*(bank.embed(frames[:16]).values() for bank in banks), strict=True):
        assert (single.float() - half.float()).abs().mean() < 0.08


def test_files_round_trip(folder, frames):
    loaded = load_encoder(folder / "oke.safetensors", name="oke", game="pong")
    assert loaded.metadata["steps"] == "7"
    assert len(loaded.content_hash) == 64
    original = build_encoder("oke", seed=3)
    set_batch_norm_statistics(original, frames)
    for name, value in original.state_dict().items():
        if value.is_floating_point():
            assert torch.equal(loaded.encoder.state_dict()[name], value.half().float())
    bank = EncoderBank.load("pong", directory=folder)
    assert bank.hashes["oke"] == loaded.content_hash
    assert bank.shapes == SHAPES


def test_the_context_may_be_fused_too(folder):
    bank = EncoderBank.load("pong", ("sr", "ae"), context="ae", directory=folder)
    assert set(bank.embed(observations(1))) == {"sr", "ae"}


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(CheckpointError, match=r"sr\.safetensors is missing.*wsabench pretrain --game pong"):
        EncoderBank.load("pong", directory=tmp_path)


def test_a_damaged_file_is_named(folder):
    path = folder / "sr.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"sr\.safetensors is damaged"):
        EncoderBank.load("pong", directory=folder)


def test_foreign_files_are_refused(folder):
    with pytest.raises(CheckpointError, match="holds game 'pong', not 'breakout'"):
        EncoderBank.load("breakout", directory=folder)
    (folder / "sr.safetensors").write_bytes((folder / "ae.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match="holds name 'ae', not 'sr'"):
        EncoderBank.load("pong", directory=folder)
    save_file({"a": torch.zeros(1)}, folder / "sr.safetensors", {"format": "else"})
    with pytest.raises(CheckpointError, match="not an encoder file of this version"):
        EncoderBank.load("pong", directory=folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": torch.zeros(2, 3)}, "does not fit the encoder sr: mean"),
        ({"scale": torch.zeros(32)}, "does not fit the encoder sr: scale"),
        ({"scale": torch.full((32, 1, 1), float("nan"))}, "not finite"),
    ],
)
def test_files_that_do_not_fit_are_refused(folder, change, message):
    path = folder / "sr.safetensors"
    loaded = load_encoder(path)
    save_encoder(path, loaded.encoder, loaded.standardisation._replace(**change), loaded.metadata)
    with pytest.raises(CheckpointError, match=message):
        load_encoder(path)


@pytest.mark.parametrize(
    "change", [lambda t: t | {"more": torch.zeros(1)}, lambda t: {k: t[k] for k in t if k != "mean"}]
)
def test_tensors_that_were_not_saved_are_refused(folder, change):
    path = folder / "sr.safetensors"
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    save_file(change(load_file(path)), path, header)
    with pytest.raises(
        CheckpointError, match=r"is damaged: its content is not what was saved. Restore it, or pre-train"
    ):
        load_encoder(path)


def test_metadata_is_text(folder):
    wanted = {"format": "wsabench-encoder-2", "name": "ae", "size": "compact", "game": "pong", "steps": "7"}
    assert load_encoder(folder / "ae.safetensors").metadata == wanted


@pytest.mark.parametrize(
    "stack",
    [
        torch.zeros(1, 4, 84, 84),
        torch.zeros(1, 3, 84, 84, dtype=torch.uint8),
        torch.zeros(4, 84, 84, dtype=torch.uint8),
    ],
)
def test_other_observations_are_refused(bank, stack):
    with pytest.raises(ShapeError, match=r"Allowed: torch.uint8 of shape \(N, 4, 84, 84\)"):
        bank.embed(stack)


def test_names_are_checked(frames):
    with pytest.raises(UnknownNameError, match=r"Unknown encoder 'srr'. Did you mean 'sr'"):
        EncoderBank.random(("srr",), "ae", seed=0, calibration_frames=frames)
    with pytest.raises(UnknownNameError, match="Unknown encoder size 'huge'"):
        build_encoder("sr", seed=0, size="huge")
    with pytest.raises(UnknownNameError, match="Unknown pre-training stage 'oke'"):
        build_pretext("oke", seed=0)
    for names in ((), ("sr", "sr")):
        with pytest.raises(SpecError, match="at least one name, each once"):
            EncoderBank.random(names, "ae", seed=0, calibration_frames=frames)


def test_a_standardisation_of_vectors_has_one_scale_a_number(frames):
    class Vector(torch.nn.Module):
        name, reads, shape, needs_single = "vector", "newest", (3,), False

        def forward(self, pixels):
            return pixels.mean((1, 2, 3))[:, None] * torch.tensor([1.0, 2.0, 4.0])

    standardisation = measure_standardisation(Vector(), frames)  # type: ignore[arg-type]
    assert isinstance(standardisation, Standardisation)
    assert standardisation.scale.shape == standardisation.mean.shape == (3,)
    assert float(standardisation.scale[2] / standardisation.scale[0]) == pytest.approx(4.0, rel=1e-3)


def test_the_callers_autocast_region_changes_no_embedding(frames: torch.Tensor) -> None:
    bank = EncoderBank.random(NAMES, "ae", seed=0, calibration_frames=frames, dtype=torch.float32)
    outside = bank.embed(frames[:4])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = bank.embed(frames[:4])
    assert all(torch.equal(value, inside[name]) for name, value in outside.items())


def _mean_embeddings(encoder, measured, frames, dtype):
    pair = {encoder.name: (encoder, measured)}
    bank = EncoderBank(pair, names=[encoder.name], context=encoder.name, hashes={}, source="random", dtype=dtype)
    return torch.cat([bank.embed(part)[encoder.name].double() for part in frames.split(16)])


@pytest.mark.skipif(not half_precision_is_fast(), reason="measured only where the CPU computes in bfloat16")
@pytest.mark.parametrize("name", ["sr", "oke", "okk", "ae"])
def test_half_precision_moves_no_mean(name, frames):
    encoder = build_encoder(name, seed=2, size="paper")
    frames = frames[:16]
    set_batch_norm_statistics(encoder, frames)
    measured = measure_standardisation(encoder, frames)
    exact = _mean_embeddings(encoder, measured, frames, torch.float32)
    error = _mean_embeddings(encoder, measured, frames, torch.bfloat16) - exact
    unknown = measured._replace(half_shift=None)
    uncorrected = _mean_embeddings(encoder, unknown, frames, torch.bfloat16) - exact
    assert error.mean(0).abs().mean() < 0.25 * uncorrected.mean(0).abs().mean()
    assert error.square().mean() < uncorrected.square().mean()


@pytest.mark.skipif(not half_precision_is_fast(), reason="measured only where the CPU computes in bfloat16")
def test_files_keep_what_half_precision_moves_and_may_lack_it(tmp_path, frames):
    encoder = build_encoder("okk", seed=2)
    measured = measure_standardisation(encoder, frames)
    assert measured.half_shift.shape == encoder.shape
    for found in (measured, measured._replace(half_shift=None)):
        save_encoder(tmp_path / "okk.safetensors", encoder, found, {"game": "pong"})
        loaded = load_encoder(tmp_path / "okk.safetensors").standardisation
        assert loaded.tensors().keys() == found.tensors().keys()
        assert torch.allclose(loaded.mean, found.mean, atol=1e-3)
        if found.half_shift is not None:
            assert torch.allclose(loaded.half_shift, found.half_shift, rtol=1e-2, atol=1e-6)


def test_encoders_in_single_precision_have_no_shift(frames):
    assert measure_standardisation(build_encoder("oke", seed=2), frames).half_shift is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("has_joined", [True, False])
def test_joined_layers_give_the_same_to_the_bit(
    dtype: torch.dtype, has_joined: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3, padding=1)
            self.relu = nn.ReLU()

        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            return maps + self.relu(self.conv(maps))

    if not has_joined:
        monkeypatch.setattr("wsabench.encoders.inference.has_joined_operation", lambda: False)
    torch.manual_seed(0)
    layers = [nn.ReLU(), nn.Conv2d(4, 4, 3, 2), nn.Identity(), nn.ReLU(), Residual(), nn.ReLU(), nn.Conv2d(4, 2, 3)]
    grouped = [nn.Conv2d(2, 2, 2, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3), nn.ReLU()]
    module = nn.Sequential(*layers, *grouped).eval().to(dtype)
    maps = torch.randn(2, 4, 12, 12).to(dtype)
    with torch.no_grad():
        before, kept = module(maps), maps.clone()
        assert torch.equal(join_layers(module)(maps), before)
        assert torch.equal(copy.deepcopy(module)(maps), before)
    assert torch.equal(maps, kept)
    assert sum(isinstance(layer, PackedLinear) for layer in module.modules()) == 1
    assert sum(isinstance(layer, RectifiedConvolution) for layer in module.modules()) == 1
    assert [layer.inplace for layer in module.modules() if isinstance(layer, nn.ReLU)] == [*[False] * 4, True]
    # Encoders that are trained further are made of the joined ones.
    module.float()(maps.float()).sum().backward()
    assert module[1].convolution.weight.grad is not None


def test_a_packed_layer_follows_its_weight() -> None:
    layer = PackedLinear(nn.Linear(64, 16).bfloat16())
    rows = torch.randn(4, 64).bfloat16()
    with torch.no_grad():
        assert torch.equal(layer(rows), layer.linear(rows))
        single = layer.float()(rows.float())
        layer.linear.weight.mul_(2)
        layer.bfloat16()
        assert torch.equal(layer(rows), layer.linear(rows))
    assert single.dtype == torch.float32


def test_joined_convolutions_exist_in_the_builds_that_speed_is_claimed_for() -> None:
    assert has_joined_operation() == torch.backends.mkldnn.is_available()


def test_bytes_are_resized_as_closely_as_half_precision_resizes() -> None:
    frames = observations(8)
    pixels = frames / 255
    exact = resized(pixels)
    with torch.no_grad():
        found = resized(pixels.bfloat16())
        plain = torch.nn.functional.interpolate(pixels.bfloat16(), size=(210, 160), mode="bilinear")
    assert found.dtype == torch.bfloat16
    assert (found - exact).abs().max() < 1.5 / 255
    assert (found - exact).square().mean() < 1.5 * (plain - exact).square().mean()


def test_half_precision_gives_every_byte_back() -> None:
    every = torch.arange(256)
    assert torch.equal(((every / 255).bfloat16() * 255).round(), every.bfloat16().round())
    assert torch.equal(((every / 255).bfloat16() * 255).round().to(torch.uint8), every.to(torch.uint8))
