"""The page in a real browser: nothing overflows, nothing is requested, nothing fails, tables sort, both themes."""

import html
import json
import re
import shutil
import subprocess

import pytest
from result_fixture import full_suite_cells, write_result_set

from wsabench.report import write_report

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
DARK = ["--blink-settings=preferredColorScheme=0"]
MOST_BYTES = 10 * 2**20

pytestmark = [pytest.mark.slow, pytest.mark.e2e]
needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs Chromium (Debian: apt-get install chromium)")

# Chromium has a smallest window width, so the page is measured inside a frame of the wanted width.
HARNESS = """<!DOCTYPE html><meta name="color-scheme" content="light dark"><body style="margin:0">
<iframe id="page" style="width:{width}px;height:900px;border:0" srcdoc="{page}"></iframe><pre id="found"></pre>
<script>
document.getElementById("page").addEventListener("load", (event) => {{
  const view = event.target.contentWindow, page = view.document, root = page.documentElement;
  const outside = [...page.querySelectorAll("body *")]
    .filter((e) => !e.closest(".scroll, .paper, pre, nav") && e.getBoundingClientRect().right > root.clientWidth + 1);
  const table = page.querySelector("#families ~ div .scroll table"), first = table.querySelectorAll("th")[1];
  const column = () => [...table.tBodies[0].rows].map((row) => row.cells[1].textContent);
  const before = column(), orders = [], columns = [], button = first.querySelector("button");
  button.focus();
  for (let click = 0; click < 3; click++) {{
    page.activeElement.click();
    orders.push(first.getAttribute("aria-sort"));
    columns.push(column());
  }}
  const probe = page.createElement("div");
  probe.style.cssText = "color: var(--f-262626, #262626)";
  page.body.append(probe);
  const image = page.querySelector(".pictures img"), canvas = document.createElement("canvas"), ink = [];
  if (image) {{
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext("2d", {{ willReadFrequently: true }});
    context.drawImage(image, 0, 0);
    const gap = image.naturalWidth - image.naturalHeight;
    for (const x of [gap - 9, gap - 8, gap - 1, gap]) ink.push(context.getImageData(x, 5, 1, 1).data[3]);
    ink.push(view.getComputedStyle(image).backgroundColor);
  }}
  document.getElementById("found").textContent = "FOUND" + JSON.stringify({{
    overflow: root.scrollWidth - root.clientWidth,
    broken: [...page.images].filter((image) => !image.naturalWidth).length,
    outside: outside.map((e) => e.outerHTML.slice(0, 80)),
    requests: view.performance.getEntriesByType("resource").map((r) => r.name).filter((n) => !n.startsWith("data:")),
    before, orders, columns, picture: ink,
    unreachable: page.querySelectorAll("th button[tabindex='-1'], .scroll:not([tabindex])").length,
    paper: view.getComputedStyle(page.body).backgroundColor,
    ink: view.getComputedStyle(probe).color,
  }}) + "END";
}});
</script></body>"""


def open_page(page, width, folder, options=()):
    """Open a page in a frame of that width; return what was found there."""
    harness = folder / "harness.html"
    harness.write_text(HARNESS.format(width=width, page=html.escape(page.read_text())))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", *QUIET, f"--user-data-dir={folder / 'user'}"]
    command += ["--enable-logging=stderr", "--virtual-time-budget=5000", *options, "--dump-dom", harness.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert "CONSOLE" not in done.stderr, done.stderr
    return json.loads(html.unescape(re.search(r'<pre id="found">FOUND(.*?)END</pre>', done.stdout, re.DOTALL)[1]))


def numbers(cells):
    """Return the leading numbers of cells."""
    return [float(cell.split(" ")[0].replace("\u2212", "-")) for cell in cells]


def check(found):
    """Check what holds at every width and in every theme."""
    for key, value in {"overflow": 0, "outside": [], "broken": 0, "requests": [], "unreachable": 0}.items():
        assert found[key] == value
    assert found["orders"] == ["ascending", "descending", None]
    assert numbers(found["columns"][0]) == sorted(numbers(found["before"]))
    assert numbers(found["columns"][1]) == sorted(numbers(found["before"]), reverse=True)
    assert found["columns"][2] == found["before"] != found["columns"][0]
    # Between the two halves of a picture one sees the page.
    assert found["picture"] == [255, 0, 0, 255, "rgba(0, 0, 0, 0)"]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    run = write_result_set(tmp_path_factory.mktemp("page") / "run", agents=("wsa", "e2e", "an-agent-with-a-long-name"))
    return write_report(run, formats=("html",)).html


@pytest.fixture(scope="module")
def full_page(tmp_path_factory):
    options = {"train_seeds": (0, 1, 2, 3), "cells": full_suite_cells(), "episodes": 5, "profile": "paper"}
    run = write_result_set(tmp_path_factory.mktemp("full") / "run", **options)
    return write_report(run, formats=("html",)).html


@needs_browser
@pytest.mark.parametrize("options", [[], DARK], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_overflows_or_fails_and_tables_sort(page, tmp_path, width, options):
    found = open_page(page, width, tmp_path, options)
    check(found)
    light, dark = ("rgb(255, 255, 255)", "rgb(38, 38, 38)"), ("rgb(21, 24, 28)", "rgb(231, 234, 238)")
    assert (found["paper"], found["ink"]) == (dark if options else light)


@pytest.mark.timeout(900)
def test_the_page_of_the_full_suite_is_light(full_page):
    size = full_page.stat().st_size
    assert size < MOST_BYTES, f"{size / 2**20:.1f} MiB"
    text = full_page.read_text()
    assert "Each perturbation at its strongest severity." in text
    assert "gaussian-noise@1" in text  # in the tables


@needs_browser
@pytest.mark.timeout(900)
@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_of_the_full_suite_opens(full_page, tmp_path, width):
    check(open_page(full_page, width, tmp_path))
