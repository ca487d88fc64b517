"""A restored start is the emulator's own reset, to the bit, in every ROM for which the catalogue says so."""

import ale_py
import numpy as np
import pytest
from ale_py import roms

from wsabench.emulator import Lane, cartridges
from wsabench.emulator import console as console_module
from wsabench.emulator.cartridges import Start
from wsabench.emulator.console import Console
from wsabench.emulator.effect import _random_play
from wsabench.evaluation.rollout import first_moments
from wsabench.games import catalogue_games, has_fixed_start, rom_ids
from wsabench.perturb import ConsoleStage, compile_perturbation
from wsabench.protocol import Protocol

pytestmark = pytest.mark.oracle

FIXED = [game for game in rom_ids() if has_fixed_start(game)]
QUICK = [game for game in FIXED if game in catalogue_games()]
PROTOCOL = Protocol()


def fresh(game: str, sticky: float = 0.0, seed: int = 0) -> ale_py.ALEInterface:
    """Return an emulator that shares nothing with the console under test."""
    ale = ale_py.ALEInterface()
    ale.setFloat("repeat_action_probability", sticky)
    ale.setInt("random_seed", seed)
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


def compare_starts(game: str, num_starts: int, num_frames: int, longest: int, *, gives_back: bool = False) -> None:
    """Reset one emulator after whatever happened to it, restore the console's start, and play both on.

    Every tenth time it was played for up to `longest` frames, else for up to 120.
    """
    rng = np.random.default_rng(5)
    console, peer = Console(game, PROTOCOL), fresh(game)
    console.power_on(0)
    for number in range(num_starts):
        play(console.ale, int(rng.integers(1, 100)), rng)
        play(peer, int(rng.integers(1, longest if number % 10 == 0 else 120)), rng)
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
    if gives_back:
        console.close()


@pytest.mark.parametrize("game", QUICK)
def test_a_restored_start_is_a_reset(game):
    compare_starts(game, num_starts=8, num_frames=40, longest=600)


@pytest.mark.slow
@pytest.mark.parametrize("game", FIXED)
def test_a_restored_start_is_a_reset_in_many_starts(game):
    compare_starts(game, num_starts=120, num_frames=30, longest=3000)


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
    rng = np.random.default_rng(0)  # the ninth start finds it stopped
    console, peer = Console("breakout", PROTOCOL), fresh("breakout")
    console.power_on(0)
    num_resets = 0
    for _ in range(12):
        fill_memory(console.ale, rng)
        play(console.ale, 4, rng)
        peer.reset_game()
        console.start_next()
        num_resets += console.picture is console.ale
        for _ in range(10):
            assert console.play(console.actions[3]) == peer.act(console.actions[3])
            assert np.array_equal(console.ale.getScreen(), peer.getScreen())
            assert np.array_equal(console.ale.getRAM(), peer.getRAM())
    assert 0 < num_resets < 6


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


@pytest.fixture
def nothing_kept(monkeypatch):
    monkeypatch.setattr(cartridges, "_kept", {})


def compare_taken(game, sticky):
    """Give an emulator back in the worst state, and compare its next start with a fresh one, frame by frame."""
    rng, protocol = np.random.default_rng(7), Protocol(sticky_probability=sticky)
    used = Console(game, protocol)
    loaded = used.ale.getRAM()
    used.power_on(0)  # its start is kept, where it is always the same
    used.power_on(1, ConsoleStage(difficulty=used.ale.getAvailableDifficulties()[-1]))
    play(used.ale, 90, rng)
    fill_memory(used.ale, rng)
    play(used.ale, 3, rng)
    ale = used.ale
    used.close()
    console = Console(game, protocol)
    assert console.ale is ale
    assert np.array_equal(ale.getRAM(), loaded)
    console.power_on(9)
    peer = fresh(game, sticky, 9)
    for frame in range(100):
        button = console.actions[rng.integers(len(console.actions))]
        assert console.play(button) == peer.act(button)
        assert np.array_equal(console.ale.getRAM(), peer.getRAM()), (game, frame)
        assert np.array_equal(console.ale.getScreen(), peer.getScreen()), (game, frame)
        assert (console.ale.lives(), console.ale.game_over()) == (peer.lives(), peer.game_over())
        if peer.game_over():
            break


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize(("game", "sticky"), [("breakout", 0.0), ("seaquest", 0.0), ("qbert", 0.0), ("pong", 0.25)])
def test_an_emulator_that_was_given_back_starts_as_a_fresh_one(game, sticky):
    compare_taken(game, sticky)


@pytest.mark.usefixtures("nothing_kept")
def test_a_start_is_kept_with_the_emulator_and_is_a_reset_for_the_next_console(monkeypatch):
    made = []
    monkeypatch.setattr(console_module, "Start", lambda ale: made.append(Start(ale)) or made[-1])
    for _ in range(2):
        compare_starts("breakout", num_starts=4, num_frames=30, longest=600, gives_back=True)
    assert len(made) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("sticky", [0.0, 0.25])
@pytest.mark.parametrize("game", rom_ids())
def test_every_emulator_that_was_given_back_starts_as_a_fresh_one(game, sticky):
    compare_taken(game, sticky)


@pytest.mark.usefixtures("nothing_kept")
def test_an_emulator_is_for_one_console_at_a_time_of_the_same_rules():
    first, second = (Console("pong", PROTOCOL) for _ in range(2))
    emulators = [first.ale, second.ale]
    for _ in range(2):  # closing again gives nothing back
        first.close()
        second.close()
    with pytest.raises(AttributeError):
        first.play(ale_py.Action.NOOP)
    others = [Console("pong", Protocol(sticky_probability=0.25)), Console("breakout", PROTOCOL)]
    assert not any(other.ale is one for other in others for one in emulators)
    again = [Console("pong", PROTOCOL) for _ in range(3)]
    assert {id(one) for one in emulators} < {id(console.ale) for console in again}
    assert len({id(console.ale) for console in again}) == 3


@pytest.mark.usefixtures("nothing_kept")
def test_few_idle_emulators_are_kept(monkeypatch):
    monkeypatch.setattr(cartridges, "_MOST_KEPT", 2)
    consoles = [Console("pong", PROTOCOL) for _ in range(3)]
    for console in consoles:
        console.close()
    assert sum(map(len, cartridges._kept.values())) == 1  # two were forgotten when the third came


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("look", [_random_play.__wrapped__, lambda game: first_moments.__wrapped__(game, PROTOCOL)])
def test_what_looks_at_a_game_for_a_moment_gives_its_emulator_back(look):
    look("pong")
    assert sum(map(len, cartridges._kept.values())) == 1
