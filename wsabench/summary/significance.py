"""Claims about agents: tests of declared families, each conclusion a plain sentence with its effect and interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from msgspec.structs import replace

from wsabench import stats
from wsabench.errors import SpecError, UnknownNameError, unknown_name
from wsabench.results.manifest import AgentId, RecordedPlan
from wsabench.results.records import CLEAN
from wsabench.seeding import generator
from wsabench.stats import MIN_TRAIN_SEEDS, Blocks
from wsabench.summary.aggregates import ALL_PERTURBATIONS, by_agent
from wsabench.summary.rows import ALPHA, Bounded, Claim, Measure
from wsabench.summary.scores import GameScores
from wsabench.summary.sentences import sentence_of
from wsabench.types import FloatArray

DECLARED_FAMILY = "declared family"
"""What stands for all perturbations of a family that leaves out some of the run."""
MEASURES_COMPARED: tuple[Measure, ...] = ("retention", "robustness_gap", "normalised_score")
"""What agents are compared by: the first that is defined for every train seed of both."""
_EACH = "each perturbation"


def checked_family(family: Sequence[str], labels: pd.DataFrame) -> tuple[str, ...]:
    """Return a declared family without repetitions.

    Args:
        family: Perturbations without severity.
        labels: The run's episodes, columns perturbation and label.

    Raises:
        SpecError: The family is empty or holds clean.
        UnknownNameError: The run has no such perturbation, or a name has a severity.
    """
    cells = labels.drop_duplicates("label")
    played = dict(zip(cells["label"].astype(str), cells["perturbation"].astype(str), strict=True))
    names = {name for name in played.values() if name != CLEAN}
    for name in family:
        if name == CLEAN:
            raise SpecError("The family of tests holds 'clean', against which the others are held. Leave it out.")
        if name in played and name not in names:
            raise UnknownNameError(
                f"The family of tests holds {name!r}: a comparison is about a perturbation over all severities that "
                f"were played. Use {played[name]!r}."
            )
        if name not in names:
            raise unknown_name("perturbation", name, names, "A family of tests names perturbations of the run.")
    if not family:
        raise SpecError("The family of tests is empty. Name at least one perturbation of the run.")
    return tuple(dict.fromkeys(family))


class Played(NamedTuple):
    """What one agent did in one game: one column for each perturbation, means over severities."""

    game: str
    train_seeds: tuple[int, ...]
    values: FloatArray
    """Shape (num_seeds, num_perturbations), NaN where the game has no such perturbation."""


def comparison_table(
    scores: Sequence[GameScores],
    bootstrap_seed: int,
    plan: RecordedPlan,
    family: Sequence[str] | None = None,
) -> tuple[Claim, ...]:
    """Compare the first agent with each other one: over all perturbations, then by one test for each perturbation.

    Args:
        scores: Every agent and game, the first agent first.
        bootstrap_seed: Fixes resampling and relabelling.
        plan: Tells which agents are the same checkpoint, whose seeds are paired.
        family: Perturbations (without severity) to test; None tests all that both agents played.

    Returns:
        The tests of each pair in two scopes: `all perturbations`, a family of one test, and `each perturbation`. A
        declared family that is smaller than what was played has `declared family` in place of the first. p is adjusted
        after Holm, within pair and scope.
    """
    agents = list(by_agent(scores).items())
    claims: list[Claim] = []
    for agent_y, games_y in agents[1:]:
        agent_x, games_x = agents[0]
        pairs = [(x, y) for x in games_x for y in games_y if x.game == y.game]
        every = _perturbations(pairs)
        names = [name for name in every if family is None or name in family]
        whole = ALL_PERTURBATIONS if names == every else DECLARED_FAMILY
        found = _first_defined(pairs, names)
        if found is None:
            continue
        measure, played = found
        paired = _same_checkpoints(agent_x, agent_y, pairs, plan)
        for scope, columns in ((whole, [whole]), (_EACH, names)):
            data = [tuple(_in_scope(one, scope) for one in pair) for pair in played]
            streams = (bootstrap_seed, agent_x, agent_y, measure, scope)
            about = {"agent_x": agent_x, "agent_y": agent_y, "scope": scope, "measure": measure, "paired": paired}
            claims += _claims(data, streams, columns, about)
    return tuple(claims)


def clean_comparison_table(
    scores: Sequence[GameScores], bootstrap_seed: int, family: Sequence[str] | None = None
) -> tuple[Claim, ...]:
    """Compare clean with perturbed play of each agent, paired within train seeds, by one test for each perturbation.

    Args:
        scores: Every agent and game.
        bootstrap_seed: Fixes resampling and relabelling.
        family: Perturbations (without severity) to test; None tests all.

    Returns:
        The tests of each agent, of its robustness gap. p is adjusted after Holm, within the agent.
    """
    claims: list[Claim] = []
    for agent, games in by_agent(scores).items():
        measured = [game for game in games if game.index(CLEAN) is not None and np.isfinite(game.scores).all()]
        names = [
            name for name in _perturbations([(game, game) for game in measured]) if family is None or name in family
        ]
        if not names:
            continue
        played = [_played(game, game, names, "robustness_gap") for game in measured]
        about = {"agent_x": agent, "agent_y": None, "scope": _EACH, "measure": "robustness_gap", "paired": True}
        claims += _claims([(one,) for one in played], (bootstrap_seed, agent, "clean"), names, about)
    return tuple(claims)


def _claims(
    data: Sequence[tuple[Played, ...]], streams: tuple[Any, ...], names: Sequence[str], about: dict[str, Any]
) -> list[Claim]:
    """Return one claim for each column, adjusted over all of them; columns that the same games have share their draws.

    Args:
        data: What the agents did in each game, one column for each name.
        streams: The bootstrap seed, and the names of the random streams.
        names: The perturbation of each column.
        about: The other fields that all of the claims share.
    """
    has = np.array([~np.isnan(pair[0].values).any(axis=0) for pair in data])
    tests: dict[int, dict[str, Any]] = {}
    for pattern in dict.fromkeys(map(tuple, has.T)):
        columns = [place for place in range(len(names)) if tuple(has[:, place]) == pattern]
        chosen = [pair for pair, wanted in zip(data, pattern, strict=True) if wanted]
        tests |= zip(columns, _tested(chosen, columns, streams, about["paired"]), strict=True)
    adjusted = stats.holm([tests[place]["p"] for place in range(len(names))])
    claims: list[Claim] = []
    for place, (name, p) in enumerate(zip(names, adjusted, strict=True)):
        test = tests[place]
        smallest_p = stats.smallest_adjusted_p(test.pop("smallest_p"), len(names))
        is_enough = min(test["num_seeds_x"], test["num_seeds_y"]) >= MIN_TRAIN_SEEDS
        claim = Claim(
            **about,
            **test,
            perturbation=name,
            adjusted_p=float(p),
            smallest_p=smallest_p,
            num_tests=len(names),
            decided=bool(p <= ALPHA and is_enough),
        )
        claims.append(replace(claim, sentence=sentence_of(claim)))
    return claims


def _tested(
    chosen: Sequence[tuple[Played, ...]], columns: list[int], streams: tuple[Any, ...], paired: bool
) -> list[dict[str, Any]]:
    """Return the raw tests of some columns that all these games have, as fields of a claim."""
    seed, *names = streams
    stream = (*names, *(pair[0].game for pair in chosen))
    samples: list[Blocks] = [[pair[k].values[:, columns] for pair in chosen] for k in range(len(chosen[0]))]
    draws = generator(seed, "permutation", *stream)
    if paired:
        differences = samples[0] if len(samples) == 1 else [_paired(*pair)[:, columns] for pair in chosen]
        samples = [differences]
        test = stats.sign_flip_test(differences, draws)
    else:
        test = stats.two_sample_test(samples[0], samples[1], draws)
    interval = stats.seed_interval(_difference, samples, generator(seed, "bootstrap", "comparison", *stream))
    seeds = [min(len(block) for block in sample) for sample in samples]
    return [
        {
            "effect": Bounded(float(test.effect[k]), float(interval.low[k]), float(interval.high[k])),
            "p": float(test.p[k]),
            "smallest_p": test.smallest_p,
            "num_seeds_x": seeds[0],
            "num_seeds_y": seeds[-1],
            "num_games": len(chosen),
        }
        for k in range(len(columns))
    ]


def _difference(*samples: Blocks) -> FloatArray:
    """Statistic: mean over games of the mean over train seeds; of two samples, the difference."""
    means = [np.mean([block.mean(axis=-2) for block in blocks], axis=0) for blocks in samples]
    return means[0] if len(means) == 1 else means[0] - means[1]


def _paired(x: Played, y: Played) -> FloatArray:
    common = [seed for seed in x.train_seeds if seed in y.train_seeds]
    rows = [[one.train_seeds.index(seed) for seed in common] for one in (x, y)]
    return x.values[rows[0]] - y.values[rows[1]]


def _first_defined(
    pairs: Sequence[tuple[GameScores, GameScores]], names: Sequence[str]
) -> tuple[Measure, list[tuple[Played, Played]]] | None:
    """Return the first measure that every train seed has, and its values; None where there is none."""
    if not pairs or not names:
        return None
    for measure in MEASURES_COMPARED:
        played = [(_played(x, y, names, measure), _played(y, x, names, measure)) for x, y in pairs]
        shared = [np.array([bool(_shared(x, y, name)) for name in names]) for x, y in pairs]
        if all(np.isfinite(one.values[:, has]).all() for pair, has in zip(played, shared, strict=True) for one in pair):
            return measure, played
    return None


def _played(game: GameScores, other: GameScores, names: Sequence[str], measure: str) -> Played:
    """Return a game's values over the severities that another agent played too; above 0 speaks for the agent.

    Only against itself, that is clean against perturbed, the robustness gap keeps its sign.
    """
    values = np.full((len(game.train_seeds), len(names)), np.nan)
    scores = game.scores.mean(axis=2)
    clean = game.index(CLEAN)
    of_clean = np.full(len(scores), np.nan) if clean is None else scores[:, clean]
    for place, name in enumerate(names):
        if shared := _shared(game, other, name):
            perturbed = scores[:, shared]
            start = np.broadcast_to(of_clean[:, None], perturbed.shape)
            if measure == "retention":
                perturbed = stats.retention(start, perturbed)
            elif measure == "robustness_gap":
                perturbed = stats.robustness_gap(start, perturbed) * (1.0 if game is other else -1.0)
            values[:, place] = perturbed.mean(axis=1)
    return Played(game.game, game.train_seeds, values)


def _shared(game: GameScores, other: GameScores, name: str) -> list[int]:
    """Return the columns of a perturbation's cells that another agent played too."""
    return [
        column
        for column, cell in enumerate(game.cells)
        if cell.perturbation == name and other.index(cell.label) is not None
    ]


