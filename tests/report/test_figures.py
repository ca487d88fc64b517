"""Figures: each takes a data frame and an Axes, and shows what the frame holds."""

import hashlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made_returns import result
from msgspec.structs import replace
from result_fixture import agent_entry, write_result_set

from wsabench.errors import UnknownNameError
from wsabench.report import figures
from wsabench.report.curves import learning_curves
from wsabench.report.figures.drawing import draw_figures
from wsabench.report.figures.overview import rank_table
from wsabench.report.figures.selection import MOST_LINES, parts_of
from wsabench.report.figures.style import add_tooltip, figure_bytes, figure_style, looks, new_figure, save_figure
from wsabench.results import load_result
from wsabench.summary.learning import NUM_POINTS, efficiency_table
from wsabench.summary.summarise import summarise


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
    assert not ax.collections  # two train seeds: no bands


def test_profiles_of_enough_train_seeds_have_bands(summary, ax):
    figures.draw_profile(summary.profiles.assign(num_seeds=5), ax)
    assert len(ax.collections) == 2


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
    assert figure.get_size_inches()[0] == 6.8


def test_every_agent_has_its_aggregates(summary, ax):
    table = summary.aggregates[
        (summary.aggregates["scope"] == "clean") & (summary.aggregates["measure"] == "normalised_score")
    ]
    figures.draw_aggregate(table, ax, "iqm")
    assert dots(ax) == pytest.approx(sorted(table[table["metric"] == "iqm"]["value"]))
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["wsa", "e2e"]


def test_heat_maps_show_numbers_and_hatch_what_is_undefined(ax):
    table = pd.DataFrame(
        {
            "label": ["invert", "invert", "value@3", "value@3"],
            "agent": ["wsa", "e2e"] * 2,
            "retention": [1.25, np.nan, -0.5, 0.25],
        }
    )
    figures.draw_heat_map(table, ax)
    assert [text.get_text() for text in ax.texts] == ["1.25", "\u22120.50", "0.25"]
    assert [text.get_color() for text in ax.texts] == ["white", "black", "black"]
    (hatched,) = ax.patches
    assert hatched.get_hatch()
    assert hatched.get_xy() == (1, 0)


def test_ranks_share_ties_and_need_every_agent():
    scores = {"clean": {"a": 9, "b": 5, "c": 5}, "invert": {"a": 1, "b": 3, "c": 2}, "strobe": {"a": 4}}
    returns = {(agent, 0, "g", name, None): [score] for name in scores for agent, score in scores[name].items()}
    ranks = rank_table(summarise(result(returns, agents=tuple(agent_entry(agent) for agent in "abc"))))
    assert set(ranks["label"]) == {"clean", "invert", "all perturbations"}
    assert ranks[ranks["label"] == "clean"]["rank"].tolist() == [1.0, 2.5, 2.5]
    assert ranks[ranks["label"] == "invert"]["rank"].tolist() == [3.0, 1.0, 2.0]


def test_ranks_are_drawn_at_their_place(ax):
    table = pd.DataFrame({"agent": ["a", "b"] * 2, "label": ["clean"] * 2 + ["invert"] * 2, "rank": [1, 2, 2, 1]})
    figures.draw_ranks(table, ax)
    assert dots(ax) == [1.0, 1.0, 2.0, 2.0]
    assert ax.yaxis.get_inverted()


def test_heat_maps_show_no_negative_zero(ax):
    table = pd.DataFrame({"label": ["invert", "value"], "agent": "a", "retention": [-0.001, -0.5]})
    figures.draw_heat_map(table, ax)
    assert [text.get_text() for text in ax.texts] == ["0.00", "\u22120.50"]


def test_learning_curves_have_a_line_a_train_seed(ax):
    table = pd.DataFrame(
        {
            "agent": ["a"] * 4 + ["b"] * 2,
            "train_seed": [0, 0, 1, 1, 0, 0],
            "steps": [1000, 2000] * 3,
            "return_mean": 1.0,
        }
    )
    figures.draw_learning_curves(table, ax)
    drawn = [line for line in ax.get_lines() if len(line.get_xdata())]
    assert [line.get_gid() for line in drawn] == ["tip:a, train seed 0", "tip:a, train seed 1", "tip:b, train seed 0"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]


