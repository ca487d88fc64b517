"""`wsabench check`: a run against a reference, for CI."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wsabench.cli.options import Json
from wsabench.cli.terminal.console import WIDTH, plain, split_names, write_json, write_line, write_table

if TYPE_CHECKING:
    from wsabench.gate.outcome import CheckedCell, CheckResult

HELP = "Fail when an agent got less robust than in a reference run."
EXAMPLE = "Example: wsabench check runs/new --against results/smoke --junit gate.xml"

_AGENTS = "Agents of the reference that are judged. Default: all."
_MARGIN = "Share of the reference's normalised score that may be lost."


def check(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="Result set that is judged.")],
    against: Annotated[Path, typer.Option(metavar="REFERENCE", help="Result set it is held against.")],
    agents: Annotated[list[str] | None, typer.Option("--agents", "-a", metavar="NAME,...", help=_AGENTS)] = None,
    margin: Annotated[float, typer.Option(help=_MARGIN)] = 0.2,
    alpha: Annotated[float, typer.Option(help="Probability of any false alarm, at most.")] = 0.05,
    strict: Annotated[bool, typer.Option("--strict", help="Fail where a larger drop is not ruled out, too.")] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a summary in Markdown.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the permutations.")] = 0,
    as_json: Json = False,
) -> int:
    """Compare cell by cell and overall; 0: no regression, 1: regression, 2: cannot tell."""
    from wsabench.gate.check import check_runs
    from wsabench.gate.formats import junit_xml, markdown_summary
    from wsabench.resources import write_text

    options = {"margin": margin, "alpha": alpha, "strict": strict, "seed": seed}
    result = check_runs(run_dir, against, agents=split_names(agents), **options)
    if junit is not None:
        write_text(junit, junit_xml(result))
    if markdown is not None:
        write_text(markdown, markdown_summary(result))
    if as_json:
        write_json(plain(result) | {"passed": result.passed, "conclusion": result.conclusion})
    else:
        _write_result(result)
    return result.exit_code


def _write_result(result: CheckResult) -> None:
    """Print a table for each agent and game, the notes and the conclusion."""
    groups: dict[tuple[str, str], list[CheckedCell]] = {}
    for row in result.rows:
        groups.setdefault((row.agent_shown, row.game), []).append(row)
    for (agent, game), rows in groups.items():
        columns = ["cell", "ref.", "run", "drop", "margin", "p", "verdict"]
        write_table(f"{agent} on {game}", columns, [_row(row) for row in rows])
        write_line()
    meaning = f"Normalised scores. p: of a drop no larger than the margin, corrected over {len(result.tested)} tests."
    for text in (meaning, *(f"Note: {note}" for note in result.notes)):
        write_line(textwrap.fill(text, WIDTH))
    write_line(textwrap.fill(result.conclusion, WIDTH))


def _row(row: CheckedCell) -> list[Any]:
    """Return the cells of one row."""
    if row.verdict == "untested":
        return [row.perturbation, f"{row.reference:.3f}", f"{row.run:.3f}", "-", "-", "-", row.verdict]
    numbers = (f"{value:.3f}" for value in (row.reference, row.run, row.drop, row.margin))
    return [row.perturbation, *numbers, f"{row.p_adjusted:.2g}", row.verdict]
