"""Every figure stays readable: with 1 to 20 agents, long and foreign names, 1 to 12 games, 1 to 210 cells."""

import io
import itertools
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from made_returns import crowd, result
from made_returns import run as made_run
from matplotlib.text import Text
from PIL import Image
from result_fixture import ENCODERS, agent_entry

from wsabench.report.figures.across import unharmed_is_near
from wsabench.report.figures.drawing import draw_figures
from wsabench.report.figures.heatmap import draw_shades, heat_map_height
from wsabench.report.figures.layout import agent_panels, legend_lines, legend_names, short_names, wrapped
from wsabench.report.figures.style import (
    LIGHT_GREY,
    MOST_LOOKS,
    ONE_COLUMN_IN,
    TWO_COLUMNS_IN,
    figure_bytes,
    figure_style,
    legible,
    looks,
    new_figure,
    settle,
)
from wsabench.results.manifest import AgentId
from wsabench.summary.learning import efficiency_table
from wsabench.summary.rows import CurveRow
from wsabench.summary.summarise import summarise

LONG = (
    "wsa-with-a-very-long-name-of-four-encoders",
    "e2e",
    "\u03bc-\u0396\u03b5\u03cd\u03c2",
    "\u00e9l\u00e8ve \u00dcbung",
    "agent_with_underscores_and_no_hyphens_at_all",
    "Proximal.Policy.Optimization/v2+tuned",
    "a",
    "\u4e2d\u6587",
)
NARROWEST_IN = 0.5


def named(number):
    """Return names of agents: long and foreign ones first."""
    return tuple(LONG[i] if i < len(LONG) else f"agent-number-{i:02}" for i in range(number))


