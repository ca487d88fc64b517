"""What averages do not show, as figures, tables and files: with one agent, with twenty, and through the command."""

import numpy as np
import pandas as pd
import pytest
from made_returns import crowd
from matplotlib.colors import to_hex
from result_fixture import write_result_set

from wsabench.cli import main
from wsabench.report.export import write_csv
from wsabench.report.figures.dose import dose_figures
from wsabench.report.figures.insight import insight_figures
from wsabench.report.figures.marks import marked_summary
from wsabench.report.figures.style import figure_style, save_figure
from wsabench.report.page import content_of, html_page, markdown_text
from wsabench.report.tables.insight import insight_tables
from wsabench.report.tables.latex import latex
from wsabench.report.tables.rliable import resampling_table
from wsabench.results.tables import with_labels
from wsabench.summary.insight import insight_of
from wsabench.summary.rows import frame_of
from wsabench.summary.scores import collect_scores, reference_scores
from wsabench.summary.summarise import summarise

TABLES = (
    "Effective robustness",
    "Rank correlation of clean and perturbed scores",
    "Components of variance",
    "Worst family and worst cells",
    "Ranks under other normalisers",
    "Agreement of normalisers",
    "Games one by one",
    "Mean over games and a new game",
)


def insight_on(made):
    episodes, plan = with_labels(made.episodes), made.manifest.plan
    return insight_of(collect_scores(episodes, plan, reference_scores(sorted(set(episodes["game"])), plan))[0], 3)


@pytest.fixture(scope="module")
def many():
    return insight_on(crowd(20, 5, num_seeds=3, num_episodes=4))


@pytest.fixture(scope="module")
def one():
    return insight_on(crowd(1, 1, num_seeds=1, num_episodes=4))


def written_inside(figure):
    """Whether nothing that is drawn is cut off at the figure's edge."""
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    return (
        -0.02 < box.x0 < box.x1 < figure.get_figwidth() + 0.02
        and -0.02 < box.y0 < box.y1 < figure.get_figheight() + 0.02
    )


def test_twenty_agents_fit_every_figure(many, tmp_path):
    with figure_style():
        drawn = insight_figures(many)
        names = ["effective-robustness", "variance-components", "worst-groups", "normalisers", "games"]
        assert [named.name for named in drawn] == names
        for named in drawn:
            assert named.figure.get_figwidth() <= 6.8
            assert named.figure.get_figheight() <= 9.0
            assert written_inside(named.figure), named.name
            texts = {text.get_text() for text in named.figure.findobj(lambda artist: hasattr(artist, "get_text"))}
            shown = " ".join(texts)
            assert all(f"agent-{place}" in shown for place in range(20)), named.name
            (file,) = save_figure(named.figure, tmp_path / named.name, ["png"], dpi=50)
            assert file.stat().st_size > 1000


def test_one_agent_has_no_empty_figure_but_a_line_with_the_reason(one):
    with figure_style():
        assert [named.name for named in insight_figures(one)] == ["worst-groups"]
    tables = {table.title: table for table in insight_tables(one)}
    assert list(tables) == ["Worst family and worst cells", "Not shown, and why"]
    assert ("effective robustness", "1 agent: effective robustness needs 8") in tables["Not shown, and why"].rows
    assert len(tables["Not shown, and why"].rows) == 5


def test_every_analysis_has_its_table_in_every_format(many):
    tables = insight_tables(many)
    assert tuple(table.title for table in tables) == TABLES
    for table in tables:
        assert all(len(cells) == len(table.columns) for cells in table.rows)
        assert r"\toprule" in latex(table)
    by_title = {table.title: table for table in tables}
    first = many.effective_robustness[0]
    shown = by_title["Effective robustness"].rows[0]
    assert shown[0] == "agent-0"
    assert shown[1:3] == (f"{first.clean:.2f}", f"{first.perturbed:.2f}")
    deviation = np.sqrt(many.variance_components[2].variance.value)
    assert by_title["Components of variance"].rows[0][4].startswith(f"{deviation:.2f} [")
    assert [row[0] for row in by_title["Games one by one"].rows[:20]] == ["game-0"] * 20
    game = next(row for row in many.per_game if row.measure == "retention")
    shown = next(row for row in by_title["Games one by one"].rows if row[:2] == (game.game, game.agent))
    assert shown[5] == f"{game.value:.2f} ({game.capped_retention:.2f}, {game.kept_share:.0%}, {game.lost_share:.0%})"
    without = game.without_capped_retention, game.without_kept_share, game.without_lost_share
    assert shown[6] == f"{game.without:.2f} ({without[0]:.2f}, {without[1]:.0%}, {without[2]:.0%})"
    means = by_title["Mean over games and a new game"].rows
    assert all((", " in row[3].partition("] (")[2]) == (row[1] == "retention") for row in means)


