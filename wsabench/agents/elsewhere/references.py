"""How agents from elsewhere are named: `SCHEME:REST`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

SCHEMES = ("sb3", "cleanrl", "torchscript", "onnx", "python", "hf")
"""What stands before the colon."""


class Uri(NamedTuple):
    """An agent's address."""

    scheme: str
    """One of `SCHEMES`."""
    rest: str
    """What follows the colon: a path, `package.module:factory`, or `ORG/REPO[@REVISION][/FILE]`."""

    @property
    def text(self) -> str:
        """The whole address."""
        return f"{self.scheme}:{self.rest}"

    @property
    def path(self) -> Path:
        """The file that it names; a leading `~` stands for the user's folder."""
        return Path(self.rest).expanduser()


def split_uri(text: str) -> Uri | None:
    """Return the parts of an address; None where the text does not begin with a scheme."""
    scheme, colon, rest = text.partition(":")
    return Uri(scheme, rest) if colon and rest and scheme in SCHEMES else None
