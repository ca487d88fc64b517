"""The rows of a summary: one frozen type for each table, whose fields are the columns of its CSV file."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, ClassVar, Literal, TypeGuard, TypeVar

import pandas as pd
from msgspec import Struct

from wsabench.results.manifest import AgentId
from wsabench.results.records import CLEAN
from wsabench.stats import Estimate, are_enough

Measure = Literal["normalised_score", "retention", "robustness_gap"]
"""What is measured of an agent in a cell."""
ScoreMetric = Literal["mean", "median", "iqm", "optimality_gap"]
Metric = ScoreMetric | Literal["capped_mean", "kept_share", "lost_share"]
"""How a measure is aggregated over cells."""
Undecidable = Literal[
    "too few train seeds", "smallest p above alpha", "clean score not above the floor", "clean was not played"
]
"""Why nothing can be decided, whatever the scores under perturbations are."""
Verdict = Literal["decided", "equivalent", "not decided", "undecidable"]
"""What a test says; `undecidable`: nothing can be decided, whatever the scores."""

MEASURES: tuple[Measure, ...] = ("normalised_score", "retention", "robustness_gap")
METRICS: tuple[ScoreMetric, ...] = ("mean", "median", "iqm", "optimality_gap")
"""How normalised scores are aggregated."""
RETENTION_METRICS: tuple[Metric, ...] = ("mean", "capped_mean", "kept_share", "lost_share")
"""How retention is aggregated: its mean, the mean where a cell counts 1 at most, and shares of cells that keep at
least 0.8 or at most 0.1 of the clean score."""
IntervalKind = Literal["joint", "rliable"]
"""How aggregates and profiles are resampled: whole train seeds with all their cells, or each cell by itself."""
INTERVALS: tuple[IntervalKind, ...] = ("joint", "rliable")
Difference = Literal[
    "",
    "one network plays several cells",
    "joint is corrected for few train seeds",
    "rliable counts every cell the same",
]
"""Why the joint number and rliable's differ; empty where they do not, or where there is only one."""
ALPHA = 0.05
"""Accepted probability that a family of tests makes any false claim."""
EACH_PERTURBATION = "each perturbation"
"""The scope of claims about one perturbation each."""

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


class Bounded(Struct, frozen=True):
    """A number with its 95% interval over train seeds; a bound is NaN where there is no interval."""

    value: float
    """The number; NaN where it is undefined."""
    low: float = math.nan
    """Lower bound."""
    high: float = math.nan
    """Upper bound."""

    @classmethod
    def of(cls, estimate: Estimate, *place: int) -> Bounded:
        """Return one number of an estimate.

        Args:
            estimate: A number or an array of them.
            place: Where the number stands in the array.
        """
        return cls(*(float(part[place]) for part in estimate[:3]))

    @property
    def has_bounds(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)


UNKNOWN = Bounded(math.nan)
"""No number and no interval."""


class BoundedTwice(Bounded, frozen=True):
    """A number that also has the 95% interval over the episodes of these checkpoints only."""

    episode_low: float = math.nan
    """Lower bound of the interval over episodes."""
    episode_high: float = math.nan
    """Upper bound of the interval over episodes."""

    @property
    def over_episodes(self) -> Bounded:
        """The number with the interval over episodes alone."""
        return Bounded(self.value, self.episode_low, self.episode_high)


class Row(Struct, frozen=True, kw_only=True):
    """One row of a table."""

    main: ClassVar[str] = ""
    """The field whose bounds are the columns `low` and `high`; the bounds of other fields bear the field's name."""

    def bounded(self, name: str) -> Bounded:
        """Return the number in a field that has an interval."""
        return getattr(self, name)

    def columns(self) -> dict[str, Any]:
        """Return the row as its CSV file has it: first agents and game, then the other fields in their order."""
        flat: dict[str, Any] = {}
        for name in sorted(self.__struct_fields__, key=lambda name: name not in _WHO):
            value = getattr(self, name)
            if isinstance(value, Bounded):
                start = "" if name == self.main else f"{name}_"
                flat[name] = value.value
                flat |= {f"{start}{end}": getattr(value, end) for end in value.__struct_fields__[1:]}
            elif isinstance(value, AgentId):
                flat |= {"agent": value.agent, "game": value.game, "train_seed": value.train_seed}
            else:
                flat[name] = ", ".join(map(str, value)) if isinstance(value, tuple) else value
        return flat


