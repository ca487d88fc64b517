"""Attention weights over one episode, with some of its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wsabench.report.figures.style import GREY, LIGHT_GREY, TWO_COLUMNS_IN, looks
from wsabench.results.recorded import SMOOTH_STEPS, Recording
from wsabench.summary.attention import ExampleEpisode
from wsabench.words import counted

NUM_PICTURES = 6
"""Pictures above the curves of an episode, at most."""

_PLOT_IN = 1.75
_HEAD_IN = 0.32


def draw_weights(weights: npt.NDArray[Any], smooth: npt.NDArray[Any], encoders: Sequence[str], ax: Axes) -> None:
    """Draw one line for each encoder over the steps of an episode: the moving mean, and every step thin behind it.

    Args:
        weights: Weight of each of E encoders in each of T steps, float32, shape (T, E).
        smooth: Moving mean of the weights, same shape.
        encoders: The E names of the encoders.
        ax: Where to draw.
    """
    steps = np.arange(len(weights))
    for place, (name, look) in enumerate(looks(encoders).items()):
        ax.plot(steps, weights[:, place], color=look.color, linewidth=0.4, alpha=0.35)
        ax.plot(steps, smooth[:, place], color=look.color, linestyle=look.dashes, label=name)
    ax.set_xlim(0, max(len(weights) - 1, 1))
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel("step")
    ax.set_ylabel("attention weight")


def draw_rewards(rewards: npt.NDArray[Any], ax: Axes) -> None:
    """Draw the return over the steps of an episode.

    Args:
        rewards: The unclipped reward of each step, shape (T,).
        ax: Where to draw.
    """
    ax.step(np.arange(len(rewards)), rewards.cumsum(), where="post", color="black")
    ax.set_xlim(0, max(len(rewards) - 1, 1))
    low, high = min(rewards.cumsum(), default=0.0), max(rewards.cumsum(), default=0.0)
    ax.set_ylim(min(low, 0.0), max(high, 1.0))
    ax.set_xlabel("step")
    ax.set_ylabel("return")


def episode_figure(recording: Recording) -> Figure:
    """Return a figure, two journal columns wide: pictures at key moments, and below them the weights or the return.

    Args:
        recording: The episode. Without attention the return is drawn in place of the weights.
    """
    moments = recording.key_moments(NUM_PICTURES)
    screens = [recording.moment(step).screen for step in moments]
    ratio = screens[0].shape[0] / screens[0].shape[1]
    pictures_in = TWO_COLUMNS_IN / NUM_PICTURES * ratio
    figure = Figure(figsize=(TWO_COLUMNS_IN, pictures_in + _PLOT_IN + _HEAD_IN), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[pictures_in, _PLOT_IN])
    top, bottom = parts
    axes: Any = top.subplots(1, NUM_PICTURES, squeeze=False)
    for ax in axes[0]:
        ax.set_xticks([])
        ax.set_yticks([])
        for side in ax.spines.values():
            side.set(visible=True, color=LIGHT_GREY)
    for ax in axes[0, len(moments) :]:
        ax.set_visible(False)
    for place, (step, screen) in enumerate(zip(moments, screens, strict=True)):
        axes[0, place].imshow(screen, interpolation="nearest")
        axes[0, place].set_title(f"{_letter(place)}: step {step}", fontsize=7, fontweight="normal", loc="center")
    ax = bottom.subplots()
    if recording.encoders:
        draw_weights(recording.steps.weights, recording.smooth_weights(), recording.encoders, ax)
        label = f"step (thick lines: moving mean over {SMOOTH_STEPS} steps)"
        ax.set_xlabel("\n".join(filter(None, (label, context_text(recording)))))
        bottom.legend(*ax.get_legend_handles_labels(), loc="outside right center")
    else:
        draw_rewards(recording.steps.rewards, ax)
    _mark(moments, ax)
    total = f"return {recording.episodic_return:g}, {counted(recording.length, 'step')}, {end_text(recording)}"
    figure.suptitle(f"{recording_title(recording)}: {total}", fontsize=8, fontweight="bold")
    return figure


def examples_figure(examples: Sequence[ExampleEpisode]) -> Figure:
    """Return a figure, two journal columns wide, with the weights over one episode in each row.

    Args:
        examples: The episodes, at least one, all of one agent and game.
    """
    figure = Figure(figsize=(TWO_COLUMNS_IN, 1.3 * len(examples) + 0.35), layout="constrained")
    axes: Any = figure.subplots(len(examples), 1, squeeze=False)
    for ax, example in zip(axes[:, 0], examples, strict=True):
        draw_weights(example.weights, example.smooth, example.encoders, ax)
        ax.set_title(example.label)
        ax.set_xlabel("")
        ax.set_ylabel("weight")
    axes[-1, 0].set_xlabel("step")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center")
    return figure


def _mark(moments: Sequence[int], ax: Axes) -> None:
    """Mark the moments of the pictures by their letters."""
    for place, step in enumerate(moments):
        ax.axvline(step, color=LIGHT_GREY, linewidth=0.8, zorder=0)
        ax.annotate(
            _letter(place),
            (step, 1.0),
            (0, 1),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=7,
            color=GREY,
        )


def _letter(place: int) -> str:
    """Return a, b, c, ..."""
    return chr(ord("a") + place)


_ENDS = {"game_over": "game over", "time_limit": "time limit", "stalled": "stalled", None: "cut here"}


def recording_title(recording: Recording) -> str:
    """Return who plays what: `wsa (train seed 0), breakout, hue-rotate@3`."""
    return f"{recording.agent} (train seed {recording.train_seed}), {recording.game}, {recording.perturbation}"


def end_text(recording: Recording) -> str:
    """Return how the episode ended."""
    return _ENDS[recording.end]


def context_text(recording: Recording) -> str:
    """Return what the context did to the weights in the episode; empty without a context."""
    shares = recording.context_shares()
    if not shares:
        return ""
    static, variance = ("undefined" if share is None else f"{share:.2f}" for share in shares.values())
    return f"Context: share of static steps {static}, of the weights' variance {variance}"
