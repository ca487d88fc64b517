"""What claims say, in plain sentences: never 'no difference', which no test can show."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct

from wsabench.stats import MIN_TRAIN_SEEDS
from wsabench.summary.rows import Claim, Measure, Undecidable, grouped

_BETTER: dict[Measure, str] = {
    "retention": "keeps more of its score",
    "robustness_gap": "loses less score",
    "normalised_score": "scores more",
}
_LONGEST = 260
"""Characters of a sentence that need no shortening."""
_LONGEST_NAMES = _LONGEST // 2
"""Characters that names may take in a shortened sentence."""


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
    numbers = _numbers(claim) if other else f"robustness gap {_numbers(claim)}"
    if claim.undecidable:
        why = _why(claim.undecidable, claim.smallest_p)
        return f"{start}: cannot be decided with {_sample(claim)} ({numbers}; {why})."
    tail = f"adjusted p {_p(claim.adjusted_p)}, {_sample(claim)}."
    if claim.verdict == "not decided":
        return f"{start}: not decided, {numbers}, {tail}"
    if other is None:
        return f"{agent} {'loses' if claim.effect.value > 0 else 'gains'} score {where}: {numbers}, {tail}"
    better, worse = (agent, other) if claim.effect.value > 0 else (other, agent)
    whose = f" for {agent}" if claim.effect.value < 0 else ""
    return f"{better} {_BETTER[claim.measure]} {where} than {worse}: {numbers}{whose}, {tail}"


def sentences_of(claims: Iterable[Claim], agents: Collection[str]) -> tuple[Sentence, ...]:
    """Return what claims say, family by family; what cannot be decided is said once for all its perturbations.

    Args:
        claims: In the order in which they are told.
        agents: Those about which something is said.
    """
    said: list[Sentence] = []
    of_agents = (claim for claim in claims if claim.agent_x in agents)
    families = grouped(of_agents, lambda claim: (claim.agent_x, claim.agent_y, claim.scope))
    for (agent, other, _), family in families.items():
        said += [Sentence(claim.sentence) for claim in family if not claim.undecidable]
        undecidable = (claim for claim in family if claim.undecidable)
        for (_, seeds), alike in grouped(undecidable, lambda claim: (claim.undecidable, claim.seeds)).items():
            names = [claim.perturbation for claim in alike]
            said.append(_undecided(f"{agent} against {other or 'clean'}", names, seeds))
    return tuple(said)


def _undecided(who: str, names: Sequence[str], seeds: Sequence[int]) -> Sentence:
    """Return the sentence about perturbations that so many train seeds cannot decide."""
    end = f"cannot be decided with {_counted(seeds)}."
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    text = f"{who}, {listed}: {end}"
    if len(text) <= _LONGEST:
        return Sentence(text)
    beginnings = [", ".join([who, *names[:count]]) for count in range(len(names))]
    shown = max((place for place, beginning in enumerate(beginnings) if len(beginning) < _LONGEST_NAMES), default=0)
    return Sentence(text, f"{beginnings[shown]} and {len(names) - shown} more: {end}")


def _numbers(claim: Claim) -> str:
    """Return effect and interval, `+0.12 [0.05, 0.19]`."""
    effect = claim.effect
    bounds = f" [{effect.low:.2f}, {effect.high:.2f}]" if effect.has_bounds else ""
    return f"{effect.value:+.2f}{bounds}"


def _sample(claim: Claim) -> str:
    """Return how many train seeds there are, `8 seeds`, or `5 and 8 seeds in each of 3 games`."""
    return _counted(claim.seeds) + (f" in each of {claim.num_games} games" if claim.num_games > 1 else "")


def _counted(seeds: Sequence[int]) -> str:
    return f"{' and '.join(map(str, seeds))} {'seed' if tuple(seeds) == (1,) else 'seeds'}"


def _why(reason: Undecidable, smallest_p: float) -> str:
    """Return why nothing can be decided, whatever the scores are."""
    if reason == "too few train seeds":
        return f"too few train seeds, at least {MIN_TRAIN_SEEDS} are needed"
    return f"the smallest possible adjusted p is {_p(smallest_p)}"


def _p(value: float) -> str:
    """Return a p value with one or two significant digits; those near alpha keep what decides."""
    return f"{value:.1g}" if value < 0.01 or value > 0.1 else f"{value:.2g}"
