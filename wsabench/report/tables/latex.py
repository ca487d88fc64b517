"""Tables and figures for papers: LaTeX with the packages booktabs and graphicx; no text is smaller than 7 points."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from dataclasses import dataclass
from typing import Literal

from wsabench.errors import unknown_name
from wsabench.report.figures.style import NamedFigure
from wsabench.report.tables.text import Table

LatexFloat = Literal["table", "table*"]
"""The LaTeX environment that holds a table."""
FLOATS: tuple[LatexFloat, ...] = ("table*", "table")
"""`table*` is 6.8 inches wide, both columns of a two-column page; `table` is 3.3 inches wide, one column."""

_WIDTH_PT = {"table*": 6.8 * 72.27, "table": 3.3 * 72.27}
"""Room for a table in TeX points."""
_LONG = 40
"""Tables with more rows go over pages."""
_NARROWEST_EM = 6.0
"""Least width of a column of texts that are broken into lines."""
_WIDEST = 0.4
"""Share of the room that a column of sentences may take among the numbers."""
_SPARE = 1.04
"""Widths are estimates: what fonts and rounding may add."""


@dataclass(frozen=True, slots=True)
class _Size:
    """A size of letters."""

    command: str
    em_pt: float
    """Width of `_em_width`'s unit: Computer Modern's letters are relatively wider where they are small."""
    separation_pt: float
    """Half of what stands between columns."""


_NORMAL = _Size("", 10.0, 6.0)
_SMALL = _Size(r"\fontsize{8}{9.5}\selectfont\setlength{\tabcolsep}{3pt}", 8.5, 3.0)
_SMALLEST = _Size(r"\fontsize{7}{8.5}\selectfont\setlength{\tabcolsep}{2.5pt}", 8.0, 2.5)
_SIZES = (_NORMAL, _SMALL, _SMALLEST)

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
    "`": r"\textasciigrave{}",
    '"': "''",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    "\u00a0": "~",
    "\u2212": r"$-$",
    "\u2013": r"--",
    "\u2026": r"\dots{}",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "\u00a7": r"\S{}",
}
_SMALL_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa mu nu xi pi rho sigma tau upsilon phi chi psi omega"
)
_CAPITAL_GREEK = "Gamma Delta Theta Xi Pi Sigma Upsilon Phi Psi Omega"
_GREEK = {
    "GREEK SMALL LETTER LAMDA": r"$\lambda$",
    "GREEK SMALL LETTER FINAL SIGMA": r"$\varsigma$",
    "GREEK SMALL LETTER OMICRON": "$o$",
    "GREEK CAPITAL LETTER LAMDA": r"$\Lambda$",
    **{f"GREEK SMALL LETTER {name.upper()}": rf"$\{name}$" for name in _SMALL_GREEK.split(" ")},
    **{f"GREEK CAPITAL LETTER {name.upper()}": rf"$\{name}$" for name in _CAPITAL_GREEK.split(" ")},
}
_OPENING_QUOTE = re.compile(r"(?<!\S)'")
_DASHES = re.compile(r"-(?=-)")
_FIRST_NUMBER = re.compile(r"^\S+")
_NARROW, _WIDE = frozenset(" .,:;'|!()[]/ijltfrI-"), frozenset("mwMW%@\u2212<>=+\u2026")


def checked_float(name: str) -> LatexFloat:
    """Return the name of a float, checked.

    Args:
        name: `table` or `table*`.

    Raises:
        UnknownNameError: There is no such float.
    """
    for known in FLOATS:
        if known == name:
            return known
    raise unknown_name("LaTeX float", name, FLOATS, "table* spans both columns of a two-column page.")


def latex(table: Table, latex_float: LatexFloat = "table*") -> str:
    r"""Return a table in LaTeX with booktabs rules: a float, or `longtable` where it has more than 40 rows.

    A table that is wider than the float has smaller letters, of 7 points at least; one that is wider still is divided
    into parts that stand below each other and repeat the names. On a two-column page a `longtable` begins a page of one
    column, as it must.

    Args:
        table: The table. Its title and caption become the caption; entries with a claim are bold, their intervals are
            not.
        latex_float: `table*` for a width of 6.8 inches, `table` for 3.3.

    Returns:
        Text for `\input`; the packages it needs stand in its first line, what characters need in its second.
    """
    caption = escape(f"{table.title}. {table.full_caption}".strip())
    label = rf"\label{{tab:{table.name}}}"
    size, widths, parts = _layout(table, _WIDTH_PT[latex_float])
    texts = (table.title, table.full_caption, *table.columns, *(cell for row in table.rows for cell in row))
    hints = _hints("".join(texts))
    before = [size.command] if size.command else []
    if len(table.rows) > _LONG:
        return (
            "\n".join(
                [
                    r"% Needs \usepackage{booktabs,longtable}.",
                    *hints,
                    *_pages(table, size, widths, parts, caption, label),
                ]
            )
            + "\n"
        )
    lines = [
        r"% Needs \usepackage{booktabs}.",
        *hints,
        rf"\begin{{{latex_float}}}",
        r"\centering",
        rf"\caption{{{caption}}}{label}",
        r"\smallskip",  # the class `article` leaves no room below a caption
        *before,
    ]
    for number, part in enumerate(parts):
        lines += [
            *([r"\par\medskip"] if number else []),
            rf"\begin{{tabular}}{{{_alignment(table, part)}}}",
            r"\toprule",
            _head(table, part, widths, size),
            r"\midrule",
            *_body(table, part, widths, size),
            r"\bottomrule",
            r"\end{tabular}",
        ]
    return "\n".join([*lines, rf"\end{{{latex_float}}}"]) + "\n"


def _pages(
    table: Table, size: _Size, widths: list[float], parts: list[list[int]], caption: str, label: str
) -> list[str]:
    """Return a table that goes over pages; where the page has two columns it makes room for itself."""
    lines = [
        r"\makeatletter\if@twocolumn\onecolumn\def\wsabenchback{\twocolumn}\else\def\wsabenchback{}\fi\makeatother"
    ]
    lines += [r"\begingroup", *([size.command] if size.command else [])]
    for number, part in enumerate(parts):
        title = rf"\caption{{{caption}}}{label}" if number == 0 else rf"\caption[]{{{escape(table.title)}, continued}}"
        head = _head(table, part, widths, size)
        lines += [
            rf"\begin{{longtable}}{{{_alignment(table, part)}}}",
            rf"{title} \\",
            rf"\toprule {head} \midrule \endfirsthead",
            rf"\toprule {head} \midrule \endhead",
            r"\bottomrule \endfoot",
            *_body(table, part, widths, size),
            r"\end{longtable}",
            *([r"\addtocounter{table}{-1}"] if number + 1 < len(parts) else []),
        ]
    return [*lines, r"\endgroup\wsabenchback"]


def figure_latex(named: NamedFigure) -> str:
    r"""Return the float that includes a figure's PDF, which is never larger than it was drawn.

    Args:
        named: The figure. One that is wider than a column spans both columns.

    Returns:
        Text for `\input`.
    """
    inches = named.figure.get_figwidth()
    is_wide = inches * 72.27 > _WIDTH_PT["table"] + 1
    name = "figure*" if is_wide else "figure"
    caption = f"{named.title}. {named.caption}".strip()
    lines = [
        r"% Needs \usepackage{graphicx}, and \graphicspath{{FOLDER/}} with the folder of this file.",
        *_hints(caption),
        rf"\begin{{{name}}}",
        r"\centering",
        rf"\includegraphics[width={inches:.2f}in]{{{named.name}.pdf}}",
        rf"\caption{{{escape(caption)}}}\label{{fig:{named.name}}}",
        rf"\end{{{name}}}",
    ]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Return plain text as LaTeX writes it.

    Args:
        text: Any text; what LaTeX would read as a command, a dash or a quote is set as it stands.
    """
    quoted = _DASHES.sub("-\0", _OPENING_QUOTE.sub("\1", text))
    return "".join(map(_escaped, quoted)).replace("\0", "{}").replace("\1", "`")


