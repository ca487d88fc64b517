"""Evaluation: a grid of agents and perturbations becomes jobs, jobs become a result set.

Names load their part on first use: reading a result set needs neither torch nor the emulator.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsabench.evaluation.plan import Plan, make_plan
    from wsabench.evaluation.progress import RunReporter, SilentReporter
    from wsabench.evaluation.runs import run
    from wsabench.results.provenance import ENGINE_VERSION
    from wsabench.results.records import Job
    from wsabench.results.result import RunResult, load_result

__all__ = [
    "ENGINE_VERSION",
    "Job",
    "Plan",
    "RunReporter",
    "RunResult",
    "SilentReporter",
    "load_result",
    "make_plan",
    "run",
]

_HOME = {
    "ENGINE_VERSION": "fingerprint",
    "Job": "records",
    "Plan": "plan",
    "RunReporter": "progress",
    "RunResult": "result",
    "SilentReporter": "progress",
    "load_result": "result",
    "make_plan": "plan",
    "run": "runs",
}


def __getattr__(name: str) -> Any:
    """Load the module that holds `name`, on first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'wsabench.evaluation' has no attribute {name!r}")
    return getattr(import_module(f"wsabench.evaluation.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