def run_of(names, num_games=1, num_cells=5, num_seeds=5):
    """Return a result set with attention of the first agent; cells beyond severities are perturbations of their own."""
    rng = np.random.default_rng(3)
    kinds = max(1, num_cells // 5)
    cells = [(f"perturbation-{kind}", severity) for kind in range(kinds) for severity in range(1, 6)][:num_cells]
    returns, attention = {}, []
    for place, (agent, game) in enumerate(itertools.product(names, range(num_games))):
        for seed in range(num_seeds):
            key = (agent, seed, f"game-{game}")
            returns[*key, "clean", None] = [5.0 + place % 7 + 0.2 * rng.normal()] * 2
            for name, severity in cells:
                returns[*key, name, severity] = [(5.0 + place % 7) / severity * rng.uniform(0.2, 1.4)] * 2
    for name, severity in [("clean", None), *cells]:
        for seed in range(num_seeds):
            row = {"agent": names[0], "train_seed": seed, "game": "game-0", "family": "color", "perturbation": name}
            row |= {"severity": severity, "sd": 0.1, "entropy": 1.0, "num_steps": 100}
            weights = rng.dirichlet(np.ones(len(ENCODERS)))
            attention += [row | {"encoder": one, "mean": weight} for one, weight in zip(ENCODERS, weights, strict=True)]
    agents = tuple(
        agent_entry(agent, seed, f"game-{game}")
        for agent in names
        for game in range(num_games)
        for seed in range(num_seeds)
    )
    effects = {f"game-{game}": {f"{n}@{s}": 2.0 * s for n, s in cells} for game in range(num_games)}
    families = {name: ("color", "corruption", "dynamics")[place % 3] for place, (name, _) in enumerate(cells)}
    made = result(returns, agents=agents, effects=effects, families=families)
    made.attention = as_attention(attention)
    return made


def as_attention(rows):
    """Return attention weights as a result set has them."""
    import pandas as pd

    table = pd.DataFrame(rows)
    table["severity"] = pd.array([pd.NA if pd.isna(one) else int(one) for one in table["severity"]], dtype="Int64")
    return table.assign(context_static_share=np.nan, context_variance_share=np.nan)


def curves_of(names):
    """Return learning curves of one game."""
    return tuple(
        CurveRow(id=AgentId(name, seed, "game-0"), steps=steps, return_mean=steps / 1e5 * (1 + place % 5))
        for place, name in enumerate(names)
        for seed in range(2)
        for steps in range(0, 1_000_001, 100_000)
    )


def drawn_of(names, **sizes):
    """Return all figures of a made-up run."""
    summary = summarise(run_of(names, **sizes))
    curves = curves_of(names)
    with figure_style(), warnings.catch_warnings():
        warnings.simplefilter("error")
        return draw_figures(summary, [], (), curves, efficiency_table(curves, summary.references, 7))


def faults(drawn):
    """Return what is wrong with a figure: cut off, laid over each other, too narrow, or outside the axes."""
    figure, found = drawn.figure, []
    figure.draw_without_rendering()  # what stands in a legend has its place only then
    renderer = figure.canvas.get_renderer() if hasattr(figure.canvas, "get_renderer") else figure._get_renderer()
    canvas = figure.bbox
    ticks = {label for ax in figure.axes for label in (*ax.get_xticklabels(), *ax.get_yticklabels())}
    ticks -= {label for ax in figure.axes for label in shown_ticks(ax, "x") + shown_ticks(ax, "y")}
    for text in figure.findobj(Text):
        if text.get_text().strip() and text.get_visible() and text not in ticks:
            box = text.get_window_extent(renderer)
            if box.width and not (
                canvas.x0 - 1.5 <= box.x0 and box.x1 <= canvas.x1 + 1.5 and canvas.y0 - 1.5 <= box.y0
            ):
                found.append(f"cut off: {text.get_text()!r}")
            if box.width and box.y1 > canvas.y1 + 1.5:
                found.append(f"cut off above: {text.get_text()!r}")
    found += [fault for ax in figure.axes if ax.axison for fault in axes_faults(ax, renderer)]
    boxes = [legend.get_window_extent(renderer) for legend in figure.legends]
    for box, ax in itertools.product(boxes, figure.axes):
        if ax.axison and over(box, ax.bbox):
            found.append("the legend covers the axes")
    titles = [ax.title for ax in figure.axes] + [ax._left_title for ax in figure.axes]
    boxes = [one.get_window_extent(renderer) for one in titles if one.get_text()]
    found += ["titles overlap" for a, b in itertools.combinations(boxes, 2) if over(a, b)]
    return found


def axes_faults(ax, renderer):
    """Return what is wrong with one axes: too narrow, names of ticks over each other, or marks outside."""
    width = ax.bbox.width / ax.figure.dpi
    found = [f"axes of {width:.2f} inches"] if width < NARROWEST_IN else []
    for side in "xy":
        boxes = sorted((one.get_window_extent(renderer) for one in shown_ticks(ax, side)), key=lambda b: (b.x0, b.y0))
        found += ["labels of ticks overlap" for a, b in itertools.pairwise(boxes) if over(a, b)]
    return found + [f"outside: {line.get_label()}" for line in ax.get_lines() if is_outside(line, ax)]


def shown_ticks(ax, side):
    """Return the labels of ticks that are drawn: those within the limits, and not switched off."""
    low, high = sorted(getattr(ax, f"get_{side}lim")())
    ticks = getattr(ax, f"get_{side}ticklabels")()
    places = [one.get_position()["xy".index(side)] for one in ticks]
    return [
        one
        for one, at in zip(ticks, places, strict=True)
        if low - 1e-9 <= at <= high + 1e-9 and one.get_text() and one.get_visible() and ax.axison
    ]


def over(a, b):
    """Whether two boxes share more than a hair."""
    return min(a.x1, b.x1) - max(a.x0, b.x0) > 0.8 and min(a.y1, b.y1) - max(a.y0, b.y0) > 0.8


def is_outside(line, ax):
    """Whether a marker lies outside what the axes show; guides across the axes have other coordinates."""
    if line.get_transform() != ax.transData or line.get_color() == LIGHT_GREY:
        return False
    x, y = (np.asarray(values, dtype=float) for values in line.get_data())
    (left, right), (low, high) = sorted(ax.get_xlim()), sorted(ax.get_ylim())
    slack_x, slack_y = 0.01 * (right - left), 0.01 * (high - low)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    return bool(((x < left - slack_x) | (x > right + slack_x) | (y < low - slack_y) | (y > high + slack_y)).any())


def check(drawn):
    """Check all figures of a run, and that each has what the page needs."""
    for one in drawn:
        assert not faults(one), (one.name, one.figure.get_size_inches(), faults(one))
        assert one.figure.get_figwidth() <= 6.81, one.name
        assert one.figure.get_figheight() <= 9.6, (one.name, one.figure.get_figheight())
    assert len({one.name for one in drawn}) == len(drawn)


@pytest.mark.parametrize("number", [1, 2, *(pytest.param(number, marks=pytest.mark.slow) for number in (8, 20))])
def test_figures_fit_whatever_the_number_of_agents_and_their_names(number):
    drawn = drawn_of(named(number), num_cells=10, num_seeds=3)
    check(drawn)
    assert drawn[0].name == "answer"
    assert drawn[0].agents == tuple(name for name in named(number))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "games", "cells"), [(2, 12, 5), (8, 2, 210), (20, 5, 40), (1, 1, 1), (20, 1, 210)])
def test_figures_fit_whatever_was_played(number, games, cells):
    check(drawn_of(named(number), num_games=games, num_cells=cells, num_seeds=3))


@pytest.mark.slow
def test_the_figures_of_many_agents_over_games_fit():
    summary = summarise(crowd(9, 5, num_seeds=3, num_episodes=4))
    with figure_style():
        drawn = draw_figures(summary, [])
    check(drawn)
    assert {"effective-robustness", "games", "normalisers", "worst-groups"} <= {one.name for one in drawn}


