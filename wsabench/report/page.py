"""The HTML page, one file with everything in it, and the report as Markdown."""

from __future__ import annotations

import base64
import hashlib
import html
import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from wsabench.report.figures import SampleFrame
from wsabench.report.figures.layout import short_names
from wsabench.report.figures.marks import marked
from wsabench.report.figures.selection import MOST_LINES
from wsabench.report.figures.style import NamedFigure, dark_shades, figure_bytes
from wsabench.report.tables.answer import answer_of
from wsabench.report.tables.comparisons import (
    comparison_tables,
    measure_tables,
    side_by_side_tables,
    with_claims,
)
from wsabench.report.tables.definitions import Definition, definitions_of
from wsabench.report.tables.insight import insight_tables
from wsabench.report.tables.provenance import Step, provenance_tables, scope_of, steps_to_reproduce, title_of
from wsabench.report.tables.results import (
    aggregate_summary_table,
    attention_tables,
    average_table,
    headline,
    headline_table,
    improvement_summary_tables,
    result_tables,
    sample_size_table,
)
from wsabench.report.tables.rliable import resampling_table
from wsabench.report.tables.text import Section, Table, markdown, without_markup
from wsabench.results.manifest import Manifest
from wsabench.results.result import FRAME_GAP, privileged_agents
from wsabench.summary.rows import Measure
from wsabench.summary.sentences import Sentence
from wsabench.summary.summarise import Summary
from wsabench.words import counted

_MOST_SENTENCES = 14
_MANY_AGENTS = 10
"""More agents than this have a line each in the leading table, so that all of them stand on the first screen."""
_LEAD_NAME_WIDTH = 18
"""Characters of a name there."""
_COMMENT_TABLES = 3
_LONGEST_COMMENT = 40_000
_LONGEST_NOTES = 10_000
_RESULT_COLUMNS: dict[Measure, int] = {"normalised_score": 4, "retention": 6, "robustness_gap": 8}
_AVERAGE_COLUMNS: dict[Measure, int] = {"normalised_score": 3, "retention": 4, "robustness_gap": 5}


_SECTIONS: tuple[Section, ...] = ("families", "games", "inside", "methods")
_LINKS = (("PDF", "figures/{}.pdf"), ("PNG", "figures/{}.png"), ("LaTeX", "figures/{}.tex"))
"""What a figure's links are called, and where the files lie beside the page."""


