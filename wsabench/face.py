"""What people meet first in Python: `run`, `load_result`, and the result set that both return.

A result set on disk knows neither statistics nor figures (`wsabench.results` stands below them, so that it can be read
without). This module stands above all of them. It adds what a person asks next, and loads each part when it is asked
for.
"""

from __future__ import annotations

import dataclasses
import functools
import html
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

from wsabench import evaluation, results
from wsabench.errors import ResultSetError
from wsabench.evaluation.progress import in_notebook
from wsabench.results.result import part_advice
from wsabench.results.tables import with_labels
from wsabench.types import listed_values, named_arguments
from wsabench.words import counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from wsabench.report import ReportFiles
    from wsabench.summary.summarise import Summary

P = ParamSpec("P")

_SHOWN = 20
"""Rows of the table that a text or a notebook shows."""


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class RunResult(results.ResultSet):
    """A result set in memory, with its table, its numbers, its leading figure and its report."""

    @classmethod
    def of(cls, result: results.ResultSet) -> RunResult:
        """Return a result set that shows itself; its tables are shared, not copied."""
        return cls(**{field.name: getattr(result, field.name) for field in dataclasses.fields(result)})

    def table(self) -> pd.DataFrame:
        """Return the mean unclipped return of every agent, game and perturbation, in the order played.

        Returns:
            One row for each agent and cell, with the columns `agent`, `game`, `perturbation` (with its severity),
            `train_seeds` and `episodes` (how many of each there are), and `mean_return`.
        """
        cells = with_labels(self.episodes).groupby(["agent", "game", "label"], sort=False)
        seeds, counts, means = ("train_seed", "nunique"), ("return", "size"), ("return", "mean")
        table = cells.agg(train_seeds=seeds, episodes=counts, mean_return=means)
        return table.reset_index().rename(columns={"label": "perturbation"})

    @named_arguments
    def summary(self, family: str | Sequence[str] | None = None, *, compare_to: str | None = None) -> Summary:
        """Return every number of the report: averages with intervals, comparisons between agents, and sentences.

        Args:
            family: The perturbations, without severity, that claims are made about. None: all perturbations of the run.
            compare_to: The agent with which each other agent is compared. None: all pairs are compared.

        Returns:
            The summary, whose tables are tuples of rows (`wsabench.summary.rows`).

        Raises:
            ResultSetError: There is no finished episode.
            SpecError: The family is empty or holds clean.
            UnknownNameError: The run has no such perturbation or agent.
        """
        from wsabench.summary.summarise import summarise

        return summarise(self, listed_values(family), compare_to=compare_to)

    def plot(self) -> Figure:
        """Return the figure with which the report opens: the clean and the kept score of every agent, with intervals.

        Returns:
            A matplotlib figure. A notebook shows it.

        Raises:
            ResultSetError: There are no clean and perturbed scores to draw.
        """
        from wsabench.report.figures.leading import leading_figure

        found = leading_figure(self.summary())
        if found is None:
            raise ResultSetError(
                f"{self.path} has nothing to draw: the figure needs games with reference scores, played clean and "
                "perturbed. `table()` has the mean returns."
            )
        _draw_figures_in_notebooks()
        return found.figure

    @named_arguments
    def report(self, out: str | Path | None = None, formats: str | Sequence[str] = ("html",)) -> ReportFiles:
        """Write the report, and return the paths of its files.

        Args:
            out: The folder to write to. None: the folder `report` in the run's directory.
            formats: The formats to write, by the names that `wsabench report --format` takes.

        Returns:
            The paths; `.html` is the page.

        Raises:
            ResultSetError: There is no finished episode.
            StorageError: A file cannot be written.
            UnknownNameError: There is no such format.
        """
        from wsabench.report import write_report

        return write_report(self.path, out=out, formats=listed_values(formats) or ())

    def __repr__(self) -> str:
        """Return a heading and the first rows of the table."""
        table = self.table()
        rows = table.head(_SHOWN).to_string(index=False, float_format="{:.1f}".format) if len(table) else ""
        return "\n".join(part for part in (self._heading(), rows, self._rest(len(table))) if part)

    def _repr_html_(self) -> str:
        """Return the same for a notebook."""
        table = self.table()
        parts = [html.escape(part) for part in (self._heading(), self._rest(len(table)))]
        rows = table.head(_SHOWN).to_html(index=False, float_format="{:.1f}".format, border=0) if len(table) else ""
        return f"<p>{parts[0]}</p>{rows}" + (f"<p>{parts[1]}</p>" if parts[1] else "")

    def _heading(self) -> str:
        """Return in one line what it is."""
        plan = self.manifest.plan
        jobs = "" if self.is_complete else f", {self.num_finished} of {counted(len(plan.jobs), 'job')}"
        advice = part_advice(self.manifest)
        episodes = counted(len(self.episodes), "episode")
        return f"RunResult in {self.path}: {episodes}{jobs}." + (f" {advice}" if advice else "")

    @staticmethod
    def _rest(number: int) -> str:
        """Say how many rows are not shown."""
        return "" if number <= _SHOWN else f"{counted(number - _SHOWN, 'more row')}: table()"


def _draw_figures_in_notebooks() -> None:
    """Let a notebook show figures as pictures, as it does once pyplot is loaded; a choice of its user stays."""
    if not in_notebook():
        return
    from matplotlib.figure import Figure

    shell = importlib.import_module("IPython").get_ipython()
    formatters = shell.display_formatter.formatters
    if not any(Figure in formatters[kind].type_printers for kind in ("image/png", "image/svg+xml", "application/pdf")):
        importlib.import_module("IPython.core.pylabtools").select_figure_formats(shell, {"png"})


def _shown(function: Callable[P, results.ResultSet]) -> Callable[P, RunResult]:
    """Let a function give a result set that shows itself."""

    @functools.wraps(function)
    def shown(*args: P.args, **kwargs: P.kwargs) -> RunResult:
        return RunResult.of(function(*args, **kwargs))

    shown.__module__ = __name__
    return named_arguments(shown)


load_result = _shown(results.load_result)

if TYPE_CHECKING:
    run = _shown(evaluation.run)


def __getattr__(name: str) -> object:
    """Load what plays on first use: reading a result set needs no emulator."""
    if name != "run":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, _shown(evaluation.run))
