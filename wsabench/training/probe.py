"""Probing: what of the game's state can be read linearly from each frozen encoder, and does pre-training help.

Contestants on the same samples, the same split and the same grid of penalties: each encoder, untrained twins of it, and
down-sampled pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch.nn.functional import adaptive_avg_pool2d

from wsabench import seeding
from wsabench.encoders import ENCODERS, Calibration, EncoderBank, find_ready, ready_encoders, required_inputs
from wsabench.errors import SpecError, unknown_name
from wsabench.games import load_game
from wsabench.resources import state_dir
from wsabench.training.frames import StepSource, collect_frames
from wsabench.training.pretrain import LaneSource
from wsabench.training.probe_data import ProbeSamples, ProbeTarget, RamVariable, draw_samples, probe_targets
from wsabench.training.probe_fit import logistic_score, principal_features, ridge_score
from wsabench.training.progress import Reporter, SilentReporter

NUM_FRAMES = 60_000
NUM_SAMPLES = 4_000
NUM_TWINS = 3
PIXELS = "pixels"
PIXEL_SIZE = 21
MAP_SIZE = 10
"""Maps are averaged down to at most this height and width, so that contestants have comparable numbers of features."""
BATCH = 64
MEAN = "mean"


def probe(  # noqa: PLR0913 - the public contract
    game: str,
    encoders: Sequence[str] | None = None,
    *,
    directory: Path | None = None,
    frames: int = NUM_FRAMES,
    samples: int = NUM_SAMPLES,
    seed: int = 0,
    twins: int = NUM_TWINS,
    reporter: Reporter | None = None,
    source: StepSource | None = None,
    variables: Mapping[str, RamVariable] | None = None,
) -> pd.DataFrame:
    """Fit probes from embeddings to the verified RAM variables of a game.

    Variables with many values get a ridge probe, scored by R^2; those with few a logistic probe, scored by accuracy
    relative to a constant guess. Both scores are 1 for perfect and 0 for a constant prediction; in the mean over
    variables they are clipped to 0..1. Variables that hardly change in random play are left out and listed in
    `attrs["constant"]`. Embeddings are standardised as agents get them, maps averaged down to at most 10 x 10. The
    frames are played with seeds that pre-training does not use.

    Args:
        game: The game's id.
        encoders: Names; None: all five that are pre-trained.
        directory: Folder of the encoder files; None: the shipped baselines.
        frames: Steps of random play to collect.
        samples: Steps, evenly spaced among them, to probe on.
        seed: Fixes the frames, the split and the twins.
        twins: Number of untrained twins of each encoder.
        reporter: Gets the progress; None: silent.
        source: What is played; None: a clean lane.
        variables: RAM variables; None: those of the game's record.

    Returns:
        One row for each contestant and variable, and one with the mean. Columns: `contestant` (encoder or `pixels`),
        `twin` (number from 0; missing: the pre-trained encoder or the pixels), `variable` (`mean` in the last row of
        each), `kind` (`number`, `classes`, `mean`), `score`. `attrs` holds `constant`, `samples` and `hashes`.

    Raises:
        CheckpointError: An encoder file is missing or damaged.
        SpecError: The game has no verified variable that changes, or there are too few frames.
        UnknownNameError: No such game or encoder.
    """
    names = list(encoders or ENCODERS)
    for name in names:
        if name not in ENCODERS and find_ready(name, directory) is None:
            raise unknown_name("encoder", name, [*ENCODERS, *ready_encoders()])
    known: Mapping[str, RamVariable] = load_game(game).ram if variables is None else variables
    reporter = reporter or SilentReporter()
    path = state_dir() / "probing" / f"{game}-frames{frames}-seed{seed}"
    store_seed = seeding.integer_seed(seed, "probe-frames")
    store = collect_frames(
        source or LaneSource(game), path, game=game, num_frames=frames, seed=store_seed, reporter=reporter
    )
    data = draw_samples(store, samples, seed, required_inputs(names))
    targets, constant = probe_targets(known, data)
    if not targets:
        raise SpecError(
            f"No verified RAM variable of {game!r} changes in {frames} steps of random play. Use more frames."
        )
    calibration = _calibration(data, data.parts["train"][:1_024])
    bank = EncoderBank.load(game, names, context=names[0], directory=directory, calibration=calibration)
    banks: dict[int | None, EncoderBank] = {None: bank}
    for twin in range(twins):
        banks[twin] = EncoderBank.random(
            names,
            names[0],
            seed=seeding.integer_seed(seed, "probe-twin", twin),
            calibration_frames=calibration.stack,
            calibration_inputs=calibration.inputs,
            game=game,
        )
    table = _score_all(banks, data, targets, reporter)
    table.attrs |= {"constant": constant, "samples": {part: len(rows) for part, rows in data.parts.items()}}
    table.attrs["hashes"] = bank.hashes
    return table


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


def _score_all(
    banks: Mapping[int | None, EncoderBank], data: ProbeSamples, targets: Sequence[ProbeTarget], reporter: Reporter
) -> pd.DataFrame:
    names = banks[None].names
    rows: list[dict[str, object]] = []
    reporter.start("probe", 1 + len(banks) * len(names), "contestants")
    stacks = torch.from_numpy(data.stacks)
    pixels = torch.cat([adaptive_avg_pool2d(part.float(), PIXEL_SIZE) for part in stacks.split(BATCH)])
    rows += _rows(PIXELS, None, _scores(pixels.flatten(1).numpy(), data, targets), targets)
    reporter.advance(1)
    for name in names:
        for twin, bank in banks.items():
            embedding = _embedding(bank, name, data)
            rows += _rows(name, twin, _scores(embedding.numpy(), data, targets), targets)
            reporter.advance(1, mean=float(str(rows[-1]["score"])))
    reporter.finish()
    return pd.DataFrame(rows).astype({"twin": "Int64"})


def _calibration(data: ProbeSamples, rows: npt.NDArray[np.int64]) -> Calibration:
    inputs = {name: torch.from_numpy(values[rows]) for name, values in data.inputs.items()}
    return Calibration(torch.from_numpy(data.stacks[rows]), inputs)


def _embedding(bank: EncoderBank, name: str, data: ProbeSamples) -> torch.Tensor:
    """Return an encoder's embeddings of all samples, maps averaged down, float32, shape (N, size)."""
    parts = []
    for start in range(0, len(data.stacks), BATCH):
        part = _calibration(data, np.arange(start, min(start + BATCH, len(data.stacks))))
        parts.append(_pooled(bank.embed(part.stack, [name], part.inputs)[name].float()))
    return torch.cat(parts)


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
