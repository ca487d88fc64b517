"""What an encoder is known by: the content hash, files of the present and of the old formats, agents that name it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
import safetensors.torch
import torch
from old_files import save_old_agent, save_old_encoder, save_old_standardisation
from torch import nn

from wsabench.agents import AGENT_FILE, AgentMeta, AgentSpec, build_agent, load_agent, read_checkpoint, save_checkpoint
from wsabench.encoders import (
    ENCODERS,
    Calibration,
    Encoder,
    EncoderBank,
    LoadedEncoder,
    MeasuredEncoder,
    Standardisation,
    build_encoder,
    encoder_reads,
    find_encoder,
    find_ready,
    load_encoder,
    measure,
    measure_standardisation,
    ready_encoders,
    save_encoder,
    save_torchscript,
)
from wsabench.encoders.pretrained.ae import AutoencoderEncoder
from wsabench.errors import CheckpointError, SpecError
from wsabench.sealed import sealed_file
from wsabench.training.probing.probe import _contestants

STACKS = torch.randint(0, 256, (8, 4, 84, 84), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
COLORS = torch.randint(0, 256, (8, 3, 84, 84), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
FACTS = {"game": "pong", "steps": "7", "seed": "0"}
SPEC = AgentSpec(name="wsa", kind="wsa", preset="compact", width=8, encoders=("sr",), context="ae")
PROGRAM_SPEC = dataclasses.replace(SPEC, encoders=("net",))


class OptionalEncoder(AutoencoderEncoder):
    """An autoencoder with an option."""

    OPTIONS: ClassVar = {"gain": ("one", "two"), "sign": ("plus", "minus")}

    def __init__(self, options: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.options = self.resolve_options(options)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return super().forward(pixels) * (2 if self.options["gain"] == "two" else 1)


class Mean(nn.Module):
    """The mean colour, each channel with a weight."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("factors", torch.tensor([1.0, 2.0, 4.0]) * factor)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.mean((2, 3)) * self.factors


@pytest.fixture
def optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENCODERS._items, "ae", OptionalEncoder)


def autoencoder(seed: int = 1) -> tuple[Encoder, Standardisation]:
    encoder = build_encoder("ae", seed)
    return encoder, measure_standardisation(encoder, STACKS)


def saved(
    path: Path,
    encoder: Encoder,
    standardisation: Standardisation,
    facts: Mapping[str, str] = FACTS,
    size: str = "compact",
) -> LoadedEncoder:
    save_encoder(path, encoder, standardisation, facts, size=size)
    return load_encoder(path)


# Equal content, equal bytes.

WRITING = """
import sys
from pathlib import Path
import torch
from wsabench.encoders import build_encoder, measure_standardisation, save_encoder
encoder = build_encoder("okk", seed=1)
stacks = torch.randint(0, 256, (8, 4, 84, 84), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
facts = {key: key for key in {"game", "steps", "seed", "data", "frames", "torch", "threads", "device"}}
save_encoder(Path(sys.argv[1]), encoder, measure_standardisation(encoder, stacks), facts)
"""


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", WRITING, str(tmp_path / seed)]
        subprocess.run(command, env=environment, check=True, timeout=240)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    assert load_encoder(tmp_path / "1").encoder.name == "okk"


def test_a_file_has_one_key_of_sorted_json_and_sorted_tensors(tmp_path: Path) -> None:
    saved(tmp_path / "ae.safetensors", *autoencoder())
    content = (tmp_path / "ae.safetensors").read_bytes()
    pairs = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")], object_pairs_hook=list)
    (key, ((name, text),)), *tensors = pairs
    assert (key, name) == ("__metadata__", "encoder")
    assert text == json.dumps(json.loads(text), sort_keys=True)
    header = json.loads(text)
    assert {key: value for key, value in header.items() if not key.endswith("_sha256")} == {
        "format": "wsabench-encoder-2",
        "game": "pong",
        "name": "ae",
        "options": {},
        "provenance": {"seed": "0", "steps": "7"},
        "size": "compact",
    }
    assert [name for name, _ in tensors] == sorted(name for name, _ in tensors)


# What the hash depends on, and what not.