class Content(NamedTuple):
    """Everything a report says, before it is laid out."""

    title: str
    """Who played what, where."""
    scope: str
    """How much was played, in one line."""
    lead: Table
    """The table of the agents in tiers."""
    order: tuple[str, ...]
    """The agents, the best first."""
    definitions: tuple[Definition, ...]
    """What words mean."""
    scores: tuple[str, ...]
    """What each agent scores and keeps, where the tiers do not say it."""
    statement: str
    """What the tiers say."""
    undecided: Sentence | None
    """What cannot be decided."""
    notes: tuple[str, ...]
    """Caveats."""
    headline: tuple[Sentence, ...]
    """What the numbers and the claims say, in sentences."""
    tables_of: Mapping[Section, tuple[Table, ...]]
    """The tables of numbers below the answer, by section."""
    provenance: tuple[Table, ...]
    """The tables that say where the numbers come from."""
    reproduce: tuple[Step, ...]
    """How to make the report again."""
    frames_note: str
    """What the sample pictures leave out; empty where they leave out nothing."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """All tables of numbers, in order."""
        return (self.lead, *(table for section in _SECTIONS for table in self.tables_of[section]))


def content_of(
    summary: Summary, manifest: Manifest, run_dirs: Sequence[Path] = (), formats: Sequence[str] = ()
) -> Content:
    """Put a summary into words and tables.

    Args:
        summary: The numbers.
        manifest: The result set's manifest.
        run_dirs: The directories of the result sets, for the command that makes this report.
        formats: The formats of the report, for the same command; empty for all.
    """
    privileged = privileged_agents(manifest)
    answer = answer_of(summary)
    tables: dict[Section, list[Table]] = {section: [] for section in _SECTIONS}
    for table in _tables(summary, manifest):
        tables[table.section].append(marked(table, privileged))
    is_large = len(summary.played) > MOST_LINES
    return Content(
        title=title_of(manifest.plan, [row.agent for row in summary.random_play]),
        scope=scope_of(summary),
        lead=marked(answer.table, privileged),
        order=answer.order,
        definitions=definitions_of(manifest.plan),
        scores=answer.scores,
        statement=answer.statement,
        undecided=answer.undecided,
        notes=(*summary.notes, *manifest.history.merge_notes),
        headline=(*headline(summary), *summary.sentences),
        tables_of={section: tuple(of) for section, of in tables.items()},
        provenance=tuple(marked(table, privileged) for table in provenance_tables(summary, manifest)),
        reproduce=tuple(steps_to_reproduce(manifest, run_dirs, summary.options, summary.interval, formats)),
        frames_note="Each perturbation at its strongest severity." if is_large else "",
    )


def _tables(summary: Summary, manifest: Manifest) -> list[Table]:
    """Return every table below the answer; those that few readers need are folded."""
    scores, *kept = side_by_side_tables(summary) or [None]
    shown = [] if scores is None else [replace(scores, is_folded=bool(kept)), *kept]
    families = [*shown, *(replace(table, is_folded=True) for table in measure_tables(summary))]
    games = _detailed_tables(summary, manifest.plan.effects)
    first = headline_table(summary)
    methods: list[Table | None] = [
        sample_size_table(summary),
        *comparison_tables(summary),
        first and replace(first, is_folded=True),
        *(
            table and replace(table, is_folded=True)
            for table in (aggregate_summary_table(summary), resampling_table(summary))
        ),
        *(replace(table, is_folded=True) for table in improvement_summary_tables(summary)),
    ]
    return [
        *(replace(table, section="families") for table in families),
        *(replace(table, section="games", is_folded=place > 0) for place, table in enumerate(games)),
        *(replace(table, section="inside", is_folded=True) for table in attention_tables(summary)),
        *(table for table in methods if table is not None),
        *insight_tables(summary.insight),
    ]


def html_page(
    content: Content,
    figures: Sequence[NamedFigure],
    frames: Sequence[SampleFrame] = (),
    files: Collection[str] = (),
    written: Mapping[str, str] | None = None,
) -> str:
    """Return the page. It needs no network and holds all: a small script, figures as SVG, pictures as PNG or WebP.

    Args:
        content: Words and tables.
        figures: The figures that `draw_figures` gives; those made of pixels are left out.
        frames: Sample pictures.
        files: The files beside the page, by their paths from the page; figures and tables link to their own.
        written: The SVG texts of figures that were written already, by name; None: none was.
    """
    texts = written or {}
    loader = PackageLoader("wsabench.report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    script = "".join(loader.get_source(environment, name)[0] for name in ("sort.js", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    pictures, left_out = page_pictures(frames)
    numbers = itertools.count(1)
    drawn = [figure for figure in figures if not figure.is_picture]
    has_inside = bool(pictures or content.tables_of["inside"] or any(one.section == "inside" for one in drawn))
    sections = [("answer", "Answer"), ("families", "By perturbation"), ("games", "By game")]
    sections += [("inside", "Seeing inside")] if has_inside else []
    sections += [("methods", "Methods"), ("definitions", "Definitions"), ("provenance", "Provenance")]
    return environment.get_template("page.html").render(
        content=content,
        figures=[
            {"figure": figure, "svg": _svg(figure, texts.get(figure.name)), "links": _links(figure, files)}
            for figure in drawn
        ],
        files=files,
        sections=[*sections, ("reproduce", "Reproduce")],
        has_inside=has_inside,
        pictures=pictures,
        pictures_left_out=left_out,
        definitions=content.definitions,
        dark_colors=dark_colors(),
        script=script,
        script_hash=f"sha256-{digest}",
        most_sentences=_MOST_SENTENCES,
        next_number=lambda: next(numbers),
        counted=counted,
        short_names=_short_names([row[1] for row in content.lead.rows]),
    )


def _short_names(agents: Sequence[str]) -> dict[str, str]:
    """Return names for a table with so many lines that each has to be one; empty where names may take several.

    Args:
        agents: The agents of the table.
    """
    if len(agents) <= _MANY_AGENTS:
        return {}
    return dict(zip(agents, short_names(agents, _LEAD_NAME_WIDTH) or [], strict=False))


def comment_text(content: Content) -> str:
    """Return what fits into a comment on a pull request: the findings in words, and the first tables.

    Args:
        content: Words and tables.

    Returns:
        Markdown, about 50,000 characters at most. A table that would make it longer is left out, and a line says so;
        caveats of 10,000 characters and more are left out.
    """
    text = f"### wsabench: {content.title}\n\n" + "".join(
        f"- {one.text}\n" for one in content.headline[:_MOST_SENTENCES]
    )
    shown = [table for table in content.tables if len(table.rows) > 0][:_COMMENT_TABLES]
    for table in shown:
        part = "\n#" + markdown(table)
        if len(text) + len(part) > _LONGEST_COMMENT:
            text += f"\n{table.title}: too long for a comment; the report has it.\n"
        else:
            text += part
    if content.notes:
        notes = "".join(f"- {note}\n" for note in content.notes)
        text += f"\n<details><summary>Caveats</summary>\n\n{notes}\n</details>\n" * (len(notes) < _LONGEST_NOTES)
    return text


def _links(figure: NamedFigure, files: Collection[str]) -> list[dict[str, str]]:
    """Return the links of a figure: as a file, its data, its LaTeX."""
    wanted = [(word, pattern.format(figure.name)) for word, pattern in _LINKS]
    wanted[2:2] = [(f"{name}.csv", f"csv/{name}.csv") for name in figure.data]
    return [{"word": word, "file": file} for word, file in wanted if file in files]


def markdown_text(content: Content, figure_files: Sequence[tuple[NamedFigure, str]]) -> str:
    """Return the report as Markdown.

    Args:
        content: Words and tables.
        figure_files: Figures, each with the path of its file from the text.
    """
    pictures: dict[Section, list[str]] = {}
    for figure, file in figure_files:
        title = without_markup(figure.title)
        text = f"### {title}\n\n![{title}]({file})\n\n{without_markup(figure.caption)}\n"
        pictures.setdefault(figure.section, []).append(text)
    undecided = content.undecided.text if content.undecided else ""
    parts = [f"# wsabench: {without_markup(content.title)}\n", f"{content.scope}\n", "## The answer\n"]
    parts += [f"{without_markup(text)}\n" for text in (*content.scores, content.statement, undecided) if text]
    parts += [*pictures.get("answer", ()), markdown(content.lead)]
    parts.append(
        "### Caveats\n\n" + "".join(f"- {without_markup(note)}\n" for note in content.notes or ("None known.",))
    )
    parts.append("### In words\n\n" + "".join(f"- {without_markup(sentence.text)}\n" for sentence in content.headline))
    for section, title in zip(_SECTIONS, ("By perturbation", "By game", "Seeing inside", "Methods"), strict=True):
        body = [*pictures.get(section, ()), *(markdown(table) for table in content.tables_of[section])]
        parts += [f"## {title}\n", *body] if body else []
    parts.append("## Definitions\n\n" + "".join(f"- **{word}**: {meaning}\n" for word, meaning in content.definitions))
    parts += ["## Provenance\n", *(markdown(table) for table in content.provenance)]
    parts.append("## How to reproduce\n")
    for step in content.reproduce:
        commands = "\n".join(("```sh", *step.commands, "```\n")) if step.commands else ""
        parts.append(f"{without_markup(step.words)}\n\n{commands}")
    return "\n".join(parts)


def _detailed_tables(summary: Summary, effects: dict[str, dict[str, float]]) -> list[Table]:
    """Return the mean over games and one table for each game.

    A claim is about all games: where there are several, it stands with their mean.
    """
    tables = result_tables(summary, effects)
    average = average_table(summary)
    if average is None:
        return [with_claims(table, summary, _RESULT_COLUMNS) for table in tables]
    return [with_claims(average, summary, _AVERAGE_COLUMNS), *tables]


def _svg(named: NamedFigure, text: str | None) -> str:
    """Return a figure as an element of the page; it is drawn where it has no SVG text yet."""
    description = f"{named.title}. {named.caption}"
    return inline_svg(text or figure_bytes(named.figure, "svg").decode("utf-8"), named.name, description)


MOST_BYTES = 4_000_000
"""Bytes that all pictures of a page take together, at most."""

_LOSSLESS_BYTES = 14_000
"""Larger pictures (noise does not compress) are stored with loss."""
_WEBP_QUALITY = 70
_WHITE = _OPAQUE = 255


class PagePicture(NamedTuple):
    """One picture as it stands in the page."""

    title: str
    """What stands above the picture."""
    source: str
    """The picture as a data URI."""
    width: int
    """Width in pixels."""
    height: int
    """Height in pixels."""


def page_pictures(frames: Sequence[SampleFrame], most_bytes: int = MOST_BYTES) -> tuple[list[PagePicture], int]:
    """Encode sample pictures for the page.

    Args:
        frames: The sample frames, in the order of the run.
        most_bytes: Bytes that all of them may take together.

    Returns:
        The pictures that fit, in order, and how many had to be left out.
    """
    pictures: list[PagePicture] = []
    used = 0
    for frame in frames:
        source = _data_uri(frame)
        used += len(source)
        if used > most_bytes:
            break
        height, width = frame.pixels.shape[:2]
        pictures.append(PagePicture(frame.title, source, width, height))
    return pictures, len(frames) - len(pictures)


def _data_uri(frame: SampleFrame) -> str:
    """Return a picture as PNG, or as WebP where that is much smaller; the gap between its halves is transparent."""
    import cv2

    pixels = frame.pixels[:, :, ::-1]
    height, width = pixels.shape[:2]
    start = width - height - FRAME_GAP
    if start > 0 and (pixels[:, start : start + FRAME_GAP] == _WHITE).all():
        opacity = np.full((height, width, 1), _OPAQUE, dtype=np.uint8)
        opacity[:, start : start + FRAME_GAP] = 0
        pixels = np.concatenate([pixels, opacity], axis=2)
    kind, encoded = "png", cv2.imencode(".png", pixels)[1]
    if encoded.size > _LOSSLESS_BYTES:
        kind, encoded = "webp", cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, _WEBP_QUALITY])[1]
    return f"data:image/{kind};base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"


# Light to dark: the same hue, light enough for a dark page.
_DARK: Mapping[str, str] = {
    **dark_shades(),
    "#000000": "#ffffff",
    "#262626": "#e7eaee",
    "#5c5c5c": "#a3acb7",
    "#d9d9d9": "#3a414a",
    "#ffffff": "#15181c",
    "#0072b2": "#4da3e0",
    "#e69f00": "#f0b429",
    "#009e73": "#2cc295",
    "#cc79a7": "#e29cc4",
    "#56b4e9": "#a5d8f6",
    "#d55e00": "#ff8a4c",
}
_COLOR = re.compile(r"(?<=: )#[0-9a-f]{6}\b")
_REFERENCE = re.compile(r'( id="|href="#|url\(#)')
_HEAD = re.compile(r"^.*?<svg\b[^>]*?viewBox=\"([^\"]*)\"[^>]*>", re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_GLOBAL_STYLE = re.compile(r"\s*<defs>\s*<style type=\"text/css\">.*?</style>\s*</defs>", re.DOTALL)


def inline_svg(svg: str, name: str, description: str) -> str:
    """Return a figure as an `<svg>` element for a page.

    Args:
        svg: A whole SVG file as matplotlib writes it.
        name: A name that is unique on the page; the identifiers inside begin with it.
        description: What a screen reader says.

    Returns:
        The element; its colours are CSS variables that a dark page changes.

    Raises:
        ValueError: The text is no SVG file.
    """
    found = _HEAD.match(svg)
    if found is None:
        raise ValueError(f"The figure {name} is not an SVG file.")
    body = _GLOBAL_STYLE.sub("", _METADATA.sub("", svg[found.end() :]))
    prefix = re.sub(r"[^A-Za-z0-9]", "-", name)
    body = _REFERENCE.sub(rf"\g<1>{prefix}-", body)
    body = _COLOR.sub(_variable, body)
    head = f'<svg viewBox="{found[1]}" role="img" aria-label="{html.escape(description)}"'
    return f'{head} xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{body}'


def dark_colors() -> str:
    """Return the CSS declarations that make themed figures readable on a dark page."""
    return " ".join(f"--f-{light[1:]}: {dark};" for light, dark in _DARK.items())


def _variable(color: re.Match[str]) -> str:
    return f"var(--f-{color[0][1:]}, {color[0]})" if color[0] in _DARK else color[0]
