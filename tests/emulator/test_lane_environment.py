"""The single environment as a gymnasium citizen."""

import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from wsabench.emulator import action_meanings, make, register_envs
from wsabench.emulator.registration import environment_id
from wsabench.errors import SpecError, UnknownNameError
from wsabench.games import rom_ids
from wsabench.protocol import Protocol


@pytest.mark.parametrize("game", ["breakout", "pong"])
def test_passes_check_env(game):
    register_envs()
    env = gymnasium.make(environment_id(game), perturbation="hue-rotate@3", render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)


def test_registered_for_every_single_player_game():
    register_envs()
    register_envs()
    assert environment_id("ms_pacman") == "wsabench/MsPacman-v0"
    assert sum(name.startswith("wsabench/") for name in gymnasium.registry) == len(rom_ids()) == 104


def test_made_by_gymnasium_equals_made_directly():
    register_envs()
    ours = make("breakout", "hue-rotate@3")
    theirs = gymnasium.make("wsabench/Breakout-v0", perturbation="hue-rotate@3")
    assert np.array_equal(ours.reset(seed=4)[0], theirs.reset(seed=4)[0])
    for action in (0, 2, 2, 3, 1):
        assert np.array_equal(ours.step(action)[0], theirs.step(action)[0])


def test_a_vector_of_them_is_made_by_gymnasium():
    register_envs()
    mode = gymnasium.VectorizeMode.VECTOR_ENTRY_POINT
    env = gymnasium.make_vec("wsabench/Pong-v0", 2, mode, perturbations=["clean", "invert"])
    observations, _ = env.reset(seed=1)
    assert observations.shape == (2, 4, 84, 84)
    env.close()


def test_registering_loads_neither_torch_nor_an_emulator():
    code = (
        "import sys; from wsabench.emulator.registration import register_envs; register_envs(); "
        "print([name for name in ('torch', 'ale_py', 'cv2') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_perturbation_can_change_at_a_reset():
    env = make("breakout", seed=0, protocol=Protocol(noop_max=0))
    clean, _ = env.reset(seed=3)
    inverted, _ = env.reset(seed=3, options={"perturbation": "invert"})
    assert np.array_equal(inverted[-1] > 0, clean[-1] < 255)
    assert env.lane.perturbation.name == "invert"


def test_observations_are_copies():
    env = make("pong", seed=0)
    first, _ = env.reset()
    kept = first.copy()
    env.step(0)
    assert np.array_equal(first, kept)


def test_misuse_is_refused():
    env = make("breakout", protocol=Protocol(max_frames=4))
    with pytest.raises(SpecError, match=r"There is no running episode. Call reset"):
        env.step(0)
    env.reset()
    with pytest.raises(SpecError, match=r"actions are 4 in breakout. Allowed: 0 to 3."):
        env.step(4)
    assert env.step(0)[3]
    with pytest.raises(SpecError, match=r"There is no running episode"):
        env.step(0)
    with pytest.raises(SpecError, match=r"episode seed is -1. Allowed: integers from 0"):
        env.reset(seed=-1)
    with pytest.raises(UnknownNameError, match=r"Unknown reset option 'perturbations'. Did you mean 'perturbation'"):
        env.reset(options={"perturbations": "clean"})
    with pytest.raises(UnknownNameError, match=r"Unknown render mode 'human'. .*rgb_array"):
        make("breakout", render_mode="human")


def test_action_meanings_follow_the_protocol():
    assert action_meanings("breakout") == ("NOOP", "FIRE", "RIGHT", "LEFT")
    assert len(action_meanings("breakout", Protocol(full_action_space=True))) == 18
    assert make("breakout").get_action_meanings() == ["NOOP", "FIRE", "RIGHT", "LEFT"]


def test_a_refused_reset_leaves_the_environment_as_it_was():
    env = make("breakout", "gaussian-noise@5", seed=0)
    twin = make("breakout", "gaussian-noise@5", seed=0)
    env.reset(seed=3)
    twin.reset(seed=3)
    draws = env.unwrapped.np_random.bit_generator.state
    for options in ({"perturbation": "invert", "typo": 1}, {"perturbation": "inverted"}):
        with pytest.raises(UnknownNameError):
            env.reset(seed=4, options=options)
    assert env.unwrapped.np_random.bit_generator.state == draws
    assert env.lane.perturbation.name == "gaussian-noise@5"
    for action in (0, 2, 3):
        assert np.array_equal(env.step(action)[0], twin.step(action)[0])


def test_a_perturbation_that_cannot_start_leaves_no_running_episode(monkeypatch):
    env = make("breakout", "gaussian-noise@5", seed=0)
    env.reset(seed=3)

    def fail(self, *_):
        raise SpecError("it cannot start")

    monkeypatch.setattr(type(env.lane.perturbation.images[0].stage), "start_image", fail)
    with pytest.raises(SpecError, match="it cannot start"):
        env.reset(seed=4)
    with pytest.raises(SpecError, match="no running episode"):
        env.step(0)


def test_a_new_perturbation_after_a_lost_life_starts_a_game_with_it():
    env = make("breakout", "clean", seed=0, protocol=Protocol.training())
    env.reset(seed=3)
    while not env.step(1)[2]:
        pass
    assert not env.lane.game_over
    _, infos = env.reset(options={"perturbation": "gaussian-noise@5"})
    assert infos["episode_length"] == 0
    frames = [env.step(0)[0][-1] for _ in range(3)]
    assert all(len(np.unique(frame)) > 100 for frame in frames), "noise was not there"


@pytest.mark.parametrize("names", [("clean", "mode-4"), ("mode-4", "clean"), ("mode-4", "mode-12+difficulty-1")])
def test_switches_of_the_console_take_effect_at_a_reset_without_a_seed(names):
    before, after = names
    env = make("breakout", before, seed=0)
    env.reset(seed=3)
    first = _switches(env)
    env.reset(options={"perturbation": after})
    fresh = make("breakout", after, seed=0)
    fresh.reset(seed=3)
    assert _switches(env) == _switches(fresh) != first
    env.reset()
    assert _switches(env) == _switches(fresh)


def _switches(env) -> tuple[int, int]:
    """Return the mode and the difficulty that the emulator plays."""
    state = env.lane.console.ale.cloneState()
    return state.getCurrentMode(), state.getDifficulty()
