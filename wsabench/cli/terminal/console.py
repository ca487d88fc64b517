"""What the commands print: tables in 80 columns, JSON, messages on standard error."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from wsabench.errors import SpecError

WIDTH = 80
_LONGEST_WORD = 36
"""Longer words of a table, paths for the most part, are broken where there is no room."""
_GAP = 3
"""Characters between two columns."""


def write_error(text: str) -> None:
    """Write one message to standard error."""
    typer.echo(f"wsabench: {text}", err=True)


def open_standard_streams() -> None:
    """Let what is written to a closed standard stream go nowhere, and what a stream cannot show be escaped.

    Without this, the next file that is opened takes the stream's number, and messages of libraries end up in it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            handle = os.open(os.devnull, os.O_RDWR)
            if handle != number:
                os.dup2(handle, number)
                os.close(handle)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if name == "stdin" else "w", closefd=False))  # noqa: SIM115 - to the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")  # names of files may hold bytes that are no text


def clean_up_terminal() -> None:
    """Show the cursor again and end the line, if an interrupted progress display left them."""
    if sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h\r")
        sys.stderr.flush()


def write_line(text: str = "") -> None:
    """Write one line of plain text to standard output."""
    typer.echo(text)


def write_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], note: str = "") -> None:
    """Write a table no wider than 80 columns; numbers stand right, long words are folded.

    Args:
        title: Stands above the table.
        columns: Headings.
        rows: The values of each row; floats are shown with three significant digits or more, None and NaN as "-".
        note: Stands below the table.
    """
    body = [list(row) for row in rows]
    texts = [[value_text(cell) for cell in row] for row in body]
    console = _console()
    widths = _column_widths(columns, texts, console.width)
    write_line(filled(title))
    if widths is None:
        for row in texts:
            for heading, text in zip(columns, row, strict=True):
                write_line(filled(f"{heading}: {text}", "  "))
            write_line()
    else:
        numeric = [any(isinstance(row[index], int | float) for row in body) for index in range(len(columns))]
        for line in _drawn(console, columns, texts, widths, numeric):
            write_line(line.rstrip())
    if note:
        write_line(filled(note))


def _drawn(
    console: Any, columns: Sequence[str], texts: list[list[str]], widths: list[int], numeric: list[bool]
) -> list[str]:
    """Return the lines of a table."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column, width, is_number in zip(columns, widths, numeric, strict=True):
        table.add_column(column, justify="right" if is_number else "left", overflow="fold", width=width)
    for row in texts:
        table.add_row(*[Text(text) for text in row])
    with console.capture() as capture:
        console.print(table)
    return capture.get().splitlines()


def _column_widths(columns: Sequence[str], texts: list[list[str]], width: int) -> list[int] | None:
    """Return widths that break no word but paths and the like; None where there is no room for that."""
    from rich.cells import cell_len

    cells = [[heading, *(row[index] for row in texts)] for index, heading in enumerate(columns)]
    fitting = [max(max(map(cell_len, text.splitlines()), default=0) for text in column) for column in cells]
    words = [max((cell_len(word) for text in column for word in text.split()), default=0) for column in cells]
    widths = [min(word, _LONGEST_WORD) for word in words]
    room = width - _GAP * (len(columns) - 1) - sum(widths)
    if room < 0:
        return None
    waiting = sorted(range(len(columns)), key=lambda index: fitting[index] - widths[index])
    for count, index in enumerate(waiting):
        more = min(fitting[index] - widths[index], room // (len(waiting) - count))
        widths[index] += more
        room -= more
    return widths


def value_text(value: Any) -> str:
    """Return a value as tables show it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if abs(value) < 100:
            return f"{value:.3g}"
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}".removesuffix(".0")
    return str(value)


def write_json(value: Any) -> None:
    """Write one JSON value; what is not a number (NaN) becomes null."""
    typer.echo(json.dumps(plain(value), indent=2, ensure_ascii=False))


def plain(value: Any) -> Any:
    """Return `value` as plain JSON types: dataclasses as objects, arrays as lists, NaN and infinities as null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, str | bool) or value is None:
        return value
    if isinstance(value, Path):
        return str(value)
    if callable(to_list := getattr(value, "tolist", None)):
        return plain(to_list())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    return str(value)


def filled(text: str, indent: str = "", taken: int = 0) -> str:
    """Return a paragraph in lines of 80 columns, or of the terminal's if it is narrower; no word is broken.

    Args:
        text: The paragraph.
        indent: Stands before every line but the first.
        taken: Columns of the first line that are taken.
    """
    lines = textwrap.wrap(
        text,
        _console().width,
        initial_indent=" " * taken,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)[taken:]


def split_names(values: Sequence[str] | None) -> list[str] | None:
    """Return the names given by repeated options, each of which may hold several separated by commas; None if none."""
    names = [name.strip() for value in values or () for name in value.split(",") if name.strip()]
    return names or None


def _console() -> Any:
    """Return a console on standard output, at most 80 columns wide."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=False)
    return console if console.width <= WIDTH else Console(highlight=False, width=WIDTH)


def parse_integers(option: str, words: Sequence[str], least: int = 0) -> tuple[int, ...]:
    """Return the words as numbers.

    Raises:
        SpecError: A word is no whole number from `least`.
    """
    for word in words:
        if not (word.strip().isascii() and word.strip().isdigit() and int(word) >= least):
            raise SpecError(
                f"{option} holds {word!r}. Allowed: whole numbers from {least}, separated by commas, as in "
                f"{least},{least + 1}."
            )
    return tuple(int(word) for word in words)
