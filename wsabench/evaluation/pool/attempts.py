"""Who plays which episodes, what is played again when a player is lost, and when an agent is given up.

It knows nothing of processes: whoever executes a run says who took what, what came back and who was lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from wsabench.evaluation.rollout import EpisodeTask

LOSSES_ALLOWED = 1
"""How often in a row, without an episode finished between, an agent may lose its player before it is given up."""
LOSSES_IN_ALL = 20
"""How often an agent may lose its player at most, however it gets on."""


class Loss(NamedTuple):
    """What a player had when it was lost."""

    contestant: int | None
    """Whom it played; None where it played nobody."""
    tasks: Sequence[EpisodeTask]
    """Episodes that it had not finished, in the order in which it took them."""
    is_last: bool
    """Whether the contestant is to be given up."""


@dataclass(slots=True)
class _Player:
    """What a player has."""

    contestant: int | None = None
    tasks: dict[tuple[int, int], EpisodeTask] = field(default_factory=dict)
    """By job and episode."""


class Attempts:
    """The episodes that players hold, and the losses of each contestant."""

    def __init__(self) -> None:
        """Begin with nobody playing."""
        self._players: dict[int, _Player] = {}
        self._losses: Counter[int | None] = Counter()
        self._in_a_row: Counter[int | None] = Counter()

    def blames(self, contestant: int) -> None:
        """Note that a process was lost to a contestant before anybody played it."""
        self._losses[contestant] += 1
        self._in_a_row[contestant] += 1

    def plays(self, player: int, contestant: int | None) -> None:
        """Note whom a player plays from now on; None for nobody."""
        self._player(player).contestant = contestant

    def takes(self, player: int, tasks: Sequence[EpisodeTask]) -> None:
        """Note episodes that a player takes."""
        self._player(player).tasks.update({(task.job_index, task.episode): task for task in tasks})

    def finishes(self, player: int, job_index: int, episode: int) -> None:
        """Note an episode that came back whole: the contestant gets on."""
        one = self._player(player)
        del one.tasks[job_index, episode]
        for who in (one.contestant, None):
            self._in_a_row.pop(who, None)

    def drops(self, player: int) -> None:
        """Note that a player plays its episodes no more, and that they are not played again."""
        self._player(player).tasks.clear()

    def loses(self, player: int, is_to_blame: bool = True) -> Loss:
        """Note that a player is lost; return what it had.

        Args:
            player: Its number.
            is_to_blame: Whether what it played may be the reason; no where its machine went.
        """
        one = self._players.pop(player, _Player())
        self._losses[one.contestant] += 1
        self._in_a_row[one.contestant] += is_to_blame
        is_last = self._in_a_row[one.contestant] > LOSSES_ALLOWED or self._losses[one.contestant] > LOSSES_IN_ALL
        return Loss(one.contestant, tuple(one.tasks.values()), is_last)

    def held(self, player: int) -> int:
        """Return the number of episodes that a player has not finished."""
        return len(self._players[player].tasks) if player in self._players else 0

    @property
    def all_held(self) -> int:
        """The number of episodes that all players have not finished."""
        return sum(len(one.tasks) for one in self._players.values())

    def players_of(self, contestant: int) -> int:
        """Return the number of players that play a contestant."""
        return sum(one.contestant == contestant for one in self._players.values())

    def _player(self, player: int) -> _Player:
        return self._players.setdefault(player, _Player())
