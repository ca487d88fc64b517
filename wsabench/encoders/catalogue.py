"""All encoders and pre-training stages by name."""

from __future__ import annotations

from wsabench.encoders.ae import AutoencoderEncoder, AutoencoderPretext
from wsabench.encoders.encoder import Encoder, Pretext, initialise, preserved_global_generator
from wsabench.encoders.sr import StateEncoder, StatePretext
from wsabench.encoders.transporter import FeatureEncoder, KeypointEncoder, TransporterPretext
from wsabench.encoders.vos import SegmentationEncoder, SegmentationPretext
from wsabench.errors import unknown_name
from wsabench.registry import Registry

SIZES = ("compact",)

ENCODERS: Registry[type[Encoder]] = Registry("encoder")
"""Encoders, by name."""
PRETEXTS: Registry[type[Pretext]] = Registry("pre-training stage")
"""Self-supervised stages, by name; `transporter` trains two encoders."""

for _encoder in (StateEncoder, FeatureEncoder, KeypointEncoder, SegmentationEncoder, AutoencoderEncoder):
    ENCODERS.add(_encoder.name, _encoder)
for _pretext in (AutoencoderPretext, StatePretext, TransporterPretext, SegmentationPretext):
    PRETEXTS.add(_pretext.name, _pretext)


def check_size(size: str) -> None:
    """Check the name of an architecture size.

    Raises:
        UnknownNameError: There is no such size.
    """
    if size not in SIZES:
        raise unknown_name("encoder size", size, SIZES)


def build_encoder(name: str, seed: int, size: str = "compact") -> Encoder:
    """Return an untrained encoder whose weights depend on `seed` only.

    Raises:
        UnknownNameError: No such encoder or size.
    """
    check_size(size)
    with preserved_global_generator():
        encoder = ENCODERS[name]()
    initialise(encoder, seed)
    return encoder


def build_pretext(name: str, seed: int, size: str = "compact") -> Pretext:
    """Return an untrained stage whose weights depend on `seed` only.

    Raises:
        UnknownNameError: No such stage or size.
    """
    check_size(size)
    with preserved_global_generator():
        pretext = PRETEXTS[name]()
    initialise(pretext, seed)
    pretext.initialise_heads()
    return pretext
