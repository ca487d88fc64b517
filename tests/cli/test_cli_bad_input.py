"""Whatever a user gets wrong: exit code 2, one message with the nearest names, no traceback, nothing lost."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wsabench.cli import main
from wsabench.resources import data_dir

Refused = Callable[..., str]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Run a command line that must be refused, away from the checkout; return its one message. It creates nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSABENCH_HOME", str(tmp_path / "home"))

    def call(*words: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        assert main([str(word) for word in words]) == 2
        assert sorted(tmp_path.rglob("*")) == before
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "Traceback" not in captured.err
        (message,) = [line for line in captured.err.splitlines() if line.startswith("wsabench: error: ")]
        return message

    return call


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["run", "--suite", "colour-shift"], ["Unknown suite 'colour-shift'", "'color-shift'"]),
        (["run", "--profile", "quik"], ["Unknown profile", "'quik'", "'quick'"]),
        (["run", "--games", "breakot"], ["Unknown game 'breakot'", "'breakout'"]),
        (["run", "--games", "combat"], ["combat", "two players"]),
        (
            ["run", "--agents", "e2e", "--perturbations", "hue-rotat@3"],
            ["Unknown perturbation 'hue-rotat'", "'hue-rotate'"],
        ),
        (["run", "--agents", "e2e", "--perturbations", "hue-rotate@7"], ["hue-rotate", "7", "1 to 5"]),
        (["run", "--agents", "e2e", "--perturbations", "hue-rotate@x"], ["hue-rotate", "x", "1 to 5"]),
        (["run", "--agents", "e2e", "--perturbations", "hue-rotate@"], ["severity is missing", "hue-rotate@3"]),
        (["run", "--agents", "e2e", "--perturbations", "palette-pal@"], ["severity is empty", "without '@'"]),
        (["run", "--agents", "e2e", "--perturbations", "palette-pal@2"], ["palette-pal", "@"]),
        (["run", "--agents", "e2e", "--train-seeds", "0,x"], ["--train-seeds", "'x'", "whole numbers"]),
        (["run", "--agents", "nowhere.safetensors/"], ["nowhere"]),
        (["run", "--agents", "no_such_module:policy"], ["no_such_module"]),
        (["run", "--agents", "json:no_such_attribute"], ["no_such_attribute"]),
        (["show", "hue-rotat"], ["'hue-rotat'", "'hue-rotate'"]),
        (["show", "hue-rotate@9"], ["9", "1 to 5"]),
        (["list", "gamse"], ["Unknown kind 'gamse'", "'games'"]),
        (["report", "no-such-run"], ["no-such-run"]),
        (["report", "no-such-run", "--format", "htm"], ["Unknown report format 'htm'", "'html'"]),
        (
            ["report", str(ROOT / "results" / "smoke"), "--compare-to", "e2"],
            ["Unknown agent 'e2'", "'e2e'", "--compare-to names an agent"],
        ),
        (
            ["report", str(ROOT / "results" / "smoke"), "--equivalence-margin", "-0.1"],
            ["The equivalence margin is -0.1", "above 0", "0.05"],
        ),
        (["gallery", "--suite", "color-shft"], ["Unknown suite 'color-shft'", "'color-shift'"]),
        (["gallery", "--game", "pnog", "--out", "x.png"], ["Unknown game 'pnog'", "'pong'"]),
        (["gallery", "--family", "colr"], ["Unknown family 'colr'", "'color'"]),
        (["agents", "fetch", "--from", "nowhere"], ["nowhere"]),
        (["leaderboard", "nowhere", "--out", "site"], ["nowhere"]),
        (["merge", "nowhere", "--out", "whole"], ["nowhere"]),
        (["migrate", "nowhere", "--out", "new"], ["nowhere"]),
        (["submit", "nowhere"], ["nowhere"]),
        (["check", "nowhere", "--against", "nowhere", "--junit", "gate.xml"], ["nowhere"]),
        (["train", "--agent", "wsa", "--game", "breakout", "--encoders-dir", "nowhere", "--out", "t"], ["nowhere"]),
        (["train", "--agent", "e2e", "--game", "breakout", "--device", "cuda:99", "--out", "t"], ["cuda:99"]),
        (["train", "--queue", "nowhere.toml", "--out", "t"], ["nowhere.toml"]),
        (["pretrain", "--game", "breakout", "--device", "cuda:99", "--out", "t"], ["cuda:99"]),
        (["pretrain", "--game", "breakout", "--out", "/dev/null/t"], ["/dev/null/t"]),
        (["probe", "--game", "breakout", "--encoders-dir", "nowhere"], ["nowhere"]),
        (["bench", "encode", "--num-encoders", "x", "--figure", "f/c.png"], ["'x'"]),
        (["record", "--agent", "ws", "--out", "films/"], ["Unknown agent 'ws'"]),
        (["record", "--agent", ""], ["--agent is empty"]),
        (["record", "--game", "breakot", "--out", "films/new/film.gif"], ["Unknown game 'breakot'"]),
        (["train", "--agent", "e2", "--game", "breakout"], ["Unknown agent 'e2'", "'e2e'"]),
        (["train", "--agent", "e2e", "--game", "breakot"], ["Unknown game 'breakot'", "'breakout'"]),
        (["train", "--agent", "e2e", "--game", "breakout", "--preset", "papr"], ["Unknown", "'papr'", "'paper'"]),
        (["pretrain", "--game", "breakot"], ["Unknown game 'breakot'", "'breakout'"]),
        (["record", "--agent", "ws"], ["Unknown agent 'ws'", "'wsa'"]),
        (["record", "--game", "breakot"], ["Unknown game 'breakot'", "'breakout'"]),
        (["record", "-p", "hue-rotat@3"], ["Unknown perturbation 'hue-rotat'", "'hue-rotate'"]),
        (["record", "-p", "lazy-enemy"], ["lazy-enemy", "breakout"]),
        (["record", "--agent", "e2e", "-p", "drop-sr"], ["drop-sr", "encoders"]),
        (["record", "--out", "film.avi"], ["'film.avi'", ".mp4, .gif, .png, .parquet, .csv", "or give a folder"]),
        (["record", "--max-steps", "0"], ["--max-steps", "greater than or equal to 1"]),
        (["record", "--fps", "0"], ["--fps", "greater than or equal to 1"]),
        (["probe", "--game", "breakot"], ["Unknown game 'breakot'", "'breakout'"]),
    ],
    ids=lambda value: " ".join(value) if value and not value[0].startswith(("Unknown", "'")) else "",
)
def test_a_wrong_name_is_refused_with_the_nearest(refused: Refused, words: list[str], parts: list[str]) -> None:
    message = refused(*words)
    for part in parts:
        assert part in message


def shipped(agent: str = "e2e") -> Path:
    """Return a shipped checkpoint."""
    return data_dir("baselines") / "breakout" / f"{agent}-seed0.safetensors"


@pytest.mark.parametrize("damage", ["short", "noise", "empty", "flipped"])
def test_a_damaged_checkpoint_is_refused(refused: Refused, tmp_path: Path, damage: str) -> None:
    content = shipped().read_bytes()
    middle = len(content) // 2
    damaged = {
        "short": content[:middle],
        "noise": b"this is no checkpoint" * 50,
        "empty": b"",
        "flipped": content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :],
    }[damage]
    path = tmp_path / "agent.safetensors"
    path.write_bytes(damaged)
    message = refused("run", "--agents", path, "--perturbations", "clean", "--episodes", 1)
    assert "agent.safetensors" in message


def test_an_agent_or_train_seed_that_is_not_shipped_is_refused(refused: Refused) -> None:
    assert shipped().is_file()
    message = refused("run", "--agents", "e2ee")
    assert "Unknown agent 'e2ee'" in message
    assert "'e2e'" in message
    assert "77" in refused("run", "--agents", "e2e", "--train-seeds", "77")


def test_a_checkpoint_that_is_missing_is_refused(refused: Refused) -> None:
    assert "missing.safetensors" in refused("run", "--agents", "./missing.safetensors")


STILL = ["--agents", "still_policy:still", "--perturbations", "clean", "--episodes", "1", "--workers", "0"]
MODULE = "import numpy as np\n\ndef still(o):\n    return np.zeros(len(o), dtype=np.int64)\n\nstill.version = '1'\n"


@pytest.fixture
def still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words that play one short episode with an own policy, which stands in the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a cache beside the module is not what a refusal leaves
    sys.modules.pop("still_policy", None)
    (tmp_path / "still_policy.py").write_text(MODULE, encoding="utf-8")
    return ["run", "--suite", "smoke", *STILL]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the words of `still` play."""
    folder = tmp_path_factory.mktemp("still")
    (folder / "still_policy.py").write_text(MODULE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", list(sys.path))
        patch.delitem(sys.modules, "still_policy", raising=False)
        assert main(["run", "--suite", "smoke", *STILL, "--out", str(folder / "run")]) == 0
    sys.modules.pop("still_policy", None)
    return folder / "run"


@pytest.fixture
def result_dir(finished: Path, tmp_path: Path) -> Path:
    """A small finished result set, to damage."""
    return shutil.copytree(finished, tmp_path / "run")


def test_a_foreign_directory_is_no_result_set(refused: Refused, still: list[str], tmp_path: Path) -> None:
    foreign = tmp_path / "photos"
    foreign.mkdir()
    (foreign / "cat.txt").write_text("a cat", encoding="utf-8")
    assert "photos" in refused("report", foreign)
    assert "photos" in refused(*still, "--out", foreign)
    assert (foreign / "cat.txt").read_text(encoding="utf-8") == "a cat"


def test_damaged_result_sets_are_refused_and_kept(refused: Refused, result_dir: Path) -> None:
    shard = next((result_dir / "episodes").glob("*.parquet"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    assert shard.name in refused("report", result_dir)
    shard.write_bytes(whole)
    manifest = result_dir / "manifest.json"
    text = manifest.read_text(encoding="utf-8")
    for damaged in ("{", "[]", "{}", text.replace('"schema_version": 2', '"schema_version": 99')):
        manifest.write_text(damaged, encoding="utf-8")
        assert "manifest.json" in refused("report", result_dir)
    assert shard.read_bytes() == whole


def test_a_run_does_not_mix_with_another(refused: Refused, still: list[str], result_dir: Path) -> None:
    before = json.loads((result_dir / "manifest.json").read_text(encoding="utf-8"))
    message = refused(*still, "--seed", 5, "--out", result_dir)
    assert str(result_dir) in message
    assert json.loads((result_dir / "manifest.json").read_text(encoding="utf-8")) == before


def test_a_file_in_the_place_of_the_directory_is_refused(refused: Refused, still: list[str], tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    assert "taken" in refused(*still, "--out", tmp_path / "taken" / "run")
    assert (tmp_path / "taken").read_text(encoding="utf-8") == "a file"


DAC_OVERRIDE = 1 << 1  # the capability by which root writes everywhere
CAPABILITIES = 0x20080522  # the version of what follows: for two words each of effective, permitted and inheritable


@contextmanager
def permissions_count() -> Iterator[None]:
    """Let this thread, should it be root's, write only where permissions let it, as everyone else's."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, words = (ctypes.c_uint32 * 2)(CAPABILITIES, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, words) == 0
    had = words[0]
    words[0] &= ~DAC_OVERRIDE
    assert libc.capset(header, words) == 0
    try:
        yield
    finally:
        words[0] = had
        assert libc.capset(header, words) == 0


def test_a_directory_without_permission_is_refused(refused: Refused, still: list[str], tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with permissions_count():
        message = refused(*still, "--out", locked / "run")
    assert "locked" in message
    assert "Permission denied" in message


def test_a_full_disk_loses_nothing_that_was_finished(
    result_dir: Path, still: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = {path: path.read_bytes() for path in (result_dir / "episodes").glob("*.parquet")}
    other = result_dir.with_name("other")
    shutil.copytree(result_dir, other)
    next((other / "episodes").glob("*.parquet")).unlink()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert main([*still, "--out", str(other)]) == 2
    message = capsys.readouterr().err
    assert "No space left on device" in message
    assert "Traceback" not in message
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in shards} == shards
    assert not list(other.rglob("*.tmp"))


def test_in_a_process_of_its_own_there_is_one_line_and_code_2(tmp_path: Path) -> None:
    code = "import sys; from wsabench.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "show", "breakou"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("wsabench: error: Unknown name 'breakou'. Did you mean 'breakout'")
    assert done.stderr.endswith("See `wsabench list`.\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("option", ["--agents", "--game", "--perturbations", "--train-seeds"])
def test_an_option_that_names_nothing_is_not_its_default(refused: Refused, option: str) -> None:
    for words in ([option, ""], [f"{option}= , "]):
        message = refused("run", *words)
        assert "is empty. Name what you mean, or leave" in message
        assert option in message


def test_an_empty_out_is_not_the_current_directory(refused: Refused) -> None:
    assert '--out is empty. Give a path; "." is the current folder.' in refused("run", "--agents", "noop", "--out", "")
    assert "--out is empty" in refused("report", "nowhere", "--out=")


def test_a_path_that_is_no_text_is_one_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Refused
) -> None:
    odd = str(tmp_path / "odd\udcff")
    assert "There is no result directory" in refused("report", odd)
    assert main(["migrate", str(ROOT / "tests" / "old_results" / "schema1"), "--out", odd]) == 0
    assert main(["report", odd, "--format", "csv,md"]) == 0
    assert main(["check", odd, "--against", odd, "--markdown", f"{odd}.md"]) == 0
    assert "Passed" in capsys.readouterr().out


def test_closed_streams_change_no_exit_code_and_reach_no_file(tmp_path: Path) -> None:
    closed = "import os, sys; os.close(1); os.close(2); sys.stdout = sys.stderr = None; from wsabench.cli import main; "
    code = closed + "codes = main(['show', 'breakou']), main(['show', 'hue-rotate', '--games', 'none'])\n"
    code += "with open(sys.argv[1], 'w') as file: file.write(f'{codes} {file.fileno() > 2}')"
    answer = tmp_path / "answer"
    done = subprocess.run([sys.executable, "-c", code, answer], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert answer.read_text() == "(2, 0) True"
