"""The report's files: what is in them, what is not, and what happens with parts missing."""

import base64
import csv
import hashlib
import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.colors import to_hex
from msgspec.structs import replace
from result_fixture import change_manifest, write_result_set

from wsabench.cli import main
from wsabench.errors import ResultSetError, StorageError, UnknownNameError
from wsabench.report import page, write_report
from wsabench.report.figures.marks import marked
from wsabench.report.figures.style import PNG_DPI, dark_shades, figure_bytes, ink_on, shade_places, shades
from wsabench.report.tables.text import Table, estimate, interval, markdown, number
from wsabench.results.manifest import ReferenceScores, read_manifest
from wsabench.summary.rows import Bounded

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """One full report, made in a fresh process; its output says what was loaded, first for films and then for it."""
    run = write_result_set(tmp_path_factory.mktemp("report") / "run", agents=("wsa", "e2e<script>"))
    code = (
        "import sys, wsabench.report.films.files; print(sorted({'torch', 'ale_py', 'av'} & set(sys.modules)));"
        f"sys.path.append({str(TESTS)!r}); from few_draws import draw_few; draw_few();"
        "from wsabench.report import write_report; files = write_report(sys.argv[1]);"
        "print(sorted({'torch', 'ale_py'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, str(run)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return run / "report", done.stdout.splitlines()


def test_neither_torch_nor_the_emulator_is_needed(report):
    assert report[1][1] == "[]"


def test_films_need_neither_torch_nor_the_emulator_nor_pyav(report):
    assert report[1][0] == "[]"


def test_the_page_is_self_contained(report):
    page = (report[0] / "report.html").read_text()
    links = re.findall(r"""(?:src|href|srcset|action)=["']([^"']*)""", page)
    files = [link for link in links if not link.startswith(("data:", "#"))]
    assert len(files) > 50
    assert all((report[0] / link).is_file() for link in files)
    # Only links that a reader follows leave the page, and they stay beside it.
    assert all(f'<a href="{link}">' in page and re.match(r"(figures|tables|csv)/", link) for link in files)
    assert not re.search(r"@import|url\((?!#)|<script[^>]+src|<iframe|<link[^>]+stylesheet", page)
    assert page.count("<script") == 1
    assert page.count("<svg") == 16
    assert page.count("<figure") == 16 + 9  # and a picture of each perturbation
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)
    assert set(re.findall(r'xlink:href="#([^"]+)"', page)) <= set(ids)
    for anchor in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{anchor}"' in page


def test_names_are_escaped(report):
    page = (report[0] / "report.html").read_text()
    assert "e2e&lt;script&gt;" in page
    assert "e2e<script>" not in page


def test_the_only_script_is_the_one_the_page_allows(report):
    page = (report[0] / "report.html").read_text()
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert "default-src 'none'" in page


def test_data_points_have_tooltips(report):
    page = (report[0] / "report.html").read_text()
    assert re.search(r'<g class="tip"><title>wsa, hue-rotate@3: 0\.\d\d \[', page)
    assert '"tip:' not in page
    assert "<title>wsa, hue-rotate@3: " in (report[0] / "figures" / "retention.svg").read_text()


def test_drawings_and_heat_maps_take_the_colors_of_a_dark_page(report):
    page = (report[0] / "report.html").read_text()
    parts = dict(re.findall(r'id="figure-([^"]+)">(.*?)</figure>', page, re.DOTALL))
    assert "var(--f-0072b2, #0072b2)" in parts["retention"]
    assert "--f-ffffff: #15181c;" in page
    for name in ("retention-heat-map", "ranks", "attention-wsa-breakout"):
        fills = re.findall(r"fill: ([^;\"]+)", parts[name])
        found = {re.match(r"var\(--f-([0-9a-f]{6})", fill)[1] for fill in fills if fill not in ("none", "#008000")}
        assert len(found) > 3, name
        assert all(f"--f-{shade}: #" in page for shade in found)


def luminance(color):
    """Return the relative luminance of WCAG 2."""
    parts = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_numbers_on_shades_are_legible_in_both_themes():
    dark = dark_shades()
    for step in range(101):
        light_text = ink_on(step / 100) == "white"
        shade = to_hex(shades()(float(shade_places(np.array(step / 100)))))
        for fill, text in (
            (shade, "#ffffff" if light_text else "#000000"),
            (dark[shade], "#15181c" if light_text else "#ffffff"),
        ):
            low, high = sorted((luminance(fill), luminance(text)))
            assert (high + 0.05) / (low + 0.05) >= 4.4, (step, fill, text)


