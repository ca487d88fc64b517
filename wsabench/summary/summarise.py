"""From a result set to the numbers of a report: tidy tables and the caveats that go with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

from wsabench.errors import ResultSetError
from wsabench.results.manifest import Manifest
from wsabench.results.records import CLEAN, with_labels
from wsabench.results.result import compared_agents, privileged_agents
from wsabench.seeding import integer_seed
from wsabench.summary.aggregates import aggregate_table, by_agent, improvement_table, profile_table, with_common_seeds
from wsabench.summary.attention import attention_table
from wsabench.summary.measures import cell_table, perturbation_table, seed_table, severity_table
from wsabench.summary.notes import notes_of
from wsabench.summary.scores import GameScores, agent_order, collect_scores, published_table, reference_scores
from wsabench.summary.sentences import sentences_of
from wsabench.summary.severity import default_baseline, measure_table, rank_table
from wsabench.summary.significance import checked_family, clean_comparison_table, comparison_table
from wsabench.summary.tables import groups_of, rows_of, rows_where


class Results(Protocol):
    """What is summarised: the tables of a result set."""

    @property
    def episodes(self) -> pd.DataFrame:
        """One row an episode."""
        ...

    @property
    def attention(self) -> pd.DataFrame:
        """One row a job and encoder, maybe none."""
        ...

    @property
    def manifest(self) -> Manifest:
        """What the run was."""
        ...


@dataclass(frozen=True, slots=True)
class Summary:
    """The numbers of a report.

    Bounds are 95% intervals: `_low`, `_high` over train seeds, `_episode_low`,
    `_episode_high` over episodes of these checkpoints only; NaN where there is none.
    """

    samples: pd.DataFrame
    """Sample sizes: agent, game, train_seeds, num_seeds, num_cells, episodes_per_cell, num_episodes,
    num_distinct_episodes, num_stalled, num_time_limit."""
    cells: pd.DataFrame
    """One row an agent, game and cell: counts, mean_return, the measures with bounds, note. `num_as_clean` counts the
    episodes whose return, length and end are those of the clean one."""
    perturbations: pd.DataFrame
    """One row an agent, perturbation and severity, averaged over games: the measures with bounds, note."""
    seeds: pd.DataFrame
    """One row an agent, train seed, game and cell: mean_return and the measures."""
    severities: pd.DataFrame
    """As `perturbations`, only those with a severity; clean as severity 0 of each curve."""
    aggregates: pd.DataFrame
    """agent, scope, measure, metric, value, low, high, num_seeds, num_cells, note."""
    improvement: pd.DataFrame
    """agent_x, agent_y, measure, label, value, low, high, num_seeds, num_cells, note."""
    profiles: pd.DataFrame
    """agent, threshold, value, low, high, num_seeds, num_cells, note."""
    attention: pd.DataFrame
    """agent, game, family, perturbation, severity, label, encoder, mean, seed_min, seed_max, sd, entropy, num_steps,
    num_seeds, context_static_share, context_variance_share, shift."""
    references: pd.DataFrame
    """game, random, human: the scores that stand for 0 and 1."""
    notes: tuple[str, ...]
    """Caveats in plain sentences, the weightiest first."""
    agents: tuple[str, ...]
    """The agents, in the order they were named."""
    compared: tuple[str, ...]
    """The agents among which claims are made (comparisons, improvement, ranks, sentences): those on pixels only, or
    all where all are privileged."""
    privileged: tuple[str, ...]
    """The agents of the run that read more than pixels, sorted."""
    bootstrap_seed: int
    """Fixes every interval; from the run's seed and the suite's hash."""
    comparisons: pd.DataFrame
    """Tests of the first compared agent against each other one, as `comparison_table` gives them, maybe none."""
    clean_comparisons: pd.DataFrame
    """Tests of clean against perturbed play; columns as `clean_comparison_table` gives them, maybe none."""
    measures: pd.DataFrame
    """Robustness over severities, one row an agent and perturbation; columns as `measure_table` gives them."""
    ranks: pd.DataFrame
    """Ranks of the compared agents, clean and under each perturbation, as `rank_table` gives them, maybe none."""
    published: pd.DataFrame
    """Scores from the literature for these games; columns as `published_table` gives them, maybe no row."""
    sentences: tuple[str, ...]
    """What the comparisons say, in plain sentences; what they cannot decide is said too."""
    family: tuple[str, ...] | None = None
    """The perturbations that the comparisons were declared to be about; None: all of the run."""


def summarise(result: Results, family: Sequence[str] | None = None) -> Summary:
    """Compute every number of a report.

    Args:
        result: A result set, complete or not; only its three tables are read.
        family: Perturbations, without severity, that claims are made about: one test each, corrected over all of them.
            None: every perturbation of the run. A smaller family decides with fewer train seeds.

    Returns:
        The summary. The same result set gives the same numbers, whatever the machine or the time.

    Raises:
        ResultSetError: There is no finished episode.
        SpecError: The family is empty or holds clean.
        UnknownNameError: The family names a perturbation that the run does not have.
    """
    if result.episodes.empty:
        raise ResultSetError("The result set has no finished episode. Start the same run again; it goes on by itself.")
    manifest, plan = result.manifest, result.manifest.plan
    episodes = with_labels(result.episodes)
    declared = None if family is None else checked_family(family, episodes)
    references = reference_scores(list(episodes["game"].unique()), plan)
    scores, notes = collect_scores(episodes, plan, references)
    if not scores:
        raise ResultSetError(
            "No cell is finished for every train seed. Start the same run again; it goes on by itself."
        )
    agents = tuple(agent_order(episodes, plan))
    compared = compared_agents(agents, manifest)
    square, seed_notes = with_common_seeds(scores)
    among, square_among = ([game for game in every if game.agent in compared] for every in (scores, square))
    bootstrap_seed = integer_seed(plan.seed, "bootstrap", plan.suite.content_hash)
    samples = _sample_table(scores, episodes)
    attention = attention_table(result.attention)
    perturbations = perturbation_table(scores, bootstrap_seed)
    planned, finished = (
        len(plan.jobs),
        len(episodes.drop_duplicates(["agent", "train_seed", "game", "label"])),
    )
    comparisons = comparison_table(among, bootstrap_seed, plan, declared)
    clean_comparisons = clean_comparison_table(scores, bootstrap_seed, declared)
    unfinished = [f"The run is not complete: {finished} of {planned} jobs are finished."] if finished < planned else []
    return Summary(
        samples=samples,
        cells=_with_ends(cell_table(scores, bootstrap_seed), episodes),
        perturbations=perturbations,
        seeds=seed_table(scores),
        severities=severity_table(perturbations),
        aggregates=aggregate_table(square, bootstrap_seed),
        improvement=improvement_table(square_among, bootstrap_seed),
        profiles=profile_table(square, bootstrap_seed),
        attention=attention,
        references=pd.DataFrame([{"game": game, **scores._asdict()} for game, scores in references.items()]),
        notes=(*unfinished, *notes_of(scores, samples, attention, manifest, declared), *notes, *seed_notes),
        agents=agents,
        compared=compared,
        privileged=tuple(sorted(privileged_agents(manifest))),
        bootstrap_seed=bootstrap_seed,
        comparisons=comparisons,
        clean_comparisons=clean_comparisons,
        measures=measure_table(scores, bootstrap_seed, default_baseline(by_agent(among or scores))),
        ranks=rank_table(square_among, bootstrap_seed),
        published=published_table(references),
        sentences=sentences_of(comparisons, clean_comparisons, compared),
        family=declared,
    )


def _sample_table(scores: Sequence[GameScores], episodes: pd.DataFrame) -> pd.DataFrame:
    """Return the sample sizes, one row an agent and game; ends are counted over all finished episodes."""
    rows: list[dict[str, Any]] = []
    for game in scores:
        part = episodes[(episodes["agent"] == game.agent) & (episodes["game"] == game.game)]
        rows.append(
            {
                "agent": game.agent,
                "game": game.game,
                "train_seeds": ", ".join(str(seed) for seed in game.train_seeds),
                "num_seeds": len(game.train_seeds),
                "num_cells": len(game.cells),
                "episodes_per_cell": game.returns.shape[2],
                "num_episodes": len(part),
                "num_distinct_episodes": int(game.distinct.sum()),
                "num_stalled": int((part["end"] == "stalled").sum()),
                "num_time_limit": int((part["end"] == "time_limit").sum()),
            }
        )
    return pd.DataFrame(rows)


def _with_ends(cells: pd.DataFrame, episodes: pd.DataFrame) -> pd.DataFrame:
    """Add the columns num_stalled, num_time_limit and num_as_clean to the table of cells."""
    keys = ["agent", "game", "label"]
    table = cells
    for end in ("stalled", "time_limit"):
        counts = {key: len(part) for key, part in groups_of(rows_where(episodes, end=end), *keys)}
        table = table.assign(**{f"num_{end}": [counts.get(tuple(row[k] for k in keys), 0) for row in rows_of(table)]})
    equal = {key: int(part["is_as_clean"].sum()) for key, part in groups_of(_beside_clean(episodes), *keys)}
    return table.assign(num_as_clean=[equal.get(tuple(row[k] for k in keys), 0) for row in rows_of(table)])


def _beside_clean(episodes: pd.DataFrame) -> pd.DataFrame:
    """Return the episodes with whether the clean one of the same network and seed had its return, length and end."""
    same, outcome = ["agent", "train_seed", "game", "episode_seed"], ["return", "length", "end"]
    clean = rows_where(episodes, label=CLEAN)[[*same, *outcome]]
    paired = episodes.merge(clean, how="left", on=same, suffixes=("", "_clean"))
    equal = [paired[name] == paired[f"{name}_clean"] for name in outcome]
    return paired.assign(is_as_clean=equal[0] & equal[1] & equal[2])
