"""Names of perturbations: parsing, canonical text, hashes, messages; and compiling."""

import dataclasses

import numpy as np
import pytest

from wsabench.errors import SpecError, UnknownNameError
from wsabench.games import rom_ids
from wsabench.perturb import compile_perturbation, list_perturbations, load_palette, parse_perturbation
from wsabench.perturb.spec import Perturbation, PerturbationPart


def of_kind(kind: str, **parameters) -> Perturbation:
    """Return a perturbation that the catalogue does not have."""
    return Perturbation((PerturbationPart("own", "color", None, kind, tuple(sorted(parameters.items()))),))


def test_clean_is_no_change():
    clean = parse_perturbation("clean")
    assert clean.is_clean
    assert (clean.name, clean.family, clean.severity) == ("clean", "clean", None)


def test_one_name_with_a_severity():
    shift = parse_perturbation("hue-rotate@3")
    assert (shift.name, shift.family, shift.severity) == ("hue-rotate@3", "color", 3)
    assert shift.parts[0].parameters == (("degrees", 108.0),)
    assert not shift.is_clean


def test_compositions_are_written_in_order():
    both = parse_perturbation(" hue-rotate@3 + value@2")
    assert both.name == "hue-rotate@3+value@2"
    assert (both.family, both.severity) == ("color", None)
    other = parse_perturbation("value@2+hue-rotate@3")
    assert other.content_hash != both.content_hash


def test_every_catalogue_name_parses_to_itself():
    for entry in list_perturbations():
        for severity in entry.severities:
            name = entry.name if severity is None else f"{entry.name}@{severity}"
            assert parse_perturbation(name).name == name
            assert parse_perturbation(parse_perturbation(name)) == parse_perturbation(name)


def test_each_family_has_what_the_bench_promises():
    scaled = {e.name for e in list_perturbations() if e.games is None and e.has_severity}
    plain = {e.name for e in list_perturbations() if e.games is None and not e.has_severity}
    assert scaled >= {"hue-rotate", "saturation", "value", "contrast", "gamma", "strobe"}
    assert plain >= {"invert", "channel-permute", "palette-shuffle", "palette-pal", "palette-secam", "random-palette"}
    assert scaled >= {
        "sticky-actions",
        "random-actions",
        "action-delay",
        "observation-delay",
        "frame-skip",
        "frame-skip-jitter",
        "noop-bursts",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hue-rotate", r"hue-rotate: severity is missing. Allowed: integers 1 to 5, written hue-rotate@3."),
        ("hue-rotate@0", r"hue-rotate: severity is 0. Allowed: integers 1 to 5. Use 5 for the strongest level."),
        ("hue-rotate@6", r"hue-rotate: severity is 6. Allowed: integers 1 to 5. Use 5 for the strongest level."),
        ("hue-rotate@x", r"hue-rotate: severity is x. Allowed: integers 1 to 5."),
        ("hue-rotate@1.0", r"hue-rotate: severity is 1.0. Allowed: integers 1 to 5."),
        ("hue-rotate@01", r"hue-rotate: severity is 01. Allowed"),
        ("hue-rotate@", r"hue-rotate: severity is missing. Allowed"),
        ("invert@2", r"invert: severity is 2, but it has no scale. Allowed: 'invert' without '@'."),
        ("invert@", r"invert: severity is empty, but it has no scale"),
        ("clean+invert", r"clean\+invert: 'clean' means no change at all. Allowed: 'clean' alone"),
        ("clean@1", r"'clean' means no change at all"),
        ("invert+", r"invert\+: a name is missing. Allowed: NAME or NAME@SEVERITY"),
        ("@3", r"@3: a name is missing"),
        ("", r"perturbation: found ''. Allowed: a name such as 'clean'"),
    ],
)
def test_malformed_names_are_refused(text, message):
    with pytest.raises(SpecError, match=message):
        parse_perturbation(text)


