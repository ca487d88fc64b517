"""Numbers in sentences."""

from __future__ import annotations

MINUS = "\u2212"
"""The minus sign, as wide as a plus: for pages, figures and sentences. Files for programs have ASCII's hyphen."""


def decimal(value: float, digits: int = 2, *, has_plus: bool = False) -> str:
    """Return a number with a fixed number of digits and a real minus sign; what rounds to zero has no minus.

    Args:
        value: The number.
        digits: Digits after the point.
        has_plus: Whether a number that is not negative gets a plus.
    """
    return f"{value:{'+' if has_plus else ''}z.{digits}f}".replace("-", MINUS)


def plural(unit: str) -> str:
    """Return the plural of a unit's name."""
    if unit.endswith("y") and unit[-2:-1] not in tuple("aeiou"):
        return f"{unit[:-1]}ies"
    return unit if unit.endswith("s") else f"{unit}s"


def counted(number: int, unit: str) -> str:
    """Return a number with its unit: `1 job`, `2 jobs`, `1,000 jobs`."""
    return f"{number:,} {unit if number == 1 else plural(unit)}"
