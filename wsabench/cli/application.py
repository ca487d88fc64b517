"""The application: its commands, and how an error becomes one message and an exit code.

Importing it loads no torch and no emulator; each command imports what it needs when it runs.
"""

from __future__ import annotations

import errno
import faulthandler
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import lru_cache
from typing import Annotated, Any

import typer

from wsabench import __version__
from wsabench.cli import (
    bench,
    check,
    doctor,
    gallery,
    listing,
    migrate,
    options,
    power,
    pretrain,
    probe,
    record,
    report,
    run,
    show,
    train,
)
from wsabench.cli.agents import fetch
from wsabench.cli.grammar import completion
from wsabench.cli.grammar.command import GrammarCommand
from wsabench.cli.leaderboard import site, submit, verify
from wsabench.cli.running import merge
from wsabench.cli.terminal.console import clean_up_terminal, open_standard_streams, write_error
from wsabench.cli.terminal.stopping import Stop, end_soon, leave, stopping
from wsabench.errors import OwnCodeError, WsabenchError

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
_PLAYING = ("run", "record", "check")
"""Commands that play: Ctrl-C and SIGTERM end them within seconds, whatever agents do."""

# The usage error of click, or of the copy of click inside newer releases of Typer, which has no public name.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name="wsabench",
    help="How robust is a game-playing agent? A bench of perturbed Atari games with sound statistics.",
    epilog="Example: wsabench run --suite color-shift --profile quick",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)

options.COMPLETERS.update(completion.COMPLETERS)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wsabench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error (allowed anywhere).")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that hold for every command; `main` has taken --debug out already."""


app.command("list", cls=GrammarCommand, help=listing.HELP, epilog=listing.EXAMPLE)(listing.list_names)
app.command("show", cls=GrammarCommand, help=show.HELP, epilog=show.EXAMPLE)(show.show)
app.command("run", cls=GrammarCommand, help=run.HELP, epilog=run.EXAMPLE)(run.run)
app.command("merge", cls=GrammarCommand, help=merge.HELP, epilog=merge.EXAMPLE)(merge.merge)
app.command("report", cls=GrammarCommand, help=report.HELP, epilog=report.EXAMPLE)(report.report)
app.command("power", cls=GrammarCommand, help=power.HELP, epilog=power.EXAMPLE)(power.power)
app.command("check", cls=GrammarCommand, help=check.HELP, epilog=check.EXAMPLE)(check.check)
app.command("submit", cls=GrammarCommand, help=submit.HELP, epilog=submit.EXAMPLE)(submit.submit)
app.command("verify", cls=GrammarCommand, help=verify.HELP, epilog=verify.EXAMPLE)(verify.verify)
app.command("leaderboard", cls=GrammarCommand, help=site.HELP, epilog=site.EXAMPLE)(site.leaderboard)
app.command("migrate", cls=GrammarCommand, help=migrate.HELP, epilog=migrate.EXAMPLE)(migrate.migrate)
app.command("pretrain", cls=GrammarCommand, help=pretrain.HELP, epilog=pretrain.EXAMPLE)(pretrain.pretrain)
app.command("probe", cls=GrammarCommand, help=probe.HELP, epilog=probe.EXAMPLE)(probe.probe)
app.command("train", cls=GrammarCommand, help=train.HELP, epilog=train.EXAMPLE)(train.train)
app.add_typer(fetch.app, name="agents", help=fetch.HELP, epilog=fetch.EXAMPLE)
app.command("gallery", cls=GrammarCommand, help=gallery.HELP, epilog=gallery.EXAMPLE)(gallery.gallery)
app.command("record", cls=GrammarCommand, help=record.HELP, epilog=record.EXAMPLE)(record.record)
app.add_typer(bench.app, name="bench", help=bench.HELP, epilog=bench.EXAMPLE)
app.command("doctor", cls=GrammarCommand, help=doctor.HELP, epilog=doctor.EXAMPLE)(doctor.doctor)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code.

    Args:
        arguments: The words after `wsabench`; None takes those of the process.

    Returns:
        0 fine; 1 a check failed; 2 bad input (one message, no traceback unless `--debug`); 130 interrupted,
        143 terminated.
    """
    open_standard_streams()
    if not faulthandler.is_enabled():
        faulthandler.enable(2)  # code of a user that plays in this process may end it: then it is said where
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    plays = next((word for word in words if not word.startswith("-")), "") in _PLAYING
    with stopping() if plays else nullcontext(Stop()) as stop:
        stop.keeps = "--dry-run" not in words
        code = _run(words, debug, stop)
        if arguments is None:
            if stop.number is not None:
                leave(code)  # the interpreter takes its time to clear away what ends with the process
            end_soon(code)
        return code


def _run(words: list[str], debug: bool, stop: Stop) -> int:
    """Run a command and return the exit code."""
    try:
        code = _command(app)(words or ["--help"], prog_name="wsabench", standalone_mode=False)
    except _UsageError as error:
        code = _refuse(_usage_text(error), error, debug)
    except WsabenchError as error:
        more = " --debug shows the traceback." if isinstance(error, OwnCodeError) and not debug else ""
        code = _refuse(f"{error}{more}", error, debug)
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        code = _refuse(_system_text(error), error, debug)
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    if code == EXIT_INTERRUPTED:
        clean_up_terminal()
        write_error(stop.message)
        return stop.exit_code
    return code if isinstance(code, int) else 0


@lru_cache(maxsize=1)
def _command(application: typer.Typer) -> Callable[..., Any]:
    """Return an application as one command, which takes longer to build than most commands take to run."""
    return typer.main.get_command(application)


def _refuse(text: str, error: Exception, debug: bool) -> int:
    """Show one message, with `debug` the traceback before it, and return the code for bad input."""
    clean_up_terminal()
    if debug:
        traceback.print_exception(error)
    write_error(f"error: {text}")
    return EXIT_BAD_INPUT


def _usage_text(error: Exception) -> str:
    """Return a usage error's message, with the command that explains the usage."""
    message = getattr(error, "format_message", error.__str__)().strip()
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "wsabench"
    end = "" if message.endswith((".", "?", "!")) else "."
    return f"{message}{end} See `{path} --help`."


def _system_text(error: OSError) -> str:
    """Return what the operating system refused; failed writes of ours are `StorageError` and say what helps."""
    place = f": {error.filename}" if error.filename else ""
    return f"{error.strerror or error}{place}. Add --debug to the command to see where it happened."