def _in_scope(played: Played, scope: str) -> Played:
    if scope == _EACH:
        return played
    has = ~np.isnan(played.values).any(axis=0)
    whole = played.values[:, has].mean(axis=1) if has.any() else np.full(len(played.values), np.nan)
    return played._replace(values=whole[:, None])


def _perturbations(pairs: Sequence[tuple[GameScores, GameScores]]) -> list[str]:
    """Return the perturbations, without severity, that both agents of any pair played."""
    names: dict[str, None] = {}
    for x, y in pairs:
        for cell in x.cells:
            if cell.label != CLEAN and y.index(cell.label) is not None:
                names[cell.perturbation] = None
    return list(names)


def _same_checkpoints(
    agent_x: str, agent_y: str, pairs: Sequence[tuple[GameScores, GameScores]], plan: RecordedPlan
) -> bool:
    """Whether two agents are the same trained networks, evaluated twice."""
    hashes = {entry.id: entry.checkpoint_hash for entry in plan.agents}

    def is_same(game: str, seed: int) -> bool:
        found = hashes.get(AgentId(agent_x, seed, game))
        return found is not None and found == hashes.get(AgentId(agent_y, seed, game))

    return all(
        x.train_seeds == y.train_seeds and all(is_same(x.game, seed) for seed in x.train_seeds) for x, y in pairs
    )
