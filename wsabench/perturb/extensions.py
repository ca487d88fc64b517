"""Perturbations of other packages, found by the entry point group `wsabench.perturbations`.

A package adds kinds that data cannot express. It defines them by `kind` and states one `Extension`:

    # my_package/__init__.py
    from dataclasses import dataclass
    from pathlib import Path
    from typing import Annotated
    from wsabench.perturb import Extension, Range, kind

    KINDS = {}

    @kind("vignette.darken", family="corruption", source="own choice", into=KINDS)
    @dataclass(frozen=True)
    class Vignette:
        "Darken the corners."

        strength: Annotated[float, Range(0, 1)]
        ...

    EXTENSION = Extension(kinds=KINDS, families=Path(__file__).parent / "families")

and names it in its `pyproject.toml`:

    [project.entry-points."wsabench.perturbations"]
    vignette = "my_package:EXTENSION"

What is decorated is a stage of `wsabench.perturb.stages` (a colour operator, an image operator, a control channel, RAM
rules, switches), an encoder operation, or a function that returns one. A kind can also be stated in full, as a `Kind`
whose `build(game, **parameters)` returns a stage. The files in `families` are read like the files
`perturbations/families/*.toml`; they may use any kind. Names must be new. The distribution's version enters the hash of
what uses its kinds, so results made by another version are not taken for the same.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from wsabench.errors import SpecError
from wsabench.games import Game
from wsabench.perturb.kinds import FAMILIES, Kind, ParameterValue
from wsabench.registry import Added, load_added

GROUP = "wsabench.perturbations"

_KIND_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")


@dataclass(frozen=True, slots=True)
class Extension:
    """What another package adds."""

    kinds: Mapping[str, Kind] = field(default_factory=dict)
    """New kinds by name, `word.word`."""
    families: Path | None = None
    """Folder with family files (`*.toml`); None: the package adds kinds alone."""


class LoadedExtension(NamedTuple):
    """An extension and where it comes from."""

    added: Added
    extension: Extension


@functools.cache
def load_extensions() -> tuple[LoadedExtension, ...]:
    """Import what other packages add, once; sorted by distribution and name.

    Raises:
        SpecError: A package cannot be imported or states something else; the message names its distribution.
    """
    return tuple(LoadedExtension(added, _checked(added)) for added in load_added(GROUP))


def extended_kinds(loaded: LoadedExtension) -> dict[str, Kind]:
    """Return an extension's kinds; what decides their behaviour includes the distribution's version."""
    return {name: replace(kind, content=_content_of(kind, loaded)) for name, kind in loaded.extension.kinds.items()}


def _content_of(kind: Kind, loaded: LoadedExtension) -> Any:
    """Return the function that says what decides the behaviour of a foreign kind."""

    def content(game: Game, **parameters: ParameterValue) -> dict[str, Any]:
        own = None if kind.content is None else kind.content(game, **parameters)
        return {"distribution": loaded.added.distribution, "version": loaded.added.version, "content": own}

    return content


def _checked(added: Added) -> Extension:
    """Refuse what is no extension."""
    extension, origin = added.content, added.origin
    if not isinstance(extension, Extension):
        raise SpecError(f"{origin}: {added.value!r} is {extension!r}. Allowed: a wsabench.perturb.Extension.")
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
    return extension
