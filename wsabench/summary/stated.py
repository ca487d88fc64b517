"""Agents whose clean score here is far from what the notes beside their file state."""

from __future__ import annotations

import pandas as pd

from wsabench.protocol import Protocol
from wsabench.results.manifest import AgentEntry, Manifest, StatedEntry
from wsabench.results.records import CLEAN
from wsabench.stats import MeanOfEpisodes, difference_of_means
from wsabench.words import counted

ASSUMED_EPISODES = 10
"""Episodes that a stated mean is taken to be over where its source does not say, as many as the tools that write such
notes play."""
_ALIKE = ["return", "length", "action_hash"]
"""Episodes that have these in common are one episode, played again."""


def stated_notes(episodes: pd.DataFrame, manifest: Manifest) -> list[str]:
    """Return a note for each agent whose clean mean return here is far from the one that is stated.

    Far: the 95% interval of the difference (Welch), over the episodes of both sides, does not hold 0. Where no standard
    deviation is stated, only the episodes here count as uncertain. Below two different episodes here nothing is said.

    Args:
        episodes: The episodes of a result set.
        manifest: The manifest of that result set.
    """
    clean = episodes.loc[episodes["perturbation"] == CLEAN]
    notes: list[str] = []
    for entry in manifest.plan.agents:
        if entry.stated_score is not None:
            is_of = (clean["agent"] == entry.agent) & (clean["train_seed"] == entry.train_seed)
            played = clean.loc[is_of & (clean["game"] == entry.game)]
            returns, different = played["return"].to_numpy(float), played[_ALIKE].drop_duplicates()
            if len(different) > 1:
                ours = MeanOfEpisodes(float(returns.mean()), float(returns.std(ddof=1)), len(different))
                protocol = manifest.plan.protocol_with(entry.view)
                notes += _note(entry, entry.stated_score, ours, protocol)
    return notes


def _note(entry: AgentEntry, stated: StatedEntry, ours: MeanOfEpisodes, protocol: Protocol) -> list[str]:
    """Return the note about one agent; none where both agree."""
    number = stated.episodes or ASSUMED_EPISODES
    theirs = MeanOfEpisodes(stated.mean, stated.deviation or 0.0, number)
    low, high = difference_of_means(ours, theirs)
    if low <= 0 <= high:
        return []
    spread = "" if stated.deviation is None else f" +/- {stated.deviation:g}"
    over = f"{'' if stated.episodes else 'taken as of '}{counted(number, 'episode')}"
    chosen = "" if stated.is_greedy is None else f", there {'greedy' if stated.is_greedy else 'sampled'}"
    return [
        f"{entry.id.describe()}: its clean mean return here, {ours.mean:.4g} (standard deviation {ours.deviation:.3g}, "
        f"{ours.episodes} different episodes), is far from the {stated.mean:g}{spread} that {stated.source} states "
        f"({over}): the 95% interval of the difference is {low:.4g} to {high:.4g}. What usually differs: how actions "
        f"are chosen (here {protocol.action_selection}{chosen}; --action-selection), the frame skip (here "
        f"{protocol.frame_skip}; --frame-skip), sticky actions (here {protocol.sticky_probability:g}; --sticky), "
        f"no-ops at the start (here up to {protocol.noop_max}; --noop-max), the grey (here {protocol.luminance}) "
        "and a score of single lives or of clipped rewards there."
    ]
