"""Options that say how agents play and what they are allowed."""

from __future__ import annotations

import tomllib
from typing import Annotated, Any

import typer

from wsabench.errors import SpecError
from wsabench.protocol import PROTOCOLS, Protocol

NamedProtocol = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,FIELD=VALUE,...",
        help=f"How all agents play: {', '.join(PROTOCOLS)}; single fields, as in stack_start=repeat, over it or alone. "
        "Default: the profile's protocol, seen by each agent as it saw its games in training.",
    ),
]
Sticky = Annotated[float | None, typer.Option(help="Probability that an action is repeated, for all agents.")]
FrameSkip = Annotated[int | None, typer.Option(help="Emulator frames per step, for all agents.")]
NoopMax = Annotated[int | None, typer.Option(help="Most no-ops at a start, for all agents.")]
FullActionSpace = Annotated[
    bool | None, typer.Option("--full-action-space/--minimal-action-space", help="The action set, for all agents.")
]
Selection = Annotated[str | None, typer.Option(metavar="NAME", help="sampled or greedy, for all agents.")]
Trust = Annotated[
    bool, typer.Option("--trust", help="Let the files of these agents run code that they hold (pickles, TorchScript).")
]
AllowDownload = Annotated[
    bool, typer.Option("--allow-download", help="Fetch agents that are missing in the Hugging Face hub's cache.")
]


def chosen_protocol(text: str | None, **fields: Any) -> Protocol | dict[str, Any] | None:
    """Return what was chosen: a whole protocol, single fields over each agent's own, or nothing.

    Args:
        text: The name of a protocol and fields of it as `FIELD=VALUE`, separated by commas; either may be missing.
        fields: Fields of a protocol that have options of their own; None for those that were not given.

    Raises:
        SpecError: A field is outside its range, or given twice, or there are two names.
        UnknownNameError: There is no such protocol or field.
    """
    parts = [] if text is None else [part.strip() for part in text.split(",")]
    names = [part for part in parts if "=" not in part]
    given = {key: value for key, value in fields.items() if value is not None}
    for key, _, value in (part.partition("=") for part in parts if "=" in part):
        if key in given:
            raise SpecError(f"The protocol's field {key} is given twice. Give it once.")
        given[key] = _value(value)
    if len(names) > 1:
        raise SpecError(f"--protocol names {' and '.join(names)}. Allowed: one protocol, and fields as FIELD=VALUE.")
    if names:
        return Protocol.from_dict({**Protocol.named(names[0]).to_dict(), **given})
    return given or None


def _value(text: str) -> Any:
    """Return a value as TOML reads it, a word as a text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
