"""What a report opens with: the agents in tiers by decided comparisons, and one statement of what is not decided."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from wsabench.report.tables.results import WHOLES, games_of
from wsabench.report.tables.text import DASH, Entry, Table, estimate, number, percent, with_interval
from wsabench.results.records import CLEAN
from wsabench.stats import CLEAN_FLOOR, MIN_INTERVAL_SEEDS
from wsabench.summary.aggregates import ALL_PERTURBATIONS
from wsabench.summary.rows import Bounded, CheckpointsRow, Claim, Measure, MeasureRow, grouped
from wsabench.summary.sentences import Sentence, undecided_sentence
from wsabench.summary.significance import DECLARED_FAMILY
from wsabench.summary.summarise import Summary
from wsabench.words import counted

_BY: dict[Measure, str] = {
    "retention": "retention",
    "robustness_gap": "the robustness gap",
    "normalised_score": "the normalised score",
}
_MOST_TOLD = 4
"""More agents than this have their scores in the table and the figure alone."""
_RETENTION_CAPTION = (
    "Retention: the share that is kept; capped: where each cell counts 1 at most, so that gains do not pay for losses. "
    "Cells kept: those that keep at least 0.8."
)


class Tier(Struct, frozen=True):
    """Agents that stand beside each other: none is shown to be worse than another, but for circles (`tiers_of`)."""

    number: int
    """The place of the tier; 1 is the best."""
    agents: tuple[str, ...]
    """The agents, the best estimate first."""


class Answer(Struct, frozen=True):
    """What a report says first."""

    tiers: tuple[Tier, ...]
    """The compared agents in tiers."""
    table: Table
    """All agents, tier by tier, those without a tier last."""
    scores: tuple[str, ...]
    """One sentence for each agent, what it scores and keeps, and one on what the brackets are; none where the table and
    the tiers say it."""
    statement: str
    """What the tiers say, in one sentence."""
    undecided: Sentence | None
    """What cannot be decided, said on a page only here; None where everything can be."""

    @property
    def order(self) -> tuple[str, ...]:
        """The agents of the table, the first on top."""
        return tuple(row[1] for row in self.table.rows)


def tiers_of(agents: Sequence[str], claims: Iterable[Claim]) -> tuple[Tier, ...]:
    """Divide agents into tiers by what is decided between pairs of them.

    Args:
        agents: The agents, in the order that they have within a tier.
        claims: Tests between agents; those that decide nothing change nothing.

    Returns:
        The first tier holds the agents than which none is shown to be better. Then it is taken away, and the second
        tier holds the agents than which none of those that are left is shown to be better; and so on. So each agent
        below the first tier is beaten by some agent of the tier above its own. Where decided comparisons go in a
        circle, which no order can show, all agents that are left stand in one tier.
    """
    beaten: set[tuple[str, str]] = set()
    for claim in claims:
        if (better := claim.better) and claim.agent_y:
            beaten.add((claim.agent_y if better == claim.agent_x else claim.agent_x, better))
    tiers: list[Tier] = []
    left = list(agents)
    while left:
        unbeaten = [agent for agent in left if not any((agent, other) in beaten for other in left)] or left
        tiers.append(Tier(len(tiers) + 1, tuple(unbeaten)))
        left = [agent for agent in left if agent not in unbeaten]
    return tuple(tiers)


def answer_of(summary: Summary) -> Answer:
    """Return what a report opens with.

    Args:
        summary: The numbers.
    """
    claims = [claim for claim in summary.comparisons if claim.perturbation in WHOLES]
    measure = claims[0].measure if claims else _usual_measure(summary)
    whole = {row.agent: row for row in summary.measures if row.perturbation == ALL_PERTURBATIONS}
    compared = sorted(summary.compared, key=lambda agent: _place(whole.get(agent), measure))
    tiers = tiers_of(compared, claims)
    every = (*summary.comparisons, *summary.clean_comparisons)
    about = [claim for claim in every if claim.agent_x in summary.compared]
    return Answer(
        tiers=tiers,
        table=_table(summary, tiers, measure),
        scores=_scores(summary, [agent for tier in tiers for agent in tier.agents]),
        statement=_statement(tiers, claims, measure),
        undecided=undecided_sentence(about),
    )


def is_of_checkpoints(summary: Summary) -> bool:
    """Whether no agent has enough train seeds for an interval over them, so that intervals are over episodes instead.

    Args:
        summary: The numbers.
    """
    fewest = grouped(summary.samples, lambda row: row.agent).values()
    return all(min(row.num_seeds for row in of_agent) < MIN_INTERVAL_SEEDS for of_agent in fewest)


def _scores(summary: Summary, agents: Sequence[str]) -> tuple[str, ...]:
    """Return what agents score, clean and perturbed, where one agent stands alone or seeds are too few for intervals.

    Args:
        summary: The numbers.
        agents: The compared agents, the best first.
    """
    checkpoints = {row.agent: row for row in summary.these_checkpoints}
    if len(agents) > _MOST_TOLD or (len(agents) > 1 and not is_of_checkpoints(summary)):
        return ()
    whole = {row.agent: row for row in summary.measures if row.perturbation == ALL_PERTURBATIONS}
    told: list[str] = []
    has_intervals = False
    for agent in agents:
        row = _over_episodes(checkpoints[agent]) if agent in checkpoints else _over_seeds(summary, agent)
        if agent in whole and row is not None:
            told.append(_score_sentence(row, whole[agent].num_perturbations))
            has_intervals |= any(value.has_bounds for value in (row.clean, row.kept, row.retention))
    if has_intervals and is_of_checkpoints(summary):
        seeds = sum(checkpoints[agent].num_seeds for agent in agents)
        which = "this checkpoint" if seeds == 1 else "these checkpoints"
        told.append(f"Brackets: 95% interval over the episodes of {which}, not over other training runs.")
    elif has_intervals:
        told.append("Brackets: 95% interval over train seeds.")
    return tuple(told)


class _Scores(NamedTuple):
    """What is told of one agent, with one kind of interval."""

    agent: str
    clean: Bounded
    kept: Bounded
    retention: Bounded
    clean_return: float = math.nan
    kept_return: float = math.nan


def _over_episodes(row: CheckpointsRow) -> _Scores:
    clean, kept, retention = (value.over_episodes for value in (row.clean, row.kept, row.retention))
    return _Scores(row.agent, clean, kept, retention, row.clean_return, row.kept_return)


def _over_seeds(summary: Summary, agent: str) -> _Scores | None:
    """Return the scores of an agent with intervals over train seeds; None where it lacks clean or perturbed play."""
    of_agent = {
        row.scope: row
        for row in summary.aggregates
        if (row.agent, row.measure, row.metric) == (agent, "normalised_score", "mean")
    }
    whole = next((row for row in summary.measures if (row.agent, row.perturbation) == (agent, ALL_PERTURBATIONS)), None)
    if whole is None or not {CLEAN, ALL_PERTURBATIONS} <= of_agent.keys():
        return None
    return _Scores(agent, of_agent[CLEAN].value, of_agent[ALL_PERTURBATIONS].value, whole.retention)


def _score_sentence(row: _Scores, num_perturbations: int) -> str:
    """Return what an agent scores clean and under perturbations, and the share that is left."""
    clean, kept = _score(row.clean_return, row.clean), _score(row.kept_return, row.kept)
    under = f"under {counted(num_perturbations, 'perturbation')}{' on average' * (num_perturbations > 1)} {kept}"
    text = f"{row.agent}: {f'clean {clean}, {under}' if clean else under}"
    if math.isfinite(row.retention.value):
        text += f". It keeps {with_interval(row.retention)} of its clean normalised score"
    elif math.isfinite(row.clean.value):
        text += f". What share that is cannot be said: the clean score is not surely above {CLEAN_FLOOR:g}"
    return f"{text}."


def _score(mean_return: float, value: Bounded) -> str:
    """Return a score in words: the mean return, and the normalised score where there are references."""
    score = f"normalised score {with_interval(value)}" if math.isfinite(value.value) else ""
    if not math.isfinite(mean_return):
        return score
    return f"mean return {number(mean_return, 1)}" + (f" ({score})" if score else "")


def _usual_measure(summary: Summary) -> Measure:
    """Return what a single agent is told by: retention where it is defined."""
    has = any(row.perturbation == ALL_PERTURBATIONS and math.isfinite(row.retention.value) for row in summary.measures)
    return "retention" if has else "normalised_score"


def _place(row: MeasureRow | None, measure: Measure) -> tuple[bool, float]:
    """Return a key that sorts the best first and what has no number last."""
    if row is None:
        return True, 0.0
    value = {"retention": row.retention, "robustness_gap": row.robustness_gap}.get(measure, row.mean_score).value
    return math.isnan(value), 0.0 if math.isnan(value) else value if measure == "robustness_gap" else -value


def _table(summary: Summary, tiers: Sequence[Tier], measure: Measure) -> Table:
    whole = {row.agent: row for row in summary.measures if row.perturbation == ALL_PERTURBATIONS}
    seeds = grouped(summary.samples, lambda row: row.agent)
    shown = _shown(summary, whole, measure)
    is_alone = len(summary.compared) < 2
    ranked = [(DASH if is_alone else str(tier.number), agent) for tier in tiers for agent in tier.agents]
    ranked += [(DASH, agent) for agent in summary.agents if agent not in summary.compared]
    has_gap = measure == "robustness_gap"
    beside = ("cells lost",) if has_gap else ("capped", "cells kept", "cells lost")
    rows: list[tuple[str, ...]] = []
    for tier, agent in ranked:
        row = whole.get(agent)
        rows.append(
            (
                tier,
                agent,
                *shown[agent],
                *((DASH,) * len(beside) if row is None else _beside(row)[-len(beside) :]),
                "/".join(dict.fromkeys(str(sample.num_seeds) for sample in seeds.get(agent, ()))),
            )
        )
    columns = ("tier", "agent", "clean", "kept", "gap" if has_gap else "retention", *beside, "train seeds")
    caption = (
        "Clean and kept: mean normalised score, without and with perturbations. "
        + ("Gap: clean minus kept." if has_gap else _RETENTION_CAPTION)
        + " Cells lost: those that keep at most a tenth."
    )
    if len(summary.agents) > len(summary.compared):
        caption += " Without a tier: agents that read more than pixels are not compared with the others."
    elif is_alone:
        caption += " Without a tier: there is no other agent to compare with."
    if any(isinstance(cell, Entry) and cell.is_few for row in rows for cell in row):
        caption += " Intervals over three or four train seeds rest on very little."
    if summary.random_play:
        caption += f" {summary.random_play[0].agent} has no row: random play is 0."
    over = "the episodes of these checkpoints" if is_of_checkpoints(summary) else "train seeds"
    return Table("Agents in tiers", caption, columns, tuple(rows), 2, brackets=f"Brackets: 95% interval over {over}.")


def _shown(summary: Summary, whole: Mapping[str, MeasureRow], measure: Measure) -> dict[str, tuple[str, str, str]]:
    """Return the clean score, the kept score, and the share or loss of each agent, all with one kind of interval."""
    means = {
        (row.agent, row.scope): estimate(row.value, row.num_seeds, row.num_games)
        for row in summary.aggregates
        if (row.measure, row.metric) == ("normalised_score", "mean")
    }
    checkpoints = {row.agent: row for row in summary.these_checkpoints} if is_of_checkpoints(summary) else {}
    has_gap = measure == "robustness_gap"
    found: dict[str, tuple[str, str, str]] = {}
    for agent in summary.agents:
        row, one = whole.get(agent), checkpoints.get(agent)
        kept = "robustness_gap" if has_gap else "retention"
        left = DASH if row is None else estimate(row.bounded(kept), row.num_seeds, games_of(row, kept))
        if one is not None and (agent, CLEAN) in means and one.clean.over_episodes.has_bounds:
            values = _over_episodes(one)
            last = left if has_gap else with_interval(values.retention)
            found[agent] = with_interval(values.clean), with_interval(values.kept), last
        else:
            clean = means.get((agent, CLEAN)) or _cell_estimate(summary, agent)
            found[agent] = clean, means.get((agent, ALL_PERTURBATIONS), DASH), left
    return found


def _beside(row: MeasureRow) -> tuple[str, str, str]:
    """Return what stands beside an average of retention: the capped mean, and the shares of cells kept and lost."""
    return number(row.capped_retention.value), percent(row.kept_share), percent(row.lost_share)


def _cell_estimate(summary: Summary, agent: str) -> str:
    """Return an agent's own clean score where no average over common cells has it."""
    row = next((row for row in summary.perturbations if row.agent == agent and row.label == CLEAN), None)
    return DASH if row is None else estimate(row.normalised_score, row.num_seeds, row.num_games)


def _statement(tiers: Sequence[Tier], claims: Sequence[Claim], measure: Measure) -> str:
    agents = [agent for tier in tiers for agent in tier.agents]
    if len(agents) < 2:
        return ""
    over = (
        "the declared family" if any(claim.perturbation == DECLARED_FAMILY for claim in claims) else "all perturbations"
    )
    by = f"{_BY[measure]} over {over}"
    if len(tiers) == 1:
        open_ones = [claim for claim in claims if claim.undecidable is None]
        if not open_ones:
            return "These data do not rank the agents: all stand in one tier."
        return (
            f"No difference in {by} is decided, so all agents stand in one tier. That is no proof that they are alike."
        )
    top = tiers[0].agents
    who = top[0] if len(top) == 1 else f"{len(top)} agents"
    verb = "stands" if len(top) == 1 else "stand"
    return (
        f"{who} {verb} in the first of {len(tiers)} tiers by {by}: each agent below is shown to be less robust than "
        "some agent of the tier above; within a tier nothing is decided against anyone."
    )
