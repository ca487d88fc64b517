"""The frozen encoders of a training run: copied, made or measured once, kept beside the checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from wsabench import seeding
from wsabench.agents import AgentSpec, open_bank
from wsabench.encoders import (
    ENCODERS,
    Calibration,
    EncoderBank,
    ReadyEncoder,
    build_encoder,
    encoder_path,
    find_encoder,
    find_ready,
    measure,
    measure_standardisation,
    required_inputs,
    save_encoder,
    set_batch_norm_statistics,
    torchscript_encoder,
)
from wsabench.encoders.foundation.torchscript import SUFFIXES
from wsabench.errors import SpecError, StorageError
from wsabench.resources import atomic_path, make_dir
from wsabench.training.lanes import LaneEnvs

MakeEnvs = Callable[..., LaneEnvs]
"""From a game and a number of lanes, and `inputs` where encoders read more than observations, to their environment."""

CALIBRATION_OBSERVATIONS = 512
_CALIBRATION_LANES = 16
_CALIBRATION_STRIDE = 4


def read_inputs(spec: AgentSpec) -> tuple[str, ...]:
    """Return what an agent's encoders read beside observations (`rgb84`, `ram`).

    Raises:
        CheckpointError: The file of an encoder given by path is missing or damaged.
        UnknownNameError: There is no such encoder.
    """
    return required_inputs(spec.all_encoders, spec.files)


def make_lanes(make_envs: MakeEnvs, game: str, num_envs: int, inputs: Sequence[str]) -> LaneEnvs:
    """Make lanes that supply inputs beside observations, if there are any."""
    return make_envs(game, num_envs, inputs=tuple(inputs)) if inputs else make_envs(game, num_envs)


def check_sources(spec: AgentSpec, game: str, directory: Path, source: Path | None = None) -> None:
    """Check that the pre-trained encoders of a run are there, before anything is written.

    Args:
        spec: The agent.
        game: The game's id.
        directory: The run's folder, which may hold them already.
        source: Folder of pre-trained encoders; default: the shipped ones.

    Raises:
        CheckpointError: One is missing, damaged or of another game.
    """
    if spec.kind == "e2e" or spec.encoder_source == "random":
        return
    for name in spec.all_encoders:
        is_pretrained = name in ENCODERS and name not in spec.files
        if is_pretrained and not encoder_path(game, name, directory / "encoders").is_file():
            find_encoder(game, name, encoder_path(game, name, source).parent)


def prepare_bank(
    spec: AgentSpec, game: str, train_seed: int, directory: Path, make_envs: MakeEnvs, source: Path | None = None
) -> EncoderBank | None:
    """Return the encoders of a run, None for agents without; the first time they are put into `directory/encoders`.

    There, each has a file `NAME.safetensors`: the encoder itself, or the standardisation of one that comes with its
    weights, measured on random play.

    Args:
        spec: The agent.
        game: The game's id.
        train_seed: Seed of random encoders, and of the random play.
        directory: The run's folder.
        make_envs: Makes lanes whose frames calibrate encoders.
        source: Folder of pre-trained encoders; default: the shipped ones.

    Raises:
        CheckpointError: A pre-trained encoder is missing, damaged or of another game.
        SpecError: The package of an encoder is missing, or an encoder has no random twin.
        StorageError: The folder cannot be written.
        UnknownNameError: There is no such encoder.
    """
    if spec.kind == "e2e":
        return None
    folder = directory / "encoders"
    if not all(encoder_path(game, name, folder).is_file() for name in spec.all_encoders):
        make_dir(folder)
        placing = _Placing(spec, game, train_seed, folder, make_envs)
        for name in spec.all_encoders:
            placing.place(name, source)
    return open_bank(spec, game, folder)


class _Placing:
    """Puts an agent's encoders into a run's folder."""

    def __init__(self, spec: AgentSpec, game: str, train_seed: int, folder: Path, make_envs: MakeEnvs) -> None:
        self._spec, self._game, self._train_seed = spec, game, train_seed
        self._folder = folder
        self._make_envs = make_envs
        self._played: Calibration | None = None

    def place(self, name: str, source: Path | None) -> None:
        """Put one encoder there.

        Args:
            name: Its name.
            source: Folder of pre-trained encoders; None: the shipped ones.
        """
        file = self._spec.files.get(name)
        is_random = self._spec.encoder_source == "random"
        target = encoder_path(self._game, name, self._folder)
        ready = self._ready(name, file)
        if ready is not None:
            self._measure(ready, is_random)
            if file is not None:
                _copy(file, target.with_suffix(file.suffix))
        elif is_random and file is not None:
            raise SpecError(
                f"The encoder {name!r} is the file {file}, but encoder_source is 'random'. Name the architecture "
                "instead, or choose pretrained."
            )
        elif is_random:
            self._make_random(name)
        elif file is not None:
            find_encoder(self._game, name, file.parent)
            _copy(file, target)
        else:
            original = encoder_path(self._game, name, source)
            find_encoder(self._game, name, original.parent)
            _copy(original, target)

    def _ready(self, name: str, file: Path | None) -> ReadyEncoder | None:
        """Return the encoder if it comes with its weights."""
        if file is not None:
            return torchscript_encoder(file) if file.suffix in SUFFIXES else None
        return None if name in ENCODERS else find_ready(name)

    def _measure(self, ready: ReadyEncoder, is_random: bool) -> None:
        seed = seeding.integer_seed(self._train_seed, "random-encoder", ready.name) if is_random else None
        measured = measure(ready, self._game, self._calibration(), seed)
        measured.save(encoder_path(self._game, ready.name, self._folder))

    def _make_random(self, name: str) -> None:
        played = self._calibration()
        seed, size = seeding.integer_seed(self._train_seed, "random-encoder", name), self._spec.encoder_size
        encoder = build_encoder(name, seed, size)
        set_batch_norm_statistics(encoder, played.stack, played.inputs)
        standardisation = measure_standardisation(encoder, played.stack, played.inputs)
        meta = {"game": self._game, "source": "random", "seed": str(self._train_seed)}
        save_encoder(encoder_path(self._game, name, self._folder), encoder, standardisation, meta, size=size)

    def _calibration(self) -> Calibration:
        """Return random play, played once."""
        if self._played is None:
            self._played = random_play(self._game, self._train_seed, self._make_envs, read_inputs(self._spec))
        return self._played


def _copy(original: Path, target: Path) -> None:
    try:
        content = original.read_bytes()
    except OSError as error:
        raise StorageError(f"Cannot read {original}: {error.strerror}.") from error
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)


def random_play(game: str, train_seed: int, make_envs: MakeEnvs, inputs: Sequence[str] = ()) -> Calibration:
    """Return observations of random play, uint8, shape (512, 4, 84, 84), and further inputs of the same steps."""
    generator = seeding.generator(train_seed, "random-play")
    envs = make_lanes(make_envs, game, _CALIBRATION_LANES, inputs)
    try:
        num_actions = int(envs.single_action_space.n)
        seeds = [seeding.training_seed(train_seed, "random-play", lane) for lane in range(_CALIBRATION_LANES)]
        envs.reset(seed=seeds)
        kept, further = [], {name: [] for name in inputs}
        for step in range(CALIBRATION_OBSERVATIONS // _CALIBRATION_LANES * _CALIBRATION_STRIDE):
            actions = generator.integers(num_actions, size=envs.num_envs)
            observations, _, terminated, truncated, infos = envs.step(actions)
            if step % _CALIBRATION_STRIDE == 0:
                kept.append(observations.copy())
                for name, values in further.items():
                    values.append(infos[name].copy())
            if (terminated | truncated).any():
                envs.reset(options={"reset_mask": terminated | truncated})
    finally:
        envs.close()
    told = {name: torch.from_numpy(np.concatenate(values)) for name, values in further.items()}
    return Calibration(torch.from_numpy(np.concatenate(kept)), told)
