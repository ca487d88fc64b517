"""All perturbations by name: those of the family files, those of other packages, and each game's own."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from wsabench.errors import SpecError
from wsabench.perturb.extensions import load_extensions
from wsabench.perturb.families import CatalogueEntry, read_family
from wsabench.perturb.game_entries import game_entries
from wsabench.perturb.registered import all_kinds
from wsabench.registry import Registry
from wsabench.resources import catalogue_files, data_dir

HINT = "Run `wsabench list perturbations`."


def catalogue() -> Registry[CatalogueEntry]:
    """Return all perturbations by name: our family files, the user's, other packages', then what games have.

    Raises:
        SpecError: A file is malformed, or two of them define one name; the message names file, key, what was found and
            what is allowed.
        StorageError: A file cannot be read.
    """
    return _catalogue(data_dir("perturbations"), os.environ.get("WSABENCH_PERTURBATIONS", ""))


@functools.cache
def _catalogue(folder: Path, user_folders: str) -> Registry[CatalogueEntry]:
    """Read everything, once for the places where it is read from."""
    del folder, user_folders
    all_kinds()  # first, because a broken package must be named as such, not as an unknown kind
    entries: Registry[CatalogueEntry] = Registry("perturbation", HINT)
    files = [*catalogue_files("families").values(), *_foreign_files()]
    for path in files:
        for entry in read_family(path):
            _add(entries, entry, f"{path}, {entry.name}")
    for entry in game_entries():
        games = ", ".join(entry.games or ())
        _add(entries, entry, f"The games' own perturbation {entry.name!r} ({games})")
    return entries


def _foreign_files() -> list[Path]:
    """Return the family files of other packages."""
    folders = [loaded.extension.families for loaded in load_extensions()]
    return [path for folder in folders if folder is not None for path in sorted(Path(folder).glob("*.toml"))]


def _add(entries: Registry[CatalogueEntry], entry: CatalogueEntry, where: str) -> None:
    """Add an entry, or refuse a name that there is already."""
    if entry.name in entries:
        raise SpecError(f"{where}: the name is taken by another file. Choose another name.")
    entries.add(entry.name, entry)
