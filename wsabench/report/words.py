"""How a recorded episode is put in words, the same in films and figures."""

from __future__ import annotations

from wsabench.evaluation.recording import Recording

_ENDS = {"game_over": "game over", "time_limit": "time limit", "stalled": "stalled", None: "cut here"}


def recording_title(recording: Recording) -> str:
    """Return who plays what: `wsa (train seed 0), breakout, hue-rotate@3`."""
    return f"{recording.agent} (train seed {recording.train_seed}), {recording.game}, {recording.perturbation}"


def end_text(recording: Recording) -> str:
    """Return how the episode ended."""
    return _ENDS[recording.end]


def context_text(recording: Recording) -> str:
    """Return what the context did to the weights in the episode; empty without a context."""
    shares = recording.context_shares()
    if not shares:
        return ""
    static, variance = ("undefined" if share is None else f"{share:.2f}" for share in shares.values())
    return f"Context: share of static steps {static}, of the weights' variance {variance}"
