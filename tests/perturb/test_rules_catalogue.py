"""All rules of the catalogue: parsed, compiled, and compared with the slow interpreter."""

import ale_py
import numpy as np
import pytest
from naive_rules import NaiveRule, SplitMix64, assert_same, stream_seed

from wsabench.emulator import Lane
from wsabench.emulator.rom_files import rom_path
from wsabench.games import catalogue_games, load_game
from wsabench.perturb import compile_perturbation
from wsabench.perturb.rules import RamPatchStage, canonical_text, compile_rule, parse_rule, patch_rule
from wsabench.protocol import Protocol

pytestmark = pytest.mark.oracle

NUM_FRAMES = 300
"""Beyond the last `at frame` and the latest `if frame >` of the catalogue."""


def game_like_changes(seed):
    """Small moves of a few bytes, and now and then a new picture."""
    rng = np.random.default_rng(seed)
    ram = rng.integers(0, 256, 128)
    start = ram.tolist()
    changes = []
    for frame in range(NUM_FRAMES):
        size = 128 if frame % 60 == 59 else 10
        addresses = rng.permutation(128)[:size]
        ram[addresses] = (ram[addresses] + rng.integers(-6, 7, size)) % 256 if size < 128 else rng.integers(0, 256, 128)
        changes.append(list(zip(addresses.tolist(), ram[addresses].tolist(), strict=True)))
    return start, changes


@pytest.mark.parametrize("game", catalogue_games())
def test_every_patch_does_what_its_tree_says(game):
    record = load_game(game)
    start, changes = game_like_changes(7)
    for name in record.patches:
        rule = patch_rule(record, name)
        assert parse_rule(canonical_text(rule), {}) == rule
        assert_same(rule, start, changes, seed=3)


def test_splitmix64_has_its_published_numbers():
    # The first outputs for seed 1234567, as listed with the reference implementation.
    stream = SplitMix64(1234567)
    assert [stream.draw() for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@pytest.mark.parametrize(
    ("game", "patch"), [("pong", "slow_ball"), ("space_invaders", "fast_aliens"), ("freeway", "strobo_mode")]
)
def test_in_the_emulator_a_patch_does_what_its_tree_says(game, patch):
    rule = patch_rule(load_game(game), patch)
    consoles = [ale_py.ALEInterface() for _ in range(2)]
    for console in consoles:
        console.setInt("random_seed", 5)
        console.setFloat("repeat_action_probability", 0.0)
        console.loadROM(rom_path(game))
        console.reset_game()
    state = RamPatchStage(compile_rule(rule)).start_ram(np.random.default_rng(2), consoles[0])
    naive = NaiveRule(rule, consoles[1].getRAM().tolist(), stream_seed(2))
    actions = consoles[0].getMinimalActionSet()
    num_changes = 0
    for choice in np.random.default_rng(0).integers(len(actions), size=400).tolist():
        before = consoles[1].getRAM().tolist()
        ram = list(before)
        naive.before_frame(ram)
        for address, value in enumerate(ram):
            consoles[1].setRAM(address, value)
        num_changes += ram != before
        state.apply(consoles[0])
        rewards = [console.act(actions[choice]) for console in consoles]
        assert rewards[0] == rewards[1]
        assert np.array_equal(consoles[0].getRAM(), consoles[1].getRAM())
    assert np.array_equal(consoles[0].getScreen(), consoles[1].getScreen())
    assert num_changes >= 5


def test_in_a_lane_frames_count_from_the_reset_and_a_seed_gives_the_same_game():
    # Freeway's car colours (77..86) are drawn anew every 30 frames, counted from the reset, no-ops included.
    colors = slice(77, 87)
    lane = Lane(compile_perturbation("blinking-mode", "freeway"), Protocol(noop_max=0, fire_on_reset=False), seed=4)
    games = []
    for _ in range(2):
        lane.reset(4)
        seen = []
        for _ in range(30):
            lane.step(0)
            seen.append(lane.ram()[colors].tolist())
        games.append(seen)
    first = games[0]
    assert games[1] == first
    # Frames 0, 30, 60, 90 lie in steps 0, 7, 15, 22.
    changed = [step for step in range(1, 30) if first[step] != first[step - 1]]
    assert changed == [7, 15, 22]
    lane.reset(5)
    lane.step(0)
    assert lane.ram()[colors].tolist() != first[0]
