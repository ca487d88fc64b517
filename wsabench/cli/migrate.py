"""`wsabench migrate`: a result set of an earlier layout in the present one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsabench.cli.options import Json, path_option
from wsabench.cli.terminal.console import filled, write_json, write_line
from wsabench.words import counted

HELP = "Bring a result set of an earlier version over; the old one stays as it is."
EXAMPLE = "Example: wsabench migrate runs/old --out runs/new"


def migrate(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="Result set of an earlier version.")],
    out: Annotated[Path, path_option("Directory of the new one; it must not exist.")],
    as_json: Json = False,
) -> None:
    """Copy shards and pictures to the byte and write the manifest anew."""
    from wsabench.results.manifest import SCHEMA_VERSION
    from wsabench.results.migration import migrate as bring_over

    done = bring_over(run_dir, out)
    if as_json:
        write_json(
            {
                "path": done.path,
                "from_version": done.from_version,
                "schema_version": SCHEMA_VERSION,
                "num_files": done.num_files,
                "unrecorded": done.unrecorded,
            }
        )
        return
    write_line(f"Result set: {done.path} (schema version {SCHEMA_VERSION}, was {done.from_version})")
    write_line(f"Copied to the byte: {counted(done.num_files, 'file')} (shards and pictures)")
    if done.unrecorded:
        text = (
            f"The version of {', '.join(done.unrecorded)} was not recorded: reports and checks read this result set, "
            "but no run goes on in it."
        )
        write_line(filled(text))
