"""Trained agents that this installation does not carry: what there is, by hash, and how they are fetched.

`baselines/registry.json` names every file of the trained agents, with its size and SHA-256. A checkout carries most of
them, a wheel those of Breakout. The others are fetched to the folder `baselines-extra`, where agents are found too.
"""

from __future__ import annotations

import importlib
import re
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, Literal, NamedTuple

import msgspec

from wsabench.agents.spec import list_specs, load_spec
from wsabench.errors import CheckpointError, SpecError, StorageError, unknown_name
from wsabench.games import check_rom_id
from wsabench.hashing import file_hash
from wsabench.resources import atomic_path, baseline_dirs, data_dir, expanded, extra_dir, make_dir, write_text

REGISTRY = "registry.json"
FORMAT = "wsabench-registry-1"
TIMEOUT_SECONDS = 30.0
"""A server that sends nothing for so long is given up."""
_NAME = re.compile(r"(?P<game>[a-z0-9_]+)/(encoders/(?P<own>[\w-]+/)?)?(?P<stem>[\w-]+)(\.safetensors|\.csv)")
_AGENT = re.compile(r"(?P<agent>.+)-seed\d+(-curve)?")
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)


class RegisteredFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the registry says of a file."""

    sha256: str
    """64 hexadecimal digits."""
    bytes: int


class FileRegistry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All files of the trained agents, their curves and their encoders, by path (`GAME/NAME-seedN.safetensors`)."""

    format: Literal["wsabench-registry-1"] = FORMAT
    files: dict[str, RegisteredFile]


class Fetched(NamedTuple):
    """One file that was asked for."""

    name: str
    path: Path
    is_new: bool
    """Whether it was fetched now; otherwise it was there."""


Tell = Callable[[Fetched], None]


def read_registry(path: Path | None = None) -> FileRegistry:
    """Read the registry.

    Args:
        path: The file; None: the shipped one.

    Raises:
        StorageError: It is missing, damaged, or names a path outside the folder of agents.
    """
    path = path or data_dir("baselines") / REGISTRY
    try:
        registry = msgspec.json.decode(path.read_bytes(), type=FileRegistry)
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror}. Reinstall wsabench.") from error
    except msgspec.DecodeError as error:
        raise StorageError(f"{path} is no registry of this version ({FORMAT}): {error}. Reinstall wsabench.") from error
    for name in registry.files:
        if _NAME.fullmatch(name) is None:
            raise StorageError(
                f"{path} names {name!r}. Allowed: GAME/FILE or GAME/encoders/FILE, .safetensors or .csv. Restore it."
            )
    return registry


def write_registry(folders: Sequence[Path], path: Path, elsewhere: Collection[str] = ()) -> FileRegistry:
    """Write the registry of what lies in folders of trained agents.

    Args:
        folders: Folders laid out as `baselines`; where two hold a file of one name, the first counts.
        path: The file to write.
        elsewhere: Files that may lie on another machine: where no folder holds one, what `path` says of it stays.

    Returns:
        What was written.

    Raises:
        StorageError: A file or the registry cannot be read, or the registry cannot be written.
    """
    files: dict[str, RegisteredFile] = {}
    for folder in folders:
        for found in folder.rglob("*"):
            name = found.relative_to(folder).as_posix()
            if name not in files and _NAME.fullmatch(name) and found.is_file() and not name.startswith("records/"):
                files[name] = RegisteredFile(sha256=file_hash(found), bytes=found.stat().st_size)
    earlier = read_registry(path).files if path.is_file() else {}
    files |= {name: earlier[name] for name in elsewhere if name in earlier and name not in files}
    registry = FileRegistry(files=dict(sorted(files.items())))
    write_text(path, msgspec.json.format(msgspec.json.encode(registry), indent=1).decode() + "\n")
    return registry


def wanted_files(registry: FileRegistry, agent: str | None = None, game: str | None = None) -> list[str]:
    """Return the files that playing some agents takes: weights, learning curves, and encoders where they read them.

    Args:
        registry: What there is.
        agent: The name of an agent; None: all.
        game: A game; None: all.

    Raises:
        UnknownNameError: There is no such game, or no such agent with weights.
    """
    game = None if game is None else check_rom_id(game)
    parts = {name: match for name in registry.files if (match := _NAME.fullmatch(name)) is not None}
    agents = {
        name: own["agent"]
        for name, match in parts.items()
        if "/encoders/" not in name and (own := _AGENT.fullmatch(match["stem"])) is not None
    }
    chosen = [name for name, own in agents.items() if agent in (None, own) and game in (None, parts[name]["game"])]
    if not chosen:
        games = {parts[name]["game"] for name in agents}
        if game is not None and game not in games:
            raise unknown_name("game", game, games, "These have trained agents.")
        known = {own for name, own in agents.items() if game in (None, parts[name]["game"])}
        raise unknown_name("agent", str(agent), known, "These have weights that can be fetched.")
    with_encoders = {parts[name]["game"] for name in chosen if _reads_encoders(agents[name])}
    stems = {f"{parts[name]['game']}/{parts[name]['stem']}" for name in chosen}
    encoders = [
        name
        for name, match in parts.items()
        if "/encoders/" in name
        and match["game"] in with_encoders
        and (match["own"] is None or f"{match['game']}/{match['own'].rstrip('/')}" in stems)
    ]
    return sorted([*chosen, *encoders])


