"""Draw the first picture of README and docs from results/color-shift-quick: `python docs/picture.py`."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
from PIL import Image

from wsabench.report import figure_style
from wsabench.results import load_result

ROOT = Path(__file__).resolve().parents[1]
RUN = ROOT / "results" / "color-shift-quick"
WORLDS = ("clean", "hue-rotate@3", "palette-pal", "value@3", "hue-rotate@5", "invert")
AGENTS = {"e2e": "#E69F00", "wsa": "#0072B2"}
PERSONS_VIEW = (0, 0, 160, 210)
"""The left part of a sample frame: the screen as a person sees it."""


def mean_returns() -> dict[tuple[str, str], float]:
    """Return the mean return of each agent in each world."""
    episodes = load_result(RUN).episodes
    severity = episodes["severity"].map(lambda level: f"@{level:.0f}", na_action="ignore").fillna("")
    return episodes.groupby(["agent", episodes["perturbation"] + severity])["return"].mean().to_dict()


def main() -> None:
    """Draw the screens in a row, and under each what both agents score there."""
    returns = mean_returns()
    highest = max(returns[agent, world] for agent in AGENTS for world in WORLDS)
    with figure_style():
        figure, rows = plt.subplots(
            2, len(WORLDS), figsize=(9, 3.6), height_ratios=(4, 1.1), gridspec_kw={"wspace": 0.08, "hspace": 0.04}
        )
        for world, screen, bars in zip(WORLDS, rows[0], rows[1], strict=True):
            with Image.open(RUN / "frames" / f"breakout--{world}.png") as picture:
                screen.imshow(picture.convert("RGB").crop(PERSONS_VIEW), interpolation="nearest", aspect="auto")
            screen.set_title(world, fontsize=10)
            for height, (agent, color) in enumerate(AGENTS.items()):
                value = returns[agent, world]
                bars.barh(-height, value, color=color, height=0.8)
                bars.text(value + highest * 0.03, -height, f"{agent} {value:.0f}", va="center", fontsize=9)
            bars.set_xlim(0, highest * 1.75)
            for axes in (screen, bars):
                axes.axis("off")
        path = ROOT / "docs" / "images" / "what-is-left.png"
        figure.savefig(path, dpi=150, bbox_inches="tight", facecolor="white")
        plt.close(figure)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
