"""Family files: every mistake is refused with file, key, what was found and what is allowed."""

import pytest

from wsabench.errors import SpecError
from wsabench.perturb.families import read_family

VALID = """
[hue-rotate]
family = "color"
kind = "palette.hue_rotate"
summary = "Rotate"
severity = { degrees = [36, 72, 108, 144, 180] }

[swap]
family = "color"
kind = "palette.channel_permute"
summary = "Swap"
source = "Own idea"
parameters = { order = "bgr" }
"""


def read(tmp_path, text):
    path = tmp_path / "color.toml"
    path.write_text(text)
    return read_family(path)


def test_a_valid_file_is_read(tmp_path):
    scaled, plain = read(tmp_path, VALID)
    assert scaled.resolved(3) == {"degrees": 108.0}
    assert scaled.severities == (1, 2, 3, 4, 5)
    assert (plain.resolved(None), plain.severities, plain.source) == ({"order": "bgr"}, (None,), "Own idea")


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("[hue-rotate]", "[Hue]", r"color.toml, Hue: the name is 'Hue'. Allowed: lower-case words joined by -"),
        ("[hue-rotate]", "[clean]", r"the name is 'clean'. Allowed: .*not 'clean'"),
        ('"color"', '"colour"', r"hue-rotate, family: found 'colour'. Allowed: one of color, corruption, dynamics"),
        ('"color"', '"dynamics"', r"family: found 'dynamics'. Allowed: 'color', the family of the kind 'palette.hue_"),
        ("palette.hue_rotate", "palette.hue", r"kind: found 'palette.hue'. Allowed: one of palette.channel_permute"),
        ('summary = "Rotate"', "", r"hue-rotate: the key 'summary' is missing."),
        ("summary", "sumary", r"hue-rotate: the key 'summary' is missing"),
        ("source", "sauce", r"swap: unknown key 'sauce'. Did you mean 'source'\?"),
        (", 180]", "]", r"severity.degrees: found \[36, 72, 108, 144\]. Allowed: a list of 5 values."),
        (", 144, 180]", ", 144, 144]", r"severity.degrees: found .* Allowed: numbers that rise or fall strictly."),
        ("[36, 72", "[36, -72", r"Allowed: numbers that rise or fall strictly."),
        ("180]", "361]", r"severity.degrees: found 361. Allowed: numbers -360 to 360."),
        ("180]", '"x"]', r"severity.degrees: found 'x'. Allowed: numbers -360 to 360."),
        ("180]", "nan]", r"severity.degrees: found nan. Allowed"),
        ("degrees =", "degree =", r"hue-rotate, severity: unknown key 'degree'. Did you mean 'degrees'\?"),
        ("severity = {", "parameters = { degrees = 1 }\nseverity = {", r"'degrees' is given under parameters and"),
        ("severity = { degrees = [36, 72, 108, 144, 180] }", "", r"the parameter 'degrees' is missing"),
        ("severity = {", "severity = 3\nx = {", r"severity: found 3. Allowed: a table."),
        ('"bgr"', '"bbr"', r"swap, parameters.order: found 'bbr'. Allowed: one of rgb, rbg"),
        ("[swap]", "[swap", r"color.toml: not valid TOML"),
        ("\n[hue-rotate]", "x = 1\n[hue-rotate]", r"color.toml, x: found 1. Allowed: a table of keys."),
    ],
)
def test_malformed_files_are_refused(tmp_path, old, new, text):
    assert old in VALID
    with pytest.raises(SpecError, match=text):
        read(tmp_path, VALID.replace(old, new, 1))


def test_the_same_name_in_two_files_is_refused(tmp_path, monkeypatch):
    from wsabench.perturb import families

    for name in ("a.toml", "b.toml"):
        (tmp_path / "families").mkdir(exist_ok=True)
        (tmp_path / "families" / name).write_text(VALID)
    monkeypatch.setattr(families, "data_dir", lambda _: tmp_path)
    with pytest.raises(SpecError, match=r"b.toml, hue-rotate: the name is taken by another file"):
        families.catalogue()
