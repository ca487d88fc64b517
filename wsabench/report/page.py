"""The HTML page: one file with everything in it, and the Markdown text."""

from __future__ import annotations

import base64
import hashlib
import html
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from wsabench.report.figures import SampleFrame
from wsabench.report.figures.marks import marked
from wsabench.report.figures.selection import MOST_LINES
from wsabench.report.figures.style import NamedFigure, figure_bytes
from wsabench.report.tables.comparisons import (
    comparison_tables,
    measure_tables,
    side_by_side_tables,
    with_claims,
)
from wsabench.report.tables.definitions import DEFINITIONS
from wsabench.report.tables.insight import insight_tables
from wsabench.report.tables.provenance import Step, provenance_tables, steps_to_reproduce, title_of
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
from wsabench.report.tables.text import Table, markdown, without_markup
from wsabench.results.manifest import Manifest
from wsabench.results.result import FRAME_GAP, privileged_agents
from wsabench.summary.rows import Measure
from wsabench.summary.sentences import Sentence
from wsabench.summary.summarise import Summary

_MOST_SENTENCES = 14
_RESULT_COLUMNS: dict[Measure, int] = {"normalised_score": 4, "retention": 6, "robustness_gap": 8}
_AVERAGE_COLUMNS: dict[Measure, int] = {"normalised_score": 3, "retention": 4, "robustness_gap": 5}


class Content(NamedTuple):
    """Everything a report says, before it is laid out."""

    title: str
    samples: Table
    notes: tuple[str, ...]
    headline: tuple[Sentence, ...]
    results: tuple[Table, ...]
    comparisons: tuple[Table, ...]
    insight: tuple[Table, ...]
    attention: tuple[Table, ...]
    provenance: tuple[Table, ...]
    reproduce: tuple[Step, ...]
    frames_note: str

    @property
    def tables(self) -> tuple[Table, ...]:
        """All tables of numbers, in order."""
        return (self.samples, *self.results, *self.comparisons, *self.insight, *self.attention)


def content_of(summary: Summary, manifest: Manifest, run_dirs: Sequence[Path] = ()) -> Content:
    """Put a summary into words and tables.

    Args:
        summary: The numbers.
        manifest: The result set's manifest.
        run_dirs: Where the result sets are, for the command that makes this report; only their names are shown.
    """
    first = headline_table(summary)
    results = [*([] if first is None else [first]), *side_by_side_tables(summary), *measure_tables(summary)]
    results += _detailed_tables(summary, manifest.plan.effects)
    comparisons: list[Table | None] = [
        *comparison_tables(summary),
        aggregate_summary_table(summary),
        resampling_table(summary),
    ]
    comparisons += [*improvement_summary_tables(summary)]
    is_large = len(summary.played) > MOST_LINES
    privileged = privileged_agents(manifest)
    return Content(
        title=title_of(manifest.plan),
        samples=marked(sample_size_table(summary), privileged),
        notes=(*summary.notes, *manifest.history.merge_notes),
        headline=(*headline(summary), *summary.sentences),
        results=tuple(marked(table, privileged) for table in results),
        comparisons=tuple(marked(table, privileged) for table in comparisons if table is not None),
        insight=tuple(marked(table, privileged) for table in insight_tables(summary.insight)),
        attention=tuple(marked(table, privileged) for table in attention_tables(summary)),
        provenance=tuple(marked(table, privileged) for table in provenance_tables(summary, manifest)),
        reproduce=tuple(steps_to_reproduce(manifest, run_dirs, summary.options, summary.interval)),
        frames_note="Each perturbation at its strongest severity." if is_large else "",
    )


