"""Figures: each takes rows of the summary and an Axes, and shows what the rows hold."""

import hashlib
import io
import warnings
import zlib
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from fontTools.pens.recordingPen import DecomposingRecordingPen
from fontTools.ttLib import TTFont
from made_returns import crowd, result, run, same
from msgspec.structs import replace
from result_fixture import agent_entry, write_result_set

from wsabench.errors import UnknownNameError
from wsabench.report import figures
from wsabench.report.curves import learning_curves
from wsabench.report.figures import style
from wsabench.report.figures.curves import draw_start
from wsabench.report.figures.drawing import draw_figures
from wsabench.report.figures.heatmap import ranked
from wsabench.report.figures.selection import MOST_LINES, parts_of
from wsabench.report.figures.style import add_tooltip, figure_bytes, figure_style, looks, new_figure, save_figure
from wsabench.report.tables.text import FEW_SEEDS
from wsabench.results import load_result
from wsabench.results.manifest import AgentId
from wsabench.summary.insight_rows import TailRow
from wsabench.summary.learning import NUM_POINTS, efficiency_table
from wsabench.summary.rows import (
    Bounded,
    BoundedTwice,
    CurveRow,
    DoseRow,
    PerturbationRow,
    RankRow,
    ReferenceRow,
    SeedRow,
    frame_of,
)
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
    assert dots(ax) == pytest.approx(sorted(row.normalised_score.value for row in summary.perturbations))
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert names == list(dict.fromkeys(row.label for row in summary.perturbations))
    assert ax.yaxis.get_inverted()  # clean on top
    assert [text.get_text() for text in ax.figure.legends[0].get_texts()] == ["wsa", "e2e"]


def test_undefined_values_leave_a_gap(summary, ax):
    undefined = BoundedTwice(np.nan)
    rows = [replace(row, retention=undefined) if row.agent == "e2e" else row for row in summary.perturbations]
    figures.draw_measure(rows, ax, "retention")
    assert len(dots(ax)) == sum(row.agent == "wsa" for row in rows)


def test_severity_curves_start_clean(summary, ax):
    figures.draw_severity_curve([row for row in summary.severities if row.perturbation == "hue-rotate"], ax)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["clean", "1", "3", "5"]
    assert len(ax.get_lines()[0].get_xdata()) == 4


def test_curves_over_dose_stand_in_the_order_of_what_is_seen(ax):
    summary = summarise(crowd(2, 1))
    rows = [row for row in summary.doses if row.perturbation == "hue-rotate"]
    figures.draw_dose_curve(rows, ax, summary.agents)
    lines = [line for line in ax.get_lines() if len(line.get_xdata()) == 3]
    assert len(lines) == 2
    for line, agent in zip(lines, summary.agents, strict=True):
        scores = {row.severity: row.normalised_score.value for row in rows if row.agent == agent}
        # Severities 1, 3, 2 move the observation by 8, 12, 30 grey levels.
        np.testing.assert_allclose(line.get_ydata(), [scores[1], scores[3], scores[2]])
        np.testing.assert_allclose(line.get_xdata(), [8.0, 12.0, 30.0], atol=0.5)


def test_clean_stands_at_no_change_told_apart_by_marker(ax):
    ax.plot([2.0, 10.0], [0.5, 0.1])
    draw_start({"a": 0.6, "b": 0.8}, ax, ["a", "b", "not played"])
    marks = ax.get_lines()[1:]
    assert [float(mark.get_ydata()[0]) for mark in marks] == [0.6, 0.8]
    assert all(abs(float(mark.get_xdata()[0])) < 0.5 and mark.get_markerfacecolor() == "none" for mark in marks)
    assert marks[0].get_marker() != marks[1].get_marker()
    assert marks[0].get_xdata()[0] != marks[1].get_xdata()[0]


