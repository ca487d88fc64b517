"""Claims about agents: tests of declared families, each conclusion a plain sentence with its effect and interval."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from msgspec.structs import replace

from wsabench import stats
from wsabench.errors import SpecError, UnknownNameError, unknown_name
from wsabench.processes import Share, here
from wsabench.results.manifest import RecordedPlan
from wsabench.results.records import CLEAN
from wsabench.seeding import generator
from wsabench.stats import MIN_RATIO_SEEDS, ClaimFamily, EquivalenceTest, FamilyTest, PageError
from wsabench.stats.claims.comparisons import DRAWN
from wsabench.summary.aggregates import ALL_PERTURBATIONS, by_agent
from wsabench.summary.pairs import MEASURE_OF_SUITE, Pair, clean_pair_of, obstacle_of, pair_in_clean_play, pair_of
from wsabench.summary.rows import ALPHA, EACH_PERTURBATION, Bounded, Claim, grouped
from wsabench.summary.scores import GameScores
from wsabench.summary.sentences import sentence_of
from wsabench.types import FloatArray
from wsabench.words import decimal

DECLARED_FAMILY = "declared family"
"""Stands in place of `all perturbations` where a declared family leaves out some perturbations of the run."""
MOST_AGENTS = 20
"""Up to so many agents, all pairs are compared; with more agents, only the pairs with one agent that is named."""
_DRAWS_PER_PAIR = 10 / ALPHA
"""Relabellings that are drawn for each pair, so that p stays fine enough when it is multiplied by their number."""


class ClaimOptions(NamedTuple):
    """What claims are made about, declared before looking at the scores."""

    family: tuple[str, ...] | None = None
    """The perturbations, without severity, that claims are made about; None: all perturbations of the run."""
    compare_to: str | None = None
    """The agent with which each other agent is compared; None: all pairs are compared."""
    equivalence_margin: float | None = None
    """The largest difference that does not matter, in the measure's unit; None: nothing is claimed to be equivalent."""


def checked_options(
    family: Sequence[str] | None,
    compare_to: str | None,
    equivalence_margin: float | None,
    *,
    episodes: pd.DataFrame,
    compared: Collection[str],
) -> ClaimOptions:
    """Return what claims are made about.

    Args:
        family: The perturbations, without severity, that claims are made about.
        compare_to: The agent with which each other agent is compared.
        equivalence_margin: The largest difference that does not matter.
        episodes: The run's episodes, with the columns `perturbation` and `label`.
        compared: The agents that are compared.

    Raises:
        SpecError: The family is empty or holds clean, the margin is not above 0, or there are more than 20 agents and
            none is named to compare with.
        UnknownNameError: The run has no such perturbation or compared agent, or a perturbation has a severity.
    """
    declared = None if family is None else checked_family(family, episodes)
    if compare_to is not None and compare_to not in compared:
        raise unknown_name("agent", compare_to, compared, "--compare-to names an agent that is compared with others.")
    if compare_to is None and len(compared) > MOST_AGENTS:
        raise SpecError(
            f"The run has {len(compared)} agents, which make {math.comb(len(compared), 2):,} pairs: with so many "
            f"hardly anything could be decided. Allowed: all pairs of up to {MOST_AGENTS} agents. Name the one that "
            "each other agent is compared with: --compare-to NAME."
        )
    if equivalence_margin is not None and not (math.isfinite(equivalence_margin) and equivalence_margin > 0):
        raise SpecError(
            f"The equivalence margin is {equivalence_margin:g}. Allowed: numbers above 0 in the measure's unit, such "
            "as 0.05."
        )
    return ClaimOptions(declared, compare_to, equivalence_margin)


def checked_family(family: Sequence[str], episodes: pd.DataFrame) -> tuple[str, ...]:
    """Return a declared family without repetitions.

    Args:
        family: The perturbations, without severity, that claims are made about.
        episodes: The run's episodes, with the columns `perturbation` and `label`.

    Raises:
        SpecError: The family is empty or holds clean.
        UnknownNameError: The run has no such perturbation, or a name has a severity.
    """
    cells = episodes.drop_duplicates("label")
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


