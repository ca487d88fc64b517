"""Probing: what of the game's state can be read linearly from each frozen encoder, and does pre-training help.

Contestants on the same samples, the same split and the same grid of penalties: each encoder, untrained twins of it, and
down-sampled pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch.nn.functional import adaptive_avg_pool2d

from wsabench import seeding
from wsabench.encoders import (
    ENCODERS,
    Calibration,
    EncoderBank,
    LoadedEncoder,
    check_size,
    encoder_path,
    find_encoder,
    find_ready,
    load_encoder,
    ready_encoders,
    required_inputs,
)
from wsabench.errors import CheckpointError, SpecError, unknown_name
from wsabench.evaluation.contestants import AgentReference
from wsabench.games import load_game
from wsabench.progress import Reporter, SilentReporter
from wsabench.resources import state_dir
from wsabench.training.frames.collection import Collection, collect_frames
from wsabench.training.frames.experts import DEFAULT_EXPERT, find_expert
from wsabench.training.frames.sources import LaneSource, StepSource
from wsabench.training.probing.cache import ScoreCache
from wsabench.training.probing.data import ProbeSamples, ProbeTarget, RamVariable, draw_samples, probe_targets
from wsabench.training.probing.fit import logistic_score, principal_features, ridge_score

NUM_FRAMES = 60_000
NUM_SAMPLES = 4_000
NUM_TWINS = 3
PIXELS = "pixels"
PIXEL_SIZE = 21
MAP_SIZE = 10
"""Maps are averaged down to at most this height and width, so that contestants have comparable numbers of features."""
CALIBRATION_SAMPLES = 1_024
"""Training samples that set the twins' statistics."""
BATCH = 64
MEAN = "mean"


def probe(  # noqa: PLR0913 - the public contract
    game: str,
    encoders: Sequence[str] | None = None,
    *,
    size: str | None = None,
    directory: Path | None = None,
    frames: int = NUM_FRAMES,
    data: str = "random",
    expert: AgentReference = DEFAULT_EXPERT,
    samples: int = NUM_SAMPLES,
    seed: int = 0,
    twins: int = NUM_TWINS,
    reporter: Reporter | None = None,
    make_source: Callable[[str], StepSource] = LaneSource,
    variables: Mapping[str, RamVariable] | None = None,
) -> pd.DataFrame:
    """Fit probes from embeddings to the verified RAM variables of a game.

    Variables with many values get a ridge probe, scored by R^2; those with few a logistic probe, scored by accuracy
    relative to a constant guess. Both scores are 1 for perfect and 0 for a constant prediction; in the mean over
    variables they are clipped to 0..1. Variables that hardly change in the frames are left out and listed in
    `attrs["constant"]`. Embeddings are standardised as agents get them, maps averaged down to at most 10 x 10. The
    frames are played with seeds that pre-training does not use. Frames and scores are kept below
    `resources.state_dir()`: what was scored once is not computed again.

    Args:
        game: The game's id.
        encoders: Names; None: all whose files are in the folder.
        size: The size that the files must have, `compact` or `paper`; None: any, one for all. Twins have the same.
        directory: Folder of the encoder files; None: the shipped baselines.
        frames: Steps to play.
        data: Who plays them: `random`, `expert` or `mixed`.
        expert: The expert, as agents are named for evaluation.
        samples: Steps, evenly spaced among them, to probe on.
        seed: Fixes the frames, the split and the twins.
        twins: Number of untrained twins of each encoder.
        reporter: Gets the progress; None: silent.
        make_source: Makes what is played; by default a clean lane.
        variables: RAM variables; None: those of the game's record.

    Returns:
        One row for each contestant and variable, and one with the mean. Columns: `contestant` (encoder or `pixels`),
        `twin` (number from 0; missing: the pre-trained encoder or the pixels), `variable` (`mean` in the last row of
        each), `kind` (`number`, `classes`, `mean`), `score`. `attrs` holds `constant`, `samples`, `size` and `hashes`.

    Raises:
        CheckpointError: An encoder file is missing, damaged or of another size.
        SpecError: The game has no verified variable that changes, or there are too few frames.
        UnknownNameError: No such game, encoder, size or kind of data.
    """
    record = load_game(game)
    game, known = record.id, record.ram if variables is None else variables
    _check_verified(game, known)
    names = _names(game, encoders, directory)
    trained = _load_trained(game, names, size, directory)
    reporter = reporter or SilentReporter()
    player = None if data == "random" else find_expert(game, expert)
    collection = Collection(game, frames, data, player, seeding.integer_seed(seed, "probe-frames"))
    path = state_dir() / "frames" / collection.folder_name()
    store = collect_frames(collection, path, make_source=make_source, reporter=reporter)
    drawn = draw_samples(store, samples, seed, required_inputs(names))
    targets, constant = probe_targets(known, drawn)
    if not targets:
        raise SpecError(f"No verified RAM variable of {game!r} changes in {frames} steps. Use more frames.")
    shared = {"frames": store.content_hash, "steps": len(store), "settings": dict(store.settings), "samples": samples}
    shared |= {"seed": seed, "targets": [[target.name, target.kind] for target in targets]}
    shared |= {"variables": {t.name: [known[t.name].index, known[t.name].encoding] for t in targets}}
    cache = ScoreCache(state_dir() / "probing" / "scores", shared)
    played = _calibration(drawn)
    trained = {
        name: trained[name] if name in trained else find_encoder(game, name, directory, calibration=played)
        for name in names
    }
    table = _score_all(list(_contestants(game, trained, directory, seed, twins)), drawn, targets, cache, reporter)
    table.attrs |= {"constant": constant, "samples": {part: len(rows) for part, rows in drawn.parts.items()}}
    table.attrs["hashes"] = {name: item.content_hash for name, item in trained.items()}
    table.attrs["size"] = _size(next(iter(trained.values())))
    return table


