"""A result set on disk: what is in it, where it came from, and whether two of them fit together.

Each name loads its part on first use, so that a worker process that plays loads no tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsabench.lazy import lazy_names

if TYPE_CHECKING:
    from wsabench.results.provenance import ENGINE_VERSION
    from wsabench.results.records import Job
    from wsabench.results.result import ResultSet, load_result

__all__ = ["ENGINE_VERSION", "Job", "ResultSet", "load_result"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {"provenance": ("ENGINE_VERSION",), "records": ("Job",), "result": ("ResultSet", "load_result")},
)
