"""Result sets in memory, made from given returns."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
from result_fixture import agent_entry, made_manifest

from wsabench.results.manifest import ReferenceScores
from wsabench.summary.rows import frame_of

TEN = ReferenceScores(random=0.0, human=10.0)


def result(returns, *, attention=None, **changes):
    """Build a result set in memory; `returns` maps (agent, train seed, game, cell name, severity) to returns."""
    rows = []
    for (agent, seed, game, name, severity), values in returns.items():
        for episode, value in enumerate(values):
            rows.append(
                {
                    "agent": agent,
                    "train_seed": seed,
                    "game": game,
                    "family": "clean" if name == "clean" else "color",
                    "perturbation": name,
                    "severity": pd.NA if severity is None else severity,
                    "episode_seed": 100 + episode,
                    "episode": episode,
                    "return": float(value),
                    "length": 10,
                    "end": "game_over",
                    "fingerprint": "f",
                }
            )
    columns = ["agent", "train_seed", "game", "family", "perturbation", "severity", "episode_seed", "return", "end"]
    episodes = pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)
    games = sorted({key[2] for key in returns})
    manifest = made_manifest(**{"reference_scores": dict.fromkeys(games, TEN), **changes})
    episodes["severity"] = episodes["severity"].astype("Int64")
    return SimpleNamespace(
        episodes=episodes, attention=pd.DataFrame() if attention is None else attention, manifest=manifest
    )


def run(levels, *, num_seeds=5, games=("g",), perturbed=("hue-rotate", "value"), seed=0, **changes):
    """Build a result set: clean returns near 8, perturbed ones near `levels[agent]`, a little noise a train seed."""
    rng = np.random.default_rng(seed)
    cells = {}
    for agent, level in levels.items():
        for train_seed in range(num_seeds):
            for game in games:
                cells[agent, train_seed, game, "clean", None] = [8.0 + 0.1 * rng.normal()] * 2
                for name in perturbed:
                    for severity in (1, 3):
                        cells[agent, train_seed, game, name, severity] = [level + 0.1 * rng.normal()] * 2
    return result(cells, **{"agents": tuple(agent_entry(agent) for agent in levels), **changes})


def row(rows, **values):
    """Return the only row with these values."""
    (one,) = [row for row in rows if all(getattr(row, name) == value for name, value in values.items())]
    return one


def said(summary):
    """Return the texts of a summary's sentences."""
    return tuple(sentence.text for sentence in summary.sentences)


def same(first, second):
    """Fail where two tables of a summary differ; what is undefined in both is the same."""
    pd.testing.assert_frame_equal(frame_of(first), frame_of(second))
