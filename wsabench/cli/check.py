"""`wsabench check`: a run against a reference, for CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wsabench.cli.agent_options import AllowDownload, Trust
from wsabench.cli.options import Json, root_seed, several
from wsabench.cli.terminal.console import (
    filled,
    parse_integers,
    plain,
    split_names,
    write_json,
    write_line,
    write_table,
)
from wsabench.errors import SpecError

if TYPE_CHECKING:
    from wsabench.gate.outcome import CheckedCell, CheckResult

HELP = "Fail when an agent got less robust than in a reference run."
EXAMPLE = "Example: wsabench check runs/new --against results/smoke --junit gate.xml"

_AGENTS = "Agents of the reference that are judged. Default: all."
_SEQUENTIAL = (
    "Go on playing RUN, look by look, until a drop is shown or unlikely to be shown. RUN holds the episodes of the "
    "first look."
)
_LOOKS = "With --sequential: episodes of each job at each look, at most 4. Default: 6,11,16,22."
_WORKERS = "With --sequential: processes; default: one per core."
_MARGIN = "Share of the reference's normalised score that may be lost."


def check(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="Result set that is judged.")],
    against: Annotated[Path, typer.Option(metavar="REFERENCE", help="Result set it is held against.")],
    agents: Annotated[list[str] | None, several("agent", _AGENTS)] = None,
    margin: Annotated[float, typer.Option(help=_MARGIN)] = 0.2,
    alpha: Annotated[float, typer.Option(help="Probability of any false alarm, at most.")] = 0.05,
    strict: Annotated[bool, typer.Option("--strict", help="Fail where a larger drop is not ruled out, too.")] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a summary in Markdown.")] = None,
    badge: Annotated[Path | None, typer.Option(metavar="FILE", help="Write an SVG badge of the outcome.")] = None,
    seed: Annotated[int, root_seed("Of the permutations.")] = 0,
    sequential: Annotated[bool, typer.Option("--sequential", help=_SEQUENTIAL)] = False,
    looks: Annotated[list[str] | None, typer.Option(metavar="NUMBER,...", help=_LOOKS)] = None,
    workers: Annotated[int | None, typer.Option(min=0, help=_WORKERS)] = None,
    trust: Trust = False,
    allow_download: AllowDownload = False,
    as_json: Json = False,
) -> int:
    """Compare cell by cell and overall; return 0 for no regression, 1 for a regression, 2 where nobody can tell."""
    from wsabench.gate.formats import junit_xml, markdown_summary
    from wsabench.resources import write_text

    options = {"agents": split_names(agents), "margin": margin, "strict": strict, "seed": seed}
    if sequential:
        from wsabench.cli.terminal.looks import play_looks
        from wsabench.gate.sequential import SequentialCheck
        from wsabench.stats.sequential import Design
        from wsabench.types import Permissions

        design = Design(looks=parse_integers("--looks", split_names(looks) or ()) or Design().looks, alpha=alpha)
        check_of_run = SequentialCheck(run_dir, against, design, **options)
        result = play_looks(check_of_run, workers, Permissions(trust, allow_download))
    else:
        from wsabench.gate.check import check_runs

        _refuse_options_of_looks(looks=looks, workers=workers, allow_download=allow_download)
        result = check_runs(run_dir, against, alpha=alpha, **options)
    if junit is not None:
        write_text(junit, junit_xml(result))
    if markdown is not None:
        write_text(markdown, markdown_summary(result))
    if badge is not None:
        from wsabench.report.badge import badge_svg, check_badge

        write_text(badge, badge_svg(check_badge(result)))
    if as_json:
        saved = {} if result.looks is None else {"share_of_fixed": result.looks.share}
        write_json(plain(result) | {"passed": result.passed, "conclusion": result.conclusion} | saved)
    else:
        _write_result(result)
    return result.exit_code


def _refuse_options_of_looks(**options: Any) -> None:
    """Refuse options that say how to play, where nothing is played."""
    for name, value in options.items():
        if value:
            option = "--" + name.replace("_", "-")
            raise SpecError(f"{option} belongs to --sequential. Give both, or leave {option} out: nothing is played.")


def _write_result(result: CheckResult) -> None:
    """Print a table for each agent and game, the notes and the conclusion."""
    groups: dict[tuple[str, str], list[CheckedCell]] = {}
    for row in result.rows:
        groups.setdefault((row.agent_shown, row.game), []).append(row)
    for (agent, game), rows in groups.items():
        columns = ["cell", "ref.", "run", "drop", "margin", "p", "verdict"]
        write_table(f"{agent} on {game}", columns, [_row(row) for row in rows])
        write_line()
    if result.looks is not None:
        rows = [[one.episodes, one.played, one.smallest_p, one.hope, one.outcome] for one in result.looks.taken]
        columns = ["episodes", "played", "smallest p", "hope", "verdict"]
        write_table("Looks", columns, rows, "hope: largest chance of a test to alarm by the last look.")
        write_line()
    for text in (f"Normalised scores. {result.meaning}", *(f"Note: {note}" for note in result.notes)):
        write_line(filled(text))
    write_line(filled(result.conclusion))


def _row(row: CheckedCell) -> list[Any]:
    """Return the values of one row of a table."""
    if row.verdict == "untested":
        return [row.perturbation, f"{row.reference:.3f}", f"{row.run:.3f}", "-", "-", "-", row.verdict]
    numbers = (f"{value:.3f}" for value in (row.reference, row.run, row.drop, row.margin))
    return [row.perturbation, *numbers, f"{row.p_adjusted:.2g}", row.verdict]
