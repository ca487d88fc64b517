"""Agents that are not here are fetched from a server or a folder, and only the files that the registry names."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsabench import resources
from wsabench.agents import list_agents, load_agent
from wsabench.agents.fetching import FileRegistry, fetch_agents, read_registry, wanted_files, write_registry
from wsabench.cli import main
from wsabench.errors import StorageError
from wsabench.hashing import file_hash
from wsabench.resources import data_dir, encoders_dir

NAMES = [
    "breakout/e2e-seed0-curve.csv",
    "breakout/e2e-seed0.safetensors",
    "breakout/wsa-seed0.safetensors",
    "breakout/encoders/ae.safetensors",
    "breakout/encoders/wsa-seed0/sr.safetensors",
    "breakout/encoders/wsa-seed1/sr.safetensors",
    "pong/e2e-seed0.safetensors",
]


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """What a server offers: real agents of Pong and Breakout, and files that stand for encoders."""
    folder, shipped = tmp_path / "origin", data_dir("baselines")
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if "encoders" in name:
            (folder / name).write_bytes(name.encode())
        else:
            shutil.copyfile(shipped / name, folder / name)
    return folder


@pytest.fixture
def bare(tmp_path: Path, origin: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation without trained agents, whose registry names what the server offers; its folder of data."""
    folder = tmp_path / "installed"
    (folder / "baselines").mkdir(parents=True)
    for path in data_dir("baselines").glob("*.*"):
        shutil.copyfile(path, folder / "baselines" / path.name)
    (folder / "perturbations").symlink_to(data_dir("perturbations"))
    write_registry([origin], folder / "baselines" / "registry.json")
    monkeypatch.setenv("WSABENCH_DATA", str(folder))
    return folder


@pytest.fixture
def server(origin: Path) -> Iterator[str]:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=origin)) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