class _Family(NamedTuple):
    """The tests of one pair in one scope."""

    pair: Pair
    scope: str
    names: tuple[str, ...]
    x: list[FloatArray]
    y: list[FloatArray] | None


class _Tested(NamedTuple):
    """What the tests of one pair say by themselves."""

    test: FamilyTest
    equivalence: EquivalenceTest | None
    detectable: FloatArray


def comparison_table(
    scores: Sequence[GameScores],
    bootstrap_seed: int,
    plan: RecordedPlan,
    options: ClaimOptions,
    share: Share = here,
) -> tuple[Claim, ...]:
    """Compare each pair of agents: clean, over all perturbations, then by one test for each perturbation.

    Args:
        scores: Every agent and game.
        bootstrap_seed: Seed of the relabellings that are drawn.
        plan: Tells the measure, and which agents are the same checkpoint, whose seeds are paired.
        options: What claims are made about.
        share: Calls the tests of each pair, in this process or in others.

    Returns:
        The claims of each pair in three scopes: `clean`, one test of the normalised score, where both played clean;
        `all perturbations`, one test of the suite's measure; and `each perturbation`. A declared family that is smaller
        than what was played has `declared family` in place of the second. p is adjusted within the pair by step-down
        max-T and Welch's tests after Holm, whichever is larger, then over the pairs of a scope. A pair without any game
        in which its perturbed play could be compared has one row for it, which says why.
    """
    agents = by_agent(scores)
    named = [(agents[x], agents[y]) for x, y in _named_pairs(list(agents), options.compare_to)]
    pairs = [pair for x, y in named if (pair := pair_of(x, y, plan, options.family)) is not None]
    clean = [pair for x, y in named if (pair := pair_in_clean_play(x, y, plan)) is not None]
    wholes = [ALL_PERTURBATIONS if pair.covers_all else DECLARED_FAMILY for pair in pairs]
    of_all = [_Family(pair, name, (name,), *pair.whole) for pair, name in zip(pairs, wholes, strict=True)]
    of_each = [_Family(pair, EACH_PERTURBATION, pair.names, pair.x, pair.y) for pair in pairs]
    of_clean = [_Family(pair, CLEAN, (CLEAN,), pair.x, pair.y) for pair in clean]
    tested = [_claims(one, bootstrap_seed, options.equivalence_margin, share) for one in (of_clean, of_all, of_each)]
    told: dict[tuple[str, str | None], list[Claim]] = {}
    for (claim,) in tested[0]:
        told.setdefault((claim.agent_x, claim.agent_y), []).append(claim)
    for whole, each in zip(*tested[1:], strict=True):
        told.setdefault((whole[0].agent_x, whole[0].agent_y), []).extend([*whole, *([] if whole[0].obstacle else each)])
    return tuple(claim for of_pair in told.values() for claim in of_pair)


def clean_comparison_table(
    scores: Sequence[GameScores],
    bootstrap_seed: int,
    compared: Collection[str],
    options: ClaimOptions,
    share: Share = here,
) -> tuple[Claim, ...]:
    """Compare clean with perturbed play of each agent, paired within train seeds, by one test for each perturbation.

    Args:
        scores: Every agent and game.
        bootstrap_seed: Seed of the relabellings that are drawn.
        compared: The agents that are compared with each other. p is adjusted over these agents, and separately over the
            others.
        options: What claims are made about.
        share: Calls the tests of each pair, in this process or in others.

    Returns:
        The claims about each agent's robustness gap; p is adjusted as it is between agents.
    """
    pairs = [pair for games in by_agent(scores).values() if (pair := clean_pair_of(games, options.family)) is not None]
    families = [_Family(pair, EACH_PERTURBATION, pair.names, pair.x, pair.y) for pair in pairs]
    claims: dict[str, list[Claim]] = {}
    for is_compared in (True, False):
        group = [one for one in families if (one.pair.agent_x in compared) == is_compared]
        for one, found in zip(group, _claims(group, bootstrap_seed, options.equivalence_margin, share), strict=True):
            claims[one.pair.agent_x] = found
    return tuple(claim for pair in pairs for claim in claims[pair.agent_x])


