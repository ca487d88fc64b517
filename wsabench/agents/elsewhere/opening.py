"""One door for every agent: a name, a path, an address, or `package.module:attribute`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from wsabench.agents.elsewhere import cleanrl, factories, hub, programs, sb3
from wsabench.agents.elsewhere.opened import Wanted
from wsabench.agents.elsewhere.recognising import describe_file, recognise
from wsabench.agents.elsewhere.references import SCHEMES, split_uri
from wsabench.agents.foreign import torch_as_shipped
from wsabench.agents.loading import AGENT_FILE, load_trained, shipped_names
from wsabench.agents.spec import list_specs
from wsabench.errors import CheckpointError, SpecError, unknown_name
from wsabench.games import check_rom_id
from wsabench.protocol import ActionSelection
from wsabench.types import BUILT_IN_AGENTS, DeclaredPolicy, Permissions, named_arguments, unboxed

_LOADERS: dict[str, Callable[[Wanted], DeclaredPolicy]] = {
    "sb3": sb3.load,
    "cleanrl": cleanrl.load,
    "torchscript": programs.load_torchscript,
    "onnx": programs.load_onnx,
    "python": factories.load,
}


FILE_ENDINGS = (".zip", ".pt", ".pth", ".ts", ".onnx", ".cleanrl_model", ".pkl")
"""Endings of files of other tools, by which a text is meant as a file."""
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")
_ADDRESS = re.compile(r"\w{2,}:")
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
"""A module and something in it, as Python writes it."""


@named_arguments
def load_agent(
    agent: str | Path,
    game: str | None = None,
    train_seed: int = 0,
    action_selection: ActionSelection = "sampled",
    *,
    trust: bool = False,
    allow_download: bool = False,
) -> DeclaredPolicy:
    """Load an agent of this project or one trained elsewhere.

    Args:
        agent: The name of a shipped agent or of one that another package brings; the path of a checkpoint, or the
            folder of a training run; or an address: `sb3:PATH.zip`, `cleanrl:PATH`, `torchscript:PATH`, `onnx:PATH`,
            `python:package.module:factory`, `hf:ORG/REPO[@REVISION][/FILE]`.
        game: The game; needed for a name, checked where the file says its own.
        train_seed: Which of the shipped ones, and what a factory is called with.
        action_selection: `sampled` or `greedy`.
        trust: Open files in ways that run code which they hold.
        allow_download: Fetch what is missing in the cache of the Hugging Face hub.

    Returns:
        The policy; `abilities.view` says how it saw its games.

    Raises:
        UnknownNameError: There is no such agent, module or attribute.
        CheckpointError: The file is missing, damaged, of another kind or game, or must not be opened.
        SpecError: A name without a game, or a package that is missing.
    """
    if not isinstance(agent, str | Path) or not str(agent):
        raise SpecError(
            f"The agent is {agent!r}. Allowed: a name (`wsabench list agents` shows them), a path, or an address such "
            "as 'sb3:PATH.zip'."
        )
    if game is not None and not isinstance(game, str):
        check_rom_id(game)
    train_seed = unboxed(train_seed)
    if isinstance(train_seed, bool) or not isinstance(train_seed, int) or train_seed < 0:
        raise SpecError(f"The train seed is {train_seed!r}. Allowed: integers from 0.")
    if action_selection not in get_args(ActionSelection):
        raise unknown_name("action selection", action_selection, get_args(ActionSelection))
    uri = split_uri(agent) if isinstance(agent, str) and not Path(agent).exists() else None
    with torch_as_shipped():
        if uri is None:
            return _named(agent, game, train_seed, action_selection)
        permissions = Permissions(trust, allow_download)
        if uri.scheme == "hf":
            uri = hub.found_uri(uri, permissions)
        try:
            return _LOADERS[uri.scheme](Wanted(uri, game, train_seed, action_selection, permissions))
        except CheckpointError as error:
            if uri.scheme == "python" or not uri.path.is_file():
                raise
            if recognise(uri.path).scheme in (None, uri.scheme):
                raise
            raise CheckpointError(describe_file(uri.path)) from error


def _named(agent: str | Path, game: str | None, train_seed: int, action_selection: ActionSelection) -> DeclaredPolicy:
    """Load an agent by its name, its path or `module:attribute`."""
    is_name = isinstance(agent, str) and _NAME.fullmatch(agent) is not None
    if not is_name or agent not in shipped_names(game):
        added = factories.find_added(str(agent)) if is_name and not Path(agent).exists() else None
        if added is not None:
            return factories.made(added.content, game, train_seed, added.value, added.name)
        path = Path(agent).expanduser()
        _check_file(path)
        agent = path if str(agent).startswith("~") else agent
    return load_trained(agent, game=game, train_seed=train_seed, action_selection=action_selection)


def _check_file(path: Path) -> None:
    """Refuse what is named as if it were an agent of ours and is none, and say what to write.

    Raises:
        CheckpointError: It is a file of another tool, a folder of something else, or there is nothing.
    """
    if path.suffix == ".py" and path.is_file():
        raise CheckpointError(
            f"{path} is a file of Python. Name the module, and what plays in it: {path.stem}:NAME, as in "
            f"{path.stem}:policy, with the file's folder on PYTHONPATH or as the current folder."
        )
    if path.is_file():
        known = recognise(path)
        if not known.is_ours and (known.scheme is not None or path.suffix != ".safetensors"):
            raise CheckpointError(describe_file(path))
    elif _is_module(str(path)):
        raise CheckpointError(
            f"No agent is called {str(path)!r}, but a module is. If the agent stands in it, write {path}:NAME, "
            f"as in {path}:policy. `wsabench list agents` shows those that are shipped."
        )
    elif path.is_dir() and not (path / AGENT_FILE).exists():
        raise CheckpointError(
            f"{path} is a folder without {AGENT_FILE}, so no training run of wsabench. Give the agent's file itself, "
            "or a pattern of files, NAME=sb3:FOLDER/seed{train_seed}.zip."
        )
    elif _ADDRESS.match(str(path)):
        known = ", ".join(f"{scheme}:..." for scheme in SCHEMES)
        raise CheckpointError(f"{path} is no address of an agent. Allowed: {known}.")
    elif path.suffix in FILE_ENDINGS:
        raise CheckpointError(f"There is no file {path}. Correct the path.")
    elif ".py:" in path.name:
        file, _, attribute = path.name.partition(".py:")
        raise CheckpointError(
            f"{path} names a file and something in it. Name the module instead, {file}:{attribute}, with the file's "
            "folder on PYTHONPATH or as the current folder."
        )
    elif _DOTTED.fullmatch(str(path)) and path.suffix != ".safetensors":
        module, _, attribute = str(path).rpartition(".")
        raise CheckpointError(
            f"There is no agent {str(path)!r}; `wsabench list agents` shows those that are shipped. If it is something "
            f"in a module, write {module}:{attribute}."
        )


def _is_module(text: str) -> bool:
    """Whether a text names a module that Python finds, or that stands in the current folder; nothing is imported."""
    if text in BUILT_IN_AGENTS or text in list_specs() or not all(part.isidentifier() for part in text.split(".")):
        return False
    files = (Path(folder).joinpath(*text.split(".")) for folder in ("", *sys.path))
    return any(one.with_name(f"{one.name}.py").is_file() or (one / "__init__.py").is_file() for one in files)
