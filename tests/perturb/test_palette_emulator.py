"""The palette file against the running emulator."""

import ale_py
import numpy as np
import pytest
from ale_py import roms
from lane_oracle import grey_of

from wsabench.emulator.console import Console
from wsabench.games import catalogue_games, rom_ids, standard_of
from wsabench.perturb import compile_perturbation, load_palette, luminance
from wsabench.protocol import Protocol

pytestmark = pytest.mark.oracle


def seen_colors(game: str, num_frames: int, poke: bool) -> dict[int, tuple[list[int], int]]:
    """Return RGB and grey of every index that turns up in random play, with random memory writes if asked."""
    console = Console(game, Protocol())
    console.power_on(0)
    ale = console.ale
    generator = np.random.default_rng(0)
    buttons = ale.getMinimalActionSet()
    seen = {}
    for frame in range(num_frames):
        ale.act(buttons[generator.integers(len(buttons))])
        if poke:
            for _ in range(4):
                ale.setRAM(int(generator.integers(128)), int(generator.integers(256)))
        if ale.game_over() or (poke and frame % 100 == 99):
            ale.reset_game()
        indices, first = np.unique(ale.getScreen(), return_index=True)
        if all(int(index) in seen for index in indices):
            continue
        rgb, grey = ale.getScreenRGB().reshape(-1, 3), ale.getScreenGrayscale().ravel()
        seen |= {int(i): (rgb[place].tolist(), int(grey[place])) for i, place in zip(indices, first, strict=True)}
    if not poke:  # a processor that stopped in the middle of a frame is nothing for others
        console.close()
    return seen


def assert_palette_shows(game: str, seen: dict[int, tuple[list[int], int]]) -> None:
    """Compare what the emulator showed with the palette file, and with what `clean` compiles to."""
    palette = load_palette(standard_of(game))
    clean = compile_perturbation("clean", game)
    for index, (rgb, grey) in seen.items():
        assert palette.rgb[index].tolist() == clean.rgb[index].tolist() == rgb, (game, index)
        assert palette.grey[index] == clean.luminance[index] == grey, (game, index)


@pytest.mark.parametrize("game", catalogue_games())
def test_catalogue_games_show_the_ntsc_palette(game):
    seen = seen_colors(game, 150, poke=False)
    assert_palette_shows(game, seen)
    assert all(index % 2 == 0 for index in seen)


def test_every_even_ntsc_index_is_shown():
    # Breakout keeps the colour of the paddle in byte 62; all other bytes stay as they are.
    ale = ale_py.ALEInterface()
    ale.loadROM(roms.get_rom_path("breakout"))
    ale.reset_game()
    seen = {}
    for value in range(0, 256, 2):
        ale.setRAM(62, value)
        ale.act(0)
        screen, rgb, grey = ale.getScreen(), ale.getScreenRGB(), ale.getScreenGrayscale()
        for index in np.unique(screen):
            row, column = np.argwhere(screen == index)[0]
            seen[int(index)] = (rgb[row, column].tolist(), int(grey[row, column]))
    assert_palette_shows("breakout", seen)
    assert set(seen) == set(range(0, 256, 2))


def test_every_pal_index_is_shown_odd_ones_included():
    seen = seen_colors("sir_lancelot", 600, poke=True) | seen_colors("air_raid", 600, poke=True)
    assert_palette_shows("air_raid", seen)
    assert len(seen) >= 250
    assert sum(index % 2 for index in seen) >= 125


def test_pal_greys_of_odd_indices_are_not_the_luminance_of_their_rgb():
    palette = load_palette("PAL")
    assert palette.rgb[25].tolist() == [151, 151, 151]
    assert palette.grey[25] == 182  # measured on air_raid


@pytest.mark.slow
@pytest.mark.parametrize("game", rom_ids())
def test_every_rom_shows_the_palette_of_its_standard(game):
    assert_palette_shows(game, seen_colors(game, 200, poke=False))


@pytest.mark.parametrize("standard", ["NTSC", "PAL", "SECAM"])
def test_luminance_is_the_definition_in_whole_numbers(standard):
    palette = load_palette(standard)
    expected = [grey_of(rgb) for rgb in palette.rgb]
    assert luminance(palette.rgb).tolist() == expected
    assert palette.grey[::2].tolist() == expected[::2]


def test_secam_has_eight_colors():
    assert len(np.unique(load_palette("SECAM").rgb[::2], axis=0)) == 8