def test_shares_of_the_variance_fill_their_bars(many):
    with figure_style():
        (named,) = [named for named in insight_figures(many) if named.name == "variance-components"]
    bars = [bar for bar in named.figure.axes[0].patches if bar.get_height() > 0.5 and bar.get_width() > 0]
    assert sum(bar.get_width() for bar in bars) == pytest.approx(20.0)
    ends = [bar.get_x() + bar.get_width() for bar in bars]
    assert sum(end == pytest.approx(1.0) for end in ends) == 20  # the last part of each agent ends at 1
    looks = {(to_hex(bar.get_facecolor()), bar.get_hatch()) for bar in bars}
    assert len(looks) == 3


def test_dose_curves_have_a_figure_for_each_game():
    summary = summarise(crowd(1, 2, num_seeds=2, num_episodes=2))
    with figure_style():
        drawn = dose_figures(summary)
        assert [named.name for named in drawn] == ["dose-curves-game-0", "dose-curves-game-1"]
        assert all(written_inside(named.figure) for named in drawn)
    assert [ax.get_title(loc="left") for ax in drawn[0].figure.axes] == ["hue-rotate", "value", "noise", "blur"]


def test_files_have_the_columns_of_the_rows(tmp_path):
    made = crowd(3, 1, num_seeds=3, num_episodes=4)
    summary = summarise(made)
    write_csv(made, summary, tmp_path)
    names = {path.stem for path in tmp_path.iterdir()}
    filled = {name for name, rows in summary.insight.tables().items() if rows}
    assert filled | {"doses"} <= names
    assert not ({"effective_robustness"} & names)  # three agents are too few
    for name in filled:
        table = frame_of(summary.insight.tables()[name])
        pd.testing.assert_index_equal(pd.read_csv(tmp_path / f"{name}.csv").columns, table.columns)
    assert list(pd.read_csv(tmp_path / "tails.csv").columns[:5]) == ["agent", "kind", "value", "low", "high"]
    aggregates = pd.read_csv(tmp_path / "aggregates.csv")
    assert {"interval", "joint_low", "rliable_low", "difference"} <= set(aggregates.columns)


def test_the_page_has_a_section_with_the_reasons():
    made = crowd(2, 1, num_seeds=3, num_episodes=4)
    summary = summarise(made)
    content = content_of(summary, made.manifest)
    page, text = html_page(content, []), markdown_text(content, [])
    assert page.index('id="methods"') < page.index("Not shown, and why") < page.index('id="definitions"')
    assert "2 agents: effective robustness needs 8" in page
    assert "2 agents: effective robustness needs 8" in text
    assert resampling_table(summary).rows[0][:3] == ("clean", "agent-0", "joint")
    reasons = [row[-1] for row in resampling_table(summary).rows]
    assert reasons == ["", "joint is corrected for few train seeds"] * 2 + ["", "one network plays several cells"] * 2


def test_privileged_agents_are_marked_where_they_alone_are_compared():
    made = crowd(1, 1, num_seeds=2, num_episodes=4)
    entries = tuple(
        type(one)(**{name: getattr(one, name) for name in one.__struct_fields__} | {"privileged": True})
        for one in made.manifest.plan.agents
    )
    summary = marked_summary(summarise(crowd(1, 1, num_seeds=2, num_episodes=4, agents=entries)))
    assert {row.agent for row in summary.insight.tails} == {"agent-0 §"}


def test_the_interval_is_chosen_on_the_command_line(tmp_path, capsys):
    run = write_result_set(tmp_path / "run", train_seeds=(0, 1, 2))
    tables = {}
    for kind in ("joint", "rliable"):
        command = ["report", str(run), "--format", "csv,markdown", "--interval", kind, "--out", str(tmp_path / kind)]
        assert main(command) == 0
        tables[kind] = pd.read_csv(tmp_path / kind / "csv" / "aggregates.csv")
    scores = {kind: table[table["measure"] == "normalised_score"] for kind, table in tables.items()}
    np.testing.assert_array_equal(scores["joint"]["value"], scores["rliable"]["value"])
    np.testing.assert_array_equal(scores["joint"]["low"], scores["rliable"]["joint_low"])
    chosen = (scores["rliable"]["interval"] == "rliable").to_numpy()
    assert (~chosen == ((scores["rliable"]["metric"] == "mean") & (scores["rliable"]["scope"] != "clean"))).all()
    np.testing.assert_array_equal(scores["joint"]["rliable_low"][chosen], scores["rliable"]["low"][chosen])
    np.testing.assert_array_equal(scores["joint"]["low"][~chosen], scores["rliable"]["low"][~chosen])
    assert not np.allclose(scores["joint"]["low"], scores["rliable"]["low"])
    text = (tmp_path / "rliable" / "report.md").read_text()
    assert f"wsabench report {run} --interval rliable --format csv,markdown\n" in text
    assert "over train seeds by rliable's bootstrap" in text
    assert "--interval" not in (tmp_path / "joint" / "report.md").read_text().split("## How to reproduce")[1]
    assert main(["report", str(run), "--interval", "percentile"]) == 2
    assert "percentile" in capsys.readouterr().err
