"""A check in several looks at the terminal: plays on while it is not decided, and says what each look shows."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from wsabench.cli.terminal.console import write_error
from wsabench.cli.terminal.own_code import own_code
from wsabench.cli.terminal.run_progress import run_reporter

if TYPE_CHECKING:
    from wsabench.gate.outcome import CheckResult
    from wsabench.gate.sequential import SequentialCheck
    from wsabench.types import Permissions


def play_looks(check_of_run: SequentialCheck, workers: int | None, permissions: Permissions) -> CheckResult:
    """Judge the run; while that decides nothing, play on to the next look.

    Args:
        check_of_run: The check, before its first look.
        workers: Number of processes; None for one for each core.
        permissions: What the agents are allowed.

    Returns:
        What the last look says.
    """
    from wsabench.evaluation.going_on import plan_again, play_later
    from wsabench.gate.sequential import LOOKS_DIR

    run, looks = check_of_run.run, check_of_run.design.looks
    result = check_of_run.look(run)
    write_error(_last_look(result))
    if result.is_decided:
        return result
    with own_code(entry.source for entry in run.manifest.plan.agents), run_reporter() as reporter:
        plan = plan_again(run, permissions, reporter, asks_apart=workers != 0)
        for number, (before, until) in enumerate(itertools.pairwise(looks), start=2):
            directory, episodes = run.path / LOOKS_DIR / str(number), range(before, until)
            part = play_later(plan, directory, episodes, check_of_run.jobs, workers=workers, reporter=reporter)
            result = check_of_run.look(part)
            reporter.note(_last_look(result))
            if result.is_decided:
                break
    return result


def _last_look(result: CheckResult) -> str:
    """Say what the last look showed."""
    return "" if result.looks is None else result.looks.taken[-1].sentence
