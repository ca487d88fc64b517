"""Make README's links absolute and name the project's addresses, in place, before a release is built.

`python docs/for_index.py https://github.com/OWNER/NAME v0.2.0`: the package index shows README without the checkout
around it, so its links and pictures must lead to the repository, at the tag that is released. The address comes from
whoever builds (`.github/workflows/publish.yml` gives its own repository's), so it stands nowhere in the checkout.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(!?)(\[[^\]]*\])\(([^)#:\s]+)(#[^)]*)?\)")


def absolute(text: str, repository: str, tag: str) -> str:
    """Return Markdown with every relative link and picture leading to the repository at this tag."""
    return LINK.sub(
        lambda link: f"{link[1]}{link[2]}({repository}/{'raw' if link[1] else 'blob'}/{tag}/{link[3]}{link[4] or ''})",
        text,
    )


def with_addresses(text: str, repository: str, tag: str) -> str:
    """Return a `pyproject.toml` with the project's addresses."""
    addresses = {
        "Homepage": repository,
        "Documentation": f"{repository}/blob/{tag}/docs/index.md",
        "Changelog": f"{repository}/blob/{tag}/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }
    lines = [f'{name} = "{address}"' for name, address in addresses.items()]
    return text.rstrip() + "\n\n[project.urls]\n" + "\n".join(lines) + "\n"


def main(words: list[str], root: Path = ROOT) -> None:
    """Rewrite README.md and pyproject.toml."""
    if len(words) != 2 or not re.fullmatch(r"https://[^\s\"]+", words[0]) or not re.fullmatch(r"[\w./-]+", words[1]):
        sys.exit(f"Give the repository's address (https://...) and the tag; found {words}. {__doc__}")
    repository, tag = words[0].rstrip("/"), words[1]
    for name, change in (("README.md", absolute), ("pyproject.toml", with_addresses)):
        path = root / name
        path.write_text(change(path.read_text(encoding="utf-8"), repository, tag), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
