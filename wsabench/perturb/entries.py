"""What the catalogue says about a perturbation, whoever wrote the entry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from wsabench.perturb.kinds import ParameterValue

NUM_SEVERITIES = 5


CLEAN = "clean"


NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""A perturbation's name."""


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A perturbation as the catalogue describes it, at all severities."""

    name: str
    family: str
    kind: str
    summary: str
    source: str
    """Where the idea or the numbers come from; empty where they are our own choice."""
    parameters: Mapping[str, ParameterValue]
    """The parameters that do not depend on severity."""
    scale: Mapping[str, tuple[ParameterValue, ...]]
    """Parameters with one value for each severity, that of 1 first; empty where there is no scale."""
    games: tuple[str, ...] | None = None
    """The games that have the perturbation, sorted; None: any game."""

    @property
    def has_severity(self) -> bool:
        """Whether the perturbation is written `NAME@SEVERITY`."""
        return bool(self.scale)

    @property
    def severities(self) -> tuple[int | None, ...]:
        """The severities that there are: 1 to 5, or only None."""
        return tuple(range(1, NUM_SEVERITIES + 1)) if self.has_severity else (None,)

    def resolved(self, severity: int | None) -> dict[str, ParameterValue]:
        """Return all parameters at one severity, sorted by name."""
        values = dict(self.parameters)
        if severity is not None:
            values |= {name: steps[severity - 1] for name, steps in self.scale.items()}
        return dict(sorted(values.items()))
