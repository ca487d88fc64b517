"""How often intervals of retention, means and gaps hold the truth, by simulation: tables of docs/statistics.md.

Run: python benchmarks/retention_coverage.py (one core, some minutes), or with --runs 300 for a first look.

A score is the cell's true mean times a lognormal effect of the train seed (the same in all its cells), one of the seed
in this cell, and one of the episode, all with mean 1; some episodes are 0. Laws: mild and heavy. Collapsed: a train
seed in ten scores 0 everywhere, or 0 in all perturbed cells and not clean. The truth is E[perturbed] / E[clean].
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats as scipy_stats

from wsabench import stats
from wsabench.seeding import generator
from wsabench.stats.bounds import METHODS, Replicates, Stratum
from wsabench.stats.resampling import count_draws, draw_seeds
from wsabench.types import FloatArray

EPISODES = 10
COLLAPSED_SHARE = 0.1
CLEAN_LEVELS = (0.8, 0.4, 1.5, 3.0)
RETENTIONS = (0.6, 0.9, 0.3, 0.1)
Bounds = dict[str, tuple[FloatArray, FloatArray]]
"""Lower and upper bounds of every run, by method."""
CHUNK = 250
MEAN_METHODS = ("percentile", "corrected", "t", "bootstrap-t", "kept", "width")
SELECTION_LEVELS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
GAME_FACTORS = (1.0, 0.8, 1.2, 1.0)


class Law(NamedTuple):
    """Standard deviations of the logarithms, and the share of episodes that score nothing."""

    seeds: float
    cells: float
    episodes: float
    zeros: float


LAWS = {"mild": Law(0.2, 0.15, 0.4, 0.0), "heavy": Law(0.5, 0.4, 1.0, 0.15)}
COLLAPSES = ("none", "everywhere", "perturbed")


class Game(NamedTuple):
    """One game of many simulated runs."""

    episodes: FloatArray
    """Shape (runs, seeds, 1 + cells, episodes), clean first."""
    truth: FloatArray
    """True retention of each cell."""

    @property
    def clean(self) -> FloatArray:
        return self.episodes[:, :, 0].mean(axis=-1)

    @property
    def perturbed(self) -> FloatArray:
        return self.episodes[:, :, 1:].mean(axis=-1)


def lognormal(sd: float, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Draw with mean 1."""
    return np.exp(sd * rng.normal(size=shape) - sd**2 / 2)


def play(
    law: Law, collapse: str, level: float, kept: FloatArray, shape: tuple[int, int], rng: np.random.Generator
) -> Game:
    """Draw one game; `shape` is (runs, seeds)."""
    means = level * np.array([1.0, *kept])
    cells = (*shape, len(means))
    scores = means * lognormal(law.seeds, (*shape, 1), rng) * lognormal(law.cells, cells, rng)
    episodes = lognormal(law.episodes, (*cells, EPISODES), rng)
    episodes *= (rng.random(episodes.shape) >= law.zeros) / (1.0 - law.zeros)
    truth = np.array(kept)
    if collapse != "none":
        lives = rng.random((*shape, 1)) >= COLLAPSED_SHARE
        scores[..., 0 if collapse == "everywhere" else 1 :] *= lives
        truth = truth if collapse == "everywhere" else truth * (1.0 - COLLAPSED_SHARE)
    return Game(scores[..., None] * episodes, truth)


def drawn_games(
    law: str, collapse: str, shape: tuple[int, int], num_games: int, rng: np.random.Generator
) -> Iterator[Game]:
    """Draw games whose levels and retentions differ."""
    for place in range(num_games):
        kept = GAME_FACTORS[place % 4] * np.array(RETENTIONS)
        yield play(LAWS[law], collapse, CLEAN_LEVELS[place % 4], kept, shape, rng)


