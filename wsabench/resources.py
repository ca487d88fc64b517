"""Where the data folders are: inside the installed package, or beside it in a checkout.

Also how files are written: to a temporary name in the same folder, then renamed, so that no reader sees half a file.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from wsabench.errors import SpecError, StorageError

DataFolder = Literal["perturbations", "baselines"]
CataloguePart = Literal["families", "games", "suites"]

EXTRA = "baselines-extra"
"""The folder of agents that are not shipped; laid out as `baselines`."""
PACKAGE_DIR = Path(__file__).resolve().parent
"""Where the code of this package lies."""
NO_PATH = 'Give a path; "." is the current folder.'
"""What to do about an empty text where a path is wanted, as an unset variable of a shell gives it."""


def data_dir(name: DataFolder) -> Path:
    """Return the folder with the catalogue (`perturbations`) or the shipped agents (`baselines`).

    The environment variable `WSABENCH_DATA` names another place that holds both. Otherwise a wheel carries them as
    `wsabench/_data/NAME`; in a checkout they stand beside the package.

    Raises:
        StorageError: The folder is in none of these places.
    """
    override = os.environ.get("WSABENCH_DATA")
    candidates = [expanded(override) / name] if override else [PACKAGE_DIR / "_data" / name, PACKAGE_DIR.parent / name]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    tried = ", ".join(str(c) for c in candidates)
    raise StorageError(f"The data folder {name!r} was not found. Looked in: {tried}. Reinstall wsabench.")


def extra_dir() -> Path:
    """Return where fetched agents lie: `baselines-extra` beside a checkout's `baselines`, or in the state folder.

    Raises:
        StorageError: There is neither a checkout nor a home directory.
    """
    shipped = data_dir("baselines")
    return (state_dir() if shipped.parent == PACKAGE_DIR / "_data" else shipped.parent) / EXTRA


def baseline_dirs() -> tuple[Path, ...]:
    """Return the folders with trained agents: the shipped one, then the one with what was fetched, if it is there.

    Raises:
        StorageError: The shipped folder is missing.
    """
    shipped = data_dir("baselines")
    with contextlib.suppress(StorageError, OSError):  # without a home directory that can be read nothing was fetched
        if (extra := extra_dir()).is_dir():
            return (shipped, extra)
    return (shipped,)


def encoders_dir(game: str) -> Path:
    """Return the folder with a game's pre-trained encoders: among the shipped ones, else among the fetched ones.

    Args:
        game: The game's id.

    Returns:
        The first that holds files; the shipped one, whether it is there or not, where none does.

    Raises:
        StorageError: The shipped baselines are missing.
    """
    places = [folder / game / "encoders" for folder in baseline_dirs()]
    return next((place for place in places if any(place.glob("*.safetensors"))), places[0])


def agent_files() -> list[Path]:
    """Return the agent specifications in the baselines folder, sorted; plans of training beside them are left out.

    Raises:
        StorageError: The folder is missing.
    """
    plans = ("campaign", "queue")
    return sorted(path for path in data_dir("baselines").glob("*.toml") if path.stem.partition("-")[0] not in plans)


def catalogue_files(part: CataloguePart) -> dict[str, Path]:
    """Return the TOML files of one part of the catalogue by name (without suffix): ours sorted, then the user's.

    The environment variable `WSABENCH_PERTURBATIONS` names the user's folders, separated like those of `PATH` and laid
    out as the shipped `perturbations` (`families/`, `games/`, `suites/`, any of them may be missing). Worker processes
    inherit it.

    Raises:
        SpecError: Two files have the same name.
        StorageError: A folder does not exist.
    """
    files: dict[str, Path] = {}
    for folder in (data_dir("perturbations"), *_user_folders()):
        for path in sorted((folder / part).glob("*.toml")):
            if path.stem in files:
                raise SpecError(f"{path}: the name is taken by {files[path.stem]}. Allowed: a file name of its own.")
            files[path.stem] = path
    return files


def _user_folders() -> list[Path]:
    """Return the folders of the user's own catalogue."""
    folders = [expanded(text) for text in os.environ.get("WSABENCH_PERTURBATIONS", "").split(os.pathsep) if text]
    for folder in folders:
        if not folder.is_dir():
            raise StorageError(
                f"WSABENCH_PERTURBATIONS names the folder {folder}, which does not exist. Allowed: folders with "
                "families/, games/ or suites/, separated by "
                f"{os.pathsep!r}. Correct the variable or remove it."
            )
    return folders


def state_dir() -> Path:
    """Return where unfinished work is kept (training checkpoints, frame stores), outside any source tree.

    `WSABENCH_HOME`, else `$XDG_STATE_HOME/wsabench`, else `~/.local/state/wsabench`.

    Raises:
        StorageError: None of them is there: the user has no home directory.
    """
    if home := os.environ.get("WSABENCH_HOME"):
        return expanded(home)
    if base := os.environ.get("XDG_STATE_HOME"):
        return expanded(base) / "wsabench"
    try:
        return Path.home() / ".local" / "state" / "wsabench"
    except RuntimeError as error:  # neither HOME nor an entry of the user
        raise StorageError(
            "There is no home directory to keep unfinished work in. Set WSABENCH_HOME to a folder for it."
        ) from error


def expanded(path: str | Path) -> Path:
    """Return a path with `~` and `~user` replaced by the home directory, as a shell does.

    Raises:
        SpecError: It is no path, or an empty text, which would mean the current folder.
        StorageError: There is no such home directory.
    """
    if not isinstance(path, str | Path):
        raise SpecError(f"A path is expected, and {type(path).__name__} was given. Allowed: a text or a pathlib.Path.")
    if not str(path):
        raise SpecError(f"The path is empty. {NO_PATH}")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise StorageError(
            f"{path}: there is no home directory that ~ could stand for. Write the path without ~."
        ) from error


def make_dir(path: Path) -> Path:
    """Create a folder with its parents and return it.

    Raises:
        StorageError: It cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"Cannot create the folder {path}: {error.strerror}. Choose another place.") from error
    return path


def check_place(folder: Path) -> None:
    """Check that files can be written into a folder, or that it can be created; nothing is created.

    Raises:
        StorageError: They cannot.
    """
    try:
        place = next(one for one in (folder, *folder.parents) if one.exists())
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise StorageError(f"Cannot write into {folder}: {error.strerror}. Choose another place.") from error


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an error of the operating system inside the block into one that says that `path` cannot be written.

    Only the write itself belongs into the block: what others do there would be told as a failed write too.

    Raises:
        StorageError: The block raised an OSError (full disk, no permission).
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"Cannot write {path}: {reason}. Free space or choose another place.") from error


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block succeeds it is synced and renamed to `path`.

    Raises:
        StorageError: The file cannot be written (full disk, no permission); nothing is left behind.
    """
    with writing(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        try:
            os.close(handle)
            yield temporary
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)  # now, because some writers replace the file and with it the mode
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8; bytes of file names that are no UTF-8 are written with a backslash.

    Raises:
        StorageError: The file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
