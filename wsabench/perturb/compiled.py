"""What a perturbation compiles to for one game: all that a lane and an agent need, nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from wsabench.perturb.palette import ColorTable, LuminanceTable
from wsabench.perturb.stages import ColorDrawStage, ColorStage, ConsoleStage, ControlStage, ImageStage, RamStage
from wsabench.types import EncoderOperation

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Placed(Generic[S]):
    """A stage and its place in the composition, which names its random stream."""

    place: int
    """Position of its part in the composition, from 0."""
    stage: S


@dataclass(frozen=True, slots=True, eq=False)
class CompiledPerturbation:
    """A perturbation made ready for one game; nothing in it changes while playing.

    Whatever the order of families in a composition, colours come first, then images, each in the written order, as
    the hardware has it; actions pass the control stages in the written order, and RAM rules run in it.
    """

    name: str
    """Canonical name, for example `hue-rotate@3+value@2`."""
    family: str
    """The family, or `clean`; compositions of several families are joined by `+`."""
    severity: int | None
    """1 to 5, or None without a scale or when composed."""
    content_hash: str
    """Hash of the kinds, the resolved parameters and what else decides the behaviour in this game, 16 digits."""
    game: str
    """The game it was compiled for."""
    rgb: ColorTable
    """What a person sees for each screen byte, uint8, shape (256, 3); drawn changes left out."""
    luminance: LuminanceTable
    """What the agent sees for each screen byte, uint8, shape (256,); drawn changes left out."""
    colors: tuple[Placed[ColorStage | ColorDrawStage], ...] = ()
    """All colour changes in order, where at least one is drawn while playing; else empty: the tables say all."""
    images: tuple[Placed[ImageStage], ...] = ()
    """Changes of the native frame, in order."""
    controls: tuple[Placed[ControlStage], ...] = ()
    """Changes of the control channel, in order."""
    rules: tuple[Placed[RamStage], ...] = ()
    """RAM rules, in order."""
    console: ConsoleStage = field(default_factory=ConsoleStage)
    """Mode and difficulty."""
    encoder_operations: tuple[EncoderOperation, ...] = ()
    """What is done to the agent's encoders, in order."""

    @property
    def changes_game(self) -> bool:
        """Whether equal actions may lead to other games."""
        return bool(self.controls or self.rules or self.console != ConsoleStage())

    @property
    def is_pixel_change_only(self) -> bool:
        """Whether the game itself and the agent stay as they are, so that equal actions lead to equal games."""
        return not (self.changes_game or self.encoder_operations)

    @property
    def shows_old_frames(self) -> bool:
        """Whether an image stage shows frames of steps before: single observations look ordinary, only late."""
        return any(getattr(placed.stage, "shows_old_frames", False) for placed in self.images)
