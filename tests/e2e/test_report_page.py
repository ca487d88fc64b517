"""The page in a real browser: nothing overflows, nothing is requested, nothing fails."""

import html
import json
import re
import shutil
import subprocess

import pytest
from result_fixture import write_result_set

from wsabench.report import write_report

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="needs Chromium")]

# Chromium has a smallest window width, so the page is measured inside a frame of the wanted width.
HARNESS = """<!DOCTYPE html><body style="margin:0">
<iframe id="page" style="width:{width}px;height:900px;border:0" srcdoc="{page}"></iframe><pre id="found"></pre>
<script>
document.getElementById("page").addEventListener("load", (event) => {{
  const view = event.target.contentWindow, root = view.document.documentElement;
  const outside = [...view.document.querySelectorAll("body *")]
    .filter((e) => !e.closest(".scroll, .paper") && e.getBoundingClientRect().right > root.clientWidth + 1);
  const broken = [...view.document.images].filter((image) => !image.naturalWidth);
  document.getElementById("found").textContent = "FOUND" + JSON.stringify({{
    overflow: root.scrollWidth - root.clientWidth, broken: broken.length,
    outside: outside.map((e) => e.outerHTML.slice(0, 80)),
    requests: view.performance.getEntriesByType("resource").map((r) => r.name).filter((n) => !n.startsWith("data:")),
  }}) + "END";
}});
</script></body>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    run = write_result_set(tmp_path_factory.mktemp("page") / "run", agents=("wsa", "e2e", "an-agent-with-a-long-name"))
    return write_report(run, formats=("html",)).html


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_overflows_and_nothing_is_requested(page, tmp_path, width):
    harness = tmp_path / "harness.html"
    harness.write_text(HARNESS.format(width=width, page=html.escape(page.read_text())))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", *QUIET, f"--user-data-dir={tmp_path / 'user'}"]
    command += ["--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom", harness.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = json.loads(html.unescape(re.search(r'<pre id="found">FOUND(.*?)END</pre>', done.stdout, re.DOTALL)[1]))
    assert found == {"overflow": 0, "outside": [], "broken": 0, "requests": []}
    assert "CONSOLE" not in done.stderr