def test_many_agents_over_dose_are_grey_with_their_median(ax):
    rows = [
        DoseRow(
            **{"agent": f"agent-{agent}", "game": "g", "family": "color", "perturbation": "value", "num_seeds": 5},
            **{"severity": severity, "label": f"value@{severity}", "dose": float(severity)},
            normalised_score=BoundedTwice(agent / 10 / severity, 0.0, 3.0),
        )
        for agent in range(20)
        for severity in (1, 2)
    ]
    figures.draw_dose_curve(rows, ax, [f"agent-{agent}" for agent in range(20)])
    *thin, median = ax.get_lines()
    assert len(thin) == 20
    np.testing.assert_allclose(median.get_ydata(), [0.95, 0.475])


def test_profiles_are_steps_from_one_down(summary, ax):
    figures.draw_profile(summary.profiles, ax)
    heights = ax.get_lines()[0].get_ydata()
    assert heights[0] == 1.0
    assert np.all(np.diff(heights) <= 0)
    assert not ax.collections  # two train seeds: no bands


def test_profiles_of_enough_train_seeds_have_bands(summary, ax):
    figures.draw_profile([replace(row, num_seeds=5) for row in summary.profiles], ax)
    assert len(ax.collections) == 2


def test_profiles_over_several_games_have_bands_from_three_train_seeds_on(summary, ax):
    figures.draw_profile([replace(row, num_seeds=3, num_games=2) for row in summary.profiles], ax)
    assert len(ax.collections) == 2


@pytest.fixture(scope="module")
def several():
    """Return three train seeds in each of two games; one of the games lacks a perturbation."""
    made = run({"wsa": 7.0, "e2e": 1.0}, num_seeds=3, games=("g", "h"))
    made.episodes = made.episodes[(made.episodes["perturbation"] != "value") | (made.episodes["game"] == "g")]
    return summarise(made)


def fills(ax):
    """Return whether each marker of a line of estimates is hollow, from above."""
    return [line.get_markerfacecolor() == "white" for line in ax.get_lines() if line.get_marker() == "o"]


def test_dots_over_several_games_are_filled_and_those_of_one_game_hollow(several, ax):
    table = [row for row in several.improvement if row.measure == "normalised_score"]
    assert {row.label: row.num_games for row in table if "value" in row.label} == {"value@1": 1, "value@3": 1}
    figures.draw_improvement(table, ax)
    assert fills(ax) == [row.num_games == 1 for row in table]


def test_aggregates_and_tails_over_several_games_are_filled(several):
    tail = TailRow(
        **{"agent": "wsa", "kind": "worst family", "value": Bounded(0.5, 0.4, 0.6), "naive": 0.4, "chosen": "color"},
        **{"chosen_share": 1.0, "num_groups": 2, "num_games": 2, "num_seeds": 3, "num_episodes": 4, "note": ""},
    )
    clean = [row for row in several.aggregates if row.scope == "clean"]
    for table, draw in ((clean, partial(figures.draw_aggregate, metric="iqm")), ([tail], figures.draw_tail)):
        for num_games in (1, 2):
            with figure_style():
                panel = new_figure(3.3, 2.5)[1]
            draw([replace(row, num_games=num_games) for row in table], panel)
            markers = [line for line in panel.get_lines() if line.get_marker() not in ("None", "", "x", None)]
            assert markers
            assert {line.get_markerfacecolor() == "white" for line in markers} == {num_games == 1}


def test_captions_say_what_few_train_seeds_are(several):
    with figure_style():
        drawn = {one.name: one.caption for one in draw_figures(several, [])}
    text = "fewer than 5 train seeds in one game, or than 3 in each of several"
    assert text == FEW_SEEDS
    assert f"Too few: {text}." in drawn["retention"]
    assert f"Hollow: {text}: too few to conclude anything" in drawn["improvement-wsa-e2e"]
    assert "Bands: 95% interval over train seeds." in drawn["performance-profile"]
    assert drawn["answer"].endswith("Coloured lines: 95% intervals over train seeds.")
    assert not any("Hollow" in caption for name, caption in drawn.items() if name.startswith("aggregates"))
    with figure_style():
        one_game = {
            one.name: one.caption for one in draw_figures(summarise(run({"wsa": 7.0, "e2e": 1.0}, num_seeds=3)), [])
        }
    assert "Only 3 train seeds: too few." in one_game["retention"]
    assert "Hollow: 3 train seeds, too few to conclude anything" in one_game["improvement-wsa-e2e"]
    assert "3 train seeds: too few for bands." in one_game["performance-profile"]
    assert f"(dashed: {text})" in one_game["answer"]


