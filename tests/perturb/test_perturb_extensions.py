"""Perturbations of other packages: the worked example through the whole bench, and packages that are broken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from wsabench.errors import SpecError, WsabenchError
from wsabench.perturb import catalogue, extensions
from wsabench.perturb import catalogue as registered

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "wsabench_vignette"
BUILD = """
from wsabench.perturb import Extension, Kind, fixed
from wsabench.perturb.dynamics.control import FrameSkip
def kind(family="dynamics"):
    return Kind(family, {}, fixed(lambda: FrameSkip(8)))
"""


def install(folder: Path, name: str, version: str, entry_points: dict[str, str], module: str | None = None) -> None:
    """Do what an installer does: a dist-info folder beside the package."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{key} = {value}" for key, value in entry_points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[wsabench.perturbations]", *lines, ""]))
    if module is not None:
        (folder / f"{name.replace('-', '_')}.py").write_text(BUILD + module)


def install_example(folder: Path) -> None:
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    install(folder, project["name"], project["version"], project["entry-points"]["wsabench.perturbations"])
    shutil.copytree(EXAMPLE / "wsabench_vignette", folder / "wsabench_vignette")


SCRIPT = """
import json, sys
import numpy as np
import wsabench
from wsabench.cli import main
from wsabench.perturb import compile_perturbation

def observe(name):
    env = wsabench.make("pong", perturbation=name, seed=3)
    observation, _ = env.reset()
    for _ in range(5):
        observation = env.step(0)[0]
    return observation[-1].astype(int)

clean, dark = observe("clean"), observe("vignette@5")
assert (dark <= clean).all()
assert dark[0, 0] < 5 < clean[0, 0], "the corners are not dark"
assert abs(dark - clean)[40:44, 40:44].max() <= 1, "the centre is"
composed = compile_perturbation("vignette@2+sticky-actions@1", "pong")
assert len(composed.images) == len(composed.controls) == 1
assert main(["show", "vignette@5", "--games", "breakout", "--json"]) == 0
words = ["--agents", "still=policies:still", "--perturbations", "clean,vignette@5", "--episodes", "1", "--workers", "0"]
assert main(["run", "--suite", "smoke", *words, "--out", "run", "--json"]) == 0
"""
POLICY = "import numpy as np\ndef still(observations):\n    return np.zeros(len(observations), dtype=np.int64)\n"


def test_the_worked_example_runs_through_environment_and_command_line(tmp_path):
    install_example(tmp_path / "site")
    (tmp_path / "policies.py").write_text(POLICY)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(ROOT)])}
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
    assert "The picture darkens towards its corners" in done.stdout
    _, _, run = done.stdout.rpartition('{\n  "path"')
    found = json.loads('{\n  "path"' + run)
    assert [row["perturbation"] for row in found["mean_returns"]] == ["clean", "vignette@5"]


def forget() -> None:
    """Forget what was loaded."""
    for cached in (extensions.load_extensions, registered.all_kinds, catalogue._catalogue):
        cached.cache_clear()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the path; what is installed in it is found by the next look at the catalogue."""
    monkeypatch.syspath_prepend(str(tmp_path))
    forget()
    yield tmp_path
    forget()
    for name in [name for name in sys.modules if name.startswith("foreign")]:
        del sys.modules[name]


def test_without_other_packages_there_is_none():
    assert not extensions.load_extensions()


def test_a_package_may_add_kinds_alone(site):
    install(site, "foreign-a", "1.0", {"a": "foreign_a:X"}, 'X = Extension(kinds={"foreign.kind": kind()})')
    assert "foreign.kind" in registered.all_kinds()
    assert len(registered.all_kinds()) == len(registered.KINDS) + 1


def test_the_version_of_the_distribution_enters_the_hash(site):
    from wsabench.perturb import compile_perturbation
    from wsabench.perturb.compiling import _compiled
    from wsabench.perturb.spec import Perturbation, PerturbationPart

    own = Perturbation((PerturbationPart("own", "dynamics", None, "foreign.kind", ()),))
    hashes = []
    for version in ("1.0", "1.1", "1.1"):
        install(site, "foreign-a", version, {"a": "foreign_a:X"}, 'X = Extension(kinds={"foreign.kind": kind()})')
        forget()
        _compiled.cache_clear()
        hashes.append(compile_perturbation(own, "pong").content_hash)
        shutil.rmtree(next(site.glob("*.dist-info")))
    assert hashes[0] != hashes[1] == hashes[2]


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            "raise RuntimeError('no licence')",
            "loading 'foreign_b:X' failed: RuntimeError: no licence. Correct the pack",
        ),
        ("import nothing_of_this_name", "failed: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("Y = 1", "loading 'foreign_b:X' failed: AttributeError"),
        ("X = 3", "'foreign_b:X' is 3. Allowed: a wsabench.perturb.Extension."),
        ("X = Extension(kinds={'Bad': kind()})", "the kind's name is 'Bad'. Allowed: lower-case words joined by a dot"),
        ("X = Extension(kinds={'foreign.k': 3})", "the kind 'foreign.k' is 3. Allowed: a wsabench.perturb.Kind"),
        (
            "X = Extension(kinds={'foreign.k': kind('sound')})",
            "the family of the kind 'foreign.k' is 'sound'. Allowed: ",
        ),
        (
            "X = Extension(kinds={'palette.invert': kind()})",
            "the kind 'palette.invert' is taken. Allowed: a name of its",
        ),
        ("X = Extension(families='/nowhere/at/all')", "families is '/nowhere/at/all', no folder. Allowed: a folder of"),
    ],
)
def test_a_broken_package_gives_one_message_that_names_it(site, module, message):
    install(site, "foreign-b", "0.1", {"b": "foreign_b:X"}, module)
    with pytest.raises(SpecError) as caught:
        catalogue.catalogue()
    assert str(caught.value).startswith("The package 'foreign-b' (entry point wsabench.perturbations, 'b')")
    assert message in str(caught.value)
    with pytest.raises(WsabenchError):  # it does not go away by asking again
        catalogue.catalogue()


def test_a_missing_module_is_named(site):
    install(site, "foreign-c", "0.1", {"c": "foreign_c_that_is_not_there:X"})
    with pytest.raises(SpecError, match=r"The package 'foreign-c' .*ModuleNotFoundError.*uninstall 'foreign-c'"):
        catalogue.catalogue()


def test_names_of_another_packages_perturbations_must_be_new(site):
    (site / "families").mkdir()
    text = '[invert]\nfamily = "dynamics"\nkind = "foreign.kind"\nsummary = "s"\n'
    (site / "families" / "own.toml").write_text(text)
    module = 'from pathlib import Path\nX = Extension({"foreign.kind": kind()}, Path(__file__).parent / "families")'
    install(site, "foreign-d", "0.1", {"d": "foreign_d:X"}, module)
    with pytest.raises(SpecError, match=r"own.toml, invert: the name is taken by another file"):
        catalogue.catalogue()
