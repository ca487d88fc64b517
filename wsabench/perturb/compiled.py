"""What a perturbation compiles to for one game: all that a lane and an agent need, nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from wsabench.perturb.palette import ColorTable, LuminanceTable
from wsabench.types import EncoderOperation


@dataclass(frozen=True, slots=True, eq=False)
class CompiledPerturbation:
    """A perturbation made ready for one game; plain arrays and values, so it travels to worker processes."""

    name: str
    """Canonical name, for example `hue-rotate@3+value@2`."""
    family: str
    """The family, or `clean`; compositions of several families are joined by `+`."""
    severity: int | None
    """1 to 5, or None without a scale or when composed."""
    content_hash: str
    """Hash of the kinds and resolved parameters, 16 hexadecimal digits."""
    game: str
    """The game it was compiled for."""
    rgb: ColorTable
    """What a person sees for each screen byte, uint8, shape (256, 3)."""
    luminance: LuminanceTable
    """What the agent sees for each screen byte, uint8, shape (256,)."""
    encoder_operation: EncoderOperation | None = None
    """What is done to the agent's encoders; None: nothing."""