_WHO = ("agent", "agent_x", "agent_y", "game", "id")


class Cell(Struct, frozen=True):
    """One perturbation at one severity in a game, or clean play there."""

    family: str
    perturbation: str
    """The perturbation's name without severity."""
    severity: int | None
    """The severity, 1 to 5; None where the perturbation has no scale."""
    label: str
    """The name of the cell within its game, as it is written on the command line: `hue-rotate@3`, `clean`."""


class _InCell(Row, frozen=True, kw_only=True):
    """A row about a cell; the fields are those of `Cell`."""

    family: str
    perturbation: str
    severity: int | None
    label: str


class _Measured(_InCell, frozen=True, kw_only=True):
    """A row that holds the three measures of a cell."""

    def measured(self, measure: Measure) -> BoundedTwice:
        """Return one of the measures."""
        return getattr(self, measure)


class SampleRow(Row, frozen=True, kw_only=True):
    """How much an agent played in a game."""

    agent: str
    game: str
    train_seeds: tuple[int, ...]
    num_seeds: int
    num_cells: int
    episodes_per_cell: int
    num_episodes: int
    num_distinct_episodes: int
    num_stalled: int
    num_time_limit: int
    fewest_episodes: int = 0
    """The fewest episodes of any train seed in any cell; `episodes_per_cell` are the most."""
    clean_score: float = math.nan
    """Mean clean normalised score of these checkpoints."""
    clean_low: float = math.nan
    """One-sided lower 95% bound of the clean score over the episodes of these checkpoints."""
    has_retention: bool = False
    """Whether this bound lies above the floor, so that retention is defined."""


class CellRow(_Measured, frozen=True, kw_only=True):
    """One cell of an agent in a game."""

    agent: str
    game: str
    num_seeds: int
    num_episodes: int
    """Number of episodes of all train seeds together."""
    num_distinct_episodes: int
    mean_return: float
    normalised_score: BoundedTwice
    retention: BoundedTwice
    """Ratio of the means over train seeds, corrected for bias."""
    robustness_gap: BoundedTwice
    plain_retention: float = math.nan
    """The ratio of means as it is."""
    random_return: float = math.nan
    """Mean return of random play in this cell, where the game itself is changed and it was played; else NaN."""
    retention_clean_random: float = math.nan
    """Retention above random play of the unchanged game, where this cell changes what random play scores; else NaN."""
    gap_clean_random: float = math.nan
    """The robustness gap in the same way."""
    note: str
    """What is undefined, and how little the intervals say; empty when nothing is to be said."""
    num_stalled: int
    """Number of episodes that were ended as stalled."""
    num_time_limit: int
    """Number of episodes that were ended at the frame limit."""
    num_as_clean: int
    """Number of episodes whose return, length and end are those of the clean episode of the same network and seed."""

    @property
    def is_as_clean(self) -> bool:
        """Whether the cell is perturbed and every episode went as the clean one."""
        return self.label != CLEAN and self.num_as_clean == self.num_episodes > 0


class PerturbationRow(_Measured, frozen=True, kw_only=True):
    """One perturbation at one severity of an agent, averaged over the games that have it."""

    agent: str
    num_games: int
    num_seeds: int
    """Number of train seeds, the fewest of any game."""
    normalised_score: BoundedTwice
    retention: BoundedTwice
    """Mean over the games in which it is defined, corrected for bias."""
    robustness_gap: BoundedTwice
    plain_retention: float = math.nan
    capped_retention: Bounded = UNKNOWN
    """The mean where a game counts 1 at most: gains do not pay for collapse."""
    kept_share: float = math.nan
    """Share of games that keep at least 0.8 of the clean score."""
    lost_share: float = math.nan
    """Share of games that keep at most 0.1 of it."""
    num_retention_games: int = 0
    retention_clean_random: float = math.nan
    """As in `CellRow`."""
    gap_clean_random: float = math.nan
    note: str


