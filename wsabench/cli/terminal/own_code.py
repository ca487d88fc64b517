"""Agents whose own code runs in a command: where it is found, and where its output goes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from wsabench.processes import output_to_errors


@contextmanager
def own_code(references: Iterable[str]) -> Iterator[None]:
    """Let agents named as `module:attribute` be found in the current directory too, and their output go to stderr.

    The directory stands last on the module path, and only where such an agent plays: a file there that happens to be
    called like a package is not run instead of it.

    Args:
        references: The agents, as the user gave them.
    """
    from wsabench.evaluation.contestants import names_module

    here = str(Path.cwd())
    is_needed = any(names_module(one) for one in references) and here not in sys.path
    if is_needed:
        sys.path.append(here)
    try:
        with output_to_errors():
            yield
    finally:
        if is_needed:
            sys.path.remove(here)