def _escaped(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    return _GREEK.get(unicodedata.name(character, ""), character) if ord(character) >= 0x370 else character


def _hints(text: str) -> list[str]:
    """Return what a text needs that pdflatex cannot set, as comments."""
    foreign = sorted({one for one in text if ord(one) >= 0x180 and _escaped(one) == one and not _is_punctuation(one)})
    if not foreign:
        return []
    shown = " ".join(f"U+{ord(one):04X}" for one in foreign[:8]) + (" ..." if len(foreign) > 8 else "")
    return [
        f"% pdflatex has no letters for {shown}: use lualatex or xelatex, \\usepackage{{fontspec}} and a font that has",
        r"% them, such as \setmainfont{Noto Serif} or \setmainfont{Noto Serif CJK SC}.",
    ]


def _is_punctuation(character: str) -> bool:
    return character in "\u2013\u2014\u2018\u2019\u201c\u201d\u2020\u2021\u2022\u20ac\u2122"


def _em_width(text: str) -> float:
    """Return about how wide a text is in Computer Modern, in ems of 10 points."""
    width = 0.0
    for one in text:
        if one in _NARROW:
            width += 0.34
        elif unicodedata.east_asian_width(one) in "WF":
            width += 1.0
        elif one in _WIDE or one.isupper():
            width += 0.8
        else:
            width += 0.53
    return width


def _layout(table: Table, room_pt: float) -> tuple[_Size, list[float], list[list[int]]]:
    """Return the largest size in which a table fits, else the smallest with its columns divided among parts."""
    found = [
        (size, widths := _column_widths(table, size, room_pt), _parts(table, widths, size, room_pt)) for size in _SIZES
    ]
    return next((one for one in found if len(one[2]) == 1), found[-1])


def _column_widths(table: Table, size: _Size, room_pt: float) -> list[float]:
    """Return the points that each column takes; columns of names are narrowed until a column of numbers has room."""
    widths: list[float] = []
    for place, name in enumerate(table.columns):
        cells = max((_em_width(row[place]) for row in table.rows), default=0.0)
        widths.append(max(cells, *(_em_width(word) for word in name.split(" "))) * size.em_pt * _SPARE)
    names = table.num_text_columns
    for place in range(names, len(widths)):
        longest = max((_em_width(word) for row in table.rows for word in row[place].split(" ")), default=0.0)
        widths[place] = min(widths[place], max(longest * size.em_pt * _SPARE, _WIDEST * room_pt))
    gaps = 2 * size.separation_pt
    widest = max(widths[names:], default=0.0)
    room = room_pt - len(widths[: names + bool(widths[names:])]) * gaps - widest
    least = _NARROWEST_EM * size.em_pt
    while sum(widths[:names]) > room:
        place = max(range(names), key=lambda one: widths[one])
        if widths[place] <= least:
            break
        others = sum(widths[:names]) - widths[place]
        next_width = max((width for width in widths[:names] if width < widths[place]), default=0.0)
        widths[place] = max(least, room - others, next_width * 0.98)
    return widths


def _parts(table: Table, widths: list[float], size: _Size, room_pt: float) -> list[list[int]]:
    """Divide the columns of numbers among parts that have room; each has all names."""
    names = list(range(table.num_text_columns))
    gap = 2 * size.separation_pt
    parts: list[list[int]] = [list(names)]
    for place in range(table.num_text_columns, len(widths)):
        grown = [*parts[-1], place]
        is_too_wide = sum(widths[column] + gap for column in grown) > room_pt
        if is_too_wide and len(parts[-1]) > len(names):
            parts.append([*names, place])
        else:
            parts[-1] = grown
    return parts


def _alignment(table: Table, part: list[int]) -> str:
    return "".join("l" if column < table.num_text_columns else "r" for column in part)


def _head(table: Table, part: list[int], widths: list[float], size: _Size) -> str:
    """Return the head; names longer than their column stand in several lines."""
    cells: list[str] = []
    for column in part:
        lines = _lines(table.columns[column], widths[column], size)
        side = "l" if column < table.num_text_columns else "r"
        text = r" \\ ".join(escape(line) for line in lines)
        cells.append(text if len(lines) == 1 else rf"\begin{{tabular}}[b]{{@{{}}{side}@{{}}}}{text}\end{{tabular}}")
    return " & ".join(cells) + r" \\"


def _lines(text: str, width_pt: float, size: _Size) -> list[str]:
    """Break a text at spaces into lines of a width."""
    em = width_pt / size.em_pt
    lines = [""]
    for word in text.split(" "):
        grown = f"{lines[-1]} {word}".strip()
        if lines[-1] and _em_width(grown) > em:
            lines.append(word)
        else:
            lines[-1] = grown
    return lines


def _body(table: Table, part: list[int], widths: list[float], size: _Size) -> list[str]:
    return [_line(table, row, part, widths, size) for row in range(len(table.rows))]


def _line(table: Table, row: int, part: list[int], widths: list[float], size: _Size) -> str:
    """Return one row; a first name that repeats the row above is left blank."""
    cells: list[str] = []
    for column in part:
        text = table.rows[row][column]
        cell = escape(text)
        if (row, column) in table.bold:
            cell = _FIRST_NUMBER.sub(lambda found: rf"\textbf{{{found[0]}}}", cell)
        if _em_width(text) * size.em_pt > widths[column] + 0.01:
            ragged = r"\raggedright" if column < table.num_text_columns else r"\raggedleft"
            broken = escape(_breakable(text, widths[column], size)).replace("\2", r"\hspace{0pt}")
            cell = rf"\parbox[t]{{{widths[column]:.1f}pt}}{{{ragged} {broken}\strut}}"
        cells.append(cell)
    if table.num_text_columns > 1 and row and table.rows[row - 1][0] == table.rows[row][0]:
        cells[0] = ""
    if cells[0].startswith("["):
        cells[0] = f"{{}}{cells[0]}"  # a bracket after a line end would be read as its optional argument
    return " & ".join(cells) + r" \\"


def _breakable(text: str, width_pt: float, size: _Size) -> str:
    """Return a text with a mark (the character 2) where words that are longer than a line may be broken."""
    em = width_pt / size.em_pt
    pieces = [
        textwrap.wrap(word, max(1, int(em / 0.6))) if _em_width(word) > em else [word] for word in text.split(" ")
    ]
    return " ".join("\2".join(piece) for piece in pieces)