def fetch_agents(
    source: str, agent: str | None = None, game: str | None = None, tell: Tell = lambda one: None
) -> list[Fetched]:
    """Bring trained agents here that this installation lacks, from a server or a folder.

    Each file is taken only if it has the SHA-256 that the registry names. What is here already is left alone.

    Args:
        source: An address (`https://...`) or a folder, below which the files lie as in `baselines`.
        agent: The name of an agent; None: all.
        game: A game; None: all.
        tell: Called after each file.

    Returns:
        What was asked for, by name.

    Raises:
        CheckpointError: A file is not there, or is another one than the registry names. Those before it are kept.
        SpecError: The source is neither, or the package that downloads is not installed.
        StorageError: A file cannot be written, or a shipped one is another than the registry names.
        UnknownNameError: There is no such game, or no such agent with weights.
    """
    registry = read_registry()
    names = wanted_files(registry, agent, game)
    get = _downloader(source.rstrip("/")) if _ADDRESS.match(source) else _copier(source)
    found = []
    for name in names:
        path = _present(name, registry.files)
        is_new = path is None
        if path is None:
            if (shipped := data_dir("baselines") / name).exists():
                raise StorageError(
                    f"{shipped} is another file than the registry names, and counts before a fetched one. Move it "
                    "away, and fetch again."
                )
            path = extra_dir() / name
            make_dir(path.parent)
            get(name, registry.files[name], path)
        found.append(Fetched(name, path, is_new))
        tell(found[-1])
    return found


def _reads_encoders(agent: str) -> bool:
    """Whether an agent reads encoders; one whose description is not known here may."""
    return agent not in list_specs() or load_spec(agent).kind != "e2e"


def _present(name: str, files: Mapping[str, RegisteredFile]) -> Path | None:
    """Return where a file is, if it is the one of the registry."""
    for folder in baseline_dirs():
        path = folder / name
        if path.is_file() and file_hash(path) == files[name].sha256:
            return path
    return None


Get = Callable[[str, RegisteredFile, Path], None]


def _copier(source: str) -> Get:
    """Return what copies a file from a folder."""
    folder = expanded(source)
    if not source or not folder.is_dir():
        raise SpecError(
            f"--from is {source!r}. Allowed: an address that begins with https://, or a folder that exists."
        )

    def copy(name: str, wanted: RegisteredFile, path: Path) -> None:
        origin = folder / name
        if not origin.is_file():
            raise CheckpointError(f"{folder} has no file {name}. Give the folder that holds the folders of the games.")
        if (found := file_hash(origin)) != wanted.sha256:
            raise _another(str(origin), wanted, found)
        with atomic_path(path) as temporary:
            shutil.copyfile(origin, temporary)

    return copy


def _downloader(address: str) -> Get:
    """Return what downloads a file from below an address."""
    try:
        pooch: ModuleType = importlib.import_module("pooch")
    except ImportError as error:
        raise SpecError(
            "Downloading agents takes the package pooch. Install it: pip install 'wsabench[fetch]'."
        ) from error
    requests: Any = importlib.import_module("requests")

    def download(name: str, wanted: RegisteredFile, path: Path) -> None:
        url = f"{address}/{name}"
        downloader = pooch.HTTPDownloader(timeout=TIMEOUT_SECONDS)
        with atomic_path(path) as temporary:
            try:
                with temporary.open("wb") as file:
                    downloader(url, _Bounded(file, wanted.bytes, _another(url, wanted, None)), None)
            except (requests.exceptions.RequestException, ValueError) as error:  # ValueError: no address
                reason = str(error).rstrip(".")
                raise CheckpointError(
                    f"{url} cannot be fetched: {reason}. Check the address and the network."
                ) from error
            if (found := file_hash(temporary)) != wanted.sha256:
                raise _another(url, wanted, found)

    return download


class _Bounded:
    """A file that takes no more than it should become: else a wrong or hostile server could fill the disk."""

    def __init__(self, file: BinaryIO, num_bytes: int, too_long: CheckpointError) -> None:
        self._file, self._left, self._too_long = file, num_bytes, too_long

    def write(self, content: bytes) -> int:
        """Write a piece."""
        self._left -= len(content)
        if self._left < 0:
            raise self._too_long
        return self._file.write(content)

    def flush(self) -> None:
        """Hand on what was written."""
        self._file.flush()


def _another(place: str, wanted: RegisteredFile, found: str | None) -> CheckpointError:
    """Return the error that a file is not the one of the registry."""
    told = "" if found is None else f" Its SHA-256 is {found[:12]}..."
    return CheckpointError(
        f"{place} is another file than the registry names ({wanted.bytes:,} bytes, SHA-256 {wanted.sha256[:12]}...)."
        f"{told} Nothing was kept of it. It was changed or damaged on the way, or belongs to another version."
    )
