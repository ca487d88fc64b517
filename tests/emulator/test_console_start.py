"""A restored start is the emulator's own reset, to the bit, in every ROM for which the catalogue says so."""

import ale_py
import numpy as np
import pytest
from ale_py import roms

from wsabench.emulator import Lane
from wsabench.emulator.console import Console
from wsabench.games import catalogue_games, has_fixed_start, rom_ids
from wsabench.perturb import ConsoleStage, compile_perturbation
from wsabench.protocol import Protocol

pytestmark = pytest.mark.oracle

FIXED = [game for game in rom_ids() if has_fixed_start(game)]
QUICK = [game for game in FIXED if game in catalogue_games()]
PROTOCOL = Protocol()


def fresh(game: str) -> ale_py.ALEInterface:
    """Return an emulator that shares nothing with the console under test."""
    ale = ale_py.ALEInterface()
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(roms.get_rom_path(game))
    ale.reset_game()
    return ale


def play(ale: ale_py.ALEInterface, frames: int, rng: np.random.Generator) -> None:
    buttons = ale.getMinimalActionSet()
    for _ in range(frames):
        ale.act(buttons[rng.integers(len(buttons))])
        if ale.game_over():
            return


def fill_memory(ale: ale_py.ALEInterface, rng: np.random.Generator) -> None:
    for index in range(128):
        ale.setRAM(index, int(rng.integers(256)))


def compare_starts(game: str, num_starts: int, num_frames: int) -> None:
    """Reset one emulator after whatever happened to it, restore the console's start, and play both on."""
    rng = np.random.default_rng(5)
    console, peer = Console(game, PROTOCOL), fresh(game)
    console.power_on(0)
    for number in range(num_starts):
        play(console.ale, int(rng.integers(1, 100)), rng)
        play(peer, int(rng.integers(1, 3000 if number % 10 == 0 else 120)), rng)
        if number % 2:
            fill_memory(peer, rng)
            play(peer, int(rng.integers(4)), rng)
        peer.reset_game()
        console.start_next() if number % 3 else console.power_on(number)
        assert console.picture is not console.ale, "the start was not restored"
        shown = np.empty(console.screen_dims, np.uint8)
        console.picture.getScreen(shown)
        assert np.array_equal(shown, peer.getScreen()), (game, number)
        assert np.array_equal(console.ale.getRAM(), peer.getRAM()), (game, number)
        for frame in range(num_frames):
            button = console.actions[rng.integers(len(console.actions))]
            assert console.play(button) == peer.act(button)
            assert np.array_equal(console.ale.getRAM(), peer.getRAM()), (game, number, frame)
            assert np.array_equal(console.ale.getScreen(), peer.getScreen()), (game, number, frame)
            assert (console.ale.lives(), console.ale.game_over()) == (peer.lives(), peer.game_over())
            if peer.game_over():
                break


@pytest.mark.parametrize("game", QUICK)
def test_a_restored_start_is_a_reset(game):
    compare_starts(game, num_starts=12, num_frames=60)


@pytest.mark.slow
@pytest.mark.parametrize("game", FIXED)
def test_a_restored_start_is_a_reset_in_many_starts(game):
    compare_starts(game, num_starts=120, num_frames=30)


def test_most_catalogue_games_start_alike_and_some_do_not():
    assert {"breakout", "pong", "ms_pacman"} <= set(QUICK)
    # Random numbers that live on in the memory, and a start that depends on the console's timer.
    assert not {"seaquest", "beam_rider", "boxing", "qbert"} & set(QUICK)


def test_a_lane_shows_the_start_before_the_first_frame():
    protocol = Protocol(noop_max=0, fire_on_reset=False)
    lane = Lane(compile_perturbation("clean", "breakout"), protocol, seed=0)
    lane.reset()
    first = lane.screen(), lane.observation.copy()
    for _ in range(50):
        lane.step(3)
    assert not np.array_equal(lane.screen(), first[0])
    lane.reset(2)
    assert np.array_equal(lane.screen(), first[0])
    assert np.array_equal(lane.observation, first[1])


def test_after_a_crash_in_the_middle_of_a_frame_the_start_is_a_reset():
    rng = np.random.default_rng(3)
    console, peer = Console("breakout", PROTOCOL), fresh("breakout")
    console.power_on(0)
    num_resets = 0
    for _ in range(60):
        fill_memory(console.ale, rng)
        play(console.ale, 4, rng)
        peer.reset_game()
        console.start_next()
        num_resets += console.picture is console.ale
        for _ in range(10):
            assert console.play(console.actions[3]) == peer.act(console.actions[3])
            assert np.array_equal(console.ale.getScreen(), peer.getScreen())
            assert np.array_equal(console.ale.getRAM(), peer.getRAM())
    assert 0 < num_resets < 30


def test_another_mode_is_never_restored_as_the_default_one():
    console, peer = Console("breakout", PROTOCOL), fresh("breakout")
    console.power_on(0)
    console.power_on(0, ConsoleStage(mode=4))
    peer.setMode(4)
    peer.reset_game()
    for start in (lambda: None, console.start_next):
        start()
        assert console.picture is console.ale
        assert console.ale.cloneState().getCurrentMode() == peer.cloneState().getCurrentMode() == 4
