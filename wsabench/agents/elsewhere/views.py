"""What an agent from elsewhere saw in training, as fields of our protocol, and what to say about it."""

from __future__ import annotations

from typing import Any, NamedTuple

from wsabench.agents.elsewhere.environments import Environment
from wsabench.errors import CheckpointError
from wsabench.protocol import Protocol

_SIGHT = (
    "frame_skip",
    "frame_stack",
    "screen_size",
    "grayscale",
    "noop_max",
    "sticky_probability",
    "full_action_space",
    "fire_on_reset",
    "fire_on_life_loss",
    "luminance",
    "pool_gap",
    "start",
    "life_start",
    "stack_start",
)
"""Fields that say how an agent sees and starts; the others say how the bench plays."""
_GYMNASIUM_SKIP = 4
NUM_ACTIONS = 18
"""Buttons of the full action set."""


class View(NamedTuple):
    """How an agent saw its games."""

    fields: dict[str, Any]
    """Fields of `Protocol`."""
    notes: tuple[str, ...] = ()
    """What the user should hear, whole sentences."""


def view_like(name: str, **seen: Any) -> dict[str, Any]:
    """Return how an agent of a named protocol sees and starts, with some fields as stated."""
    protocol = Protocol.named(name).with_changes(**seen)
    return {field: getattr(protocol, field) for field in _SIGHT}


def trained_view(name: str, environment: Environment | None, **seen: Any) -> View:
    """Return a view, corrected by what the name of the training environment says.

    Args:
        name: The protocol of the library that trained it.
        environment: Where it was trained; None where nothing says.
        seen: Fields that the network itself shows.
    """
    if environment is None:
        return View(view_like(name, **seen))
    if environment.frame_skip == 0:
        note = (
            f"{environment.name} skips 2 to 4 frames at random by itself, which the bench does not: its steps "
            "are not those of its training."
        )
        return View(view_like(name, **seen), (note,))
    fields = view_like(name, **{"sticky_probability": environment.sticky_probability, **seen})
    if environment.frame_skip == 1:
        return View(fields)
    skipped = fields["frame_skip"] * _GYMNASIUM_SKIP
    note = (
        f"{environment.name} skips {_GYMNASIUM_SKIP} frames and repeats actions with probability 0.25 by "
        f"itself, and the wrapper skips {fields['frame_skip']} of its steps on top: it is played at {skipped} frames a "
        "step. If it was trained otherwise, choose with --frame-skip and --sticky."
    )
    return View({**fields, "frame_skip": skipped, "pool_gap": _GYMNASIUM_SKIP}, (note,))


def check_game(environment: Environment | None, game: str | None, where: str) -> None:
    """Refuse to play a game with an agent of another one.

    Raises:
        CheckpointError: Its training environment names another game.
    """
    if environment is not None and game is not None and not environment.is_game(game):
        raise CheckpointError(
            f"{where} was trained on {environment.name}, not on {game}. Give the file for {game}; one pattern can name "
            "them all, as in NAME=sb3:ckpt/{game}/seed{train_seed}.zip."
        )
