"""Family files: every mistake is refused with file, key, what was found and what is allowed."""

import pytest

from wsabench.errors import SpecError, StorageError
from wsabench.perturb import list_perturbations, list_suites, load_suite, parse_perturbation
from wsabench.perturb.catalogue import read_family

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
        ("palette.hue_rotate", "palette.hue", r"kind: found 'palette.hue'. Did you mean .*'palette.hue_rotate'"),
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


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """A user's own catalogue, beside the shipped one."""
    (tmp_path / "families").mkdir()
    monkeypatch.setenv("WSABENCH_PERTURBATIONS", str(tmp_path))
    return tmp_path


OWN = """
[dusk]
family = "color"
kind = "palette.value"
summary = "Darken every colour"
severity = { factor = [0.9, 0.8, 0.7, 0.6, 0.5] }
"""


def test_a_users_own_folder_is_read_too(own_folder):
    (own_folder / "families" / "own.toml").write_text(OWN)
    assert parse_perturbation("dusk@2+invert").name == "dusk@2+invert"
    assert parse_perturbation("dusk@3").content_hash == parse_perturbation("value@2").content_hash  # both 0.7
    assert list_perturbations("color")[-1].games is not None  # games' own still come last


def test_worker_processes_read_the_users_own_folder_too(own_folder):
    import wsabench

    (own_folder / "families" / "own.toml").write_text(OWN)
    cells = ["dusk@3", "value@2"]
    envs = wsabench.make_vec("pong", num_envs=2, perturbations=cells, seed=[4, 4], num_workers=2)
    observations, _ = envs.reset()
    envs.close()
    assert (observations[0] == observations[1]).all()


def test_a_users_own_suite_is_found_by_name(own_folder):
    (own_folder / "families" / "own.toml").write_text(OWN)
    (own_folder / "suites").mkdir()
    suite = (
        'summary = "s"\ngames = ["pong"]\nperturbations = ["dusk@*"]\n[profiles.quick]\ntrain_seeds = [0]\nepisodes = 1'
    )
    (own_folder / "suites" / "dusk.toml").write_text(suite)
    assert "dusk" in list_suites()
    assert load_suite("dusk").perturbations[-1] == "dusk@5"


@pytest.mark.parametrize("name", ["a.toml", "z.toml"])
def test_the_same_name_in_two_files_is_refused(own_folder, name):
    (own_folder / "families" / name).write_text(VALID)
    with pytest.raises(SpecError, match=rf"{name}, hue-rotate: the name is taken by another file. Choose another"):
        parse_perturbation("invert")


def test_a_file_name_that_is_taken_is_refused(own_folder):
    (own_folder / "families" / "color.toml").write_text(OWN)
    with pytest.raises(SpecError, match=r"color.toml: the name is taken by .*families/color.toml. Allowed"):
        parse_perturbation("invert")


def test_a_folder_that_does_not_exist_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WSABENCH_PERTURBATIONS", str(tmp_path / "none"))
    with pytest.raises(StorageError, match=r"WSABENCH_PERTURBATIONS names the folder .*none, which does not exist"):
        parse_perturbation("invert")
