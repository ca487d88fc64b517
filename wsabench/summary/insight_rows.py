"""The rows of what one average does not show: across agents, train seeds, families, normalisers and games."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import ClassVar, Literal

from wsabench.stats import NormaliserName
from wsabench.summary.rows import Bounded, Measure, Row

Analysis = Literal[
    "effective robustness",
    "rank correlation",
    "components of variance",
    "worst family and cells",
    "normalisers",
    "games",
]
TailKind = Literal["worst family", "worst quarter of cells"]
ComponentName = Literal["train seed", "cell x train seed", "episode"]


class CheckpointRow(Row, frozen=True, kw_only=True):
    """One train seed of an agent, over the games and perturbed cells that all compared agents played."""

    agent: str
    train_seed: int
    clean: float
    """Clean normalised score, mean over the games."""
    perturbed: float
    """Perturbed normalised score, mean over the cells of each game, then over games."""


class EffectiveRow(Row, frozen=True, kw_only=True):
    """By how much an agent's perturbed score lies above the line through the other agents."""

    main: ClassVar[str] = "value"
    agent: str
    value: Bounded
    """Perturbed normalised score above the line, with its interval over agents of the line and own train seeds."""
    clean: float
    """Mean over train seeds of the checkpoints' clean scores."""
    perturbed: float
    """Mean over train seeds of their perturbed scores."""
    slope: float
    """Slope of the line through all agents."""
    intercept: float
    """Intercept of that line."""
    num_seeds: int
    num_games: int
    note: str


class CorrelationRow(Row, frozen=True, kw_only=True):
    """Spearman's correlation of the agents' clean and perturbed scores."""

    main: ClassVar[str] = "value"
    family: str
    """Family of the perturbations, or `all perturbations`."""
    value: Bounded
    """The correlation, -1 to 1, with its interval over agents."""
    num_agents: int
    note: str


class ComponentRow(Row, frozen=True, kw_only=True):
    """One component of the variance of an agent's episodes in a game."""

    main: ClassVar[str] = "variance"
    agent: str
    game: str
    component: ComponentName
    variance: Bounded
    """Variance, in the unit of the normalised score squared."""
    share: float
    """Share of the component in the sum of all."""
    num_seeds: int
    num_cells: int
    num_episodes: int
    """Number of episodes in all."""


class TailRow(Row, frozen=True, kw_only=True):
    """The mean score of an agent's worst groups, chosen on one half of the episodes and measured on the other."""

    main: ClassVar[str] = "value"
    agent: str
    kind: TailKind
    value: Bounded
    """The mean normalised score, with its interval over train seeds."""
    naive: float
    """The mean score when groups are chosen and measured on the same episodes: too low."""
    chosen: str
    """The group that is chosen most often."""
    chosen_share: float
    """Share of the splits in which the group is among the chosen."""
    num_groups: int
    num_games: int
    num_seeds: int
    num_episodes: int
    """Number of episodes of each train seed in each cell."""
    note: str


class NormaliserRow(Row, frozen=True, kw_only=True):
    """An agent's mean perturbed score and rank under one normaliser."""

    agent: str
    normaliser: NormaliserName
    score: float
    """Mean score in units of the normaliser; NaN where it is defined in no game."""
    rank: float
    """The rank: 1 is the best, and equal agents share a rank."""
    num_games: int
    left_out: tuple[str, ...]
    """Games in which the normaliser is not defined for every agent."""


class AgreementRow(Row, frozen=True, kw_only=True):
    """How far two normalisers order the agents alike."""

    normaliser_x: NormaliserName
    normaliser_y: NormaliserName
    tau: float
    """Kendall's tau-b: 1 the same order, -1 reversed."""
    num_agents: int


class GameRow(Row, frozen=True, kw_only=True):
    """An agent's measure in one game, and its mean without this game."""

    agent: str
    game: str
    measure: Measure
    value: float
    """Mean over the perturbed cells that all compared agents played in the game."""
    error: float
    """Standard error over train seeds; NaN with one train seed, and for retention, whose error is not known."""
    without: float
    """Mean over all other games; NaN with one game."""
    capped_retention: float = math.nan
    """Beside a retention: the mean where each cell counts 1 at most. It and the next five are NaN for scores."""
    kept_share: float = math.nan
    """Share of cells that keep at least 0.8 of the clean score."""
    lost_share: float = math.nan
    """Share of cells that keep at most 0.1 of it."""
    without_capped_retention: float = math.nan
    """The capped retention over all other games."""
    without_kept_share: float = math.nan
    """The kept share over all other games."""
    without_lost_share: float = math.nan
    """The lost share over all other games."""
    num_seeds: int
    num_cells: int


class NewGameRow(Row, frozen=True, kw_only=True):
    """The mean of an agent's measure over games, and what one new game of their kind may bring."""

    agent: str
    measure: Measure
    mean: Bounded
    """The mean, with the interval for the mean over games of this kind."""
    new_game: Bounded
    """The mean again, with the interval for what a game not played yet will show."""
    between_sd: float
    """Standard deviation between games, without the noise of their values."""
    capped_retention: float = math.nan
    """Beside the mean of a retention, as in `GameRow`."""
    kept_share: float = math.nan
    lost_share: float = math.nan
    most_influential: str
    """The game without which the mean moves most."""
    num_games: int
    note: str


class ReasonRow(Row, frozen=True, kw_only=True):
    """Why an analysis has no numbers, or has none for some agents or games."""

    analysis: Analysis
    reason: str


@dataclass(frozen=True, slots=True)
class Insight:
    """What one average does not show, about the compared agents only; each table may be empty."""

    checkpoints: tuple[CheckpointRow, ...] = ()
    effective_robustness: tuple[EffectiveRow, ...] = ()
    rank_correlation: tuple[CorrelationRow, ...] = ()
    variance_components: tuple[ComponentRow, ...] = ()
    tails: tuple[TailRow, ...] = ()
    normalisers: tuple[NormaliserRow, ...] = ()
    normaliser_agreement: tuple[AgreementRow, ...] = ()
    per_game: tuple[GameRow, ...] = ()
    new_game: tuple[NewGameRow, ...] = ()
    too_few: tuple[ReasonRow, ...] = ()
    """One row for each analysis that the data are too few for."""

    def tables(self) -> dict[str, tuple[Row, ...]]:
        """Return the tables by the names of their files."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
