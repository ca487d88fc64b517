"""Tables for papers: LaTeX with the package booktabs."""

from __future__ import annotations

import re

from wsabench.report.tables import Table

_LONG = 40
"""Tables with more rows go over pages."""
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
_FIRST_NUMBER = re.compile(r"^\S+")


def latex(table: Table) -> str:
    """Return a table in LaTeX: `table` with booktabs rules, or `longtable` where it has more than 40 rows.

    Args:
        table: Title and caption become the caption; cells with a claim are bold, their intervals are not.

    Returns:
        Text for `input`; the packages it needs stand in its first line.
    """
    columns = "l" * table.num_text_columns + "r" * (len(table.columns) - table.num_text_columns)
    header = " & ".join(escape(name) for name in table.columns) + r" \\"
    body = [_line(table, place) for place in range(len(table.rows))]
    caption = escape(f"{table.title}. {table.caption}".strip())
    label = rf"\label{{tab:{table.name}}}"
    if len(table.rows) > _LONG:
        lines = [
            r"% Needs \usepackage{booktabs} and \usepackage{longtable}.",
            rf"\begin{{longtable}}{{{columns}}}",
            rf"\caption{{{caption}}}{label} \\",
            rf"\toprule {header} \midrule \endfirsthead",
            rf"\toprule {header} \midrule \endhead",
            r"\bottomrule \endfoot",
            *body,
            r"\end{longtable}",
        ]
    else:
        lines = [
            r"% Needs \usepackage{booktabs}.",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}{label}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            header,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Return plain text as LaTeX writes it.

    Args:
        text: Any text; what LaTeX would read as a command is quoted.
    """
    return "".join(_SPECIAL.get(character, character) for character in text)


def _line(table: Table, row: int) -> str:
    """Return one row; a first name that repeats the row above is left blank."""
    cells = [escape(cell) for cell in table.rows[row]]
    for column in range(len(cells)):
        if (row, column) in table.bold:
            cells[column] = _FIRST_NUMBER.sub(lambda found: rf"\textbf{{{found[0]}}}", cells[column])
    if table.num_text_columns > 1 and row and table.rows[row - 1][0] == table.rows[row][0]:
        cells[0] = ""
    if cells[0].startswith("["):
        cells[0] = f"{{}}{cells[0]}"  # a bracket after a line end would be read as its optional argument
    return " & ".join(cells) + r" \\"
