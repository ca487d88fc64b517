"""Both ways to resample train seeds, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from wsabench.report.tables.text import Table, estimate
from wsabench.summary.rows import METRICS, AggregateRow, grouped
from wsabench.summary.summarise import Summary


def resampling_table(summary: Summary) -> Table | None:
    """Return the aggregates of normalised scores with the joint and with rliable's interval.

    Args:
        summary: The numbers.

    Returns:
        Two lines for each scope and agent; None where rliable gives no interval.
    """
    shown = [row for row in summary.aggregates if row.rliable.has_bounds]
    rows: list[tuple[str, ...]] = []
    for scope, of_scope in grouped(shown, lambda row: row.scope).items():
        for agent, part in grouped(of_scope, lambda row: row.agent).items():
            reasons = "; ".join(dict.fromkeys(row.difference for row in part if row.difference))
            rows.append((scope, agent, "joint", *_entries(part, "joint"), ""))
            rows.append((scope, agent, "rliable", *_entries(part, "rliable"), reasons))
    if not rows:
        return None
    columns = ("over", "agent", "resampling", *(metric.replace("_", " ") for metric in METRICS), "why they differ")
    caption = (
        "Normalised scores, 95% intervals. Joint: whole train seeds are drawn with all cells that their networks "
        "played, and bounds are corrected for few train seeds. rliable: its stratified bootstrap draws the train "
        "seeds of each cell by themselves and takes percentiles. Where one network plays several cells the luck that "
        "they share averages out there, and the interval is too narrow; conclusions rest on the joint one."
    )
    return Table("Aggregates by joint and by rliable's resampling", caption, columns, tuple(rows), 3)


def _entries(part: Sequence[AggregateRow], name: str) -> tuple[str, ...]:
    by_metric = {row.metric: estimate(row.bounded(name), row.num_seeds, row.num_games) for row in part}
    return tuple(by_metric.get(metric, "") for metric in METRICS)
