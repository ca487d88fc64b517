"""Encoders of other packages: the worked example through training and evaluation, and packages that are broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from wsabench.encoders import EncoderBank, save_encoder
from wsabench.encoders.finding import encoder_reads, find_encoder
from wsabench.encoders.foundation import ready
from wsabench.encoders.foundation import ready as extensions
from wsabench.encoders.foundation.measured import measure
from wsabench.encoders.standardisation import Calibration, measure_standardisation
from wsabench.errors import CheckpointError, ShapeError, SpecError, UnknownNameError

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "wsabench_edges"
HEAD = """
import torch
from wsabench.encoders import Encoder
class Good(Encoder):
    reads, shape = "newest", (2,)
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(84, 2)
    def forward(self, pixels):
        return self.linear(pixels[:, 0, 0])
"""
INIT = "class X(Good):\n    def __init__(self):\n        super().__init__()\n        "


def install(folder: Path, name: str, version: str, entry_points: dict[str, str], module: str | None = None) -> None:
    """Do what an installer does: a dist-info folder beside the package."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{key} = {value}" for key, value in entry_points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[wsabench.encoders]", *lines, ""]))
    if module is not None:
        (folder / f"{name.replace('-', '_')}.py").write_text(HEAD + module)


SCRIPT = """
import json, pathlib, sys
from wsabench.agents import load_agent
from wsabench.cli import main
from wsabench.training import PPOPreset, frozen, presets

preset = PPOPreset(name="compact", total_steps=32, num_envs=4, rollout_steps=4, minibatch_size=8, epochs=1)
presets.PRESETS["compact"] = preset
frozen.CALIBRATION_OBSERVATIONS = 32
assert main(["train", "--agent", "agent.toml", "--game", "pong", "--out", "out"]) == 0
policy = load_agent("out/agent.safetensors", game="pong")
assert (policy.abilities.attends_to, policy.abilities.inputs) == (("edges", "again"), ())
words = ["--agents", "out/agent.safetensors", "--workers", "1", "--out", "run", "--json"]
assert main(["run", "--suite", "short.toml", *words]) == 0
"""
SPEC = """
name = "edged"
kind = "wsa"
encoders = ["edges", "again.safetensors"]
context = "edges"
[presets.compact]
width = 16
"""
SUITE = """
summary = "One cell"
games = ["pong"]
perturbations = ["clean"]
[profiles.quick]
train_seeds = [0]
episodes = 1
protocol = { max_frames = 200 }
"""


@pytest.mark.slow
def test_the_worked_example_is_trained_with_and_evaluated(tmp_path, monkeypatch):
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    site = tmp_path / "site"
    install(site, project["name"], project["version"], project["entry-points"]["wsabench.encoders"])
    shutil.copytree(EXAMPLE / "wsabench_edges", site / "wsabench_edges")
    monkeypatch.syspath_prepend(str(site))
    from wsabench_edges import EdgesEncoder  # pyright: ignore[reportMissingImports]

    frame = torch.zeros(1, 1, 84, 84)
    frame[..., 40:] = (
        1.0  # a vertical step of 1: 4/8 in the two columns beside it, halved by a mean over 4 columns of 2
    )
    edges = EdgesEncoder()(frame)
    assert edges[0, 0, 3].nonzero().flatten().tolist() == [9, 10]
    assert float(edges[0, 0, 3, 9]) == pytest.approx(0.5 / 4)
    assert not edges[0, 1].any()
    # A file of this architecture, called differently, is found by its path.
    (tmp_path / "agent.toml").write_text(SPEC)
    (tmp_path / "short.toml").write_text(SUITE)
    standardisation = measure_standardisation(EdgesEncoder(), torch.randint(0, 255, (4, 4, 84, 84), dtype=torch.uint8))
    save_encoder(tmp_path / "again.safetensors", EdgesEncoder(), standardisation, {"game": "pong"})
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out" / "encoders").iterdir()} == {
        "edges.safetensors",
        "again.safetensors",
    }


