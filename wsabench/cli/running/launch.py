"""`wsabench run --launcher`: the parts of a run as jobs of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from wsabench.cli.terminal.console import split_names, write_error
from wsabench.errors import SpecError, WorkerError

if TYPE_CHECKING:
    from wsabench.evaluation.cluster.launcher import Launch
    from wsabench.results.result import ResultSet

_OWN = ("launcher", "launcher_option", "out", "workers", "shard", "dry_run", "as_json")
"""Parameters of `run` that are not for the parts."""


def launch(context: typer.Context, launcher: str | None, words: Sequence[str]) -> ResultSet:
    """Launch the parts of a run, wait for them and merge them.

    Args:
        context: The context of the command `run`, with all its options.
        launcher: The launcher's name.
        words: Its options, `KEY=VALUE`, several separated by commas.

    Returns:
        The merged result set.

    Raises:
        SpecError: Options are malformed or do not go together.
        WorkerError: A job failed, or jobs are missing in the end.
    """
    from wsabench.evaluation.cluster.launcher import launch as launch_parts
    from wsabench.results.result import load_result

    asked, out = check_launch(context, launcher, words)
    done = launch_parts(asked, ["run", *_words(context)], out, lambda text: write_error(f"note: {text}"))
    if done.missing:
        raise WorkerError(f"{out} lacks {len(done.missing)} of {done.num_jobs} jobs. Go on there without --launcher.")
    return load_result(out)


def check_launch(context: typer.Context, launcher: str | None, words: Sequence[str]) -> tuple[Launch, Path]:
    """Return how the parts of a run are launched and where they are merged; refuse what cannot be launched.

    Args:
        context: The context of the command `run`, with all its options.
        launcher: The launcher's name.
        words: Its options, `KEY=VALUE`, several separated by commas.

    Raises:
        ResultSetError: The directory is not empty.
        SpecError: Options are malformed or do not go together, or there is no such cluster here.
        StorageError: The directory cannot be written.
        UnknownNameError: There is no such launcher or option.
    """
    from wsabench.evaluation.cluster.launcher import Launch, check_start

    given = context.params
    asked = Launch.parse(launcher, split_names(words) or [], given["workers"])
    out: Path | None = given["out"]
    if out is None:
        raise SpecError("--launcher merges into a directory that it must be told. Give --out DIR.")
    if given["shard"] is not None:
        raise SpecError("--shard and --launcher are given. Allowed: one of them, because the launcher makes the parts.")
    if given["precision"] is not None:
        raise SpecError(
            "--launcher and --precision are given. Allowed: one of them, because the pilot of the whole run says how "
            "many episodes each job gets."
        )
    check_start(asked, out)
    return asked, out


def _words(context: typer.Context) -> list[str]:
    """Return the options of the command as they would be written, but for those that are not for the parts."""
    words: list[str] = []
    for option in context.command.params:
        value = context.params.get(option.name or "")
        if option.name in _OWN or value is None or value == option.get_default(context):
            continue
        if isinstance(value, bool):
            words.append(option.opts[0] if value else option.secondary_opts[0])
            continue
        for one in value if isinstance(value, list | tuple) else [value]:
            words += [option.opts[0], str(one)]
    return words
