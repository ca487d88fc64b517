"""A result set on disk: what is in it, where it came from, and whether two of them fit together."""

from wsabench.results.provenance import ENGINE_VERSION
from wsabench.results.records import Job
from wsabench.results.result import RunResult, load_result

__all__ = ["ENGINE_VERSION", "Job", "RunResult", "load_result"]
