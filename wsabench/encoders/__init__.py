"""Frozen encoders: architectures, self-supervised losses, files, and the bank that embeds observations."""

from wsabench.encoders.bank import EncoderBank
from wsabench.encoders.catalogue import (
    ENCODERS,
    FURTHER_STAGES,
    PRETEXTS,
    SIZES,
    build_encoder,
    build_pretext,
    check_size,
)
from wsabench.encoders.encoder import Encoder, Pretext, PretextBatch, Reads
from wsabench.encoders.finding import (
    FILE_SUFFIXES,
    encoder_reads,
    find_encoder,
    find_ready,
    required_inputs,
    torchscript_encoder,
)
from wsabench.encoders.foundation.measured import HashCheck, MeasuredEncoder, measure
from wsabench.encoders.foundation.ready import ENCODER_NAME, ReadyEncoder, ready_encoders
from wsabench.encoders.foundation.torchscript import load_torchscript, save_torchscript
from wsabench.encoders.inference import fold_batch_norm, half_precision_is_fast
from wsabench.encoders.standardisation import (
    Calibration,
    InputTensors,
    Standardisation,
    measure_standardisation,
    set_batch_norm_statistics,
)
from wsabench.encoders.storage import LoadedEncoder, encoder_path, load_encoder, save_encoder

__all__ = [
    "ENCODERS",
    "ENCODER_NAME",
    "FILE_SUFFIXES",
    "FURTHER_STAGES",
    "PRETEXTS",
    "SIZES",
    "Calibration",
    "Encoder",
    "EncoderBank",
    "HashCheck",
    "InputTensors",
    "LoadedEncoder",
    "MeasuredEncoder",
    "Pretext",
    "PretextBatch",
    "Reads",
    "ReadyEncoder",
    "Standardisation",
    "build_encoder",
    "build_pretext",
    "check_size",
    "encoder_path",
    "encoder_reads",
    "find_encoder",
    "find_ready",
    "fold_batch_norm",
    "half_precision_is_fast",
    "load_encoder",
    "load_torchscript",
    "measure",
    "measure_standardisation",
    "ready_encoders",
    "required_inputs",
    "save_encoder",
    "save_torchscript",
    "set_batch_norm_statistics",
    "torchscript_encoder",
]
