"""Entries of the leaderboard as they would be, with episodes that were drawn and not played."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace

from wsabench.games import load_game
from wsabench.leaderboard.checking import job_fingerprints, suite_versions
from wsabench.leaderboard.schema import (
    SCHEMA_VERSION,
    Entry,
    EntryJob,
    Episodes,
    SuiteVersion,
    Training,
)
from wsabench.perturb import compile_perturbation, load_suite, misfit
from wsabench.protocol import Protocol
from wsabench.results.manifest import AgentEntry, Host, ReferenceScores
from wsabench.results.provenance import BIT_DECIDING
from wsabench.seeding import evaluation_seed, generator

CELLS: Mapping[str, tuple[str, ...]] = {
    "color-shift": ("clean", "hue-rotate@3", "hue-rotate@5", "invert", "palette-pal"),
    "corruption": ("clean", "gaussian-noise@2", "gaussian-blur@3", "jpeg-compression@4"),
    "dynamics": ("clean", "sticky-actions@2", "action-delay@2"),
    "smoke": ("clean", "hue-rotate@3", "gaussian-noise@3", "sticky-actions@2"),
}
"""A few cells of each suite; an entry of them can be ranked, and is refused as a file."""


def made_entry(
    name: str,
    suite: str = "color-shift",
    *,
    agent: str = "mine",
    level: float = 0.5,
    kept: float = 0.6,
    spread: float = 0.3,
    train_seeds: Sequence[int] = (0,),
    games: Sequence[str] = ("breakout",),
    num_episodes: int = 8,
    kind: str = "agent",
    privileged: bool = False,
    training: Training | None = None,
    protocol: Protocol | None = None,
    cells: Sequence[str] | None = None,
    version: int = 1,
    **fields: Any,
) -> Entry:
    """Return an entry that is valid as a file where its cells are those of `quick_cells`.

    Args:
        name: What tables call it; it fixes the draws.
        suite: A key of `CELLS`.
        agent: What the run called it.
        level: Clean normalised score.
        kept: Share of it under every perturbation.
        spread: Standard deviation of episodes, as a share of their mean; 0 for equal ones.
        train_seeds: Of every game.
        games: Games of the catalogue.
        num_episodes: Of each job.
        kind: As in a manifest: `agent`, `built-in`, `import`, ...
        privileged: Whether it reads more than pixels.
        training: How it was trained.
        protocol: How it was played.
        cells: Other cells than those of `CELLS`.
        version: Of the suite; a version that is not published has a made-up hash.
        **fields: Any other field of an entry.
    """
    names = tuple(cells or CELLS[suite])
    played = protocol or Protocol.evaluation()
    networks = tuple(
        AgentEntry(
            agent=agent,
            train_seed=seed,
            game=game,
            checkpoint_hash=f"{abs(hash_of(name, seed, game)):016x}",
            kind=kind,
            source=agent,
            encoders=(),
            inputs=("ram",) if privileged else (),
            privileged=privileged,
            own_play=None,
        )
        for game in games
        for seed in train_seeds
    )
    blank = Entry(
        schema_version=SCHEMA_VERSION,
        suite=SuiteVersion(
            name=suite,
            version=version,
            content_hash=suite_versions()[suite].get(version, "0123456789abcdef"),
            summary=f"Made for tests: {suite}",
            measure=load_suite(suite).measure,
        ),
        name=name,
        agent=agent,
        **{"paper": None, "code": None, "checkpoint": None, "authors": None, "notes": None, **fields},
        submitted="2026-01-31T12:00:00+00:00",
        wsabench="1.0",
        engine_version=2,
        versions=dict.fromkeys(BIT_DECIDING, "1.0"),
        hosts=(Host(system="Linux", machine="x86_64", processor="a processor", cores=2),),
        protocol=played.to_dict(),
        view={},
        seed=0,
        profile="quick",
        precision=None,
        privileged=privileged,
        external=kind not in ("agent", "built-in"),
        trusted=False,
        training=training or Training(steps=None, frames=None, perturbations=(), method=None, networks=()),
        reference_scores={game: _references(game) for game in games},
        perturbation_hashes={
            game: {name: compile_perturbation(name, game).content_hash for name in names} for game in games
        },
        effects={},
        refused={},
        misfits={},
        skipped=(),
        roms=dict.fromkeys(games, "0" * 64),
        agents=networks,
        jobs=(),
    )
    jobs = [
        _job(blank, one, cell, num_episodes, (level if cell == "clean" else level * kept, spread))
        for one in networks
        for cell in names
    ]
    return replace(blank, jobs=tuple(jobs))


def quick_cells(suite: str, game: str = "breakout") -> tuple[str, ...]:
    """Return the cells of a suite's quick profile that a game has, but for those of encoders."""
    cells = load_suite(suite).profile("quick").cells.of(game)
    fitting = [name for name in cells if misfit(name, game) is None]
    return tuple(name for name in fitting if not compile_perturbation(name, game).encoder_operations)


def hash_of(*names: Any) -> int:
    """Return a number below 2**63 that follows from some names."""
    return int(generator(0, *map(str, names)).integers(2**63))


def _references(game: str) -> ReferenceScores:
    known = load_game(game)
    return ReferenceScores(random=known.random_score, human=known.human_score)


def _job(entry: Entry, network: AgentEntry, cell: str, count: int, law: tuple[float, float]) -> EntryJob:
    """Return a job whose normalised returns are normal with the mean of `law` and its spread as a share of it."""
    mean, spread = law
    rng = generator(0, entry.name, entry.suite.name, str(network.train_seed), network.game, cell)
    scores = mean + np.abs(mean) * spread * rng.standard_normal(count)
    reference = entry.reference_scores[network.game]
    zero, one = reference.random or 0.0, reference.human or 1.0
    episodes = Episodes(
        first=0,
        returns=tuple(float(value) for value in np.round(zero + scores * (one - zero), 3)),
        lengths=tuple(int(length) for length in rng.integers(100, 900, count)),
        ends=("game_over",) * count,
        seeds=tuple(evaluation_seed(network.game, place, entry.seed) for place in range(count)),
        noops=tuple(int(number) for number in rng.integers(0, 31, count)),
        action_hashes=tuple(f"{hash_of(entry.name, cell, place):016x}" for place in range(count)),
    )
    job = EntryJob(
        train_seed=network.train_seed,
        game=network.game,
        perturbation=cell,
        family=compile_perturbation(cell, network.game).family,
        fingerprint="",
        episodes=episodes,
    )
    allowed = job_fingerprints(
        network,
        Protocol.from_dict(entry.protocol),
        perturbation_hash=entry.perturbation_hashes[network.game][cell],
        rom_hash=entry.roms[network.game],
        episode_seeds=episodes.seeds,
        versions=entry.versions,
        engine_version=entry.engine_version,
    )
    return replace(job, fingerprint=min(allowed))