def _check_verified(game: str, known: Mapping[str, RamVariable]) -> None:
    """Refuse a game of which no RAM variable is verified, before anything is played."""
    if any(variable.confidence == "verified" for variable in known.values()):
        return
    found = f"{', '.join(known)} (annotated)" if known else "none"
    raise SpecError(
        f"A probe predicts verified RAM variables of {game!r}, and the catalogue has none. Found: {found}. Confirm one "
        'on the running game, say how in its note, and set confidence = "verified" in the file of the game.'
    )


def compare_with_twins(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean score of each encoder beside its twins'.

    Args:
        table: From `probe`.

    Returns:
        Index: encoder. Columns: `pretrained`, `twins` (mean over twins), `best_twin`, `pixels`, and `beats_twins`, true
        where the encoder is above every twin.
    """
    means = table.loc[table["variable"] == MEAN]
    pixels = float(means.loc[means["contestant"] == PIXELS, "score"].iloc[0])
    rows = {}
    for name, group in means.loc[means["contestant"] != PIXELS].groupby("contestant", sort=False):
        trained = float(group.loc[group["twin"].isna(), "score"].iloc[0])
        others = group.loc[group["twin"].notna(), "score"]
        rows[name] = {
            "pretrained": trained,
            "twins": float(others.mean()),
            "best_twin": float(others.max()),
            "pixels": pixels,
            "beats_twins": bool(trained > others.max()),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


class _Contestant(NamedTuple):
    """Who is scored: an encoder, or without a bank the pixels.

    Attributes:
        name: The encoder's.
        twin: Number of an untrained twin.
        identity: What its scores depend on, besides the samples.
        load: Builds its bank from what it is calibrated with; None: the pixels.
    """

    name: str
    twin: int | None
    identity: Mapping[str, Any]
    load: Callable[[Calibration], EncoderBank] | None


def _names(game: str, encoders: Sequence[str] | None, directory: Path | None) -> list[str]:
    """Return the encoders to probe: those asked for, else those that have a file."""
    for name in encoders or ():
        if name not in ENCODERS and find_ready(name, directory) is None:
            raise unknown_name("encoder", name, [*ENCODERS, *ready_encoders()])
    return list(encoders or [name for name in ENCODERS if encoder_path(game, name, directory).is_file()] or ENCODERS)


def _load_trained(
    game: str, names: Sequence[str], size: str | None, directory: Path | None
) -> dict[str, LoadedEncoder]:
    """Load those that were pre-trained and check that they are of one size."""
    if size is not None:
        check_size(size)
    trained = {
        name: load_encoder(encoder_path(game, name, directory), name=name, game=game)
        for name in names
        if name in ENCODERS
    }
    for name, item in trained.items():
        wanted = size or _size(next(iter(trained.values())))
        if _size(item) != wanted:
            path = encoder_path(game, name, directory)
            raise CheckpointError(f"{path} holds size {_size(item)!r}, not {wanted!r}. Choose another size or folder.")
    return trained


def _size(item: LoadedEncoder) -> str:
    return item.metadata.get("size", "compact")


def _contestants(
    game: str, trained: Mapping[str, LoadedEncoder], directory: Path | None, seed: int, twins: int
) -> Iterator[_Contestant]:
    """Give the pixels, then each encoder followed by its twins."""
    yield _Contestant(PIXELS, None, {"name": PIXELS, "size": PIXEL_SIZE}, None)
    for name, item in trained.items():
        load = partial(EncoderBank.load, game, [name], name, directory)
        identity = {"name": name, "hash": item.content_hash}
        yield _Contestant(name, None, identity, lambda played, load=load: load(calibration=played))
        for twin in range(twins):
            # A twin differs in its weights alone.
            options = dict(item.encoder.options)
            chosen = {"seed": seeding.integer_seed(seed, "probe-twin", twin), "size": _size(item)}
            twin_options = {"options": {name: options}} if options else {}
            build = partial(EncoderBank.random, [name], name, game=game, **chosen, **twin_options)
            identity = {"name": name, **chosen, **({"options": options} if options else {})}
            yield _Contestant(
                name,
                twin,
                identity,
                lambda played, build=build: build(calibration_frames=played.stack, calibration_inputs=played.inputs),
            )


def _score_all(
    contestants: Sequence[_Contestant],
    data: ProbeSamples,
    targets: Sequence[ProbeTarget],
    cache: ScoreCache,
    reporter: Reporter,
) -> pd.DataFrame:
    rows: list[dict[str, object]] = []
    reporter.start("probe", len(contestants), "contestants")
    played = _calibration(data)
    for one in contestants:
        scores = cache.read(one.identity)
        if scores is None:
            scores = _scores(_embedding(one, data, played), data, targets)
            cache.write(one.identity, scores)
        rows += _rows(one.name, one.twin, scores, targets)
        reporter.advance(1, mean=float(str(rows[-1]["score"])))
    reporter.finish()
    return pd.DataFrame(rows).astype({"twin": "Int64"})


def _calibration(data: ProbeSamples) -> Calibration:
    """Return the training samples that encoders are calibrated with."""
    return _observed(data, data.parts["train"][:CALIBRATION_SAMPLES])


def _observed(data: ProbeSamples, rows: npt.NDArray[np.int64]) -> Calibration:
    """Return what encoders read of some samples."""
    inputs = {name: torch.from_numpy(values[rows]) for name, values in data.inputs.items()}
    return Calibration(torch.from_numpy(data.stacks[rows]), inputs)


def _embedding(one: _Contestant, data: ProbeSamples, played: Calibration) -> npt.NDArray[np.float32]:
    """Return a contestant's features of all samples, maps averaged down, float32, shape (N, size)."""
    count = len(data.stacks)
    batches = [_observed(data, rows) for rows in np.split(np.arange(count), range(BATCH, count, BATCH))]
    if one.load is None:
        parts = [adaptive_avg_pool2d(batch.stack.float(), PIXEL_SIZE).flatten(1) for batch in batches]
    else:
        bank = one.load(played)
        parts = [_pooled(bank.embed(b.stack, [one.name], b.inputs)[one.name].float()) for b in batches]
    return torch.cat(parts).numpy()


def _pooled(embedding: torch.Tensor) -> torch.Tensor:
    if embedding.ndim == 4 and embedding.shape[-1] > MAP_SIZE:
        embedding = adaptive_avg_pool2d(embedding, MAP_SIZE)
    return embedding.flatten(1)


def _scores(embedding: npt.NDArray[np.float32], data: ProbeSamples, targets: Sequence[ProbeTarget]) -> dict[str, float]:
    parts = list(data.parts.values())
    features = principal_features(*(embedding[rows] for rows in parts))
    scores: dict[str, float] = {}
    numbers = [target for target in targets if target.kind == "number"]
    if numbers:
        values = np.stack([target.values for target in numbers], axis=1)
        found = ridge_score(features, *(values[rows] for rows in parts))
        scores |= {target.name: float(score) for target, score in zip(numbers, found, strict=True)}
    for target in targets:
        if target.kind == "classes":
            scores[target.name] = logistic_score(features, *(target.values[rows].astype(np.int64) for rows in parts))
    return scores


def _rows(
    contestant: str, twin: int | None, scores: Mapping[str, float], targets: Sequence[ProbeTarget]
) -> list[dict[str, object]]:
    shared = {"contestant": contestant, "twin": twin}
    rows: list[dict[str, object]] = [
        {**shared, "variable": target.name, "kind": target.kind, "score": scores[target.name]} for target in targets
    ]
    mean = float(np.mean([min(1.0, max(0.0, score)) for score in scores.values()]))
    return [*rows, {**shared, "variable": MEAN, "kind": MEAN, "score": mean}]
