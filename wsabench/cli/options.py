"""Options that several commands share: each has one name, one form and one meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

_COMPLETED = ("agent", "game", "perturbation")
_SHORT = {"agent": "-a", "format": "-f", "game": "-g", "perturbation": "-p"}
Completer = Callable[[str], list[str]]
"""Takes what was begun and returns the words that it may become."""
COMPLETERS: dict[str, Completer] = {}
"""The functions that complete, by what they complete. The application fills it: commands that only read results reach
no catalogue of games."""


def completer(what: str) -> Completer:
    """Return what completes a kind of name, looked up when the shell asks.

    Args:
        what: A key of `COMPLETERS`.
    """

    def complete(incomplete: str) -> list[str]:
        return COMPLETERS[what](incomplete)

    return complete


def one(name: str, help_text: str) -> Any:
    """Return an option that names one thing: `--game NAME`.

    Args:
        name: What it is called in the singular.
        help_text: What the command does with it.
    """
    return _option(name, f"--{name}", "NAME", help_text)


def several(name: str, help_text: str) -> Any:
    """Return an option that names several things, repeated or with commas: `--games NAME,...`.

    Args:
        name: What each is called in the singular.
        help_text: What the command does with them.
    """
    return _option(name, f"--{name}s", "NAME,...", help_text)


def _option(name: str, written: str, metavar: str, help_text: str) -> Any:
    words = [written, *([_SHORT[name]] if name in _SHORT else [])]
    return typer.Option(
        *words, metavar=metavar, help=help_text, autocompletion=completer(name) if name in _COMPLETED else None
    )


def path_option(help_text: str, *words: str) -> Any:
    """Return an option that is a file or a folder.

    Args:
        help_text: Which one.
        words: Its names; none for that of the parameter.
    """
    return typer.Option(*words, metavar="PATH", help=help_text)


def root_seed(help_text: str) -> Any:
    """Return the option `--seed`, from which a command draws all that it draws.

    Args:
        help_text: What that is.
    """
    return typer.Option("--seed", min=0, metavar="NUMBER", help=help_text)


TRAIN_SEED = "It tells the training runs of an agent apart."
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Game = Annotated[str, one("game", "Game; see `wsabench list games`.")]
SUITE_HELP = "A name from `wsabench list suites`, or a TOML file."
Suite = Annotated[str, typer.Option("--suite", metavar="NAME", help=SUITE_HELP, autocompletion=completer("suite"))]
TrainSeed = Annotated[int, typer.Option("--train-seed", min=0, metavar="NUMBER", help=f"Train seed. {TRAIN_SEED}")]
Resume = Annotated[bool, typer.Option(help="Go on from what an earlier call left.")]
Track = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME,...",
        help="Tell experiment trackers what comes out: tensorboard, mlflow (./mlruns, or MLFLOW_TRACKING_URI), wandb "
        "(offline, or as WANDB_MODE says).",
    ),
]


def family_option(help_text: str) -> Any:
    """Return the option `--family`, a family of perturbations.

    Args:
        help_text: What the command does with it.
    """
    return typer.Option("--family", metavar="NAME", help=help_text, autocompletion=completer("family"))