class SeedRow(_InCell, frozen=True, kw_only=True):
    """One train seed of an agent in one cell: means over its episodes."""

    id: AgentId
    mean_return: float
    normalised_score: float
    retention: float
    """The seed's own ratio, corrected for the noise of its clean score."""
    robustness_gap: float

    def value(self, measure: Measure) -> float:
        """Return one of the measures."""
        return getattr(self, measure)


class CheckpointsRow(Row, frozen=True, kw_only=True):
    """What the given checkpoints of an agent score clean and keep over all perturbations, with bounds over episodes."""

    agent: str
    clean: BoundedTwice
    """Normalised score without perturbation."""
    kept: BoundedTwice
    """Mean normalised score over all perturbations."""
    retention: BoundedTwice
    """Share of the clean normalised score that is kept."""
    clean_return: float
    """Mean unclipped return of clean play, in points; NaN over several games, whose returns have no common unit."""
    kept_return: float
    """The same over all perturbations."""
    num_seeds: int
    """Number of train seeds, the fewest of any game."""
    num_games: int


class RandomRow(Row, frozen=True, kw_only=True):
    """What the built-in random agent scored in a cell, where it is a yardstick beside other agents."""

    agent: str
    game: str
    label: str
    mean_return: float
    num_episodes: int


class AggregateRow(Row, frozen=True, kw_only=True):
    """An agent's aggregate over the cells of a scope."""

    main: ClassVar[str] = "value"
    agent: str
    scope: str
    """`clean` or `all perturbations`."""
    measure: Measure
    metric: Metric
    value: Bounded
    """The number with the interval that `interval` names."""
    num_seeds: int
    num_games: int
    """Number of games that the value is over; of retention, in which it is defined."""
    num_cells: int
    note: str
    interval: IntervalKind = "joint"
    """Which interval `value` has."""
    joint: Bounded = Bounded(math.nan)
    """The number with the interval of the joint resampling."""
    rliable: Bounded = Bounded(math.nan)
    """The number with the interval of rliable's own bootstrap; NaN for what rliable does not define."""
    difference: Difference = ""
    """Why `joint` and `rliable` differ."""


class ImprovementRow(Row, frozen=True, kw_only=True):
    """The probability that a train seed of one agent beats a train seed of another."""

    main: ClassVar[str] = "value"
    agent_x: str
    agent_y: str
    measure: Measure
    label: str
    """The label of a cell, or `all perturbations`."""
    value: Bounded
    """The probability that `agent_x` is better; ties count half."""
    num_seeds: int
    """Number of train seeds of the agent that has fewer."""
    num_games: int
    num_cells: int
    note: str


class ProfileRow(Row, frozen=True, kw_only=True):
    """One point of an agent's performance profile."""

    main: ClassVar[str] = "value"
    agent: str
    threshold: float
    """A normalised score."""
    value: Bounded
    """Fraction of the train seeds and cells above the threshold."""
    num_seeds: int
    num_games: int
    num_cells: int
    note: str
    interval: IntervalKind = "joint"


class AttentionRow(_InCell, frozen=True, kw_only=True):
    """The attention weight of one encoder in one cell of an agent in a game."""

    agent: str
    game: str
    encoder: str
    mean: float
    """Mean weight over steps, then over train seeds."""
    seed_min: float
    """The smallest mean weight of any train seed."""
    seed_max: float
    """The greatest mean weight of any train seed."""
    sd: float
    """Standard deviation over steps, the root mean square over train seeds."""
    entropy: float
    """Mean entropy of the weights in nats, the same for all encoders of a cell."""
    num_steps: int
    """Number of steps of all train seeds together."""
    num_seeds: int
    context_static_share: float
    """`ContextEffect.static_share`, mean over train seeds; NaN where unknown."""
    context_variance_share: float
    """`ContextEffect.variance_share`, mean over train seeds; NaN where unknown."""
    shift: float
    """How far the weights moved from clean, the same for all encoders of a cell; NaN without a clean cell."""


class ReferenceRow(Row, frozen=True, kw_only=True):
    """The reference scores of a game, mean returns in points that stand for 0 and 1; NaN where unknown."""

    game: str
    random: float
    """Mean return of random play."""
    human: float
    """Mean return of human play."""


