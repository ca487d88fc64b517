"""Domain randomisation: every game of training is played under a perturbation that is drawn for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wsabench import seeding
from wsabench.errors import SpecError

if TYPE_CHECKING:
    from wsabench.training.lanes import DrawPerturbation

CLEAN = "clean"
CLEAN_SHARE = 0.2
"""Probability of an unchanged game unless another is asked for: the agent is measured on clean games as well."""
_OF_THE_AGENT = "It changes the agent's encoders, which training holds fixed."


@dataclass(frozen=True, slots=True, kw_only=True)
class Randomisation:
    """What the games of a run are played under; made by `make_randomisation`."""

    game: str
    suite: str | None
    """The suite whose perturbations these are; None where they were named one by one."""
    perturbations: tuple[str, ...]
    """Canonical names, each as probable as the others, `clean` not among them."""
    hashes: tuple[str, ...]
    """Content hash of each in this game."""
    clean_share: float
    """Probability of `clean`."""
    left_out: tuple[tuple[str, str], ...] = ()
    """Perturbations of the suite that this game cannot have, with the reason."""

    def draw(self, train_seed: int) -> DrawPerturbation:
        """Return the function that draws a game's perturbation, from a stream of the lane and the game's number alone.

        So a game that is replayed when a run is resumed is played under the same one.
        """

        def draw(lane: int, game: int) -> str:
            generator = seeding.generator(train_seed, seeding.TRAINING_ROOT, "lane", lane, "perturbation", game)
            if generator.random() < self.clean_share:
                return CLEAN
            return self.perturbations[int(generator.integers(len(self.perturbations)))]

        return draw

    def to_dict(self) -> dict[str, Any]:
        """Return what a checkpoint says of it, JSON values."""
        return {
            "suite": self.suite,
            # A list: their order decides what is drawn.
            "perturbations": [list(pair) for pair in zip(self.perturbations, self.hashes, strict=True)],
            "clean_share": self.clean_share,
            "left_out": dict(self.left_out),
        }


def make_randomisation(
    game: str,
    suite: str | None = None,
    perturbations: Sequence[str] | None = None,
    clean_share: float | None = None,
) -> Randomisation | None:
    """Check what training is randomised by.

    Args:
        game: The game's id.
        suite: A suite or its file: all cells that it has on the game. Those that do not fit the game, and those that
            change the agent instead of the game, are left out by name.
        perturbations: Names instead of a suite; one that does not fit is an error.
        clean_share: Probability of an unchanged game, 0 to below 1; default: `CLEAN_SHARE`.

    Returns:
        What to draw from; None where neither a suite nor names are given.

    Raises:
        SpecError: Both or neither are given, the share is out of range, or nothing is left to draw from.
        UnknownNameError: A suite, perturbation or game does not exist.
    """
    from wsabench.perturb import compile_perturbation, load_suite, parse_perturbation

    if suite is None and not perturbations:
        if clean_share is not None:
            raise SpecError("clean_share is given without perturbations. Give a suite or perturbations too.")
        return None
    if suite is not None and perturbations:
        raise SpecError("A suite and perturbations are given. Allowed: one of them.")
    share = CLEAN_SHARE if clean_share is None else clean_share
    if not 0 <= share < 1:
        raise SpecError(f"clean_share is {share!r}. Allowed: from 0 to below 1.")
    wanted = load_suite(suite).cells.of(game) if suite is not None else tuple(perturbations or ())
    names = list(dict.fromkeys(parse_perturbation(name).name for name in wanted))
    reasons = {name: _misfit(name, game) for name in names if name != CLEAN}
    left_out = {name: reason for name, reason in reasons.items() if reason is not None}
    if left_out and suite is None:
        name, reason = next(iter(left_out.items()))
        raise SpecError(f"Cannot train on {game} under {name}: {reason} Leave it out.")
    kept = tuple(name for name, reason in reasons.items() if reason is None)
    if not kept:
        raise SpecError(
            f"Nothing is left to randomise {game} by: {', '.join(left_out) or CLEAN} cannot be used. "
            "Give perturbations that change this game."
        )
    return Randomisation(
        game=game,
        suite=suite,
        perturbations=kept,
        hashes=tuple(compile_perturbation(name, game).content_hash for name in kept),
        clean_share=share,
        left_out=tuple(left_out.items()),
    )


def _misfit(name: str, game: str) -> str | None:
    """Return why a game cannot be trained under a perturbation; None where it can."""
    from wsabench.perturb import compile_perturbation, misfit

    if (reason := misfit(name, game)) is not None:
        return reason
    return _OF_THE_AGENT if compile_perturbation(name, game).encoder_operations else None
