"""What people meet first in Python: a result set that shows itself, values as they come, progress."""

from __future__ import annotations

import copy
import inspect
import multiprocessing
import os
import pickle  # noqa: TID251 - what is tested
import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import wsabench
from wsabench import results
from wsabench.errors import ResultSetError, ShapeError, SpecError, UnknownNameError
from wsabench.evaluation import progress
from wsabench.face import RunResult
from wsabench.summary.summarise import summarise


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """Two agents, clean and inverted, with values as NumPy and Python give them."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        result = wsabench.run(
            "smoke",
            ["noop", "random"],
            games="ALE/Breakout-v5",
            perturbations=("clean", "invert"),
            train_seeds=0,
            episodes=np.int64(2),  # pyright: ignore[reportArgumentType]
            seed=np.int64(0),  # pyright: ignore[reportArgumentType]
            workers=np.int64(0),  # pyright: ignore[reportArgumentType]
            out="~/run",
        )
    assert result.path == home / "run"
    assert not Path("~").exists()
    return result


def test_a_result_shows_its_table(played: RunResult) -> None:
    table = played.table()
    assert list(table.columns) == ["agent", "game", "perturbation", "train_seeds", "episodes", "mean_return"]
    assert len(table) == 4
    for row in table.itertuples():
        episodes = played.episodes.query("agent == @row.agent and perturbation == @row.perturbation")
        assert row.mean_return == episodes["return"].mean()
        assert row.episodes == 2
    text = repr(played)
    assert text.startswith(f"RunResult in {played.path}: 8 episodes.\n")
    assert all(word in text for word in ("noop", "random", "invert"))
    page = played._repr_html_()
    assert page.count("<tr") == 5


def test_summary_plot_and_report(played: RunResult) -> None:
    summary = played.summary()
    assert repr(summary.aggregates) == repr(summarise(results.load_result(played.path)).aggregates)
    figure = played.plot()
    assert figure.axes
    files = played.report(formats="markdown")
    assert files.markdown is not None
    assert files.markdown.is_file()
    again = wsabench.load_result(str(played.path))
    assert isinstance(again, wsabench.RunResult)
    assert isinstance(again, results.ResultSet)
    assert again.table().equals(played.table())


def test_the_name_of_a_class_has_one_meaning() -> None:
    classes = {name for name in results.__all__ if inspect.isclass(getattr(results, name))}
    assert classes >= {"Job", "ResultSet"}
    assert all(getattr(wsabench, name) is getattr(results, name) for name in classes & set(wsabench.__all__))


def test_nothing_to_plot_is_said(played: RunResult) -> None:
    clean = played.episodes.query("perturbation == 'clean'")
    part = RunResult.of(results.ResultSet(played.path, clean, played.attention, played.manifest, 2))
    assert "2 of 4 jobs" in repr(part)
    with pytest.raises(ResultSetError, match=r"nothing to draw.*table\(\)"):
        part.plot()


def test_the_same_run_in_other_words_is_finished(played: RunResult) -> None:
    lines: list[str] = []
    reporter = progress.ShownReporter(lines.append)
    again = wsabench.run(
        "smoke",
        ("noop", "random"),
        games=["breakout"],
        perturbations=["clean", "invert"],
        train_seeds=np.arange(1),  # pyright: ignore[reportArgumentType]
        episodes=2,
        workers=0,
        out=played.path,
        reporter=reporter,
    )
    assert again.episodes.equals(played.episodes)
    assert "100%, 4/4 jobs, 8/8 episodes" in lines[-1]


def test_progress_is_shown_when_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = {"games": "pong", "perturbations": "clean", "train_seeds": 0, "episodes": 1, "workers": 0}
    wsabench.run("smoke", "noop", out=tmp_path / "a", **words)  # pyright: ignore[reportArgumentType]
    assert capsys.readouterr().err == ""
    wsabench.run("smoke", "noop", out=tmp_path / "b", progress=True, **words)  # pyright: ignore[reportArgumentType]
    assert "100%, 1/1 job, 1/1 episode" in capsys.readouterr().err


def test_the_face_loads_neither_torch_nor_figures() -> None:
    code = "import sys, wsabench; wsabench.RunResult; assert not {'torch', 'matplotlib', 'IPython'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def _play(out: str) -> tuple[int, list[str]]:
    """Play in a worker of a pool, and return the number of episodes and what was warned of."""
    options = {"games": "pong", "perturbations": "clean", "train_seeds": 0, "episodes": 1, "workers": 2, "out": out}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = wsabench.run("smoke", "noop", progress=True, **options)  # pyright: ignore[reportArgumentType]
    return len(result.episodes), [str(one.message) for one in caught]


@pytest.mark.skipif(os.name != "posix", reason="pools that fork are of POSIX")
def test_it_plays_inside_a_worker_of_a_pool_and_without_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "WSABENCH_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        number, texts = pool.apply(_play, (str(tmp_path / "run"),))
    assert number == 1
    assert any("worker of a pool and may start no others" in text for text in texts)


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        (np.float32(0.25), "sticky_probability", 0.25),
        (np.int64(3), "noop_max", 3),
        (np.bool_(False), "grayscale", False),
        (np.str_("greedy"), "action_selection", "greedy"),
    ],
)
def test_a_protocol_takes_numpy_scalars(given: object, name: str, value: object) -> None:
    protocol = wsabench.Protocol(**{name: given})  # pyright: ignore[reportArgumentType]
    assert protocol == wsabench.Protocol(**{name: value})  # pyright: ignore[reportArgumentType]
    assert type(getattr(protocol, name)) is type(value)
    with pytest.raises(SpecError):
        wsabench.Protocol(noop_max=np.float64(1.5))  # pyright: ignore[reportArgumentType]


def test_an_agent_is_found_by_gymnasiums_name_of_the_game() -> None:
    found = [wsabench.load_agent("e2e", game=game).meta for game in ("breakout", "ALE/Breakout-v5")]
    assert found[0] == found[1]


def test_copies_play_the_same() -> None:
    env = wsabench.make("breakout", "invert", seed=3, render_mode="rgb_array", inputs=("ram",))
    for other in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):  # noqa: S301
        for one in (env, other):
            one.reset(seed=5)
        for action in (1, 2, 3, 0):
            seen = [one.step(action) for one in (env, other)]
            assert np.array_equal(seen[0][0], seen[1][0])
            assert np.array_equal(seen[0][4]["ram"], seen[1][4]["ram"])
        assert np.array_equal(env.render(), other.render())


def test_copies_of_many_lanes_play_the_same_and_are_drawn() -> None:
    env = wsabench.make_vec("breakout", 2, ["clean", "invert"], seed=3, render_mode="rgb_array")
    other = pickle.loads(pickle.dumps(env))  # noqa: S301
    for one in (env, other):
        one.reset(seed=5)
        one.step([1, 2])
    pictures = env.render()
    assert pictures is not None
    assert len(pictures) == 2
    assert pictures[0].shape == (210, 160, 3)
    assert not np.array_equal(*pictures)
    assert all(np.array_equal(*pair) for pair in zip(pictures, other.render(), strict=True))
    assert wsabench.make_vec("breakout", 1).render() is None
    with pytest.raises(SpecError, match="num_workers=0"):
        wsabench.make_vec("breakout", 2, num_workers=1, render_mode="rgb_array")


@pytest.mark.parametrize("action", [1.9, "1", True, float("nan"), None, [1], np.float32(1)])
def test_odd_actions_are_refused_alike_by_both_environments(action: object) -> None:
    one, many = wsabench.make("breakout", seed=0), wsabench.make_vec("breakout", 1, seed=0)
    one.reset()
    many.reset()
    with pytest.raises(ShapeError, match=r"actions have shape .* and type .*\. Allowed: one integer\.") as alone:
        one.step(action)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ShapeError, match=r"actions have shape .* and type .*\. Allowed: integers"):
        many.step([action])  # pyright: ignore[reportArgumentType]
    assert str(alone.value).isprintable()
    for allowed in (1, np.int64(1), np.array(1)):
        one.step(allowed)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ({"frameskip": 4}, "protocol=wsabench.Protocol(frame_skip=...)"),
        ({"repeat_action_probability": 0.25}, "protocol=wsabench.Protocol(sticky_probability=...)"),
        ({"full_action_space": True}, "protocol=wsabench.Protocol(full_action_space=...)"),
        ({"mode": 1}, 'perturbation="mode-1"'),
        ({"difficulty": 1}, 'perturbation="difficulty-1"'),
        ({"obs_type": "ram"}, 'inputs=("ram",)'),
    ],
)
def test_names_of_neighbours_lead_to_ours(words: dict[str, object], advice: str) -> None:
    for make in (
        lambda: gymnasium.make("wsabench/Breakout-v0", **words),
        lambda: wsabench.make("breakout", **words),  # pyright: ignore[reportArgumentType]
        lambda: wsabench.make_vec("breakout", 2, **words),  # pyright: ignore[reportArgumentType]
    ):
        with pytest.raises(SpecError) as refused:
            make()
        assert advice in str(refused.value)
    with pytest.raises(UnknownNameError, match=r"Unknown argument 'pertubation'. Did you mean 'perturbation'"):
        wsabench.make("breakout", pertubation="invert")