@pytest.mark.e2e
def test_agents_are_fetched_from_a_server_and_play(
    bare: Path, server: str, origin: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list_agents("pong") == []
    assert main(["agents", "fetch", "e2e", "--from", server, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in told] == [name for name in sorted(NAMES) if "e2e" in name]
    assert all(one["fetched"] and file_hash(Path(one["path"])) == file_hash(origin / one["name"]) for one in told)
    path = bare / "baselines-extra" / "pong" / "e2e-seed0.safetensors"
    assert [entry.path for entry in list_agents("pong")] == [path]
    assert load_agent("e2e", game="pong").abilities.num_actions == 6
    # What is here already is not fetched again, whatever became of the server.
    (origin / "pong" / "e2e-seed0.safetensors").unlink()
    assert main(["agents", "fetch", "e2e", "--game", "pong", "--from", server]) == 0
    assert "0 files fetched, 1 were here" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["server", "folder"])
@pytest.mark.e2e
def test_others_may_read_what_was_fetched(bare: Path, server: str, origin: Path, kind: str) -> None:
    plain = bare / "plain"
    plain.touch()
    assert (
        main(["agents", "fetch", "e2e", "--game", "pong", "--from", server if kind == "server" else str(origin)]) == 0
    )
    assert (bare / "baselines-extra" / NAMES[-1]).stat().st_mode == plain.stat().st_mode


@pytest.mark.e2e
def test_no_more_is_read_than_the_registry_names(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sent: list[int] = []

    class Endless(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while len(sent) < 200:
                    self.wfile.write(bytes(2**20))
                    sent.append(1)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{running.server_address[1]}"
        assert main(["agents", "fetch", "e2e", "--game", "pong", "--from", address]) == 2
        running.shutdown()
    assert "another file than the registry names" in " ".join(capsys.readouterr().err.split())
    assert len(sent) < 200, "the client hung up"
    assert not [found for found in (bare / "baselines-extra").rglob("*") if found.is_file()]


@pytest.mark.parametrize("kind", ["server", "folder"])
@pytest.mark.e2e
def test_a_file_that_was_tampered_with_is_refused(
    bare: Path, server: str, origin: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = origin / "pong" / "e2e-seed0.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert main(["agents", "fetch", "--game", "pong", "--from", server if kind == "server" else str(origin)]) == 2
    told = capsys.readouterr().err
    assert "another file than the registry names" in told
    assert "Traceback" not in told
    assert not [found for found in (bare / "baselines-extra").rglob("*") if found.is_file()]
    # A damaged file that lies here is fetched anew.
    content[-1] ^= 1
    path.write_bytes(content)
    damaged = bare / "baselines-extra" / "pong" / "e2e-seed0.safetensors"
    damaged.write_bytes(b"nothing")
    assert main(["agents", "fetch", "--game", "pong", "--from", str(origin)]) == 0
    assert damaged.read_bytes() == bytes(content)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--from", ""], "--from is empty. Give a path"),
        (["--from", "nowhere"], "Allowed: an address that begins with https://, or a folder"),
        (["--from", "http://127.0.0.1:9/x"], "cannot be fetched"),
        (["--from", "http://[::1"], "cannot be fetched"),
        (["--from", "HTTPS://127.0.0.1:99999"], "cannot be fetched"),
        (["--from", "{server}/elsewhere"], "404"),
        (["wsaa", "--from", "{server}"], "Did you mean 'wsa'"),
        (["--game", "qbert", "--from", "{server}"], "qbert"),
        (["--game", "qbrt", "--from", "{server}"], "Did you mean 'qbert'"),
        ([], "--from"),
    ],
)
@pytest.mark.e2e
def test_what_cannot_be_fetched_is_told(
    bare: Path, server: str, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["agents", "fetch", *(word.format(server=server) for word in words)]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert message in told
    assert "Traceback" not in told


def test_a_shipped_file_that_is_another_one_is_named(
    bare: Path, origin: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would count before a fetched one, so that fetching would change nothing."""
    damaged = bare / "baselines" / "pong" / "e2e-seed0.safetensors"
    damaged.parent.mkdir()
    damaged.write_bytes(b"cut")
    assert main(["agents", "fetch", "--game", "pong", "--from", str(origin)]) == 2
    assert "counts before a fetched one. Move it away" in " ".join(capsys.readouterr().err.split())
    damaged.unlink()
    assert main(["agents", "fetch", "--game", "pong", "--from", str(origin)]) == 0


def test_encoders_come_with_the_agents_that_read_them(bare: Path, origin: Path) -> None:
    registry = read_registry()
    assert encoders_dir("breakout") == bare / "baselines" / "breakout" / "encoders"
    fetch_agents(str(origin), "wsa")
    assert encoders_dir("breakout") == bare / "baselines-extra" / "breakout" / "encoders"
    assert wanted_files(registry, "e2e", "breakout") == NAMES[:2]
    assert wanted_files(registry, "wsa") == sorted(NAMES[2:5]), "not those of another seed"
    assert wanted_files(registry) == sorted(set(NAMES) - {NAMES[5]})


@pytest.mark.parametrize("name", ["../outside.csv", "/etc/file.csv", "pong/../../a.csv", "pong/a.py", "pong\\a.csv"])
def test_a_registry_names_no_path_outside_its_folder(tmp_path: Path, name: str) -> None:
    entry = {"sha256": "0" * 64, "bytes": 1}
    path = tmp_path / "registry.json"
    path.write_text(json.dumps({"format": "wsabench-registry-1", "files": {name: entry}}), encoding="utf-8")
    with pytest.raises(StorageError, match="Allowed: GAME/FILE"):
        read_registry(path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(StorageError, match="is no registry"):
        read_registry(path)


def test_the_shipped_registry_names_the_shipped_files(tmp_path: Path) -> None:
    found: FileRegistry = write_registry([data_dir("baselines")], tmp_path / "registry.json")
    registry = read_registry()
    assert {name: registry.files.get(name) for name in found.files} == found.files


def test_a_home_directory_that_cannot_be_read_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unreadable = tmp_path / ("x" * 300)  # looking there fails, also where the tests may read everything
    with pytest.raises(OSError, match="too long"):
        unreadable.is_dir()
    monkeypatch.setattr(resources, "extra_dir", lambda: unreadable)
    assert resources.baseline_dirs() == (data_dir("baselines"),)
