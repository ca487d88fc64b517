"""Options that say how agents play and what they are allowed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from wsabench.protocol import PROTOCOLS, Protocol

NamedProtocol = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=f"How all agents play: {', '.join(PROTOCOLS)}. Default: the profile's protocol, seen by each agent as it "
        "saw its games in training.",
    ),
]
Sticky = Annotated[float | None, typer.Option(help="Probability that an action is repeated, for all agents.")]
FrameSkip = Annotated[int | None, typer.Option(help="Emulator frames a step, for all agents.")]
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


def chosen_protocol(name: str | None, **fields: Any) -> Protocol | dict[str, Any] | None:
    """Return what was chosen: a whole protocol, single fields over each agent's own, or nothing.

    Args:
        name: Of a named protocol, or None.
        fields: Fields of a protocol; None for those that were not given.

    Raises:
        SpecError: A field is outside its range.
        UnknownNameError: There is no such protocol.
    """
    given = {key: value for key, value in fields.items() if value is not None}
    if name is not None:
        return Protocol.named(name).with_changes(**given)
    return given or None
