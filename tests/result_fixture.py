"""A made-up result set in the contract's format: two agents, two train seeds, nine cells, eight episodes, frames."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec.structs import replace

from wsabench.protocol import Protocol
from wsabench.results.ledger import LEDGER_DIR, LedgerWriter
from wsabench.results.manifest import (
    SCHEMA_VERSION,
    AgentEntry,
    GitState,
    History,
    Host,
    JobEntry,
    Manifest,
    RecordedPlan,
    ReferenceScores,
    Start,
    SuiteEntry,
    manifest_text,
    read_manifest,
)
from wsabench.seeding import evaluation_seed

CELLS = (
    ("clean", None),
    ("hue-rotate", 1),
    ("hue-rotate", 3),
    ("hue-rotate", 5),
    ("value", 3),
    ("contrast", 3),
    ("invert", None),
    ("palette-pal", None),
    ("palette-shuffle", None),
)
FOLDERS = ("episodes", "attention", "attention_steps", "frames")
EFFECTS = (0.0, 2.1, 5.2, 8.4, 12.0, 9.5, 60.2, 3.3, 20.8)
KEPT = {"wsa": (1.0, 0.95, 0.8, 0.6, 0.7, 0.75, 0.1, 0.9, 0.3), "e2e": (1.0, 0.9, 0.7, 0.5, 0.8, 0.6, 0.05, 0.9, 0.2)}
CLEAN_RETURN = {"wsa": 16.0, "e2e": 19.0}
ENCODERS = ("sr", "oke", "okk", "vos")
VERSIONS = {"ale-py": "0.12.1", "torch": "2.13.0"} | dict.fromkeys(
    ("numba", "numpy", "opencv-python-headless", "scipy"), "1.0"
)
REFERENCES = {"breakout": {"random": 1.7, "human": 30.5}, "pong": {"random": -20.7, "human": 14.6}}


def label(name: str, severity: int | None) -> str:
    """Return the written name of a cell."""
    return name if severity is None else f"{name}@{severity}"


def write_result_set(
    path: Path,
    agents: tuple[str, ...] = ("wsa", "e2e"),
    train_seeds: tuple[int, ...] = (0, 1),
    cells: tuple[tuple[str, int | None], ...] = CELLS,
    games: tuple[str, ...] = ("breakout",),
    episodes: int = 8,
    **changes: Any,
) -> Path:
    """Write a result set; `changes` as in `made_manifest`. The same arguments give the same numbers."""
    for folder in ("episodes", "attention", "frames"):
        (path / folder).mkdir(parents=True, exist_ok=True)
    jobs = []
    grid = [(agent, seed, game, cell) for agent in agents for seed in train_seeds for game in games for cell in cells]
    for agent, seed, game, cell in grid:
        file = f"{agent}-seed{seed}--{game}--{label(*cell)}.parquet"
        fingerprint = hashlib.sha256(file.encode()).hexdigest()
        shard = _episode_shard(agent, seed, game, cell, episodes, changes.get("seed", 0), fingerprint)
        (path / "episodes" / file).write_bytes(shard)
        if agent == "wsa":
            (path / "attention" / file).write_bytes(_attention_shard(agent, seed, game, cell))
        job = {"agent": agent, "train_seed": seed, "game": game, "perturbation": label(*cell), "file": file}
        jobs.append(JobEntry(**job, fingerprint=fingerprint))
    for game in games:
        for cell in cells:
            write_frame(path / "frames", game, cell)
    base = base_manifest(agents, train_seeds, cells, games, episodes)
    write_manifest(path, changed(base, jobs=tuple(jobs), **changes))
    return path


def write_manifest(path: Path, manifest: Manifest) -> Path:
    """Write the manifest of a result set, in place of any other, as if a run had written it."""
    (path / "manifest.json").write_text(manifest_text(manifest), encoding="utf-8")
    return with_ledger(path) if (path / LEDGER_DIR).exists() else path


def with_ledger(path: Path) -> Path:
    """Give a result set a ledger of what lies in it now, in place of any other."""
    shutil.rmtree(path / LEDGER_DIR, ignore_errors=True)
    with closing(LedgerWriter(path)) as writer:
        writer.adopt(FOLDERS, json.loads((path / "manifest.json").read_text(encoding="utf-8")))
    return path


def change_manifest(path: Path, **changes: Any) -> Path:
    """Change some entries of a result set's manifest in place, as `changed` does."""
    return write_manifest(path, changed(read_manifest(path), **changes))


