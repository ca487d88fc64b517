"""What a report opens with: the agents in tiers by decided comparisons, and one statement of what is not decided."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from msgspec import Struct

from wsabench.report.tables.results import WHOLES
from wsabench.report.tables.text import DASH, Entry, Table, estimate, number
from wsabench.results.records import CLEAN
from wsabench.summary.aggregates import ALL_PERTURBATIONS
from wsabench.summary.rows import Claim, Measure, MeasureRow
from wsabench.summary.sentences import Sentence, undecided_sentence
from wsabench.summary.significance import DECLARED_FAMILY
from wsabench.summary.summarise import Summary

_BY: dict[Measure, str] = {
    "retention": "retention",
    "robustness_gap": "the robustness gap",
    "normalised_score": "the normalised score",
}

_RETENTION_CAPTION = (
    "Retention: the share that is kept; capped: where each cell counts 1 at most, so that gains do not pay for losses. "
    "Cells kept: those that keep at least 0.8."
)


class Tier(Struct, frozen=True):
    """Agents among which nothing is decided against any one of them."""

    number: int
    """1 is the best."""
    agents: tuple[str, ...]
    """The greatest estimate first."""


class Answer(Struct, frozen=True):
    """What a report says first."""

    tiers: tuple[Tier, ...]
    """The compared agents."""
    table: Table
    statement: str
    """What the tiers say, a sentence."""
    undecided: Sentence | None
    """The only place where a page says what cannot be decided; None where everything can."""

    @property
    def order(self) -> tuple[str, ...]:
        """The agents of the table, the first on top."""
        return tuple(row[1] for row in self.table.rows)


def tiers_of(agents: Sequence[str], claims: Iterable[Claim]) -> tuple[Tier, ...]:
    """Divide agents into tiers by what is decided between pairs of them.

    Args:
        agents: The order within a tier.
        claims: Tests between agents; those that decide nothing change nothing.

    Returns:
        In the first tier are the agents that none is shown to be better than; in the second those of the others that
        none of the others is shown to be better than; and so on. So each agent below the first tier is beaten by some
        agent of the tier above its own. Where decided comparisons go in a circle, which no order can show, all of the
        circle stand in one tier.
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
    measure = summary.comparisons[0].measure if summary.comparisons else _usual_measure(summary)
    whole = {row.agent: row for row in summary.measures if row.perturbation == ALL_PERTURBATIONS}
    compared = sorted(summary.compared, key=lambda agent: _place(whole.get(agent), measure))
    claims = [claim for claim in summary.comparisons if claim.perturbation in WHOLES]
    tiers = tiers_of(compared, claims)
    every = (*summary.comparisons, *summary.clean_comparisons)
    about = [claim for claim in every if claim.agent_x in summary.compared]
    return Answer(
        tiers=tiers,
        table=_table(summary, tiers, measure),
        statement=_statement(tiers, claims, measure),
        undecided=undecided_sentence(about),
    )


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
    values = {
        (row.agent, row.scope): estimate(row.value, row.num_seeds)
        for row in summary.aggregates
        if (row.measure, row.metric) == ("normalised_score", "mean")
    }
    whole = {row.agent: row for row in summary.measures if row.perturbation == ALL_PERTURBATIONS}
    seeds: dict[str, list[int]] = {}
    for sample in summary.samples:
        seeds.setdefault(sample.agent, []).append(sample.num_seeds)
    ranked = [(str(tier.number), agent) for tier in tiers for agent in tier.agents]
    ranked += [(DASH, agent) for agent in summary.agents if agent not in summary.compared]
    has_gap = measure == "robustness_gap"
    heads = ("gap", "cells lost") if has_gap else ("retention", "capped", "cells kept", "cells lost")
    rows: list[tuple[str, ...]] = []
    for tier, agent in ranked:
        row = whole.get(agent)
        rows.append(
            (
                tier,
                agent,
                values.get((agent, CLEAN)) or _cell_estimate(summary, agent),
                values.get((agent, ALL_PERTURBATIONS), DASH),
                *((DASH,) * len(heads) if row is None else _left_of(row, has_gap=has_gap)),
                "/".join(map(str, dict.fromkeys(seeds.get(agent, ())))),
            )
        )
    columns = ("tier", "agent", "clean", "kept", *heads, "train seeds")
    caption = (
        "Clean and kept: mean normalised score, without and with perturbations. "
        + ("Gap: clean minus kept." if has_gap else _RETENTION_CAPTION)
        + " Cells lost: those that keep at most a tenth."
    )
    if len(summary.agents) > len(summary.compared):
        caption += " Without a tier: agents that read more than pixels are not compared with the others."
    if any(isinstance(cell, Entry) and cell.is_few for row in rows for cell in row):
        caption += " Intervals over three or four train seeds rest on very little."
    return Table(
        "Agents in tiers", caption, columns, tuple(rows), 2, brackets="Brackets: 95% interval over train seeds."
    )


def _left_of(row: MeasureRow, *, has_gap: bool) -> tuple[str, ...]:
    """Return the gap, or retention with what stands beside an average of it, and the share of cells that are lost."""
    kept, lost = (
        DASH if math.isnan(share) else f"{number(100 * share, 0)}%" for share in (row.kept_share, row.lost_share)
    )
    if has_gap:
        return estimate(row.robustness_gap, row.num_seeds), lost
    return estimate(row.retention, row.num_seeds), estimate(row.capped_retention, row.num_seeds), kept, lost


def _cell_estimate(summary: Summary, agent: str) -> str:
    """Return an agent's own clean score where no average over common cells has it."""
    row = next((row for row in summary.perturbations if row.agent == agent and row.label == CLEAN), None)
    return DASH if row is None else estimate(row.normalised_score, row.num_seeds)


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
