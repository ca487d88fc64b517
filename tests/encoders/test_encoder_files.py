"""Encoders given by path: TorchScript and safetensors files, in specifications and in a run's folder."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from wsabench.agents import AgentSpec, load_spec
from wsabench.encoders import (
    EncoderBank,
    build_encoder,
    encoder_reads,
    find_encoder,
    load_torchscript,
    measure_standardisation,
    required_inputs,
    save_encoder,
    save_torchscript,
)
from wsabench.errors import CheckpointError, SpecError
from wsabench.training import frozen
from wsabench.training.frozen import prepare_bank, read_inputs

STACKS = torch.randint(0, 256, (24, 4, 84, 84), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
SPEC = """
name = "own"
kind = "wsa"
encoders = ["files/my_sr.safetensors", "files/my_net.ts"]
context = "files/my_net.ts"
[presets.compact]
width = 8
"""


class Colors(nn.Module):
    """The mean colour, each channel with a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("factors", torch.tensor([1.0, 2.0, 4.0]))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.mean((2, 3)) * self.factors


def silence(path: Path) -> None:
    """Take out of a TorchScript file what it says of itself."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist() if not name.endswith("wsabench.json")}
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a specification and two encoder files."""
    folder = tmp_path / "files"
    folder.mkdir()
    encoder = build_encoder("sr", seed=1)
    save_encoder(folder / "my_sr.safetensors", encoder, measure_standardisation(encoder, STACKS), {"game": "pong"})
    save_torchscript(Colors(), folder / "my_net.ts", reads="rgb84")
    (tmp_path / "own.toml").write_text(SPEC)
    return folder


class Envs:
    """Lanes that show noise, with colour only if asked."""

    class single_action_space:
        n = 3

    def __init__(self, game: str, num_envs: int, inputs: tuple[str, ...] = ()) -> None:
        self.num_envs, self._inputs, self._draws = num_envs, inputs, np.random.default_rng(num_envs)

    def reset(self, *, seed=None, options=None):
        return self.step(None)[0], {}

    def step(self, actions):
        observations = self._draws.integers(0, 256, (self.num_envs, 4, 84, 84), dtype=np.uint8)
        colors = self._draws.integers(0, 256, (self.num_envs, 3, 84, 84), dtype=np.uint8)
        infos = dict.fromkeys(self._inputs, colors)
        return observations, np.zeros(self.num_envs), *(np.zeros(self.num_envs, bool) for _ in range(2)), infos

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def little_calibration(monkeypatch):
    monkeypatch.setattr(frozen, "CALIBRATION_OBSERVATIONS", 32)


def test_a_specification_calls_files_by_their_stem_and_finds_them_beside_itself(files):
    spec = load_spec(str(files.parent / "own.toml"))
    assert (spec.encoders, spec.context) == (("my_sr", "my_net"), "my_net")
    assert spec.files == {"my_sr": files / "my_sr.safetensors", "my_net": files / "my_net.ts"}
    assert read_inputs(spec) == ("rgb84",)
    assert "encoder_files" not in spec.to_dict()
    assert AgentSpec.from_dict(spec.to_dict()) == spec  # where files lay is no part of an agent


def test_a_file_without_a_usable_name_is_refused():
    with pytest.raises(SpecError, match=r"would be called 'my.net'. Allowed: letters"):
        AgentSpec(name="a", kind="wsa", preset="p", width=4, encoders=("x/my.net.ts",), context="ae")
    with pytest.raises(SpecError, match="name one twice"):
        AgentSpec(name="a", kind="wsa", preset="p", width=4, encoders=("a/net.ts", "b/net.safetensors"), context="ae")


def test_a_run_keeps_copies_and_a_standardisation(files, tmp_path):
    spec = load_spec(str(files.parent / "own.toml"))
    bank = prepare_bank(spec, "pong", 0, tmp_path / "run", Envs)  # pyright: ignore
    assert bank is not None
    kept = tmp_path / "run" / "encoders"
    assert {path.name for path in kept.iterdir()} == {"my_sr.safetensors", "my_net.ts", "my_net.safetensors"}
    assert (bank.names, bank.required_inputs) == (("my_sr", "my_net"), ("rgb84",))
    shutil.rmtree(files)  # the run needs nothing but its own folder
    again = prepare_bank(spec, "pong", 0, tmp_path / "run", Envs)  # pyright: ignore
    assert again is not None
    assert again.hashes == bank.hashes
    colors = torch.randint(0, 256, (5, 3, 84, 84), dtype=torch.uint8)
    embedding = EncoderBank.load("pong", ["my_net"], "my_net", kept, embeddings="raw").embed(
        STACKS[:5], inputs={"rgb84": colors}
    )["my_net"]
    wanted = colors.float().mean((2, 3)) / 255 * torch.tensor([1.0, 2.0, 4.0])
    assert torch.allclose(embedding.float(), wanted, atol=2e-3)