def edit_manifest(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Change the plain values of a result set's manifest in place; no ledger hears of it."""
    content = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    change(content)
    (path / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    return path


def changed(manifest: Manifest, **changes: Any) -> Manifest:
    """Return a manifest with other entries.

    Fields of the plan by their names; those of the first start too, whose `versions` are called `packages`.
    """
    names = {"packages": "versions", **{name: name for name in ("start", "end", "command_line", "git", "host")}}
    start = {names[name]: changes.pop(name) for name in list(changes) if name in names}
    first, *others = manifest.history.starts
    history = replace(manifest.history, starts=(replace(first, **start), *others))
    return replace(manifest, plan=replace(manifest.plan, **changes), history=history)


def made_manifest(**changes: Any) -> Manifest:
    """Return a manifest of nothing played, with other entries as in `changed`."""
    blank = changed(base_manifest((), (), (), (), 1), suite=SuiteEntry(name="s", summary="", content_hash=""))
    return changed(blank, **{"profile": None, **changes})


def agent_entry(agent: str, train_seed: int = 0, game: str = "breakout", **facts: Any) -> AgentEntry:
    """Return an agent on pixels, without encoders unless told otherwise."""
    return AgentEntry(
        agent=agent,
        train_seed=train_seed,
        game=game,
        **{
            "checkpoint_hash": hashlib.sha256(f"{agent}{train_seed}{game}".encode()).hexdigest(),
            "kind": "agent",
            "source": agent,
            "encoders": (),
            "inputs": (),
            "privileged": False,
            "own_play": None,
            **facts,
        },
    )


def episode_rows(
    agent: str, seed: int, game: str, cell: tuple[str, int | None], episodes: int, root: int = 0
) -> pd.DataFrame:
    """Return episodes with noise shared by episode seed, so that clean and perturbed are correlated."""
    name, severity = cell
    kept = dict(zip(CELLS, KEPT.get(agent, KEPT["e2e"]), strict=True)).get(cell, 0.5)
    low, span = REFERENCES[game]["random"], REFERENCES[game]["human"] - REFERENCES["breakout"]["random"]
    rng = np.random.default_rng([len(agent), seed, *map(ord, label(*cell))])
    shared = np.random.default_rng(seed).normal(0.0, 2.5, episodes)
    clean = CLEAN_RETURN.get(agent, 10.0) + 3.0 * seed + (0.0 if game == "breakout" else span * 0.1)
    returns = np.maximum(low, np.round(low + kept * (clean - 1.7) + shared + rng.normal(0.0, 1.5, episodes)))
    ends = np.where(rng.uniform(size=episodes) < 0.3 * (kept < 0.35), "stalled", "game_over")
    return pd.DataFrame(
        {
            **job_columns(agent, seed, game, name, severity, episodes),
            "episode_seed": [evaluation_seed(game, episode, root) for episode in range(episodes)],
            "episode": np.arange(episodes),
            "return": returns,
            "length": (400 + 20 * (returns - low) + rng.integers(0, 30, episodes)).astype(np.int64),
            "end": ends,
        }
    )


def attention_rows(agent: str, seed: int, game: str, cell: tuple[str, int | None]) -> pd.DataFrame:
    """Return attention weights that drift from the first encoder to the last under strong shifts."""
    name, severity = cell
    drift = 1.0 - dict(zip(CELLS, KEPT["wsa"], strict=True)).get(cell, 0.5)
    logits = np.array([1.4 - 2.0 * drift, 0.6, -0.6 + 0.2 * seed, 0.2 + 1.2 * drift])
    weights = np.exp(logits) / np.exp(logits).sum()
    return pd.DataFrame(
        {
            **job_columns(agent, seed, game, name, severity, len(ENCODERS)),
            "encoder": ENCODERS,
            "mean": weights,
            "sd": 0.3 * weights,
            "entropy": float(-(weights * np.log(weights)).sum()),
            "num_steps": 4000,
        }
    )


def job_columns(agent: str, seed: int, game: str, name: str, severity: int | None, count: int) -> dict[str, Any]:
    """Return the columns that name a job."""
    return {
        "agent": [agent] * count,
        "train_seed": np.full(count, seed, dtype=np.int64),
        "game": [game] * count,
        "family": [family_of(name, severity)] * count,
        "perturbation": [name] * count,
        "severity": pd.array([pd.NA if severity is None else severity] * count, dtype="Int64"),
    }


@functools.cache
def family_of(name: str, severity: int | None) -> str:
    """Return the family of a perturbation, which the tests' own cells need not look up."""
    if name == "clean" or name in dict(CELLS):
        return "clean" if name == "clean" else "color"
    from wsabench.perturb import parse_perturbation

    return parse_perturbation(label(name, severity)).family


def full_suite_cells() -> tuple[tuple[str, int | None], ...]:
    """Return every cell of the suite `full` on its own game."""
    from wsabench.perturb import load_suite

    parts = [name.partition("@") for name in load_suite("full").perturbations]
    return tuple((name, int(severity) if severity else None) for name, _, severity in parts)


@functools.lru_cache(maxsize=4096)
def _episode_shard(
    agent: str, seed: int, game: str, cell: tuple[str, int | None], episodes: int, root: int, fingerprint: str
) -> bytes:
    """Return a job's file of episodes; many tests write the same ones."""
    return _shard(episode_rows(agent, seed, game, cell, episodes, root).assign(fingerprint=fingerprint))


@functools.lru_cache(maxsize=512)
def _attention_shard(agent: str, seed: int, game: str, cell: tuple[str, int | None]) -> bytes:
    """Return a job's file of attention."""
    return _shard(attention_rows(agent, seed, game, cell))


def write_shard(path: Path, table: pd.DataFrame) -> None:
    """Write a table with the types of the contract; only the severity may be missing."""
    path.write_bytes(_shard(table))


def _shard(table: pd.DataFrame) -> bytes:
    """Return a table as a file."""
    drawn = pa.Table.from_pandas(table, preserve_index=False)
    fields = [
        pa.field(
            field.name, pa.string() if pa.types.is_large_string(field.type) else field.type, field.name == "severity"
        )
        for field in drawn.schema
    ]
    buffer = io.BytesIO()
    pq.write_table(drawn.cast(pa.schema(fields)).replace_schema_metadata(), buffer)
    return buffer.getvalue()


def write_frame(folder: Path, game: str, cell: tuple[str, int | None]) -> None:
    """Write what a person sees and what the agent sees, side by side."""
    (folder / f"{game}--{label(*cell)}.png").write_bytes(_frame(cell))


@functools.cache
def _frame(cell: tuple[str, int | None]) -> bytes:
    """Return the picture of a cell."""
    hue = 20 * list(CELLS).index(cell) if cell in CELLS else 0
    screen = np.zeros((210, 160, 3), np.uint8)
    for row in range(6):
        color = np.array([[[(hue + 25 * row) % 180, 200, 190]]], np.uint8)
        screen[57 + 6 * row : 63 + 6 * row, 8:152] = cv2.cvtColor(color, cv2.COLOR_HSV2BGR)[0, 0]
    screen[17:31] = screen[:, :8] = screen[:, 152:] = (142, 142, 142)
    screen[189:193, 70:86] = (72, 72, 200)
    grey = cv2.cvtColor(cv2.resize(screen, (84, 84), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    seen = cv2.cvtColor(cv2.resize(grey, (210, 210), interpolation=cv2.INTER_NEAREST), cv2.COLOR_GRAY2BGR)
    if "noise" in cell[0]:  # incompressible, as the real ones
        screen = np.random.default_rng(0).integers(0, 256, screen.shape, np.uint8)
    picture = np.concatenate([screen, np.full((210, 8, 3), 255, np.uint8), seen], axis=1)
    return cv2.imencode(".png", picture)[1].tobytes()


def base_manifest(
    agents: tuple[str, ...],
    train_seeds: tuple[int, ...],
    cells: tuple[tuple[str, int | None], ...],
    games: tuple[str, ...],
    episodes: int,
) -> Manifest:
    """Return a manifest as a run writes it, without its jobs."""
    effects = {label(*cell): effect for cell, effect in zip(CELLS, EFFECTS, strict=True) if cell in cells and effect}
    plan = RecordedPlan(
        suite=SuiteEntry(name="color-shift", summary="Colour shifts", content_hash="5" * 64),
        profile="quick",
        protocol=Protocol(),
        seed=0,
        episodes=episodes,
        games=games,
        perturbations=tuple(label(*cell) for cell in cells),
        perturbation_hashes={},
        effects=dict.fromkeys(games, effects),
        refused={},
        misfits={},
        skipped=(),
        reference_scores={game: ReferenceScores(**REFERENCES[game]) for game in games},
        agents=tuple(
            agent_entry(agent, seed, game, encoders=ENCODERS if agent == "wsa" else ())
            for agent in agents
            for seed in train_seeds
            for game in games
        ),
        engine_version=1,
        versions=VERSIONS,
        roms=dict.fromkeys(games, "a" * 64),
        jobs=(),
    )
    start = Start(
        start="2026-01-01T00:00:00+00:00",
        end="2026-01-01T00:04:00+00:00",
        command_line="wsabench run --suite color-shift --profile quick",
        git=GitState(commit="0123456789abcdef0123456789abcdef01234567", dirty=False),
        host=Host(system="Linux", machine="x86_64", processor="a processor", cores=2),
        versions={"python": "3.11.2", "wsabench": "0.1.0", **VERSIONS},
    )
    return Manifest(schema_version=SCHEMA_VERSION, plan=plan, history=History.of_start(start))
