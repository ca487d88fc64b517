"""Registration with gymnasium: `gym.make("wsabench/Breakout-v0", perturbation="hue-rotate@3")`."""

from __future__ import annotations

import gymnasium

from wsabench.games import rom_ids

NAMESPACE = "wsabench"
VERSION = 0
"""Raised when an environment's behaviour changes."""


def environment_id(game: str) -> str:
    """Return the gymnasium id of a game.

    Example:
        >>> environment_id("ms_pacman")
        'wsabench/MsPacman-v0'
    """
    words = "".join(word.capitalize() for word in game.split("_"))
    return f"{NAMESPACE}/{words}-v{VERSION}"


def register_envs() -> None:
    """Register every single-player game with gymnasium; calling it again changes nothing. Loads no emulator.

    The environments take the arguments of `wsabench.make` but the game; `gymnasium.make_vec` those of
    `wsabench.make_vec`.
    """
    for game in rom_ids():
        name = environment_id(game)
        if name not in gymnasium.registry:
            gymnasium.register(
                id=name,
                entry_point="wsabench.emulator:make",
                vector_entry_point="wsabench.emulator:make_vec",
                kwargs={"game": game},
            )