def in_chunks(blocks: Sequence[FloatArray], bounds: Callable[[list[FloatArray]], Bounds]) -> Bounds:
    """Compute bounds of a few runs at a time, blocks (seeds, runs): all runs of one call share their resamples."""
    starts = range(0, blocks[0].shape[1], CHUNK)
    parts = [bounds([block[:, start : start + CHUNK] for block in blocks]) for start in starts]
    return {
        name: (np.concatenate([part[name][0] for part in parts]), np.concatenate([part[name][1] for part in parts]))
        for name in parts[0]
    }


def defined(games: Sequence[Game]) -> np.ndarray:
    """Return which runs have a clean score surely above the floor in every game."""
    return np.all([[stats.clean_bound(run[:, 0]).is_defined for run in game.episodes] for game in games], axis=0)


def covers(low: FloatArray, high: FloatArray, truth: float, among: np.ndarray | None = None) -> float:
    hits = (low <= truth) & (truth <= high)
    return 100.0 * float(hits.mean() if among is None else hits[among].mean())


def linearised(pairs: Sequence[tuple[FloatArray, FloatArray]]) -> tuple[FloatArray, FloatArray]:
    """Return the textbook linearised interval with Satterthwaite's degrees of freedom, for comparison."""
    values, variances = [], []
    num_seeds = pairs[0][0].shape[1]
    for clean, perturbed in pairs:
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = perturbed.mean(axis=1) / clean.mean(axis=1)
            residuals = perturbed - ratio[:, None] * clean
            variances.append(residuals.var(axis=1, ddof=1) / num_seeds / clean.mean(axis=1) ** 2 / len(pairs) ** 2)
        values.append(ratio)
    total = np.sum(variances, axis=0)
    with np.errstate(invalid="ignore"):
        freedom = total**2 / (np.square(variances).sum(axis=0) / (num_seeds - 1))
    half = scipy_stats.t.ppf(0.975, freedom) * np.sqrt(total)
    return np.mean(values, axis=0) - half, np.mean(values, axis=0) + half


def known_mean(values: FloatArray) -> FloatArray:
    """Average over the first axis what is not NaN; NaN where nothing is left."""
    known = ~np.isnan(values)
    number = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)


def bootstrapped(blocks: Sequence[FloatArray], rng: np.random.Generator, repetitions: int) -> Bounds:
    """Return the bounds of the mean over games of means over seeds; blocks (seeds, runs), NaN left out."""
    values, strata = np.zeros((repetitions, blocks[0].shape[1])), []
    for block in blocks:
        counts = count_draws(draw_seeds(len(block), rng, repetitions), len(block))
        known = ~np.isnan(block)
        total = counts @ np.where(known, block, 0.0)
        # A resample of undefined ratios only has no mean; it stands at the mean of all.
        number = counts @ known
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.where(number > 0, total / number, known_mean(block))
        values += means / len(blocks)
        strata.append(Stratum(counts, len(block)))
    centre = np.mean([known_mean(block) for block in blocks], axis=0)
    return {name: METHODS[name](Replicates(values, strata), centre, 0.95) for name in ("percentile", "corrected")}


def seed_ratios(clean: FloatArray, perturbed: FloatArray) -> FloatArray:
    """Return the ratio of each seed as before, (seeds, runs), NaN where clean is not above 0."""
    return stats.retention(clean, perturbed).T


def print_retention(options: argparse.Namespace) -> None:
    runs, repetitions, seed = options.runs, options.repetitions, options.seed
    print("\n### Retention\n")
    print(
        "| law | collapsed | seeds | games | given: cell, mean | covers: cell, mean | width / oracle: cell, mean "
        "| Fieller alone: covers, bounded | linearised | before: percentile, corrected | bias %: before, plain, now |"
    )
    print("| --- | --- | ---: | ---: |" + " ---: |" * 7)
    for law in LAWS:
        for collapse in COLLAPSES:
            for num_seeds in (5, 10, 20):
                for num_games in (1, 4):
                    rng = generator(seed, "retention", law, collapse, num_seeds, num_games)
                    print(retention_row(law, collapse, (runs, num_seeds), num_games, rng, repetitions), flush=True)


