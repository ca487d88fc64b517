"""The encoder bank: all frozen encoders of an agent, which embed an observation once."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from wsabench import seeding
from wsabench.encoders.catalogue import ENCODERS, build_encoder
from wsabench.encoders.encoder import Encoder
from wsabench.encoders.finding import find_encoder, find_ready
from wsabench.encoders.foundation.measured import HashCheck
from wsabench.encoders.foundation.ready import redraw, weights_hash
from wsabench.encoders.inference import computing_dtype, half_precision_is_fast, inference_copy
from wsabench.encoders.standardisation import (
    Calibration,
    InputTensors,
    Standardisation,
    check_stack,
    encoder_input,
    measure_standardisation,
    set_batch_norm_statistics,
)
from wsabench.errors import SpecError
from wsabench.types import INPUT_SHAPES

_LARGEST_HALF = torch.finfo(torch.float16).max


class EncoderBank(nn.Module):
    """Frozen encoders with standardised embeddings.

    It never trains: it holds no parameters, `train()` leaves it in evaluation mode, and its state is not part of an
    agent's. Rows do not influence each other; at one batch size a row's embedding is bit-equal whatever its neighbours.

    Attributes:
        names: The encoders that are fused, in order.
        context: The encoder that the attention compares with.
        shapes: Shape of one embedding of every encoder, the context included.
        hashes: Content hash of every encoder (SHA-256 of weights and standardisation, for random ones).
        source: `pretrained` or `random`.
        dtype: In which the encoders compute, but for those that need float32.
        embeddings: `standardised`, or `raw`: as the encoders give them.
        inputs_of: What each encoder reads, by name: `stack`, `newest`, `rgb84` or `ram`.
        required_inputs: The further inputs that the encoders read (`rgb84`, `ram`), in the order of `INPUT_SHAPES`.
    """

    def __init__(  # noqa: PLR0913 - what a bank is made of
        self,
        encoders: Mapping[str, tuple[Encoder, Standardisation]],
        *,
        names: Sequence[str],
        context: str,
        hashes: Mapping[str, str],
        source: str,
        dtype: torch.dtype | None = None,
        embeddings: str = "standardised",
    ) -> None:
        """Prepare encoders for inference.

        Args:
            encoders: Encoder and standardisation of every name, the context included; not changed.
            names: The encoders that are fused.
            context: Name of the context encoder.
            hashes: Content hash of every encoder.
            source: `pretrained` or `random`.
            dtype: torch.bfloat16 or torch.float32; None: the faster one on this machine.
            embeddings: `standardised`, or `raw`: as the encoders give them.

        Raises:
            SpecError: No encoder is named, or one twice, or `embeddings` is something else.
        """
        super().__init__()
        _check_names(names)
        if embeddings not in ("standardised", "raw"):
            raise SpecError(f"embeddings is {embeddings!r}. Allowed: standardised, raw.")
        self.names, self.context, self.source = tuple(names), context, source
        self.dtype = dtype or (torch.bfloat16 if half_precision_is_fast() else torch.float32)
        self.embeddings = embeddings
        self.hashes = dict(hashes)
        self.shapes = {name: encoder.shape for name, (encoder, _) in encoders.items()}
        self._encoders = {name: inference_copy(encoder, self.dtype) for name, (encoder, _) in encoders.items()}
        self.inputs_of = {name: encoder.reads for name, encoder in self._encoders.items()}
        reads = set(self.inputs_of.values())
        self.required_inputs = tuple(name for name in INPUT_SHAPES if name in reads)
        self._affine = {
            name: _affine(standardisation, computing_dtype(encoder, self.dtype))
            if embeddings == "standardised"
            else (torch.ones(()), torch.zeros(()))
            for name, (encoder, standardisation) in encoders.items()
        }

    @classmethod
    def load(  # noqa: PLR0913 - the public contract
        cls,
        game: str,
        names: Sequence[str] = ("sr", "oke", "okk", "vos"),
        context: str = "ae",
        directory: Path | None = None,
        dtype: torch.dtype | None = None,
        *,
        size: str | None = None,
        embeddings: str = "standardised",
        calibration: Calibration | None = None,
        check: HashCheck | None = None,
    ) -> EncoderBank:
        """Read encoders: pre-trained ones, and those that come with their weights.

        Args:
            game: The game they were pre-trained on.
            names: The encoders that are fused.
            context: Name of the context encoder.
            directory: Folder with `NAME.safetensors`; None: the shipped baselines.
            dtype: As for the constructor.
            size: The size that the pre-trained ones must have; None: any.
            embeddings: As for the constructor.
            calibration: What encoders that come with their weights are measured on where the folder has no
                standardisation of them; None: they are refused then.
            check: Asked of each whether its content hash is the right one, before any TorchScript runs; None: any is.

        Raises:
            CheckpointError: A file is missing, damaged or foreign, or `check` refuses one.
            SpecError: No encoder is named, or one twice, or the package of one is missing.
        """
        _check_names(names)
        loaded = {
            name: find_encoder(game, name, directory, size=size, calibration=calibration, check=check)
            for name in dict.fromkeys([*names, context])
        }
        encoders = {name: (item.encoder, item.standardisation) for name, item in loaded.items()}
        hashes = {name: item.content_hash for name, item in loaded.items()}
        return cls(
            encoders,
            names=names,
            context=context,
            hashes=hashes,
            source="pretrained",
            dtype=dtype,
            embeddings=embeddings,
        )

    @classmethod
    def random(  # noqa: PLR0913 - the public contract
        cls,
        names: Sequence[str] = ("sr", "oke", "okk", "vos"),
        context: str = "ae",
        *,
        seed: int,
        calibration_frames: torch.Tensor,
        size: str = "compact",
        dtype: torch.dtype | None = None,
        embeddings: str = "standardised",
        game: str = "",
        calibration_inputs: InputTensors | None = None,
        options: Mapping[str, Mapping[str, str]] | None = None,
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
            embeddings: As for the constructor.
            game: The game's id, for encoders that depend on it.
            calibration_inputs: Further inputs of the same steps, for encoders that read them.
            options: Options of our architectures, by encoder; those that are not named have the defaults.

        Raises:
            ShapeError: The frames have another shape or type, or an input is missing.
            SpecError: No encoder is named, or one twice, or one has no random twin or no such option.
            UnknownNameError: No such encoder or size.
        """
        _check_names(names)
        check_stack(calibration_frames)
        encoders: dict[str, tuple[Encoder, Standardisation]] = {}
        for name in dict.fromkeys([*names, context]):
            weights_seed = seeding.integer_seed(seed, "random-encoder", name)
            encoder = _untrained(name, weights_seed, size, game, (options or {}).get(name))
            set_batch_norm_statistics(encoder, calibration_frames, calibration_inputs)
            encoders[name] = (encoder, measure_standardisation(encoder, calibration_frames, calibration_inputs))
        hashes = {
            name: weights_hash(encoder, measured.mean, measured.scale) for name, (encoder, measured) in encoders.items()
        }
        return cls(
            encoders,
            names=names,
            context=context,
            hashes=hashes,
            source="random",
            dtype=dtype,
            embeddings=embeddings,
        )

    @torch.inference_mode()
    def embed(
        self, stack: torch.Tensor, only: Sequence[str] | None = None, inputs: InputTensors | None = None
    ) -> dict[str, torch.Tensor]:
        """Return the embeddings of observations, standardised unless told otherwise.

        Args:
            stack: Observations, uint8, shape (N, 4, 84, 84), newest frame last.
            only: The encoders to run; None: `names` and the context.
            inputs: The further inputs of the same rows, on the same device: `required_inputs`, if all encoders run.

        Returns:
            For each encoder: float16, shape (N, *shape); maps lie in memory as their encoder leaves them, most of them
            with channels last. Raw ones are clipped to what float16 holds.

        Raises:
            ShapeError: The stack has another shape or type, or an input is missing.
        """
        check_stack(stack)
        with _own_types(stack.device):
            return self._embed(stack, only or tuple(self._encoders), inputs)

    def _embed(self, stack: torch.Tensor, names: Sequence[str], inputs: InputTensors | None) -> dict[str, torch.Tensor]:
        pixels: dict[tuple[str, torch.dtype], torch.Tensor] = {}
        found = {}
        for name in names:
            encoder = self._encoders[name]
            dtype = computing_dtype(encoder, self.dtype)
            key = (encoder.reads, dtype)
            if key not in pixels:
                pixels[key] = encoder_input(stack, encoder, dtype, inputs)
            embedding = encoder(pixels[key])
            found[name] = (
                _standardised(embedding, *self._affine[name]) if self.embeddings == "standardised" else _raw(embedding)
            )
        return found

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        """Move the encoders, which are no submodules because they are no part of the agent's state."""
        super()._apply(fn, recurse)
        for encoder in self._encoders.values():
            encoder._apply(fn)
        self._affine = {name: (fn(factor), fn(shift)) for name, (factor, shift) in self._affine.items()}
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move to a device, `to("cuda")`; the type in which encoders compute is chosen when a bank is made.

        Raises:
            SpecError: Another type is asked for.
        """
        if any(isinstance(value, torch.dtype) for value in (*args, *kwargs.values())):
            raise SpecError("An encoder bank only moves between devices. Pass dtype=... where it is made.")
        return super().to(*args, **kwargs)

    def trainable(self, name: str) -> tuple[Encoder, torch.Tensor, torch.Tensor]:
        """Return a copy of an encoder that can be trained further, float32, with factor and shift of its embedding."""
        return (copy.deepcopy(self._encoders[name]).float().requires_grad_(), *self._affine[name])

    def train(self, mode: bool = True) -> EncoderBank:
        """Stay in evaluation mode."""
        return super().train(mode=False)


def _own_types(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Let encoders compute in their own types, whatever autocast region the caller computes in."""
    if not torch.amp.is_autocast_available(device.type):
        return contextlib.nullcontext()
    return torch.autocast(device.type, enabled=False)


def _check_names(names: Sequence[str]) -> None:
    if not names or len(set(names)) != len(names):
        raise SpecError(f"The encoders are {list(names)!r}. Allowed: at least one name, each once.")


def _untrained(name: str, seed: int, size: str, game: str, options: Mapping[str, str] | None) -> Encoder:
    """Return an encoder with random weights."""
    ready = None if name in ENCODERS else find_ready(name)
    return build_encoder(name, seed, size, options) if ready is None else redraw(ready.build(game), seed)


def _affine(standardisation: Standardisation, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    factor, mean = (1 / standardisation.scale).float(), standardisation.mean.float()
    if dtype == torch.bfloat16 and standardisation.half_shift is not None:
        mean = mean + standardisation.half_shift.float()
    shift = -mean * factor
    # As embeddings lie in memory.
    return factor, shift.permute(1, 2, 0).contiguous().permute(2, 0, 1) if shift.dim() == 3 else shift


def _standardised(embedding: torch.Tensor, factor: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    return torch.addcmul(shift, embedding.float(), factor).to(torch.float16)


def _raw(embedding: torch.Tensor) -> torch.Tensor:
    return embedding.float().clamp(-_LARGEST_HALF, _LARGEST_HALF).to(torch.float16)
