"""`make campaign`: a frozen clone, its environment, its queue; all of a small repository with a stand-in program."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsabench.agents.fetching import read_registry
from wsabench.cli.campaign import main
from wsabench.errors import SpecError, StorageError, UnknownNameError
from wsabench.resources import data_dir
from wsabench.training.campaign import find_campaign
from wsabench.training.queue import read_records, write_records
from wsabench.training.queue.record import RunRecord

pytestmark = pytest.mark.skipif(not (shutil.which("git") and shutil.which("make")), reason="needs git and make")

# What the clone's program is called with goes to calls.txt; without an action it is a queue that works for long.
PROGRAM = r"""#!/bin/sh
work=$5
mkdir -p "$work"
echo "$PYTHONPATH:$(nice):$OMP_NUM_THREADS:$*" >> "$work/calls.txt"
case "$*" in
  *--json) [ -f "$work/pid" ] && kill -0 "$(cat "$work/pid")" 2>/dev/null && pid=$(cat "$work/pid")
           echo "{\"pid\": ${pid:-null}}" ;;
  *--status) echo "it stands well" ;;
  *--bring-back*) echo "Brought back: 0 runs" ;;
  *--export*) [ -f "$work/export.sh" ] && . "$work/export.sh"
           [ ! -f "$work/full" ] && echo "Handed over" || { echo "no space" >&2; exit 2; } ;;
  *) [ -f "$work/broken" ] && { echo "it is broken"; exit 2; }
     echo $$ > "$work/pid"; exec sleep 600 ;;
esac
"""
COPY = "\tmkdir -p .venv/bin\n\tcp program .venv/bin/wsabench\n\tchmod +x .venv/bin/wsabench\n"
MAKEFILE = f".venv/.campaign:\n{COPY}\ttouch $@\n"


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(["git", *identity, "-C", str(folder), *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout whose campaign `first` is its first commit; the queue that a test starts is ended."""
    root = tmp_path / "checkout"
    (root / "baselines").mkdir(parents=True)
    (root / "program").write_text(PROGRAM)
    (root / "Makefile").write_text(MAKEFILE)
    (root / ".gitignore").write_text(".venv\n")
    (root / "baselines" / "queue.toml").write_text('name = "first"\n')
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "first")
    commit = git(root, "rev-parse", "HEAD")
    (root / "baselines" / "queue.toml").write_text('name = "second"\n')
    (root / "baselines" / "campaign.toml").write_text(f'current = "first"\n[campaigns]\nfirst = "{commit}"\n')
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "second")
    monkeypatch.delenv("WSABENCH_CAMPAIGN", raising=False)
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    yield root
    if (pid := tmp_path / "campaign" / "first" / "work" / "pid").exists():
        os.killpg(int(pid.read_text()), signal.SIGKILL)


