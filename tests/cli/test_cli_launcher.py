"""`wsabench run --launcher`: parts as jobs, with submitit's executor for this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pandas as pd
import pytest
from signals import heed_interrupts

from wsabench.cli import main
from wsabench.errors import SpecError, UnknownNameError
from wsabench.evaluation.cluster.launcher import Launch
from wsabench.results import load_result

RUN = ["run", "--suite", "smoke", "--agents", "noop", "--perturbations", "clean,hue-rotate@3,invert", "--episodes", "1"]


def test_launcher_options_are_read_as_slurm_writes_them() -> None:
    asked = Launch.parse("slurm", ["shards=8", "partition=cpu", "time=1-02:30:00", "cpus=4", "mem=2048"])
    assert (asked.shards, asked.cpus) == (8, 4)
    assert asked.parameters == {
        "cpus_per_task": 4,
        "timeout_min": 26 * 60 + 30,
        "mem_gb": 2.0,
        "slurm_partition": "cpu",
    }
    assert Launch.parse("slurm", ["shards=8"]).parameters["timeout_min"] == 24 * 60, "submitit's own limit is 5"
    assert Launch.parse("local", ["shards=2", "mem=1.5G", "time=90", "partition=x"], workers=3).parameters == {
        "cpus_per_task": 3,
        "timeout_min": 90,
        "mem_gb": 1.5,
    }


@pytest.mark.parametrize(
    ("launcher", "words", "message"),
    [
        (None, ["shards=2"], "without --launcher"),
        ("slurm", [], "does not say how many jobs"),
        ("slurm", ["shards"], "KEY=VALUE"),
        ("slurm", ["shards=0"], "whole numbers from 1"),
        ("slurm", ["shards=2", "time=soon"], "HH:MM:SS"),
        ("slurm", ["shards=2", "mem=-1G"], "as in 8G"),
    ],
)
def test_malformed_launcher_options_are_refused(launcher: str | None, words: list[str], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Launch.parse(launcher, words)


@pytest.mark.parametrize(("launcher", "word"), [("slrum", "shards=2"), ("slurm", "shard=2")])
def test_unknown_names_are_refused(launcher: str, word: str) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean"):
        Launch.parse(launcher, [word])


@pytest.mark.parametrize("words", [["--shard", "1/2", "--out", "x"], ["--precision", "0.1", "--out", "x"], []])
def test_options_that_do_not_go_with_a_launcher(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RUN, "--launcher", "local", "--launcher-option", "shards=2", *words]) == 2
    assert "--launcher" in capsys.readouterr().err


@pytest.mark.extra
def test_parts_are_launched_waited_for_and_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--launcher", "local", "--launcher-option", "shards=2,cpus=1", "--out", "out", "--json"]
    assert main([*RUN, *words]) == 0
    told = capsys.readouterr()
    assert "Submitted 2 jobs" in told.err
    assert json.loads(told.out)["episodes"] == 3
    assert main([*RUN, "--out", "whole", "--workers", "1"]) == 0
    merged, whole = load_result("out"), load_result("whole")
    pd.testing.assert_frame_equal(merged.episodes, whole.episodes, check_exact=True)
    assert merged.manifest.plan == whole.manifest.plan
    capsys.readouterr()
    assert main([*RUN, *words]) == 2
    assert "out is not empty" in capsys.readouterr().err


SLURM = {
    "sbatch": """
        import os, re, subprocess, sys
        text = open(sys.argv[1]).read()
        if "--partition=closed" in text:
            sys.exit("sbatch: error: invalid partition specified: closed")
        (last,) = re.findall("--array=0-([0-9]+)%", text)
        for index in range(int(last) + 1):
            own = {"SLURM_JOB_ID": f"42{index}", "SLURM_ARRAY_JOB_ID": "42", "SLURM_ARRAY_TASK_ID": str(index)}
            own |= {"SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
            nothing = {name: subprocess.DEVNULL for name in ("stdin", "stdout", "stderr")}
            own["SLURM_NODEID"] = "0"
            subprocess.Popen(["bash", sys.argv[1]], env=os.environ | own, start_new_session=True, **nothing)
        print("Submitted batch job 42")
    """,
    "srun": """
        import os, sys
        words = sys.argv[1:]
        task = os.environ["SLURM_ARRAY_TASK_ID"]
        for option, number in (("--output", 1), ("--error", 2)):
            path = words[words.index(option) + 1].replace("%A", "42").replace("%a", task).replace("%t", "0")
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
        os.execvp(words[5], words[5:])
    """,
    "sacct": """
        print("JobID|State|NodeList")
    """,
}
"""As much of SLURM as submitting an array takes: jobs are processes of this machine."""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that are called as SLURM's."""
    (tmp_path / "bin").mkdir()
    for name, code in SLURM.items():
        path = tmp_path / "bin" / name
        path.write_text(f"#!{sys.executable}\n{textwrap.dedent(code)}", encoding="utf-8")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)


