"""What a comparison says, in one plain sentence: never 'no difference', which no test can show."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from wsabench.stats import MIN_TRAIN_SEEDS
from wsabench.summary.tables import groups_of, rows_of

_BETTER = {
    "retention": "keeps more of its score",
    "robustness_gap": "loses less score",
    "normalised_score": "scores more",
}


@dataclass(frozen=True, slots=True)
class Claim:
    """One row of a table of comparisons."""

    row: Mapping[str, Any]
    seeds: tuple[int, ...]
    is_decidable: bool
    """Whether so many train seeds can give an adjusted p of at most alpha, and are not too few."""

    @classmethod
    def of(cls, row: Mapping[str, Any], alpha: float) -> Claim:
        """Read a row.

        Args:
            row: Columns as `comparison_table` or `clean_comparison_table` give them.
            alpha: Share of false claims that is accepted.
        """
        keys = ("num_seeds",) if "num_seeds" in row else ("num_seeds_x", "num_seeds_y")
        seeds = tuple(dict.fromkeys(int(row[key]) for key in keys))
        return cls(row, seeds, row["smallest_p"] <= alpha and min(seeds) >= MIN_TRAIN_SEEDS)

    @property
    def numbers(self) -> str:
        """Effect and interval, `+0.12 [0.05, 0.19]`."""
        low, high = self.row["low"], self.row["high"]
        bounds = f" [{low:.2f}, {high:.2f}]" if math.isfinite(low) and math.isfinite(high) else ""
        return f"{self.row['effect']:+.2f}{bounds}"

    @property
    def sample(self) -> str:
        """How many train seeds there are, `8 seeds`, or `5 and 8 seeds in each of 3 games`."""
        word = "seed" if self.seeds == (1,) else "seeds"
        games = f" in each of {self.row['num_games']} games" if self.row["num_games"] > 1 else ""
        return f"{' and '.join(map(str, self.seeds))} {word}{games}"

    @property
    def why_undecidable(self) -> str:
        """Why nothing can be decided, whatever the scores."""
        if min(self.seeds) < MIN_TRAIN_SEEDS:
            return f"too few train seeds, at least {MIN_TRAIN_SEEDS} are needed"
        return f"the smallest possible adjusted p is {_p(self.row['smallest_p'])}"


def sentence_between(claim: Claim) -> str:
    """Return the conclusion of a comparison of two agents.

    Args:
        claim: A row of `comparison_table`.
    """
    row = claim.row
    x, y, where = row["agent_x"], row["agent_y"], _where(row)
    if not claim.is_decidable:
        return (
            f"{x} against {y} {where}: cannot be decided with {claim.sample} ({claim.numbers}; "
            f"{claim.why_undecidable})."
        )
    tail = f"{claim.numbers}, adjusted p {_p(row['adjusted_p'])}, {claim.sample}."
    if not row["decided"]:
        return f"{x} against {y} {where}: not decided, {tail}"
    better, worse = (x, y) if row["effect"] > 0 else (y, x)
    if row["effect"] < 0:
        tail = f"{claim.numbers} for {x}, adjusted p {_p(row['adjusted_p'])}, {claim.sample}."
    return f"{better} {_BETTER[row['measure']]} {where} than {worse}: {tail}"


def sentence_clean(claim: Claim) -> str:
    """Return the conclusion of a comparison of perturbed with clean play.

    Args:
        claim: A row of `clean_comparison_table`.
    """
    row = claim.row
    agent, where = row["agent"], _where(row)
    if not claim.is_decidable:
        return (
            f"{agent} {where} against clean: cannot be decided with {claim.sample} (robustness gap {claim.numbers}; "
            f"{claim.why_undecidable})."
        )
    tail = f"robustness gap {claim.numbers}, adjusted p {_p(row['adjusted_p'])}, {claim.sample}."
    if not row["decided"]:
        return f"{agent} {where} against clean: not decided, {tail}"
    return f"{agent} {'loses' if row['effect'] > 0 else 'gains'} score {where}: {tail}"


def sentences_of(
    comparisons: pd.DataFrame, clean_comparisons: pd.DataFrame, agents: Collection[str]
) -> tuple[str, ...]:
    """Return what can be said, in order; what cannot be decided for one reason is said once.

    Args:
        comparisons: Between agents, maybe empty.
        clean_comparisons: Clean against perturbed, maybe empty.
        agents: Those about which something is said.
    """
    said: list[str] = []
    for (x, y, _), part in groups_of(comparisons, "agent_x", "agent_y", "scope"):
        said += _of_family(part, f"{x} against {y}")
    for (agent,), part in groups_of(clean_comparisons, "agent"):
        if agent not in agents:
            continue
        said += _of_family(part, f"{agent} against clean")
    return tuple(said)


def _of_family(part: pd.DataFrame, who: str) -> list[str]:
    """Return the sentences of one family of tests."""
    said: list[str] = []
    undecidable: dict[str, list[str]] = {}
    for row in rows_of(part):
        if " cannot be decided " in row["sentence"]:
            seeds = [int(row[key]) for key in row if key.startswith("num_seeds")]
            undecidable.setdefault(_counted(seeds), []).append(row["perturbation"])
        else:
            said.append(row["sentence"])
    for seeds, names in undecidable.items():
        said.append(f"{who}, {_listed(names)}: cannot be decided with {seeds}.")
    return said


def _counted(seeds: Sequence[int]) -> str:
    counts = tuple(dict.fromkeys(seeds))
    return f"{' and '.join(map(str, counts))} seed{'' if counts == (1,) else 's'}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _where(row: Mapping[str, Any]) -> str:
    return f"under {row['perturbation']}"


def _p(value: float) -> str:
    """Return a p value with one or two significant digits; those near alpha keep what decides."""
    return f"{value:.1g}" if value < 0.01 or value > 0.1 else f"{value:.2g}"
