"""Episodes life by life: most games end with the last of several lives, and lives end long before episodes do.

A sample that ends few episodes has seen many lives end, and an episode that goes on has some of its lives behind it.
So what is followed are lives; an episode is as many as the game gives, fewer where it is ended before (no reward for
long), more where the game adds some.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from wsabench.evaluation.pricing.lengths import Seen
from wsabench.evaluation.pricing.probe import Played

_MOST_ADDED = 0.8
"""Lives that are added for each one that is lost, at most."""


def lives_seen(group: Hashable, played: Played) -> list[Seen]:
    """Return the lives of an episode of the sample; none where nothing was played."""
    seen = [Seen(group, span, is_ended=True) for span in played.spans if span]
    return seen if played.is_ended or not played.age else [*seen, Seen(group, played.age, is_ended=False)]


class Lives:
    """How many lives an agent's episodes have."""

    def __init__(self, sample: Sequence[tuple[str, Played]]) -> None:
        """Count.

        Args:
            sample: Episodes, each with its game.
        """
        by_game: dict[str, Counter[int]] = {}
        for game, one in sample:
            by_game.setdefault(game, Counter())[one.start_lives] += 1
        self._start = {game: counts.most_common(1)[0][0] for game, counts in by_game.items()}
        lost = max(sum(len(one.spans) for _, one in sample), 1)
        left_over = [one for _, one in sample if one.is_ended and one.lives]
        added = sum(max(len(one.spans) + one.lives - one.start_lives, 0) for _, one in sample)
        added -= len(left_over)  # their last life is counted as lost and as left
        self._cut = len(left_over) / lost
        self._added = min(max(added, 0) / lost, _MOST_ADDED)

    def at_start(self, game: str) -> int:
        """Return the lives with which a game starts; of one that was not seen, those of another game."""
        return self._start.get(game, next(iter(self._start.values()), 1))

    def to_lose(self, lives: npt.NDArray[np.int64], draws: np.random.Generator) -> npt.NDArray[np.int64]:
        """Draw how many lives episodes lose that have some left: int64, shape (N,), at least 1.

        Args:
            lives: How many each has left, int64, shape (N,).
            draws: Draws the numbers.
        """
        if self._added:
            lives = lives + draws.poisson(lives * self._added / (1.0 - self._added))
        return np.minimum(lives, draws.geometric(self._cut, len(lives))) if self._cut else lives
