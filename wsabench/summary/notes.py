"""What a reader must know before believing a number, in plain sentences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from wsabench.fields import read_toml
from wsabench.resources import catalogue_files
from wsabench.results.manifest import Manifest, RecordedPlan
from wsabench.results.provenance import UNHASHED
from wsabench.results.records import CLEAN
from wsabench.results.result import compared_agents, drawing_agents, privileged_agents
from wsabench.stats import MIN_INTERVAL_SEEDS, MIN_TRAIN_SEEDS, are_enough
from wsabench.summary.averages import NOTABLE_SHIFT, undefined_note
from wsabench.summary.rows import AttentionRow, SampleRow, grouped
from wsabench.summary.scores import DYNAMICS, GameScores
from wsabench.summary.sentences import needed
from wsabench.words import counted, decimal

_MOST_NAMED = 4
"""More agents than this are counted where all have the same number of train seeds."""
_LEVELS = 5
"""Severities that `NAME@*` stands for."""


class Chosen(NamedTuple):
    """How the perturbations of a run compare with those that its suite lists in its profile."""

    kind: Literal["suite", "part of the suite", "own", "clean"]
    """`suite`: all that the suite lists; `part of the suite`: some of them, as only a user can have named them; `own`:
    others; `clean`: none at all."""
    names: tuple[str, ...]
    """The perturbations of the run, without clean."""
    num_listed: int | None = None
    """How many the suite lists in this profile; None where that depends on the game, or is not known."""


def chosen_of(plan: RecordedPlan) -> Chosen:
    """Return whether a run has the perturbations of its suite, or others that a user named.

    Args:
        plan: What was recorded of the run. A suite that the catalogue does not have is taken to be played whole. What
            a game cannot have, or what cannot be seen in it, still counts as played.
    """
    names = tuple(name for name in plan.perturbations if name != CLEAN)
    asked = _suite_perturbations(plan)
    if asked is None:
        return Chosen("suite", names)
    if not names:
        return Chosen("clean", names)
    listed, has_more = asked
    number = None if has_more else len(listed)
    impossible = {name for of_game in (*plan.refused.values(), *plan.misfits.values()) for name in of_game}
    extra = set(names) - listed
    if extra and (not has_more or extra == set(names)):
        return Chosen("own", names, number)
    return Chosen("suite" if listed - impossible <= set(names) else "part of the suite", names, number)


def _suite_perturbations(plan: RecordedPlan) -> tuple[set[str], bool] | None:
    """Return what the suite and profile of a run list, without clean, and whether games bring more of their own.

    None where the catalogue has no such suite or profile. Read as plain data: a report needs no perturbation.
    """
    path = catalogue_files("suites").get(plan.suite.name)
    if path is None:
        return None
    suite = read_toml(path)
    chosen = suite if plan.profile is None else suite | suite.get("profiles", {}).get(plan.profile, {})
    names = [str(name) for name in chosen.get("perturbations", ())]
    listed = {f"{name[:-1]}{level}" for name in names if name.endswith("@*") for level in range(1, _LEVELS + 1)}
    listed |= {name for name in names if not name.endswith("@*") and name != CLEAN}
    return listed, any(chosen.get(key) for key in ("patches", "recolorings", "modes", "difficulties"))


def notes_of(
    scores: Sequence[GameScores],
    samples: Sequence[SampleRow],
    attention: Sequence[AttentionRow],
    manifest: Manifest,
    family: Sequence[str] | None = None,
) -> list[str]:
    """Return the caveats of a result set in sentences, the most important first.

    Args:
        scores: Every agent and game.
        samples: The sample sizes.
        attention: The attention weights, maybe none.
        manifest: The result set's manifest.
        family: The declared family of tests; None: all perturbations.
    """
    return [
        *_profile_notes(manifest.plan),
        *_family_notes(family),
        *_copy_notes(manifest.plan),
        *_seed_notes(scores, manifest),
        *_agent_notes(scores, manifest),
        *_drawing_notes(manifest),
        *_reference_notes(scores),
        *_clean_notes(scores),
        *_dynamics_notes(scores),
        *_episode_notes(samples, manifest.plan),
        *_refusal_notes(manifest.plan),
        *_attention_notes(attention),
    ]


def _profile_notes(plan: RecordedPlan) -> list[str]:
    if plan.profile != "quick" or chosen_of(plan).kind != "suite":  # nobody who named perturbations chose a profile
        return []
    return [
        "The profile 'quick' shows that everything works and roughly where the agents stand. It is too small to "
        "compare them well: play a larger profile before you name a winner."
    ]


def _family_notes(family: Sequence[str] | None) -> list[str]:
    if family is None:
        return []
    return [
        f"Tests are about a declared family only: {', '.join(family)}. Their p values hold if it was declared before "
        "anybody looked at the scores."
    ]


def _copy_notes(plan: RecordedPlan) -> list[str]:
    """Say which train seeds are one and the same file under different paths: they tell nothing about training again."""
    notes: list[str] = []
    for (agent, game, content), entries in grouped(
        plan.agents, lambda entry: (entry.agent, entry.game, entry.checkpoint_hash)
    ).items():
        if content != UNHASHED and len({entry.source for entry in entries}) > 1:
            notes.append(
                f"{agent} on {game}: train seeds {_listed([entry.train_seed for entry in entries])} are the same file "
                "(equal SHA-256), one network counted several times: intervals over its train seeds are too narrow, "
                "and comparisons with it prove nothing. Play each network once."
            )
    return notes


def _seed_notes(scores: Sequence[GameScores], manifest: Manifest) -> list[str]:
    of_agents = grouped(scores, lambda game: game.agent)
    fewest = {agent: min(len(game.train_seeds) for game in of) for agent, of in of_agents.items()}
    num_games = {agent: max(1, sum(game.is_known for game in of)) for agent, of in of_agents.items()}
    low = {agent: count for agent, count in fewest.items() if count < MIN_TRAIN_SEEDS}
    few = {agent: count for agent, count in low.items() if not are_enough(count, num_games[agent])}
    together = {agent: count for agent, count in low.items() if agent not in few}
    notes: list[str] = []
    if few:
        enough = [agent for agent in compared_agents(list(fewest), manifest) if agent not in few]
        text = (
            f"Too few train seeds ({_seed_counts(few, fewest)}; {needed(min(num_games[agent] for agent in few))}): "
            f"nothing can be concluded about {'their ' if len(enough) > 1 else ''}training."
        )
        if any(count >= MIN_INTERVAL_SEEDS for count in few.values()):
            marks = " (marked † where others rest on more)" if len(few) < len(fewest) else ""
            text += f" Intervals over three or four train seeds{marks} rest on very little."
        if any(count < MIN_INTERVAL_SEEDS for count in few.values()):
            text += f" With fewer than {MIN_INTERVAL_SEEDS} train seeds there is no interval over train seeds."
        notes.append(text)
    if together:
        of_how_many = {num_games[agent] for agent in together}
        games = counted(of_how_many.pop(), "game") if len(of_how_many) == 1 else "several games"
        notes.append(
            f"Few train seeds in each game ({_seed_counts(together, fewest)}): averages over {games} rest on all their "
            f"trainings, but a statement about a single game needs at least {MIN_TRAIN_SEEDS}, and intervals there "
            "rest on very little."
        )
    return notes


def _seed_counts(some: Mapping[str, int], fewest: Mapping[str, int]) -> str:
    """Return how many train seeds some of the agents have; many agents with the same number are counted."""
    if len(some) > _MOST_NAMED and len(set(some.values())) == 1:
        whose = "all" if len(some) == len(fewest) else f"{len(some)} of {len(fewest)}"
        return f"{whose} agents have {next(iter(some.values()))}"
    return ", ".join(f"{agent} has {count}" for agent, count in some.items())


def _agent_notes(scores: Sequence[GameScores], manifest: Manifest) -> list[str]:
    privileged = privileged_agents(manifest)
    if not privileged:
        return []
    reads, them = ("reads", "it") if len(privileged) == 1 else ("read", "them")
    text = f"Privileged: {', '.join(sorted(privileged))} {reads} the emulator's memory, not only pixels."
    compared = compared_agents(list(dict.fromkeys(game.agent for game in scores)), manifest)
    if not privileged.isdisjoint(compared):
        return [
            f"{text} No agent of this run plays by pixels alone: nothing here is a claim about pixels, comparisons "
            "between agents included."
        ]
    few = "" if len(compared) > 1 else " That leaves no two agents to compare."
    return [
        f"{text} Tables of scores and figures show {them} for reference. Claims about pixels leave {them} out: "
        f"comparisons between agents, probabilities of improvement, ranks, bold and sentences.{few}"
    ]


def _drawing_notes(manifest: Manifest) -> list[str]:
    """Say which agents cannot be played again to the same numbers."""
    drawing = drawing_agents(manifest)
    if not drawing:
        return []
    return [
        f"Not repeatable: {', '.join(drawing)} answered otherwise when asked twice for the same. "
        f"{'It draws' if len(drawing) == 1 else 'They draw'} random numbers of "
        f"{'its' if len(drawing) == 1 else 'their'} own, or {'remembers' if len(drawing) == 1 else 'remember'} more "
        "than an episode: the same seeds need not give the same table."
    ]


def _reference_notes(scores: Sequence[GameScores]) -> list[str]:
    unknown = list(dict.fromkeys(game.game for game in scores if not game.is_known))
    if not unknown:
        return []
    which = "it" if len(unknown) == 1 else "them"
    others = f", and averages over games leave {which} out" if any(game.is_known for game in scores) else ""
    return [f"No reference scores for {', '.join(unknown)}: returns only, no normalised scores{others}."]


def _clean_notes(scores: Sequence[GameScores]) -> list[str]:
    notes: list[str] = []
    for game in scores:
        column = game.clean_column
        if column is None:
            notes.append(f"{game.agent} did not play {game.game} clean: no retention and no robustness gap.")
            continue
        failed = [seed for seed, score in zip(game.train_seeds, game.means[:, column], strict=True) if score <= 0]
        if failed:
            who, it = (f"train seed {failed[0]} is", "it counts in every average as it is, and has")
            if len(failed) > 1:
                who = f"train seeds {_listed(failed)} are"
                it = "they count in every average as they are, and have"
            notes.append(
                f"{game.agent} on {game.game}: {who} not better than random play even clean; {it} no retention of "
                f"{'its' if len(failed) == 1 else 'their'} own."
            )
        if undefined := undefined_note(game):
            notes.append(f"{game.agent}: {undefined}; averages of retention leave this game out.")
    return notes + _different_games_note(scores)


def _different_games_note(scores: Sequence[GameScores]) -> list[str]:
    """Say where agents' averages of retention are over different games."""
    games = {
        agent: [game.game for game in of if game.has_retention]
        for agent, of in grouped(scores, lambda game: game.agent).items()
    }
    defined = {agent: of for agent, of in games.items() if of}
    if len({frozenset(of) for of in defined.values()}) < 2:
        return []
    listed = "; ".join(f"{agent} {', '.join(of)}" for agent, of in defined.items())
    return [f"Averages of retention are over different games, so they do not compare agents: {listed}."]


