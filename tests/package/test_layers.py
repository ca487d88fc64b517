"""The layers of the design: the contract holds, and it would notice an import that it forbids."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT = Path(sys.executable).with_name("lint-imports")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(LINT), "--config", "pyproject.toml", "--no-cache"]
    environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package and its contract, to break."""
    shutil.copytree(ROOT / "wsabench", tmp_path / "wsabench", ignore=shutil.ignore_patterns("__pycache__", "_data"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_import_goes_down_the_layers() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Layers of the design KEPT" in done.stdout


@pytest.mark.parametrize(
    ("module", "statement", "text"),
    [
        (
            "wsabench/games/upwards.py",
            "import wsabench.perturb",
            "wsabench.games is not allowed to import wsabench.perturb",
        ),
        (
            "wsabench/agents/sideways.py",
            "def late():\n    import wsabench.emulator",
            "wsabench.agents is not allowed to import wsabench.emulator",
        ),
    ],
)
def test_a_forbidden_import_is_found(copy: Path, module: str, statement: str, text: str) -> None:
    (copy / module).write_text(statement + "\n", encoding="utf-8")
    done = lint(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert text in done.stdout


def test_every_module_belongs_to_a_layer() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ][0]
    named = {name.strip() for layer in contract["layers"] for name in layer.split("|")}
    parts = {
        p.stem
        for p in (ROOT / "wsabench").iterdir()
        if p.suffix == ".py" or (p.is_dir() and (p / "__init__.py").exists())
    }
    assert {f"wsabench.{part}" for part in parts - {"__init__"}} == named


PLAYS_ON = "wsabench.cli.terminal.looks"
"""Reached by `check --sequential` only, when it has been asked for."""
HEAVY = {"torch", "ale_py", "gymnasium", "safetensors"}
"""What reading, summarising and judging a result set must not need."""
FORBIDDEN = ("emulator", "agents", "encoders", "perturb", "evaluation", "training", "bench")


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """All static imports, those inside functions too, without those for type checkers."""
    return grimp.build_graph(
        "wsabench", include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )


def circles(graph: grimp.ImportGraph) -> list[list[str]]:
    """Return the groups of modules that import each other in a circle (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        open_.append(module)
        for other in sorted(graph.find_modules_directly_imported_by(module)):
            if other not in order:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in open_:
                lowest[module] = min(lowest[module], order[other])
        if lowest[module] == order[module]:
            place = open_.index(module)
            group = open_[place:]
            del open_[place:]
            if len(group) > 1:
                found.append(sorted(group))

    for module in sorted(graph.modules):
        if module not in order:
            visit(module)
    return found


def test_no_files_import_each_other_in_a_circle(graph: grimp.ImportGraph) -> None:
    assert circles(graph) == []


def test_a_circle_is_found() -> None:
    graph = grimp.ImportGraph()
    for module in ("a", "b", "c", "d"):
        graph.add_module(module)
    for importer, imported in (("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")):
        graph.add_import(importer=importer, imported=imported)
    assert circles(graph) == [["b", "c"]]


@pytest.mark.parametrize(
    "start",
    [
        "wsabench.report.writer",
        "wsabench.gate.check",
        "wsabench.cli.report",
        "wsabench.cli.check",
        "wsabench.summary.summarise",
    ],
)
def test_reports_and_checks_reach_neither_emulator_nor_torch(graph: grimp.ImportGraph, start: str) -> None:
    direct = graph.find_modules_directly_imported_by(start) - {PLAYS_ON}
    reached = {start, *direct}.union(*(graph.find_upstream_modules(module) for module in direct))
    heavy = {
        module
        for module in reached
        if module in HEAVY or (module.startswith("wsabench.") and module.split(".")[1] in FORBIDDEN)
    }
    assert not heavy, [graph.find_shortest_chain(start, module) for module in sorted(heavy)]


def test_no_folder_has_more_than_twenty_files() -> None:
    folders = {path.parent for path in (ROOT / "wsabench").rglob("*.py")}
    sizes = {folder.name: len(list(folder.glob("*.py"))) for folder in folders}
    assert max(sizes.values()) <= 20, {name: size for name, size in sizes.items() if size > 20}


THE_INTERPRETER = "_run"
"""The loop of the machine of RAM rules, which must be one."""


def test_no_function_has_more_than_eighty_lines() -> None:
    """Counted without signature and docstring: the options of a command and their help are its signature."""
    lengths: dict[str, int] = {}
    for path in (ROOT / "wsabench").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[1:2] if ast.get_docstring(node) is not None else node.body
                lengths[f"{path.name}: {node.name}"] = (node.end_lineno or 0) - first[0].lineno + 1 if first else 0
    assert {name for name, length in lengths.items() if length > 80} == {f"machine.py: {THE_INTERPRETER}"}
