"""The frozen encoders of a training run: copied or made once, kept beside the checkpoint."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from wsabench import seeding
from wsabench.agents import AgentSpec
from wsabench.encoders import (
    EncoderBank,
    build_encoder,
    encoder_path,
    measure_standardisation,
    save_encoder,
    set_batch_norm_statistics,
)
from wsabench.errors import StorageError
from wsabench.resources import atomic_path, make_dir
from wsabench.training.lanes import LaneEnvs

MakeEnvs = Callable[[str, int], LaneEnvs]
"""From a game and a number of lanes to their vector environment."""

CALIBRATION_OBSERVATIONS = 512
_CALIBRATION_LANES = 16
_CALIBRATION_STRIDE = 4


def prepare_bank(
    spec: AgentSpec, game: str, train_seed: int, directory: Path, make_envs: MakeEnvs, source: Path | None = None
) -> EncoderBank | None:
    """Return the encoders of a run, None for agents without; the first time they are put into `directory/encoders`.

    Args:
        spec: The agent.
        game: The game's id.
        train_seed: Seed of random encoders.
        directory: The run's folder.
        make_envs: Makes lanes whose frames calibrate random encoders.
        source: Folder of pre-trained encoders; default: the shipped ones.

    Raises:
        CheckpointError: A pre-trained encoder is missing, damaged or of another game.
        StorageError: The folder cannot be written.
    """
    if spec.kind == "e2e":
        return None
    folder = directory / "encoders"
    load = functools.partial(
        EncoderBank.load,
        game,
        spec.encoders,
        spec.bank_context,
        embeddings=spec.embeddings,
        size=spec.encoder_size,
    )
    if not all(encoder_path(game, name, folder).is_file() for name in spec.all_encoders):
        make_dir(folder)
        if spec.encoder_source == "random":
            _make_random(spec, game, train_seed, folder, make_envs)
        else:
            load(source)
            _copy(spec, game, source, folder)
    # Encoders that are trained further start in full precision.
    return load(folder, torch.float32 if spec.tune_encoders else None)


def _copy(spec: AgentSpec, game: str, source: Path | None, folder: Path) -> None:
    for name in spec.all_encoders:
        original = encoder_path(game, name, source)
        try:
            content = original.read_bytes()
        except OSError as error:
            raise StorageError(f"Cannot read {original}: {error.strerror}.") from error
        with atomic_path(encoder_path(game, name, folder)) as temporary:
            temporary.write_bytes(content)


def _make_random(spec: AgentSpec, game: str, train_seed: int, folder: Path, make_envs: MakeEnvs) -> None:
    observations = random_play(game, train_seed, make_envs)
    for name in spec.all_encoders:
        encoder = build_encoder(name, seeding.integer_seed(train_seed, "random-encoder", name), spec.encoder_size)
        set_batch_norm_statistics(encoder, observations)
        standardisation = measure_standardisation(encoder, observations)
        meta = {"game": game, "source": "random", "seed": str(train_seed)}
        save_encoder(encoder_path(game, name, folder), encoder, standardisation, meta, size=spec.encoder_size)


def random_play(game: str, train_seed: int, make_envs: MakeEnvs) -> torch.Tensor:
    """Return observations of random play, uint8, shape (512, 4, 84, 84)."""
    generator = seeding.generator(train_seed, "random-play")
    envs = make_envs(game, _CALIBRATION_LANES)
    try:
        num_actions = int(envs.single_action_space.n)
        seeds = [seeding.training_seed(train_seed, "random-play", lane) for lane in range(_CALIBRATION_LANES)]
        observations, _ = envs.reset(seed=seeds)
        kept = []
        for step in range(CALIBRATION_OBSERVATIONS // _CALIBRATION_LANES * _CALIBRATION_STRIDE):
            observations, _, terminated, truncated, _ = envs.step(generator.integers(num_actions, size=envs.num_envs))
            if step % _CALIBRATION_STRIDE == 0:
                kept.append(observations.copy())
            if (terminated | truncated).any():
                envs.reset(options={"reset_mask": terminated | truncated})
    finally:
        envs.close()
    return torch.from_numpy(np.concatenate(kept))
