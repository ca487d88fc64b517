"""From an encoder's name to the encoder, wherever it comes from, and what it reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from wsabench.encoders.catalogue import ENCODERS
from wsabench.encoders.encoder import Reads
from wsabench.encoders.foundation.measured import HashCheck, load_measured, measure, read_standardisation
from wsabench.encoders.foundation.ready import ReadyEncoder, ready_encoders
from wsabench.encoders.foundation.torchscript import SUFFIXES, read_torchscript, run_torchscript, stated_reads
from wsabench.encoders.standardisation import Calibration
from wsabench.encoders.storage import LoadedEncoder, encoder_path, load_encoder, read_architecture
from wsabench.errors import CheckpointError, unknown_name
from wsabench.hashing import bytes_hash
from wsabench.types import INPUT_SHAPES

FILE_SUFFIXES = (".safetensors", *SUFFIXES)
"""What the path of an encoder file ends in."""


def find_ready(name: str, folder: Path | None = None) -> ReadyEncoder | None:
    """Return an encoder that comes with its weights: from a TorchScript file in `folder`, or from a package.

    Raises:
        CheckpointError: The TorchScript file is damaged.
        SpecError: A package states something else than an encoder.
    """
    for suffix in SUFFIXES if folder else ():
        if (path := folder / f"{name}{suffix}").is_file():  # pyright: ignore[reportOptionalOperand]
            return torchscript_encoder(path)
    return ready_encoders().get(name)


def torchscript_encoder(path: Path) -> ReadyEncoder:
    """Return the encoder in a TorchScript file, which does not run before it is built.

    The file is read once: what is hashed is what runs.

    Raises:
        CheckpointError: The file is missing or damaged, or does not say what it reads.
    """
    content = read_torchscript(path)
    return ReadyEncoder(
        path.stem,
        stated_reads(content, path),
        lambda game: run_torchscript(content, path),
        lambda game: bytes_hash(content),
        is_program=True,
    )


def find_encoder(
    game: str,
    name: str,
    directory: Path | None = None,
    *,
    size: str | None = None,
    calibration: Calibration | None = None,
    check: HashCheck | None = None,
) -> LoadedEncoder:
    """Load an encoder by name.

    In `directory`, or among the shipped baselines, `NAME.safetensors` is either an encoder file or the standardisation
    of an encoder that comes with its weights. A file called like one of our encoders has to hold that encoder,
    pre-trained on that game; any other may hold any of our architectures.

    Args:
        game: The game's id.
        name: The encoder's name.
        directory: Folder of encoder files; None: the shipped baselines.
        size: The size that our architectures must have; None: any.
        calibration: What encoders that come with their weights are measured on where there is no file; None: refused.
        check: Asked whether the encoder's content hash is the right one, before any TorchScript runs; None: any is.

    Raises:
        CheckpointError: A file is missing, damaged or foreign, or `check` refuses it.
        SpecError: A package is missing or states something else than an encoder.
    """
    path = encoder_path(game, name, directory)
    stored = read_standardisation(path) if path.is_file() else None
    if path.is_file() and stored is None:
        own = name in ENCODERS
        loaded = load_encoder(path, name=name if own else None, game=game if own else None, size=size)
        if check is not None:
            check(name, loaded.content_hash)
        return loaded
    ready = find_ready(name, path.parent)
    if ready is None:
        if not path.is_file():
            return load_encoder(path, game=game)  # says what is missing
        raise CheckpointError(
            f"The weights of the encoder {name!r}, which {path} belongs to, are missing. Restore them."
        )
    if stored is not None:
        found = load_measured(path, stored, ready, game, check)
    elif calibration is not None:
        found = measure(ready, game, calibration)
    else:
        raise CheckpointError(
            f"{path} is missing, the standardisation of the encoder {name!r} on {game}. Training an agent measures it: "
            "restore it, or train again."
        )
    metadata = {key: str(value) for key, value in found.file.header.items()}
    return LoadedEncoder(found.encoder, found.standardisation, metadata, found.content_hash)


def encoder_reads(name: str, file: Path | None = None) -> Reads:
    """Return what an encoder reads.

    Args:
        name: Its name.
        file: The file that holds it, if it was given by path.

    Raises:
        CheckpointError: The file is missing or damaged.
        UnknownNameError: There is no such encoder.
    """
    if file is not None and file.suffix in SUFFIXES:
        return torchscript_encoder(file).reads
    architecture = name if file is None else read_architecture(file)
    ready = ready_encoders()
    if architecture in ENCODERS:
        return ENCODERS[architecture].reads
    if architecture in ready:
        return ready[architecture].reads
    raise unknown_name("encoder", architecture, [*ENCODERS, *ready], "Or give the path of an encoder file.")


def required_inputs(names: Iterable[str], files: Mapping[str, Path] | None = None) -> tuple[str, ...]:
    """Return the further inputs that encoders read, in the order of `INPUT_SHAPES`.

    Args:
        names: Names of encoders.
        files: Files of those given by path, by name.

    Raises:
        CheckpointError: A file is missing or damaged.
        UnknownNameError: There is no such encoder.
    """
    reads = {encoder_reads(name, (files or {}).get(name)) for name in names}
    return tuple(name for name in INPUT_SHAPES if name in reads)
