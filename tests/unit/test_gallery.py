"""The contact sheet of a suite."""

import cv2
import pytest

from wsabench.errors import SpecError, StorageError, UnknownNameError
from wsabench.report import draw_gallery


def test_the_sheet_is_a_picture_of_clean_and_the_perturbations(tmp_path):
    path = draw_gallery("color-shift", "breakout", tmp_path / "new" / "sheet.png", ["hue-rotate@3", "invert"])
    assert path == tmp_path / "new" / "sheet.png"
    picture = cv2.imread(str(path))
    assert picture.shape[1] == 2100  # 7 inches at 300 dots an inch


def test_titles_hold_the_measured_change(monkeypatch, tmp_path):
    from wsabench.emulator import measure_effect
    from wsabench.report import gallery

    titles = []
    original = gallery.frame_grid
    monkeypatch.setattr(
        gallery, "frame_grid", lambda frames, *rest: titles.extend(f.title for f in frames) or original(frames, *rest)
    )
    monkeypatch.setattr("wsabench.emulator.MIN_EFFECT_GREY_LEVELS", measure_effect("breakout", "hue-rotate@3") + 0.01)
    draw_gallery("color-shift", "breakout", tmp_path / "sheet.png", ["hue-rotate@3", "invert"])
    effects = [measure_effect("breakout", name) for name in ("hue-rotate@3", "invert")]
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
