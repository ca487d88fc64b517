"""The effect of encoder changes on what shipped agents do."""

import numpy as np
import pytest

from wsabench.errors import CheckpointError
from wsabench.evaluation import encoder_effect
from wsabench.evaluation.encoder_effect import measure_encoder_effects


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Few steps; what is kept between calls is forgotten."""
    monkeypatch.setattr(encoder_effect, "NUM_STEPS", 12)
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
    with pytest.raises(CheckpointError, match="pong"):
        measure_encoder_effects("pong", ["zero-all"], "wsa")
