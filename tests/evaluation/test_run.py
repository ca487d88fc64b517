"""Whole runs of cheap policies on the real game."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from run_bench import SETTINGS, run_small
from scripted_policies import Attender, Sampler, unversioned, wrong

from wsabench.errors import CheckpointError, OwnCodeError, ResultSetError, SpecError, StorageError, WorkerError
from wsabench.evaluation import SilentReporter, run
from wsabench.gate.comparability import require_comparable
from wsabench.protocol import Protocol
from wsabench.results import Job, load_result
from wsabench.results import store as store_module
from wsabench.results.provenance import BIT_DECIDING

pytestmark = pytest.mark.e2e

SMALL: dict[str, Any] = {
    "suite": str(Path(__file__).parents[1] / "three_cells.toml"),
    "protocol": Protocol(max_frames=80),
    "workers": 0,
}
TESTS = Path(__file__).parents[1]


class Notebook(SilentReporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.lines: list[str] = []
        self.num_steps = 0

    def planned(self, jobs: Sequence[Job], finished: Sequence[Job]) -> None:
        self.lines.append(f"planned {len(jobs)} {len(finished)}")

    def job_finished(self, job: Job, returns: Any) -> None:
        self.lines.append(f"finished {len(returns)}")

    def steps(self, num_steps: int) -> None:
        self.num_steps += num_steps

    def note(self, text: str) -> None:
        self.notes.append(text)

    def finished(self, path: Path) -> None:
        self.lines.append("end")


class Interrupting(SilentReporter):
    """Presses Ctrl-C when the first job is finished."""

    def job_finished(self, job: Job, returns: Any) -> None:
        raise KeyboardInterrupt


def test_a_perturbation_with_another_definition_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def play(degrees: int, out: Path) -> None:
        folder = tmp_path / str(degrees)
        (folder / "families").mkdir(parents=True, exist_ok=True)
        (folder / "families" / "mine.toml").write_text(
            '[my-hue]\nfamily = "color"\nkind = "palette.hue_rotate"\nsummary = "Mine"\n'
            f"severity = {{ degrees = [{degrees}, 100, 120, 140, 160] }}\n"
        )
        monkeypatch.setenv("WSABENCH_PERTURBATIONS", str(folder))
        run(**SMALL, agents=[Sampler("1")], perturbations=["my-hue@1"], episodes=1, out=out)

    play(50, tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")}
    with pytest.raises(ResultSetError, match=r"another definition of my-hue@1 on breakout.*Choose another directory"):
        play(90, tmp_path / "out")
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")} == before
    play(90, tmp_path / "new")
    with pytest.raises(ResultSetError, match=r"definition of my-hue@1 on breakout is .* in the run and"):
        require_comparable(load_result(tmp_path / "new"), load_result(tmp_path / "out"))


def test_a_damaged_attention_shard_is_said_and_made_again(tmp_path: Path) -> None:
    first = run(**SMALL, agents=[Attender("1")], out=tmp_path)
    shard = sorted((tmp_path / "attention").glob("*.parquet"))[0]
    shard.write_bytes(b"damaged")
    with pytest.raises(ResultSetError, match=r"is damaged: it has 7 bytes.*Start the same run again, which plays this"):
        load_result(tmp_path)
    notebook = Notebook()
    again = run(**SMALL, agents=[Attender("1")], out=tmp_path, reporter=notebook)
    assert any("is damaged: it has 7 bytes" in line and "is played again" in line for line in notebook.notes)
    assert "planned 3 2" in notebook.lines
    pd.testing.assert_frame_equal(again.attention, first.attention, check_exact=True)
    pd.testing.assert_frame_equal(again.episodes, first.episodes, check_exact=True)


@pytest.mark.parametrize(
    ("policy", "error", "line", "workers"),
    [
        ("NoWeights", r"FileNotFoundError: .*weights-of-mine.pt'", 15, 0),
        ("no_weights", r"FileNotFoundError: .*weights-of-mine.pt'", 23, 0),
        ("no_server", r"ConnectionResetError: .*Connection reset by peer", 28, 1),
    ],
)
def test_a_system_error_of_an_agent_names_the_agent_and_the_place(
    tmp_path: Path, policy: str, error: str, line: int, workers: int
) -> None:
    settings = {**SMALL, "workers": workers, "agents": [f"failing_policies:{policy}"], "out": tmp_path}
    with pytest.raises(
        SpecError, match=rf"agent '.*{policy}' failed.*: {error} \(.*failing_policies.py, line {line}\)"
    ):
        run(**settings)


@pytest.mark.parametrize(
    ("policy", "error", "message"),
    [
        (
            "cut_off",
            OwnCodeError,
            r"'cut_off' failed on breakout, step 1: EOFError: the file ends too early \(.*line 33\)",
        ),
        pytest.param("misshapen", CheckpointError, r"^a layer is missing$", marks=pytest.mark.slow),
    ],
)
def test_an_error_in_a_worker_keeps_class_message_and_traceback(
    tmp_path: Path, policy: str, error: type[Exception], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(error, match=message) as caught:
        run(**{**SMALL, "workers": 1}, agents=[f"failing_policies:{policy}"], out=tmp_path)
    assert type(caught.value) is error
    shown = "".join(traceback.format_exception(caught.value))
    assert re.search(rf'failing_policies.py", line \d+, in {policy}\n', shown)
    assert "Traceback" not in capfd.readouterr().err, "the message is enough; --debug shows more"
    assert multiprocessing.active_children() == []


def test_a_run_writes_a_whole_result_set(tmp_path: Path) -> None:
    notebook = Notebook()
    result = run(**SMALL, agents=[Sampler("1")], out=tmp_path / "out", reporter=notebook)
    assert result.is_complete
    assert notebook.lines == ["planned 3 0", *["finished 2"] * 3, "end"]
    assert notebook.num_steps == result.episodes["length"].sum()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    plan, (start,) = manifest["plan"], manifest["history"]["starts"]
    assert plan["suite"]["name"] == "three_cells"
    assert plan["protocol"]["max_frames"] == 80
    assert start["start"] <= start["end"]
    assert plan["agents"][0]["source"].endswith("scripted_policies:Sampler")
    assert len(plan["roms"]["breakout"]) == 64
    assert plan["reference_scores"]["breakout"]["random"] == pytest.approx(1.7)
    assert plan["versions"].keys() == set(BIT_DECIDING) < start["versions"].keys()
    names = sorted(path.name for path in (tmp_path / "out" / "frames").iterdir())
    assert names == ["breakout--clean.png", "breakout--hue-rotate@3.png", "breakout--palette-pal.png"]
    pictures = [cv2.imread(str(tmp_path / "out" / "frames" / name)) for name in names]
    assert {picture.shape for picture in pictures} == {(210, 160 + 8 + 210, 3)}
    assert (pictures[0] != pictures[1]).any()


def test_episodes_of_all_cells_are_paired(tmp_path: Path) -> None:
    result = run(**SMALL, agents={"a": Sampler("1"), "b": Sampler("1")}, out=tmp_path / "out")
    assert (result.episodes.groupby("episode")["episode_seed"].nunique() == 1).all()
    tables = [part.reset_index(drop=True) for _, part in result.episodes.groupby("agent")]
    columns = ["perturbation", "episode_seed", "return", "length", "end"]
    assert tables[0][columns].equals(tables[1][columns])


def test_starts_and_actions_of_every_episode_are_recorded(tmp_path: Path) -> None:
    from wsabench.seeding import generator

    result = run(**SMALL, agents={"a": Sampler("1"), "b": Sampler("1")}, out=tmp_path / "out")
    table = result.episodes
    noops = [int(generator(seed, "noops").integers(0, 30, endpoint=True)) for seed in table["episode_seed"]]
    assert list(table["noops"]) == noops
    assert table["action_hash"].str.fullmatch("[0-9a-f]{16}").all()
    # The policy draws from the episode's own stream, so both agents choose the same, in different episodes differently.
    hashes = [part["action_hash"].tolist() for _, part in table.groupby("agent")]
    assert hashes[0] == hashes[1]
    assert table.groupby("episode_seed")["action_hash"].first().is_unique


def test_the_default_directory_is_the_same_for_the_same_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = run(**SMALL, agents=[Sampler("1")], perturbations=["clean"])
    again = run(**SMALL, agents=[Sampler("1")], perturbations=["clean"])
    other = run(**SMALL, agents=[Sampler("2")], perturbations=["clean"])
    assert first.path == again.path != other.path
    assert first.path.parent == Path("runs")
    assert first.path.name.startswith("three_cells-quick-")


def test_a_policy_without_version_is_run_again(tmp_path: Path) -> None:
    options = {**SMALL, "perturbations": ["clean"], "out": tmp_path / "out"}
    first = run(**options, agents={"mine": unversioned})
    notebook = Notebook()
    again = run(**options, agents={"mine": unversioned}, reporter=notebook)
    assert notebook.lines == ["planned 1 0", "finished 2", "end"]
    assert "mine: finished jobs are run again" in notebook.notes[0]
    assert again.episodes.equals(first.episodes)
    assert len(again.manifest.history.starts) == 2


def test_another_run_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    run(**SMALL, agents={"mine": Sampler("1")}, perturbations=["clean"], out=tmp_path / "out")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ResultSetError, match=r"checkpoint of mine \(train seed 0\) on breakout is .* there and "):
        run(**SMALL, agents={"mine": Sampler("2")}, perturbations=["clean"], out=tmp_path / "out")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_full_disk_keeps_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = store_module.pq.write_table
    written: list[object] = []

    def fill_up(table: object, where: object) -> None:
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(where)
        write(table, where)

    monkeypatch.setattr(store_module.pq, "write_table", fill_up)
    options = {**SMALL, "agents": [Sampler("1")], "out": tmp_path / "out"}
    with pytest.raises(StorageError, match="No space left on device"):
        run(**options)
    monkeypatch.undo()
    notebook = Notebook()
    result = run(**options, reporter=notebook)
    assert notebook.lines[0] == "planned 3 2"
    assert result.episodes.equals(run(**{**options, "out": tmp_path / "whole"}).episodes)


def test_an_unwritable_place_stops_before_the_first_frame(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    notebook = Notebook()
    with pytest.raises(StorageError, match="Cannot create the folder"):
        run(**SMALL, agents=[Sampler("1")], out=tmp_path / "file" / "out", reporter=notebook)
    assert notebook.lines == []


@pytest.mark.parametrize("workers", [-1, True, 1.5])
def test_workers_are_counted_from_none(tmp_path: Path, workers: Any) -> None:
    with pytest.raises(SpecError, match=r"number of workers is .* Allowed: integers from 0"):
        run(**{**SMALL, "workers": workers}, agents=[Sampler("1")], out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_objects_play_in_this_process_and_the_run_says_so(tmp_path: Path) -> None:
    notebook = Notebook()
    options = {**SMALL, "workers": 2, "perturbations": ["clean"]}
    run(**options, agents={"mine": Sampler("1")}, out=tmp_path / "out", reporter=notebook)
    assert "mine: Python objects play in this process only" in notebook.notes[0]


def test_impossible_actions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"chose action 99\. Allowed: 0 to 3"):
        run(**SMALL, agents=[wrong], out=tmp_path / "out")


def test_an_interrupt_keeps_what_is_finished(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(**SMALL, agents=[Sampler("1")], out=tmp_path / "out", reporter=Interrupting())
    notebook = Notebook()
    run(**SMALL, agents=[Sampler("1")], out=tmp_path / "out", reporter=notebook)
    assert notebook.lines[0] == "planned 3 1"


def test_a_dead_worker_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"ended with exit code 7 \(by os\._exit.*clean.*given up") as caught:
        run_small(tmp_path / "out", workers=1, agents="scripted_policies:dying")
    assert "above" not in str(caught.value)  # there is no traceback
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_errors_and_interrupts_with_workers(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="chose action 99"):
        run_small(tmp_path / "wrong", workers=2, agents="scripted_policies:wrong")
    with pytest.raises(KeyboardInterrupt):
        run_small(tmp_path / "out", workers=2, reporter=Interrupting())
    assert multiprocessing.active_children() == []
    notebook = Notebook()
    run_small(tmp_path / "out", reporter=notebook)
    assert notebook.lines[0] == f"planned {2 * len(SETTINGS['perturbations'])} 1"


@pytest.mark.slow
def test_a_script_without_main_guard_may_use_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\nfrom run_bench import run_small\n"
        f"print(len(run_small(Path({str(tmp_path / 'out')!r}), workers=2).episodes))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(2 * len(SETTINGS["perturbations"]) * SETTINGS["episodes"])]


def test_reading_a_result_set_needs_neither_torch_nor_emulator(tmp_path: Path) -> None:
    run(**SMALL, agents=[Sampler("1")], perturbations=["clean"], out=tmp_path / "out")
    code = (
        "import sys; from wsabench.results import load_result; result = load_result(sys.argv[1]); "
        "print(len(result.episodes), *[name for name in ('torch', 'ale_py', 'cv2') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2"]


def test_pictures_are_the_same_every_time(tmp_path: Path) -> None:
    options = {**SMALL, "agents": [Sampler("1")], "perturbations": ["clean"]}
    paths = [run(**options, out=tmp_path / name).path / "frames" / "breakout--clean.png" for name in ("a", "b")]
    assert np.array_equal(*[cv2.imread(str(path)) for path in paths])


def test_in_a_worker_of_a_pool_it_plays_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)  # type: ignore[attr-defined]
    notebook = Notebook()
    options = {**SMALL, "agents": ["noop"], "perturbations": ["clean"]} | {"workers": 2}
    assert run(**options, out=tmp_path, reporter=notebook).is_complete
    assert any("worker of a pool" in note for note in notebook.notes)
