"""Control channel, observation delay and console switches in a lane, against bare emulators and clean lanes."""

from __future__ import annotations

import ale_py
import numpy as np
import pytest
from ale_py import roms
from lane_oracle import bare_emulator

from wsabench.emulator import Lane
from wsabench.games import catalogue_games, load_game
from wsabench.perturb import compile_perturbation, list_perturbations
from wsabench.perturb.spec import Perturbation, PerturbationPart
from wsabench.protocol import Protocol
from wsabench.seeding import generator

pytestmark = pytest.mark.oracle

PLAIN = Protocol(noop_max=0, fire_on_life_loss=False, stall_steps=0)
SEED = 4


def of_kind(kind: str, **parameters) -> Perturbation:
    """Return a perturbation that the catalogue does not have."""
    return Perturbation((PerturbationPart("own", "dynamics", None, kind, tuple(sorted(parameters.items()))),))


def fresh(game: str, mode: int | None = None, difficulty: int | None = None) -> ale_py.ALEInterface:
    """Return an emulator after its reset, FIRE pressed where there is one, as the protocol wants.

    With another mode or difficulty it is newly loaded. What never had another is used again.
    """
    if mode is None and difficulty is None:
        ale = bare_emulator(game)
    else:
        ale = ale_py.ALEInterface()
        ale.setFloat("repeat_action_probability", 0.0)
        ale.loadROM(roms.get_rom_path(game))
    if mode is not None:
        ale.setMode(mode)
    if difficulty is not None:
        ale.setDifficulty(difficulty)
    ale.reset_game()
    if ale_py.Action.FIRE in ale.getMinimalActionSet():
        ale.act(ale_py.Action.FIRE)
    return ale


def same_as_clean(game: str, perturbation: Perturbation, num_steps: int = 150) -> None:
    """Check a perturbed lane against a clean one, to the bit and through its episodes' ends."""
    protocol = Protocol(max_frames=400, noop_max=5)
    clean, same = (Lane(compile_perturbation(p, game), protocol, seed=SEED) for p in ("clean", perturbation))
    clean.reset()
    same.reset()
    for action in np.random.default_rng(1).integers(clean.num_actions, size=num_steps).tolist():
        assert np.array_equal(clean.observation, same.observation)
        assert np.array_equal(clean.ram(), same.ram())
        assert (clean.reward, clean.lives, clean.end) == (same.reward, same.lives, same.end)
        for lane in (clean, same):
            lane.reset() if lane.end is not None else lane.step(action)


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("control.sticky", {"probability": 0.0}),
        ("control.random", {"probability": 0.0}),
        ("control.delay", {"steps": 0}),
        ("control.frame_skip", {"frames": 4}),
        ("control.frame_skip_jitter", {"probability": 0.0, "lowest": 1, "highest": 7}),
        ("control.frame_skip_jitter", {"probability": 1.0, "lowest": 4, "highest": 4}),
        ("control.noop_bursts", {"probability": 0.0, "steps": 5}),
        ("observation.delay", {"steps": 0}),
    ],
)
def test_identity_parameters_equal_clean_to_the_bit(kind, parameters):
    same_as_clean("breakout", of_kind(kind, **parameters))


def expected_frames(name: str, actions: list[int], num_actions: int) -> list[list[int]]:
    """Return what the console should get, by the definitions; the generator is the lane's of the first place."""
    draws = generator(SEED, "perturbation", 0, 0)
    executed, frames = 0, []
    for step, action in enumerate(actions):
        if name == "sticky-actions@2":
            sent = []
            for _ in range(4):
                executed = executed if draws.random() < 0.25 else action
                sent.append(executed)
        elif name == "random-actions@5":
            is_random, other = draws.random() < 0.5, int(draws.integers(num_actions))
            sent = [other if is_random else action] * 4
        elif name == "action-delay@3":
            sent = [actions[step - 3] if step >= 3 else 0] * 4
        elif name == "frame-skip@5":
            sent = [action] * 12
        elif name == "frame-skip-jitter@5":
            draws.random()
            sent = [action] * int(draws.integers(1, 8))
        else:
            raise AssertionError(name)
        frames.append(sent)
    return frames


@pytest.mark.parametrize(
    "name", ["sticky-actions@2", "random-actions@5", "action-delay@3", "frame-skip@5", "frame-skip-jitter@5"]
)
@pytest.mark.parametrize("game", ["breakout", "seaquest"])
def test_the_console_gets_what_the_channel_sends(game, name):
    lane = Lane(compile_perturbation(name, game), PLAIN, seed=SEED)
    lane.reset()
    ale = fresh(game)
    buttons = ale.getMinimalActionSet()
    actions = np.random.default_rng(2).integers(lane.num_actions, size=60).tolist()
    num_frames = 0
    for action, frames in zip(actions, expected_frames(name, actions, lane.num_actions), strict=True):
        lane.step(action)
        for index in frames:
            ale.act(buttons[index])
        num_frames += len(frames)
        assert np.array_equal(lane.ram(), ale.getRAM()), name
        assert np.array_equal(lane.screen(), ale.getScreen()), name
        assert lane.num_frames == num_frames


def test_parts_of_a_composition_act_in_the_written_order():
    actions = [2, 3] * 20
    late_then_long = Lane(compile_perturbation("action-delay@1+frame-skip@1", "breakout"), PLAIN, seed=SEED)
    late_then_long.reset()
    ale = fresh("breakout")
    buttons = ale.getMinimalActionSet()
    for action, delayed in zip(actions, [0, *actions], strict=False):
        late_then_long.step(action)
        for _ in range(5):
            ale.act(buttons[delayed])
        assert np.array_equal(late_then_long.ram(), ale.getRAM())
    # Sticking before the skip draws for 4 frames, after it for 5: another stream of chances, another game.
    games = []
    for name in ("sticky-actions@5+frame-skip@1", "frame-skip@1+sticky-actions@5"):
        lane = Lane(compile_perturbation(name, "breakout"), PLAIN, seed=SEED)
        lane.reset()
        for action in actions:
            lane.step(action)
        games.append(lane.ram())
    assert not np.array_equal(*games)


