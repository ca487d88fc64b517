"""How errors become one message and an exit code, and what every command has."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import typer

from wsabench import __version__
from wsabench.cli import app, main
from wsabench.errors import SpecError

COMMANDS = (
    "list",
    "show",
    "run",
    "record",
    "report",
    "check",
    "submit",
    "verify",
    "leaderboard",
    "merge",
    "migrate",
    "pretrain",
    "probe",
    "train",
    "gallery",
    "agents",
    "bench",
    "doctor",
    "power",
)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], list[str]]:
    """Make `wsabench list` raise, and return the words that call it."""

    def arrange(error: BaseException) -> list[str]:
        def raise_it() -> None:
            raise error

        replacement = typer.Typer()
        replacement.command("list")(raise_it)
        replacement.callback()(lambda: None)
        monkeypatch.setattr("wsabench.cli.application.app", replacement)
        return ["list"]

    return arrange


def test_a_users_mistake_is_one_line_and_code_2(
    failing: Callable[[BaseException], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(failing(SpecError("The severity is 7. Allowed: 1 to 5."))) == 2
    assert capsys.readouterr().err == "wsabench: error: The severity is 7. Allowed: 1 to 5.\n"


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOSPC, errno.ECONNRESET])
def test_an_error_of_the_system_is_one_line_and_code_2_without_guesses(
    failing: Callable[[BaseException], list[str]], capsys: pytest.CaptureFixture[str], number: int
) -> None:
    error = OSError(number, os.strerror(number), "some/weights.pt")
    assert main(failing(error)) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"wsabench: error: {os.strerror(number)}: some/weights.pt. ")
    assert "--debug" in message
    assert "Free" not in message, "where it was raised is not known to be a write of ours"
    assert message.count("\n") == 1


def test_an_interruption_is_code_130_and_says_that_work_is_kept(
    failing: Callable[[BaseException], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(failing(KeyboardInterrupt())) == 130
    assert "What was finished, if anything, is kept" in capsys.readouterr().err


def test_an_interrupted_dry_run_promises_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(dry_run: bool = False) -> None:
        raise KeyboardInterrupt

    replacement = typer.Typer()
    replacement.command("run")(interrupted)
    replacement.callback()(lambda: None)
    monkeypatch.setattr("wsabench.cli.application.app", replacement)
    assert main(["run", "--dry-run"]) == 130
    assert capsys.readouterr().err == "wsabench: interrupted. A dry run keeps nothing.\n"


def test_debug_shows_the_traceback_wherever_it_stands_and_keeps_the_code(
    failing: Callable[[BaseException], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    words = failing(SpecError("The severity is 7."))
    for given in ([*words, "--debug"], ["--debug", *words]):
        assert main(given) == 2
        told = capsys.readouterr().err
        assert told.startswith("Traceback ")
        assert told.endswith("wsabench.errors.SpecError: The severity is 7.\nwsabench: error: The severity is 7.\n")


def test_a_fault_of_the_program_is_not_hidden(failing: Callable[[BaseException], list[str]]) -> None:
    words = failing(ZeroDivisionError("ours"))
    with pytest.raises(ZeroDivisionError, match="ours"):
        main(words)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["lst"], "No such command 'lst'. Did you mean 'list'? See `wsabench --help`."),
        (["run", "--epsodes", "3"], "No such option: --epsodes"),
        (["run", "--episodes", "0"], "Invalid value for '--episodes': "),
        (["report"], "Missing argument 'RUN_DIR...'. See `wsabench report --help`."),
        (["bench"], "Missing command. See `wsabench bench --help`."),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"wsabench: error: {text}")
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    "command", [[], *([name] for name in COMMANDS), *(["bench", b] for b in ("env", "encode", "train", "stats"))]
)
def test_every_command_has_help_with_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Example: wsabench" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_the_commands_are_those_of_the_design() -> None:
    names = {info.name for info in app.registered_commands} | {group.name for group in app.registered_groups}
    assert names == set(COMMANDS)


def test_version_and_help_without_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"wsabench {__version__}\n"
    assert main([]) == 0
    assert "Usage: wsabench" in capsys.readouterr().out


def test_the_package_runs_as_a_module():
    command = [sys.executable, "-m", "wsabench", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith("wsabench ")
