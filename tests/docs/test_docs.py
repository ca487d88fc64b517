"""README and docs: every command exists, every link leads somewhere, every TOML block parses, Python blocks compile.

That they run is checked in tests/docs/test_docs_run.py.
"""

from __future__ import annotations

import re
import runpy
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

from wsabench.cli import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(wsabench [^`\n]+)`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of one language."""
    return [text for kind, text in FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]


def commands(text: str) -> list[list[str]]:
    """Return the `wsabench` command lines of a page, as words without comments."""
    lines = INLINE.findall(text)
    for kind, block in FENCE.findall(text):
        if kind in ("sh", ""):
            lines += [line for line in block.splitlines() if line.startswith("wsabench ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.fixture(scope="module")
def tree() -> dict[str, set[str]]:
    """The options of every command, by its words."""
    root = typer.main.get_command(app)
    found: dict[str, set[str]] = {"": {"--help", "--debug", "--version"}}
    todo = [("", root)]
    while todo:
        path, command = todo.pop()
        for name, child in getattr(command, "commands", {}).items():
            words = f"{path} {name}".strip()
            found[words] = {option for parameter in child.params for option in parameter.opts} | {
                "--help",
                "-h",
                "--debug",
            }
            todo.append((words, child))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_named_exists_with_its_options(page: Path, tree: dict[str, set[str]]) -> None:
    for words in commands(page.read_text(encoding="utf-8")):
        if words[0].startswith("-"):
            continue
        path = " ".join(words[:2]) if " ".join(words[:2]) in tree else words[0]
        assert path in tree, f"{page.name} names `wsabench {' '.join(words)}`"
        options = {word.partition("=")[0] for word in words if word.startswith("-")}
        assert options <= tree[path], f"{page.name}: `wsabench {' '.join(words)}`"


def test_the_readme_names_every_command(tree: dict[str, set[str]]) -> None:
    named = {words[0] for words in commands((ROOT / "README.md").read_text(encoding="utf-8"))}
    assert named >= {path for path in tree if path and " " not in path}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_of_the_repository(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_toml_blocks_parse_and_python_blocks_compile(page: Path) -> None:
    for block in blocks(page, "toml"):
        tomllib.loads(block)
    for block in blocks(page, "python"):
        compile(block, page.name, "exec")


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "Makefile", "constraints.txt", "CITATION.cff"])
def test_no_page_names_a_machine_or_a_package_index(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert re.findall(r"https?://\S+|file://\S+|/root/\S*|/home/\S*|/opt/\S*", text) == []


def test_the_version_is_the_same_everywhere() -> None:
    from wsabench import __version__

    assert tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dynamic"] == ["version"]
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_requirement_is_pinned_inside_its_range() -> None:
    from importlib.metadata import version

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {canonicalize_name(r.name): r for r in (Requirement(line) for line in lines if line and line[0] != "#")}
    wanted = project["dependencies"] + [r for extra in project["optional-dependencies"].values() for r in extra]
    for requirement in map(Requirement, wanted):
        pin = pins[canonicalize_name(requirement.name)]
        (specifier,) = pin.specifier
        assert specifier.operator == "=="
        assert requirement.specifier.contains(specifier.version), str(requirement)
    assert version("torch").partition("+")[0] == next(iter(pins["torch"].specifier)).version


def test_every_kind_of_perturbation_is_documented() -> None:
    from wsabench.perturb.catalogue import KINDS

    text = (ROOT / "docs" / "adding-a-perturbation.md").read_text(encoding="utf-8")
    for name, kind in KINDS.items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        assert all(f"`{parameter}`" in row for parameter in kind.parameters)


def test_the_perturbations_of_the_docs_can_be_read(tmp_path: Path) -> None:
    from wsabench.perturb.catalogue import read_family

    for page in (ROOT / "README.md", ROOT / "docs" / "adding-a-perturbation.md"):
        for number, block in enumerate(blocks(page, "toml")):
            path = tmp_path / f"{page.stem}-{number}.toml"
            path.write_text(block, encoding="utf-8")
            found = tomllib.loads(block)
            assert found.keys() & {"profiles", "patches"} or read_family(path)


def test_lists_in_the_docs_are_those_of_the_catalogue() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    assert len(script["PAGES"]) == 3
    made = script["blocks"]()
    for name in script["PAGES"]:
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert script["filled"](text, made) == text, f"{name} is out of date: run `python docs/generate.py blocks`"


def test_the_counts_in_the_readme_are_those_of_the_catalogue() -> None:
    from wsabench.perturb import list_perturbations
    from wsabench.perturb.kinds import FAMILIES

    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    ours = [entry for entry in list_perturbations() if entry.games is None]
    cells = sum(len(entry.severities) for entry in ours)
    assert f"{len(ours)} perturbations of four families, with their severities {cells} cells" in text
    for family in FAMILIES:
        assert f"{sum(entry.family == family for entry in ours)} of `{family}`" in text


def test_the_rules_of_the_docs_parse() -> None:
    from wsabench.games import load_game
    from wsabench.perturb.rules import parse_rule, ram_addresses

    addresses = ram_addresses(load_game("breakout"))
    for page in ("perturbations.md", "adding-a-perturbation.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        (line,) = re.findall(r"^rule = .*$", text, re.MULTILINE)
        assert parse_rule(tomllib.loads(line)["rule"], addresses).statements


def test_effects_are_documented_for_every_perturbation() -> None:
    text = (ROOT / "docs" / "effects.md").read_text(encoding="utf-8")
    from wsabench.perturb import list_perturbations

    for entry in list_perturbations():
        levels = [entry.name if level is None else f"{entry.name}@{level}" for level in entry.severities]
        assert all(f"| `{name}` |" in text for name in levels), f"{entry.name}: run `python docs/generate.py effects`"


def test_the_game_of_the_docs_can_be_read(tmp_path: Path) -> None:
    from wsabench.games.catalogue import ReferenceScores, read_game

    (block,) = blocks(ROOT / "docs" / "adding-a-game.md", "toml")
    path = tmp_path / "tennis.toml"
    path.write_text(block, encoding="utf-8")
    assert read_game(path, "tennis", ReferenceScores(None, None)).ram["ball_x"].index == 16


def test_every_field_of_the_protocol_is_documented_with_its_default() -> None:
    from wsabench import Protocol

    text = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    for name, value in Protocol().to_dict().items():
        shown = (
            f"`{value}`"
            if isinstance(value, str)
            else str(value).lower()
            if isinstance(value, bool)
            else f"{value:.0f}"
        )
        assert f"| `{name}` | {shown} |" in text, name
