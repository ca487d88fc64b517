"""Numbers in sentences."""

from __future__ import annotations


def plural(unit: str) -> str:
    """Return the name of a unit for many."""
    return unit if unit.endswith("s") else f"{unit}s"


def counted(number: int, unit: str) -> str:
    """Return a number with its unit: `1 job`, `2 jobs`, `1,000 jobs`."""
    return f"{number:,} {unit if number == 1 else plural(unit)}"