def test_a_campaign_from_its_start_to_its_results(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = root.parent / "campaign" / "first"
    assert main(["start"], root) == 0
    text = capsys.readouterr().out
    pid = int((folder / "work" / "pid").read_text())
    assert f"first started, process {pid}." in text
    assert f"kill -STOP -- -{pid}" in text
    assert os.getpgid(pid) == os.getsid(pid) == pid != os.getsid(0)
    if (group := Path(f"/proc/{pid}/autogroup")).exists():
        assert group.read_text().split()[-1] == "19"
    assert (folder / "checkout" / "baselines" / "queue.toml").read_text() == 'name = "first"\n'
    calls = (folder / "work" / "calls.txt").read_text().splitlines()
    queue = f"train --queue {folder}/checkout/baselines/queue.toml --out {folder}/work"
    niceness = os.nice(0)
    assert calls[:2] == [
        f":{niceness}:{os.environ.get('OMP_NUM_THREADS', '')}:{queue} {words}"
        for words in ("--status --json", f"--bring-back {root}/baselines")
    ]
    assert f":{min(19, niceness + 19)}:1:{queue}" in calls

    # Called again while it runs it starts nothing.
    assert main(["start"], root) == 0
    assert f"first runs already, process {pid}." in capsys.readouterr().out
    assert int((folder / "work" / "pid").read_text()) == pid

    assert main(["status"], root) == 0
    assert main(["collect"], root) == 0
    assert capsys.readouterr().out == "it stands well\nHanded over\n"
    assert (folder / "work" / "calls.txt").read_text().splitlines()[-1].endswith(f"--export {root}/baselines")
    (folder / "work" / "full").touch()
    assert main(["collect"], root) == 2
    assert "failed with exit code 2: no space" in capsys.readouterr().err


def test_the_environment_is_made_by_the_recipe_of_today(root: Path) -> None:
    """A recipe that no longer works on a fresh machine is mended in the checkout, not in the frozen commit."""
    (root / "Makefile").write_text(MAKEFILE + "\techo today > .venv/recipe\n")
    assert main(["start"], root) == 0
    assert (root.parent / "campaign" / "first" / "checkout" / ".venv" / "recipe").read_text() == "today\n"
    assert not (root / ".venv").exists()


def test_what_is_not_shipped_is_set_apart_and_brought_back(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A stand-in queue hands over an agent of tier a and one of tier d, which has encoders of its own."""
    assert main(["start"], root) == 0
    capsys.readouterr()
    folder, extra = root / "baselines", root / "baselines-extra"
    shipped = ["pong/e2e-seed0.safetensors", "pong/e2e-seed0-curve.csv"]
    apart = ["pong/wsa-seed3.safetensors", "pong/wsa-seed3-curve.csv", "pong/encoders/wsa-seed3/ae.safetensors"]
    common = {"kind": "train", "game": "pong", "settings": {}, "outcome": "finished"}
    records = [
        RunRecord(id="pong-e2e-0", tier="a", seed=0, name="e2e", handed_over=dict.fromkeys(shipped, "x"), **common),
        RunRecord(id="pong-wsa-3", tier="d", seed=3, name="wsa", handed_over=dict.fromkeys(apart, "x"), **common),
        RunRecord(id="pong-wsa-4", tier="d", seed=4, name="wsa", **{**common, "outcome": "failed"}),
    ]
    work = root.parent / "campaign" / "first" / "work"
    write_records(work / "records.json", "first", records)
    lines = ['mkdir -p "$7/records" "$7/pong/encoders/wsa-seed3"', 'cp "$work/records.json" "$7/records/first.json"']
    (work / "export.sh").write_text(
        "\n".join(lines + [f'echo {name} > "$7/{name}"' for name in shipped + apart]) + "\n"
    )
    for _ in range(2):  # the second time the stand-in writes what was moved once more
        assert main(["collect"], root) == 0
        assert all((folder / name).is_file() and not (extra / name).exists() for name in shipped)
        assert all((extra / name).read_text().strip() == name and not (folder / name).exists() for name in apart)
        assert set(read_records(extra / "records" / "first.json")) == {"pong-wsa-3"}
        assert set(read_records(folder / "records" / "first.json")) == {one.id for one in records}
        assert set(read_registry(folder / "registry.json").files) == {*shipped, *apart}

    # On a machine without them the registry goes on naming them, though not what else is gone.
    shutil.rmtree(extra)
    (work / "export.sh").write_text("true\n")
    (folder / shipped[1]).unlink()
    assert main(["collect"], root) == 0
    assert set(read_registry(folder / "registry.json").files) == {shipped[0], *apart}

    os.killpg(int((work / "pid").read_text()), signal.SIGKILL)
    (work / "pid").unlink()
    extra.mkdir()
    assert main(["start"], root) == 0
    calls = (work / "calls.txt").read_text().splitlines()
    back = [call.rpartition(" ")[2] for call in calls if "--bring-back" in call]
    assert back == [str(folder), str(extra), str(folder)]


def test_what_waits_for_other_runs_is_kept_and_brought_back(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A stand-in queue hands an agent over to an empty folder only: elsewhere its encoders would replace read ones."""
    assert main(["start"], root) == 0
    folder, waiting = root / "baselines", root / "baselines" / "records" / "waiting"
    work = root.parent / "campaign" / "first" / "work"
    names = ["pong/wsa-seed0.safetensors", "pong/wsa-seed0-curve.csv"]
    common = {"kind": "train", "game": "pong", "tier": "a", "seed": 0, "settings": {}, "outcome": "finished"}
    other = RunRecord(id="pong-e2e-0", name="e2e", handed_over={"pong/e2e-seed0.safetensors": "x"}, **common)
    records = {
        state: [RunRecord(id="pong-wsa-0", name="wsa", handed_over=dict.fromkeys(there, "x"), **common), other]
        for state, there in (("waits", ()), ("there", names))
    }
    for state, of_state in records.items():
        write_records(work / f"{state}.json", "first", of_state)
    write = "; ".join(f'echo {name} > "$7/{name}"' for name in names)
    (work / "export.sh").write_text(
        'mkdir -p "$7/records" "$7/pong"\n'
        'echo "| \\`pong-wsa-0\\` | [curve](pong/wsa-seed0-curve.csv) | finished |" > "$7/RUNS.md"\n'
        'echo "| \\`pong-e2e-0\\` | [curve](pong/e2e-seed0-curve.csv) | finished |" >> "$7/RUNS.md"\n'
        f'if [ "$7" = "{folder}" ] && [ ! -f "$work/come" ]; then cp "$work/waits.json" "$7/records/first.json"\n'
        f'else cp "$work/there.json" "$7/records/first.json"; {write}; fi\n'
    )
    for _ in range(2):
        assert main(["collect"], root) == 0
        assert [(waiting / name).read_text().strip() for name in names] == names
        assert not any((folder / name).exists() for name in names)
        assert set(read_records(waiting / "records" / "first.json")) == {"pong-wsa-0"}
        assert read_registry(folder / "registry.json").files == {}
        # The curve of that name in its place is an earlier agent's.
        assert (folder / "RUNS.md").read_text().splitlines() == [
            "| `pong-wsa-0` | [curve](records/waiting/pong/wsa-seed0-curve.csv) "
            "| finished, its files wait for those of other runs |",
            "| `pong-e2e-0` | [curve](pong/e2e-seed0-curve.csv) | finished |",
        ]
        (waiting / "pong" / "earlier.csv").touch()

    os.killpg(int((work / "pid").read_text()), signal.SIGKILL)
    (work / "pid").unlink()
    assert main(["start"], root) == 0
    calls = (work / "calls.txt").read_text().splitlines()
    back = [call.rpartition(" ")[2] for call in calls if "--bring-back" in call]
    assert back == [str(folder), str(waiting), str(folder)]

    (work / "come").touch()
    assert main(["collect"], root) == 0
    assert not waiting.exists()
    assert all((folder / name).is_file() for name in names)


def test_a_queue_that_ends_at_once_is_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = root.parent / "campaign" / "first" / "work"
    work.mkdir(parents=True)
    (work / "broken").touch()
    assert main(["start"], root) == 2
    assert "The queue ended at once with exit code 2: it is broken Log: " in capsys.readouterr().err


def test_a_clone_that_was_changed_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = root.parent / "campaign" / "first"
    git(root, "clone", "--quiet", str(root), str(folder / "checkout"))
    assert main(["start"], root) == 2
    assert "is not the frozen commit" in capsys.readouterr().err
    git(folder / "checkout", "checkout", "--quiet", "HEAD~1")
    (folder / "checkout" / "program").write_text("changed")
    assert main(["start"], root) == 2
    assert "it has changed files: program" in capsys.readouterr().err


def test_a_queue_of_another_campaign_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = git(root, "rev-parse", "HEAD")
    (root / "baselines" / "campaign.toml").write_text(f'[campaigns]\nthird = "{head}"\n')
    assert main(["start", "third"], root) == 2
    assert "queue.toml, name: is 'second'. Allowed: 'third'" in capsys.readouterr().err


def test_a_campaign_may_have_a_queue_of_its_own(root: Path) -> None:
    assert find_campaign(root).queue == "baselines/queue.toml"
    with (root / "baselines" / "campaign.toml").open("a") as plan:
        plan.write('[queues]\nfirst = "baselines/queue-2.toml"\n')
    campaign = find_campaign(root)
    assert campaign.command("--status")[3] == str(campaign.clone / "baselines" / "queue-2.toml")


def test_mistakes_are_explained(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["begin"], root) == 2
    assert "The arguments are 'begin'. Allowed: start, status, collect" in capsys.readouterr().err
    assert main(["status"], root) == 2
    assert "Cannot run" in capsys.readouterr().err
    plan = root / "baselines" / "campaign.toml"
    for text, kind, message in (
        ('current = "x"\n', UnknownNameError, "Unknown campaign 'x'.*Add `x = \"HASH\"` to the table campaigns"),
        ('[campaigns]\nx = "12"\n', SpecError, "campaigns, x: is '12'. Allowed: a commit's whole hash"),
        ("now = 1\n", SpecError, "unknown key 'now'. Allowed: current, the tables campaigns and queues"),
        ("now = \n", SpecError, "not valid TOML"),
    ):
        plan.write_text(text)
        with pytest.raises(kind, match=message):
            find_campaign(root)
    plan.unlink()
    with pytest.raises(StorageError, match=r"Cannot read .* Campaigns start from a checkout"):
        find_campaign(root)


def test_a_folder_inside_the_checkout_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSABENCH_CAMPAIGN", str(root / "here"))
    with pytest.raises(SpecError, match=r"inside the checkout\. Allowed: a folder outside of it"):
        find_campaign(root)
    monkeypatch.setenv("WSABENCH_CAMPAIGN", str(root.parent / "there"))
    assert find_campaign(root).folder == root.parent / "there" / "first"


def test_the_shipped_plan_can_be_read() -> None:
    root = data_dir("baselines").parent
    assert find_campaign(root, "campaign-0").commit == "d506a32937487e795e30fd7246bee5de96b080e1"