def _dynamics_notes(scores: Sequence[GameScores]) -> list[str]:
    """Say where random play of the changed game is not known, and where it scores otherwise than of the unchanged."""
    unknown: dict[str, None] = {}
    moved: dict[str, None] = {}
    for game in scores:
        for cell, shift in zip(game.cells, game.random_shift, strict=True) if game.is_known else ():
            if DYNAMICS in cell.family and math.isnan(shift):
                unknown[f"{cell.label} on {game.game}"] = None
            elif abs(shift) > NOTABLE_SHIFT:
                moved[f"{cell.label} on {game.game} ({decimal(shift, has_plus=True)})"] = None
    notes: list[str] = []
    if unknown:
        notes.append(
            f"Random play was not played under changed dynamics ({_first(unknown)}): retention and gap there subtract "
            "what random play scores in the unchanged game, which the change may have moved."
        )
    if moved:
        notes.append(
            f"Changed dynamics move the score of random play by more than {NOTABLE_SHIFT:g} ({_first(moved)}): "
            "retention and gap there are above random play of the same changed game; both versions are shown."
        )
    return notes


def _first(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:4]) + (f" and {len(listed) - 4} more" if len(listed) > 4 else "")


def _episode_notes(samples: Sequence[SampleRow], plan: RecordedPlan) -> list[str]:
    notes: list[str] = []
    stalled = [(row, row.num_stalled) for row in samples if row.num_stalled]
    limited = [(row, row.num_time_limit) for row in samples if row.num_time_limit]
    for ended, what in ((stalled, "stalled"), (limited, "hit the frame limit")):
        if ended:
            counts = ", ".join(f"{row.agent} on {row.game} {count} of {row.num_episodes}" for row, count in ended)
            notes.append(f"Episodes that {what} (their return counts as it stood): {counts}.")
    lanes = list(plan.protocols().values()) or [plan.protocol]
    is_repeated = any(row.num_distinct_episodes < row.num_episodes for row in samples)
    if is_repeated and any(one.may_repeat_episodes for one in lanes):
        notes.append(
            "Greedy play without sticky actions repeats itself: intervals over episodes use the number of different "
            "episodes, which the tables show."
        )
    return [*notes, *_start_notes(plan)]