def test_where_an_encoder_came_from_is_no_part_of_its_hash(tmp_path: Path) -> None:
    first = saved(tmp_path / "ae.safetensors", *autoencoder())
    turned = dict(reversed(FACTS.items()))
    others = [turned, {"game": "pong"}, {**FACTS, "steps": "8", "date": "today", "torch": "9"}, {"game": "breakout"}]
    for facts in others:
        other = saved(tmp_path / "other.safetensors", *autoencoder(), facts)
        assert other.content_hash == first.content_hash
        assert {key: other.metadata[key] for key in facts} == facts
    again = saved(tmp_path / "again.safetensors", first.encoder, first.standardisation, first.metadata)
    assert again.content_hash == first.content_hash
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "ae.safetensors").read_bytes()
    assert first.content_hash != hashlib.sha256((tmp_path / "ae.safetensors").read_bytes()).hexdigest()


def test_the_hash_depends_on_every_tensor(tmp_path: Path) -> None:
    path = tmp_path / "ae.safetensors"
    encoder, standardisation = autoencoder()
    hashes = [saved(path, encoder, standardisation).content_hash]
    state = encoder.state_dict()
    assert state
    for value in state.values():
        with torch.no_grad():
            value.view(-1)[-1] += 1
        hashes.append(saved(path, encoder, standardisation).content_hash)
    for name, value in standardisation.tensors().items():
        changed = value.clone()
        changed.view(-1)[0] += 1
        hashes.append(saved(path, encoder, standardisation._replace(**{name: changed})).content_hash)
    has_shift = standardisation.half_shift is not None
    shift = None if has_shift else torch.zeros(encoder.shape)
    hashes.append(saved(path, encoder, standardisation._replace(half_shift=shift)).content_hash)
    assert len(set(hashes)) == len(hashes) == 1 + len(state) + len(standardisation.tensors()) + 1


def test_the_hash_depends_on_the_architecture(tmp_path: Path, optional: None) -> None:
    path = tmp_path / "ae.safetensors"
    hashes = set()
    for options in ({}, {"gain": "two"}, {"sign": "minus"}, {"gain": "two", "sign": "minus"}):
        encoder = build_encoder("ae", 1, options=options)
        loaded = saved(path, encoder, measure_standardisation(build_encoder("ae", 1), STACKS))
        assert loaded.encoder.options == {"gain": "one", "sign": "plus"} | options
        pixels = STACKS[:1, -1:] / 255
        plain = build_encoder("ae", 1).half().float()
        assert torch.equal(loaded.encoder(pixels), plain(pixels) * (2 if "gain" in options else 1))
        hashes.add(loaded.content_hash)
    assert len(hashes) == 4


