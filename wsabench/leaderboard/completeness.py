"""Whether an entry has the cells of its suite: the hardest ones must not be what is left out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from wsabench.errors import ResultSetError
from wsabench.leaderboard.schema import Entry, EntryJob
from wsabench.perturb import Suite, compile_perturbation, load_suite, misfit
from wsabench.results.comparing import listed
from wsabench.results.manifest import AgentEntry


def check_cells(entry: Entry) -> None:
    """Refuse an entry that lacks cells of its profile, or has others or changed ones.

    Nothing is said of an older version of a suite, of which only the hash is known.

    Args:
        entry: An entry on a published version of a suite.

    Raises:
        ResultSetError: Its cells are not those of the suite; the message names them.
    """
    suite = load_suite(entry.suite.name)
    if suite.content_hash != entry.suite.content_hash:
        return
    if entry.suite.measure != suite.measure:
        raise ResultSetError(
            f"suite.measure is {entry.suite.measure!r}. Allowed: {suite.measure!r}, that of the suite."
        )
    if entry.profile is None or entry.profile not in suite.profiles:
        raise ResultSetError(
            f"the profile is {entry.profile!r}. Allowed: runs of one profile, {', '.join(suite.profiles)}."
        )
    for one in entry.agents:
        jobs = [job for job in entry.jobs if (job.train_seed, job.game) == (one.train_seed, one.game)]
        _check_played(entry, one, jobs, suite)
        wanted = suite.profile(entry.profile).cells.of(one.game)
        played = {job.perturbation for job in jobs}
        if absent := [name for name in wanted if name not in played and not _is_excused(entry, one, name)]:
            raise ResultSetError(
                f"{one.id.describe()} did not play {listed(absent)} of {suite.name}, profile {entry.profile}. Allowed: "
                f"all cells of the profile. {_again(entry)}"
            )


def _check_played(entry: Entry, one: AgentEntry, jobs: Sequence[EntryJob], suite: Suite) -> None:
    """Refuse cells that the suite does not have, and cells that are other ones than the suite's."""
    cells = suite.cells.of(one.game)
    if strange := [job.perturbation for job in jobs if job.perturbation not in cells]:
        raise ResultSetError(
            f"{one.id.describe()} played {listed(strange)}, which {suite.name} does not have. Allowed: cells of the "
            f"suite. {_again(entry)}"
        )
    if impossible := [job.perturbation for job in jobs if misfit(job.perturbation, one.game) is not None]:
        raise ResultSetError(
            f"{one.id.describe()} played {listed(impossible)}, which {one.game} cannot have. Allowed: cells that the "
            "game has. Play the run again."
        )
    compiled = {job.perturbation: compile_perturbation(job.perturbation, one.game) for job in jobs}
    hashes = entry.perturbation_hashes[one.game]
    if changed := [name for name, cell in compiled.items() if cell.content_hash != hashes[name]]:
        raise ResultSetError(
            f"{one.id.describe()} played {listed(changed)} as it was defined before. Allowed: cells as this wsabench "
            "has them. Play the run again."
        )
    for job in jobs:
        if job.family != compiled[job.perturbation].family:
            raise ResultSetError(
                f"the family of {job.perturbation} is {job.family!r}. Allowed: {compiled[job.perturbation].family!r}."
            )


def _again(entry: Entry) -> str:
    """Return how a run is played that has the suite's cells."""
    suite = shlex.join(["--suite", entry.suite.name, "--profile", entry.profile or "quick"])
    return f"Run it with {suite} and without --perturbations."


def _is_excused(entry: Entry, one: AgentEntry, name: str) -> bool:
    """Whether a network rightly lacks a cell: the game cannot have it, nobody could see it, or it cannot take it.

    What an entry says of a game is looked at again. Of an agent it can only be said that cells without a change of
    encoders touch all that reads pixels.
    """
    if misfit(name, one.game) is not None:
        return True
    if name in entry.refused.get(one.game, ()):
        from wsabench.emulator import measure_effect

        return not measure_effect(one.game, name).is_seen
    skipped = {
        cell for of in entry.skipped if (of.agent, of.game) == (one.agent, one.game) for cell in of.perturbations
    }
    return name in skipped and (one.privileged or bool(compile_perturbation(name, one.game).encoder_operations))
