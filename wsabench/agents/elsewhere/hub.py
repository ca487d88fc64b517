"""`hf:ORG/REPO[@REVISION][/FILE]`: files in the Hugging Face hub's cache; fetched only where the user allows it."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import NamedTuple

from wsabench.agents.elsewhere.recognising import recognise
from wsabench.agents.elsewhere.references import Uri
from wsabench.errors import CheckpointError, SpecError
from wsabench.types import Permissions

_FORM = re.compile(r"(?P<org>[\w.-]+)/(?P<repo>[\w.-]+)(@(?P<revision>[\w.-]+))?(/(?P<file>.+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")


class _Place(NamedTuple):
    repository: str
    revision: str
    file: str | None


def found_uri(uri: Uri, permissions: Permissions) -> Uri:
    """Return the address of the file that an address of the hub names, in the cache.

    Args:
        uri: `hf:ORG/REPO[@REVISION][/FILE]`; without a file the repository must hold one agent.
        permissions: Whether files may be fetched.

    Raises:
        CheckpointError: It is not in the cache and must not be fetched, or several files may be meant.
        SpecError: The address is malformed, or the package that fetches is not installed.
    """
    match = _FORM.fullmatch(uri.rest)
    parts = (match["file"] or "").split("/") if match else []
    if match is None or ".." in parts or match["org"].strip(".") == "" or match["repo"].strip(".") == "":
        raise SpecError(f"{uri.text!r} is no address of the hub. Write hf:ORG/REPO[@REVISION][/FILE].")
    place = _Place(f"{match['org']}/{match['repo']}", match["revision"] or "main", match["file"])
    folder = _cached(place)
    if folder is None or (place.file is not None and not (folder / place.file).is_file()):
        folder = _fetched(place, permissions)
    return _choose(place, folder)


def cache_folder() -> Path:
    """Return the folder of the hub's cache, as its own package finds it."""
    if stated := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(stated).expanduser()
    home = os.environ.get("HF_HOME")
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return (Path(home) if home else Path(caches) / "huggingface").expanduser() / "hub"


def _cached(place: _Place) -> Path | None:
    """Return the cached snapshot of a repository, or None."""
    repository = cache_folder() / f"models--{place.repository.replace('/', '--')}"
    reference = repository / "refs" / place.revision
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else place.revision
    if not _COMMIT.fullmatch(commit):
        return None
    folder = repository / "snapshots" / commit
    return folder if folder.is_dir() else None


def _fetched(place: _Place, permissions: Permissions) -> Path:
    """Fetch a repository, or refuse."""
    what = f"{place.repository}@{place.revision}" + (f"/{place.file}" if place.file else "")
    if not permissions.allow_download:
        raise CheckpointError(
            f"{what} is not in the hub's cache ({cache_folder()}). Add --allow-download to fetch it, or fetch it "
            f"yourself: hf download {place.repository}"
        )
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise SpecError(f"Fetching {what} takes huggingface_hub. Install it: pip install 'wsabench[hub]'.") from error
    try:
        allowed = [place.file] if place.file else None
        return Path(hub.snapshot_download(place.repository, revision=place.revision, allow_patterns=allowed))
    except Exception as error:  # errors of its own and of what it fetches with, without a common base
        raise CheckpointError(f"{what} cannot be fetched: {type(error).__name__}: {error}") from error


def _choose(place: _Place, folder: Path) -> Uri:
    """Return the one agent's file of a snapshot."""
    if place.file is not None:
        path = folder / place.file
        if not path.is_file():
            raise CheckpointError(f"{place.repository}@{place.revision} has no file {place.file}.")
        scheme = recognise(path).scheme
        if scheme is None:
            raise CheckpointError(
                f"{place.file} in {place.repository} is {recognise(path).what}. {recognise(path).remedy}"
            )
        return Uri(scheme, str(path))
    found = [(path, recognise(path).scheme) for path in sorted(folder.rglob("*")) if path.is_file()]
    agents = [(path, scheme) for path, scheme in found if scheme is not None]
    if len(agents) != 1:
        names = ", ".join(str(path.relative_to(folder)) for path, _ in agents or found) or "nothing"
        told = "several files that may be the agent" if agents else "no agent that is known"
        raise CheckpointError(
            f"{place.repository}@{place.revision} holds {told}: {names}. Name the file: hf:{place.repository}/FILE."
        )
    path, scheme = agents[0]
    return Uri(str(scheme), str(path))
