"""What a file is, by its content, and the address to write for it."""

from __future__ import annotations

import json
import shlex
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from wsabench.agents.elsewhere.cleanrl import is_layout
from wsabench.agents.elsewhere.programs import is_torchscript
from wsabench.agents.elsewhere.tensors import read_plain
from wsabench.errors import CheckpointError

_PICKLE = b"\x80"
_MOST_BYTES = 2 << 30
_REMEDY = (
    "Known: zips of Stable-Baselines3, state dictionaries of CleanRL, TorchScript, ONNX, and agents of wsabench. Wrap "
    "anything else as python:package.module:factory."
)


class Recognised(NamedTuple):
    """What a file is."""

    scheme: str | None
    """The scheme that opens it; None where none does."""
    what: str
    """In words, behind `is`."""
    remedy: str = _REMEDY
    """What to do about it where no scheme opens it, a whole sentence."""
    is_ours: bool = False
    """Whether it is a trained agent of this project."""


def describe_file(path: Path) -> str:
    """Return what to tell someone who named a file of another tool as if it were ours."""
    known = recognise(path)
    if known.scheme is None:
        return f"{path} is {known.what}. {known.remedy}"
    address = shlex.quote(f"{known.scheme}:{path}")
    trust = " It runs code of the file, so add --trust if you trust it." if known.scheme == "torchscript" else ""
    return f"{path} is {known.what}. Write {address}.{trust}"


def recognise(path: Path) -> Recognised:
    """Return what a file is, from its content alone."""
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(b"PK"):
        return _zip(path)
    if head[8:9] == b"{":
        return _safetensors(path)
    if head.startswith(_PICKLE):
        return _pickle(path)
    if head.startswith(b"\x08") and path.suffix.lower() == ".onnx":
        return Recognised("onnx", "an ONNX network")
    if head.startswith(b"version https://git-lfs"):
        remedy = "Fetch the file itself: git lfs pull."
        return Recognised(None, "a pointer of Git LFS, not the file itself", remedy)
    return Recognised(None, "empty" if not head else "no agent that is known")


def _zip(path: Path) -> Recognised:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return Recognised(None, "a damaged zip", "Restore it.")
    if {"data", "policy.pth"} <= set(names):
        return Recognised("sb3", "a model of Stable-Baselines3")
    if is_torchscript(names):
        return Recognised("torchscript", "a TorchScript program")
    if any(name.endswith("/data.pkl") for name in names):
        return _pickle(path)
    return Recognised(None, "a zip that holds no agent")


def _pickle(path: Path) -> Recognised:
    """Look into what `torch.save` wrote, opening nothing but tensors and plain values."""
    if path.stat().st_size > _MOST_BYTES:
        return Recognised(None, "a pickle of more than 2 GiB")
    try:
        value: Any = read_plain(path.read_bytes(), str(path))
    except CheckpointError as error:
        return Recognised(None, "a pickle that is not opened", str(error))
    if isinstance(value, dict) and is_layout(value.get("model_weights", value)):
        return Recognised("cleanrl", "a state dictionary in CleanRL's layout")
    return Recognised(None, "a pickle of tensors in no layout that is known")


def _safetensors(path: Path) -> Recognised:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(path.stat().st_size, 100_000_000):
            return Recognised(None, "no agent that is known")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError):
            return Recognised(None, "no agent that is known")
    if not isinstance(header, dict) or not isinstance(header.get("__metadata__") or {}, dict):
        return Recognised(None, "no agent that is known")
    if "agent" in (header.get("__metadata__") or {}):
        return Recognised(None, "a trained agent of wsabench", "Write its path.", is_ours=True)
    if is_layout(header):
        return Recognised("cleanrl", "a state dictionary in CleanRL's layout, as safetensors")
    return Recognised(None, "a file of safetensors in no layout that is known")
