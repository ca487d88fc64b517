"""What a test that sends signals needs."""

from __future__ import annotations

import signal


def heed_interrupts() -> None:
    """Let a child hear Ctrl-C, where whoever started this process lets it ignore that (a shell's `&` does)."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
