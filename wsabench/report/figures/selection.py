"""Which perturbations a figure shows: all of them, or, where they are many, the strongest severities by family."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, cast

import numpy as np
import pandas as pd

from wsabench.results.records import CLEAN
from wsabench.summary.summarise import Summary
from wsabench.summary.tables import rows_of

MOST_LINES = 32
"""More perturbations than this do not fit a page."""


class Part(NamedTuple):
    """The perturbations that one figure of several shows."""

    name: str
    """Stands at the end of file names; empty where there is one part."""
    labels: tuple[str, ...]
    """In the order of the run, clean first where it was played."""
    note: str
    """Sentence for the caption; empty where everything is shown."""

    @property
    def title_end(self) -> str:
        """What distinguishes the titles of several parts."""
        return f", {self.name.replace('-', ' ')}" if self.name else ""

    def file_name(self, stem: str) -> str:
        """Return the name of this part's file."""
        return f"{stem}-{self.name}" if self.name else stem

    def by_perturbation(self, summary: Summary) -> Part:
        """Return the same part so that it finds perturbations by their names without severity too."""
        names = {row["label"]: row["perturbation"] for row in rows_of(summary.perturbations.drop_duplicates("label"))}
        both = (name for label in self.labels for name in (names[label], label))
        return self._replace(labels=tuple(dict.fromkeys(both)))

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a table's rows about these perturbations, in the order of this part."""
        if table.empty:
            return table
        kept = rows_in(table, "label", self.labels)
        places = [self.labels.index(label) for label in kept["label"]]
        return kept.iloc[np.argsort(places, kind="stable")]


def rows_in(table: pd.DataFrame, column: str, values: Collection[str]) -> pd.DataFrame:
    """Return the rows whose column has one of the values.

    Args:
        table: Any table with that column.
        column: Its name.
        values: Wanted values.
    """
    return cast("pd.DataFrame", table[[value in values for value in table[column]]])


def parts_of(summary: Summary, most: int = MOST_LINES) -> list[Part]:
    """Divide the perturbations of a summary among figures.

    Args:
        summary: The numbers.
        most: How many perturbations one figure can show.

    Returns:
        One part with all of them where they fit; otherwise parts of one family each with the strongest severity of
        each perturbation, split further where a family has more than fit.
    """
    cells = rows_of(summary.perturbations.drop_duplicates("label"))
    labels = [row["label"] for row in cells]
    if len(labels) <= most:
        return [Part("", tuple(sorted(labels, key=lambda label: label != CLEAN)), "")]
    strongest = strongest_labels(summary)
    families: dict[str, list[str]] = {}
    for row in cells:
        if row["label"] != CLEAN and row["label"] in strongest:
            families.setdefault(row["family"], []).append(row["label"])
    start = [CLEAN] if CLEAN in labels else []
    parts: list[Part] = []
    for family, names in families.items():
        pieces = -(-len(names) // (most - 1))
        size = -(-len(names) // pieces)
        for piece in range(pieces):
            end = f"-{piece + 1}" if pieces > 1 else ""
            chosen = (*start, *names[piece * size : (piece + 1) * size])
            note = "The strongest severity of each perturbation; the tables have all."
            parts.append(Part(f"{family}{end}".replace("+", "-"), chosen, note))
    return parts


def strongest_labels(summary: Summary) -> set[str]:
    """Return the labels of clean, of what has no severity, and of each perturbation's strongest severity."""
    cells = summary.perturbations.drop_duplicates("label")
    chosen = set(cells[cells["severity"].isna()]["label"])
    scaled = cells.dropna(subset=["severity"]).sort_values("severity")
    return chosen | set(scaled.drop_duplicates("perturbation", keep="last")["label"])