def retention_row(
    law: str, collapse: str, shape: tuple[int, int], num_games: int, rng: np.random.Generator, repetitions: int
) -> str:
    games = list(drawn_games(law, collapse, shape, num_games, rng))
    known = defined(games)
    columns: dict[str, list[str]] = {name: [] for name in ("given", "covers", "width", "lin")}
    for cells in ([0], [0, 1, 2, 3]):
        pairs = [(game.clean, game.perturbed[..., cells]) for game in games]
        truth = float(np.mean([game.truth[cells].mean() for game in games]))
        found = stats.mean_retention(pairs)
        given = known & np.isfinite(found.low) & np.isfinite(found.high)
        columns["given"].append(f"{100 * given.mean():.1f}")
        columns["covers"].append(f"{covers(found.low, found.high, truth, given):.1f}")
        oracle = 2 * 1.96 * np.std(found.plain[given])
        columns["width"].append(f"{(found.high - found.low)[given].mean() / oracle:.2f}")
        flat = [(clean, perturbed.mean(axis=-1)) for clean, perturbed in pairs]
        low, high = linearised(flat)
        columns["lin"].append(f"{covers(low, high, truth, known):.1f}")
    flat = [(game.clean, game.perturbed[..., 0]) for game in games]
    truth = float(np.mean([game.truth[0] for game in games]))
    alone = fieller_alone(flat[0], truth, known) if num_games == 1 else "-"
    ratios = [seed_ratios(clean, perturbed) for clean, perturbed in flat]
    before = in_chunks(ratios, lambda part: bootstrapped(part, rng, repetitions))
    old = [f"{covers(*before[name], truth, known):.1f}" for name in ("percentile", "corrected")]
    now = stats.mean_retention([(clean, perturbed[..., None]) for clean, perturbed in flat])
    means = (known_mean(np.array([known_mean(ratio) for ratio in ratios])), now.plain, now.value)
    bias = ", ".join(f"{100 * (mean[known].mean() / truth - 1):+.1f}" for mean in means)
    texts = [", ".join(columns[name]) for name in ("given", "covers", "width")]
    texts += [alone, ", ".join(columns["lin"]), ", ".join(old), bias]
    return f"| {law} | {collapse} | {shape[1]} | {num_games} | {' | '.join(texts)} |"


def fieller_alone(pair: tuple[FloatArray, FloatArray], truth: float, known: np.ndarray) -> str:
    """Return how often Fieller's set holds the truth, and how often it is bounded."""
    low, high, region = (part[..., 0] for part in stats.fieller_set(pair[0], pair[1][..., None]))
    inside = np.where(
        region == stats.Region.COMPLEMENT, (truth <= low) | (truth >= high), (low <= truth) & (truth <= high)
    )
    return f"{100 * inside[known].mean():.1f}, {100 * (region == stats.Region.BOUNDED)[known].mean():.1f}"