def test_the_page_says_how_to_reproduce_it(report):
    page = html.unescape((report[0] / "report.html").read_text().partition('id="reproduce"')[2])
    for words in (
        "pip install wsabench==0.1.0 ale-py==0.12.1 numba==1.0 numpy==1.0 opencv-python-headless==1.0 ",
        " scipy==1.0 torch==2.13.0",
        "wsabench run --suite color-shift",
        f"wsabench report {report[0].parent}",
    ):
        assert words in page


def test_the_answer_comes_first_then_caveats_and_words(report):
    page, text = ((report[0] / name).read_text() for name in ("report.html", "report.md"))
    for content in (page, text):
        order = [
            "all stand in one tier",
            "Cannot be decided",
            "Agents in tiers",
            "nothing can be concluded about training",
            "In words",
            "wsa: clean normalised score",
            "By perturbation",
            "Results on breakout",
            "Sample sizes",
        ]
        start = content.index("<main") if "<html" in content else 0
        places = [content.index(words, start) for words in order]
        assert places == sorted(places)


def test_the_page_says_where_its_numbers_come_from(report):
    page = (report[0] / "report.html").read_text()
    for words in ("wsabench run --suite color-shift", "0.12.1", "555555555555", "bootstrap seed", "checkpoint", "30.5"):
        assert words in page


def test_every_number_is_defined(report):
    text = (report[0] / "report.md").read_text()
    for word in ("normalised score", "retention", "robustness gap", "these checkpoints only", "performance profile"):
        assert f"**{word}**:" in text


def test_markdown_tables_are_whole(report):
    lines = (report[0] / "report.md").read_text().splitlines()
    header = lines.index("### Results on breakout") + 2
    assert {line.count("|") for line in lines[header : header + 20]} == {lines[header].count("|")}
    assert "![Normalised score under each perturbation](figures/normalised-score.png)" in "\n".join(lines)


