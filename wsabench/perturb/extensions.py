"""Perturbations of other packages, found by the entry point group `wsabench.perturbations`.

A package adds kinds that data cannot express. It states one `Extension`:

    # my_package/__init__.py
    from pathlib import Path
    from wsabench.perturb import Extension, Kind, number

    EXTENSION = Extension(
        kinds={"vignette.darken": Kind("corruption", {"strength": number(0, 1)}, build, summary="...")},
        families=Path(__file__).parent / "families",
    )

and names it in its `pyproject.toml`:

    [project.entry-points."wsabench.perturbations"]
    vignette = "my_package:EXTENSION"

`build(game, **parameters)` returns a stage of `wsabench.perturb.stages`: a colour operator, an image operator, a
control channel, RAM rules, switches or an encoder operation. The files in `families` are read like
`perturbations/families/*.toml`; they may use any kind. Names must be new. The distribution's version enters the hash of
what uses its kinds, so results made by another version are not taken for the same.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from wsabench.errors import SpecError
from wsabench.games import Game
from wsabench.perturb.kinds import FAMILIES, Kind, ParameterValue

GROUP = "wsabench.perturbations"

_KIND_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")


@dataclass(frozen=True, slots=True)
class Extension:
    """What another package adds."""

    kinds: Mapping[str, Kind] = field(default_factory=dict)
    """New kinds by name, `word.word`."""
    families: Path | None = None
    """Folder with family files (`*.toml`); None: only kinds, for the files of others."""


@dataclass(frozen=True, slots=True)
class LoadedExtension:
    """An extension and where it comes from."""

    distribution: str
    version: str
    entry_point: str
    extension: Extension

    @property
    def origin(self) -> str:
        """How messages name it."""
        return _origin(self.distribution, self.entry_point)


@functools.cache
def load_extensions() -> tuple[LoadedExtension, ...]:
    """Import what other packages add, once; sorted by distribution and name.

    Raises:
        SpecError: A package cannot be imported or states something else; the message names its distribution.
    """
    found = metadata.entry_points(group=GROUP)
    loaded = [_load(entry) for entry in found]
    return tuple(sorted(loaded, key=lambda one: (one.distribution, one.entry_point)))


def extended_kinds(loaded: LoadedExtension) -> dict[str, Kind]:
    """Return an extension's kinds; what decides their behaviour includes the distribution's version."""
    return {name: replace(kind, content=_content_of(kind, loaded)) for name, kind in loaded.extension.kinds.items()}


def _content_of(kind: Kind, loaded: LoadedExtension) -> Any:
    """Return the function that says what decides the behaviour of a foreign kind."""

    def content(game: Game, **parameters: ParameterValue) -> dict[str, Any]:
        own = None if kind.content is None else kind.content(game, **parameters)
        return {"distribution": loaded.distribution, "version": loaded.version, "content": own}

    return content


def _load(entry: metadata.EntryPoint) -> LoadedExtension:
    """Import one extension and check it."""
    distribution = entry.dist.name if entry.dist else entry.module
    version = entry.dist.version if entry.dist else ""
    origin = _origin(distribution, entry.name)
    try:
        extension = entry.load()
    except Exception as error:  # a foreign module may raise anything; the user must hear whose it is
        raise SpecError(
            f"{origin}: loading {entry.value!r} failed: {type(error).__name__}: {error}. "
            f"Correct the package, or uninstall {distribution!r}."
        ) from error
    _check(extension, origin, entry.value)
    return LoadedExtension(distribution, version, entry.name, extension)


def _check(extension: Any, origin: str, value: str) -> None:
    """Refuse what is no extension."""
    if not isinstance(extension, Extension):
        raise SpecError(f"{origin}: {value!r} is {extension!r}. Allowed: a wsabench.perturb.Extension.")
    for name, kind in extension.kinds.items():
        if not isinstance(name, str) or not _KIND_NAME.fullmatch(name):
            raise SpecError(f"{origin}: the kind's name is {name!r}. Allowed: lower-case words joined by a dot.")
        if not isinstance(kind, Kind):
            raise SpecError(f"{origin}: the kind {name!r} is {kind!r}. Allowed: a wsabench.perturb.Kind.")
        if kind.family not in FAMILIES:
            raise SpecError(
                f"{origin}: the family of the kind {name!r} is {kind.family!r}. Allowed: {', '.join(FAMILIES)}."
            )
    if extension.families is not None and not Path(extension.families).is_dir():
        raise SpecError(f"{origin}: families is {extension.families!r}, no folder. Allowed: a folder of TOML files.")


def _origin(distribution: str, entry_point: str) -> str:
    """Return how messages name an entry point."""
    return f"The package {distribution!r} (entry point {GROUP}, {entry_point!r})"
