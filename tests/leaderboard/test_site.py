"""The site on disk: the same bytes each time, escaped, without a network, and the command's exit codes."""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_entries import made_entry, quick_cells

from wsabench.cli.application import main
from wsabench.leaderboard.entry import read_entry, write_entry
from wsabench.leaderboard.schema import Training
from wsabench.leaderboard.scoring import marks_of, play_of_suite, result_of
from wsabench.leaderboard.site import FILE_LIST, write_site
from wsabench.report.badge import Badge, badge_svg

EVIL = '<script>alert("1")</script> & \'<b>'


TIER_LINES = """[...document.querySelectorAll("table.board")].every(table => {
  const rows = [...table.tBodies[0].rows].filter(row => !row.hidden);
  const tiers = rows.map(row => row.cells[0].textContent);
  const begins = place => place > 0 && tiers[place] !== tiers[place - 1];
  return rows.every((row, place) => row.classList.contains("first") === begins(place));
})"""
"""Whether a line stands where a tier begins, among the rows that are shown."""


class Page(HTMLParser):
    """Collects tags, addresses and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with five agents on two suites."""
    folder = tmp_path_factory.mktemp("entries")
    trained = Training(steps=2_000_000, frames=None, perturbations=("hue-rotate@3",), method="PPO", networks=())
    colors, corruptions = quick_cells("color-shift"), quick_cells("corruption")
    five = range(5)
    made = {
        "good": made_entry("good", level=1.0, kept=0.9, train_seeds=five, training=trained, cells=colors),
        "good-2": made_entry("good", "corruption", level=1.0, train_seeds=five, training=trained, cells=corruptions),
        "evil": made_entry(
            EVIL,
            cells=colors,
            level=0.4,
            kind="object",
            paper="https://example.org/?a=1&b=2",
            code="javascript:alert(1)",
            checkpoint='https://example.org/"onclick="x',
            notes="<img src=x onerror=alert(1)>",
        ),
        "ram": made_entry("ram", level=2.0, privileged=True, cells=colors),
        "random": made_entry("random", level=0.0, agent="random", kind="built-in", cells=colors),
        "noop": made_entry("noop", level=0.0, agent="noop", kind="built-in", cells=colors),
    }
    for name, entry in made.items():
        write_entry(folder / f"{name}.json", entry)
    return folder