def forget() -> None:
    """Forget what was loaded."""
    extensions.load_extensions.cache_clear()
    ready.ready_encoders.cache_clear()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the path; what is installed in it is found by the next look."""
    monkeypatch.syspath_prepend(str(tmp_path))
    forget()
    yield tmp_path
    forget()
    for name in [name for name in sys.modules if name.startswith("foreign")]:
        del sys.modules[name]


def calibration() -> Calibration:
    generator = torch.Generator().manual_seed(0)
    return Calibration(torch.randint(0, 256, (8, 4, 84, 84), dtype=torch.uint8, generator=generator))


def test_without_other_packages_there_are_the_foundation_models_only():
    assert list(ready.ready_encoders()) == ["imagenet", "language"]


def test_version_and_weights_of_a_package_enter_the_hash_and_are_checked(site, tmp_path):
    module = (
        "class X(Good):\n    def __init__(self):\n        super().__init__()\n        self.linear.weight.data.fill_({})"
    )
    folder, hashes = tmp_path / "encoders", []
    folder.mkdir()
    for version, weight in (("1.0", 1.0), ("1.0", 2.0), ("1.1", 2.0), ("1.1", 2.0)):
        forget()
        sys.modules.pop("foreign_a", None)
        install(site, "foreign-a", version, {"mine": "foreign_a:X"}, module.format(weight))
        shutil.rmtree(site / "__pycache__", ignore_errors=True)
        found = ready.ready_encoders()["mine"]
        measured = measure(found, "pong", calibration())
        hashes.append(measured.content_hash)
        if len(hashes) == 3:
            measured.save(folder / "mine.safetensors")
            assert find_encoder("pong", "mine", folder).content_hash == hashes[-1]
        elif len(hashes) < 3:
            measured.save(folder / f"old{len(hashes)}.safetensors")
        shutil.rmtree(next(site.glob("*.dist-info")))
    assert hashes[2] == hashes[3]
    assert len(set(hashes)) == 3
    shutil.copy(folder / "old1.safetensors", folder / "mine.safetensors")
    with pytest.raises(CheckpointError, match="belongs to other weights of the encoder 'mine' than those installed"):
        find_encoder("pong", "mine", folder)


def test_a_registered_encoder_has_a_random_twin_only_if_all_its_weights_can_be_drawn(site):
    module = INIT + "self.free = torch.nn.Parameter(torch.ones(2))"
    install(site, "foreign-b", "1", {"mine": "foreign_b:X", "good": "foreign_b:Good"}, module)
    options = {"seed": 3, "calibration_frames": calibration().stack}
    once, again = (EncoderBank.random(["good"], "good", **options) for _ in range(2))
    assert once.hashes == again.hashes
    with pytest.raises(SpecError, match=r"'mine' has no random twin: its weights free cannot be drawn anew"):
        EncoderBank.random(["mine"], "mine", **options)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("raise RuntimeError('no licence')", "failed: RuntimeError: no licence. Correct the package, or uninstall"),
        ("Y = 1", "loading 'foreign_c:X' failed: AttributeError"),
        ("X = 3", "'foreign_c:X' is 3. Allowed: a subclass of wsabench.encoders.Encoder."),
        ("class X(Good):\n    reads = 'sound'", "`reads` is 'sound'. Allowed: stack, newest, rgb84, ram."),
        ("class X(Good):\n    shape = 4", "`shape` is 4. Allowed: (size,), or (channels, height, width)."),
    ],
)
def test_a_broken_package_gives_one_message_that_names_it(site, module, message):
    install(site, "foreign-c", "0.1", {"mine": "foreign_c:X"}, module)
    with pytest.raises(SpecError) as caught:
        ready.ready_encoders()
    assert str(caught.value).startswith("The package 'foreign-c' (entry point wsabench.encoders, 'mine')")
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["sr", "imagenet"])
def test_names_of_other_packages_must_be_new(site, name):
    install(site, "foreign-d", "0.1", {name: "foreign_d:Good"}, "")
    with pytest.raises(SpecError, match=f"the encoder's name '{name}' is taken"):
        ready.ready_encoders()


def test_what_an_encoder_gives_is_compared_with_what_it_declares(site):
    install(site, "foreign-e", "0.1", {"mine": "foreign_e:X"}, "class X(Good):\n    shape = (3,)")
    with pytest.raises(ShapeError, match=r"'mine' gave embeddings of shape \(2,\). It declares \(3,\)"):
        measure(ready.ready_encoders()["mine"], "pong", calibration())
    install(
        site, "foreign-f", "0.1", {"bad": "foreign_f:X"}, "class X(Good):\n    def __init__(self, n):\n        pass"
    )
    forget()
    with pytest.raises(SpecError, match=r"'foreign-f'.*building it failed: TypeError"):
        measure(ready.ready_encoders()["bad"], "pong", calibration())


def test_an_unknown_encoder_is_named_with_its_neighbours():
    with pytest.raises(UnknownNameError, match=r"imagenett.*Did you mean 'imagenet'"):
        encoder_reads("imagenett")