@pytest.mark.parametrize("dpi", [100, 110, 150, 300])
def test_a_layout_holds_at_every_resolution(dpi):
    # Upright names of three lines with a label below: a font fitted to the pixels made them longer at some resolutions.
    columns, lines = named(8), ["clean", "perturbation-0"]
    with figure_style():
        figure, ax = new_figure(TWO_COLUMNS_IN, heat_map_height(lines, columns))
        draw_shades(np.full((2, 8), 0.4), [["1"] * 8] * 2, ax, lines, columns)
        ax.set_xlabel("rank (1 is best)")
        settle(figure)
    picture = np.asarray(Image.open(io.BytesIO(figure_bytes(figure, "png", dpi))).convert("L"))
    edge = round(0.02 * dpi)
    assert picture[:edge].min() == picture[-edge:].min() == picture[:, -edge:].min() == 255


def test_a_legend_has_as_many_columns_as_fit():
    assert legend_lines(["clean", "kept under perturbations"], ONE_COLUMN_IN) == 1
    assert legend_lines(["a"] * 4, ONE_COLUMN_IN) == 1
    assert legend_lines(["kept under perturbations"] * 2, ONE_COLUMN_IN) == 2


LONGEST = tuple(f"{name}-and-the-number-of-its-trial-{place}" for place, name in enumerate(LONG))


@pytest.mark.parametrize("width", [ONE_COLUMN_IN, TWO_COLUMNS_IN])
def test_the_legend_of_eight_long_names_leaves_room_for_the_curves(width):
    labels = legend_names(LONGEST, width)
    assert len(set(labels)) == len(LONGEST)
    assert legend_lines(LONGEST, width) <= 5
    for label, name in zip(labels, map(legible, LONGEST), strict=True):
        assert label.startswith(name[:6])
        assert label.endswith(name[-4:])


def test_names_that_differ_in_their_middle_keep_it():
    alike = [f"weight-sharing-attention-with-{place}-of-the-encoders-and-a-long-end" for place in range(8)]
    labels = legend_names(alike, ONE_COLUMN_IN)
    assert len(set(labels)) == 8
    assert legend_lines(alike, ONE_COLUMN_IN) <= 8
    assert all(str(place) in label for place, label in enumerate(labels))


@pytest.mark.parametrize(
    ("names", "width", "short"),
    [
        (["wsa", "a-name-of-many-letters"], 12, ["wsa", "a-name-\u2026ters"]),
        (
            ["run-of-2026-a-long-time", "run-of-2027-a-long-time"],
            12,
            ["\u20266-a-lo\u2026time", "\u20267-a-lo\u2026time"],
        ),
        ([f"agent-number-{i:02}-of-many" for i in (3, 14)], 6, ["\u202603\u2026ny", "\u202614\u2026ny"]),
        (["x" * 20 + "a" + "y" * 20, "x" * 20 + "b" + "y" * 20, "c" * 41, "c" * 40 + "d"], 8, None),
    ],
)
def test_shortened_names_differ(names, width, short):
    assert short_names(names, width) == short


def test_few_names_stand_whole_in_lines():
    assert legend_names(LONGEST[:2], TWO_COLUMNS_IN) == [wrapped(name) for name in LONGEST[:2]]


def test_the_line_of_no_loss_is_left_out_where_it_would_press_the_agents_together():
    rows = [SimpleNamespace(clean=0.8 + 0.01 * i, perturbed=0.2 + 0.01 * i) for i in range(5)]
    assert not unharmed_is_near(rows, [])
    near = [SimpleNamespace(clean=0.8 + 0.1 * i, perturbed=0.6 + 0.1 * i) for i in range(5)]
    assert unharmed_is_near(near, [])


def test_three_agents_leave_no_empty_panel():
    (figure,) = agent_panels(["a", "b", "c"], 1.0, lambda agent, ax: ax.plot([0, 1]), "x")
    assert [ax.axison for ax in figure.axes] == [True] * 3


def test_random_play_lies_on_the_axis_of_scores():
    summary = summarise(made_run({"a": 6.0, "b": 6.5}, num_seeds=2))
    with figure_style():
        drawn = {one.name: one.figure for one in draw_figures(summary, [])}
    for name in ("answer", "normalised-score", "retention"):
        low, high = drawn[name].axes[0].get_xlim()
        assert low < 0 < high, name


def test_no_two_agents_look_the_same():
    assert len(set(looks([f"agent-{i}" for i in range(280)]).values())) == 280
    first = list(looks([f"agent-{i}" for i in range(MOST_LOOKS)]).values())
    for a, b in itertools.combinations(first, 2):
        assert sum(one != other for one, other in zip(a, b, strict=True)) >= 2
