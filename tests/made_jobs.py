"""Two jobs with their manifest, and a recording of an episode: made up, for tests of what is written and shown."""

from __future__ import annotations

from typing import Any

import numpy as np
from result_fixture import agent_entry, made_manifest

from wsabench.results import Job
from wsabench.results.manifest import JobEntry, Manifest, SuiteEntry
from wsabench.results.recorded import Recording
from wsabench.results.records import EpisodeSteps
from wsabench.seeding import evaluation_seed

SEEDS = (evaluation_seed("breakout", 0), evaluation_seed("breakout", 1))
JOBS = (
    Job("wsa", 0, "breakout", "clean", "clean", None, SEEDS, "f0"),
    Job("wsa", 0, "breakout", "color", "hue-rotate@3", 3, SEEDS, "f1"),
)
ENCODERS = ("sr", "oke")


def manifest(**changes: Any) -> Manifest:
    """A manifest of the two jobs; `changes` override entries."""
    jobs = tuple(
        JobEntry(
            agent=job.agent,
            train_seed=job.train_seed,
            game=job.game,
            perturbation=job.perturbation,
            file=f"{job.key}.parquet",
            fingerprint=job.fingerprint,
        )
        for job in JOBS
    )
    base = {
        "suite": SuiteEntry(name="s", summary="text", content_hash="h"),
        "episodes": 2,
        "games": ("breakout",),
        "perturbations": ("clean", "hue-rotate@3"),
        "agents": (agent_entry("wsa", checkpoint_hash="c"),),
        "roms": {"breakout": "r"},
        "jobs": jobs,
        "end": None,
    }
    return made_manifest(**{**base, **changes})


def recording(weights: np.ndarray, **changes: Any) -> Recording:
    """A recording of as many steps as there are rows of weights; `changes` override fields."""
    count = len(weights)
    values: dict[str, Any] = {
        "agent": "wsa",
        "train_seed": 0,
        "game": "breakout",
        "family": "clean",
        "perturbation": "clean",
        "severity": None,
        "episode_seed": 2,
        "encoders": ENCODERS[: weights.shape[1]],
        "action_names": ("NOOP", "FIRE"),
        "steps": EpisodeSteps(np.zeros(count, np.int64), np.ones(count), np.ones(count, np.float32), weights),
        "episodic_return": float(count),
        "attention": None,
        "end": "game_over",
        "pictures": (),
    }
    return Recording(**{**values, **changes})
