"""Figures: each takes a data frame and an Axes, and shows what the frame holds."""

import numpy as np
import pandas as pd
import pytest
from result_fixture import write_result_set

from wsabench.evaluation import load_result
from wsabench.evaluation.summary import summarise
from wsabench.report import figures
from wsabench.report.drawing import draw_figures
from wsabench.report.style import figure_bytes, figure_style, looks, new_figure


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    return summarise(load_result(write_result_set(tmp_path_factory.mktemp("figures") / "run")))


@pytest.fixture
def ax():
    with figure_style():
        yield new_figure(3.5, 3.0)[1]


def dots(ax):
    """Return the values of all drawn dots with a marker."""
    lines = [line for line in ax.get_lines() if line.get_marker() not in ("None", "", None)]
    return sorted(float(x) for line in lines for x in line.get_xdata())


def test_every_score_becomes_a_dot(summary, ax):
    figures.draw_measure(summary.perturbations, ax, "normalised_score", summary.seeds)
    assert dots(ax) == pytest.approx(sorted(summary.perturbations["normalised_score"]))
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert names == list(dict.fromkeys(summary.perturbations["label"]))
    assert ax.yaxis.get_inverted()  # clean on top
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["wsa", "e2e"]


def test_undefined_values_leave_a_gap(summary, ax):
    table = summary.perturbations.copy()
    table.loc[table["agent"] == "e2e", "retention"] = np.nan
    figures.draw_measure(table, ax, "retention")
    assert len(dots(ax)) == (table["agent"] == "wsa").sum()


def test_severity_curves_start_clean(summary, ax):
    figures.draw_severity_curve(summary.severities[summary.severities["perturbation"] == "hue-rotate"], ax)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["clean", "1", "3", "5"]
    assert len(ax.get_lines()[0].get_xdata()) == 4


def test_profiles_are_steps_from_one_down(summary, ax):
    figures.draw_profile(summary.profiles, ax)
    heights = ax.get_lines()[0].get_ydata()
    assert heights[0] == 1.0
    assert np.all(np.diff(heights) <= 0)


def test_too_few_seeds_are_hollow(summary, ax):
    table = summary.improvement[summary.improvement["measure"] == "normalised_score"]
    figures.draw_improvement(table, ax)
    markers = [line for line in ax.get_lines() if line.get_marker() == "o"]
    assert {line.get_markerfacecolor() for line in markers} == {"white"}


def test_enough_seeds_are_filled(summary, ax):
    table = summary.improvement[summary.improvement["measure"] == "normalised_score"].assign(num_seeds=5)
    figures.draw_improvement(table, ax)
    assert "white" not in {line.get_markerfacecolor() for line in ax.get_lines() if line.get_marker() == "o"}


def test_attention_shows_every_weight(summary, ax):
    figures.draw_attention(summary.attention, ax)
    texts = [text.get_text() for text in ax.texts]
    means = [float(text) for text in texts[: texts.index("shift")] if "\u2013" not in text]
    assert len(means) == 9 * 4
    assert sum(means[:4]) == pytest.approx(1.0, abs=0.02)
    shifts = summary.attention.drop_duplicates("label")["shift"]
    assert [float(text) for text in texts[texts.index("shift") + 1 :]] == pytest.approx(list(shifts), abs=0.006)


def test_attention_that_differs_between_train_seeds_shows_its_range(summary, ax):
    table = summary.attention.assign(seed_min=0.01, seed_max=0.02)
    table.loc[0, "seed_max"] = 0.99
    figures.draw_attention(table, ax)
    assert [text.get_text() for text in ax.texts if "\u2013" in text.get_text()] == ["0.01\u20130.99"]


def test_agents_differ_in_color_marker_and_dashes():
    styles = list(looks(list("abcdefg")).values())
    for part in range(3):
        assert len({style[part] for style in styles}) == 7


def test_neighbouring_colors_differ_in_grey():
    def grey(color):
        red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
        return 0.299 * red + 0.587 * green + 0.114 * blue

    first, second, *_ = (grey(look.color) for look in looks(["wsa", "e2e", "other"]).values())
    assert abs(first - second) > 60


def test_drawing_leaves_global_settings_alone(summary):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    with figure_style():
        drawn = draw_figures(summary, [])
    figure_bytes(drawn[0].figure, "png")
    assert dict(mpl.rcParams) == before


def test_a_frame_grid_has_a_place_for_every_picture():
    picture = np.zeros((210, 378, 3), np.uint8)
    with figure_style():
        figure = figures.frame_grid([figures.SampleFrame(str(i), picture) for i in range(7)], columns=3, title="game")
    assert [ax.get_title() for ax in figure.axes][:7] == [str(i) for i in range(7)]
    assert figure.get_size_inches()[0] == 7.0


def test_one_severity_alone_is_drawn(summary, ax):
    table = summary.severities[(summary.severities["perturbation"] == "value") & (summary.severities["agent"] == "wsa")]
    figures.draw_severity_curve(pd.DataFrame(table), ax)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["clean", "3"]
