"""Bias and coverage of the statistics across groups, agents and games, by simulation: tables of docs/statistics.md.

Run: python benchmarks/across_coverage.py (one core, some minutes), or with --data-sets 100 for a first look.

Worst group: 6 groups, 10 episodes with sd 1, a train seed shifts all its groups by a normal draw of sd 0.3 and each
group by one of sd `group sd`; coverage is that of the lowest group over countless train seeds. Effective robustness:
agents with clean scores evenly drawn from 0.3 to 2 lie around the line 0.1 + 0.5 clean with sd 0.1, checkpoints around
them with sd 0.1; the agent in question lies 0.3 above. Rank correlation: a bivariate normal of correlation rho. New
game: normal or exponential values of games with sd 1, noise as given.
"""

from __future__ import annotations

import argparse

import numpy as np

from wsabench import stats
from wsabench.seeding import generator

REPETITIONS = 400


def worst_group(means: list[float], group_sd: float, num_seeds: int, data_sets: int) -> str:
    """Return the lowest group of the checkpoints, its two estimates, the split one's error, and coverage."""
    rng = generator(0, "worst group", *(str(part) for part in (*means, group_sd, num_seeds)))
    rows, shape = [], (num_seeds, len(means))
    for _ in range(data_sets):
        true = np.array(means) + rng.normal(0, 0.3, (num_seeds, 1)) + rng.normal(0, group_sd, shape)
        found = stats.worst_group([true[..., None] + rng.normal(size=(*shape, 10))], rng, repetitions=REPETITIONS)
        held = found.low <= min(means) <= found.high
        rows.append([true.mean(axis=0).min(), found.value, found.naive, 100 * held])
    lowest, split, naive, held = np.mean(rows, axis=0)
    error = np.std(np.array(rows)[:, 1] - np.array(rows)[:, 0]) / np.sqrt(data_sets)
    return f"{lowest:.3f} | {split:.3f} | {naive:.3f} | {error:.3f} | {held:.1f}"


def effective(num_agents: int, num_seeds: int, data_sets: int) -> str:
    """Return bias and standard deviation of the residual, and coverage of its interval."""
    rng = generator(0, "effective", num_agents, num_seeds)
    rows = []
    for _ in range(data_sets):
        clean = rng.uniform(0.3, 2.0, num_agents)
        above = np.where(np.arange(num_agents) == 0, 0.3, rng.normal(0.0, 0.1, num_agents))
        means = np.stack([clean, 0.1 + 0.5 * clean + above], axis=-1)
        points = means[:, None] + rng.normal(0.0, 0.1, (num_agents, num_seeds, 2))
        agents = {str(i): array for i, array in enumerate(points)}
        found = stats.effective_robustness(agents, rng, repetitions=REPETITIONS)
        rows.append([found.value[0] - 0.3, found.low[0] <= 0.3 <= found.high[0]])
    return f"{np.mean(rows, axis=0)[0]:+.3f} | {np.std(rows, axis=0)[0]:.3f} | {100 * np.mean(rows, axis=0)[1]:.1f}"


def ranks(num_agents: int, rho: float, data_sets: int) -> str:
    """Return the bias of Spearman's correlation, and coverage of its interval."""
    rng = generator(0, "ranks", num_agents, str(rho))
    truth, rows = 6 / np.pi * np.arcsin(rho / 2), []
    for pair in rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], (data_sets, num_agents)):
        found = stats.rank_correlation({str(i): p[None] for i, p in enumerate(pair)}, rng, repetitions=REPETITIONS)
        rows.append([found.value - truth, found.low <= truth <= found.high])
    bias, held = np.mean(rows, axis=0)
    return f"{bias:+.3f} | {100 * held:.1f}"


def new_game(num_games: int, noise: float, law: str, data_sets: int) -> str:
    """Return coverage of what a new game shows, of its true value, and of the mean over games."""
    rng = generator(0, "new game", num_games, str(noise), law)
    rows = []
    for _ in range(data_sets):
        size = num_games + 1
        true = rng.normal(size=size) if law == "normal" else rng.exponential(size=size) - 1.0
        shown = true + rng.normal(0.0, noise, size)
        found = stats.per_game(shown[:-1], np.full(num_games, noise))
        new = [found.new_low <= value <= found.new_high for value in (shown[-1], true[-1])]
        rows.append([*new, found.mean_low <= 0.0 <= found.mean_high])
    return " | ".join(f"{share:.1f}" for share in 100 * np.mean(rows, axis=0))


def main() -> None:
    """Print the four tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-sets", type=int, default=500)
    count = parser.parse_args().data_sets
    print("\n| groups | group sd | seeds | lowest | split | naive | error | coverage |")
    for name, means in {"equal": [0.5] * 6, "0.2 below": [0.3] + [0.5] * 5, "1 below": [0.0] + [1.0] * 5}.items():
        for group_sd, seeds in ((0.0, 5), (0.2, 5), (0.2, 10)):
            print(f"| {name} | {group_sd} | {seeds} | {worst_group(means, group_sd, seeds, count)} |", flush=True)
    print("\n| agents | seeds | bias | sd | coverage |")
    for agents in (8, 12, 20):
        for seeds in (3, 5, 10):
            print(f"| {agents} | {seeds} | {effective(agents, seeds, count)} |", flush=True)
    print("\n| agents | rho | bias | coverage |")
    for agents in (8, 12, 20):
        for rho in (0.0, 0.5, 0.9):
            print(f"| {agents} | {rho} | {ranks(agents, rho, count)} |", flush=True)
    print("\n| games | noise | law | shown | true | mean |")
    for games in (5, 12, 26):
        for noise, law in ((0.0, "normal"), (1.0, "normal"), (0.5, "exponential")):
            print(f"| {games} | {noise} | {law} | {new_game(games, noise, law, 4 * count)} |", flush=True)


if __name__ == "__main__":
    main()
