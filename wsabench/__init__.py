"""wsabench: how robust is a game-playing agent?

The public names. Importing this module loads no torch and opens no environment; each name loads its part on first use.
It registers the environments with gymnasium (`gymnasium.make("wsabench/Breakout-v0")`), as their users expect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsabench.emulator.registration import register_envs
from wsabench.lazy import lazy_names
from wsabench.version import __version__

if TYPE_CHECKING:
    from wsabench.agents import load_agent
    from wsabench.emulator import make, make_vec, wrap
    from wsabench.errors import WsabenchError
    from wsabench.face import RunResult, load_result, run
    from wsabench.protocol import Protocol
    from wsabench.types import Abilities, Decision, LaneBatch, Policy

__all__ = [
    "Abilities",
    "Decision",
    "LaneBatch",
    "Policy",
    "Protocol",
    "RunResult",
    "WsabenchError",
    "__version__",
    "load_agent",
    "load_result",
    "make",
    "make_vec",
    "run",
    "wrap",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "agents": ("load_agent",),
        "emulator": ("make", "make_vec", "wrap"),
        "errors": ("WsabenchError",),
        "face": ("RunResult", "load_result", "run"),
        "protocol": ("Protocol",),
        "types": ("Abilities", "Decision", "LaneBatch", "Policy"),
        "version": ("__version__",),
    },
)

register_envs()
