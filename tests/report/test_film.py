"""Films, animations and figures of a recorded episode, from made-up recordings; neither emulator nor agent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from made_jobs import recording
from matplotlib.colors import to_rgb
from PIL import Image

from wsabench.errors import SpecError, StorageError
from wsabench.report.figures.episode import episode_figure
from wsabench.report.figures.style import figure_style, looks
from wsabench.report.films import video
from wsabench.report.films.files import check_output, gif_interval, num_drawn, write_recording
from wsabench.report.films.film import FilmMaker
from wsabench.results.recorded import Recording


def png(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()


def film_of(length: int, weights: np.ndarray | None = None, **changes: Any) -> Recording:
    """A recording of blue screens whose grey observation brightens with every step."""
    screen = np.zeros((210, 160, 3), np.uint8)
    screen[..., 0] = 200  # blue, in OpenCV's order
    pictures = tuple((png(screen), png(np.full((84, 84), step % 256, np.uint8))) for step in range(length + 1))
    if weights is None:
        weights = np.tile(np.float32([0.25, 0.75]), (length, 1))
    return recording(weights, pictures=pictures, **changes)


def count(picture: np.ndarray, color: str) -> int:
    """How many pixels have this very colour."""
    wanted = np.round(np.array(to_rgb(color)) * 255)
    return int((picture == wanted).all(axis=2).sum())


def test_bars_are_as_long_as_the_weights() -> None:
    # One step: no line of the past has this colour yet.
    maker = FilmMaker(film_of(1, np.float32([[0.2, 0.8]])))
    first, second = (count(maker.picture(0), look.color) for look in looks(("sr", "oke")).values())
    assert second / first == pytest.approx(4, rel=0.1)
    equal = FilmMaker(film_of(1, np.float32([[0.5, 0.5]]))).picture(0)
    assert count(equal, looks("a")["a"].color) == pytest.approx(first * 2.5, rel=0.1)


def test_both_views_are_in_the_picture_and_the_size_is_even() -> None:
    maker = FilmMaker(film_of(40))
    picture = maker.picture(40)
    assert picture.shape == (maker.height, maker.width, 3)
    assert maker.height % 2 == maker.width % 2 == 0
    assert count(picture, "#0000c8") == 320 * 420  # red, green, blue: the screen twice as large
    assert count(picture, "#282828") >= 420 * 420  # the newest frame, five times as large


def test_without_attention_there_is_no_panel() -> None:
    plain = film_of(3, np.zeros((3, 0), np.float32), encoders=())
    assert FilmMaker(plain).width < FilmMaker(film_of(3)).width - 200


@pytest.mark.parametrize("number", [1, 7, 30])
def test_any_number_of_encoders_is_drawn(number: int) -> None:
    names = tuple(f"encoder-with-a-long-name-{place}" for place in range(number))
    crowd = film_of(2, np.full((2, number), 1 / number, np.float32), encoders=names)
    assert FilmMaker(crowd, 1).picture(1).shape[2] == 3
    with figure_style():
        episode_figure(crowd)


def test_an_mp4_has_every_picture_in_a_form_that_browsers_play(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    film = film_of(20)
    path = tmp_path / "film.mp4"
    write_recording(film, [path], fps=15)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 15
    assert len(frames) == 21
    wanted = FilmMaker(film).picture(20)
    assert np.abs(frames[20].astype(int) - wanted).mean() < 2
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # the index first: it plays while it loads


def test_a_gif_needs_no_extra_and_leaves_out_steps_of_long_episodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    film = film_of(700)
    counted: list[int] = []
    write_recording(film, [tmp_path / "film.gif"], fps=10, advance=counted.append)
    assert gif_interval(700) == 3
    assert sum(counted) == num_drawn(film, [tmp_path / "film.gif"]) == 235  # 0, 3, ... 699 and the end
    with Image.open(tmp_path / "film.gif") as image:
        assert image.n_frames == 235  # pyright: ignore[reportAttributeAccessIssue]
        assert (image.info["duration"], image.info["loop"]) == (100, 0)
        image.seek(100)
        shown = np.asarray(image.convert("RGB"), dtype=int)
    # Nearest colours of the film's palette, a level of grey or two off.
    assert np.abs(shown - FilmMaker(film, 1).picture(300)).mean() < 3


def test_a_missing_library_is_told_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "find_spec", lambda name: None)
    with pytest.raises(SpecError, match=r'pip install "wsabench\[video\]"`, or write a \.gif'):
        check_output(tmp_path / "film.mp4")
    check_output(tmp_path / "film.gif")


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    def stop(number: int) -> None:
        raise KeyboardInterrupt

    for name in ("film.mp4", "film.gif"):
        with pytest.raises(KeyboardInterrupt):
            write_recording(film_of(20), [tmp_path / name], fps=15, advance=stop)
    assert list(tmp_path.iterdir()) == []


def test_unusable_outputs_are_refused_before_anything_is_played(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"Cannot write into .*file: Not a directory"):
        check_output(tmp_path / "file" / "film.gif")
    with pytest.raises(SpecError, match=r"Allowed endings: \.mp4, \.gif, \.png, \.parquet, \.csv; or give a folder"):
        check_output(tmp_path / "film.mov")
    check_output(tmp_path / "films.v2", f"{tmp_path}/films.v2/")
    check_output(tmp_path / "new" / "deep" / "film.gif")
    assert [path.name for path in tmp_path.iterdir()] == ["file"], "whoever is refused later leaves nothing behind"


def test_the_figure_shows_weights_and_moments() -> None:
    weights = np.float32(np.random.default_rng(0).dirichlet([1, 1], 60))
    film = film_of(60, weights)
    with figure_style():
        figure = episode_figure(film)
    *pictures, plot = figure.get_axes()
    titles = [ax.get_title(loc="center") for ax in pictures]
    assert titles == [f"{letter}: step {step}" for letter, step in zip("abcdef", film.key_moments(6), strict=True)]
    every_step, mean = plot.get_lines()[:2]
    np.testing.assert_array_equal(every_step.get_ydata(), weights[:, 0])
    assert mean.get_ydata()[30] == pytest.approx(weights[23:38, 0].mean(), abs=1e-6)
    assert "return 60, 60 steps, game over" in figure.get_suptitle()