def test_too_few_seeds_are_hollow(summary, ax):
    table = [row for row in summary.improvement if row.measure == "normalised_score"]
    figures.draw_improvement(table, ax)
    markers = [line for line in ax.get_lines() if line.get_marker() == "o"]
    assert {line.get_markerfacecolor() for line in markers} == {"white"}


def test_enough_seeds_are_filled(summary, ax):
    table = [replace(row, num_seeds=5) for row in summary.improvement if row.measure == "normalised_score"]
    figures.draw_improvement(table, ax)
    assert "white" not in {line.get_markerfacecolor() for line in ax.get_lines() if line.get_marker() == "o"}


def test_attention_shows_every_weight(summary, ax):
    figures.draw_attention(summary.attention, ax)
    texts = [text.get_text() for text in ax.texts if text.get_text()]
    means = [float(text) for text in texts[: texts.index("shift")] if "\u2013" not in text]
    assert len(means) == 9 * 4
    assert sum(means[:4]) == pytest.approx(1.0, abs=0.02)
    shifts = {row.label: row.shift for row in summary.attention}.values()
    assert [float(text) for text in texts[texts.index("shift") + 1 :]] == pytest.approx(list(shifts), abs=0.006)


def test_attention_that_differs_between_train_seeds_shows_its_range(summary, ax):
    first, *others = (replace(row, seed_min=0.01, seed_max=0.02) for row in summary.attention)
    figures.draw_attention([replace(first, seed_max=0.99), *others], ax)
    assert [text.get_text() for text in ax.texts if "\u2013" in text.get_text()] == ["0.01\u20130.99"]


def test_agents_differ_in_color_marker_and_dashes():
    styles = list(looks(list("abcdefg")).values())
    assert [len({style[part] for style in styles}) for part in range(3)] == [7, 7, 5]


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
    table = [row for row in summary.aggregates if (row.scope, row.measure) == ("clean", "normalised_score")]
    figures.draw_aggregate(table, ax, "iqm")
    assert dots(ax) == pytest.approx(sorted(row.value.value for row in table if row.metric == "iqm"))
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["wsa", "e2e"]


def cell_of(agent, label, retention=1.0, family="color"):
    """Return the row of a perturbation."""
    name, _, severity = label.partition("@")
    measures = {name: BoundedTwice(retention) for name in ("normalised_score", "retention", "robustness_gap")}
    about = {"agent": agent, "family": family, "perturbation": name, "severity": int(severity) if severity else None}
    return PerturbationRow(**about, label=label, num_games=1, num_seeds=1, note="", **measures)


def test_heat_maps_show_numbers_and_hatch_what_is_undefined(ax):
    kept = {("wsa", "invert"): 1.25, ("e2e", "invert"): np.nan, ("wsa", "value@3"): -0.5, ("e2e", "value@3"): 0.25}
    figures.draw_heat_map([cell_of(*key, retention) for key, retention in kept.items()], ax)
    assert [text.get_text() for text in ax.texts] == ["1.25", "\u22120.50", "0.25"]
    assert [text.get_color() for text in ax.texts] == ["white", "black", "black"]
    (hatched,) = [patch for patch in ax.patches if patch.get_hatch()]
    assert hatched.get_xy() == (1, 0)