def test_figures_are_png_svg_and_pdf_with_embedded_fonts(report):
    figures = report[0] / "figures"
    names = {path.stem for path in figures.iterdir()}
    assert {"normalised-score", "retention", "severity-curves", "performance-profile", "frames"} <= names
    assert "attention-wsa-breakout" in names
    for name in names:
        assert (figures / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        pdf = (figures / f"{name}.pdf").read_bytes()
        assert (figures / f"{name}.svg").read_text().count("<svg") == 1
        assert b"/FontFile2" in pdf
        assert b"/Type3" not in pdf


def test_file_names_are_safe(report):
    assert all(re.fullmatch(r"[\w.@+=-]+", path.name) for path in (report[0] / "figures").iterdir())


def test_the_same_results_give_the_same_page(tmp_path):
    run = write_result_set(tmp_path / "run", train_seeds=(0,), cells=(("clean", None), ("hue-rotate", 3)))
    for name in ("a", "b"):
        write_report(run, tmp_path / name, formats=("html",))
        assert [path.name for path in (tmp_path / name).iterdir()] == ["report.html"]
    assert (tmp_path / "a" / "report.html").read_bytes() == (tmp_path / "b" / "report.html").read_bytes()


def test_a_figure_that_stands_in_a_file_is_drawn_once(tmp_path, monkeypatch):
    run = write_result_set(tmp_path / "run", agents=("own",), train_seeds=(0,), cells=(("clean", None),), effects={})
    drawn = []
    monkeypatch.setattr(page, "figure_bytes", lambda *given: drawn.append(given) or figure_bytes(*given))
    found = {}
    for name, formats, dpi in (("alone", (), PNG_DPI), ("beside", ("svg",), PNG_DPI), ("coarse", ("svg",), 50)):
        written = write_report(run, tmp_path / name, formats=("html", *formats), dpi=dpi).html.read_text()
        found[name] = (len(drawn), re.findall(r"<svg.*?</svg>", written, re.DOTALL))
        drawn.clear()
    assert [number for number, _ in found.values()] == [1, 0, 1]
    assert found["alone"][1] == found["beside"][1] == found["coarse"][1]


def test_one_agent_one_seed_one_cell_no_attention_no_frames(tmp_path):
    run = write_result_set(tmp_path / "run", agents=("own",), train_seeds=(0,), cells=(("clean", None),), effects={})
    shutil.rmtree(run / "frames")
    files = write_report(run, formats=("html", "md"))
    page = files.html.read_text()
    assert "With fewer than 3 train seeds there is no interval over train seeds" in page
    assert page.count("<svg") == 1  # the scores; there is nothing to compare
    assert files.figures == ()


def test_several_games_get_a_table_each_and_a_mean(tmp_path):
    cells = (("clean", None), ("hue-rotate", 3))
    run = write_result_set(tmp_path / "run", games=("breakout", "pong"), cells=cells, profile="standard")
    text = write_report(run, formats=("md",)).markdown.read_text()
    assert all(f"### {title}\n" in text for title in ("Mean over games", "Results on breakout", "Results on pong"))
    assert "before you name a winner" not in text


def test_without_references_there_are_still_returns(tmp_path):
    unknown = {"breakout": ReferenceScores(random=None, human=None)}
    run = write_result_set(tmp_path / "run", reference_scores=unknown)
    page = write_report(run, formats=("html",)).html.read_text()
    assert "No reference scores for breakout" in page
    assert "Attention of wsa on breakout" in page


def test_an_unfinished_run_is_reported_as_such(tmp_path):
    run = write_result_set(tmp_path / "run")
    (run / "episodes" / "wsa-seed1--breakout--invert.parquet").unlink()
    text = write_report(run, formats=("md",)).markdown.read_text()
    assert "The run is not complete: it lacks 1 of 36 jobs." in text


def test_a_declared_family_is_tested_said_and_reproduced(tmp_path, capsys):
    run = write_result_set(tmp_path / "run")
    assert main(["report", str(run), "--format", "md,csv", "--claims-on", "invert,value"]) == 0
    tested = pd.read_csv(run / "report" / "csv" / "comparisons.csv")["perturbation"]
    assert list(tested) == ["clean", "declared family", "value", "invert"]
    text = (run / "report" / "report.md").read_text()
    assert "Tests are about a declared family only: invert, value." in text
    assert f"wsabench report {run} --claims-on invert,value --format markdown,csv\n" in text
    assert main(["report", str(run), "--claims-on", "invrt"]) == 2
    assert "Unknown perturbation 'invrt'. Did you mean 'invert'?" in capsys.readouterr().err


def test_unknown_formats_are_refused(tmp_path):
    with pytest.raises(UnknownNameError, match=r"Unknown report format 'htm'\. Did you mean 'html'\?"):
        write_report(tmp_path, formats=("htm",))


def test_foreign_directories_are_refused(tmp_path):
    with pytest.raises(ResultSetError, match="is not a result set"):
        write_report(tmp_path)


def test_damaged_frames_are_named(tmp_path):
    run = write_result_set(tmp_path / "run", train_seeds=(0,), cells=(("clean", None),), effects={})
    (run / "frames" / "breakout--clean.png").write_bytes(b"no picture")
    with pytest.raises(ResultSetError, match=r"breakout--clean\.png is not a picture"):
        write_report(run, formats=("html",))


def test_unwritable_places_are_named(tmp_path):
    run = write_result_set(tmp_path / "run", train_seeds=(0,), cells=(("clean", None),), effects={})
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Cannot create the folder"):
        write_report(run, tmp_path / "file" / "below", formats=("md",))


@pytest.mark.parametrize(
    ("value", "text"), [(0.125, "0.12"), (-0.5, "\u22120.50"), (-0.001, "0.00"), (float("nan"), "\u2013")]
)
def test_numbers(value, text):
    assert number(value) == text


@pytest.mark.parametrize(("num_seeds", "is_few"), [(5, False), (4, True), (2, True)])
def test_intervals_know_their_train_seeds(num_seeds, is_few):
    found = interval(0.1, 0.2, num_seeds)
    assert (found, found.has_interval, found.is_few) == ("[0.10, 0.20]", True, is_few)
    assert interval(float("nan"), 0.2, num_seeds) == "\u2013"


@pytest.mark.parametrize(("num_seeds", "num_games", "is_few"), [(3, 1, True), (3, 2, False), (2, 10, True)])
def test_an_average_over_games_knows_that_it_rests_on_all_their_trainings(num_seeds, num_games, is_few):
    assert interval(0.1, 0.2, num_seeds, num_games).is_few == is_few
    assert estimate(Bounded(0.15, 0.1, 0.2), num_seeds, num_games).is_few == is_few


def test_marks_stand_only_where_they_tell_entries_apart():
    def table(*seeds):
        return Table(
            "t", "c", ("a", "n"), tuple((str(n), interval(0.1, 0.2, n)) for n in seeds), 1, brackets="Brackets: b."
        )

    assert [row[1] for row in marked(table(3, 4), ()).rows] == ["[0.10, 0.20]"] * 2
    mixed = marked(table(3, 8), ())
    assert [row[1] for row in mixed.rows] == ["[0.10, 0.20]\u2020", "[0.10, 0.20]"]
    assert mixed.full_caption.startswith("c Brackets: b. \u2020: fewer than 5 train seeds")
    # What brackets are is said only where there are any.
    assert Table("t", "c", ("a",), (("0.1",),), 0, brackets="Brackets: b.").full_caption == "c"


def test_every_table_explains_its_marks_and_no_others(tmp_path):
    run = write_result_set(tmp_path / "run", agents=("wsa", "e2e", "reader"), train_seeds=(0, 1, 2))
    agents = read_manifest(run).plan.agents
    change_manifest(run, agents=tuple(replace(one, privileged=one.agent == "reader") for one in agents))
    files = write_report(run, formats=("md", "latex"))
    text = files.markdown.read_text()
    tables = [part for part in re.split(r"^##+ ", text, flags=re.MULTILINE) if "\n| " in part]
    assert len(tables) > 10
    for table in tables:
        title, *lines = table.strip().splitlines()
        cells = [cell.strip(" *") for line in lines if line.startswith("|") for cell in line.split("|")]
        caption = " ".join(line for line in lines if not line.startswith("|"))
        for mark in "\u2020\u00a7":
            used = mark in title or any(cell.endswith(mark) for cell in cells)
            assert used == (f"{mark}: " in caption), (title, mark)
    # Sentences have no legend, so they have no mark.
    words = text.partition("### In words")[2].partition("## By perturbation")[0]
    assert not set("\u2020\u00a7") & set(words)
    assert re.search(r"clean normalised score \S+ \[\S+ \S+\] \(only 3 train seeds\)", words)
    latex = (run / "report" / "tables" / "retention-by-agent.tex").read_text()
    assert "reader \\S{} &" in latex or "reader \\S{} \\\\" in latex


def test_markdown_escapes_bars():
    assert "a\\|b" in markdown(Table("t", "", ("x",), (("a|b",),), 1))


NAMES = ("a$b$c<script>alert(1)</script>", "x|y`*_[l](http://e)", "\\input{x}%&#{}~^", "$$", 'q"u,o;t\na')


def test_hostile_names_change_neither_page_nor_tables(tmp_path):
    written = {f"n{place}": name for place, name in enumerate(NAMES)}
    cells = (("clean", None), ("hue-rotate", 3))
    run = write_result_set(tmp_path / "run", agents=(*written, "own"), train_seeds=(0,), cells=cells)
    text = (run / "manifest.json").read_text()
    for old, name in written.items():
        text = text.replace(f'"agent": "{old}"', f'"agent": {json.dumps(name)}')
        for shard in (run / "episodes").glob(f"{old}-*"):
            table = pq.ParquetFile(shard).read()
            column = pa.array([name] * table.num_rows)
            pq.write_table(table.set_column(0, pa.field("agent", pa.string(), nullable=False), column), shard)
    (run / "manifest.json").write_text(text)
    files = write_report(run, tmp_path / "report", formats=("html", "md", "csv", "latex"))
    words = re.sub(r"```sh.*?```", "", files.markdown.read_text(), flags=re.DOTALL)  # they are quoted for the shell
    assert "<script" not in words
    assert "](http" not in words.replace(r"\](http", "")
    for table in re.findall(r"(?:^\|.*\n)+", words, re.MULTILINE):
        assert len({line.count("|") - line.count(r"\|") for line in table.splitlines()}) == 1
    assert files.html.read_text().count("<script") == 1  # the page's own
    rows = list(csv.DictReader((tmp_path / "report" / "csv" / "episodes.csv").open(newline="")))
    assert {row["agent"] for row in rows} == {*NAMES, "own"}
    assert r"\input{x}" not in "".join(path.read_text() for path in files.latex)


def test_dollar_signs_in_names_are_drawn_as_they_are(tmp_path):
    run = write_result_set(
        tmp_path / "run", agents=("a$_$b", "$$"), train_seeds=(0,), cells=(("clean", None), ("hue-rotate", 3))
    )
    assert write_report(run, tmp_path / "report", formats=("svg",)).figures