class MeasureRow(Row, frozen=True, kw_only=True):
    """The robustness of an agent over the severities of a perturbation, or over all perturbations."""

    agent: str
    perturbation: str
    """The perturbation without severity, or `all perturbations`."""
    num_severities: int
    num_games: int
    num_seeds: int
    num_perturbations: int = 1
    num_cells: int = 0
    """Number of perturbed cells behind the score, in all its games."""
    mean_score: Bounded
    worst_score: Bounded
    dose_area: Bounded
    """Mean score over the measured change of the observation, over the games where it is defined."""
    retention: Bounded
    plain_retention: float = math.nan
    capped_retention: Bounded = UNKNOWN
    kept_share: float = math.nan
    """Share of cells that keep at least 0.8 of the clean score, weighted as the average is."""
    lost_share: float = math.nan
    """Share of cells that keep at most 0.1 of it."""
    num_retention_games: int = 0
    robustness_gap: Bounded
    corruption_error: Bounded
    relative_corruption_error: Bounded
    error_difference: Bounded
    """The difference that stands beside the corruption error, and is defined for every baseline."""
    loss_difference: Bounded
    """The difference that stands beside the relative corruption error, and is defined for every baseline."""
    lowest_dose: float
    """The dose in grey levels where the area begins, the least of any game; NaN without an area and over all
    perturbations."""
    highest_dose: float
    """The dose in grey levels where it ends, the most of any game."""
    area_reason: str
    """Why there is no area (`wsabench.stats.DoseReason`); over all perturbations: which of them have none, and why."""
    baseline: str
    """The agent that the errors are relative to."""
    note: str


class DoseRow(_InCell, frozen=True, kw_only=True):
    """One point of an agent's curve over the measured change of the observation in a game."""

    main: ClassVar[str] = "normalised_score"
    agent: str
    game: str
    dose: float
    """Mean absolute change of the 84x84 observation, in grey levels of 0 to 255."""
    normalised_score: BoundedTwice
    num_seeds: int


class RankRow(Row, frozen=True, kw_only=True):
    """The rank of an agent, clean or under a perturbation."""

    main: ClassVar[str] = "rank"
    agent: str
    perturbation: str
    """`clean`, a name without severity, or `all perturbations`."""
    num_games: int
    num_seeds: int
    score: float
    """Mean normalised score."""
    rank: Bounded
    """The rank: 1 is the best, and equal agents share a rank. Its bounds are whole ranks."""
    clean_rank: float
    """The rank by clean scores; NaN where clean was not played."""
    change: float
    """The rank minus the clean rank: above 0 the agent falls behind its clean rank."""
    note: str


class PublishedRow(Row, frozen=True, kw_only=True):
    """A score from the literature."""

    game: str
    agent: str
    """The agent's name in the source."""
    algorithm: str
    mean: float
    """Mean return in points, as the source gives it."""
    sd: float
    """The source's standard deviation; NaN where it gives none."""
    source: str
    normalised_score: float
    """`mean`, normalised as all scores of the summary are."""


class CurveRow(Row, frozen=True, kw_only=True):
    """One point of a learning curve."""

    id: AgentId
    steps: int
    """Number of agent steps."""
    return_mean: float
    """Mean unclipped return of the last 50 games, in points."""


class EfficiencyRow(Row, frozen=True, kw_only=True):
    """The IQM of an agent's normalised scores at one point of training."""

    main: ClassVar[str] = "value"
    agent: str
    steps: float
    """Number of agent steps."""
    value: Bounded
    num_seeds: int
    num_games: int
    note: str


