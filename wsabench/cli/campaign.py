"""`python -m wsabench.cli.campaign start|status|collect`: what `make campaign` calls, in a checkout only."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import wsabench
from wsabench.cli.terminal.console import write_error, write_line
from wsabench.errors import SpecError, WsabenchError

ACTIONS = ("start", "status", "collect")


def main(arguments: Sequence[str] | None = None, root: Path | None = None) -> int:
    """Do one thing with a campaign.

    Args:
        arguments: `start`, `status` or `collect`, then the campaign's name if it is not the current one.
        root: The checkout; by default the one that this package lies in.

    Returns:
        0; 2 where something was wrong, which one message says.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _act(words, root or Path(wsabench.__file__).resolve().parents[1])
    except WsabenchError as error:
        write_error(f"error: {error}")
        return 2
    return 0


def _act(words: Sequence[str], root: Path) -> None:
    from wsabench.training import campaign as campaigns

    if not 1 <= len(words) <= 2 or words[0] not in ACTIONS:
        raise SpecError(
            f"The arguments are {' '.join(words)!r}. Allowed: {', '.join(ACTIONS)}, then a campaign's name."
        )
    campaign = campaigns.find_campaign(root, words[1] if len(words) == 2 else None)
    if words[0] == "start":
        campaigns.start(campaign, write_line)
    else:
        write_line((campaigns.status if words[0] == "status" else campaigns.collect)(campaign).rstrip())


if __name__ == "__main__":
    raise SystemExit(main())