@pytest.mark.extra
def test_parts_are_an_array_of_slurm_with_what_was_asked_for(
    slurm: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = "shards=2,cpus=1,mem=1G,time=90,partition=open"
    assert main([*RUN, "--launcher", "slurm", "--launcher-option", options, "--out", "out"]) == 0
    assert "Submitted 2 jobs: 42_0, 42_1" in capsys.readouterr().err
    script = min(Path("out.parts/logs").glob("*.sh"))
    asked = script.read_text(encoding="utf-8")
    for line in ("array=0-1%2", "cpus-per-task=1", "mem=1GB", "time=90", "partition=open"):
        assert f"#SBATCH --{line}\n" in asked
    assert main([*RUN, "--out", "whole", "--workers", "1"]) == 0
    pd.testing.assert_frame_equal(load_result("out").episodes, load_result("whole").episodes, check_exact=True)


@pytest.mark.extra
def test_what_slurm_refuses_is_one_message(slurm: None, capsys: pytest.CaptureFixture[str]) -> None:
    options = "shards=2,partition=closed"
    assert main([*RUN, "--launcher", "slurm", "--launcher-option", options, "--out", "out"]) == 2
    told = capsys.readouterr().err
    assert "SLURM took no job" in told
    assert "invalid partition specified: closed" in " ".join(told.split())
    assert "Traceback" not in told


@pytest.mark.extra
def test_without_slurm_its_launcher_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([*RUN, "--launcher", "slurm", "--launcher-option", "shards=2", "--out", "out"]) == 2
    assert "there is no srun here" in " ".join(capsys.readouterr().err.split())


@pytest.mark.extra
def test_a_part_that_fails_is_named_and_nothing_is_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--launcher", "local", "--launcher-option", "shards=2", "--out", "out"]
    assert main([*RUN[:4], "no-such-agent", *words]) == 2
    shown = capsys.readouterr().err
    assert "2 of 2 jobs failed: part 1/2 (exit code 2;" in shown
    assert not Path("out").exists()


@pytest.mark.extra
def test_an_interrupt_cancels_the_jobs(tmp_path: Path) -> None:
    words = ["--launcher", "local", "--launcher-option", "shards=2", "--out", str(tmp_path / "out")]
    run = [*RUN[:-1], "500"]
    command = [sys.executable, "-m", "wsabench", *run, *words]
    process = subprocess.Popen(command, cwd=tmp_path, preexec_fn=heed_interrupts)
    deadline = time.monotonic() + 200
    while len(list(tmp_path.glob("out.parts/*-of-2/manifest.json"))) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    deadline = time.monotonic() + 30
    while found := running(str(tmp_path)):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def running(text: str) -> list[str]:
    """Return the command lines of other processes that hold a text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in words and int(path.parent.name) != os.getpid():
            found.append(words)
    return found


@pytest.mark.extra
def test_submitit_leaves_the_logging_of_the_process_alone() -> None:
    """It would keep the standard output of the moment it is loaded: in a test, a file that is closed at its end."""
    code = (
        "import logging, os; from wsabench.evaluation.cluster import launcher; launcher._submitit(); "
        "print(logging.getLogger('submitit').handlers, 'SUBMITIT_LOG_LEVEL' in os.environ)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] False\n"
