"""Tables and figures for papers: widths, sizes, escapes; compiled where LaTeX is installed."""

import itertools
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from result_fixture import write_result_set

from wsabench.cli import main
from wsabench.errors import UnknownNameError
from wsabench.report import write_report
from wsabench.report.tables.latex import FLOATS, checked_float, escape, latex
from wsabench.report.tables.text import Table

ROOT = Path(__file__).parents[2]
HARD = "a_b & 50% #1 {x} ~^\\ $y$ \u2212 \u2020 \u2021 \u00a7 \u03c4 < ppo--v2 \u00e9l\u00e8ve"
NUMBERS = tuple(f"\u22120.{place}0 [\u22120.10, 0.20]\u2020" for place in range(6))


def table_of(num_rows, num_columns=6, names=(HARD, "wsa")):
    """Return a table of that size; its names are all alike."""
    columns = ("perturbation", "agent", *(f"measure {place} of several" for place in range(num_columns)))
    rows = tuple((*names, *NUMBERS[:num_columns]) for _ in range(num_rows))
    return Table("A_b", "'50%'", columns, rows, 2)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("ppo--v2", "ppo-{}-v2"),
        ("a---b", "a-{}-{}-b"),
        ("a-b", "a-b"),
        ("a_b$c&d%e#f", r"a\_b\$c\&d\%e\#f"),
        ("{x}", r"\{x\}"),
        ("\u03b1\u03a3\u03c2", r"$\alpha$$\Sigma$$\varsigma$"),
        ("\u00e9\u00dc", "\u00e9\u00dc"),
        ('say "it"', "say ''it''"),
    ],
)
def test_names_are_set_as_they_stand(text, written):
    assert escape(text) == written


@pytest.mark.parametrize(
    ("name", "has_hint"), [("\u4e2d\u6587", True), ("\u0416", True), ("\u03b1 \u00e9 \u2212", False)]
)
def test_letters_that_pdflatex_lacks_have_a_hint(name, has_hint):
    text = latex(Table("t", "", ("agent", "n"), ((name, "1"),), 1))
    assert ("lualatex" in text) == has_hint
    if has_hint:
        assert f"U+{ord(name[0]):04X}" in text
        assert r"\setmainfont" in text


@pytest.mark.parametrize(("latex_float", "columns"), list(itertools.product(FLOATS, [1, 3, 6])))
def test_no_letters_are_smaller_than_seven_points(latex_float, columns):
    text = latex(table_of(2, columns), latex_float)
    assert text.count(rf"\begin{{{latex_float}}}") == text.count(rf"\end{{{latex_float}}}") == 1
    assert all(float(size) >= 7.0 for size in re.findall(r"\\fontsize\{([\d.]+)\}", text))
    assert not re.search(r"resizebox|scalebox|\\tiny|\\scriptsize|\\footnotesize", text)
    assert text.count("[$-$0.10") == 2 * columns  # every number stands somewhere


def test_a_narrow_float_has_more_parts():
    wide, narrow = (latex(table_of(2, names=("invert", "wsa")), name).count(r"\begin{tabular}{ll") for name in FLOATS)
    assert wide < narrow


def test_other_floats_are_refused():
    with pytest.raises(UnknownNameError, match=r"Unknown LaTeX float 'tabel'.*Did you mean 'table'\?"):
        checked_float("tabel")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The outputs for papers of a run with hard names, in one column, made by the command."""
    folder = tmp_path_factory.mktemp("latex")
    run = write_result_set(folder / "run", agents=("wsa", "ppo--v2", "a_b$&%#"), train_seeds=(0, 1, 2))
    command = ["report", str(run), "--format", "latex,pdf", "--latex-float", "table", "--out", str(folder / "report")]
    assert main(command) == 0
    return folder / "report"


def test_every_figure_has_its_latex_beside_its_pdf(made):
    figures = {path.stem for path in (made / "figures").glob("*.pdf")}
    assert figures == {path.stem for path in (made / "figures").glob("*.tex")}
    text = (made / "figures" / "answer.tex").read_text()
    assert r"\includegraphics[width=3.30in]{answer.pdf}" in text
    assert r"\begin{figure}" in text
    assert r"\begin{figure*}" in (made / "figures" / "severity-curves.tex").read_text()
    assert r"\begin{table}" in (made / "tables" / "agents-in-tiers.tex").read_text()


def compiled(folder, text):
    """Compile a text; return the log. Fails where LaTeX is missing."""
    (folder / "page.tex").write_text(text)
    assert shutil.which("pdflatex"), "pdflatex is missing (Debian: texlive-latex-base texlive-latex-recommended)"
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=200)
    assert done.returncode == 0, done.stdout[-2500:]
    return done.stdout


def overfull(log):
    """Return by how many points lines are too wide."""
    return [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", log)]


@pytest.mark.slow  # TeX is large, and no package of Python's
@pytest.mark.extra
@pytest.mark.parametrize(("latex_float", "num_rows"), [("table*", 1), ("table", 1), ("table*", 50), ("table", 50)])
def test_tables_compile_and_are_no_wider_than_their_place(latex_float, num_rows, tmp_path):
    text = latex(table_of(num_rows), latex_float) + latex(table_of(2, 1, names=("x" * 90, "wsa")), latex_float)
    (tmp_path / "table.tex").write_text(text)
    page = (
        r"\documentclass[twocolumn]{article}\usepackage[utf8]{inputenc}\usepackage{booktabs,longtable,graphicx}"
        r"\usepackage[textwidth=6.8in,columnsep=0.2in]{geometry}\begin{document}text\input{table}text\end{document}"
    )
    assert not [points for points in overfull(compiled(tmp_path, page)) if points > 1.0]


@pytest.mark.slow  # TeX is large, and no package of Python's
@pytest.mark.extra
def test_everything_that_a_run_gives_compiles(made, tmp_path):
    files = sorted((made / "tables").glob("*.tex")) + sorted((made / "figures").glob("*.tex"))
    body = "".join(rf"\input{{{path.as_posix()}}}\clearpage" for path in files)
    page = (
        r"\documentclass[twocolumn]{article}\usepackage[utf8]{inputenc}\usepackage{booktabs,longtable,graphicx}"
        r"\usepackage[textwidth=6.8in,columnsep=0.2in]{geometry}"
        rf"\graphicspath{{{{{(made / 'figures').as_posix()}/}}}}\begin{{document}}{body}\end{{document}}"
    )
    assert not [points for points in overfull(compiled(tmp_path, page)) if points > 6.0]


@pytest.mark.slow  # TeX is large, and no package of Python's
@pytest.mark.extra
def test_the_example_paper_compiles(tmp_path):
    folder = shutil.copytree(ROOT / "examples" / "paper", tmp_path / "paper")
    write_report(ROOT / "results" / "color-shift-quick", folder / "report", formats=("latex", "pdf"))
    compiled(folder, (folder / "paper.tex").read_text())
    log = compiled(folder, (folder / "paper.tex").read_text())
    assert "undefined references" not in log
    assert not overfull(log)