@pytest.fixture(scope="module")
def site(entries: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the entries."""
    out = tmp_path_factory.mktemp("site")
    write_site(entries, out)
    return out


def test_the_same_entries_give_the_same_bytes(entries: Path, site: Path, tmp_path: Path) -> None:
    write_site(entries, tmp_path)
    files = {path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()}
    assert files == {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_pages_load_nothing_and_their_links_lead_somewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) == 6
    for path in pages:
        page = Page(path.read_text(encoding="utf-8"))
        assert not {"iframe", "object", "embed", "base", "img"} & set(page.tags)
        for address in page.addresses:
            if address.startswith(("https://", "data:,")):
                continue
            file, _, anchor = address.partition("#")
            target = (path.parent / file) if file else path
            assert target.is_file(), f"{path.name}: {address}"
            assert not anchor or f'id="{anchor}"' in target.read_text(encoding="utf-8")


def test_what_strangers_wrote_is_text(site: Path) -> None:
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "<script>alert" not in text
        assert "<img" not in text
        assert 'href="javascript' not in text
    (evil,) = (path for path in site.glob("agents/*.html") if "alert" in path.name)
    page = Page(evil.read_text(encoding="utf-8"))
    assert EVIL in page.text
    assert "javascript:alert(1)" in page.text
    assert "https://example.org/?a=1&b=2" in page.addresses
    assert not any("onclick" in address for address in page.addresses)


def test_tables_say_what_a_reader_needs(site: Path) -> None:
    text = re.sub(r"\s+", " ", (site / "index.html").read_text(encoding="utf-8"))
    found = re.findall(r"<tr [^>]*data-name=.*?</tr>", text)
    rows = {name: row for row in found for name in re.findall("<bdi>(.*?)<", row)}
    assert any(">1</b>" in row and 'data-name="good"' in row for row in found)
    assert 'title="No tier: no other agent to compare with">\u2013</b>' in rows["good"], "alone in the last table"
    assert "95% interval over 5 train seeds" in rows["good"]
    assert ">2M<" in rows["good"]
    assert "hue-rotate@3" in rows["good"]
    assert "95% interval over episodes of this checkpoint only" in rows["noop"]
    assert "†" in rows["noop"]
    assert "yardstick" in rows["noop"]
    assert '"mark privileged"' in rows["ram"]
    assert "\u2013</b>" in rows["ram"]
    assert "in at least 95% of tables not a single decided comparison is false" in text
    assert "Clean scores in the literature" in text
    assert "Piccoli et al. 2025" in text


def test_no_average_of_retention_stands_alone(site: Path, entries: Path) -> None:
    entry = read_entry(entries / "good.json")
    marks = marks_of(play_of_suite(result_of({"good": entry}), entry.suite.name)["good"], 0)
    capped = f"{marks.beside.capped.value:.2f}"
    kept, lost = (f"{100 * share:.0f}%" for share in (marks.beside.kept_share, marks.beside.lost_share))
    text = re.sub(r"\s+", " ", (site / "index.html").read_text(encoding="utf-8"))
    assert text.count(">Retention</th>") == text.count(">Capped, kept, lost</th>") == 2  # none over all suites
    row = next(row for row in re.findall(r'<tr [^>]*data-name="good".*?</tr>', text) if f"{kept} kept" in row)
    assert re.search(f">{capped}</span><small>{kept} kept</small><small>{lost} lost</small>", row)
    page = next(site.glob("agents/good*")).read_text(encoding="utf-8")
    assert page.count(">Retention</th>") - page.count(">Capped, kept, lost</th>") == 2  # every cell, one by one
    assert len(re.findall(rf"<td>{capped} \[.*?\], {kept}, {lost}</td>", page)) == 2  # where it stands, by family


def test_badges_are_small_valid_svg_without_addresses(site: Path) -> None:
    badges = sorted(site.glob("badges/*.svg"))
    assert len(badges) == 11  # five agents in color-shift, one in corruption, five over all suites
    for path in badges:
        text = path.read_text(encoding="utf-8")
        assert len(text) < 2_000
        assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
        assert "href" not in text


def test_a_badge_escapes_its_texts() -> None:
    text = badge_svg(Badge("<a>", '"&', "#000000", "]]></title><script>"))
    root = ElementTree.fromstring(text)
    assert [one.text for one in root.iter() if one.text and one.text.strip()] == ["]]></title><script>", "<a>", '"&']


def test_a_site_without_an_agent_removes_its_files_and_no_others(entries: Path, tmp_path: Path) -> None:
    fewer, out = tmp_path / "entries", tmp_path / "site"
    fewer.mkdir()
    for name in ("good.json", "ram.json"):
        (fewer / name).write_bytes((entries / name).read_bytes())
    write_site(fewer, out)
    (out / "mine.html").write_text("kept", encoding="utf-8")
    names = json.loads((out / FILE_LIST).read_text(encoding="utf-8"))
    (out / FILE_LIST).write_text(json.dumps([*names, "../entries/good.json", "../outside.html"]), encoding="utf-8")
    (tmp_path / "outside.html").write_text("kept", encoding="utf-8")
    (fewer / "ram.json").unlink()
    write_site(fewer, out)
    assert [path.name for path in out.glob("agents/*")] == [next(out.glob("agents/good*")).name]
    assert (out / "mine.html").read_text(encoding="utf-8") == "kept"
    assert (tmp_path / "outside.html").is_file()
    assert (fewer / "good.json").is_file()


def test_with_one_suite_there_is_no_table_over_all(entries: Path, tmp_path: Path) -> None:
    """It would say the same again, under the same anchor and in the same badges."""
    folder = tmp_path / "entries"
    shutil.copytree(entries, folder, ignore=shutil.ignore_patterns("good-2.json"))
    write_site(folder, tmp_path / "site")
    text = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    assert len(re.findall(r'<table class="board"', text)) == 1
    anchors = re.findall(r' id="([^"]+)"', text)
    assert len(anchors) == len(set(anchors))
    assert len(list((tmp_path / "site/badges").iterdir())) == 5


def test_the_command_names_invalid_files_and_exits_with_1(
    entries: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "entries"
    folder.mkdir()
    (folder / "good.json").write_bytes((entries / "good.json").read_bytes())
    (folder / "<b>.json").write_text("{}", encoding="utf-8")
    assert main(["leaderboard", str(folder), "--out", str(tmp_path / "site"), "--json"]) == 1
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert (found["agents"], found["entries"], found["tables"]) == (1, 1, 1)
    assert found["invalid"][0]["file"] == "<b>.json"
    assert "left out: <b>.json: " in said.err
    text = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;.json" in text
    assert "<b>.json" not in text


def test_the_command_refuses_an_empty_folder_and_a_site_among_the_entries(
    entries: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["leaderboard", str(tmp_path), "--out", str(tmp_path / "site")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["leaderboard", str(entries), "--out", str(entries)]) == 2
    assert "Choose another folder: --out DIR" in capsys.readouterr().err


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of 40 agents with long names on one suite."""
    folder = tmp_path_factory.mktemp("crowd")
    for place in range(40):
        name = f"agent_with_underscores_and_no_hyphens_at_all_{place:02}"
        level, cells = 0.3 + 0.02 * place, quick_cells("dynamics")
        entry = made_entry(name, "dynamics", level=level, num_episodes=4, cells=cells)
        write_entry(folder / f"{place:02}.json", entry)
    write_site(folder, folder / "site")
    return folder / "site"


@pytest.mark.slow
def test_names_break_at_underscores_and_the_text_stays_the_name(crowded: Path) -> None:
    text = (crowded / "index.html").read_text(encoding="utf-8")
    assert "<bdi>agent_<wbr>with_<wbr>" in text
    assert "agent_with_underscores_and_no_hyphens_at_all_07" in Page(text).text


@pytest.mark.slow
@pytest.mark.extra
@pytest.mark.parametrize("width", [1280, 400])
def test_a_long_table_keeps_its_head_in_sight_and_prints_whole(crowded: Path, width: int, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.goto(crowded.joinpath("index.html").as_uri())
        box = page.locator(".scroll.tall").first
        head = box.locator("thead th").first
        box.evaluate("e => { e.scrollTop = 900; e.scrollIntoView(); }")
        assert box.evaluate("e => e.scrollTop") > 0
        assert abs(head.bounding_box()["y"] - box.bounding_box()["y"]) < 3  # pyright: ignore[reportOptionalSubscript]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.set_viewport_size({"width": 1047, "height": 718})  # the inside of an A4 page across
        page.emulate_media(media="print")
        assert box.evaluate("e => e.scrollWidth <= document.documentElement.clientWidth")
        browser.close()


@pytest.mark.extra
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser_pages_fit_filters_work_and_nothing_is_loaded(site: Path, width: int, scheme: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme).new_page()  # pyright: ignore[reportArgumentType]
        trouble: list[str] = []
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith("file:") else trouble.append(request.url))

        def fits() -> bool:
            return page.evaluate("document.documentElement.scrollWidth <= innerWidth")

        page.goto(site.joinpath("index.html").as_uri())
        assert fits()
        shown = page.locator("tr[data-name]:visible")
        everything = shown.count()
        assert everything == 11
        page.fill("input[name=text]", "noop")
        assert shown.count() == 2
        assert "2 of 11 rows shown" in page.inner_text("#count")
        page.click("button[type=reset]")
        expect(page.locator("#count")).to_have_text("")
        assert shown.count() == everything
        for name, value, count in (
            ("privileged", "yes", 2),
            ("external", "yes", 2),
            ("kind", "built in", 4),
            ("randomisation", "some", 3),
            ("budget", "10000000", 7),
            ("budget", "unknown", 4),
        ):
            page.select_option(f"select[name={name}]", value)
            assert shown.count() == count, (name, value)
            assert page.evaluate(TIER_LINES), (name, value)
            page.click("button[type=reset]")
            expect(page.locator("#count")).to_have_text("")
        page.click("summary >> nth=0")
        assert fits()
        wide = page.evaluate(
            "[...document.querySelectorAll('.scroll')].filter(b => b.offsetParent && b.scrollWidth > b.clientWidth + 1)"
            ".every(b => b.previousElementSibling.classList.contains('on'))"
        )
        assert wide
        links = page.eval_on_selector_all("th.agent a", "links => [...new Set(links.map(link => link.href))]")
        assert len(links) == 5
        for link in links:
            page.goto(link)
            assert page.locator("h1").count() == 1
            assert fits()
            page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
            assert fits()
            page.click("nav a")
            assert page.url.endswith("index.html")
        browser.close()
        assert trouble == []