def test_learning_curves_belong_to_the_checkpoints_that_were_evaluated(tmp_path):
    folder = tmp_path / "breakout"
    folder.mkdir()
    (folder / "wsa-seed0.safetensors").write_bytes(b"weights")
    (folder / "wsa-seed0-curve.csv").write_text("steps,return_unclipped_mean_50\n100,1.5\n200,2.5\n")
    same = agent_entry("ours", source="wsa", checkpoint_hash=hashlib.sha256(b"weights").hexdigest())
    table = learning_curves([same], tmp_path)
    assert table["return_mean"].tolist() == [1.5, 2.5]
    assert set(table["agent"]) == {"ours"}
    assert learning_curves([replace(same, checkpoint_hash="other")], tmp_path).empty


@pytest.mark.parametrize("source", ["run", "run/agent.safetensors", "own-seed3.safetensors"])
def test_learning_curves_lie_beside_checkpoints_given_by_path(source, tmp_path):
    weights, curve = (
        ("own-seed3.safetensors", "own-seed3-curve.csv")
        if source.startswith("own")
        else ("run/agent.safetensors", "run/curve.csv")
    )
    (tmp_path / "run").mkdir()
    (tmp_path / weights).write_bytes(b"weights")
    (tmp_path / curve).write_text("steps,return_unclipped_mean_50\n100,\n200,2.5\n")
    found = hashlib.sha256(b"weights").hexdigest()
    entry = agent_entry("own", 3, source=str(tmp_path / source), checkpoint_hash=found)
    table = learning_curves([entry], tmp_path / "no-baselines")
    assert table.to_dict("list") == {
        "agent": ["own"],
        "game": ["breakout"],
        "train_seed": [3],
        "steps": [200],
        "return_mean": [2.5],
    }
    assert learning_curves([replace(entry, kind="object")], tmp_path / "no-baselines").empty
    (tmp_path / weights).write_bytes(b"trained on")
    assert learning_curves([entry], tmp_path / "no-baselines").empty


def curves_of(agents, games=("breakout", "pong"), num_seeds=5, num_steps=6):
    """Return learning curves on grids of steps that differ between games and train seeds."""
    rng = np.random.default_rng(0)
    tables = [
        pd.DataFrame(
            {
                "agent": agent,
                "game": game,
                "train_seed": seed,
                "steps": np.linspace(100 + 10 * seed, 1000 + 50 * seed, num_steps + seed),
                "return_mean": rng.normal(size=num_steps + seed).cumsum(),
            }
        )
        for agent in agents
        for game in games
        for seed in range(num_seeds)
    ]
    return pd.concat(tables, ignore_index=True)


REFERENCES = pd.DataFrame({"game": ["breakout", "pong"], "random": [1.7, -20.7], "human": [30.5, 14.6]})


def test_sample_efficiency_is_rliables_at_each_point_of_training():
    metrics = pytest.importorskip("rliable.metrics")
    curves = curves_of(("a",))
    table = efficiency_table(curves, REFERENCES, 7)
    assert (table["steps"].min(), table["steps"].max(), len(table)) == (140, 1000, NUM_POINTS)
    for place in (0, 20, NUM_POINTS - 1):
        step = table["steps"][place]
        scores = np.empty((5, 2))
        for column, (game, random, human) in enumerate(REFERENCES.itertuples(index=False)):
            for seed in range(5):
                one = curves[(curves["game"] == game) & (curves["train_seed"] == seed)]
                after = int((one["steps"] < step).sum())
                after = min(max(after, 1), len(one) - 1)
                (x0, x1), (y0, y1) = (one[name].to_numpy()[after - 1 : after + 1] for name in ("steps", "return_mean"))
                value = y0 + (y1 - y0) * (step - x0) / (x1 - x0)
                scores[seed, column] = (value - random) / (human - random)
        assert table["value"][place] == pytest.approx(metrics.aggregate_iqm(scores), abs=1e-12)
    assert (table["low"] < table["value"]).all()
    assert (table["value"] < table["high"]).all()
    pd.testing.assert_frame_equal(table, efficiency_table(curves, REFERENCES, 7))


