"""Weights that ordinary packages carry: where they are, and their hash."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

from wsabench.errors import SpecError
from wsabench.hashing import file_hash


def package_file(package: str, path: str, *, encoder: str, extra: str) -> Path:
    """Return a file inside an installed package, without importing it.

    Args:
        package: The import name.
        path: The file's path inside the package.
        encoder: Name of the encoder that needs it, for messages.
        extra: The extra of wsabench that installs it.

    Raises:
        SpecError: The package or the file is missing; the message has the command that installs it.
    """
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (found := Path(folder) / path).is_file():
            return found
    what = f"its file {path}" if spec else f"the package {package!r}"
    raise SpecError(
        f"The encoder {encoder!r} needs {what}, which is not installed. Install it: `pip install 'wsabench[{extra}]'`."
    )


@functools.lru_cache(maxsize=8)
def package_hash(path: Path) -> str:
    """Return the SHA-256 of a package's file, hexadecimal; read once per process."""
    return file_hash(path)
