"""The page in a real browser: the answer stands on the first screen; narrow, dark and printed pages lose nothing."""

import re
import subprocess

import pytest
from made_returns import run
from result_fixture import agent_entry, full_suite_cells, write_result_set

from wsabench.report import write_report
from wsabench.report.figures.drawing import draw_figures
from wsabench.report.figures.style import figure_style
from wsabench.report.page import content_of, html_page
from wsabench.summary.summarise import summarise

QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FOLD = 900

pytestmark = pytest.mark.extra


@pytest.fixture(scope="module")
def browser():
    """Chromium under Playwright; a missing package or browser fails."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", *QUIET])
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages of 1, 2 and 20 agents, the last with intervals and tiers."""
    folder = tmp_path_factory.mktemp("pages")
    made = {}
    for number in (1, 2, 20):
        levels = {f"agent-number-{i:02}-of-many": 7.5 - 0.3 * i for i in range(number)}
        entries = tuple(agent_entry(name) for name in levels)
        result = run(levels, num_seeds=6, agents=entries, games=("g",))
        summary = summarise(result)
        content = content_of(summary, result.manifest)
        with figure_style():
            figures = draw_figures(summary, [], order=content.order)
        made[number] = folder / f"{number}.html"
        made[number].write_text(html_page(content, figures))
    return made


@pytest.mark.parametrize("number", [1, 2, 20])
def test_figure_and_tiers_stand_on_the_first_screen(browser, pages, number):
    page = browser.new_page(viewport={"width": 1280, "height": FOLD})
    page.goto(pages[number].as_uri())
    for what in ("#figure-answer svg", "#tiers .scroll"):
        box = page.locator(what).bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= FOLD, (what, box)
        assert box["width"] > 400
    # With twenty agents too, no agent of the table has to be scrolled to.
    last = page.locator("#tiers tbody tr").last.bounding_box()
    assert last["y"] + last["height"] <= FOLD
    assert page.locator("#tiers tbody tr").count() == number
    shown = page.locator("#tiers tbody td:nth-child(2)")
    assert len(set(shown.all_inner_texts())) == number
    assert shown.evaluate_all("cells => cells.every((cell) => cell.scrollWidth <= cell.clientWidth)")
    page.close()


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A page whose tables do not fit 400 pixels."""
    made = write_result_set(tmp_path_factory.mktemp("wide") / "run", agents=("wsa", "e2e", "a-third-agent"))
    return write_report(made).html


def test_wide_tables_say_that_they_scroll_and_the_contents_stay(browser, wide):
    page = browser.new_page(viewport={"width": 400, "height": 800})
    page.goto(wide.as_uri())
    frames = page.locator("main .scroll, main figure.wide .paper")
    said = 0
    for place in range(frames.count()):
        frame = frames.nth(place)
        if not frame.is_visible():
            continue
        overflows = frame.evaluate("e => e.scrollWidth > e.clientWidth + 1")
        hint = frame.evaluate("e => getComputedStyle(e.previousElementSibling).display !== 'none'")
        assert overflows == hint
        said += hint
    assert said > 0
    page.evaluate("window.scrollTo(0, 3000)")
    assert page.locator("nav").bounding_box()["y"] == pytest.approx(0, abs=1)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    page.close()


def test_heat_maps_are_dark_on_a_dark_page(browser, wide):
    colors = {}
    for theme in ("light", "dark"):
        page = browser.new_page(viewport={"width": 1280, "height": FOLD}, color_scheme=theme)
        page.goto(wide.as_uri() + "#figure-retention-heat-map")
        assert page.locator("#figure-retention-heat-map svg").is_visible()  # the link opens what it points into
        styles = "paths => paths.map((path) => getComputedStyle(path).fill)"
        colors[theme] = page.locator("#figure-retention-heat-map svg path").evaluate_all(styles)
        assert page.locator("#figure-retention-heat-map .paper").evaluate(
            "e => getComputedStyle(e).backgroundColor"
        ) == ("rgb(21, 24, 28)" if theme == "dark" else "rgb(255, 255, 255)")
        page.close()
    changed = [light for light, dark in zip(*colors.values(), strict=True) if light != dark and light != "none"]
    assert len(changed) > 20


def test_print_has_every_column_and_what_was_folded(browser, wide, tmp_path):
    page = browser.new_page()
    page.goto(wide.as_uri())
    page.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True)
    heads = page.locator("main th").evaluate_all("heads => heads.map((head) => head.textContent.trim())")
    page.close()
    done = subprocess.run(
        ["pdftotext", "-layout", tmp_path / "page.pdf", "-"], capture_output=True, text=True, check=True
    )
    printed = re.sub(r"[\s-]+", "", done.stdout)
    missing = {head for head in heads if re.sub(r"[\s-]+", "", head.split(" ")[0]) not in printed}
    assert not missing
    assert "Comparisonofwsawithe2e" in printed  # folded on the screen


@pytest.mark.slow
def test_the_page_of_the_full_suite_opens_with_its_answer(browser, tmp_path):
    options = {"train_seeds": (0, 1, 2), "cells": full_suite_cells(), "episodes": 3, "profile": "paper"}
    made = write_report(write_result_set(tmp_path / "run", **options), formats=("html",)).html
    page = browser.new_page(viewport={"width": 1280, "height": FOLD})
    page.goto(made.as_uri())
    for what in ("#figure-answer svg", "#tiers .scroll"):
        box = page.locator(what).bounding_box()
        assert box["y"] + box["height"] <= FOLD
    page.close()
