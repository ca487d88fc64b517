"""From a result set to the numbers of a report: tidy tables and the caveats that go with them."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar, cast

import pandas as pd

from wsabench.errors import ResultSetError
from wsabench.machine import available_cores
from wsabench.processes import Share, call, shared
from wsabench.results.manifest import AgentId, Manifest, RecordedPlan
from wsabench.results.records import CLEAN
from wsabench.results.result import NO_LEDGER, compared_agents, part_advice, privileged_agents
from wsabench.results.tables import with_labels
from wsabench.seeding import integer_seed
from wsabench.stats import PageError
from wsabench.summary.aggregates import (
    aggregate_table,
    by_agent,
    common_play,
    improvement_table,
    profile_table,
    with_common_seeds,
)
from wsabench.summary.attention import attention_table
from wsabench.summary.insight import insight_of
from wsabench.summary.insight_rows import Insight
from wsabench.summary.measures import (
    Ends,
    cell_table,
    checkpoints_table,
    perturbation_table,
    seed_table,
    severity_table,
)
from wsabench.summary.notes import notes_of
from wsabench.summary.rliable_side import checked_interval, with_rliable, with_rliable_profiles
from wsabench.summary.rows import (
    AggregateRow,
    AttentionRow,
    CellRow,
    CheckpointsRow,
    Claim,
    DoseRow,
    ImprovementRow,
    IntervalKind,
    MeasureRow,
    PerturbationRow,
    ProfileRow,
    PublishedRow,
    RandomRow,
    RankRow,
    ReferenceRow,
    Row,
    SampleRow,
    SeedRow,
    grouped,
)
from wsabench.summary.scores import (
    GameScores,
    agent_order,
    collect_scores,
    published_table,
    random_means,
    reference_scores,
    without_random_play,
)
from wsabench.summary.sentences import Sentence, page_sentence, sensitivity_of, sentences_of
from wsabench.summary.severity import default_baseline, dose_table, measure_table, rank_table
from wsabench.summary.significance import (
    ClaimOptions,
    checked_options,
    clean_comparison_table,
    comparison_table,
    left_out_notes,
    page_error_of,
)
from wsabench.summary.stated import stated_notes
from wsabench.words import counted


class Results(Protocol):
    """What is summarised: the tables of a result set, and what is known of its origin."""

    @property
    def episodes(self) -> pd.DataFrame:
        """One row for each episode."""
        ...

    @property
    def attention(self) -> pd.DataFrame:
        """One row for each job and encoder, maybe none."""
        ...

    @property
    def manifest(self) -> Manifest:
        """The manifest: what was planned, and when and where it was played."""
        ...

    @property
    def has_ledger(self) -> bool:
        """Whether every shard was compared with a checksum."""
        ...


@dataclass(frozen=True, slots=True)
class Summary:
    """The numbers of a report: tables of typed rows, and what is said about them.

    `wsabench.summary.rows` says what the fields of a row mean; `frame_of` there gives a table as a data frame.
    """

    samples: tuple[SampleRow, ...]
    """Sample sizes, one row for each agent and game."""
    cells: tuple[CellRow, ...]
    """One row for each agent, game and cell."""
    perturbations: tuple[PerturbationRow, ...]
    """One row for each agent, perturbation and severity, averaged over games."""
    seeds: tuple[SeedRow, ...]
    """One row for each agent, train seed, game and cell."""
    severities: tuple[PerturbationRow, ...]
    """The perturbations that have a severity; clean is severity 0 of each curve."""
    aggregates: tuple[AggregateRow, ...]
    """Aggregates over cells and train seeds."""
    improvement: tuple[ImprovementRow, ...]
    """Probabilities that the first compared agent beats each other one."""
    profiles: tuple[ProfileRow, ...]
    """Performance profiles, point by point."""
    attention: tuple[AttentionRow, ...]
    """Attention weights, one row for each agent, game, cell and encoder, maybe none."""
    references: tuple[ReferenceRow, ...]
    """The scores of each game that stand for 0 and 1."""
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
    """The seed that fixes every interval; it comes from the run's seed and the suite's hash."""
    comparisons: tuple[Claim, ...]
    """Tests between compared agents: of all pairs, or of the pairs with one named agent; maybe none."""
    clean_comparisons: tuple[Claim, ...]
    """Tests of clean against perturbed play, maybe none."""
    measures: tuple[MeasureRow, ...]
    """Robustness over severities, one row for each agent and perturbation."""
    doses: tuple[DoseRow, ...]
    """Curves over the measured change of the observation, by agent, game and perturbation, maybe none."""
    ranks: tuple[RankRow, ...]
    """Ranks of the compared agents, clean and under each perturbation, maybe none."""
    published: tuple[PublishedRow, ...]
    """Scores from the literature for these games, maybe none."""
    sentences: tuple[Sentence, ...]
    """What the comparisons say; what they cannot decide is said too."""
    options: ClaimOptions
    """What claims are made about."""
    page_error: PageError | None
    """How often all claims together hold any false one; None where nothing can be claimed."""
    insight: Insight = field(default_factory=Insight)
    """What one average does not show, of the compared agents."""
    interval: IntervalKind = "joint"
    """How the aggregates and profiles are resampled."""
    these_checkpoints: tuple[CheckpointsRow, ...] = ()
    """Clean and kept score of agents with too few train seeds for an interval over train seeds, maybe none."""
    random_play: tuple[RandomRow, ...] = ()
    """What the built-in random agent scored, where it is a yardstick beside other agents and in no other table."""

    @property
    def num_games(self) -> int:
        """The number of games that have any cell."""
        return len({row.game for row in self.cells})

    @property
    def played(self) -> dict[str, PerturbationRow]:
        """The perturbations of the run by label, clean among them: the row of the first agent that has each."""
        return {label: rows[0] for label, rows in grouped(self.perturbations, lambda row: row.label).items()}


RowType = TypeVar("RowType", bound=Row)
MANY_AGENTS = 16
"""With so many agents or more, processes share the work; with fewer they would take longer to start than they save."""
MOST_PROCESSES = 8
"""At most so many processes share the work; each holds some 200 MB."""
_SAME, _OUTCOME = ["train_seed", "game", "episode_seed"], ["return", "length", "end"]
"""What an episode has in common with the clean one that it is held against, and what may be equal."""
_GOES_ON = "Start the same run again; it goes on by itself."


def summarise(
    result: Results,
    family: Sequence[str] | None = None,
    interval: str = "joint",
    *,
    compare_to: str | None = None,
    equivalence_margin: float | None = None,
) -> Summary:
    """Compute every number of a report.

    Args:
        result: A result set, complete or not; only what `Results` lists is read.
        family: The perturbations, without severity, that claims are made about: one test for each, corrected over all
            of them. None: every perturbation of the run. A smaller family finds smaller differences.
        interval: The interval of aggregates and profiles: `joint`, or `rliable` for rliable's own stratified bootstrap.
        compare_to: The agent with which each other agent is compared. None: all pairs are compared, of up to 20 agents.
        equivalence_margin: The largest difference that does not matter, in the unit of what is compared; None:
            nothing is claimed to be equivalent.

    Returns:
        The summary. The same result set gives the same numbers, whatever the machine or the time.

    Raises:
        ResultSetError: There is no finished episode, no cell is finished for every train seed, or an episode stands in
            the result set twice.
        SpecError: The family is empty or holds clean, the margin is not above 0, or more than 20 agents are to be
            compared without one to compare with.
        UnknownNameError: The family names a perturbation that the run does not have, `compare_to` no such agent,
            or there is no such interval.
    """
    if result.episodes.empty:
        raise ResultSetError(f"The result set has no finished episode. {part_advice(result.manifest) or _GOES_ON}")
    kind = checked_interval(interval)
    # They start while this process arranges the scores.
    with shared(num_processes(len(set(result.episodes["agent"]))), "wsabench-summary") as share:
        return _summary(result, family, kind, (compare_to, equivalence_margin), share)


def _summary(
    result: Results,
    family: Sequence[str] | None,
    kind: IntervalKind,
    claims: tuple[str | None, float | None],
    share: Share,
) -> Summary:
    manifest, plan = result.manifest, result.manifest.plan
    advice = part_advice(manifest)
    episodes = with_labels(result.episodes)
    unfinished = _unfinished(episodes, len(plan.jobs), advice)
    episodes, random_play = without_random_play(episodes, plan)
    references = reference_scores(list(episodes["game"].unique()), plan)
    scores, notes = collect_scores(episodes, plan, references, random_means(random_play))
    if not scores:
        raise ResultSetError(f"No cell is finished for every train seed. {advice or _GOES_ON}")
    agents = tuple(agent_order(episodes, plan))
    compared = compared_agents(agents, manifest)
    options = checked_options(family, *claims, episodes=episodes, compared=compared)
    common, common_notes = common_play(scores, compared)
    among, common_among = ([game for game in every if game.agent in compared] for every in (scores, common))
    bootstrap_seed = integer_seed(plan.seed, "bootstrap", plan.suite.content_hash)
    samples = _sample_table(scores, episodes)
    attention = attention_table(result.attention)
    ranks, perturbations = _ranks_and_perturbations(share, common_among, scores, bootstrap_seed)
    cells = _cells(share, scores, bootstrap_seed, _ends(share, episodes, plan))
    aggregates = _by_agent(share, partial(_aggregates, bootstrap_seed=bootstrap_seed, kind=kind), common)
    improvement = _improvement(share, common_among, bootstrap_seed)
    measures = measure_table(
        scores, bootstrap_seed, default_baseline(by_agent(among or scores)), common, plan.effects, share
    )
    comparisons = comparison_table(among, bootstrap_seed, plan, options, share)
    clean_comparisons = clean_comparison_table(scores, bootstrap_seed, compared, options, share)
    insight = insight_of(common_among, bootstrap_seed, share)
    of_common = {game.agent for game in common}
    whole = [*common, *(game for game in scores if game.agent not in of_common)]
    page_error = page_error_of(comparisons, clean_comparisons, compared)
    sentences = (
        *sentences_of((*comparisons, *clean_comparisons), compared),
        *sensitivity_of(comparisons),
        *page_sentence(page_error),
    )
    return Summary(
        samples=samples,
        cells=cells,
        perturbations=perturbations,
        seeds=seed_table(scores),
        severities=severity_table(perturbations),
        aggregates=aggregates,
        improvement=improvement,
        profiles=with_rliable_profiles(profile_table(common, bootstrap_seed, share), common, bootstrap_seed, kind),
        attention=attention,
        references=tuple(ReferenceRow(game=game, **known._asdict()) for game, known in references.items()),
        notes=(
            *unfinished,
            *notes_of(scores, samples, attention, manifest, options.family),
            *stated_notes(result.episodes, manifest),
            *left_out_notes(among, plan, comparisons),
            *notes,
            *common_notes,
            *with_common_seeds(common)[1],
            *([] if result.has_ledger else [NO_LEDGER]),
        ),
        agents=agents,
        compared=compared,
        privileged=tuple(sorted(privileged_agents(manifest))),
        bootstrap_seed=bootstrap_seed,
        comparisons=comparisons,
        clean_comparisons=clean_comparisons,
        measures=measures,
        doses=dose_table(cells, plan.effects),
        ranks=ranks,
        published=published_table(references),
        sentences=sentences,
        insight=insight,
        options=options,
        page_error=page_error,
        interval=kind,
        these_checkpoints=_by_agent(share, partial(checkpoints_table, bootstrap_seed=bootstrap_seed), whole),
        random_play=random_play,
    )


def _unfinished(episodes: pd.DataFrame, planned: int, advice: str) -> list[str]:
    """Return the note on jobs that are missing, with what to do about them; none where all are there."""
    missing = planned - len(episodes.drop_duplicates(["agent", "train_seed", "game", "label"]))
    if missing <= 0:
        return []
    return [f"The run is not complete: it lacks {missing} of {counted(planned, 'job')}. {advice}".strip()]


def num_processes(num_agents: int) -> int:
    """Return how many processes share the work on so many agents.

    1: this process does it alone, as a worker of a pool must.
    """
    if multiprocessing.current_process().daemon:
        return 1
    return min(available_cores(), MOST_PROCESSES) if num_agents >= MANY_AGENTS else 1


def _ranks_and_perturbations(
    share: Share, common: Sequence[GameScores], scores: Sequence[GameScores], bootstrap_seed: int
) -> tuple[tuple[RankRow, ...], tuple[PerturbationRow, ...]]:
    """Return both tables; ranks set all agents side by side and take long: one process has them first."""
    tables: list[Callable[[], tuple[Row, ...]]] = [
        partial(rank_table, common, bootstrap_seed),
        *(partial(perturbation_table, games, bootstrap_seed) for games in by_agent(scores).values()),
    ]
    ranks, *others = share(call, tables)
    every = tuple(row for rows in others for row in rows)
    return cast("tuple[RankRow, ...]", ranks), cast("tuple[PerturbationRow, ...]", every)


def _by_agent(
    share: Share, table: Callable[[Sequence[GameScores]], tuple[RowType, ...]], scores: Sequence[GameScores]
) -> tuple[RowType, ...]:
    """Return a table that holds the rows of one agent after the other."""
    return tuple(row for rows in share(table, list(by_agent(scores).values())) for row in rows)


def _cells(
    share: Share, scores: Sequence[GameScores], bootstrap_seed: int, ends: Mapping[tuple[str, str, str], Ends]
) -> tuple[CellRow, ...]:
    of_agent = {agent: dict[tuple[str, str, str], Ends]() for agent in by_agent(scores)}
    for key, counts in ends.items():
        if key[0] in of_agent:
            of_agent[key[0]][key] = counts
    items = [(games, of_agent[agent]) for agent, games in by_agent(scores).items()]
    rows = share(partial(_cells_of, bootstrap_seed=bootstrap_seed), items)
    return tuple(row for of in rows for row in of)


def _cells_of(
    item: tuple[Sequence[GameScores], Mapping[tuple[str, str, str], Ends]], bootstrap_seed: int
) -> tuple[CellRow, ...]:
    return cell_table(item[0], bootstrap_seed, item[1])


def _aggregates(scores: Sequence[GameScores], bootstrap_seed: int, kind: IntervalKind) -> tuple[AggregateRow, ...]:
    return with_rliable(aggregate_table(scores, bootstrap_seed), scores, bootstrap_seed, kind)


def _improvement(share: Share, scores: Sequence[GameScores], bootstrap_seed: int) -> tuple[ImprovementRow, ...]:
    first, *others = by_agent(with_common_seeds(scores)[0]).values() or [[]]
    pairs = [[*first, *other] for other in others]
    rows = share(partial(improvement_table, bootstrap_seed=bootstrap_seed), pairs)
    return tuple(row for of in rows for row in of)


def _sample_table(scores: Sequence[GameScores], episodes: pd.DataFrame) -> tuple[SampleRow, ...]:
    """Return the sample sizes, one row for each agent and game, over the cells that all its train seeds finished."""
    labelled = episodes[["label", "end"]]
    places = episodes.groupby(["agent", "game"], observed=True).indices
    rows: list[SampleRow] = []
    for game in scores:
        bound = game.clean_bound
        played = labelled.iloc[places[game.agent, game.game]]
        ends = played.loc[played["label"].isin(game.labels), "end"]
        rows.append(
            SampleRow(
                agent=game.agent,
                game=game.game,
                train_seeds=game.train_seeds,
                num_seeds=len(game.train_seeds),
                num_cells=len(game.cells),
                episodes_per_cell=int(game.num_episodes.max()),
                num_episodes=len(ends),
                num_distinct_episodes=int(game.distinct.sum()),
                num_stalled=int((ends == "stalled").sum()),
                num_time_limit=int((ends == "time_limit").sum()),
                fewest_episodes=int(game.num_episodes.min()),
                clean_score=math.nan if bound is None else bound.value,
                clean_low=math.nan if bound is None else bound.low,
                has_retention=game.has_retention,
            )
        )
    return tuple(rows)


def _ends(share: Share, episodes: pd.DataFrame, plan: RecordedPlan) -> dict[tuple[str, str, str], Ends]:
    """Return, by agent, game and label, how the episodes ended, beside the clean ones of the same network and seed.

    Where clean play took each start once, an episode stands beside the clean one of its start: another cell, in which
    more is left to chance, has other starts under the same episode seeds.
    """
    once = {job.id for job in plan.jobs if job.each_start_once and job.perturbation == CLEAN}
    if once:
        ids = episodes[["agent", "train_seed", "game"]].itertuples(index=False, name=None)
        has_start = [AgentId(*one) in once for one in ids]
        episodes = episodes.assign(episode_seed=episodes["episode_seed"].mask(has_start, episodes["noops"]))
    columns = ["agent", "label", *_SAME, *_OUTCOME]
    # Pairs of all episodes at once would be gigabytes.
    parts = [
        (str(agent), cast("pd.DataFrame", part[columns[1:]]))
        for agent, part in episodes[columns].groupby("agent", observed=True)
    ]
    return {key: ends for of_agent in share(_ends_of, parts) for key, ends in of_agent.items()}


def _ends_of(one: tuple[str, pd.DataFrame]) -> dict[tuple[str, str, str], Ends]:
    agent, part = one
    clean = part.loc[part["label"] == CLEAN, [*_SAME, *_OUTCOME]]
    paired = part.merge(clean, how="left", on=_SAME, suffixes=("", "_clean"))
    equal = [paired[name] == paired[f"{name}_clean"] for name in _OUTCOME]
    counted = paired[["game", "label"]].assign(
        num_stalled=paired["end"] == "stalled",
        num_time_limit=paired["end"] == "time_limit",
        num_as_clean=equal[0] & equal[1] & equal[2],
    )
    sums = counted.groupby(["game", "label"]).sum()
    return {(agent, *key): Ends(*map(int, row)) for key, *row in sums.itertuples(name=None)}
