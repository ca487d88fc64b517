"""All kinds of perturbation there are: ours, and those that other packages add by entry point."""

from __future__ import annotations

import functools

from wsabench.errors import SpecError
from wsabench.perturb import color_kinds, corruption_kinds, dynamics_kinds, encoder_kinds
from wsabench.perturb.extensions import extended_kinds, load_extensions
from wsabench.perturb.kinds import KINDS, Kind
from wsabench.perturb.rules import patches as rule_kinds
from wsabench.registry import Registry

__all__ = ["all_kinds", "color_kinds", "corruption_kinds", "dynamics_kinds", "encoder_kinds", "rule_kinds"]


@functools.cache
def all_kinds() -> Registry[Kind]:
    """Return all kinds by name; other packages are imported the first time.

    Raises:
        SpecError: Another package is broken or takes a name that there is already; the message names it.
    """
    kinds: Registry[Kind] = Registry("kind of perturbation")
    for name, kind in KINDS.items():
        kinds.add(name, kind)
    for loaded in load_extensions():
        for name, kind in extended_kinds(loaded).items():
            if name in kinds:
                raise SpecError(f"{loaded.origin}: the kind {name!r} is taken. Allowed: a name of its own.")
            kinds.add(name, kind)
    return kinds
