"""`wsabench verify`: episodes of a run or an entry are played again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wsabench.cli.agent_options import AllowDownload, Trust
from wsabench.cli.options import Json, root_seed
from wsabench.cli.terminal.console import filled, plain, write_json, write_line, write_table
from wsabench.cli.terminal.own_code import own_code
from wsabench.cli.terminal.progress import progress_reporter
from wsabench.words import counted

if TYPE_CHECKING:
    from wsabench.leaderboard.verifying import Verification

HELP = "Play episodes of a run or an entry again, and recompute every number."
EXAMPLE = "Example: wsabench verify results/leaderboard/smoke-v1-e2e.json --sample 20"

_CHECKPOINT = (
    "Where the agent is now, as for `run --agents` (sb3:PATH.zip and so on); {game} and {train_seed} in it stand for "
    "those of each network. NAME=PATH where there are several agents; may be repeated."
)
_TIMEOUT = (
    "Seconds without a step after which an agent with code of its own is ended, and cannot be checked; five times as "
    "many until its first step. 0: wait for ever."
)
_MOST_LISTED = 10


def verify(
    target: Annotated[Path, typer.Argument(metavar="RUN|FILE", help="A run's directory, or an entry's JSON file.")],
    sample: Annotated[int, typer.Option(min=1, help="Episodes that are played again, at most.")] = 20,
    seed: Annotated[int, root_seed("Of the sample.")] = 0,
    checkpoints: Annotated[list[str] | None, typer.Option("--checkpoint", metavar="PLACE", help=_CHECKPOINT)] = None,
    worker_timeout: Annotated[float, typer.Option(min=0, metavar="SECONDS", help=_TIMEOUT)] = 120.0,
    trust: Trust = False,
    allow_download: AllowDownload = False,
    as_json: Json = False,
) -> int:
    """Return 0 where episodes are equal, or, where bits cannot be compared, means are not told apart; else 1."""
    from wsabench.leaderboard.verifying import verify as verify_target
    from wsabench.types import Permissions

    with own_code(_references(target, checkpoints or ())), progress_reporter(quiet=as_json) as reporter:
        found = verify_target(
            target,
            sample=sample,
            seed=seed,
            checkpoints=checkpoints or (),
            permissions=Permissions(trust, allow_download),
            worker_timeout=worker_timeout,
            advance=_starting(reporter),
            note=reporter.warn,
        )
    if as_json:
        write_json(_content(found))
    else:
        _write(found)
    return found.exit_code


def _references(target: Path, checkpoints: Iterable[str]) -> list[str]:
    """Return whom a verification may play: what the user names and, of a run, what it played."""
    from wsabench.resources import expanded
    from wsabench.results.manifest import read_manifest

    path = expanded(target)
    played = read_manifest(path).plan.agents if path.is_dir() else ()
    return [*checkpoints, *(one.source for one in played)]


def _starting(reporter: Any) -> Callable[[int], None]:
    """Return what hears of steps; the display starts with the first ones, so that a bad target gets one message."""
    has_started = False

    def advance(count: int) -> None:
        nonlocal has_started
        if not has_started:
            reporter.start("Play again", None, "step")
            has_started = True
        reporter.advance(count)

    return advance


def _content(found: Verification) -> dict[str, Any]:
    """Return what was found, for machines."""
    return {
        "target": found.target,
        "kind": found.kind,
        "suite": found.suite,
        "verdict": found.verdict,
        "conclusion": conclusion(found),
        "comparable": not found.obstacles,
        "environment": found.obstacles,
        "num_episodes": found.num_episodes,
        "num_replayed": len(found.sample),
        "share_equal": found.share_equal,
        "seed": found.seed,
        "means": None if found.means is None else found.means._asdict(),
        "problems": found.problems,
        "unequal": [
            {
                "episode": one.describe(),
                "differences": one.differences,
                "stated": one.stated._asdict(),
                "found": one.found._asdict(),
            }
            for one in found.unequal
        ],
        "numbers": plain(found.numbers),
    }


def _write(found: Verification) -> None:
    """Print the numbers, what differs, and the conclusion."""
    columns = ("agent", "scope", "measure", "value", "low", "high")
    words = {"all perturbations": "perturbed", "normalised_score": "score"}
    means = [row for row in found.numbers if row["metric"] == "mean"]
    rows = [[words.get(row[name], row[name]) for name in columns] for row in means]
    write_table(
        f"{found.target}: {found.suite}, recomputed from {counted(found.num_episodes, 'episode')}", columns, rows
    )
    write_line()
    unequal = [f"{one.describe()}: {'; '.join(one.differences)}." for one in found.unequal]
    for text in (*found.problems, *unequal[:_MOST_LISTED]):
        write_line(filled(text, "  "))
    if len(unequal) > _MOST_LISTED:
        write_line(f"and {counted(len(unequal) - _MOST_LISTED, 'more episode')}.")
    write_line(filled(conclusion(found)))


def conclusion(found: Verification) -> str:
    """Return what was found as sentences."""
    played = len(found.sample)
    again = "episode" if played == 1 else "episodes"
    equal = f"{played - len(found.unequal)} of {played} {again} played again {'is' if played == 1 else 'are'} equal"
    equal += f" ({found.share_equal:.0%})"
    problems = f"{counted(len(found.problems), 'problem')} in the files. " if found.problems else ""
    verdict = "Differs" if found.verdict == "differs" else "Fine"
    if found.means is None:
        return f"{verdict}. {problems}{equal}, compared to the bit."
    means = found.means
    told = "told apart" if means.tells_apart else "not told apart"
    few = "" if means.can_tell else " So few episodes can tell nothing apart: take a larger --sample."
    return (
        f"{verdict}. {problems}Not comparable to the bit: {'; '.join(found.obstacles)}. {equal}. The means are "
        f"{told}: found minus stated {means.difference:+.3g} in normalised score, p = {means.p:.2g} (paired sign-flip "
        f"test).{few}"
    )