def test_other_weights_than_those_measured_are_refused(files, tmp_path):
    spec = load_spec(str(files.parent / "own.toml"))
    prepare_bank(spec, "pong", 0, tmp_path / "run", Envs)  # pyright: ignore
    kept = tmp_path / "run" / "encoders"
    content = (kept / "my_net.ts").read_bytes()
    save_torchscript(nn.Sequential(Colors(), nn.ReLU()), kept / "my_net.ts", reads="rgb84")
    with pytest.raises(CheckpointError, match=r"belongs to other weights of the encoder 'my_net'"):
        find_encoder("pong", "my_net", kept)
    (kept / "my_net.ts").write_bytes(content)
    find_encoder("pong", "my_net", kept)
    with pytest.raises(CheckpointError, match="holds game 'pong', not 'breakout'"):
        find_encoder("breakout", "my_net", kept)
    (kept / "my_net.ts").unlink()
    with pytest.raises(CheckpointError, match=r"The weights of the encoder 'my_net', which .* belongs to, are missing"):
        find_encoder("pong", "my_net", kept)


def test_random_encoders_are_never_taken_from_files(files, tmp_path):
    spec = load_spec(str(files.parent / "own.toml"))
    for names, message in (
        (("my_sr",), r"'my_sr' is the file .*, but encoder_source is 'random'"),
        (("my_net",), r"'my_net' has no random twin: a TorchScript module"),
    ):
        paths = tuple(str(spec.files[name]) for name in names)
        random = AgentSpec(
            name="r", kind="wsa", preset="p", width=4, encoders=paths, context=paths[0], encoder_source="random"
        )
        with pytest.raises(SpecError, match=message):
            prepare_bank(random, "pong", 0, tmp_path / names[0], Envs)  # pyright: ignore


def test_a_file_called_like_one_of_our_encoders_must_be_it(files):
    shutil.copy(files / "my_sr.safetensors", files / "ae.safetensors")
    with pytest.raises(CheckpointError, match="holds name 'sr', not 'ae'"):
        find_encoder("pong", "ae", files)
    shutil.copy(files / "my_sr.safetensors", files / "sr.safetensors")
    with pytest.raises(CheckpointError, match="holds game 'pong', not 'breakout'"):
        find_encoder("breakout", "sr", files)
    assert find_encoder("breakout", "my_sr", files).metadata["game"] == "pong"
    with pytest.raises(CheckpointError, match=r"holds an encoder of size 'compact'; 'paper' is needed"):
        find_encoder("pong", "sr", files, size="paper")


def test_torchscript_says_what_it_reads(files, tmp_path):
    assert encoder_reads("my_net", files / "my_net.ts") == "rgb84"
    assert required_inputs(["my_net", "sr"], {"my_net": files / "my_net.ts"}) == ("rgb84",)
    assert load_torchscript(files / "my_net.ts").shape == (3,)
    with pytest.raises(SpecError, match=r"An encoder reads 'sound'. Allowed: stack, newest, rgb84, ram"):
        save_torchscript(Colors(), tmp_path / "net.ts", reads="sound")  # pyright: ignore
    shutil.copy(files / "my_net.ts", tmp_path / "silent.ts")
    silence(tmp_path / "silent.ts")
    (tmp_path / "damaged.pt").write_bytes((files / "my_net.ts").read_bytes()[:-200])
    torch.save({"weights": torch.zeros(1)}, tmp_path / "state.pt")
    save_torchscript(nn.Flatten(0), tmp_path / "flat.ts", reads="newest")
    for name, message in (
        ("missing.ts", "is missing. Correct its path"),
        ("silent.ts", "says that it reads None. Allowed: stack, newest, rgb84, ram. Write it with"),
        ("damaged.pt", "is damaged, or no TorchScript"),
        ("state.pt", "is damaged, or no TorchScript"),
        ("flat.ts", r"gave \(14112,\) for two observations. Allowed: \(2, size\), or \(2, C, H, W\)"),
    ):
        with pytest.raises(CheckpointError, match=message):
            load_torchscript(tmp_path / name)


def test_missing_and_foreign_safetensors_are_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing.safetensors is missing. Correct its path"):
        encoder_reads("nothing", tmp_path / "nothing.safetensors")
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    with pytest.raises(CheckpointError, match=r"junk.safetensors is damaged"):
        find_encoder("pong", "junk", tmp_path)
    with pytest.raises(CheckpointError, match=r"imagenet.safetensors is missing, the standardisation of .* on pong"):
        find_encoder("pong", "imagenet", tmp_path)