class Claim(Row, frozen=True, kw_only=True):
    """A test of one agent against another, or of an agent's perturbed play against its clean play."""

    main: ClassVar[str] = "effect"
    agent_x: str
    agent_y: str | None
    """The other agent. None: `agent_x` is compared with its own clean play."""
    scope: str
    """The family of tests that p is adjusted over."""
    perturbation: str
    """The perturbation without severity, `all perturbations`, `declared family`, or `clean` between agents."""
    measure: Measure
    """What is compared: the suite's measure, but in clean play the normalised score."""
    effect: Bounded
    """Above 0 `agent_x` is more robust than `agent_y`, or scores more in clean play, or loses score against clean. Its
    bounds hold the effects of all pairs and perturbations of the scope together."""
    p: float
    """p of the test as if it were the only one: the larger of those of the permutation test and the t test. It is NaN,
    like the adjusted one, where `smallest_p` is above alpha."""
    smallest_p: float
    """The smallest adjusted p that so many train seeds can give at all."""
    detectable: float = math.nan
    """The smallest effect that this very test finds with 80% power; infinite where it cannot decide."""
    num_seeds_x: int
    num_seeds_y: int
    num_games: int
    adjusted_p: float
    """p adjusted for all tests and pairs of the scope."""
    num_tests: int
    """Number of tests of this pair in this scope."""
    num_pairs: int = 1
    """Number of pairs of agents in this scope, or of agents that are compared with clean play."""
    clean_x: float = math.nan
    """Clean normalised score of `agent_x`, mean over the games."""
    clean_y: float = math.nan
    """The same of `agent_y`."""
    equivalence_margin: float = math.nan
    """The margin of equivalence; NaN where equivalence was not asked for."""
    equivalence_p: float = math.nan
    """Adjusted p of the hypothesis that the effect is at least as large as the margin."""
    equivalent: bool = False
    """Whether the effect is shown to be smaller than the margin."""
    left_out: tuple[str, ...] = ()
    """Games that leave the comparison, because some clean score is not above the floor or was not played."""
    obstacle: Undecidable | None = None
    """Why there is no test at all."""
    decided: bool
    """Whether the test could decide something and its adjusted p is at most alpha."""
    paired: bool
    """Whether train seeds are paired, as those of the same checkpoints are."""
    sentence: str = ""
    """The conclusion in words."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The numbers of train seeds, once where both are the same."""
        return tuple(dict.fromkeys((self.num_seeds_x, self.num_seeds_y)))

    @property
    def undecidable(self) -> Undecidable | None:
        """Why nothing can be decided, whatever the scores are; None where something can."""
        if self.obstacle:
            return self.obstacle
        if self.smallest_p > ALPHA:
            return "smallest p above alpha"
        return None if are_enough(min(self.seeds), self.num_games) else "too few train seeds"

    @property
    def verdict(self) -> Verdict:
        """What the test says."""
        if self.decided and not self.undecidable:
            return "decided"
        if self.equivalent:
            return "equivalent"
        return "undecidable" if self.undecidable else "not decided"

    @property
    def better(self) -> str | None:
        """The agent that is shown to be the more robust one, or in clean play the better one; None where none is."""
        if self.agent_y is None or self.verdict != "decided" or not abs(self.effect.value) > 0:
            return None
        return self.agent_x if self.effect.value > 0 else self.agent_y

    def columns(self) -> dict[str, Any]:
        """Return the row as its CSV file has it; a test against clean play is about one agent, paired by itself.

        Where the test can find no effect of any size, `detectable` is empty and `detectable_note` says why.
        """
        flat = super().columns()
        is_blind = math.isinf(self.detectable)
        reason = self.undecidable or "smallest p above alpha over the pairs"
        flat |= {"detectable": math.nan if is_blind else self.detectable, "detectable_note": reason if is_blind else ""}
        if self.agent_y is not None:
            return flat
        sentence, agent, num_seeds = (flat.pop(name) for name in ("sentence", "agent_x", "num_seeds_x"))
        for name in ("agent_y", "num_seeds_y", "paired", "clean_y", "left_out"):
            del flat[name]
        flat["clean"] = flat.pop("clean_x")
        return {"agent": agent, **flat, "num_seeds": num_seeds, "sentence": sentence}


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Return the items by a key, the groups in the order of their first items.

    Args:
        items: Rows, or any other items.
        key: Called with each item; it returns the key of the item's group.
    """
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def is_table(value: object) -> TypeGuard[tuple[Row, ...]]:
    """Whether a value is a table that has any row.

    Args:
        value: Any field of a summary.
    """
    return isinstance(value, tuple) and bool(value) and isinstance(value[0], Row)


def frame_of(rows: Sequence[Row]) -> pd.DataFrame:
    """Return rows of one type as a data frame with the columns of their CSV file.

    Args:
        rows: Any table of a summary; without rows the data frame has no columns.
    """
    table = pd.DataFrame([row.columns() for row in rows])
    return table.astype({"severity": "Int64"}) if "severity" in table else table