def page_error_of(
    comparisons: Sequence[Claim], clean_comparisons: Sequence[Claim], compared: Collection[str]
) -> PageError | None:
    """Bound the probability that all claims of a page together hold any false one; None where nothing can be claimed.

    Args:
        comparisons: The claims between agents.
        clean_comparisons: The comparisons of each agent's perturbed with its clean play.
        compared: The agents that are compared with each other.
    """
    scopes = grouped(comparisons, lambda claim: claim.scope if claim.scope in (CLEAN, EACH_PERTURBATION) else "whole")
    groups = [
        *scopes.values(),
        [claim for claim in clean_comparisons if claim.agent_x in compared],
        [claim for claim in clean_comparisons if claim.agent_x not in compared],
    ]
    tests = [sum(claim.undecidable is None for claim in group) for group in groups]
    tests += [sum(_may_be_equivalent(claim) for claim in group) for group in groups]
    families = [ClaimFamily(count, ALPHA) for count in tests if count]
    return stats.page_error(families) if families else None


def left_out_notes(scores: Sequence[GameScores], plan: RecordedPlan, comparisons: Sequence[Claim]) -> list[str]:
    """Return sentences on which games comparisons leave out, and because of whose clean score.

    Args:
        scores: Every game of the compared agents.
        plan: Tells the measure.
        comparisons: The claims between agents.
    """
    measure = MEASURE_OF_SUITE[plan.suite.measure]
    left_out = {game for claim in comparisons for game in claim.left_out}
    return [
        f"{game.agent} on {game.game}: the clean score ({decimal(game.means[:, game.labels.index(CLEAN)].mean())}) is "
        f"not surely above {stats.CLEAN_FLOOR:g}, so that comparisons of {measure.replace('_', ' ')} with "
        f"{game.agent} leave {game.game} out."
        for game in scores
        if game.game in left_out and obstacle_of(game, measure) == "clean score not above the floor"
    ]


def _named_pairs(agents: Sequence[str], compare_to: str | None) -> list[tuple[str, str]]:
    if compare_to is None:
        return list(itertools.combinations(agents, 2))
    return [(compare_to, agent) for agent in agents if agent != compare_to]


def _claims(families: Sequence[_Family], seed: int, margin: float | None, share: Share) -> list[list[Claim]]:
    """Return the claims of each pair in one scope, adjusted over all pairs."""
    tested = share(partial(_tested, num_pairs=len(families), seed=seed, margin=margin), families)
    nothing = np.array([np.nan])
    adjusted = stats.adjust_over_pairs([one.test.adjusted_p if one else nothing for one in tested])
    smallest = stats.adjust_over_pairs([np.array([one.test.smallest_p]) if one else nothing for one in tested])
    equivalent = stats.adjust_over_pairs(
        [one.equivalence.adjusted_p if one and one.equivalence else nothing for one in tested]
    )
    claims: list[list[Claim]] = []
    for place, (family, one) in enumerate(zip(families, tested, strict=True)):
        if one is None:
            claims.append([_no_claim(family, len(families))])
            continue
        p_equivalent = equivalent[place] if margin is not None else np.full(len(family.names), np.nan)
        found = [
            replace(
                _claim_of(family, one, column, float(smallest[place][0])),
                adjusted_p=float(adjusted[place][column]),
                equivalence_margin=math.nan if margin is None else margin,
                equivalence_p=float(p_equivalent[column]),
                num_pairs=len(families),
            )
            for column in range(len(family.names))
        ]
        claims.append([_concluded(claim) for claim in found])
    return claims


