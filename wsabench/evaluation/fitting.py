"""Which cells are played: those that the game has, that can be seen, and that the agent can take and may notice."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsabench.errors import SpecError
from wsabench.evaluation.contestants import Contestant
from wsabench.results.manifest import SkippedEntry

if TYPE_CHECKING:
    from wsabench.perturb import CompiledPerturbation
    from wsabench.types import AgentReads

Cell = tuple[str, str]
"""Game and canonical name of the perturbation."""
JobName = tuple[str, int, str, str]
"""Agent, train seed, game and canonical name of the perturbation."""


@dataclass(frozen=True, slots=True)
class FittedCells:
    """The cells of a run on its games."""

    names: tuple[str, ...]
    """Canonical names of the perturbations of all cells asked for, each once, in their order."""
    compiled: Mapping[Cell, CompiledPerturbation]
    """What is played, by game and name."""
    effects: Mapping[str, Mapping[str, float]]
    """Mean change of the observation in grey levels, by game and name; changes of colour and image only."""
    refused: Mapping[str, tuple[str, ...]]
    """Names of cells that agents could hardly see, by game."""
    misfits: Mapping[str, Mapping[str, str]]
    """Cells that a game cannot have, by game and name, with the reason."""


def fit_cells(wanted: Mapping[str, Sequence[str]], *, is_explicit: bool, until: float | None = None) -> FittedCells:
    """Compile the cells of each game and leave out those that the game cannot have or the agent could not see.

    Args:
        wanted: Canonical names by game.
        is_explicit: Whether the user named the cells; then one that does not fit or cannot be seen is an error.
        until: After this moment, by `time.monotonic`, cells are not looked at and stay in; None looks at all.

    Raises:
        SpecError: A cell that the user named does not fit its game or cannot be seen.
    """
    from wsabench import perturb

    compiled: dict[Cell, CompiledPerturbation] = {}
    misfits: dict[str, dict[str, str]] = {}
    for game, names in wanted.items():
        for name in names:
            reason = None if is_explicit else perturb.misfit(name, game)
            if reason is None:
                compiled[game, name] = perturb.compile_perturbation(name, game)
            else:
                misfits.setdefault(game, {})[name] = reason
    effects = measure_effects(compiled, must_be_seen=is_explicit, until=until)
    refused = _refused(effects)
    return FittedCells(
        names=tuple(dict.fromkeys(name for names in wanted.values() for name in names)),
        compiled={cell: value for cell, value in compiled.items() if cell[1] not in refused.get(cell[0], ())},
        effects=effects,
        refused=refused,
        misfits=misfits,
    )


def measure_effects(
    compiled: Mapping[Cell, CompiledPerturbation], *, must_be_seen: bool, until: float | None = None
) -> dict[str, dict[str, float]]:
    """Measure how much every change of colours and images changes what the agent sees.

    Changes of the game, of timing or of the agent are not measured: what they change is not one observation.

    Args:
        compiled: Compiled perturbations by game and canonical name.
        must_be_seen: Whether a cell with an effect below `MIN_EFFECT_GREY_LEVELS` is refused.
        until: Measure none after this moment, by `time.monotonic`; None measures all.

    Returns:
        Mean change of the 84x84 observation in grey levels, by game and name.

    Raises:
        SpecError: A cell that must be seen cannot be seen.
    """
    from wsabench.emulator import measure_effect, require_effect

    measure = require_effect if must_be_seen else measure_effect
    effects: dict[str, dict[str, float]] = {}
    for (game, name), perturbation in compiled.items():
        if _is_measured(perturbation) and (until is None or time.monotonic() < until):
            effects.setdefault(game, {})[name] = measure(game, name).value
    return effects


def fit_agents(
    contestants: Sequence[Contestant],
    compiled: Mapping[Cell, CompiledPerturbation],
    *,
    is_explicit: bool,
) -> tuple[frozenset[JobName], tuple[SkippedEntry, ...]]:
    """Find the cells that an agent cannot take, and those that provably touch nothing that it reads.

    Args:
        contestants: The agents.
        compiled: The cells that are played, by game and name.
        is_explicit: Whether the user named the cells; then one that does not fit an agent that attends to encoders is
            an error. Cells of other agents, and cells that touch nothing, are skipped all the same.

    Returns:
        The jobs to leave out, and the same in words.

    Raises:
        SpecError: An agent with encoders cannot take a cell that the user named.
    """
    left_out: set[JobName] = set()
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for one in contestants:
        cells = {name: c for (game, name), c in compiled.items() if game == one.game}
        for name, cell in cells.items():
            reason = untouched_reason(one, cell)
            if reason is None and cell.encoder_operations:
                reason = _reason(one, cell)
                if reason is not None and is_explicit and one.encoders:
                    raise SpecError(f"{name} on {one.game}: {reason}")
            if reason is None:
                continue
            left_out.add((one.name, one.train_seed, one.game, name))
            names = grouped.setdefault((one.name, one.game, reason), [])
            if name not in names:
                names.append(name)
    skipped = tuple(
        SkippedEntry(agent=agent, game=game, perturbations=tuple(names), reason=reason)
        for (agent, game, reason), names in grouped.items()
    )
    return frozenset(left_out), skipped


def untouched_reason(one: Contestant, cell: CompiledPerturbation) -> str | None:
    """Return why a cell provably touches nothing that an agent reads; None where it may touch something.

    It is proven by what the network reads, never by its weights: a cell of which a trained agent takes no notice is
    played.

    Args:
        one: The agent.
        cell: The cell; clean touches nothing, but is played.
    """
    reads = one.abilities.reads
    if reads is None or cell.family == "clean" or cell.changes_game:
        return None
    reasons: list[str] = []
    if cell.family != "encoder":
        if reads.pixels:
            return None
        reasons.append(
            f"The agent {one.name!r} reads no pixels ({', '.join(reads.encoders)} read the console's memory, which no "
            "change of the picture reaches)."
        )
    if cell.encoder_operations:
        unread = _unread_encoders(reads, cell)
        if not unread:
            return None
        names = " and ".join(sorted(unread))
        reasons.append(f"The agent {one.name!r} does not read the embedding that changes ({names}).")
    return " ".join(reasons)


def _unread_encoders(reads: AgentReads, cell: CompiledPerturbation) -> frozenset[str]:
    """Return the encoders whose embeddings a cell replaces, where the agent reads none of them; else nothing."""
    from wsabench.perturb.encoder.embeddings import replaced_encoders
    from wsabench.perturb.encoder.selection import CONTEXT

    replaced: frozenset[str] = frozenset()
    for operation in cell.encoder_operations:
        names = replaced_encoders(operation, reads)
        if names is None or not reads.encoders or not names <= {*reads.available, CONTEXT} - {*reads.encoders}:
            return frozenset()
        replaced |= names
    return replaced


def _is_measured(perturbation: CompiledPerturbation) -> bool:
    """Whether it changes single observations and nothing else."""
    is_clean = perturbation.family == "clean"
    return perturbation.is_pixel_change_only and not perturbation.shows_old_frames and not is_clean


def _refused(effects: Mapping[str, Mapping[str, float]]) -> dict[str, tuple[str, ...]]:
    """Return the cells that change the observation by less than `MIN_EFFECT_GREY_LEVELS` on average, by game."""
    from wsabench.emulator import MIN_EFFECT_GREY_LEVELS

    hidden = {
        game: tuple(name for name, effect in values.items() if effect < MIN_EFFECT_GREY_LEVELS)
        for game, values in effects.items()
    }
    return {game: names for game, names in hidden.items() if names}


def _reason(one: Contestant, cell: CompiledPerturbation) -> str | None:
    """Return why an agent cannot take a cell; None when it can."""
    if not one.has_encoders:
        return f"The agent {one.name!r} has no encoders."
    try:
        one.abilities.check(cell.encoder_operations)
    except SpecError as error:
        return str(error)
    return None