def test_both_ends_of_the_severity_are_allowed():
    assert [parse_perturbation(f"value@{level}").severity for level in (1, 5)] == [1, 5]


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"Unknown perturbation 'hue-rotat'. Did you mean 'hue-rotate'"):
        parse_perturbation("hue-rotat@3")
    with pytest.raises(UnknownNameError, match=r"suite.toml: Unknown perturbation 'Invert'. Did you mean 'invert'"):
        parse_perturbation("Invert", "suite.toml")


def test_the_place_of_the_text_begins_the_message():
    with pytest.raises(SpecError, match=r"^smoke.toml, hue-rotate: severity is 7"):
        parse_perturbation("hue-rotate@7", "smoke.toml")


def test_hashes_are_of_content_alone():
    names = ["clean", "invert", *(f"{name}@{level}" for name in ("value", "contrast") for level in range(1, 6))]
    assert len({parse_perturbation(name).content_hash for name in names}) == len(names)
    part = parse_perturbation("value@2").parts[0]
    renamed = Perturbation((dataclasses.replace(part, name="other", severity=None),))
    assert renamed.content_hash == parse_perturbation("value@2").content_hash
    two = (("a", 1.0), ("b", 2.0))
    ordered, reversed_ = (Perturbation((dataclasses.replace(part, parameters=p),)) for p in (two, two[::-1]))
    assert ordered.content_hash == reversed_.content_hash
    assert of_kind("palette.value", factor=0.7).content_hash != of_kind("palette.contrast", factor=0.7).content_hash


def test_nothing_may_stand_before_a_replaced_palette():
    with pytest.raises(SpecError, match=r"'palette-pal' replaces all colours.*Allowed: before all other"):
        compile_perturbation("invert+palette-pal", "breakout")


@pytest.mark.parametrize("game", ["breakout", "air_raid"])
@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("palette.hue_rotate", {"degrees": 0.0}),
        ("palette.hue_rotate", {"degrees": 360.0}),
        ("palette.saturation", {"factor": 1.0}),
        ("palette.value", {"factor": 1.0}),
        ("palette.contrast", {"factor": 1.0}),
        ("palette.channel_permute", {"order": "rgb"}),
    ],
)
def test_identity_parameters_compile_to_clean(game, kind, parameters):
    clean, same = (compile_perturbation(p, game) for p in ("clean", of_kind(kind, **parameters)))
    assert np.array_equal(clean.luminance, same.luminance)
    assert np.array_equal(clean.rgb, same.rgb)


def test_a_games_own_hardware_palette_is_clean():
    for name, game in (("palette-pal", "air_raid"), ("palette-pal", "klax")):
        clean, same = (compile_perturbation(p, game) for p in ("clean", name))
        assert np.array_equal(clean.luminance, same.luminance)
    ntsc = compile_perturbation(of_kind("palette.hardware", standard="NTSC"), "breakout")
    assert np.array_equal(ntsc.luminance, compile_perturbation("clean", "breakout").luminance)


def test_clean_is_ales_own_grey_for_every_rom():
    for game in rom_ids():
        compiled = compile_perturbation("clean", game)
        assert compiled.game == game
        assert (compiled.luminance == load_palette("PAL").grey).all() or (
            compiled.luminance == load_palette("NTSC").grey
        ).all()


def test_compiled_tables_are_complete_and_read_only():
    compiled = compile_perturbation("hue-rotate@3+value@2", "pong")
    assert (compiled.rgb.shape, compiled.luminance.shape) == ((256, 3), (256,))
    assert compiled.rgb.dtype == compiled.luminance.dtype == np.uint8
    assert compiled.encoder_operations == ()
    assert (compiled.name, compiled.family, compiled.severity) == ("hue-rotate@3+value@2", "color", None)
    with pytest.raises(ValueError, match="read-only"):
        compiled.luminance[0] = 1


def test_a_composition_is_its_parts_from_left_to_right():
    # Breakout's background is black: first inverted, then darkened to 0.7, is not first darkened, then inverted.
    first = compile_perturbation("invert+value@2", "breakout").luminance[0]
    second = compile_perturbation("value@2+invert", "breakout").luminance[0]
    assert (first, second) == (179, 255)  # floor(0.7 * 255 + 0.5), and 255 - 0