def _tested(family: _Family, num_pairs: int, seed: int, margin: float | None) -> _Tested | None:
    """Return what the tests of a pair say; None where no game is left for it."""
    if family.pair.obstacle:
        return None
    pair = family.pair
    alpha, draws = ALPHA / num_pairs, max(DRAWN, math.ceil(_DRAWS_PER_PAIR * num_pairs) - 1)
    sizes = [(len(x), 0 if family.y is None else len(family.y[place])) for place, x in enumerate(family.x)]
    test = stats.relabelled_test(family.x, family.y, _relabelling(seed, pair.games, tuple(sizes), draws), alpha)
    equivalence = None if margin is None else stats.equivalence_test(family.x, family.y, margin, ALPHA)
    return _Tested(test, equivalence, stats.detectable_in_family(test, alpha))


@lru_cache(maxsize=4)
def _relabelling(
    seed: int, games: tuple[str, ...], sizes: tuple[tuple[int, int], ...], draws: int
) -> stats.Relabelling:
    """Return the relabellings of these games, which all pairs with as many train seeds in each share."""
    return stats.relabel(sizes, generator(seed, "relabelling", *games), draws)


def _claim_of(family: _Family, tested: _Tested, column: int, smallest_p: float) -> Claim:
    """Return what one test says, before it is adjusted over pairs."""
    pair, test = family.pair, tested.test
    has_interval = min(pair.num_seeds) >= MIN_RATIO_SEEDS
    bounds = (float(test.low[column]), float(test.high[column])) if has_interval else ()
    num_games = int(test.num_games[column])
    return Claim(
        agent_x=pair.agent_x,
        agent_y=pair.agent_y,
        scope=family.scope,
        perturbation=family.names[column],
        measure=pair.measure,
        effect=Bounded(float(test.effect[column]), *bounds),
        p=float(max(test.single_p[column], test.welch_p[column])),
        adjusted_p=math.nan,
        smallest_p=smallest_p,
        detectable=float(tested.detectable[column]),
        num_seeds_x=pair.num_seeds[0],
        num_seeds_y=pair.num_seeds[1],
        num_games=num_games,
        num_tests=len(family.names),
        paired=pair.y is None,
        clean_x=pair.clean[0],
        clean_y=pair.clean[1],
        left_out=pair.left_out,
        # A perturbation that only games below the floor have.
        obstacle=None if num_games else "clean score not above the floor",
        decided=False,
    )


def _concluded(claim: Claim) -> Claim:
    """Return a claim with its conclusion."""
    claim = replace(claim, equivalent=_may_be_equivalent(claim) and claim.equivalence_p <= ALPHA)
    if claim.undecidable:
        claim = replace(claim, detectable=math.inf)
        if claim.undecidable == "smallest p above alpha":
            claim = replace(claim, p=math.nan, adjusted_p=math.nan)
    else:
        claim = replace(claim, decided=claim.adjusted_p <= ALPHA)
    return replace(claim, sentence=sentence_of(claim))


def _may_be_equivalent(claim: Claim) -> bool:
    """Whether equivalence was asked for and there are train seeds enough to claim it."""
    return stats.are_enough(min(claim.seeds), claim.num_games) and math.isfinite(claim.equivalence_p)


def _no_claim(family: _Family, num_pairs: int) -> Claim:
    """Return the row of a pair that no game is left for."""
    pair, nothing = family.pair, math.nan
    claim = Claim(
        agent_x=pair.agent_x,
        agent_y=pair.agent_y,
        scope=family.scope,
        perturbation=family.names[0],
        measure=pair.measure,
        effect=Bounded(nothing),
        p=nothing,
        adjusted_p=nothing,
        smallest_p=nothing,
        num_seeds_x=pair.num_seeds[0],
        num_seeds_y=pair.num_seeds[1],
        num_games=0,
        num_tests=len(family.names),
        num_pairs=num_pairs,
        paired=pair.y is None,
        left_out=pair.left_out,
        obstacle=pair.obstacle,
        decided=False,
    )
    return replace(claim, sentence=sentence_of(claim))
