"""The wheel: it carries catalogue and baselines, and works outside the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("perturbations", "baselines")


def call(command: list[str], cwd: Path, **environment: str) -> str:
    """Run a command that must succeed and return what it prints."""
    keep = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "WSABENCH_DATA")}
    done = subprocess.run(
        command, cwd=cwd, env={**keep, **environment}, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built with the tools that are installed."""
    out = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel"]
    call([*pip, "--no-build-isolation", "--no-deps", "--wheel-dir", str(out), str(ROOT)], out)
    return next(out.glob("wsabench-*.whl"))


def of_another_game(path: Path) -> bool:
    """Whether a file is a trained agent's, its curve or its record, of which the wheel carries Breakout's only.

    Curves of trials that were not taken over stand in the checkout only, too.
    """
    parts = path.relative_to(ROOT).parts
    return (
        parts[0] == "baselines"
        and len(parts) > 2
        and (parts[1] not in ("breakout", "variants") or parts[2] == "trials")
    )


def test_the_wheel_is_small_and_carries_no_other_games_agents(wheel: Path) -> None:
    assert wheel.stat().st_size < 40_000_000
    with zipfile.ZipFile(wheel) as archive:
        folders = {name.split("/")[3] for name in archive.namelist() if name.startswith("wsabench/_data/baselines/")}
        assert not any("trials" in name or "leaderboard/" in name.partition("_data/")[2] for name in archive.namelist())
    assert {name for name in folders if "." not in name} == {"breakout", "variants"}


def test_a_checkout_carries_at_most_340_mib_of_baselines() -> None:
    sizes = [path.stat().st_size for path in (ROOT / "baselines").rglob("*") if path.is_file()]
    assert 10 * 2**20 < sum(sizes) <= 340 * 2**20


def test_the_wheel_carries_every_file_of_catalogue_and_baselines(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    for folder in SHIPPED:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and not path.name.startswith(".") and not of_another_game(path):
                name = f"wsabench/_data/{path.relative_to(ROOT).as_posix()}"
                assert sizes.get(name) == path.stat().st_size, name
    assert "wsabench/py.typed" in sizes
    assert any(name.endswith("licenses/LICENSE") for name in sizes)
    strange = [name for name in sizes if not name.startswith(("wsabench/", "wsabench-"))]
    assert strange == []


def test_the_wheel_carries_every_data_file_inside_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    inside = [p for p in (ROOT / "wsabench").rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    missing = [p for p in inside if p.relative_to(ROOT).as_posix() not in names]
    assert missing == []


def test_the_unpacked_wheel_finds_its_catalogue_from_anywhere(wheel: Path, tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    code = "import sys; from wsabench.cli import main; sys.exit(main(sys.argv[1:]))"
    listed = json.loads(call([sys.executable, "-c", code, "list", "--json"], elsewhere, PYTHONPATH=str(site)))
    where = call([sys.executable, "-c", "import wsabench; print(wsabench.__file__)"], elsewhere, PYTHONPATH=str(site))
    assert where.startswith(str(site))
    assert len(listed["games"]) == 12
    assert "color-shift" in [suite["name"] for suite in listed["suites"]]
    assert {"wsa", "e2e"} <= {agent["agent"] for agent in listed["agents"]}


@pytest.mark.slow
def test_pip_install_into_an_empty_environment_works_elsewhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    call([python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", str(ROOT)], elsewhere)
    program = str(tmp_path / "venv" / "bin" / "wsabench")
    home = str(tmp_path / "home")
    listed = json.loads(call([program, "list", "--json"], elsewhere, WSABENCH_HOME=home))
    assert len(listed["games"]) == 12
    assert "Everything is fine." in call([program, "doctor"], elsewhere, WSABENCH_HOME=home)
    played = ["run", "--agents", "e2e", "--train-seeds", "0", "--episodes", "1", "--perturbations", "clean", "--json"]
    result = json.loads(call([program, *played], elsewhere, WSABENCH_HOME=home))
    assert result["episodes"] == 1
    call([program, "report", result["path"]], elsewhere, WSABENCH_HOME=home)
