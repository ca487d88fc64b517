"""Result sets in memory, made from given returns."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
from result_fixture import agent_entry, made_manifest

from wsabench.results.manifest import ReferenceScores
from wsabench.summary.rows import frame_of

TEN = ReferenceScores(random=0.0, human=10.0)


def result(returns, *, attention=None, families=None, **changes):
    """Build a result set in memory; `returns` maps (agent, train seed, game, cell name, severity) to returns.

    `families` maps names of perturbations to their families, `color` by default.
    """
    rows = []
    for (agent, seed, game, name, severity), values in returns.items():
        for episode, value in enumerate(values):
            rows.append(
                {
                    "agent": agent,
                    "train_seed": seed,
                    "game": game,
                    "family": "clean" if name == "clean" else (families or {}).get(name, "color"),
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
        has_ledger=True,
        episodes=episodes,
        attention=pd.DataFrame() if attention is None else attention,
        manifest=manifest,
    )


def of_perturbed(claims):
    """Return the claims that are not about clean play of two agents."""
    return [claim for claim in claims if claim.scope != "clean"]


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


CROWD_FAMILIES = {
    "hue-rotate": "color",
    "value": "color",
    "noise": "corruption",
    "blur": "corruption",
    "late": "dynamics",
}


def crowd(num_agents, num_games, num_seeds=5, num_episodes=6, seed=0, **changes):
    """Build a result set of many agents of different strength, whose robustness hangs on their clean score and luck.

    The changes of `late` are not measured, those of the others are, out of the order of severities.
    """
    rng = np.random.default_rng(seed)
    cells = {}
    games = [f"game-{place}" for place in range(num_games)]
    kept = {"hue-rotate": (0.9, 0.5, 0.7), "value": (0.8, 0.6, 0.5), "noise": (0.9, 0.4, 0.2), "blur": (0.7, 0.5, 0.4)}
    kept["late"] = (0.8, 0.7, 0.6)
    for agent in range(num_agents):
        strength, luck = 0.4 + 0.1 * agent, 0.1 * rng.normal()
        for game in range(num_games):
            for train_seed in range(num_seeds):
                network = strength * (1.0 + 0.1 * game) + 0.08 * rng.normal()
                key = (f"agent-{agent}", train_seed, games[game])
                noise = 0.2 * rng.normal(size=(1 + 3 * len(kept), num_episodes))
                cells[*key, "clean", None] = 10.0 * (network + noise[0])
                for place, (name, shares) in enumerate(kept.items()):
                    for severity, share in enumerate(shares):
                        level = network * np.clip(share + luck, 0.0, 1.2) + 0.05 * rng.normal()
                        cells[*key, name, severity + 1] = 10.0 * (level + noise[1 + 3 * place + severity])
    doses = {
        "hue-rotate": (8.0, 30.0, 12.0),
        "value": (5.0, 10.0, 20.0),
        "noise": (3.0, 9.0, 27.0),
        "blur": (2.0, 4.0, 5.0),
    }
    effects = {
        game: {f"{name}@{k}": (1.0 + 0.3 * place) * dose for name, of in doses.items() for k, dose in enumerate(of, 1)}
        for place, game in enumerate(games)
    }
    agents = tuple(
        agent_entry(f"agent-{agent}", s, game)
        for agent in range(num_agents)
        for game in games
        for s in range(num_seeds)
    )
    made = {"families": CROWD_FAMILIES, "effects": effects, "agents": agents, "games": tuple(games)}
    return result(cells, **made | changes)


def row(rows, **values):
    """Return the only row with these values."""
    (one,) = [row for row in rows if all(getattr(row, name) == value for name, value in values.items())]
    return one


def said(summary):
    """Return the texts of a summary's sentences."""
    return tuple(sentence.text for sentence in summary.sentences)


def same(first, second):
    """Fail where two tables of a summary differ; what is undefined in both is the same."""
    pd.testing.assert_frame_equal(frame_of(first), frame_of(second), check_exact=True)