def print_games(options: argparse.Namespace) -> None:
    runs, seed = options.runs, options.seed
    print("\n### Averages over other numbers of games, of four cells each, 5 seeds\n")
    print(
        "| law | collapsed | games | covers | width / oracle | linearised | two agents' difference "
        "| bias %: plain, now |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for law, collapse in (("mild", "none"), ("heavy", "none"), ("heavy", "everywhere")):
        for num_games in (1, 2, 3, 12, 40):
            rng = generator(seed, "games", law, collapse, num_games)
            pairs = [
                [(game.clean, game.perturbed) for game in drawn_games(law, collapse, (runs, 5), num_games, rng)]
                for _ in range(2)
            ]
            truth = float(np.mean([RETENTIONS]) * np.mean([GAME_FACTORS[place % 4] for place in range(num_games)]))
            found = stats.mean_retention(pairs[0])
            given = np.isfinite(found.low)
            width = (found.high - found.low)[given].mean() / (2 * 1.96 * np.std(found.plain[given]))
            low, high = linearised([(clean, perturbed.mean(axis=-1)) for clean, perturbed in pairs[0]])
            apart = stats.retention_difference(*pairs)
            bias = ", ".join(f"{100 * (mean[given].mean() / truth - 1):+.1f}" for mean in (found.plain, found.value))
            print(
                f"| {law} | {collapse} | {num_games} | {covers(found.low, found.high, truth, given):.1f} | {width:.2f} "
                f"| {covers(low, high, truth, given):.1f} "
                f"| {covers(apart.low, apart.high, 0.0, np.isfinite(apart.low)):.1f} | {bias} |",
                flush=True,
            )


def print_companions(options: argparse.Namespace) -> None:
    print("\n### Capped mean and shares of cells, four cells a game\n")
    print(
        "| law | retention of the cells | seeds | games | capped mean: true, value | covers "
        "| share kept: true, mean | share lost: true, mean |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for law in LAWS:
        for kept in (np.array([1.3, 0.9, 0.5, 0.05]), np.array([1.0, 1.0, 0.8, 0.5])):
            for num_seeds in (5, 10, 20):
                for num_games in (1, 4):
                    rng = generator(options.seed, "companions", law, str(kept), num_seeds, num_games)
                    shape = (options.runs, num_seeds)
                    games = [play(LAWS[law], "none", 0.8, kept, shape, rng) for _ in range(num_games)]
                    names = f"| {law} | {', '.join(map(str, kept))} | {num_seeds} | {num_games}"
                    print(f"{names} | {companions(games, kept)} |", flush=True)


def companions(games: Sequence[Game], kept: FloatArray) -> str:
    """Return the cells of one row: the capped mean with its coverage, and both shares."""
    truth = float(np.minimum(kept, 1.0).mean())
    found = stats.capped_mean_retention([(game.clean, game.perturbed) for game in games])
    given = np.isfinite(found.low)
    values = np.array([stats.retention_interval(game.clean, game.perturbed).value for game in games])
    shares = np.mean([stats.kept_shares(list(values[:, run])) for run in range(values.shape[1])], axis=0)
    true = stats.kept_shares([kept])
    return (
        f"{truth:.3f}, {found.value[given].mean():.3f} | {covers(found.low, found.high, truth, given):.1f} "
        f"| {true.kept:.2f}, {shares[0]:.2f} | {true.lost:.2f}, {shares[1]:.2f}"
    )


def print_seed_ratios(options: argparse.Namespace) -> None:
    print("\n### A train seed's own ratio: bias in %, 10 episodes a cell, and seeds without one\n")
    print("| law | collapsed | plain | Beale | undefined % |")
    print("| --- | --- | ---: | ---: | ---: |")
    for law in LAWS:
        for collapse in ("none", "everywhere"):
            rng = generator(options.seed, "seed ratios", law, collapse)
            game = play(LAWS[law], collapse, 0.8, np.array([0.6]), (10 * options.runs, 1), rng)
            # The seed's own truth: all its effects cancel but those of the two cells, whose ratio has mean exp(var).
            own = 0.6 * np.exp(LAWS[law].cells ** 2)
            plain = seed_ratios(game.clean, game.perturbed[..., 0]).ravel()
            beale = stats.seed_retention(game.episodes[:, 0, 0], game.episodes[:, 0, 1:]).ravel()
            bias = " | ".join(f"{100 * (np.nanmean(part) / own - 1):+.1f}" for part in (plain, beale))
            print(f"| {law} | {collapse} | {bias} | {100 * np.isnan(plain).mean():.1f} |", flush=True)


def print_means(options: argparse.Namespace) -> None:
    runs, repetitions, seed = options.runs, options.repetitions, options.seed
    print("\n### Mean of a perturbed cell, and robustness gap\n")
    print(
        "| law | collapsed | seeds | games | percentile: mean, gap | corrected: mean, gap | t: mean, gap "
        "| bootstrap-t: mean, gap | kept between t: mean, gap | its width / t's: mean, gap |"
    )
    print("| --- | --- | ---: | ---: |" + " ---: |" * 6)
    for law in LAWS:
        for collapse in COLLAPSES:
            for num_seeds in (5, 10, 20):
                for num_games in (1, 4):
                    rng = generator(seed, "means", law, collapse, num_seeds, num_games)
                    games = list(drawn_games(law, collapse, (runs, num_seeds), num_games, rng))
                    print(means_row((law, collapse, num_seeds), games, rng, repetitions), flush=True)


def means_row(names: tuple[str, str, int], games: Sequence[Game], rng: np.random.Generator, repetitions: int) -> str:
    cells: dict[str, list[str]] = {name: [] for name in MEAN_METHODS}
    levels = [CLEAN_LEVELS[g % 4] * (1 - COLLAPSED_SHARE * (names[1] == "everywhere")) for g in range(len(games))]
    for is_gap in (False, True):
        blocks = [(game.clean - game.perturbed[..., 0] if is_gap else game.perturbed[..., 0]).T for game in games]
        shares = [(1 - game.truth[0] if is_gap else game.truth[0]) for game in games]
        truth = float(np.mean(np.multiply(levels, shares)))
        bounds = in_chunks(blocks, lambda part: all_bounds(part, rng, repetitions))
        for name, (low, high) in bounds.items():
            cells[name].append(f"{covers(low, high, truth):.1f}")
        widths = [(high - low).mean() for low, high in (bounds["kept"], bounds["t"])]
        cells["width"].append(f"{widths[0] / widths[1]:.2f}")
    texts = [", ".join(cells[name]) for name in MEAN_METHODS]
    return f"| {names[0]} | {names[1]} | {names[2]} | {len(games)} | {' | '.join(texts)} |"


def all_bounds(blocks: Sequence[FloatArray], rng: np.random.Generator, repetitions: int) -> Bounds:
    """Return the bounds of the mean by every method; `kept` is bootstrap-t between two intervals of Student."""
    bounds = bootstrapped(blocks, rng, repetitions)
    alone = stats.studentised_interval(blocks, rng, repetitions=repetitions, widest_tail=None)
    kept = stats.studentised_interval(blocks, rng, repetitions=repetitions)
    return bounds | {"bootstrap-t": (alone.low, alone.high), "kept": (kept.low, kept.high), "t": student(blocks)}


def student(blocks: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Return Student's t interval with Satterthwaite's degrees of freedom, blocks (seeds, runs)."""
    count = len(blocks[0])
    variances = np.array([block.var(axis=0, ddof=1) / count / len(blocks) ** 2 for block in blocks])
    total = variances.sum(axis=0)
    squares = (variances**2).sum(axis=0) / (count - 1)
    freedom = np.divide(total**2, squares, out=np.ones_like(total), where=squares > 0.0)
    half = scipy_stats.t.ppf(0.975, freedom) * np.sqrt(total)
    centre = np.mean([block.mean(axis=0) for block in blocks], axis=0)
    return centre - half, centre + half


def print_selection(options: argparse.Namespace) -> None:
    runs, seed = options.runs, options.seed
    print("\n### What leaving out games below the floor does to the others: heavy law, true retention 0.6\n")
    print("| true clean score | seeds | defined % | bias % of those: plain, now | covers, of those |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for level in SELECTION_LEVELS:
        for num_seeds in (5, 20):
            rng = generator(seed, "selection", str(level), num_seeds)
            game = play(LAWS["heavy"], "none", level, np.array([0.6]), (runs, num_seeds), rng)
            known = defined([game])
            found = stats.retention_interval(game.clean, game.perturbed)
            chosen = known & np.isfinite(found.low[:, 0])
            if chosen.sum() < 20:
                print(f"| {level} | {num_seeds} | {100 * known.mean():.1f} | - | - |", flush=True)
                continue
            means = (found.plain[chosen].mean(), found.value[chosen].mean())
            bias = ", ".join(f"{100 * (mean / 0.6 - 1):+.1f}" for mean in means)
            held = covers(found.low[:, 0], found.high[:, 0], 0.6, chosen)
            print(f"| {level} | {num_seeds} | {100 * known.mean():.1f} | {bias} | {held:.1f} |", flush=True)
    for num_seeds in (5, 20):
        print(selected_average(min(runs, 2_000), num_seeds, generator(seed, "selected average", num_seeds)), flush=True)


def selected_average(runs: int, num_seeds: int, rng: np.random.Generator) -> str:
    """Return the row of the average over those of six games, one a level, in which retention is defined."""
    games = [play(LAWS["heavy"], "none", level, np.array([0.6]), (runs, num_seeds), rng) for level in SELECTION_LEVELS]
    known = np.array([defined([game]) for game in games])
    found = [
        stats.mean_retention(
            [(games[place].clean[run], games[place].perturbed[run]) for place in np.flatnonzero(known[:, run])]
        )
        for run in range(runs)
        if known[:, run].any()
    ]
    value, plain, low, high = (np.array([one[place] for one in found]) for place in range(4))
    bias = ", ".join(f"{100 * (part.mean() / 0.6 - 1):+.1f}" for part in (plain, value))
    held = covers(low, high, 0.6, np.isfinite(low + high))
    return f"| all six, averaged over those defined | {num_seeds} | {100 * known.mean():.1f} | {bias} | {held:.1f} |"


def print_floor(options: argparse.Namespace) -> None:
    runs, seed = options.runs, options.seed
    print("\n### How often the clean score's lower 95% bound lies above the true score of the checkpoints, % of runs\n")
    print("| episodes' law | 1 seed x 10 | 1 x 30 | 5 x 5 | 5 x 10 | 20 x 10 |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    laws = {
        "heavy: lognormal 1.0, 15% zeros": lambda rng, shape: lognormal(1.0, shape, rng) * (rng.random(shape) >= 0.15),
        "many zeros: 60%": lambda rng, shape: lognormal(0.4, shape, rng) * (rng.random(shape) >= 0.6),
        "normal": lambda rng, shape: rng.normal(1.0, 0.5, shape),
        "two modes: 0.2 or 1, even": lambda rng, shape: np.where(rng.random(shape) < 0.5, 0.2, 1.0),
        "at a ceiling: 1, in 10% of episodes 0": lambda rng, shape: 1.0 * (rng.random(shape) >= 0.1),
    }
    truths = (0.85, 0.4, 1.0, 0.6, 0.9)
    for (name, draw), truth in zip(laws.items(), truths, strict=True):
        rates = []
        for shape in ((1, 10), (1, 30), (5, 5), (5, 10), (20, 10)):
            played = draw(generator(seed, "floor", name, *shape), (runs, *shape))
            rates.append(100 * np.mean([stats.clean_bound(one).low > truth for one in played]))
        print(f"| {name} | {' | '.join(f'{rate:.1f}' for rate in rates)} |", flush=True)


TABLES = {
    "retention": print_retention,
    "games": print_games,
    "companions": print_companions,
    "seeds": print_seed_ratios,
    "means": print_means,
    "selection": print_selection,
    "floor": print_floor,
}


def main() -> None:
    """Print the tables in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5_000)
    parser.add_argument("--repetitions", type=int, default=499)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES))
    options = parser.parse_args()
    start = time.process_time()
    for name in options.tables:
        TABLES[name](options)
    error = 100 * np.sqrt(0.95 * 0.05 / options.runs)
    print(
        f"\n{options.runs:,} runs a row, {EPISODES} episodes a cell, "
        f"{options.repetitions} repetitions; nominal 95, Monte-Carlo standard error {error:.2f} at 95. "
        f"{time.process_time() - start:.0f} s of one core."
    )


if __name__ == "__main__":
    main()
