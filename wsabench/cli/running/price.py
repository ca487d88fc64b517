"""`wsabench run --dry-run`: what a run would take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsabench.cli.terminal.console import filled, write_json, write_line, write_table
from wsabench.errors import WorkerError
from wsabench.words import counted

if TYPE_CHECKING:
    from wsabench.evaluation.pricing import Price


def write_price(found: Price, *, as_json: bool) -> None:
    """Print the price of a run, as a table or as JSON.

    Raises:
        WorkerError: After that, where an agent hangs that could not be timed.
    """
    if as_json:
        write_json(found)
    else:
        _write_tables(found)
    if found.complaint:
        raise WorkerError(found.complaint)


def _write_tables(found: Price) -> None:
    for note in found.notes:
        write_line(filled(f"Note: {note}"))
    write_line(f"{counted(found.jobs, 'job')} of {counted(found.cells, 'cell')}, {counted(found.episodes, 'episode')}")
    write_line(
        f"Time with {counted(found.workers, 'worker')}: {_time(found.hours)} "
        f"({_time(found.hours_low)} to {_time(found.hours_high)})"
    )
    write_line(f"Disk: {_size(found.disk_bytes)}. Memory: {_size(found.memory_bytes)}.")
    write_line()
    rows = [[number, _time(hours)] for number, hours in found.by_workers.items()]
    write_table("Workers, each with a core for itself", ["workers", "time"], rows)
    write_line(f"From {counted(found.sampled_episodes, 'episode')} begun now; nothing was written.")


def _time(hours: float) -> str:
    """Return a time in the unit that suits it."""
    if hours < 1:
        return f"{hours * 60:.1f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def _size(number: int) -> str:
    """Return a number of bytes in the unit that suits it."""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"
