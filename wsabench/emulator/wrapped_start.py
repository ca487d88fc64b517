"""How games and lives start under the wrappers that Stable-Baselines3 and CleanRL put over an environment.

Their order: no-ops over maximum and skip over `EpisodicLifeEnv` over `FireResetEnv` (OpenAI Baselines). What follows is
what these do together, their corners included: the observation of a start is that of its last step even where that step
ended a life, after which one more start is played that nobody sees.
"""

from __future__ import annotations

from collections.abc import Callable

_NOOP, _FIRE, _BEHIND = 0, 1, 2
"""Action indices: `FireResetEnv` takes 1 for FIRE, and plays action 2 after it."""


class WrappedStart:
    """The steps that wrappers play by themselves, in terms of what a lane can do."""

    def __init__(
        self,
        play: Callable[[int], tuple[bool, bool]],
        play_noops: Callable[[bool], None],
        show: Callable[[], None],
        has_fire: bool,
    ) -> None:
        """Take what a lane can do.

        Args:
            play: Plays one step of an action index; returns whether the game is over, and whether a life was lost.
            play_noops: Plays the no-ops of a game; told whether it is the one that was just started.
            show: Starts the stack anew with the frames that were captured last.
            has_fire: Whether FIRE is in the action set.
        """
        self._play, self._play_noops, self._show = play, play_noops, show
        self._has_fire = has_fire

    def begin(self) -> None:
        """Start an episode in a game that was just switched on or reset."""
        self._play_noops(True)
        self._fire(may_start_anew=True)

    def restart(self) -> None:
        """Start the next life; where the game ends in these steps, the rest is left out, for the episode ends too."""
        is_over, _ = self._play(_NOOP)
        if not is_over:
            self._fire(may_start_anew=False)

    def _fire(self, may_start_anew: bool) -> None:
        """Press FIRE for one step and action 2 for another, where the action set has FIRE, and show the last step."""
        for action in (_FIRE, _BEHIND) if self._has_fire else ():
            is_over, is_lost = self._play(action)
            if action == _BEHIND:
                self._show()
            if is_over and not may_start_anew:
                return
            if is_over:
                self._play_noops(False)
            elif is_lost and self._play(_NOOP)[0]:
                if not may_start_anew:
                    return
                self._play_noops(False)
        if not self._has_fire:
            self._show()
