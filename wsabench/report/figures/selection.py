"""Which perturbations a figure shows: all of them, or, where they are many, the strongest severities by family."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import NamedTuple

from wsabench.results.records import CLEAN
from wsabench.summary.rows import Item, grouped
from wsabench.summary.summarise import Summary

MOST_LINES = 32
"""More perturbations than this do not fit a page."""

MOST_CURVES = 12
"""More curves over severity or dose than this are divided by family."""


class Part(NamedTuple):
    """The perturbations that one figure of several shows."""

    name: str
    """The end of file names; empty where there is one part."""
    labels: tuple[str, ...]
    """The labels of the perturbations, clean first where it was played, then in the order of the run."""
    note: str
    """A sentence for the caption; empty where everything is shown."""
    is_first: bool = True
    """Whether this is the first of the parts."""

    @property
    def title_end(self) -> str:
        """The end of titles, which distinguishes several parts; empty where there is one."""
        return f", {self.name.replace('-', ' ')}" if self.name else ""

    def file_name(self, stem: str) -> str:
        """Return the file name of this part, without ending."""
        return f"{stem}-{self.name}" if self.name else stem

    def by_perturbation(self, summary: Summary) -> Part:
        """Return the same part so that `rows` also finds perturbations by their names without severity."""
        played = summary.played
        both = (name for label in self.labels for name in (played[label].perturbation, label))
        return self._replace(labels=tuple(dict.fromkeys(both)))

    def rows(self, table: Iterable[Item], name: Callable[[Item], str] = attrgetter("label")) -> list[Item]:
        """Return the rows about these perturbations, in the order of this part.

        Args:
            table: The rows.
            name: Called with a row; it returns the label, or the name, that the row is about.
        """
        places = {label: place for place, label in enumerate(self.labels)}
        return sorted((row for row in table if name(row) in places), key=lambda row: places[name(row)])


def parts_of(summary: Summary, most: int = MOST_LINES) -> list[Part]:
    """Divide the perturbations of a summary among figures.

    Args:
        summary: The numbers.
        most: How many perturbations one figure can show.

    Returns:
        One part with all of them where they fit; otherwise parts of one family each with the strongest severity of
        each perturbation, split further where a family has more than fit.
    """
    played = summary.played
    labels = list(played)
    if len(labels) <= most:
        return [Part("", tuple(sorted(labels, key=lambda label: label != CLEAN)), "")]
    strongest = strongest_labels(summary)
    families: dict[str, list[str]] = {}
    for label, row in played.items():
        if label != CLEAN and label in strongest:
            families.setdefault(row.family, []).append(label)
    start = [CLEAN] if CLEAN in labels else []
    parts: list[Part] = []
    for family, names in families.items():
        pieces = -(-len(names) // (most - 1))
        size = -(-len(names) // pieces)
        for piece in range(pieces):
            end = f"-{piece + 1}" if pieces > 1 else ""
            chosen = (*start, *names[piece * size : (piece + 1) * size])
            note = "The strongest severity of each perturbation; the tables have all."
            parts.append(Part(f"{family}{end}".replace("+", "-"), chosen, note, is_first=not parts))
    return parts


def strongest_labels(summary: Summary) -> set[str]:
    """Return the labels of clean, of what has no severity, and of each perturbation's strongest severity."""
    played = summary.played.values()
    names = grouped(played, lambda row: row.perturbation)
    strongest = {max(rows, key=lambda row: row.severity or 0).label for rows in names.values()}
    return strongest | {row.label for row in played if row.severity is None}
