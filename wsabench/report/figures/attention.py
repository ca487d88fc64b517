"""Attention weights under each perturbation."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes


def draw_attention(table: pd.DataFrame, ax: Axes) -> None:
    """Draw the mean attention weight of every encoder under every perturbation, as numbers on shades of grey-blue.

    Args:
        table: Columns label, encoder, mean, as `Summary.attention`, of one agent and game. Weights of a line sum to 1.
        ax: Where to draw.
    """
    labels, encoders = list(dict.fromkeys(table["label"])), list(dict.fromkeys(table["encoder"]))
    weights = table.pivot_table(index="label", columns="encoder", values="mean").loc[labels, encoders]
    sns.heatmap(
        weights,
        ax=ax,
        vmin=0.0,
        vmax=1.0,
        cmap="Blues",  # light to dark, so the order survives grey print
        annot=True,
        fmt=".2f",
        annot_kws={"size": 7},
        linewidths=1.0,
        linecolor="white",
        cbar=False,
    )
    ax.set_xlabel("encoder")
    ax.set_ylabel("")
    ax.tick_params(axis="both", length=0)
    ax.tick_params(axis="y", labelrotation=0)
