"""Where tests live: in the folder of the package that they test; what they share lies beside those folders."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from wsabench import resources

TESTS = Path(__file__).parents[1]
PACKAGE = Path(resources.__file__).parent
ELSEWHERE = {"base", "docs", "package", "patches"}
"""Folders of what is no package: the modules below all packages, the documents, the whole, the games' patches."""


def imported(path: Path) -> set[str]:
    """The modules that a file names in its import statements, wherever they stand."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def test_every_test_lies_in_the_folder_of_a_package() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    homes = {path.parent.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")}
    assert homes - packages == ELSEWHERE
    assert packages - homes == set()


def test_no_two_files_have_one_name() -> None:
    counts = Counter(path.name for path in TESTS.rglob("*.py") if path.name != "conftest.py")
    assert [name for name, count in counts.items() if count > 1] == []


def test_no_test_imports_a_test() -> None:
    found = {path.name: {name for name in imported(path) if name.startswith("test_")} for path in TESTS.rglob("*.py")}
    assert {name: tests for name, tests in found.items() if tests} == {}