def _start_notes(plan: RecordedPlan) -> list[str]:
    """Say where each start was played once, and where means are therefore exact."""
    once = [job for job in plan.jobs if job.each_start_once]
    if not once:
        return []
    protocols = plan.protocols()
    whole = [job for job in once if (job.episodes or plan.episodes) == protocols[job.id].num_starts]
    said = (
        f"In {len(once)} of {counted(len(plan.jobs), 'job')} nothing but the start is left to chance, and each "
        "start was played once at most."
    )
    if whole:
        names = _first(dict.fromkeys(f"{job.agent} on {job.game}" for job in whole))
        said += (
            f" In {len(whole)} of them all were ({names}): these means are exact, and intervals over their episodes "
            "have no width."
        )
    return [said]


def _refusal_notes(plan: RecordedPlan) -> list[str]:
    return [
        *(
            f"Refused on {game}, because the agent could hardly see the change: {', '.join(labels)}."
            for game, labels in plan.refused.items()
            if labels
        ),
        *(
            f"Left out on {game}, because the game cannot have them: {', '.join(labels)}."
            for game, labels in plan.misfits.items()
            if labels
        ),
        *(
            f"Skipped for {one.agent} on {one.game}: {', '.join(one.perturbations)}. {one.reason}"
            for one in plan.skipped
        ),
    ]


def _attention_notes(attention: Sequence[AttentionRow]) -> list[str]:
    notes: list[str] = []
    clean = (row for row in attention if row.label == CLEAN)
    for (agent, game), rows in grouped(clean, lambda row: (row.agent, row.game)).items():
        top = max(rows, key=lambda row: row.mean)
        entropy = sum(row.entropy for row in rows) / len(rows)
        if len(rows) < 2:
            continue
        if entropy > math.log(len(rows)) - 1e-3 and max(row.sd for row in rows) < 1e-3:
            notes.append(
                f"The attention of {agent} on {game} is uniform and does not move: its scoring layer may be dead."
            )
        elif top.mean > 0.99:
            notes.append(f"The attention of {agent} on {game} rests on one encoder alone: {top.encoder}.")
    return notes


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(str(seed) for seed in seeds)
