"""The effect of encoder changes on what shipped agents do."""

import numpy as np
import pytest

from wsabench.errors import CheckpointError
from wsabench.evaluation import encoder_effect
from wsabench.evaluation.encoder_effect import measure_attention_capture, measure_encoder_effects
from wsabench.evaluation.own_play import collection as own_play
from wsabench.perturb import compile_perturbation
from wsabench.protocol import Protocol


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Few steps; what is kept between calls is forgotten."""
    monkeypatch.setattr(encoder_effect, "NUM_STEPS", 6)
    forget = encoder_effect._clean_play.cache_clear
    forget()
    yield
    forget()


def test_the_effect_is_half_the_summed_distance_of_the_distributions(monkeypatch):
    clean = encoder_effect._Play(np.zeros((2, 4, 84, 84), np.uint8), np.array([[0.5, 0.5], [1.0, 0.0]]))
    changed = np.array([[[0.5, 0.5], [0.25, 0.75]], [[0.0, 1.0], [1.0, 0.0]]])  # steps, lanes, actions
    monkeypatch.setattr(encoder_effect, "_policy", lambda *_: None)
    monkeypatch.setattr(encoder_effect, "_fits", lambda *_: True)
    monkeypatch.setattr(encoder_effect, "_clean_play", lambda *_: clean)
    monkeypatch.setattr(encoder_effect, "_distributions", lambda *_: changed)
    # First lane: 0 and 1, mean 0.5. Second: 0.25 and 0, mean 0.125.
    found = measure_encoder_effects("breakout", ["drop-sr", "zero-sr"], "wsa")
    assert found == {"drop-sr": 0.5, "zero-sr": 0.125}


def test_changes_of_encoders_change_what_the_agent_does():
    found = measure_encoder_effects("breakout", ["zero-all", "permute-encoders", "invert", "noise-encoders@1"], "wsa")
    assert list(found) == ["zero-all", "permute-encoders", "noise-encoders@1"]
    assert found["zero-all"] > found["noise-encoders@1"] > 0
    assert found["permute-encoders"] < 1e-2  # the agent treats its encoders as a set
    assert measure_encoder_effects("breakout", ["noise-encoders@1"], "wsa") == {
        "noise-encoders@1": pytest.approx(found["noise-encoders@1"], abs=1e-9)
    }


def test_agents_that_cannot_take_a_change_are_left_out():
    assert measure_encoder_effects("breakout", ["zero-all"], "e2e") == {}
    with pytest.raises(CheckpointError, match="tetris"):
        measure_encoder_effects("tetris", ["zero-all"], "wsa")


@pytest.fixture
def little_own_play(monkeypatch, tmp_path):
    """An own play of 6 steps each of eight episodes."""
    monkeypatch.setenv("WSABENCH_HOME", str(tmp_path))
    monkeypatch.setattr(own_play, "MIN_STEPS", 40)
    monkeypatch.setattr(Protocol, "evaluation", staticmethod(lambda: Protocol(max_frames=24)))
    yield tmp_path / "own-play"
    encoder_effect._own_play.cache_clear()


def test_captured_attention_is_the_weight_of_the_encoders_that_are_replaced(little_own_play):
    cells = ["zero-okk", "own-mean-okk", "swap-okk", "zero-all", "swap-two", "zero-context", "drop-okk", "invert"]
    found = measure_attention_capture("breakout", cells, "wsa")
    # No fused embedding is replaced by the others.
    assert list(found) == ["zero-okk", "own-mean-okk", "swap-okk", "zero-all", "swap-two"]
    assert len(list(little_own_play.iterdir())) == 1
    assert found["zero-all"] == (pytest.approx(1, abs=1e-5), pytest.approx(1, abs=1e-5))
    # The slow way: the agent alone, step by step, with and without zeros.
    policy, clean = encoder_effect._policy("wsa", "breakout", 0), encoder_effect._clean_play("wsa", "breakout", 0)
    column = policy.abilities.attends_to.index("okk")
    for operations, value in (((), found["zero-okk"].clean), (zeros("okk"), found["zero-okk"].changed)):
        weights = []
        for step, observation in enumerate(clean.observations):
            told = encoder_effect._batch([operations], np.array([step == 0]), [np.random.default_rng(0)], {})
            weights.append(policy.act(observation[None], told).attention[0, column])
        assert np.mean(weights) == pytest.approx(value, abs=1e-6)
    assert found["zero-okk"].clean == found["own-mean-okk"].clean == found["swap-okk"].clean
    assert found["zero-okk"].changed > found["zero-okk"].clean


def test_encoders_that_are_drawn_once_an_episode_are_drawn_often(monkeypatch):
    monkeypatch.setattr(encoder_effect, "NUM_STEPS", 40)
    encoders = ("sr", "oke", "okk", "vos")
    found = measure_encoder_effects("breakout", ["drop-one", *(f"drop-{name}" for name in encoders)], "wsa")
    each = [found[f"drop-{name}"] for name in encoders]
    assert min(each) < found["drop-one"] < max(each)
    assert all(abs(found["drop-one"] - one) > 1e-3 for one in each)
    lanes = [compile_perturbation(name, "breakout").encoder_operations for name in ("drop-one", "drop-sr", "clean")]
    assert [encoder_effect._draws_alone(lane) for lane in lanes] == [True, False, False]
    with_stale = compile_perturbation("drop-one+stale-encoders@1", "breakout").encoder_operations
    assert not encoder_effect._draws_alone(with_stale)


def zeros(name):
    return compile_perturbation(f"zero-{name}", "breakout").encoder_operations


@pytest.mark.usefixtures("little_own_play")
def test_changes_that_feed_own_play_have_an_effect():
    names = ["own-mean-all", "swap-all", "zero-all", "own-mean-attention", "uniform-attention"]
    found = measure_encoder_effects("breakout", names, "wsa")
    assert len(set(found.values())) == 5
    assert min(found.values()) > 0
    assert measure_attention_capture("breakout", ["own-mean-all"], "e2e") == {}
