"""Recolouring objects: which indices, who shares them, and what is refused."""

import numpy as np
import pytest

from wsabench.errors import SpecError
from wsabench.games import load_game
from wsabench.perturb import compile_perturbation, load_palette
from wsabench.perturb.catalogue import KINDS, read_family
from wsabench.perturb.color.recolor import color_of, object_indices, recolor_index, recolor_objects, sharing


def test_an_object_is_recoloured_with_all_that_shares_its_index():
    breakout = load_game("breakout")
    assert object_indices(breakout, ["player"]) == (70,)
    assert sharing(breakout, [70]) == ("player", "ball", "blocks_row_1_from_top")
    assert sharing(breakout, [71], besides=["player"]) == ("ball", "blocks_row_1_from_top")
    changed = compile_perturbation("recolor-player", "breakout").rgb
    palette = load_palette("NTSC").rgb
    assert changed[70].tolist() == changed[71].tolist() == [0xB0, 0x10, 0x30]
    different = np.flatnonzero((changed != palette).any(axis=1))
    assert different.tolist() == [70, 71]


def test_an_object_of_several_colors_has_all_its_indices():
    asteroids = load_game("asteroids")
    assert object_indices(asteroids, ["asteroids", "no such thing"]) == asteroids.objects["asteroids"]


def test_a_game_without_the_object_is_refused():
    with pytest.raises(SpecError, match=r"breakout: the game has none of the objects enemy, .*Allowed: .*breakout has"):
        compile_perturbation("recolor-enemies", "breakout")
    with pytest.raises(SpecError, match=r"tennis has none: its colours are not in the catalogue"):
        compile_perturbation("recolor-player", "tennis")


def test_an_odd_index_is_refused():
    with pytest.raises(SpecError, match=r"index is 7. Allowed: even numbers 0 to 254"):
        recolor_index(load_game("pong"), 7, "#000000")


def test_a_color_is_written_or_drawn():
    assert color_of("#0a10ff") == (10, 16, 255)
    assert color_of(3) == tuple(np.random.Generator(np.random.PCG64(3)).integers(0, 256, size=3).tolist())
    assert recolor_objects(load_game("pong"), ["ball"], 3)(load_palette("NTSC").rgb)[14].tolist() == [*color_of(3)]


@pytest.mark.parametrize("value", ["red", "#12345", "#1234567", "123456", -1, 1.5, True, None])
def test_other_colors_are_refused(value):
    assert not KINDS["palette.recolor"].parameters["color"].is_valid(value)


def test_the_games_indices_enter_the_content_hash(tmp_path, monkeypatch):
    text = '[a]\nfamily="color"\nkind="palette.recolor"\nsummary="A"\nparameters={{ objects=["{}"], color="{}" }}\n'
    hashes = []
    for name, color in (("player", "#AABBCC"), ("player", "#aabbcc"), ("player", "#aabbcd")):
        path = tmp_path / "x.toml"
        path.write_text(text.format(name, color))
        (entry,) = read_family(path)
        hashes.append(tuple(entry.resolved(None).items()))
    assert hashes[0] == hashes[1] != hashes[2]
    kind = KINDS["palette.recolor"]
    assert kind.content is not None
    assert kind.content(load_game("pong"), objects=("ball",), color="#aabbcc") == [14]
    pong, breakout = (compile_perturbation("recolor-player", game).content_hash for game in ("pong", "breakout"))
    assert pong != breakout
