"""What claims say, in plain sentences: never 'no difference', which no test can show."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct

from wsabench.results.records import CLEAN
from wsabench.stats import CLEAN_FLOOR, MIN_INTERVAL_SEEDS, MIN_TRAIN_SEEDS, PageError, are_enough
from wsabench.summary.rows import ALPHA, EACH_PERTURBATION, Claim, Measure, Verdict, grouped
from wsabench.words import counted, decimal

_BETTER: dict[Measure, str] = {
    "retention": "keeps more of its score",
    "robustness_gap": "loses less score",
    "normalised_score": "scores more",
}
_WORDS: dict[Measure, str] = {
    "retention": "retention",
    "robustness_gap": "the robustness gap",
    "normalised_score": "the score",
}
_LONGEST = 260
"""Characters of a sentence that need no shortening."""
_MOST = 20
"""Conclusions between agents, and as many against clean, that are told one by one; the rest is counted."""
_MOST_PAIRS = 3
"""Pairs that cannot be decided for the same reason and are told one by one."""
_ORDER: tuple[Verdict, ...] = ("decided", "equivalent", "not decided", "undecidable")


class Sentence(Struct, frozen=True):
    """What is said, and how it is said where there is little room."""

    text: str
    """The sentence."""
    brief: str = ""
    """The same with the first of very many names only; empty where the text is short enough."""


def sentence_of(claim: Claim) -> str:
    """Return the conclusion of a test.

    Args:
        claim: The test.
    """
    agent, other, where = claim.agent_x, claim.agent_y, _where([claim.perturbation])
    start = f"{agent} against {other} {where}" if other else f"{agent} {where} against clean"
    if claim.obstacle:
        return f"{start}: {_end(claim)}"
    numbers = _numbers(claim) if other else f"robustness gap {_numbers(claim)}"
    if claim.verdict == "equivalent":
        who = f"{agent} and {other} are equivalent {where}" if other else f"{agent} {where} is equivalent to clean"
        tail = f"{numbers}, adjusted p {_p(claim.equivalence_p)}, {_sample(claim)}{_clean_scores(claim)}"
        return f"{who} within {claim.equivalence_margin:g}: {tail}."
    if claim.undecidable:
        return f"{start}: cannot be decided with {_sample(claim)} ({numbers}; {_why(claim)})."
    tail = f"adjusted p {_p(claim.adjusted_p)}, {_sample(claim)}{_clean_scores(claim)}"
    if claim.equivalent:
        tail += f"; equivalent within {claim.equivalence_margin:g} all the same"
    if claim.verdict == "not decided":
        return f"{start}: not decided, {numbers}, {tail}."
    if other is None:
        return f"{agent} {'loses' if claim.effect.value > 0 else 'gains'} score {where}: {numbers}, {tail}."
    better, worse = (agent, other) if claim.effect.value > 0 else (other, agent)
    whose = f" for {agent}" if claim.effect.value < 0 else ""
    return f"{better} {_BETTER[claim.measure]} {where} than {worse}: {numbers}{whose}, {tail}."


def sentences_of(claims: Iterable[Claim], agents: Collection[str]) -> tuple[Sentence, ...]:
    """Return what claims say, pair by pair; of very many claims the strongest, with a count of the others.

    Args:
        claims: The claims, in the order in which they are told.
        agents: The agents about which something is said.

    Returns:
        Sentences about what can be decided; `undecided_sentence` tells once what cannot.
    """
    said: list[Sentence] = []
    of_agents = [claim for claim in claims if claim.agent_x in agents and claim.verdict != "undecidable"]
    for part in ([one for one in of_agents if one.agent_y], [one for one in of_agents if one.agent_y is None]):
        if len(part) > _MOST:
            part.sort(key=lambda claim: (_ORDER.index(claim.verdict), claim.adjusted_p))
        else:
            part = [one for pair in grouped(part, lambda one: (one.agent_x, one.agent_y)).values() for one in pair]
        said += [Sentence(claim.sentence) for claim in part[:_MOST]]
        if len(part) > _MOST:
            said.append(_rest(part))
    return tuple(said)


def undecided_sentence(claims: Iterable[Claim]) -> Sentence | None:
    """Return what cannot be decided, whatever the scores are, in one sentence; None where everything can.

    Args:
        claims: Tests between agents and of perturbed against clean play.

    Returns:
        Agents and perturbations by the reason why nothing can be decided; the brief form leaves out the perturbations.
    """
    reasons = grouped((claim for claim in claims if claim.verdict == "undecidable"), _reason)
    if not reasons:
        return None
    long, brief = (
        f"Cannot be decided: {'; '.join(f'{_about(alike, is_brief)} ({why})' for why, alike in reasons.items())}."
        for is_brief in (False, True)
    )
    return Sentence(long) if len(long) <= _LONGEST else Sentence(long, brief)


def sensitivity_of(claims: Iterable[Claim]) -> tuple[Sentence, ...]:
    """Return how large a difference between agents must be for the run to find it, if it could find any.

    Args:
        claims: The claims between agents.
    """
    tests = [one for one in claims if one.scope == EACH_PERTURBATION and not math.isnan(one.detectable)]
    if not tests:
        return ()
    pairs = grouped(tests, lambda claim: (claim.agent_x, claim.agent_y))
    ((agent, other), _), *more = pairs.items()
    who = f"between {agent} and {other}" if not more else f"over {len(pairs)} pairs of agents"
    found = sorted(one.detectable for one in tests if math.isfinite(one.detectable))
    if not found:
        return ()
    low, high = f"{found[0]:.2f}", f"{found[-1]:.2f}"
    span = f"a difference of {low}" if low == high else f"differences of {low} to {high}, by perturbation,"
    rest = len(tests) - len(found)
    none = f"; in {rest} of {counted(len(tests), 'test')} none can be" if rest else ""
    return (Sentence(f"With these train seeds {span} would be found with 80% power {who}{none}."),)


def page_sentence(page: PageError | None) -> tuple[Sentence, ...]:
    """Return the probability that all claims of a page together hold any false one, if anything can be claimed.

    Args:
        page: The bound.
    """
    if page is None:
        return ()
    tests = f"{counted(page.num_tests, 'test')} in {counted(page.num_families, 'family')} of {ALPHA:.0%} each"
    return (Sentence(f"The probability of any false claim on this page is at most {page.bound:.0%} ({tests})."),)


def needed(num_games: int) -> str:
    """Return how many train seeds are needed to claim anything.

    Args:
        num_games: The number of games that are averaged or compared together.
    """
    if num_games > 1:
        return f"at least {MIN_INTERVAL_SEEDS} in each game are needed"
    return f"at least {MIN_TRAIN_SEEDS} are needed"


def _about(claims: Sequence[Claim], is_brief: bool) -> str:
    """Return whom and what some tests are about."""
    between = grouped((one for one in claims if one.agent_y), lambda one: (one.agent_x, one.agent_y))
    alone = grouped((one for one in claims if one.agent_y is None), lambda one: one.agent_x)
    whos: list[tuple[str, list[Claim]]] = []
    if len(between) > _MOST_PAIRS or (is_brief and len(between) > 1):
        whos.append((f"{len(between)} pairs of agents", [one for tests in between.values() for one in tests]))
    else:
        whos += [(f"{agent} against {other}", tests) for (agent, other), tests in between.items()]
    if len(alone) > _MOST_PAIRS:
        whos.append(
            (f"perturbed against clean play of {len(alone)} agents", [one for of in alone.values() for one in of])
        )
    elif alone:
        names = _listed(list(alone))
        whos.append((f"perturbed against clean play of {names}", [one for of in alone.values() for one in of]))
    return ", and ".join(who if is_brief else f"{who}{_under(tests)}" for who, tests in whos)


def _under(tests: Sequence[Claim]) -> str:
    """Return the perturbations of some tests; nothing where a whole pair has no test."""
    if any(one.obstacle for one in tests):
        return ""
    return f" {_where([one.perturbation for one in tests])}"


def _where(perturbations: Sequence[str]) -> str:
    """Return `in clean play`, `under hue-rotate and value`, or both."""
    names = list(dict.fromkeys(name for name in perturbations if name != CLEAN))
    return " and ".join(
        [*(["in clean play"] if CLEAN in perturbations else []), *([f"under {_listed(names)}"] if names else [])]
    )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _rest(claims: Sequence[Claim]) -> Sentence:
    """Return how many conclusions are not told, by what they say; the claims are sorted, the told ones first."""
    verdicts = [claim.verdict for claim in claims[_MOST:]]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in _ORDER[:3] if verdict in verdicts)
    what = "between agents" if claims[0].agent_y else "against clean"
    return Sentence(f"{len(verdicts)} more conclusions {what} stand in the tables: {counts}.")


def _end(claim: Claim) -> str:
    """Return what is said of a pair that has no test."""
    return f"no claim about {_WORDS[claim.measure]}, because {_obstacle(claim)}."


def _obstacle(claim: Claim) -> str:
    if claim.obstacle == "clean was not played":
        return "clean was not played"
    return f"in no game both clean scores are above {CLEAN_FLOOR:g}"


def _reason(claim: Claim) -> str:
    """Return why a test can decide nothing, as the sentence about all of them says it."""
    if claim.obstacle:
        return _obstacle(claim)
    seeds = _counted(claim.seeds)
    if not are_enough(min(claim.seeds), claim.num_games):
        return f"{seeds}, {needed(claim.num_games)}"
    return f"with {seeds} the smallest possible adjusted p is {_p(claim.smallest_p)}"


def _numbers(claim: Claim) -> str:
    """Return effect and interval, `+0.12 [0.05, 0.19]`."""
    effect = claim.effect
    bounds = f" [{decimal(effect.low)}, {decimal(effect.high)}]" if effect.has_bounds else ""
    return f"{decimal(effect.value, has_plus=True)}{bounds}"


def _sample(claim: Claim) -> str:
    """Return how many train seeds there are, `8 seeds`, or `5 and 8 seeds in each of 3 games`."""
    return _counted(claim.seeds) + (f" in each of {claim.num_games} games" if claim.num_games > 1 else "")


def _clean_scores(claim: Claim) -> str:
    """Return both clean scores where a gap is compared: who has little to lose loses little."""
    if claim.agent_y is None or claim.measure != "robustness_gap":
        return ""
    return f"; clean scores {decimal(claim.clean_x)} and {decimal(claim.clean_y)}"


def _counted(seeds: Sequence[int]) -> str:
    return f"{' and '.join(map(str, seeds))} {'seed' if tuple(seeds) == (1,) else 'seeds'}"


def _why(claim: Claim) -> str:
    """Return why nothing can be decided, whatever the scores are."""
    if claim.undecidable == "too few train seeds":
        return needed(claim.num_games)
    return f"the smallest possible adjusted p is {_p(claim.smallest_p)}"


def _p(value: float) -> str:
    """Return a p value with one or two significant digits; those near alpha keep what decides."""
    return f"{value:.1g}" if value < 0.01 or value > 0.1 else f"{value:.2g}"