def test_ranks_share_ties_and_need_every_agent():
    scores = {"clean": {"a": 9, "b": 5, "c": 5}, "invert": {"a": 1, "b": 3, "c": 2}, "strobe": {"a": 4}}
    returns = {(agent, 0, "g", name, None): [score] for name in scores for agent, score in scores[name].items()}
    ranks = summarise(result(returns, agents=tuple(agent_entry(agent) for agent in "abc"))).ranks
    assert {row.perturbation for row in ranks} == {"clean", "invert", "all perturbations"}
    assert [row.rank.value for row in ranks if row.perturbation == "clean"] == [1.0, 2.5, 2.5]
    assert [row.rank.value for row in ranks if row.perturbation == "invert"] == [3.0, 1.0, 2.0]


def test_ranks_are_drawn_at_their_place(ax):
    numbers = {"num_games": 1, "num_seeds": 1, "score": 0.5, "clean_rank": 1.0, "change": 0.0, "note": ""}
    places = {("a", "clean"): 1.0, ("b", "clean"): 2.0, ("a", "invert"): 2.0, ("b", "invert"): 1.0}
    rows = [RankRow(agent=a, perturbation=name, rank=Bounded(rank), **numbers) for (a, name), rank in places.items()]
    figures.draw_ranks(rows, ax)
    assert [text.get_text() for text in ax.texts] == ["1", "2", "2", "1"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["clean", "invert"]
    assert ax.yaxis.get_inverted()
    assert not ax.get_lines()  # perturbations have no order that a line could follow


def test_ranks_of_agents_that_all_play_at_random_are_not_drawn(ax):
    numbers = {"num_games": 1, "num_seeds": 1, "clean_rank": 1.0, "change": 0.0, "note": ""}
    scores = {("a", "clean"): 0.5, ("b", "clean"): 0.02, ("a", "invert"): 0.09, ("b", "invert"): -0.01}
    rows = [
        RankRow(agent=agent, perturbation=name, rank=Bounded(1.0 + (agent == "b")), score=score, **numbers)
        for (agent, name), score in scores.items()
    ]
    assert {row.perturbation for row in ranked(rows)} == {"clean"}
    figures.draw_ranks(rows, ax)
    assert [text.get_text() for text in ax.texts] == ["1", "2"]


def test_heat_maps_show_no_negative_zero(ax):
    figures.draw_heat_map([cell_of("a", "invert", -0.001), cell_of("a", "value", -0.5)], ax)
    assert [text.get_text() for text in ax.texts] == ["0.00", "\u22120.50"]


def test_learning_curves_have_a_line_a_train_seed(ax):
    networks = [AgentId("a", 0, "g"), AgentId("a", 1, "g"), AgentId("b", 0, "g")]
    rows = [CurveRow(id=one, steps=steps, return_mean=1.0) for one in networks for steps in (1000, 2000)]
    figures.draw_learning_curves(rows, ax)
    drawn = [line for line in ax.get_lines() if len(line.get_xdata())]
    assert [line.get_gid() for line in drawn] == ["tip:a, train seed 0", "tip:a, train seed 1", "tip:b, train seed 0"]
    assert [text.get_text() for text in ax.figure.legends[0].get_texts()] == ["a", "b"]


def test_learning_curves_belong_to_the_checkpoints_that_were_evaluated(tmp_path):
    folder = tmp_path / "breakout"
    folder.mkdir()
    (folder / "wsa-seed0.safetensors").write_bytes(b"weights")
    (folder / "wsa-seed0-curve.csv").write_text("steps,return_unclipped_mean_50\n100,1.5\n200,2.5\n")
    entry = agent_entry("ours", source="wsa", checkpoint_hash=hashlib.sha256(b"weights").hexdigest())
    rows = learning_curves([entry], tmp_path)
    assert [row.return_mean for row in rows] == [1.5, 2.5]
    assert {row.id.agent for row in rows} == {"ours"}
    assert learning_curves([replace(entry, checkpoint_hash="other")], tmp_path) == ()


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
    found = learning_curves([entry], tmp_path / "no-baselines")
    assert found == (CurveRow(id=AgentId("own", 3, "breakout"), steps=200, return_mean=2.5),)
    assert learning_curves([replace(entry, kind="object")], tmp_path / "no-baselines") == ()
    (tmp_path / weights).write_bytes(b"trained on")
    assert learning_curves([entry], tmp_path / "no-baselines") == ()


def curves_of(agents, games=("breakout", "pong"), num_seeds=5, num_steps=6):
    """Return learning curves on grids of steps that differ between games and train seeds."""
    rng = np.random.default_rng(0)
    return [
        CurveRow(id=AgentId(agent, seed, game), steps=int(steps), return_mean=float(mean))
        for agent in agents
        for game in games
        for seed in range(num_seeds)
        for steps, mean in zip(
            np.linspace(100 + 10 * seed, 1000 + 50 * seed, num_steps + seed),
            rng.normal(size=num_steps + seed).cumsum(),
            strict=True,
        )
    ]


REFERENCES = (
    ReferenceRow(game="breakout", random=1.7, human=30.5),
    ReferenceRow(game="pong", random=-20.7, human=14.6),
)


def test_sample_efficiency_is_rliables_at_each_point_of_training():
    metrics = pytest.importorskip("rliable.metrics")
    rows = curves_of(("a",))
    curves, table = frame_of(rows), frame_of(efficiency_table(rows, REFERENCES, 7))
    assert (table["steps"].min(), table["steps"].max(), len(table)) == (140, 1000, NUM_POINTS)
    for place in (0, 20, NUM_POINTS - 1):
        step = table["steps"][place]
        scores = np.empty((5, 2))
        for column, (game, random, human) in enumerate((one.game, one.random, one.human) for one in REFERENCES):
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
    same(efficiency_table(rows, REFERENCES, 7), efficiency_table(rows, REFERENCES, 7))


def test_sample_efficiency_takes_games_and_train_seeds_without_holes():
    curves = [*curves_of(("a",)), *curves_of(("b",), games=("breakout",), num_seeds=3)]
    table = efficiency_table(curves, REFERENCES, 7)
    assert {row.num_games for row in table} == {1}  # only one agent has curves on pong
    assert {row.agent: row.num_seeds for row in table} == {"a": 5, "b": 3}
    ours = [row for row in curves if row.id.agent == "a"]
    holes = [row for row in ours if row.id.game != "pong" or row.id.train_seed >= 2]
    assert {row.num_seeds for row in efficiency_table(holes, REFERENCES, 7)} == {3}
    unknown = [replace(one, human=np.nan) for one in REFERENCES]
    assert efficiency_table(curves, unknown, 7) == ()
    assert efficiency_table([], REFERENCES, 7) == ()


def test_sample_efficiency_has_bands_where_train_seeds_are_enough(ax):
    table = efficiency_table(curves_of(("a", "b")), REFERENCES, 7)
    figures.draw_sample_efficiency(table, ax)
    assert len(ax.collections) == 2
    np.testing.assert_array_equal(ax.get_lines()[0].get_ydata(), [row.value.value for row in table if row.agent == "a"])
    for num_seeds, num_games, num_bands in ((4, 1, 0), (2, 2, 0), (3, 2, 2)):
        with figure_style():
            few = new_figure(3.3, 2.5)[1]
        rows = [replace(row, num_seeds=num_seeds, num_games=num_games) for row in table]
        figures.draw_sample_efficiency(rows, few)
        assert len(few.collections) == num_bands, (num_seeds, num_games)


def test_the_scatter_pairs_clean_and_perturbed_of_a_train_seed(ax):
    scores = {(0, "clean"): 1.0, (0, "invert"): 0.25, (1, "clean"): 0.5, (1, "invert"): np.nan}
    cell = {"family": "color", "severity": None, "mean_return": 0.0, "retention": 0.0, "robustness_gap": 0.0}
    rows = [
        SeedRow(id=AgentId("a", seed, "g"), perturbation=label, label=label, normalised_score=score, **cell)
        for (seed, label), score in scores.items()
    ]
    figures.draw_clean_scatter(rows, ax)
    drawn = [line for line in ax.get_lines() if line.get_marker() == "o" and len(line.get_xdata())]
    assert [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in drawn] == [(1.0, 0.25)]


def with_whole_fonts(figure):
    """Return a figure's PDF as matplotlib writes it."""
    buffer = io.BytesIO()
    with figure_style():
        figure.savefig(buffer, format="pdf", metadata={"CreationDate": None})
    return buffer.getvalue()


def drawn_letters(pdf):
    """Return the lines and the width of every letter of a PDF's one font, by name."""
    streams = [zlib.decompressobj().decompress(part.lstrip()) for part in pdf.split(b">>\nstream")[1:]]
    (font,) = [TTFont(io.BytesIO(stream)) for stream in streams if stream.startswith(b"\0\1\0\0")]
    letters = {}
    for name in font.getGlyphOrder():
        pen = DecomposingRecordingPen(font.getGlyphSet())
        font.getGlyphSet()[name].draw(pen)
        letters[name] = (pen.value, font["hmtx"][name])
    return letters


def test_one_call_writes_three_formats_with_embedded_fonts(ax, tmp_path):
    add_tooltip(ax.plot([0, 1], [0, 1])[0], 'a "b" <c>')
    ax.set_xlabel("words")
    files = save_figure(ax.figure, tmp_path / "figure", dpi=50)
    assert [file.name for file in files] == ["figure.pdf", "figure.png", "figure.svg"]
    pdf = files[0].read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    whole = with_whole_fonts(ax.figure)
    assert len(pdf) < len(whole)
    outlines, full = drawn_letters(pdf), drawn_letters(whole)
    assert {"w", "o", "r", "d", "s", "zero"} <= outlines.keys() <= full.keys()
    assert all(full[name] == lines for name, lines in outlines.items())
    assert '<title>a "b" &lt;c&gt;</title>' in files[2].read_text()
    with pytest.raises(UnknownNameError, match="Unknown figure format 'jpg'"):
        save_figure(ax.figure, tmp_path / "figure", formats=("jpg",))


def test_many_perturbations_are_divided_by_family():
    rows = [cell_of("a", "clean", family="clean")]
    rows += [cell_of("a", f"c{i}@{severity}") for i in range(20) for severity in (1, 5)]
    rows += [cell_of("a", f"n{i}", family="corruption") for i in range(40)]
    parts = parts_of(SimpleNamespace(played={row.label: row for row in rows}))
    assert [part.name for part in parts] == ["color", "corruption-1", "corruption-2"]
    assert parts[0].labels == ("clean", *(f"c{i}@5" for i in range(20)))
    assert all(len(part.labels) <= MOST_LINES for part in parts)
    shown = {label for part in parts for label in part.labels}
    assert shown == {"clean", *(f"c{i}@5" for i in range(20)), *(f"n{i}" for i in range(40))}
    assert parts_of(SimpleNamespace(played={row.label: row for row in rows[:30]}))[0].note == ""


def test_one_severity_alone_is_drawn(summary, ax):
    table = [row for row in summary.severities if (row.perturbation, row.agent) == ("value", "wsa")]
    figures.draw_severity_curve(table, ax)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["clean", "3"]


def test_letters_that_dejavu_lacks_come_from_another_font(monkeypatch):
    """Figures have them wherever `legible` says that they have."""
    letter = "\u0359"
    assert style.legible(letter) == "[359]"
    monkeypatch.setattr(style, "_font_names", lambda: ("DejaVu Sans", "STIXGeneral"))
    monkeypatch.setattr(style, "_letters", style._letters.__wrapped__)
    assert style.legible(letter) == letter
    with style.figure_style():
        figure, ax = style.new_figure(3.0, 2.0)
        ax.set_title(f"a {letter}")
        figure = style.settle(figure)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert b"STIXGeneral" in style.figure_bytes(figure, "pdf")
