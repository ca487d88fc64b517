"""What travels to another machine: the files that agents and perturbations are read from, each by its content hash.

A driver packs, which hashes each file once; a node unpacks into a folder laid out as the package's own data, from which
a worker process there reads. No path of the driver need exist on the node.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from wsabench.agents import AGENT_FILE, list_agents, split_uri
from wsabench.agents.elsewhere import hub
from wsabench.agents.loading import shipped_names
from wsabench.errors import StorageError
from wsabench.evaluation.contestants import Contestant
from wsabench.hashing import bytes_hash, file_hash, json_hash
from wsabench.resources import atomic_path, baseline_dirs, data_dir, make_dir, writing

_DATA, _USER, _AGENTS, _OWN_PLAY = "data", "user", "agents", "own-play"
_PARTS = ("families", "games", "suites")

Files = dict[str, Path]
"""Files of this machine, by their place in the folder on the node."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A contestant that travels, and where its files will lie."""

    contestant: Contestant
    places: Mapping[str, str]
    """SHA-256 of each file, by its place."""
    prefix: str
    """What stands before the path in the contestant's reference, as `sb3:`."""
    reference: str | None
    """Place of what the reference names; None where it is no file."""
    own_play: str | None
    """Place of its own clean play; None where it has none."""

    def opened(self, folder: Path) -> Contestant:
        """Return the contestant as it is loaded on the node.

        Args:
            folder: Where its files lie.
        """
        one = self.contestant
        if self.reference is not None:
            one = replace(one, reference=f"{self.prefix}{folder / self.reference}")
        if self.own_play is not None and one.own_play is not None:
            one = replace(one, own_play=one.own_play._replace(path=folder / self.own_play))
        return one


class Packer:
    """Packs what travels; each file is read once, and content that is equal is handed over once."""

    def __init__(self, hand_over: Callable[[str, bytes], None]) -> None:
        """Pack nothing yet.

        Args:
            hand_over: Gets each content with its SHA-256.
        """
        self._hand_over = hand_over
        self._hashes: dict[Path, str] = {}
        self._known: set[str] = set()

    def data(self) -> dict[str, str]:
        """Return the hash of each file of the catalogue, the shipped one and the user's, by its place."""
        perturbations, baselines = data_dir("perturbations"), data_dir("baselines")
        files = _below(perturbations, f"{_DATA}/perturbations")
        files |= {f"{_DATA}/baselines/{path.name}": path for path in baselines.glob("*.*") if path.is_file()}
        folders = [Path(text) for text in os.environ.get("WSABENCH_PERTURBATIONS", "").split(os.pathsep) if text]
        for number, folder in enumerate(folders):
            for part in _PARTS:
                files |= _below(folder / part, f"{_USER}/{number}/{part}")
        return self._hashed(files)

    def pack(self, contestant: Contestant) -> Parcel:
        """Return a contestant as it travels.

        Raises:
            StorageError: A file of it cannot be read any more.
        """
        places: dict[str, str] = {}
        prefix, reference, own_play = "", None, None
        if contestant.kind == "agent":
            places |= self._hashed(_shipped(contestant))
            is_shipped = contestant.reference in shipped_names(contestant.game)
            path = None if is_shipped else _file_of(str(contestant.reference))
            if path is not None:
                reference = self._moved(path, _with_encoders(path), places)
        elif contestant.kind == "address" and (uri := split_uri(contestant.reference)) is not None:
            uri = hub.found_uri(uri, contestant.permissions) if uri.scheme == "hf" else uri
            if uri.scheme != "python":
                found = _below(uri.path, uri.path.name) if uri.path.is_dir() else {uri.path.name: uri.path}
                prefix, reference = f"{uri.scheme}:", self._moved(uri.path, found, places)
        if contestant.own_play is not None:
            own_play = f"{_OWN_PLAY}/{contestant.own_play.content_hash}.safetensors"
            places |= self._hashed({own_play: contestant.own_play.path})
        return Parcel(contestant, places, prefix, reference, own_play)

    def _moved(self, path: Path, files: Files, places: dict[str, str]) -> str:
        """Add files in a folder that is named by all that is in it; return the place of one."""
        hashed = self._hashed(files)
        folder = f"{_AGENTS}/{json_hash(hashed, 32)}"
        places |= {f"{folder}/{place}": content for place, content in hashed.items()}
        return f"{folder}/{path.name}"

    def _hashed(self, files: Files) -> dict[str, str]:
        """Return hashes for files, and hand over what was not yet."""
        return {place: self._hash(path) for place, path in files.items()}

    def _hash(self, path: Path) -> str:
        if path not in self._hashes:
            try:
                content = path.read_bytes()
            except OSError as error:
                raise StorageError(f"Cannot read {path}, which is to travel: {error.strerror}. Restore it.") from error
            found = self._hashes[path] = bytes_hash(content)
            if found not in self._known:
                self._hand_over(found, content)
                self._known.add(found)
        return self._hashes[path]


