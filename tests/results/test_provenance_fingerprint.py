"""The fingerprint changes with everything that decides episodes, and with nothing else."""

from __future__ import annotations

import dataclasses
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from wsabench.emulator.rom_files import rom_hash
from wsabench.errors import UnknownNameError
from wsabench.hashing import json_hash
from wsabench.protocol import Protocol
from wsabench.results import ENGINE_VERSION, provenance
from wsabench.results.provenance import FingerprintInputs, fingerprint

INPUTS = FingerprintInputs(
    perturbation_hash="p",
    protocol=Protocol().to_dict(),
    checkpoint_hash="c",
    rom_hash="r",
    episode_seeds=(2, 4, 6),
    versions={"ale-py": "0.12.1", "torch": "2.13.0"},
)
OTHER = {
    "perturbation_hash": "q",
    "checkpoint_hash": "d",
    "rom_hash": "s",
    "episode_seeds": (2, 6, 4),
    "versions": {"ale-py": "0.12.1", "torch": "2.13.1"},
    "engine_version": ENGINE_VERSION + 1,
    "own_play_hash": "o",
    "noops": (3, 0, 1),
}


@pytest.mark.parametrize("name", OTHER)
def test_each_field_counts(name: str) -> None:
    assert fingerprint(dataclasses.replace(INPUTS, **{name: OTHER[name]})) != fingerprint(INPUTS)


def test_without_own_play_and_given_starts_fingerprints_are_what_they_were() -> None:
    values = dataclasses.asdict(INPUTS)
    assert values.pop("own_play_hash") is values.pop("noops") is None
    assert fingerprint(INPUTS) == json_hash(values, 32)


def test_every_field_is_mutated_here() -> None:
    assert {field.name for field in dataclasses.fields(FingerprintInputs)} == {*OTHER, "protocol"}


@pytest.mark.parametrize("name", Protocol().to_dict())
def test_each_field_of_the_protocol_counts(name: str) -> None:
    value = Protocol().to_dict()[name]
    changed = "greedy" if isinstance(value, str) else (not value if isinstance(value, bool) else value + 1)
    protocol = {**Protocol().to_dict(), name: changed}
    assert fingerprint(dataclasses.replace(INPUTS, protocol=protocol)) != fingerprint(INPUTS)


def test_order_of_keys_does_not_count() -> None:
    turned = {key: INPUTS.protocol[key] for key in reversed(list(INPUTS.protocol))}
    versions = dict(reversed(INPUTS.versions.items()))
    assert fingerprint(dataclasses.replace(INPUTS, protocol=turned, versions=versions)) == fingerprint(INPUTS)


def test_the_value_is_fixed() -> None:
    # SHA-256 of '{"a":[1,2],"b":"x"}', worked out with `printf ... | sha256sum`.
    assert json_hash({"b": "x", "a": (1, 2)}, 32) == "d0f56dda38d34376527524ddd98f7ec1"


def test_versions_name_what_decides_bits() -> None:
    versions, found = provenance.package_versions(), set()
    for name in provenance.BIT_DECIDING:
        found |= {path.parts[0] for path in metadata.files(name) or ()}
    for module in ("ale_py", "cv2", "numba", "numpy", "scipy", "torch"):
        assert module in found, f"{module} computes what agents see or do"
    assert set(provenance.BIT_DECIDING) <= versions.keys()
    assert versions["ale-py"] != "absent"


def test_rom_hash_is_that_of_the_file() -> None:
    from ale_py import roms

    printed = subprocess.run(["sha256sum", roms.get_rom_path("breakout")], capture_output=True, text=True, check=True)
    assert rom_hash("breakout") == printed.stdout.split()[0]


def test_a_game_without_rom_is_an_error() -> None:
    with pytest.raises(UnknownNameError, match="Unknown game 'zaxxxon'"):
        rom_hash("zaxxxon")


def test_git_state_tells_commit_and_dirt(tmp_path: Path) -> None:
    package = tmp_path / "wsabench"
    package.mkdir()
    assert provenance.git_state(package) is None  # an installed package
    source = package / "a.py"
    source.write_text("1\n")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "a"]):
        subprocess.run([*git, *command], check=True)
    clean = provenance.git_state(package)
    source.write_text("2\n")
    dirty = provenance.git_state(package)
    assert clean is not None
    assert dirty is not None
    assert len(clean.commit) == 40
    assert (clean.dirty, dirty.dirty) == (False, True)
    assert clean.commit == dirty.commit


def test_host_and_command_line_name_no_folder() -> None:
    summary = provenance.host_summary()
    assert summary.cores >= 1
    assert "/" not in provenance.command_line().split(" ")[0]


@pytest.mark.parametrize("program", ["/opt/env/bin/wsabench", "/opt/env/lib/wsabench/__main__.py"])
def test_the_command_line_is_one_that_runs(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [program, "run", "--out", "my run"])
    assert provenance.command_line() == "wsabench run --out 'my run'"
