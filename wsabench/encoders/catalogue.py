"""All encoders and pre-training stages by name."""

from __future__ import annotations

from collections.abc import Mapping

from wsabench.encoders.encoder import Encoder, Pretext, initialise, preserved_global_generator
from wsabench.encoders.pretrained.ae import (
    AutoencoderEncoder,
    AutoencoderPretext,
    PaperAutoencoderEncoder,
    PaperAutoencoderPretext,
)
from wsabench.encoders.pretrained.sr import PaperStateEncoder, PaperStatePretext, StateEncoder, StatePretext
from wsabench.encoders.pretrained.transporter import (
    FeatureEncoder,
    KeypointEncoder,
    PaperFeatureEncoder,
    PaperKeypointEncoder,
    PaperTransporterPretext,
    TransporterPretext,
)
from wsabench.encoders.pretrained.vit import (
    PaperTransformerEncoder,
    PaperTransformerPretext,
    TransformerEncoder,
    TransformerPretext,
)
from wsabench.encoders.pretrained.vos import (
    PaperSegmentationEncoder,
    PaperSegmentationPretext,
    SegmentationEncoder,
    SegmentationPretext,
)
from wsabench.errors import unknown_name
from wsabench.registry import Registry

SIZES = ("compact", "paper")

ENCODERS: Registry[type[Encoder]] = Registry("encoder")
"""Encoders in the size `compact`, by name."""
PAPER_ENCODERS: Registry[type[Encoder]] = Registry("encoder")
"""The same in the size `paper`."""
PRETEXTS: Registry[type[Pretext]] = Registry("pre-training stage")
"""Self-supervised stages of the size `compact`, by name; `transporter` trains two encoders."""
PAPER_PRETEXTS: Registry[type[Pretext]] = Registry("pre-training stage")
"""The same in the size `paper`, with the losses of their papers."""

FURTHER_STAGES = ("vit",)
"""Stages that pre-training leaves out unless they are asked for: no agent of the paper reads what they train."""

for _encoder in (
    StateEncoder,
    FeatureEncoder,
    KeypointEncoder,
    SegmentationEncoder,
    AutoencoderEncoder,
    TransformerEncoder,
):
    ENCODERS.add(_encoder.name, _encoder)
for _pretext in (AutoencoderPretext, StatePretext, TransporterPretext, SegmentationPretext, TransformerPretext):
    PRETEXTS.add(_pretext.name, _pretext)
for _encoder in (
    PaperStateEncoder,
    PaperFeatureEncoder,
    PaperKeypointEncoder,
    PaperSegmentationEncoder,
    PaperAutoencoderEncoder,
    PaperTransformerEncoder,
):
    PAPER_ENCODERS.add(_encoder.name, _encoder)
for _pretext in (
    PaperAutoencoderPretext,
    PaperStatePretext,
    PaperTransporterPretext,
    PaperSegmentationPretext,
    PaperTransformerPretext,
):
    PAPER_PRETEXTS.add(_pretext.name, _pretext)


def check_size(size: str) -> None:
    """Check the name of an architecture size.

    Raises:
        UnknownNameError: There is no such size.
    """
    if size not in SIZES:
        raise unknown_name("encoder size", size, SIZES)


def encoder_class(name: str, size: str = "compact") -> type[Encoder]:
    """Return the class of one of our architectures.

    Raises:
        UnknownNameError: No such encoder or size.
    """
    check_size(size)
    return (PAPER_ENCODERS if size == "paper" else ENCODERS)[name]


def build_encoder(name: str, seed: int, size: str = "compact", options: Mapping[str, str] | None = None) -> Encoder:
    """Return an untrained encoder whose weights depend on `seed` only.

    Args:
        name: The encoder's.
        seed: Fixes the weights.
        size: The architecture's size, `compact` or `paper`.
        options: Options of this kind of encoder (`Encoder.OPTIONS`); what is left out has its default.

    Raises:
        SpecError: The encoder has no such option, or the option has no such value.
        UnknownNameError: No such encoder or size.
    """
    kind = encoder_class(name, size)
    chosen = kind.resolve_options(options)
    with preserved_global_generator():
        encoder = kind(chosen) if chosen else kind()
    initialise(encoder, seed)
    return encoder


def build_pretext(name: str, seed: int, size: str = "compact") -> Pretext:
    """Return an untrained stage whose weights depend on `seed` only.

    Raises:
        UnknownNameError: No such stage or size.
    """
    check_size(size)
    with preserved_global_generator():
        pretext = (PAPER_PRETEXTS if size == "paper" else PRETEXTS)[name]()
    initialise(pretext, seed)
    pretext.initialise_heads()
    return pretext