def test_sample_efficiency_takes_games_and_train_seeds_without_holes():
    curves = pd.concat([curves_of(("a",)), curves_of(("b",), games=("breakout",), num_seeds=3)], ignore_index=True)
    table = efficiency_table(curves, REFERENCES, 7)
    assert set(table["num_games"]) == {1}  # only one agent has curves on pong
    assert table.groupby("agent")["num_seeds"].first().to_dict() == {"a": 5, "b": 3}
    holes = curves[(curves["agent"] == "a") & ~((curves["game"] == "pong") & (curves["train_seed"] < 2))]
    assert set(efficiency_table(holes, REFERENCES, 7)["num_seeds"]) == {3}
    unknown = REFERENCES.assign(human=np.nan)
    assert efficiency_table(curves, unknown, 7).empty
    assert efficiency_table(curves.iloc[:0], REFERENCES, 7).empty


def test_sample_efficiency_has_bands_from_five_train_seeds_on(ax):
    table = efficiency_table(curves_of(("a", "b")), REFERENCES, 7)
    figures.draw_sample_efficiency(table, ax)
    assert len(ax.collections) == 2
    np.testing.assert_array_equal(ax.get_lines()[0].get_ydata(), table[table["agent"] == "a"]["value"])
    with figure_style():
        few = new_figure(3.3, 2.5)[1]
    figures.draw_sample_efficiency(table.assign(num_seeds=4), few)
    assert not few.collections


def test_the_scatter_pairs_clean_and_perturbed_of_a_train_seed(ax):
    table = pd.DataFrame(
        {
            "agent": "a",
            "game": "g",
            "train_seed": [0, 0, 1, 1],
            "label": ["clean", "invert"] * 2,
            "normalised_score": [1.0, 0.25, 0.5, np.nan],
        }
    )
    figures.draw_clean_scatter(table, ax)
    drawn = [line for line in ax.get_lines() if line.get_marker() == "o" and len(line.get_xdata())]
    assert [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in drawn] == [(1.0, 0.25)]


def test_one_call_writes_three_formats_with_embedded_fonts(ax, tmp_path):
    add_tooltip(ax.plot([0, 1], [0, 1])[0], 'a "b" <c>')
    ax.set_xlabel("words")
    files = save_figure(ax.figure, tmp_path / "figure", dpi=50)
    assert [file.name for file in files] == ["figure.pdf", "figure.png", "figure.svg"]
    pdf = files[0].read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert '<title>a "b" &lt;c&gt;</title>' in files[2].read_text()
    with pytest.raises(UnknownNameError, match="Unknown figure format 'jpg'"):
        save_figure(ax.figure, tmp_path / "figure", formats=("jpg",))


def test_many_perturbations_are_divided_by_family():
    rows = [("clean", "clean", None), *(("color", f"c{i}", s) for i in range(20) for s in (1, 5))]
    rows += [("corruption", f"n{i}", None) for i in range(40)]
    table = pd.DataFrame(rows, columns=["family", "perturbation", "severity"]).astype({"severity": "Int64"})
    table["label"] = [
        name if pd.isna(s) else f"{name}@{s}" for name, s in zip(table.iloc[:, 1], table.iloc[:, 2], strict=True)
    ]
    parts = parts_of(SimpleNamespace(perturbations=table))
    assert [part.name for part in parts] == ["color", "corruption-1", "corruption-2"]
    assert parts[0].labels == ("clean", *(f"c{i}@5" for i in range(20)))
    assert all(len(part.labels) <= MOST_LINES for part in parts)
    shown = {label for part in parts for label in part.labels}
    assert shown == {"clean", *(f"c{i}@5" for i in range(20)), *(f"n{i}" for i in range(40))}
    assert parts_of(SimpleNamespace(perturbations=table.head(30)))[0].note == ""


def test_one_severity_alone_is_drawn(summary, ax):
    table = summary.severities[(summary.severities["perturbation"] == "value") & (summary.severities["agent"] == "wsa")]
    figures.draw_severity_curve(pd.DataFrame(table), ax)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["clean", "3"]