def html_page(content: Content, figures: Sequence[NamedFigure], frames: Sequence[SampleFrame] = ()) -> str:
    """Return the page: no network, one small script that sorts tables, figures inside as SVG, pictures as PNG or WebP.

    Args:
        content: Words and tables.
        figures: Drawn by `draw_figures`; those of pictures are left out.
        frames: Sample pictures.
    """
    loader = PackageLoader("wsabench.report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    script = loader.get_source(environment, "sort.js")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    pictures, left_out = page_pictures(frames)
    numbers = itertools.count(1)
    return environment.get_template("page.html").render(
        content=content,
        figures=[{"figure": figure, "svg": _svg(figure)} for figure in figures if not figure.is_picture],
        pictures=pictures,
        pictures_left_out=left_out,
        definitions=DEFINITIONS,
        dark_colors=dark_colors(),
        script=script,
        script_hash=f"sha256-{digest}",
        most_sentences=_MOST_SENTENCES,
        next_number=lambda: next(numbers),
    )


def markdown_text(content: Content, figure_files: Sequence[tuple[NamedFigure, str]]) -> str:
    """Return the report as Markdown.

    Args:
        content: Words and tables.
        figure_files: Figures with their file names relative to the text; empty for none.
    """
    parts = [f"# wsabench: {without_markup(content.title)}\n"]
    parts.append("### In words\n\n" + "".join(f"- {without_markup(sentence.text)}\n" for sentence in content.headline))
    parts.append(
        "### Caveats\n\n" + "".join(f"- {without_markup(note)}\n" for note in content.notes or ("None known.",))
    )
    parts += [markdown(table) for table in content.tables]
    for figure, file in figure_files:
        title = without_markup(figure.title)
        parts.append(f"### {title}\n\n![{title}]({file})\n\n{without_markup(figure.caption)}\n")
    parts.append("### Definitions\n\n" + "".join(f"- **{word}**: {meaning}\n" for word, meaning in DEFINITIONS))
    parts += [markdown(table) for table in content.provenance]
    parts.append("### How to reproduce\n")
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


def _svg(named: NamedFigure) -> str:
    """Return a figure as an element of the page."""
    label = f"{named.title}. {named.caption}"
    text = figure_bytes(named.figure, "svg").decode("utf-8")
    return inline_svg(text, named.name, label, is_themed=not named.keeps_colors)


MOST_BYTES = 4_000_000
"""All pictures of a page together, as they stand in it."""

_LOSSLESS_BYTES = 14_000
"""Larger pictures (noise does not compress) are stored with loss."""
_WEBP_QUALITY = 70
_WHITE = _OPAQUE = 255


class PagePicture(NamedTuple):
    """One picture as it stands in the page."""

    title: str
    source: str
    """A data URI."""
    width: int
    height: int


def page_pictures(frames: Sequence[SampleFrame], most_bytes: int = MOST_BYTES) -> tuple[list[PagePicture], int]:
    """Encode sample pictures for the page.

    Args:
        frames: In the order of the run.
        most_bytes: Room for all of them.

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


def inline_svg(svg: str, name: str, label: str, *, is_themed: bool) -> str:
    """Return a figure as an `<svg>` element for a page.

    Args:
        svg: A whole SVG file as matplotlib writes it.
        name: Unique on the page; the identifiers inside begin with it.
        label: What a screen reader says.
        is_themed: Whether its colours become CSS variables that a dark page changes; figures whose colours carry
            numbers keep them.
    """
    found = _HEAD.match(svg)
    if found is None:
        raise ValueError(f"The figure {name} is not an SVG file.")
    body = _GLOBAL_STYLE.sub("", _METADATA.sub("", svg[found.end() :]))
    prefix = re.sub(r"[^A-Za-z0-9]", "-", name)
    body = _REFERENCE.sub(rf"\g<1>{prefix}-", body)
    if is_themed:
        body = _COLOR.sub(_variable, body)
    head = f'<svg viewBox="{found[1]}" role="img" aria-label="{html.escape(label)}"'
    return f'{head} xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{body}'


def dark_colors() -> str:
    """Return the CSS declarations that make themed figures readable on a dark page."""
    return " ".join(f"--f-{light[1:]}: {dark};" for light, dark in _DARK.items())


def _variable(color: re.Match[str]) -> str:
    return f"var(--f-{color[0][1:]}, {color[0]})" if color[0] in _DARK else color[0]
