"""Put an own policy on the bench: `python examples/own_policy.py`, under a minute on two cores."""

import numpy as np

import wsabench


def follow_brightness(observations: np.ndarray) -> np.ndarray:
    """Move the paddle to where the rows above it are brightest; observations are uint8 (N, 4, 84, 84)."""
    rows = observations[:, -1, 60:72, 8:76].astype(float).sum(axis=1)
    return np.where(rows.argmax(axis=1) > rows.shape[1] // 2, 2, 3)  # actions of Breakout: 2 right, 3 left


if __name__ == "__main__":
    run = wsabench.run(
        agents={"own": follow_brightness}, perturbations=["clean", "hue-rotate@3"], episodes=2, out="runs/own"
    )
    print(run.episodes[["agent", "perturbation", "severity", "episode", "return", "length", "end"]].to_string())
