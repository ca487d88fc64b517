"""wsabench: how robust is a game-playing agent?

The public names. Importing this module loads no torch and opens no environment; each name loads its part on first use.
It registers the environments with gymnasium (`gymnasium.make("wsabench/Breakout-v0")`), as their users expect.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wsabench.version import __version__

if TYPE_CHECKING:
    from wsabench.agents import load_agent
    from wsabench.emulator import make, make_vec
    from wsabench.errors import WsabenchError
    from wsabench.evaluation import RunResult, run
    from wsabench.protocol import Protocol
    from wsabench.types import LaneBatch, Policy

__all__ = [
    "LaneBatch",
    "Policy",
    "Protocol",
    "RunResult",
    "WsabenchError",
    "__version__",
    "load_agent",
    "make",
    "make_vec",
    "run",
]

_HOME = {
    "LaneBatch": "wsabench.types",
    "Policy": "wsabench.types",
    "Protocol": "wsabench.protocol",
    "RunResult": "wsabench.evaluation",
    "WsabenchError": "wsabench.errors",
    "load_agent": "wsabench.agents",
    "make": "wsabench.emulator",
    "make_vec": "wsabench.emulator",
    "run": "wsabench.evaluation",
}


def __getattr__(name: str) -> Any:
    """Load the part that holds `name`, on first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'wsabench' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)


import_module("wsabench.emulator.registration").register_envs()
