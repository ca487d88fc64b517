"""Tables for papers: LaTeX with the packages booktabs and graphicx."""

from __future__ import annotations

import re
import textwrap

from wsabench.report.tables.text import Table

_LONG = 40
"""Tables with more rows go over pages."""
_LONG_TEXT = 24
"""Characters; longer texts may be broken into lines."""
_NORMAL_CHARACTERS, _SMALL_CHARACTERS = 92, 136
"""What stands beside each other in two journal columns (6.8 inches), in the text's size (10 pt) and in 8 pt."""
_SEPARATION = 1.5
"""Characters between columns."""
_NO_WIDER = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
"""Narrower pages get a smaller table instead of one that runs off."""
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "\u2212": r"$-$",
    "\u2013": r"--",
    "†": r"$^\dagger$",
    "\u00a7": r"\S{}",
    "τ": r"$\tau$",
}
_OPENING_QUOTE = re.compile(r"(?<!\S)'")
_FIRST_NUMBER = re.compile(r"^\S+")


def latex(table: Table) -> str:
    """Return a table in LaTeX: `table` with booktabs rules, or `longtable` where it has more than 40 rows.

    What is wider than two journal columns becomes small; what is wider still is stacked in parts that repeat the names.

    Args:
        table: Title and caption become the caption; entries with a claim are bold, their intervals are not.

    Returns:
        Text for `input`; the packages it needs stand in its first line.
    """
    caption = escape(f"{table.title}. {table.caption}".strip())
    label = rf"\label{{tab:{table.name}}}"
    widths = _column_widths(table)
    is_small = sum(widths) + len(widths) * _SEPARATION > _NORMAL_CHARACTERS
    parts = _parts(table, widths)
    before = [r"\footnotesize\setlength{\tabcolsep}{3pt}"] if is_small else []
    if len(table.rows) > _LONG:
        lines = [r"% Needs \usepackage{booktabs} and \usepackage{longtable}.", r"\begingroup", *before]
        for number, part in enumerate(parts):
            title = (
                rf"\caption{{{caption}}}{label}" if number == 0 else rf"\caption[]{{{escape(table.title)}, continued}}"
            )
            lines += [
                rf"\begin{{longtable}}{{{_alignment(table, part)}}}",
                rf"{title} \\",
                rf"\toprule {_head(table, part, widths)} \midrule \endfirsthead",
                rf"\toprule {_head(table, part, widths)} \midrule \endhead",
                r"\bottomrule \endfoot",
                *_body(table, part, widths),
                r"\end{longtable}",
                *([r"\addtocounter{table}{-1}"] if number + 1 < len(parts) else []),
            ]
        lines.append(r"\endgroup")
    else:
        lines = [
            r"% Needs \usepackage{booktabs} and \usepackage{graphicx}.",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}{label}",
            r"\smallskip",  # the class `article` leaves no room below a caption
            *before,
        ]
        for number, part in enumerate(parts):
            lines += [
                *([r"\par\medskip"] if number else []),
                _NO_WIDER,
                rf"\begin{{tabular}}{{{_alignment(table, part)}}}",
                r"\toprule",
                _head(table, part, widths),
                r"\midrule",
                *_body(table, part, widths),
                r"\bottomrule",
                r"\end{tabular}}",
            ]
        lines.append(r"\end{table}")
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Return plain text as LaTeX writes it.

    Args:
        text: Any text; what LaTeX would read as a command is quoted.
    """
    quoted = _OPENING_QUOTE.sub("`", text)
    return "".join(_SPECIAL.get(character, character) for character in quoted)


def _column_widths(table: Table) -> list[int]:
    """Return the characters that each column takes; one column of long texts gets what the others leave."""
    widths: list[int] = []
    for place, name in enumerate(table.columns):
        cells = max((len(row[place]) for row in table.rows), default=0)
        widths.append(max(cells, *(len(word) for word in name.split(" "))))
    is_long = [
        width > _LONG_TEXT and any(character.isalpha() for row in table.rows for character in row[place])
        for place, width in enumerate(widths)
    ]
    if any(is_long):
        used = sum(width for width, long in zip(widths, is_long, strict=True) if not long)
        room = int((_SMALL_CHARACTERS - used - len(widths) * _SEPARATION) / sum(is_long))
        widths = [min(w, max(_LONG_TEXT, room)) if long else w for w, long in zip(widths, is_long, strict=True)]
    return widths


def _parts(table: Table, widths: list[int]) -> list[list[int]]:
    """Divide the columns of numbers among parts no wider than two journal columns; each has all names."""
    names = list(range(table.num_text_columns))
    parts: list[list[int]] = [list(names)]
    for place in range(table.num_text_columns, len(widths)):
        grown = [*parts[-1], place]
        is_too_wide = sum(widths[column] + _SEPARATION for column in grown) > _SMALL_CHARACTERS
        if is_too_wide and len(parts[-1]) > len(names):
            parts.append([*names, place])
        else:
            parts[-1] = grown
    return parts


def _alignment(table: Table, part: list[int]) -> str:
    return "".join("l" if column < table.num_text_columns else "r" for column in part)


def _head(table: Table, part: list[int], widths: list[int]) -> str:
    """Return the head; names longer than their column stand in several lines."""
    cells: list[str] = []
    for column in part:
        lines = textwrap.wrap(table.columns[column], widths[column], break_long_words=False) or [""]
        side = "l" if column < table.num_text_columns else "r"
        text = r" \\ ".join(escape(line) for line in lines)
        cells.append(text if len(lines) == 1 else rf"\begin{{tabular}}[b]{{@{{}}{side}@{{}}}}{text}\end{{tabular}}")
    return " & ".join(cells) + r" \\"


def _body(table: Table, part: list[int], widths: list[int]) -> list[str]:
    return [_line(table, row, part, widths) for row in range(len(table.rows))]


def _line(table: Table, row: int, part: list[int], widths: list[int]) -> str:
    """Return one row; a first name that repeats the row above is left blank."""
    cells: list[str] = []
    for column in part:
        text = table.rows[row][column]
        cell = escape(text)
        if (row, column) in table.bold:
            cell = _FIRST_NUMBER.sub(lambda found: rf"\textbf{{{found[0]}}}", cell)
        if len(text) > widths[column]:
            ragged = r"\raggedright" if column < table.num_text_columns else r"\raggedleft"
            cell = rf"\parbox[t]{{{0.45 * widths[column]:.1f}em}}{{{ragged} {cell}\strut}}"
        cells.append(cell)
    if table.num_text_columns > 1 and row and table.rows[row - 1][0] == table.rows[row][0]:
        cells[0] = ""
    if cells[0].startswith("["):
        cells[0] = f"{{}}{cells[0]}"  # a bracket after a line end would be read as its optional argument
    return " & ".join(cells) + r" \\"
