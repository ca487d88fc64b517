"""The docs as a site: built without a warning, every page in the navigation, nothing fetched from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.extra

ROOT = Path(__file__).resolve().parents[2]
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
LOADED = re.compile(
    r"<(?:script|img|iframe|source|link(?! rel=\"?canonical))\b[^>]*\b(?:src|href)=\"?(?:https?:)?//", re.I
)
"""What a browser fetches by itself; a link that a reader follows is none."""


def make_docs(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command of `make docs`."""
    (command,) = re.findall(r"^docs: .*\n.*/(mkdocs .*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    kept = {key: value for key, value in os.environ.items() if key != "WSABENCH_REPOSITORY"}
    return subprocess.run(
        [sys.executable, "-m", *command.split(), "--site-dir", str(folder), *words],
        cwd=ROOT,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def build(folder: Path, **environment: str) -> Path:
    """Build the site as `make docs` does."""
    done = make_docs(folder, **environment)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("site") / "site")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=QUIET)
        yield started
        started.close()


def in_navigation() -> set[str]:
    """The pages that the navigation names."""
    (text,) = re.findall(r"^nav:\n(.*)\Z", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M | re.S)
    return set(re.findall(r": (\S+\.md)$", text, re.M))


def test_every_page_is_in_the_navigation_and_was_built(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert in_navigation() == pages | {"CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"}
    assert [page for page in in_navigation() if not (site / page).with_suffix(".html").is_file()] == []


@pytest.mark.parametrize("link", ["nowhere.md", "#nowhere", "other.md#nowhere", "other.md"])
def test_dead_links_and_pages_outside_the_navigation_fail_the_build(link: str, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Home\n\n[dead]({link})\n", encoding="utf-8")
    (tmp_path / "docs" / "other.md").write_text("# Other\n", encoding="utf-8")
    in_nav = link != "other.md"
    config = f"INHERIT: {ROOT / 'mkdocs.yml'}\ndocs_dir: docs\nhooks: []\nplugins: [search]\nnav: [index.md"
    (tmp_path / "mkdocs.yml").write_text(config + (", other.md]\n" if in_nav else "]\n"), encoding="utf-8")
    done = make_docs(tmp_path / "site", "--config-file", str(tmp_path / "mkdocs.yml"))
    assert done.returncode == 1
    assert done.stderr.count("\nWARNING -") == 1
    assert (f"'{link}'" if in_nav else 'not included in the "nav"') in done.stderr


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        assert LOADED.findall(page.read_text(encoding="utf-8")) == [], page.name
    for sheet in site.rglob("*.css"):
        assert re.findall(r"(?:url\([\"']?|@import [\"'])(?:https?:)?//", sheet.read_text(encoding="utf-8")) == []


def test_links_out_of_the_docs_lead_to_copies_or_to_the_repository(site: Path, tmp_path: Path) -> None:
    address = 'href="https://example.org/code/blob/HEAD/examples/github-actions-robustness.yml"'
    gate = (site / "gate.html").read_text(encoding="utf-8")
    assert 'href="checkout/examples/github-actions-robustness.yml"' in gate
    assert "example.org" not in gate
    assert (site / "checkout" / "examples" / "github-actions-robustness.yml").is_file()
    elsewhere = build(tmp_path / "site", WSABENCH_REPOSITORY="https://example.org/code/")
    assert address in (elsewhere / "gate.html").read_text(encoding="utf-8")


def test_the_reference_documents_the_public_names(site: Path) -> None:
    import inspect

    import wsabench
    import wsabench.stats

    written = "".join(page.read_text(encoding="utf-8") for page in (site / "reference").glob("*.html"))
    ids = set(re.findall(r'id="(wsabench[\w.]*)"', written))
    statistics = {name: getattr(wsabench.stats, name) for name in wsabench.stats.__all__}
    assert len(statistics) > 60
    documented = {name for name, value in statistics.items() if inspect.isclass(value) or inspect.isfunction(value)}
    assert {f"wsabench.stats.{name}" for name in documented} <= ids
    own = set(wsabench.__all__) - {"__version__", "WsabenchError"}
    assert {f"wsabench.{name}" for name in own} <= ids
    assert "wsabench.errors.WsabenchError" in ids


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_pages_fit_their_window_and_ask_for_nothing(site: Path, browser: Browser, width: int, scheme: Any) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for name in ("index.html", "tutorial.html", "results.html", "reference/running.html", "explanation/why-tiers.html"):
        page.goto((site / name).as_uri())
        page.wait_for_load_state("load")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.evaluate("document.body.dataset.mdColorScheme") == {"light": "default", "dark": "slate"}[scheme]
        broken = "Array.from(document.images).filter(i => !i.complete || i.naturalWidth == 0).length"
        assert page.evaluate(broken) == 0, name
    assert [url for url in asked if not url.startswith(site.as_uri())] == []
    page.close()