class Depot:
    """Files on a node: contents by hash, which stay for the next run, and a folder of one worker that names them."""

    def __init__(self, root: Path | None = None) -> None:
        """Make the folder, and remove those of workers that are gone.

        Args:
            root: Where everything lies; by default a folder of this user's below that for temporary files.

        Raises:
            StorageError: It cannot be made, or belongs to somebody else.
        """
        who = os.getuid() if hasattr(os, "getuid") else "user"
        root = root or Path(tempfile.gettempdir()) / f"wsabench-files-{who}"
        self._contents, trees = make_dir(root / "contents"), make_dir(root / "trees")
        if hasattr(os, "getuid") and root.stat().st_uid != os.getuid():
            raise StorageError(f"{root} belongs to another user. Remove it, or set TMPDIR to another folder.")
        root.chmod(0o700)
        _clear(trees.iterdir())
        self.folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=trees))
        """The worker's folder."""

    def unpack(self, places: Mapping[str, str], fetch: Callable[[str], bytes]) -> None:
        """Put files in their places.

        Args:
            places: SHA-256 of each, by its place.
            fetch: Returns a content by its hash; asked for what is not here or is damaged.

        Raises:
            StorageError: A file cannot be written, or what came is not what its hash says.
        """
        for place, content_hash in places.items():
            target = self.folder / PurePosixPath(place)
            if target.exists():
                continue
            content = self._contents / content_hash
            if not content.is_file() or file_hash(content) != content_hash:
                self._write(content, fetch(content_hash))
            make_dir(target.parent)
            try:
                os.link(content, target)
            except OSError:  # not every file system can
                with writing(target):
                    shutil.copyfile(content, target)

    def environment(self) -> dict[str, str]:
        """Return the environment variables by which the package finds the catalogue that came."""
        users = sorted((self.folder / _USER).glob("*"), key=lambda path: int(path.name))
        found = {"WSABENCH_PERTURBATIONS": os.pathsep.join(map(str, users))}
        return {"WSABENCH_DATA": str(self.folder / _DATA), **found}

    def close(self) -> None:
        """Remove the worker's folder; contents stay."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, path: Path, content: bytes) -> None:
        """Keep a content that came."""
        if bytes_hash(content) != path.name:
            raise StorageError(
                f"What came as {path.name[:12]} has another hash on this node. Start the same run again."
            )
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)


def _clear(trees: Iterable[Path]) -> None:
    """Remove folders of workers that are gone."""
    for tree in trees:
        pid = tree.name.partition("-")[0]
        if not pid.isdigit():
            continue
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            shutil.rmtree(tree, ignore_errors=True)
        except OSError:  # it is there
            continue


def _below(folder: Path, place: str) -> Files:
    """Return the files of a folder, by their places."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {f"{place}/{path.relative_to(folder).as_posix()}": path for path in found}


def _shipped(contestant: Contestant) -> Files:
    """Return what is shipped or fetched for a contestant: its game's encoders, and its own file where it is named."""
    place = f"{_DATA}/baselines/{contestant.game}"
    files: dict[str, Path] = {}
    for folder in reversed(baseline_dirs()):
        files |= _below(folder / contestant.game / "encoders", f"{place}/encoders")
    for entry in list_agents(contestant.game):
        if (entry.name, entry.train_seed) == (contestant.reference, contestant.train_seed):
            files[f"{place}/{entry.path.name}"] = entry.path
    return files


def _file_of(reference: str) -> Path | None:
    """Return the file that a reference names; None where it is the name of what another package brings."""
    path = Path(reference).expanduser()
    path = path / AGENT_FILE if path.is_dir() else path
    return path if path.is_file() else None


def _with_encoders(path: Path) -> Files:
    """Return an agent's file and the encoders beside it, as `wsabench.agents.load_bank` looks for them."""
    files = {path.name: path}
    beside = path.parent / "encoders"
    if (beside / path.stem).is_dir():
        return files | _below(beside / path.stem, f"encoders/{path.stem}")
    with suppress(OSError):
        files |= {f"encoders/{one.name}": one for one in sorted(beside.iterdir()) if one.is_file()}
    return files
