"""The contact sheet of a suite."""

import cv2
import numpy as np
import pytest

from wsabench.cli import main
from wsabench.errors import SpecError, StorageError, UnknownNameError
from wsabench.perturb import list_perturbations
from wsabench.report import draw_gallery
from wsabench.report.films.filmstrip import Film, choose_moments
from wsabench.report.films.gallery import Gallery, gallery_names


def test_the_sheet_is_a_picture_of_clean_and_the_perturbations(tmp_path):
    drawn = draw_gallery("color-shift", "breakout", tmp_path / "new" / "sheet.png", ["hue-rotate@3", "invert"])
    assert drawn == Gallery((tmp_path / "new" / "sheet.png",), {})
    picture = cv2.imread(str(drawn.paths[0]))
    assert picture.shape[1] == 2040  # 6.8 inches at 300 dots an inch


def test_titles_hold_the_measured_change(monkeypatch, tmp_path):
    from wsabench.emulator import measure_effect
    from wsabench.report.films import gallery

    titles = []
    original = gallery.frame_grid
    monkeypatch.setattr(
        gallery, "frame_grid", lambda frames, *rest: titles.extend(f.title for f in frames) or original(frames, *rest)
    )
    effects = [measure_effect("breakout", name).value for name in ("hue-rotate@3", "invert")]
    monkeypatch.setattr("wsabench.emulator.effect.MIN_EFFECT_GREY_LEVELS", effects[0] + 0.01)
    draw_gallery("color-shift", "breakout", tmp_path / "sheet.png", ["hue-rotate@3", "invert"])
    assert titles == [
        "clean",
        f"hue-rotate@3\n{effects[0]:.1f} grey levels, refused",
        f"invert\n{effects[1]:.1f} grey levels",
    ]


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(SpecError, match=r"'sheet\.jpg'\. Give it the ending \.png"):
        draw_gallery("color-shift", "breakout", tmp_path / "sheet.jpg")


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="color-shift"):
        draw_gallery("colour-shift", "breakout", tmp_path / "sheet.png")
    with pytest.raises(UnknownNameError, match="breakout"):
        draw_gallery("color-shift", "breakoot", tmp_path / "sheet.png")


def test_unwritable_places_are_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Cannot create the folder"):
        draw_gallery("color-shift", "breakout", tmp_path / "file" / "sheet.png", ["invert"])


def test_many_perturbations_take_several_pages_and_changes_of_the_game_are_films(monkeypatch, tmp_path):
    from wsabench.report.films import gallery

    pages = []
    for name in ("_sheet", "_strip"):
        original = getattr(gallery, name)
        monkeypatch.setattr(
            gallery,
            name,
            lambda cells, *rest, name=name, draw=original: (
                pages.append((name, [cell.name for cell in cells])) or draw(cells, *rest)
            ),
        )
    monkeypatch.setattr(gallery, "_CELLS_A_PAGE", 3)
    monkeypatch.setattr(gallery, "_effect_text", lambda cell: "any")
    monkeypatch.setattr("wsabench.evaluation.samples.FILM_STEPS", 32)
    names = ["invert", "action-delay@3", "palette-pal", "frame-freeze@5", "hue-rotate@3", "zero-all"]
    drawn = draw_gallery("smoke", "breakout", tmp_path / "sheet.png", names, dpi=40)
    assert pages == [
        ("_sheet", ["invert", "palette-pal"]),
        ("_sheet", ["hue-rotate@3"]),
        ("_strip", ["action-delay@3", "frame-freeze@5"]),
    ]
    assert [path.name for path in drawn.paths] == ["sheet.png", "sheet-2.png", "sheet-3.png"]
    assert drawn.left_out == {"zero-all": "acts on the agent's encoders: nothing to draw"}
    assert cv2.imread(str(drawn.paths[2])).shape[1] == 272


@pytest.mark.parametrize(("number", "sizes"), [(0, []), (1, [1]), (31, [31]), (32, [16, 16]), (63, [21, 21, 21])])
def test_pages_are_about_equally_full(number, sizes):
    from wsabench.report.films.gallery import _divided

    pages = list(_divided(range(number), 31))
    assert [len(page) for page in pages] == sizes
    assert [cell for page in pages for cell in page] == list(range(number))


def test_a_strip_shows_when_films_differ_most_from_the_first():
    def film(values):
        return Film("", [np.full((2, 2, 3), value, np.uint8) for value in values])

    clean = film([0] * 8)
    one, other = film([0, 9, 0, 0, 0, 0, 3, 0]), film([0, 0, 0, 40, 0, 0, 0, 4])
    # By halves of four: 9 of 9 and 40 of 40 are equal, so the later; 3 of 9 is more than 4 of 40.
    assert choose_moments([clean, one, other], 2) == [3, 6]
    assert choose_moments([clean], 2) == [3, 7]


def test_a_suite_is_drawn_with_the_games_own_cells_and_without_those_that_do_not_fit(monkeypatch, tmp_path):
    from wsabench.report.films import gallery

    drawn = []
    monkeypatch.setattr(gallery, "_pages", lambda cells, *_: drawn.extend(cell.name for cell in cells) or iter(()))
    left_out = draw_gallery("full", "pong", tmp_path / "sheet.png").left_out
    assert "lazy-enemy" in drawn
    assert "small-paddle" not in drawn
    assert set(drawn).isdisjoint(left_out)
    assert {"clean", *drawn, *left_out} == {*gallery_names("pong", "full")}
    assert draw_gallery("color-shift", "tennis", tmp_path / "sheet.png").left_out.keys() >= {"recolor-player"}


def test_a_family_is_everything_a_game_can_have():
    names = gallery_names("pong", family="dynamics")
    assert {"sticky-actions@3", "lazy-enemy", "mode-1"} <= set(names)
    assert "small-paddle" not in names
    assert len(gallery_names("tennis", family="corruption")) == len(list_perturbations("corruption"))
    with pytest.raises(UnknownNameError, match=r"Unknown family 'colour'\. Did you mean 'color'"):
        gallery_names("pong", family="colour")


def test_the_command_says_what_it_drew_and_what_not(tmp_path, capsys):
    out = tmp_path / "sheet.png"
    assert main(["gallery", "--perturbations", "invert,zero-all", "--game", "pong", "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"Page: {out}",
        "No picture: zero-all: acts on the agent's encoders: nothing to draw",
    ]
    assert main(["gallery", "--suite", "smoke", "--family", "color"]) == 2
    assert "Give one of --suite, --family and --perturbations" in capsys.readouterr().err
