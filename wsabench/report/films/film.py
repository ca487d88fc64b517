"""The pictures of a film: what a person sees, what the agent sees, and the weights of its encoders as bars.

They are drawn with Pillow, not matplotlib: a film has a thousand pictures, and Pillow takes a few milliseconds for
each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from wsabench.report.figures.episode import context_text, end_text, recording_title
from wsabench.report.figures.style import GREY, LIGHT_GREY, looks
from wsabench.results.recorded import Moment, Recording
from wsabench.words import decimal

STEPS_A_SECOND = 15
"""Steps per second of the game as a person plays it: 60 frames per second, 4 frames per step."""
HISTORY_STEPS = 10 * STEPS_A_SECOND
"""How many steps back the lines below the bars go."""

_INK = "#1a1a1a"
_WIDEST_BAR_ROWS = 16
"""Encoders that have a bar of their own; the lightest of more are left out."""

Picture = npt.NDArray[np.uint8]
"""RGB, uint8, shape (height, width, 3); of what an agent sees also grey, shape (height, width)."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything stands, in pixels."""

    scale: int
    """Pixels of the film, across and down, for each pixel of the screen: 2 for videos, 1 for small animations."""

    @property
    def font_size(self) -> int:
        """The size of all text, in pixels."""
        return 6 + 4 * self.scale

    @property
    def line(self) -> int:
        """Height of a line of text, in pixels."""
        return self.font_size + 6

    @property
    def gap(self) -> int:
        """The space between the parts and around all of them, in pixels."""
        return 4 + 4 * self.scale

    @property
    def panel(self) -> int:
        """Width of the part with the bars, in pixels."""
        return 70 + 100 * self.scale

    def enlarge(self, picture: Picture, height: int) -> Image.Image:
        """Return a picture enlarged by the greatest whole number with which it is no higher than `height` pixels."""
        image = Image.fromarray(picture).convert("RGB")
        factor = max(1, height // image.height)
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


class FilmMaker:
    """Draws the pictures of one recording."""

    def __init__(self, recording: Recording, scale: int = 2) -> None:
        """Lay the pictures out; all of them have the same size.

        Args:
            recording: The episode.
            scale: As in `Layout`.
        """
        self._recording = recording
        self._layout = layout = Layout(scale)
        self._colors = [look.color for look in looks(recording.encoders).values()]
        first = recording.moment(0)
        self._picture_height = first.screen.shape[0] * scale
        seen = layout.enlarge(first.observation, self._picture_height)
        self._seen_left = 2 * layout.gap + first.screen.shape[1] * scale
        self._panel_left = self._seen_left + seen.width + 2 * layout.gap
        right = self._panel_left + layout.panel if recording.encoders else self._seen_left + seen.width
        self._top = layout.gap + 2 * layout.line
        self._context = context_text(recording)
        height = self._top + self._picture_height + (2 if self._context else 1) * layout.line + layout.gap
        # Even, as the chroma of H.264 wants it.
        self.width, self.height = _even(right + layout.gap), _even(height)

    def pictures(self, every: int = 1) -> Iterator[Picture]:
        """Yield the pictures of the film, RGB, uint8, shape (height, width, 3): one every so many steps, and the end.

        Args:
            every: Number of steps from one picture to the next.
        """
        for step in range(0, self._recording.length, every):
            yield self.picture(step)
        yield self.picture(self._recording.length)

    def picture(self, step: int) -> Picture:
        """Return the picture before a step, or, for a step that is the episode's length, the one after the last step.

        Args:
            step: The number of the step, from 0.
        """
        layout, recording = self._layout, self._recording
        canvas = Image.new("RGB", (self.width, self.height), "white")
        pen = ImageDraw.Draw(canvas)
        moment = recording.moment(step)
        font = _font(layout.font_size)
        bold = _font(layout.font_size, bold=True)
        pen.text((layout.gap, layout.gap), self._fitted(recording_title(recording), bold), _INK, bold)
        self._paste(canvas, moment)
        for left, text in ((layout.gap, "a person sees"), (self._seen_left, "the agent sees")):
            pen.text((left, layout.gap + layout.line), text, GREY, font)
        caption = self._fitted(self._caption(step), font)
        below = self._top + self._picture_height + layout.gap // 2
        pen.text((layout.gap, below), caption, _INK, font)
        pen.text((layout.gap, below + layout.line), self._fitted(self._context, font), GREY, font)
        if recording.encoders:
            shown = min(step, recording.length - 1)
            self._draw_bars(pen, shown)
            self._draw_history(pen, shown)
        return np.asarray(canvas)

    def _fitted(self, text: str, font: ImageFont.FreeTypeFont) -> str:
        """Return a text, cut where it is wider than the picture."""
        if font.getlength(text) <= self.width - 2 * self._layout.gap:
            return text
        while text and font.getlength(f"{text}...") > self.width - 2 * self._layout.gap:
            text = text[:-1]
        return f"{text}..."

    def _paste(self, canvas: Image.Image, moment: Moment) -> None:
        """Put both pictures in their places."""
        layout = self._layout
        canvas.paste(layout.enlarge(moment.screen, self._picture_height), (layout.gap, self._top))
        canvas.paste(layout.enlarge(moment.observation, self._picture_height), (self._seen_left, self._top))

    def _caption(self, step: int) -> str:
        """Return the line below the pictures."""
        recording = self._recording
        steps = recording.steps
        total = steps.rewards[:step].sum()
        start = f"step {step}   return {total:g}"
        if step == recording.length:
            return f"{start}   {end_text(recording)}"
        value = "" if np.isnan(steps.values[step]) else f"   value {decimal(steps.values[step])}"
        return f"{start}   action {recording.action_names[steps.actions[step]]}{value}"

    @property
    def _num_bars(self) -> int:
        return min(len(self._recording.encoders), _WIDEST_BAR_ROWS)

    @property
    def _row_height(self) -> float:
        """Height of a bar with the space below it."""
        return min(self._layout.line * 1.5, self._picture_height / self._num_bars)

    def _draw_bars(self, pen: ImageDraw.ImageDraw, step: int) -> None:
        """Draw one bar an encoder: name, bar on the scale from 0 to 1, weight."""
        layout, row_height = self._layout, self._row_height
        font = _font(min(layout.font_size, int(row_height) - 1))
        weights = self._recording.steps.weights
        shown = np.sort(np.argsort(-weights.mean(axis=0), kind="stable")[: self._num_bars])
        text = "attention weights" if len(shown) == weights.shape[1] else f"attention weights, {len(shown)} largest"
        pen.text((self._panel_left, layout.gap + layout.line), text, GREY, _font(layout.font_size))
        label_width = max(font.getlength(self._recording.encoders[place]) for place in shown)
        left = self._panel_left + min(label_width, layout.panel * 0.4) + layout.gap / 2
        right = self._panel_left + layout.panel - font.getlength("0.00") - layout.gap / 2
        for row, place in enumerate(shown):
            top = self._top + row * row_height
            bottom = top + row_height * 0.7
            middle, weight = (top + bottom) / 2, float(weights[step, place])
            pen.text((left - layout.gap / 2, middle), self._recording.encoders[place], _INK, font, anchor="rm")
            pen.rectangle((left, top, right, bottom), fill="#f2f2f2")
            if weight > 0:
                color = self._colors[place]
                pen.rectangle((left, top, left + max(1.0, weight * (right - left)), bottom), fill=color)
            pen.text((right + layout.gap / 2, middle), f"{weight:.2f}", _INK, font, anchor="lm")

    def _draw_history(self, pen: ImageDraw.ImageDraw, step: int) -> None:
        """Draw the weights of the last seconds as lines, where there is room below the bars."""
        layout = self._layout
        font = _font(layout.font_size)
        top = self._top + self._num_bars * self._row_height + 2 * layout.line
        bottom = self._top + self._picture_height - layout.line
        if bottom - top < 2 * layout.line:
            return
        right = self._panel_left + layout.panel - font.getlength("0.00") - layout.gap / 2
        left = self._panel_left
        seconds = HISTORY_STEPS // STEPS_A_SECOND
        pen.text((left, top - layout.line), f"last {seconds} s of play", GREY, font)
        for level, text in ((0.0, "0"), (0.5, "0.5"), (1.0, "1")):
            height = bottom - level * (bottom - top)
            pen.line((left, height, right, height), LIGHT_GREY, 1)
            pen.text((right + layout.gap / 2, height), text, GREY, font, anchor="lm")
        past = self._recording.steps.weights[max(0, step - HISTORY_STEPS + 1) : step + 1]
        places = right - (right - left) * np.arange(len(past) - 1, -1, -1) / (HISTORY_STEPS - 1)
        for encoder, color in enumerate(self._colors):
            heights = bottom - past[:, encoder] * (bottom - top)
            points = [(float(x), float(y)) for x, y in zip(places, heights, strict=True)]
            pen.line(points, color, layout.scale)


@lru_cache(maxsize=16)
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return the font of the figures, which comes with matplotlib."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / name), max(size, 6))


def _even(number: int) -> int:
    """Return the number or the next that is even."""
    return number + number % 2
