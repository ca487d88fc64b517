"""Code of a user that ends the program while it is imported or called."""

from __future__ import annotations

import os
import sys
import time

import pytest

from wsabench.agents import exits
from wsabench.agents.exits import exits_raised


def write(*lines: str) -> None:
    """Print lines as user code does."""
    for line in lines:
        sys.stderr.write(f"{line}\n")


def leave(error: BaseException, *printed: str) -> None:
    """Print something and fail, as code of a user."""
    with exits_raised():
        write(*printed)
        raise error


def ended(code: object, *printed: str) -> SystemExit:
    """What comes of code that prints and ends the program."""
    with pytest.raises(SystemExit) as caught:
        leave(SystemExit(code), *printed)
    return caught.value


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        (["usage: x [-h]", "x: error: unrecognized arguments: --lr"], "2, unrecognized arguments: --lr"),
        (["Usage: x [OPTIONS]", "Try 'x --help' for help.", "", "Error: No such option: -a"], "2, No such option: -a"),
        (["╭─ Error ─╮", "│ \x1b[1mNo such option\x1b[0m: -a │", "╰─────────╯"], "2, No such option: -a"),
        ([], "2"),
    ],
)
def test_the_last_line_is_said_and_nothing_printed(
    printed: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sys.stderr
    error = ended(2, *printed)
    assert (str(error), error.code) == (said, said)
    assert (error.__cause__ is None) == (not printed)
    if printed:
        assert str(error.__cause__) == "\n".join(printed)
    assert capsys.readouterr().err == ""
    assert sys.stderr is before


def test_a_long_farewell_is_one_short_line() -> None:
    text = str(ended("Usage:\n  train.py " + "[--option] " * 100))
    assert text.startswith("Usage: train.py [--option]")
    assert len(text) <= 200
    assert "\n" not in text


def test_what_code_prints_that_goes_on_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with exits_raised():
        write("loading")
        kept = sys.stderr  # as a handler of logs keeps it
    assert capsys.readouterr().err == "loading\n"
    kept.write("later\n")
    assert capsys.readouterr().err == "later\n"
    with pytest.raises(ValueError, match="no"):
        leave(ValueError("no"), "a hint")
    assert capsys.readouterr().err == "a hint\n"


def test_code_that_takes_long_is_heard(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exits, "_SECONDS", 0.01)

    def load_and_leave() -> None:
        with exits_raised():
            write("loading")
            deadline = time.monotonic() + 20
            while not (heard := capsys.readouterr().err) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert heard == "loading\n"
            monkeypatch.setattr(exits, "_SECONDS", 60.0)
            write("bad")
            sys.exit(2)

    with pytest.raises(SystemExit, match=r"^2, bad$"):
        load_and_leave()
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forks beside threads
def test_a_forked_process_prints_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    with exits_raised():
        if (child := os.fork()) == 0:
            write("from the child")
            sys.stderr.flush()
            os._exit(0)
        os.waitpid(child, 0)
        assert capfd.readouterr().err == "from the child\n"
