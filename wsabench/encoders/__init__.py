"""Frozen encoders: architectures, self-supervised losses, files, and the bank that embeds observations."""

from wsabench.encoders.bank import EncoderBank, half_precision_is_fast
from wsabench.encoders.catalogue import ENCODERS, PRETEXTS, SIZES, build_encoder, build_pretext, check_size
from wsabench.encoders.encoder import Encoder, Pretext, PretextBatch, fold_batch_norm
from wsabench.encoders.standardisation import Standardisation, measure_standardisation, set_batch_norm_statistics
from wsabench.encoders.storage import LoadedEncoder, encoder_path, load_encoder, save_encoder

__all__ = [
    "ENCODERS",
    "PRETEXTS",
    "SIZES",
    "Encoder",
    "EncoderBank",
    "LoadedEncoder",
    "Pretext",
    "PretextBatch",
    "Standardisation",
    "build_encoder",
    "build_pretext",
    "check_size",
    "encoder_path",
    "fold_batch_norm",
    "half_precision_is_fast",
    "load_encoder",
    "measure_standardisation",
    "save_encoder",
    "set_batch_norm_statistics",
]
