"""The HTML page: one file with everything in it, and the Markdown text."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from wsabench.evaluation.summary import Summary
from wsabench.report.definitions import DEFINITIONS
from wsabench.report.drawing import NamedFigure
from wsabench.report.privileged import marked, privileged_agents
from wsabench.report.provenance import provenance_tables, title_of
from wsabench.report.style import figure_bytes
from wsabench.report.tables import (
    Table,
    aggregate_summary_table,
    attention_tables,
    average_table,
    headline,
    improvement_summary_tables,
    markdown,
    result_tables,
    sample_size_table,
)


class Content(NamedTuple):
    """Everything a report says, before it is laid out."""

    title: str
    samples: Table
    notes: tuple[str, ...]
    headline: tuple[str, ...]
    results: tuple[Table, ...]
    comparisons: tuple[Table, ...]
    attention: tuple[Table, ...]
    provenance: tuple[Table, ...]


def content_of(summary: Summary, manifest: Mapping[str, Any]) -> Content:
    """Put a summary into words and tables.

    Args:
        summary: The numbers.
        manifest: The result set's manifest.
    """
    results = [average_table(summary), *result_tables(summary, manifest.get("effects", {}))]
    comparisons = [aggregate_summary_table(summary), *improvement_summary_tables(summary)]
    privileged = privileged_agents(manifest)
    return Content(
        title=title_of(manifest),
        samples=marked(sample_size_table(summary), privileged),
        notes=summary.notes,
        headline=tuple(headline(summary)),
        results=tuple(marked(table, privileged) for table in results if table is not None),
        comparisons=tuple(marked(table, privileged) for table in comparisons if table is not None),
        attention=tuple(marked(table, privileged) for table in attention_tables(summary)),
        provenance=tuple(marked(table, privileged) for table in provenance_tables(summary, manifest)),
    )


def html_page(content: Content, figures: Sequence[NamedFigure]) -> str:
    """Return the page: no network, no scripts, figures inside as SVG (pictures as PNG).

    Args:
        content: Words and tables.
        figures: Drawn by `draw_figures`.
    """
    environment = Environment(
        loader=PackageLoader("wsabench.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    template = environment.get_template("page.html")
    shown = [{"figure": figure, "source": _data_uri(figure)} for figure in figures]
    numbers = itertools.count(1)
    return template.render(content=content, figures=shown, definitions=DEFINITIONS, next_number=lambda: next(numbers))


def markdown_text(content: Content, figure_files: Sequence[tuple[NamedFigure, str]]) -> str:
    """Return the report as Markdown.

    Args:
        content: Words and tables.
        figure_files: Figures with their file names relative to the text; empty for none.
    """
    parts = [f"# wsabench: {content.title}\n", markdown(content.samples)]
    parts.append("### Caveats\n\n" + "".join(f"- {note}\n" for note in content.notes or ("None known.",)))
    parts.append("### In words\n\n" + "".join(f"- {sentence}\n" for sentence in content.headline))
    parts += [markdown(table) for table in (*content.results, *content.comparisons, *content.attention)]
    parts += [f"### {figure.title}\n\n![{figure.title}]({file})\n\n{figure.caption}\n" for figure, file in figure_files]
    parts.append("### Definitions\n\n" + "".join(f"- **{word}**: {meaning}\n" for word, meaning in DEFINITIONS))
    parts += [markdown(table) for table in content.provenance]
    return "\n".join(parts)


def _data_uri(figure: NamedFigure) -> str:
    """Return a figure as a data URI; pixel pictures as PNG, drawings as SVG."""
    kind, image_format = ("png", "png") if figure.is_picture else ("svg+xml", "svg")
    content = base64.b64encode(figure_bytes(figure.figure, image_format)).decode("ascii")
    return f"data:image/{kind};base64,{content}"
