"""The tables of a report that hold its results, and the sentences about them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from wsabench.report.tables.text import DASH, METRIC_NAMES, Entry, Table, estimate, interval, number, percent
from wsabench.results.records import CLEAN
from wsabench.stats import CLEAN_FLOOR, MIN_INTERVAL_SEEDS, MIN_TRAIN_SEEDS, are_enough
from wsabench.summary.aggregates import ALL_PERTURBATIONS
from wsabench.summary.rows import (
    MEASURES,
    METRICS,
    RETENTION_METRICS,
    AttentionRow,
    CellRow,
    ImprovementRow,
    Measure,
    MeasureRow,
    PerturbationRow,
    grouped,
)
from wsabench.summary.sentences import Sentence
from wsabench.summary.significance import DECLARED_FAMILY
from wsabench.summary.summarise import Summary
from wsabench.words import counted

UNTOUCHED = "‡"
"""The mark of a cell in which every episode went as the clean one of the same network and episode seed."""

_BESIDE_RETENTION = ("capped retention", "cells kept", "cells lost", "games with retention")
BESIDE_CAPTION = (
    "Retention: mean over the games in which it is defined. Capped: each cell counts 1 at most, so that gains do not "
    "pay for collapse. Kept, lost: share of cells with retention of at least 0.8, of at most 0.1."
)
"""What stands below a table that has averages of retention."""
_BRACKETS = "Brackets: 95% interval over train seeds."
_OTHER_BRACKETS = " Other brackets: 95% interval over train seeds."
_CLEAN_RANDOM = ("retention, clean random", "gap, clean random")
_WHERE = "over the games with reference scores and the cells that all these agents played"
_MEASURE_NAMES: dict[Measure, str] = {"normalised_score": "normalised score", "retention": "retention"}
WHOLES = frozenset({ALL_PERTURBATIONS, DECLARED_FAMILY})
"""The names of rows that are about several perturbations together."""


def sample_size_table(summary: Summary) -> Table:
    """Return the sample sizes, which stand before every result."""
    columns = (
        "agent",
        "game",
        "train seeds",
        "cells",
        "episodes a cell",
        "episodes",
        "distinct",
        "stalled",
        "time limit",
        "clean score",
        "surely above, one-sided",
    )
    rows = tuple(
        (
            row.agent,
            row.game,
            f"{row.num_seeds} ({', '.join(map(str, row.train_seeds))})",
            str(row.num_cells),
            _range(row.fewest_episodes, row.episodes_per_cell),
            str(row.num_episodes),
            str(row.num_distinct_episodes),
            str(row.num_stalled),
            str(row.num_time_limit),
            number(row.clean_score),
            number(row.clean_low),
        )
        for row in summary.samples
    )
    caption = (
        "Stalled and time limit: episodes that were ended, with their return as it stood. Surely above: one-sided "
        "lower 95% bound of the clean score over the episodes of these checkpoints, no end of the two-sided interval; "
        f"retention is defined where it is above {CLEAN_FLOOR:g}."
    )
    return Table("Sample sizes", caption, columns, rows, 2)


def result_tables(summary: Summary, effects: dict[str, dict[str, float]]) -> list[Table]:
    """Return one table for each game, with every cell and agent.

    Args:
        summary: The numbers.
        effects: Mean change of the observation in grey levels by game and label, as the manifest has it.
    """
    columns = (
        "perturbation",
        "agent",
        "change, grey levels",
        "mean return",
        "normalised score",
        "score, these checkpoints only",
        "retention",
        "retention, these checkpoints only",
        "robustness gap",
        "stalled",
    )
    tables: list[Table] = []
    for game, part in grouped(summary.cells, lambda row: row.game).items():
        is_shifted = any(math.isfinite(row.gap_clean_random) for row in part)
        rows = [
            _result_row(row, effects.get(game, {}).get(label, math.nan))
            + (_above_clean_random(row) if is_shifted else ())
            for label, of_label in grouped(part, lambda row: row.label).items()
            for row in of_label
        ]
        caption = (
            "'These checkpoints only': two-sided 95% interval over their episodes. "
            "Change: mean absolute change of the 84x84 observation, of 255."
        )
        caption += _OTHER_BRACKETS if any(row.normalised_score.has_bounds for row in part) else ""
        if is_shifted:
            caption += (
                " Retention and gap are above random play of the same changed game; 'clean random': above random play "
                "of the unchanged game, where the two differ by more than 0.05."
            )
        if any(row.is_as_clean for row in part):
            caption += f" {UNTOUCHED}: no effect measured, every episode has the clean one's return, length and end."
        tables.append(
            Table(f"Results on {game}", caption, columns + (_CLEAN_RANDOM if is_shifted else ()), tuple(rows), 2)
        )
    return tables


def average_table(summary: Summary) -> Table | None:
    """Return the means over games; None where there is one game."""
    if summary.num_games == 1:
        return None
    rows = [
        (
            label,
            row.agent,
            str(row.num_games),
            *(estimate(row.measured(name), row.num_seeds, games_of(row, name)) for name in MEASURES),
            *((DASH,) * 4 if label == CLEAN else _beside_retention(row)),
        )
        for label, part in grouped(summary.perturbations, lambda row: row.label).items()
        for row in part
    ]
    columns = ("perturbation", "agent", "games", "normalised score", "retention", "robustness gap", *_BESIDE_RETENTION)
    caption = f"Mean over the games that have the perturbation. {BESIDE_CAPTION}"
    return Table("Mean over games", caption, columns, tuple(rows), 2, brackets=_BRACKETS)


def headline_table(summary: Summary) -> Table | None:
    """Return the clean and perturbed scores and the retention of each agent; None where nothing is perturbed."""
    rows: list[tuple[str, ...]] = []
    for agent, part in grouped(summary.aggregates, lambda row: row.agent).items():
        values = {
            (row.scope, row.measure, row.metric): estimate(row.value, row.num_seeds, row.num_games) for row in part
        }
        scores = (
            values.get((scope, "normalised_score", metric), DASH)
            for metric in ("iqm", "mean")
            for scope in (CLEAN, ALL_PERTURBATIONS)
        )
        kept = (values.get((ALL_PERTURBATIONS, "retention", metric), DASH) for metric in RETENTION_METRICS)
        games = next((row.num_retention_games for row in _over_all(summary) if row.agent == agent), 0)
        rows.append((agent, *scores, *kept, f"{games} of {summary.num_games}"))
    if not any(row.scope == ALL_PERTURBATIONS for row in summary.aggregates):
        return None
    heads = ("clean IQM", "perturbed IQM", "clean mean", "perturbed mean")
    columns = ("agent", *heads, "retention", *_BESIDE_RETENTION)
    caption = f"Scores are normalised, {_WHERE}. {BESIDE_CAPTION}"
    return Table("Clean and perturbed", caption, columns, tuple(rows), 1, brackets=_BRACKETS)


def aggregate_summary_table(summary: Summary) -> Table | None:
    """Return the aggregates of the normalised score, one row for each agent and scope; None where there are none."""
    scores = [row for row in summary.aggregates if row.measure == "normalised_score"]
    rows: list[tuple[str, ...]] = []
    for scope, part in grouped(scores, lambda row: row.scope).items():
        for agent, of_agent in grouped(part, lambda row: row.agent).items():
            values = {row.metric: estimate(row.value, row.num_seeds, row.num_games) for row in of_agent}
            rows.append((scope, agent, str(of_agent[0].num_cells), *(values[metric] for metric in METRICS)))
    if not rows:
        return None
    columns = ("over", "agent", "cells", *(METRIC_NAMES[metric] for metric in METRICS))
    caption = (
        f"Normalised score, {_WHERE}. Mean: severities of a perturbation first, then perturbations, then games; the "
        "others over cells and train seeds."
    )
    by = " by rliable's bootstrap" if summary.interval == "rliable" else ""
    return Table("Aggregates", caption, columns, tuple(rows), 2, brackets=f"{_BRACKETS[:-1]}{by}.")


def improvement_summary_tables(summary: Summary) -> list[Table]:
    """Return the probabilities of improvement, one table for each pair of agents."""
    tables: list[Table] = []
    for (agent_x, agent_y), pair in grouped(summary.improvement, lambda row: (row.agent_x, row.agent_y)).items():
        rows = []
        left_out = repeated_whole({row.label for row in pair}, summary)
        for label, part in grouped((row for row in pair if row.label not in left_out), lambda row: row.label).items():
            values = {row.measure: _probability(row) for row in part}
            rows.append((label, *(values.get(measure, DASH) for measure in _MEASURE_NAMES)))
        fewest = min(row.num_seeds for row in pair)
        why = f"fewer than {MIN_INTERVAL_SEEDS} train seeds"
        why = why if fewest < MIN_INTERVAL_SEEDS else "all train seeds fall the same way"
        caption = f"0.5: no difference; ties count half. No bracket: {why}."
        title = f"Probability that {agent_x} beats {agent_y}"
        columns = ("perturbation", *_MEASURE_NAMES.values())
        tables.append(Table(title, caption, columns, tuple(rows), 1, about=(agent_x, agent_y), brackets=_BRACKETS))
    return tables


def attention_tables(summary: Summary) -> list[Table]:
    """Return the attention weights, one table for each agent and game."""
    tables: list[Table] = []
    for (agent, game), part in grouped(summary.attention, lambda row: (row.agent, row.game)).items():
        encoders = list(dict.fromkeys(row.encoder for row in part))
        has_static, has_variance = (
            any(not math.isnan(value) for value in values)
            for values in zip(*((row.context_static_share, row.context_variance_share) for row in part), strict=True)
        )
        rows = []
        for label, of_label in grouped(part, lambda row: row.label).items():
            weights = {row.encoder: _weight(row) for row in of_label}
            first = of_label[0]  # these are the same for all encoders of a cell
            ends = [first.shift, first.entropy]
            ends += [first.context_static_share] * has_static + [first.context_variance_share] * has_variance
            rows.append((label, *(weights.get(name, DASH) for name in encoders), *map(number, ends)))
        seeds = max(row.num_seeds for row in part)
        spread = f", mean of {seeds} train seeds, in brackets the least and the greatest" if seeds > 1 else ""
        caption = (
            f"Mean weight over all steps{spread}. Shift: share of the weight that stands with other encoders than "
            f"under clean. Entropy in nats; uniform attention has {number(math.log(len(encoders)))}."
        )
        context = ("static steps",) * has_static + ("context's share of variance",) * has_variance
        columns = ("perturbation", *encoders, "shift", "entropy", *context)
        tables.append(Table(f"Attention of {agent} on {game}", caption, columns, tuple(rows), 1, about=(agent,)))
    return tables


def _weight(row: AttentionRow) -> str:
    """Return a mean weight, with its range over train seeds where there are several."""
    text = number(row.mean)
    return text if row.num_seeds < 2 else f"{text} [{number(row.seed_min)}, {number(row.seed_max)}]"


def headline(summary: Summary) -> list[Sentence]:
    """Return what the numbers say of the compared agents, in plain sentences that claim nothing beyond the sample."""
    sentences: list[Sentence] = []
    for agent in summary.compared:
        rows = [row for row in summary.perturbations if row.agent == agent]
        clean = next((row for row in rows if row.label == CLEAN), None)
        whole = next((row for row in _over_all(summary) if row.agent == agent), None)
        if not any(math.isfinite(row.normalised_score.value) for row in rows):
            sentences.append(Sentence(f"{agent}: no normalised score, because no reference scores are known."))
            continue
        text = f"{agent}: clean normalised score {_in_words(clean)}" if clean else f"{agent}: normalised score"
        if whole and math.isfinite(whole.mean_score.value):
            text += f"{',' if clean else ''} {number(whole.mean_score.value)} on average over {_scope(whole, summary)}"
            if math.isfinite(whole.retention.value):
                text += f"; keeps {_kept(whole, rows, summary)}"
            elif clean:
                text += "; retention is undefined, its clean score is not surely above the floor"
        sentences.append(Sentence(f"{text}."))
    return sentences


def repeated_whole(names: Iterable[str], summary: Summary) -> frozenset[str]:
    """Return the names of rows over all perturbations that say again what the row of the only perturbation says.

    Args:
        names: The names or labels of a table's rows.
        summary: The numbers.

    Returns:
        The names that the table leaves out: `WHOLES`, or none where there are several perturbations or where some
        agent's average is about fewer cells than it played.
    """
    perturbed = set(names) - {CLEAN, *WHOLES}
    return (
        frozenset() if len(perturbed) != 1 or any(is_over_less(row, summary) for row in _over_all(summary)) else WHOLES
    )


def is_over_less(whole: MeasureRow, summary: Summary) -> bool:
    """Whether an agent's row over all perturbations is about fewer cells than it played: those that all agents played.

    Args:
        whole: The agent's row over all perturbations.
        summary: The numbers.
    """
    own = sum(
        row.agent == whole.agent and row.label != CLEAN and math.isfinite(row.normalised_score.value)
        for row in summary.cells
    )
    return whole.num_cells < own


def _scope(whole: MeasureRow, summary: Summary) -> str:
    """Return what an average is over, `6 perturbations`."""
    count = whole.num_perturbations
    text = counted(count, "perturbation")
    return f"{text}, in what all agents played" if is_over_less(whole, summary) else text


def _kept(whole: MeasureRow, rows: Sequence[PerturbationRow], summary: Summary) -> str:
    """Return what an agent keeps of its clean score; the extremes where they are over the same cells as the mean."""
    text = f"{number(whole.retention.value)} of its clean score{' there' * is_over_less(whole, summary)}"
    text += f" ({number(whole.capped_retention.value)} where gains do not pay for losses)"
    shifted = [row for row in rows if row.label != CLEAN and math.isfinite(row.retention.value)]
    if shifted and not is_over_less(whole, summary):
        worst, best = (choose(shifted, key=lambda row: row.retention.value) for choose in (min, max))
        least, most = (number(row.retention.value) for row in (worst, best))
        alone = worst.label if len(shifted) == 1 else "each"
        text += f", {least} under {alone}" if least == most else f", least under {worst.label} ({least})"
        text += "" if least == most else f", most under {best.label} ({most})"
    return f"{text}, 0.8 or more in {percent(whole.kept_share)} of cells, at most 0.1 in {percent(whole.lost_share)}"


def _over_all(summary: Summary) -> list[MeasureRow]:
    return [row for row in summary.measures if row.perturbation == ALL_PERTURBATIONS]


def _beside_retention(row: PerturbationRow) -> tuple[str, ...]:
    """Return what stands beside an average of retention."""
    shares = (number(row.kept_share), number(row.lost_share))
    capped = estimate(row.capped_retention, row.num_seeds, row.num_retention_games)
    return (capped, *shares, f"{row.num_retention_games} of {row.num_games}")


def games_of(row: PerturbationRow | MeasureRow, measure: str) -> int:
    """Return how many games a measure of a row is over: retention leaves out those in which it is not defined.

    Args:
        row: A row over games.
        measure: The field of the measure.
    """
    return row.num_retention_games if measure in ("retention", "capped_retention") else row.num_games


def _above_clean_random(row: CellRow) -> tuple[str, ...]:
    return (number(row.retention_clean_random), number(row.gap_clean_random))


def _range(fewest: int, most: int) -> str:
    return str(most) if fewest == most else f"{fewest} to {most}"


def _in_words(row: PerturbationRow) -> str:
    """Return a normalised score for a sentence, which has no legend: too few train seeds are said."""
    text = estimate(row.normalised_score, MIN_TRAIN_SEEDS)
    if not are_enough(row.num_seeds, row.num_games):
        text += f" (only {counted(row.num_seeds, 'train seed')})"
    return text


def _probability(row: ImprovementRow) -> str:
    """Return a probability of improvement, which may be of few train seeds without an interval too."""
    text = estimate(row.value, row.num_seeds, row.num_games)
    if math.isfinite(row.value.value) and not row.value.has_bounds:
        return Entry(text, is_few=not are_enough(row.num_seeds, row.num_games))
    return text


def _result_row(row: CellRow, effect: float) -> tuple[str, ...]:
    is_clean, score = row.label == CLEAN, row.normalised_score
    return (
        f"{row.label} {UNTOUCHED}" if row.is_as_clean else row.label,
        row.agent,
        number(effect, 1),
        number(row.mean_return, 1),
        estimate(score, row.num_seeds),
        interval(score.episode_low, score.episode_high),
        DASH if is_clean else estimate(row.retention, row.num_seeds),
        DASH if is_clean else interval(row.retention.episode_low, row.retention.episode_high),
        DASH if is_clean else estimate(row.robustness_gap, row.num_seeds),
        f"{row.num_stalled}/{row.num_episodes}",
    )
