"""A flipped bit anywhere in a file is found: one clear error, no other exception, never another encoder or agent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from wsabench.agents import AgentMeta, AgentSpec, read_checkpoint, save_checkpoint
from wsabench.encoders import (
    Calibration,
    build_encoder,
    find_encoder,
    find_ready,
    load_encoder,
    measure,
    measure_standardisation,
    save_encoder,
    save_torchscript,
)
from wsabench.errors import CheckpointError

pytestmark = pytest.mark.property

STACKS = torch.randint(0, 256, (8, 4, 84, 84), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
COLORS = torch.randint(0, 256, (8, 3, 84, 84), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
WSA = AgentSpec(name="wsa", kind="wsa", preset="compact", width=8, encoders=("okk",), context="ae")


class Mean(nn.Module):
    """The mean colour, each channel with a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("factors", torch.tensor([1.0, 2.0, 4.0]))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.mean((2, 3)) * self.factors


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pre-trained encoder, an encoder that came with its weights, and an agent."""
    found = tmp_path_factory.mktemp("files")
    encoder = build_encoder("ae", seed=1)
    facts = {"game": "pong", "steps": "7", "made": "in München"}
    save_encoder(found / "ae.safetensors", encoder, measure_standardisation(encoder, STACKS), facts)
    save_torchscript(Mean(), found / "net.ts", reads="rgb84")
    ready = find_ready("net", found)
    assert ready is not None
    measure(ready, "pong", Calibration(STACKS, {"rgb84": COLORS})).save(found / "net.safetensors")
    hashes = {"okk": "1" * 64, "ae": "2" * 64}
    meta = AgentMeta(
        spec=WSA,
        game="pong",
        train_seed=0,
        num_actions=6,
        steps=2048,
        training={"name": "compact", "learning_rate": 0.1},
        encoder_hashes=hashes,
        versions={"torch": "2"},
    )
    save_checkpoint(found / "agent.safetensors", {"b": torch.arange(40.0), "a": torch.ones(3, 2)}, meta)
    return found


def header_size(content: bytes) -> int:
    return 8 + int.from_bytes(content[:8], "little")


def damaged(path: Path, count: int, seed: int, *, whole: bool = False) -> Iterator[int]:
    """Flip one bit after the other, half of them in the header, and mend the file at the end."""
    content = path.read_bytes()
    border = len(content) // 2 if whole else header_size(content)
    draws = np.random.default_rng(seed)
    places = [*draws.integers(0, 8 * border, count), *draws.integers(8 * border, 8 * len(content), count)]
    try:
        for place in map(int, places):
            changed = bytearray(content)
            changed[place // 8] ^= 1 << (place % 8)
            path.write_bytes(changed)
            yield place
    finally:
        path.write_bytes(content)


LOADERS: dict[str, Callable[[Path], object]] = {
    "ae.safetensors": lambda folder: find_encoder("pong", "ae", folder),
    "net.safetensors": lambda folder: find_encoder("pong", "net", folder),
    "agent.safetensors": lambda folder: read_checkpoint(folder / "agent.safetensors"),
}


def refusal(load: Callable[[Path], object], folder: Path) -> str:
    """Return the message with which a load is refused, or no text if it is not."""
    try:
        load(folder)
    except CheckpointError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("seed", range(3))
def test_every_flipped_bit_is_refused(folder: Path, name: str, seed: int) -> None:
    load = LOADERS[name]
    load(folder)
    for place in damaged(folder / name, 100, seed):
        assert name in refusal(load, folder), place
    load(folder)


def test_a_flipped_bit_in_what_a_file_says_of_its_origin_is_found(folder: Path) -> None:
    path = folder / "ae.safetensors"
    content = path.read_bytes()
    assert content.count(b'steps\\": \\"7\\"') == 1
    try:
        path.write_bytes(content.replace(b'steps\\": \\"7\\"', b'steps\\": \\"6\\"'))
        with pytest.raises(
            CheckpointError, match=r"ae\.safetensors is damaged: its header is not the one that was sav"
        ):
            load_encoder(path)
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize("found", [b'"steps\\": 2048', b'"width\\": 8'])
def test_a_flipped_bit_in_an_agents_header_is_found(folder: Path, found: bytes) -> None:
    content = (folder / "agent.safetensors").read_bytes()
    assert content.count(found) == 1
    other = folder / "other.safetensors"
    other.write_bytes(content.replace(found, found[:-1] + b"9"))  # 8 and 9 differ in one bit
    with pytest.raises(CheckpointError, match=r"is damaged: its header is not the one that was saved. Restore it, or"):
        read_checkpoint(other)


def test_other_letters_for_the_same_json_are_found(folder: Path) -> None:
    # `ü` as \u00fc and \u00FC: one bit, the same text.
    content = (folder / "ae.safetensors").read_bytes()
    assert content.count(rb"\\u00fc") == 1
    other = folder / "other.safetensors"
    other.write_bytes(content.replace(rb"\\u00fc", rb"\\u00Fc"))
    with pytest.raises(CheckpointError, match="its header is not the one that was saved"):
        load_encoder(other)


def test_a_damaged_program_is_refused_before_it_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[object] = []
    load = torch.jit.load
    monkeypatch.setattr(torch.jit, "load", lambda *args, **options: (runs.append(1), load(*args, **options))[1])
    for place in damaged(folder / "net.ts", 150, 0, whole=True):
        assert refusal(LOADERS["net.safetensors"], folder), place
    assert not runs
    find_encoder("pong", "net", folder)
    assert runs == [1]
