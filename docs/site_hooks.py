"""Hooks of the site: files of the checkout that pages link to, and lists as GitHub reads them.

Pages are written to be read in the checkout, so they link to files outside `docs/`. Where the repository's address is
known (`WSABENCH_REPOSITORY`) such a link leads there; else a file is copied into the site, and a folder is only named.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PROJECT_PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
"""Pages of the checkout's root that are pages of the site too."""
LINK = re.compile(r"\[([^\]]*)\]\(([^)#:\s]+)(#[^)]*)?\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LIST_AFTER_TEXT = re.compile(r"^((?![-*#>|]|\d+\. |\s|$).*)\n(?=(?:-|\d+\.) )", re.MULTILINE)
"""A line of text directly before the first item of a list: GitHub begins a list, Python-Markdown does not."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the root's pages, and the files that pages link to."""
    for name in PROJECT_PAGES:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    if not config.extra["repository"]:
        for path in sorted(set().union(*(linked(file) for file in files.documentation_pages()))):
            files.append(File.generated(config, f"checkout/{path}", abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links out of `docs/` lead somewhere, and lists begin where GitHub begins them."""
    del files
    repository = config.extra["repository"].rstrip("/")
    parts, start = [], 0
    for fence in FENCE.finditer(markdown):
        parts += [readable(markdown[start : fence.start()], page.file, repository), fence.group()]
        start = fence.end()
    return "".join([*parts, readable(markdown[start:], page.file, repository)])


def readable(text: str, file: File, repository: str) -> str:
    """Return a piece of a page without code as the site shows it."""

    def replaced(link: re.Match[str]) -> str:
        path, mark = in_checkout(file, link[2]), link[3] or ""
        if not (ROOT / path).exists():
            return link[0]  # the build refuses it
        if place := in_site(path):
            return f"[{link[1]}]({posixpath.relpath(place, posixpath.dirname(file.src_uri) or '.')}{mark})"
        if repository:
            return f"[{link[1]}]({repository}/blob/HEAD/{path}{mark})"
        if is_copied(path):
            return f"[{link[1]}]({posixpath.relpath(f'checkout/{path}', posixpath.dirname(file.src_uri) or '.')})"
        return link[1] if path in link[1] else f"{link[1]} (`{path}`)"

    return LIST_AFTER_TEXT.sub(r"\1\n\n", LINK.sub(replaced, text))


def in_checkout(file: File, target: str) -> str:
    """Return the path in the checkout of what a page links to."""
    folder = "" if file.src_uri in PROJECT_PAGES else posixpath.join("docs", posixpath.dirname(file.src_uri))
    return posixpath.normpath(posixpath.join(folder, target))


def in_site(path: str) -> str | None:
    """Return the place of a page or picture in the site; None where it is not of `docs/` and no page of the project."""
    return path if path in PROJECT_PAGES else path.removeprefix("docs/") if path.startswith("docs/") else None


def is_copied(path: str) -> bool:
    """Whether a path outside `docs/` is a file that the site has a copy of; other pages' links would lead nowhere."""
    return (ROOT / path).is_file() and not path.endswith(".md")


def linked(file: File) -> set[str]:
    """Return the files outside `docs/` that a page links to and the site has a copy of."""
    text = FENCE.sub("", file.content_string)
    paths = {in_checkout(file, link[2]) for link in LINK.finditer(text)}
    return {path for path in paths if in_site(path) is None and is_copied(path)}
