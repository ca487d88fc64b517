"""The encoder bank: all frozen encoders of an agent, which embed an observation once."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from wsabench import seeding
from wsabench.encoders.catalogue import build_encoder
from wsabench.encoders.encoder import Encoder, fold_batch_norm
from wsabench.encoders.standardisation import (
    Standardisation,
    check_stack,
    encoder_input,
    measure_standardisation,
    set_batch_norm_statistics,
)
from wsabench.encoders.storage import encoder_path, load_encoder
from wsabench.errors import SpecError


class EncoderBank(nn.Module):
    """Frozen encoders with standardised embeddings.

    It never trains: it holds no parameters, `train()` leaves it in evaluation mode, and its state is not part of an
    agent's. Rows do not influence each other; at one batch size a row's embedding is bit-equal whatever its neighbours.

    Attributes:
        names: The encoders that are fused, in order.
        context: The encoder that the attention compares with.
        shapes: Shape of one embedding of every encoder, the context included.
        hashes: SHA-256 of every encoder's file (of its weights, for random ones).
        source: `pretrained` or `random`.
        dtype: In which the encoders compute.
    """

    def __init__(
        self,
        encoders: Mapping[str, tuple[Encoder, Standardisation]],
        *,
        names: Sequence[str],
        context: str,
        hashes: Mapping[str, str],
        source: str,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Prepare encoders for inference.

        Args:
            encoders: Encoder and standardisation of every name, the context included; not changed.
            names: The encoders that are fused.
            context: Name of the context encoder.
            hashes: Hash of every encoder.
            source: `pretrained` or `random`.
            dtype: torch.bfloat16 or torch.float32; None: the faster one on this machine.

        Raises:
            SpecError: No encoder is named, or one twice.
        """
        super().__init__()
        _check_names(names)
        self.names, self.context, self.source = tuple(names), context, source
        self.dtype = dtype or (torch.bfloat16 if half_precision_is_fast() else torch.float32)
        self.hashes = dict(hashes)
        self.shapes = {name: encoder.shape for name, (encoder, _) in encoders.items()}
        self._encoders = {name: _inference_copy(encoder, self.dtype) for name, (encoder, _) in encoders.items()}
        self._affine = {name: _affine(standardisation) for name, (_, standardisation) in encoders.items()}

    @classmethod
    def load(
        cls,
        game: str,
        names: Sequence[str] = ("sr", "oke", "okk", "vos"),
        context: str = "ae",
        directory: Path | None = None,
        dtype: torch.dtype | None = None,
    ) -> EncoderBank:
        """Read pre-trained encoders.

        Args:
            game: The game they were pre-trained on.
            names: The encoders that are fused.
            context: Name of the context encoder.
            directory: Folder with `NAME.safetensors`; None: the shipped baselines.
            dtype: As for the constructor.

        Raises:
            CheckpointError: A file is missing, damaged or foreign.
            SpecError: No encoder is named, or one twice.
        """
        _check_names(names)
        loaded = {
            name: load_encoder(encoder_path(game, name, directory), name=name, game=game)
            for name in dict.fromkeys([*names, context])
        }
        encoders = {name: (item.encoder, item.standardisation) for name, item in loaded.items()}
        hashes = {name: item.content_hash for name, item in loaded.items()}
        return cls(encoders, names=names, context=context, hashes=hashes, source="pretrained", dtype=dtype)

    @classmethod
    def random(
        cls,
        names: Sequence[str] = ("sr", "oke", "okk", "vos"),
        context: str = "ae",
        *,
        seed: int,
        calibration_frames: torch.Tensor,
        size: str = "compact",
        dtype: torch.dtype | None = None,
    ) -> EncoderBank:
        """Build untrained encoders of the same architecture, the control for every claim about pre-training.

        Args:
            names: The encoders that are fused.
            context: Name of the context encoder.
            seed: Fixes the weights.
            calibration_frames: Observations of random play, uint8, shape (M, 4, 84, 84); a few hundred are enough. They
                set the statistics of batch normalisation and the standardisation.
            size: The architecture's size.
            dtype: As for the constructor.

        Raises:
            ShapeError: The frames have another shape or type.
            SpecError: No encoder is named, or one twice.
            UnknownNameError: No such encoder or size.
        """
        _check_names(names)
        check_stack(calibration_frames)
        encoders: dict[str, tuple[Encoder, Standardisation]] = {}
        for name in dict.fromkeys([*names, context]):
            encoder = build_encoder(name, seeding.integer_seed(seed, "random-encoder", name), size)
            set_batch_norm_statistics(encoder, calibration_frames)
            encoders[name] = (encoder, measure_standardisation(encoder, calibration_frames))
        hashes = {name: _weights_hash(*pair) for name, pair in encoders.items()}
        return cls(encoders, names=names, context=context, hashes=hashes, source="random", dtype=dtype)

    @torch.inference_mode()
    def embed(self, stack: torch.Tensor, only: Sequence[str] | None = None) -> dict[str, torch.Tensor]:
        """Return the standardised embeddings of observations.

        Args:
            stack: Observations, uint8, shape (N, 4, 84, 84), newest frame last.
            only: The encoders to run; None: `names` and the context.

        Returns:
            For each encoder: float16, shape (N, *shape), contiguous.

        Raises:
            ShapeError: The stack has another shape or type.
        """
        check_stack(stack)
        pixels: dict[str, torch.Tensor] = {}
        embeddings = {}
        for name in only or self._encoders:
            encoder = self._encoders[name]
            if encoder.reads not in pixels:
                pixels[encoder.reads] = encoder_input(stack, encoder, self.dtype)
            embeddings[name] = _standardise(encoder(pixels[encoder.reads]), *self._affine[name])
        return embeddings

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> EncoderBank:
        """Move with `to(device)`, although the encoders are not registered as parts."""
        for encoder in self._encoders.values():
            encoder._apply(fn, recurse)
        self._affine = {name: (fn(factor), fn(shift)) for name, (factor, shift) in self._affine.items()}
        return super()._apply(fn, recurse)

    def train(self, mode: bool = True) -> EncoderBank:
        """Stay in evaluation mode."""
        return super().train(mode=False)


def half_precision_is_fast() -> bool:
    """Whether this CPU computes bfloat16 natively."""
    return bool(torch.cpu._is_avx512_bf16_supported())


def _check_names(names: Sequence[str]) -> None:
    if not names or len(set(names)) != len(names):
        raise SpecError(f"The encoders are {list(names)!r}. Allowed: at least one name, each once.")


def _inference_copy(encoder: Encoder, dtype: torch.dtype) -> Encoder:
    clone = copy.deepcopy(encoder).eval().requires_grad_(requires_grad=False)
    fold_batch_norm(clone)
    return clone.to(dtype).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _affine(standardisation: Standardisation) -> tuple[torch.Tensor, torch.Tensor]:
    factor = (1 / standardisation.scale).float()
    return factor, -standardisation.mean.float() * factor


def _standardise(embedding: torch.Tensor, factor: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    return torch.addcmul(shift, embedding.float(), factor).to(torch.float16).contiguous()


def _weights_hash(encoder: Encoder, standardisation: Standardisation) -> str:
    digest = hashlib.sha256()
    for tensor in (*encoder.state_dict().values(), *standardisation):
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()
