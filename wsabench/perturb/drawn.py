"""Colours that change while playing: the tables of the moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from wsabench.games import standard_of
from wsabench.perturb.compiling import Placed
from wsabench.perturb.palette import ColorTable, LuminanceTable, load_palette, luminance_table
from wsabench.perturb.stages import ColorDrawStage, ColorStage


class DrawnColors:
    """The colour changes of one lane and episode; `rgb` and `luminance` are the tables of the last `move_to`."""

    rgb: ColorTable
    luminance: LuminanceTable

    def __init__(
        self,
        colors: Sequence[Placed[ColorStage | ColorDrawStage]],
        game: str,
        generator_at: Callable[[int], np.random.Generator],
    ) -> None:
        """Draw the first colours.

        Args:
            colors: All colour changes, in order.
            game: The game whose palette is changed.
            generator_at: Gives the lane's own generator for a place in the composition.
        """
        self._palette = load_palette(standard_of(game))
        self._stages = [placed.stage for placed in colors]
        self._generators = [generator_at(placed.place) for placed in colors]
        self._num_draws = [0] * len(colors)
        self._current: list[ColorStage | None] = [s if isinstance(s, ColorStage) else None for s in self._stages]
        self.move_to(0)

    def move_to(self, frame: int) -> None:
        """Draw what is due up to an emulated frame, counted from the episode's start; it is never less than before."""
        has_changed = False
        for row, stage in enumerate(self._stages):
            if not isinstance(stage, ColorDrawStage):
                continue
            due = 1 + (frame // stage.period if stage.period else 0)
            while self._num_draws[row] < due:
                self._current[row] = stage.draw(self._generators[row])
                self._num_draws[row] += 1
                has_changed = True
        if has_changed:
            self._fold()

    def _fold(self) -> None:
        """Fold all current changes into the tables."""
        rgb = self._palette.rgb
        for change in self._current:
            assert change is not None  # noqa: S101  (drawn above)
            rgb = change(rgb)
        self.rgb = np.ascontiguousarray(rgb)
        self.luminance = luminance_table(self._palette, self.rgb)
