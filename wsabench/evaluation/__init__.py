"""Evaluation: a grid of agents and perturbations becomes jobs, jobs are played into a result set.

Names load their part on first use, so that naming them loads neither torch nor the emulator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsabench.lazy import lazy_names

if TYPE_CHECKING:
    from wsabench.evaluation.plan import Plan, make_plan
    from wsabench.evaluation.progress import RunReporter, SilentReporter
    from wsabench.evaluation.runs import run

__all__ = ["Plan", "RunReporter", "SilentReporter", "make_plan", "run"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {"plan": ("Plan", "make_plan"), "progress": ("RunReporter", "SilentReporter"), "runs": ("run",)},
)
