"""Put an own policy on the bench beside random play: `python examples/own_policy.py [EPISODES [SEED]]`."""

import sys

import numpy as np

import wsabench
from wsabench.stats import MeanOfEpisodes, difference_of_means

STAY, FIRE, RIGHT, LEFT = range(4)  # the actions of Breakout


def middle(lit):
    """Return the mean column of what is lit in pictures (N, rows, columns)."""
    return lit.sum(axis=1) @ np.arange(lit.shape[2]) / np.maximum(lit.sum(axis=(1, 2)), 1)


def policy(observations):
    """Move the paddle to where the ball will be; observations are uint8 (N, 4, 84, 84), newest frame last."""
    lit = observations[:, :, :, 5:79] > 40  # between the walls
    before, now, paddle = lit[:, -2, 38:75], lit[:, -1, 38:75], lit[:, -1, 75:77]
    away = 2 * middle(now) - middle(before) - middle(paddle)
    move = np.where(abs(away) <= 2, STAY, np.where(away > 0, RIGHT, LEFT))
    return np.where(now.any(axis=(1, 2)), move, FIRE)  # no ball: serve


def summarised(returns):
    """Return mean, spread and number of an agent's returns."""
    return MeanOfEpisodes(returns.mean(), returns.std(), len(returns))


if __name__ == "__main__":
    run = wsabench.run(
        agents={"own": policy, "random": "random"},
        games=["breakout"],
        perturbations=["clean", "hue-rotate@3"],
        episodes=int(sys.argv[1]) if len(sys.argv) > 1 else 3,
        seed=int(sys.argv[2]) if len(sys.argv) > 2 else 0,
        out=f"runs/own-{'-'.join(sys.argv[1:]) or 'short'}",
    )
    for (perturbation, severity), rows in run.episodes.groupby(["perturbation", "severity"], dropna=False):
        cell = perturbation if rows["severity"].isna().all() else f"{perturbation}@{severity:.0f}"
        own, chance = (summarised(rows[rows["agent"] == name]["return"]) for name in ("own", "random"))
        low, high = difference_of_means(own, chance)
        print(
            f"{cell}: own {own.mean:.1f}, random {chance.mean:.1f}, {own.episodes} episodes each; "
            f"own minus random, 95% interval [{low:.1f}, {high:.1f}]"
        )
