"""Rules at work: when they run, what they read and write, and their random numbers."""

import dataclasses

import numpy as np
import pytest
from naive_rules import FakeConsole

from wsabench.errors import SpecError
from wsabench.games import load_game
from wsabench.perturb.kinds import KINDS
from wsabench.perturb.rules import RamPatchStage, compile_rule, parse_rule


def start(text, ram=None, seed=0):
    console = FakeConsole(np.zeros(128) if ram is None else ram)
    stage = RamPatchStage(compile_rule(parse_rule(text, {})))
    return stage.start_ram(np.random.default_rng(seed), console), console


def play(state, console, num_frames):
    for _ in range(num_frames):
        state.apply(console)


def test_only_changed_bytes_are_written():
    state, console = start("ram[0..9] = 7", np.array([7] * 9 + [0] * 119))
    play(state, console, 3)
    assert console.writes == [(9, 7)]


def test_frames_in_which_nothing_can_run_cost_no_reading():
    state, console = start("ram[1] += 1 every 4 frames; ram[2] = 1 every 6 frames; ram[3] = 1 at frame 3")
    console.num_reads = 0
    play(state, console, 12)
    # Frames 0, 4, 6, 8 and 3; the period of 4 and 6 together is 2, which adds 2 and 10.
    assert console.num_reads == 7
    assert console.ram[:4].tolist() == [0, 3, 1, 1]


def test_previous_is_what_was_right_after_the_rule_ran_a_frame_earlier():
    state, console = start("ram[1] = prev[2] every 2 frames; ram[2] += 1 every 2 frames")
    console.ram[2] = 50  # moved after the reset and before the first frame: prev is the reset
    seen = []
    for frame in range(5):
        state.apply(console)
        seen.append(console.ram[1:3].tolist())
        console.ram[2] = 10 * frame
    # Frame 2: after frame 1 (nothing ran) byte 2 was 0; frame 4: after frame 3 it was 20.
    assert seen == [[0, 51], [0, 0], [0, 11], [0, 20], [20, 31]]


def test_two_rules_have_a_previous_each():
    console = FakeConsole(np.zeros(128))
    states = [
        RamPatchStage(compile_rule(parse_rule(text, {}))).start_ram(np.random.default_rng(0), console)
        for text in ("ram[5] += 1; ram[6] = prev[5]", "ram[5] += 10; ram[7] = prev[5]")
    ]
    for _ in range(2):
        for state in states:
            state.apply(console)
    # Byte 5: 1, 11, 12, 22. Each rule remembers it as it left it.
    assert console.ram[5:8].tolist() == [22, 1, 11]


def test_reset_is_the_memory_at_the_start():
    state, console = start("ram[0..2] = reset[i] if frame > 1", [5, 6, 7] + [0] * 125)
    console.ram[:3] = 0
    play(state, console, 2)
    assert console.ram[:3].tolist() == [0, 0, 0]
    play(state, console, 1)
    assert console.ram[:3].tolist() == [5, 6, 7]


@pytest.mark.parametrize(
    ("expression", "value"),
    [("-7 // 2", 252), ("-7 % 3", 2), ("7 % -3", 254), ("-1", 255), ("300", 44), ("-1 >> 1", 255), ("~0 & 15", 15)],
)
def test_numbers_are_exact_and_stored_modulo_256(expression, value):
    state, console = start(f"ram[1] = {expression}")
    play(state, console, 1)
    assert console.ram[1] == value


def test_random_numbers_are_even_and_reach_both_ends():
    state, console = start("ram[1..100] = rand(3, 12)", seed=1)
    counts = np.zeros(256, int)
    for _ in range(100):
        play(state, console, 1)
        counts += np.bincount(console.ram[1:101], minlength=256)
    assert counts[3:13].sum() == 10_000
    # 1,000 expected in each of 10 bins: chi-square with 9 degrees of freedom, below its 99.9 % quantile 27.9.
    assert ((counts[3:13] - 1000) ** 2 / 1000).sum() < 27.9


def test_each_lane_has_its_own_stream():
    def drawn(seed):
        state, console = start("ram[1..9] = rand(0, 255)", seed=seed)
        play(state, console, 2)
        return console.ram[1:10].tolist()

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_the_kind_builds_confirmed_patches_and_its_content_is_the_rule():
    kind, pong = KINDS["ram.patch"], load_game("pong")
    assert isinstance(kind.build(pong, patch="lazy_enemy"), RamPatchStage)
    assert kind.content(pong, patch="frozen_enemy") == "ram[21] = 127"
    patch = dataclasses.replace(pong.patches["lazy_enemy"], is_verified=False)
    doubtful = dataclasses.replace(pong, patches={"lazy_enemy": patch})
    with pytest.raises(SpecError, match="the patch 'lazy_enemy' was not confirmed"):
        kind.build(doubtful, patch="lazy_enemy")
    assert kind.parameters["patch"].is_valid("lazy_enemy")
    assert not kind.parameters["patch"].is_valid("")
