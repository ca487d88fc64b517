"""What claims say, in plain sentences: never 'no difference', which no test can show."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct

from wsabench.stats import CLEAN_FLOOR, MIN_TRAIN_SEEDS, PageError
from wsabench.summary.rows import ALPHA, EACH_PERTURBATION, Claim, Measure, Verdict, grouped

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
_LONGEST_NAMES = _LONGEST // 2
"""Characters that names may take in a shortened sentence."""
_MOST = 20
"""Conclusions between agents, and as many against clean, that are told one by one; the rest is counted."""
_MOST_PAIRS = 3
"""Pairs that cannot be decided for the same reason and are told one by one."""
_ORDER: tuple[Verdict, ...] = ("decided", "equivalent", "not decided", "undecidable")


class Sentence(Struct, frozen=True):
    """What is said, and how it is said where there is little room."""

    text: str
    brief: str = ""
    """The same with the first of very many names only; empty where the text is short enough."""


def sentence_of(claim: Claim) -> str:
    """Return the conclusion of a test.

    Args:
        claim: The test.
    """
    agent, other, where = claim.agent_x, claim.agent_y, f"under {claim.perturbation}"
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
    """Return what claims say, pair by pair; of very many the strongest, with a count of the rest.

    Args:
        claims: In the order in which they are told.
        agents: Those about which something is said.

    Returns:
        The sentences. What cannot be decided for one reason is said once for all its perturbations, and once for all
        pairs where there are many.
    """
    said: list[Sentence] = []
    of_agents = [claim for claim in claims if claim.agent_x in agents]
    for part in ([one for one in of_agents if one.agent_y], [one for one in of_agents if one.agent_y is None]):
        concluded = sum(claim.verdict != "undecidable" for claim in part)
        if concluded > _MOST:
            part.sort(key=lambda claim: (_ORDER.index(claim.verdict), claim.adjusted_p))
        told = [claim for claim in part if claim.verdict != "undecidable"][:_MOST]
        undecided = _undecided([claim for claim in part if claim.verdict == "undecidable"])
        pairs = grouped(part, lambda claim: (claim.agent_x, claim.agent_y))
        if concluded > _MOST or sum(map(len, undecided.values())) > _MOST_PAIRS:
            said += [Sentence(claim.sentence) for claim in told]
            said += [sentence for found in undecided.values() for sentence in found]
        else:
            for pair in pairs:
                said += [Sentence(claim.sentence) for claim in told if (claim.agent_x, claim.agent_y) == pair]
                said += undecided.get(pair, [])
        if concluded > _MOST:
            said.append(_rest(part, concluded))
    return tuple(said)


def sensitivity_of(claims: Iterable[Claim]) -> tuple[Sentence, ...]:
    """Return how small a difference between agents the run could find, if any are compared.

    Args:
        claims: Those between agents.
    """
    tests = [one for one in claims if one.scope == EACH_PERTURBATION and not math.isnan(one.detectable)]
    if not tests:
        return ()
    pairs = grouped(tests, lambda claim: (claim.agent_x, claim.agent_y))
    ((agent, other), _), *more = pairs.items()
    who = f"between {agent} and {other}" if not more else f"over {len(pairs)} pairs of agents"
    found = sorted(one.detectable for one in tests if math.isfinite(one.detectable))
    if not found:
        return (Sentence(f"With these train seeds no difference {who} can be shown, however large."),)
    low, high = f"{found[0]:.2f}", f"{found[-1]:.2f}"
    span = f"a difference of {low}" if low == high else f"differences of {low} to {high}, by perturbation,"
    rest = len(tests) - len(found)
    none = f"; in {rest} of {len(tests)} tests none can be" if rest else ""
    return (Sentence(f"With these train seeds {span} would be found with 80% power {who}{none}."),)


def page_sentence(page: PageError | None) -> tuple[Sentence, ...]:
    """Return how often all claims of a page together hold any false one, if anything can be claimed.

    Args:
        page: The bound.
    """
    if page is None:
        return ()
    counted = f"{page.num_tests} test{'s' * (page.num_tests > 1)} in {page.num_families}"
    counted += f" famil{'ies' if page.num_families > 1 else 'y'} of {ALPHA:.0%} each"
    return (Sentence(f"The probability of any false claim on this page is at most {page.bound:.0%} ({counted})."),)


def _undecided(claims: Sequence[Claim]) -> dict[tuple[str, str | None], list[Sentence]]:
    """Return the sentences about what cannot be decided, by pair; for many pairs alike all stand with the first."""
    said: dict[tuple[str, str | None], list[Sentence]] = {}
    for end, alike in grouped(claims, _end).items():
        pairs = grouped(alike, lambda claim: (claim.agent_x, claim.agent_y))
        whos = [f"{agent} against {other or 'clean'}" for agent, other in pairs]
        if len(pairs) > _MOST_PAIRS:
            said.setdefault(next(iter(pairs)), []).append(_listed(whos[0], whos[1:], end))
            continue
        for who, (pair, tests) in zip(whos, pairs.items(), strict=True):
            names = [] if tests[0].obstacle else [claim.perturbation for claim in tests]
            said.setdefault(pair, []).append(_listed(who, names, end))
    return said


def _listed(first: str, names: Sequence[str], end: str) -> Sentence:
    """Return a sentence about many names, shortened where they are very many."""
    if not names:
        return Sentence(f"{first}: {end}")
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    text = f"{first}, {listed}: {end}"
    if len(text) <= _LONGEST:
        return Sentence(text)
    beginnings = [", ".join([first, *names[:count]]) for count in range(len(names))]
    shown = max((place for place, beginning in enumerate(beginnings) if len(beginning) < _LONGEST_NAMES), default=0)
    return Sentence(text, f"{beginnings[shown]} and {len(names) - shown} more: {end}")


def _rest(claims: Sequence[Claim], concluded: int) -> Sentence:
    """Return how many conclusions are not told, by what they say; the claims are sorted, the told ones first."""
    verdicts = [claim.verdict for claim in claims[_MOST:concluded]]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in _ORDER[:3] if verdict in verdicts)
    what = "between agents" if claims[0].agent_y else "against clean"
    return Sentence(f"{len(verdicts)} more conclusions {what} stand in the tables: {counts}.")


def _end(claim: Claim) -> str:
    """Return what is said of tests that cannot decide."""
    if claim.obstacle == "clean was not played":
        return f"no claim about {_WORDS[claim.measure]}, because clean was not played."
    if claim.obstacle:
        return (
            f"no claim about {_WORDS[claim.measure]}, because in no game both clean scores are above {CLEAN_FLOOR:g}."
        )
    return f"cannot be decided with {_counted(claim.seeds)}, {_why(claim)}."


def _numbers(claim: Claim) -> str:
    """Return effect and interval, `+0.12 [0.05, 0.19]`."""
    effect = claim.effect
    # `z`: what rounds to zero has no minus.
    bounds = f" [{effect.low:z.2f}, {effect.high:z.2f}]" if effect.has_bounds else ""
    return f"{effect.value:+z.2f}{bounds}"


def _sample(claim: Claim) -> str:
    """Return how many train seeds there are, `8 seeds`, or `5 and 8 seeds in each of 3 games`."""
    return _counted(claim.seeds) + (f" in each of {claim.num_games} games" if claim.num_games > 1 else "")


def _clean_scores(claim: Claim) -> str:
    """Return both clean scores where a gap is compared: who has little to lose loses little."""
    if claim.agent_y is None or claim.measure != "robustness_gap":
        return ""
    return f"; clean scores {claim.clean_x:.2f} and {claim.clean_y:.2f}"


def _counted(seeds: Sequence[int]) -> str:
    return f"{' and '.join(map(str, seeds))} {'seed' if tuple(seeds) == (1,) else 'seeds'}"


def _why(claim: Claim) -> str:
    """Return why nothing can be decided, whatever the scores are."""
    if claim.undecidable == "too few train seeds":
        return f"at least {MIN_TRAIN_SEEDS} are needed"
    return f"the smallest possible adjusted p is {_p(claim.smallest_p)}"


def _p(value: float) -> str:
    """Return a p value with one or two significant digits; those near alpha keep what decides."""
    return f"{value:.1g}" if value < 0.01 or value > 0.1 else f"{value:.2g}"
