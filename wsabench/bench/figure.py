"""The figure of `wsabench bench encode --num-encoders`: what each fusion costs as the number of encoders grows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wsabench.errors import unknown_name
from wsabench.report.figures.style import FIGURE_FORMATS, TWO_COLUMNS_IN, figure_style, looks, save_figure
from wsabench.types import BenchRow

_PANELS = (("ms/observation", "ms per observation, one thread"), ("parameters", "trained parameters, heads included"))


def check_figure(path: Path) -> None:
    """Check a figure's ending before anything is measured for it.

    Raises:
        UnknownNameError: It is no format that figures are written in.
    """
    if path.suffix[1:] not in FIGURE_FORMATS:
        raise unknown_name("figure format", path.suffix[1:], FIGURE_FORMATS, f"It is the ending of {path}.")


def save_encoder_costs(rows: Sequence[BenchRow], path: Path) -> Path:
    """Draw and write the figure.

    Args:
        rows: Rows of `benchmark_fusions`: names `KIND, N encoders`, units `ms/observation` and `parameters`.
        path: File with the ending of its format.

    Raises:
        StorageError: It cannot be written.
    """
    with figure_style():
        figure = Figure(figsize=(TWO_COLUMNS_IN, 2.7), layout="constrained")
        axes = figure.subplots(1, len(_PANELS))
        for ax, (unit, label) in zip(axes, _PANELS, strict=True):
            _draw([row for row in rows if row["unit"] == unit], ax)
            ax.set_ylabel(label)
        axes[0].legend(ncols=2)
        return save_figure(figure, path.with_suffix(""), (path.suffix[1:],))[0]


def _draw(rows: Sequence[BenchRow], ax: Axes) -> None:
    """Draw one quantity, one line per fusion, both axes logarithmic: slope 1 is proportional to the number."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        kind, _, counted = row["name"].partition(", ")
        lines.setdefault(kind, []).append((int(counted.split()[0]), row["value"]))
    for kind, look in looks(list(lines)).items():
        numbers, values = zip(*lines[kind], strict=True)
        width = 2.2 if kind == "wsa" else 1.1
        ax.plot(
            numbers, values, label=kind, color=look.color, marker=look.marker, linestyle=look.dashes, linewidth=width
        )
    ax.set_xscale("log")
    ax.set_yscale("log")
    # The usual labels are formulas, which figures do not read: a name may hold a dollar.
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.12g}")
    ticks = sorted({number for points in lines.values() for number, _ in points})
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel("fused encoders")