def test_the_hash_depends_on_name_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same tensors under another name and size, as if both architectures had the same shapes."""
    from wsabench.encoders import catalogue

    class Twin(AutoencoderEncoder):
        name = "vos"

    monkeypatch.setitem(ENCODERS._items, "vos", Twin)
    monkeypatch.setitem(catalogue.PAPER_ENCODERS._items, "ae", AutoencoderEncoder)
    encoder, standardisation = autoencoder()
    twin = Twin()
    twin.load_state_dict(encoder.state_dict())
    path = tmp_path / "x.safetensors"
    hashes = [
        saved(path, encoder, standardisation).content_hash,
        saved(path, encoder, standardisation, size="paper").content_hash,
        saved(path, twin, standardisation).content_hash,
    ]
    assert len(set(hashes)) == 3


# Options.


def test_options_are_checked(optional: None) -> None:
    with pytest.raises(SpecError, match=r"The encoder 'sr' has no option 'output'. Allowed: none."):
        build_encoder("sr", 0, options={"output": "map"})
    with pytest.raises(SpecError, match=r"The encoder 'ae' has no option 'gian'. Allowed: gain, sign."):
        build_encoder("ae", 0, options={"gian": "one"})
    with pytest.raises(SpecError, match=r"The option 'gain' of the encoder 'ae' is 'three'. Allowed: one, two."):
        build_encoder("ae", 0, options={"gain": "three"})


def test_a_file_with_options_that_are_not_known_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ae.safetensors"
    encoder, standardisation = autoencoder()
    encoder.options = {"gain": "two"}
    save_encoder(path, encoder, standardisation, FACTS)
    message = r"cannot be built here: The encoder 'ae' has no option 'gain'. Allowed: none. Choose another file"
    with pytest.raises(CheckpointError, match=message):
        load_encoder(path)


def reseal(path: Path, encoder: Encoder, standardisation: Standardisation, changes: dict) -> None:
    """Write a file whose header is whole, but says something else."""
    save_encoder(path, encoder, standardisation, FACTS)
    with safetensors.safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["encoder"])
    del header["header_sha256"]
    path.write_bytes(sealed_file("encoder", header | changes, safetensors.torch.load_file(path)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "nobody"}, "is damaged: its content is not what was saved"),
        ({"size": "paper"}, "is damaged: its content is not what was saved"),
        ({"options": {"gain": "two"}}, "is damaged: its content is not what was saved"),
        ({"options": ["gain"]}, "is not an encoder file of this version"),
        (
            {"format": "wsabench-encoder-3"},
            r"not an encoder file of this version \(wsabench-encoder-2, or wsabench-enc",
        ),
    ],
)
def test_a_header_that_says_something_else_is_refused(tmp_path: Path, changes: dict, message: str) -> None:
    reseal(tmp_path / "ae.safetensors", *autoencoder(), changes)
    with pytest.raises(CheckpointError, match=message):
        load_encoder(tmp_path / "ae.safetensors")


def test_a_new_file_without_its_hashes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ae.safetensors"
    loaded = saved(path, *autoencoder())
    safetensors.torch.save_file(safetensors.torch.load_file(path), path, dict(loaded.metadata))
    with pytest.raises(CheckpointError, match="is not an encoder file of this version"):
        load_encoder(path)


def test_a_file_from_before_an_architecture_had_options_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ae.safetensors"
    save_encoder(path, *autoencoder(), FACTS)
    monkeypatch.setitem(ENCODERS._items, "ae", OptionalEncoder)
    with pytest.raises(CheckpointError, match=r"with the options \{\}; here it has \{'gain': 'one', 'sign': 'plus'\}"):
        load_encoder(path)


def test_twins_have_the_options_of_the_encoder(tmp_path: Path, optional: None) -> None:
    encoder = build_encoder("ae", 1, options={"gain": "two"})
    loaded = saved(tmp_path / "ae.safetensors", encoder, measure_standardisation(encoder, STACKS))
    twin = list(_contestants("pong", {"ae": loaded}, tmp_path, 0, 1))[-1]
    assert twin.identity["options"] == {"gain": "two", "sign": "plus"}
    assert twin.load is not None
    assert twin.load(Calibration(STACKS)).trainable("ae")[0].options == {"gain": "two", "sign": "plus"}


# Old formats.


def test_an_old_encoder_file_is_known_by_its_own_hash(tmp_path: Path) -> None:
    path = tmp_path / "ae.safetensors"
    encoder, standardisation = autoencoder()
    save_old_encoder(path, encoder, standardisation, FACTS)
    old = load_encoder(path, name="ae", game="pong", size="compact")
    assert old.content_hash == hashlib.sha256(path.read_bytes()).hexdigest()
    assert old.metadata == {**FACTS, "format": "wsabench-encoder-1", "name": "ae", "size": "compact"}
    assert encoder_reads("mine", path) == "newest"
    new = saved(tmp_path / "new.safetensors", old.encoder, old.standardisation, old.metadata)
    assert new.metadata == old.metadata | {"format": "wsabench-encoder-2"}
    assert new.content_hash != old.content_hash
    pixels = STACKS[:2, -1:] / 255
    assert torch.equal(new.encoder(pixels), old.encoder(pixels))
    assert torch.equal(new.encoder(pixels), encoder.half().float()(pixels))


@pytest.mark.parametrize("change", [{"size": "huge"}, {"name": "nobody"}, {"format": "wsabench-encoder-2"}])
def test_an_old_file_that_says_something_else_is_refused(tmp_path: Path, change: dict) -> None:
    path = tmp_path / "ae.safetensors"
    save_old_encoder(path, *autoencoder(), FACTS)
    with safetensors.safe_open(path, "pt") as file:
        header = file.metadata()
    safetensors.torch.save_file(safetensors.torch.load_file(path), path, {**header, **change})
    with pytest.raises(CheckpointError, match=r"ae\.safetensors (cannot be built here|is not an encoder file)"):
        load_encoder(path)


def test_old_keypoint_files_mean_the_gaussians_of_then(tmp_path: Path) -> None:
    path = tmp_path / "okk.safetensors"
    encoder = build_encoder("okk", 1)
    save_old_encoder(path, encoder, measure_standardisation(encoder, STACKS), FACTS)
    assert encoder.options == {"output": "map", "gaussian": "full"}
    assert load_encoder(path).encoder.options == {"output": "gaussians", "gaussian": "half"}
    saved(path, encoder, measure_standardisation(encoder, STACKS))
    assert load_encoder(path).encoder.options == encoder.options


# Encoders that come with their weights.


def program(folder: Path, factor: float = 1.0) -> MeasuredEncoder:
    folder.mkdir(exist_ok=True)
    save_torchscript(Mean(factor), folder / "net.ts", reads="rgb84")
    ready = find_ready("net", folder)
    assert ready is not None
    return measure(ready, "pong", Calibration(STACKS, {"rgb84": COLORS}))


def test_a_standardisation_file_is_known_by_its_content(tmp_path: Path) -> None:
    measured = program(tmp_path)
    path = tmp_path / "net.safetensors"
    measured.save(path)
    content = path.read_bytes()
    measured.save(path)
    assert path.read_bytes() == content
    found = find_encoder("pong", "net", tmp_path)
    assert found.content_hash == measured.content_hash != hashlib.sha256(content).hexdigest()
    hashes = {found.content_hash}
    file = measured.file
    for key, value in (("name", "other"), ("game", "breakout"), ("weights", "0" * 64), ("seed", 3)):
        changed = file._replace(header={**file.header, key: value})
        measured._replace(file=changed).save(path)  # with the hash of before
        with pytest.raises(CheckpointError, match="is damaged: its content is not what was saved"):
            find_encoder("pong", "net", tmp_path)
    for name in file.tensors:
        changed = measured.standardisation._replace(**{name: file.tensors[name] + 1})
        measured._replace(file=file._replace(tensors=changed.tensors())).save(path)
        with pytest.raises(CheckpointError, match="is damaged: its content is not what was saved"):
            find_encoder("pong", "net", tmp_path)
    hashes.add(program(tmp_path / "2", 2.0).content_hash)
    assert len(hashes) == 2


def test_an_old_standardisation_file_is_known_by_its_own_hash(tmp_path: Path) -> None:
    save_old_standardisation(tmp_path / "net.safetensors", program(tmp_path))
    found = find_encoder("pong", "net", tmp_path)
    assert found.content_hash == hashlib.sha256((tmp_path / "net.safetensors").read_bytes()).hexdigest()
    assert found.metadata["format"] == "wsabench-standardisation-1"


# Agents.


def describe(spec: AgentSpec, hashes: Mapping[str, str]) -> AgentMeta:
    return AgentMeta(
        spec=spec,
        game="pong",
        train_seed=0,
        num_actions=6,
        steps=1,
        training={},
        encoder_hashes=dict(hashes),
        versions={},
    )


def save_encoders(folder: Path, write=save_encoder) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in SPEC.all_encoders:
        encoder = build_encoder(name, 1)
        write(folder / f"{name}.safetensors", encoder, measure_standardisation(encoder, STACKS), FACTS)
    return folder


@pytest.mark.parametrize("write_encoder", [save_encoder, save_old_encoder])
@pytest.mark.parametrize("write_agent", [save_checkpoint, save_old_agent])
def test_old_and_new_agents_load_with_old_and_new_encoders(tmp_path: Path, write_encoder, write_agent) -> None:
    bank = EncoderBank.load("pong", SPEC.encoders, "ae", save_encoders(tmp_path / "encoders", write_encoder))
    weights = build_agent(SPEC, 6, bank=bank, seed=0).state_dict()
    write_agent(tmp_path / AGENT_FILE, weights, describe(SPEC, bank.hashes))
    checkpoint = read_checkpoint(tmp_path / AGENT_FILE)
    assert checkpoint.meta == describe(SPEC, bank.hashes)
    assert checkpoint.content_hash == hashlib.sha256((tmp_path / AGENT_FILE).read_bytes()).hexdigest()
    assert load_agent(tmp_path).abilities.checkpoint_hash == checkpoint.content_hash


def test_an_agent_on_old_encoders_refuses_the_same_ones_saved_anew(tmp_path: Path) -> None:
    bank = EncoderBank.load("pong", SPEC.encoders, "ae", save_encoders(tmp_path / "encoders", save_old_encoder))
    weights = build_agent(SPEC, 6, bank=bank, seed=0).state_dict()
    save_old_agent(tmp_path / AGENT_FILE, weights, describe(SPEC, bank.hashes))
    load_agent(tmp_path)
    save_encoders(tmp_path / "encoders")
    message = r"another encoder 'sr' .*A file of an older format is named by its own SHA-256: .* counts as another"
    with pytest.raises(CheckpointError, match=message):
        load_agent(tmp_path)


def test_an_agent_takes_the_same_encoders_pretrained_again(tmp_path: Path) -> None:
    bank = EncoderBank.load("pong", SPEC.encoders, "ae", save_encoders(tmp_path / "encoders"))
    weights = build_agent(SPEC, 6, bank=bank, seed=0).state_dict()
    save_checkpoint(tmp_path / AGENT_FILE, weights, describe(SPEC, bank.hashes))
    encoder = build_encoder("sr", 1)
    facts = {**FACTS, "torch": "another build"}
    save_encoder(tmp_path / "encoders" / "sr.safetensors", encoder, measure_standardisation(encoder, STACKS), facts)
    load_agent(tmp_path)


@pytest.mark.parametrize("write", [lambda path, measured: measured.save(path), save_old_standardisation])
@pytest.mark.parametrize("is_consistent", [True, False])
def test_a_program_that_an_agent_does_not_name_never_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write, is_consistent: bool
) -> None:
    folder = save_encoders(tmp_path / "encoders")
    measured = program(folder)
    write(folder / "net.safetensors", measured)
    bank = EncoderBank.load("pong", ["net"], "ae", folder)
    weights = build_agent(PROGRAM_SPEC, 6, bank=bank, seed=0).state_dict()
    save_checkpoint(tmp_path / AGENT_FILE, weights, describe(PROGRAM_SPEC, bank.hashes))
    other = program(tmp_path / "other", 2.0)
    program_text = (folder / "net.ts").read_bytes()
    (folder / "net.ts").write_bytes((tmp_path / "other" / "net.ts").read_bytes())
    if is_consistent:  # the standardisation is that of the other program: only the agent knows better
        write(folder / "net.safetensors", other)
    runs: list[object] = []
    load = torch.jit.load
    monkeypatch.setattr(torch.jit, "load", lambda *args, **options: (runs.append(1), load(*args, **options))[1])
    assert encoder_reads("net", folder / "net.ts") == "rgb84"
    message = "was trained on another encoder 'net'" if is_consistent else "belongs to other weights of the encoder"
    with pytest.raises(CheckpointError, match=message):
        load_agent(tmp_path)
    assert not runs
    (folder / "net.ts").write_bytes(program_text)
    write(folder / "net.safetensors", measured)
    load_agent(tmp_path)
    assert runs


def test_a_program_never_runs_as_a_random_twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = program(tmp_path)
    header = {**measured.file.header, "seed": 1, "format": "wsabench-standardisation-1"}
    text = json.dumps(header)
    (tmp_path / "net.safetensors").write_bytes(
        safetensors.torch.save(dict(measured.file.tensors), {"standardisation": text})
    )
    monkeypatch.setattr(torch.jit, "load", lambda *args, **options: pytest.fail("it ran"))
    with pytest.raises(CheckpointError, match="is of a random twin; the encoder 'net' has none"):
        find_encoder("pong", "net", tmp_path)


def test_ready_architectures_have_the_game_in_their_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder of a package may depend on the game in more than its weights."""
    from wsabench.encoders import ReadyEncoder, storage

    class Mine(AutoencoderEncoder):
        name = "mine"

    mine = ReadyEncoder("mine", "newest", lambda game: Mine(), lambda game: "0")
    monkeypatch.setattr(storage, "ready_encoders", lambda: {**ready_encoders(), "mine": mine})
    encoder, path = Mine(), tmp_path / "mine.safetensors"
    standardisation = measure_standardisation(encoder, STACKS)
    hashes = {saved(path, encoder, standardisation, {"game": game}).content_hash for game in ("pong", "breakout")}
    assert len(hashes) == 2