@pytest.mark.parametrize("steps", [1, 3, 5])
def test_a_delayed_observation_is_the_clean_one_of_some_steps_ago(steps):
    clean, late = (
        Lane(compile_perturbation(name, "seaquest"), PLAIN, seed=SEED)
        for name in ("clean", f"observation-delay@{steps}")
    )
    clean.reset()
    late.reset()
    seen = [clean.observation[-1].copy()]
    for action in np.random.default_rng(3).integers(clean.num_actions, size=40).tolist():
        clean.step(action)
        late.step(action)
        seen.append(clean.observation[-1].copy())
        assert np.array_equal(late.observation[-1], seen[max(0, len(seen) - 1 - steps)])
        assert np.array_equal(clean.ram(), late.ram())
        assert np.array_equal(clean.render(), late.render())  # a person sees the screen in time
        assert (clean.reward, clean.lives) == (late.reward, late.lives)


def test_what_the_bench_presses_takes_no_channel():
    # FIRE after a life loss brings the ball into play although every choice of the agent arrives as NOOP.
    lane = Lane(
        compile_perturbation(of_kind("control.noop_bursts", probability=1.0, steps=5), "breakout"),
        Protocol(noop_max=0, stall_steps=0),
        seed=SEED,
    )
    lane.reset()
    for _ in range(300):
        lane.step(2)
        if lane.life_lost:
            break
    assert lane.life_lost
    assert lane.ram()[101] == 0  # no ball
    lane.step(2)
    assert lane.ram()[101] != 0


@pytest.mark.parametrize("game", ["pong", "ms_pacman"])
def test_every_change_of_the_control_channel_reaches_the_game_at_its_strongest(game):
    names = [f"{e.name}@5" for e in list_perturbations("dynamics") if e.kind.startswith("control.")]
    assert len(names) == 6
    clean = Lane(compile_perturbation("clean", game), PLAIN, seed=SEED)
    actions = np.random.default_rng(5).integers(clean.num_actions, size=80).tolist()
    observations = {}
    for name in ["clean", *names]:
        clean.set_perturbation(compile_perturbation(name, game))
        clean.reset(SEED)
        for action in actions:
            clean.step(action)
        observations[name] = clean.observation.copy()
    for name in names:
        assert not np.array_equal(observations[name], observations["clean"]), name


def flavours(game: str) -> list[tuple[int | None, int | None]]:
    """Return all flavours but the default; None: the switch is left alone."""
    record = load_game(game)
    modes = [None, *record.modes[1:]]
    difficulties = [None, *record.difficulties[1:]]
    return [(m, d) for m in modes for d in difficulties if (m, d) != (None, None)]


def play_flavours(game: str, chosen: list[tuple[int | None, int | None]], num_frames: int) -> None:
    """Compare one lane, in which flavours follow each other, with freshly loaded emulators, frame by frame."""
    lane = Lane(compile_perturbation("clean", game), PLAIN.with_changes(frame_skip=1), seed=SEED)
    lane.reset()
    actions = np.random.default_rng(6).integers(lane.num_actions, size=num_frames).tolist()
    for mode, difficulty in [*chosen, (None, None)]:
        parts = [f"mode-{mode}"] * (mode is not None) + [f"difficulty-{difficulty}"] * (difficulty is not None)
        lane.set_perturbation(compile_perturbation("+".join(parts) or "clean", game))
        lane.reset(SEED)
        ale = fresh(game, mode, difficulty)
        buttons = ale.getMinimalActionSet()
        for action in actions:
            assert np.array_equal(lane.ram(), ale.getRAM()), (game, mode, difficulty)
            assert np.array_equal(lane.screen(), ale.getScreen()), (game, mode, difficulty)
            lane.step(action)
            ale.act(buttons[action])


@pytest.mark.parametrize("game", catalogue_games())
def test_modes_and_difficulties_equal_a_freshly_loaded_emulator_and_clean_comes_back(game):
    every = flavours(game)
    play_flavours(game, [every[0], every[-1]] if len(every) > 1 else every, num_frames=40)


@pytest.mark.slow
@pytest.mark.parametrize("game", catalogue_games())
def test_all_flavours_equal_a_freshly_loaded_emulator(game):
    play_flavours(game, flavours(game), num_frames=120)


def test_the_flavours_are_those_that_were_tried():
    assert sum(1 + len(flavours(game)) for game in catalogue_games()) == 162  # ale_flavours.csv, all combinations


def test_the_next_game_starts_in_the_same_mode():
    lane = Lane(compile_perturbation("mode-4", "breakout"), PLAIN.with_changes(max_frames=100), seed=SEED)
    lane.reset()
    ale = fresh("breakout", mode=4)
    while lane.end is None:
        lane.step(0)
        for _ in range(4):
            ale.act(ale_py.Action.NOOP)
    lane.reset()
    ale.reset_game()  # keeps the switches
    ale.act(ale_py.Action.FIRE)
    assert np.array_equal(lane.ram(), ale.getRAM())
    lane.set_perturbation(compile_perturbation("clean", "breakout"))
    lane.reset(SEED)
    assert np.array_equal(lane.ram(), fresh("breakout").getRAM())
    assert not np.array_equal(lane.ram(), fresh("breakout", mode=4).getRAM())
