"""A run on a Ray cluster: the same table, whatever happens to the nodes, and only where bits are the same."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import slow_policies
from notebook import Notebook
from signals import heed_interrupts

from wsabench.errors import SpecError
from wsabench.evaluation import run
from wsabench.resources import data_dir

pytestmark = [pytest.mark.extra, pytest.mark.e2e]

TESTS = Path(__file__).parents[1]
SUITE = TESTS / "three_cells.toml"
STORE = 80_000_000
FAKE = "numpy-0.0.1.dist-info"
FAMILY = """
[mine]
family = "color"
kind = "palette.hue_rotate"
summary = "A hue of my own"
severity = { degrees = [30, 77, 90, 120, 150] }
"""


class Nodes:
    """A cluster of this machine whose first node has no core."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster

        ways = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=ways)
        (folder / FAKE).mkdir()
        (folder / FAKE / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.0.1\n")
        path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
        self.other = self._add({"PYTHONPATH": path})
        self.good: list[Any] = []

    @property
    def address(self) -> str:
        return self.cluster.address

    def be(self, number: int) -> None:
        """Let there be so many nodes beside the other one."""
        while len(self.good) > number:
            self.cluster.remove_node(self.good.pop())
        while len(self.good) < number:
            self.good.append(self._add({}))

    def _add(self, variables: dict[str, str]) -> Any:
        return self.cluster.add_node(num_cpus=1, object_store_memory=STORE, env_vars=variables)


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("marks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(slow_policies.MARKS, str(folder))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS.parent), str(TESTS)]))
        yield folder


@pytest.fixture(scope="module")
def nodes(marks: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    found = Nodes(tmp_path_factory.mktemp("other"))
    yield found
    found.cluster.shutdown()


def test_the_table_is_that_of_one_machine_with_files_that_no_node_has(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes.be(2)
    (tmp_path / "families").mkdir()
    (tmp_path / "families" / "own.toml").write_text(FAMILY)
    shutil.copyfile(data_dir("baselines") / "breakout" / "e2e-seed0.safetensors", tmp_path / "trained.safetensors")
    monkeypatch.setenv("WSABENCH_PERTURBATIONS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    notebook = Notebook()
    options: dict[str, Any] = {
        "suite": SUITE,
        "agents": ["random", "copy=./trained.safetensors"],
        "perturbations": ["clean", "mine@2"],
        "reporter": notebook,
    }
    here = run(**options, workers=1, out="here")
    there = run(**options, executor="ray", address=nodes.address, out="there")
    pd.testing.assert_frame_equal(there.episodes, here.episodes)
    assert len(here.episodes) == 8
    (note,) = [text for text in notebook.notes if "is not used" in text]
    assert note.startswith("Node ")
    assert "numpy 0.0.1 there, " in note


def test_what_a_dead_node_had_is_played_again(nodes: Nodes, marks: Path, tmp_path: Path) -> None:
    nodes.be(2)
    doomed = nodes.good[-1]
    raylet = str(doomed.all_processes["raylet"][0].process.pid)

    class Killer(Notebook):
        has_killed = False

        def steps(self, count: int) -> None:
            if not self.has_killed and (marks / raylet).exists():
                self.has_killed = True
                nodes.cluster.remove_node(nodes.good.pop(), allow_graceful=False)

    killer = Killer()
    options: dict[str, Any] = {
        "suite": SUITE,
        "agents": ["one=slow_policies:one", "another=slow_policies:another"],
        "perturbations": ["clean", "hue-rotate@3"],
    }
    there = run(**options, executor="ray", address=nodes.address, out=tmp_path / "there", reporter=killer)
    assert killer.has_killed
    assert any("was lost with its node" in text and "is played again" in text for text in killer.notes)
    here = run(**options, workers=2, out=tmp_path / "here")
    pd.testing.assert_frame_equal(there.episodes, here.episodes)
    assert len(here.episodes) == 8


def test_where_every_node_has_other_versions_nothing_is_played(nodes: Nodes, tmp_path: Path) -> None:
    nodes.be(0)
    with pytest.raises(SpecError, match=r"No node .* Node \w{8}, .*: numpy 0\.0\.1 there, .* here\. Install"):
        run(suite=SUITE, agents="random", executor="ray", address=nodes.address, out=tmp_path / "there")
    assert not (tmp_path / "there").exists()


@pytest.mark.timeout(700)
def test_an_interrupted_run_leaves_no_process_of_ray(tmp_path: Path, marks: Path) -> None:
    command = [sys.executable, "-m", "wsabench", "run", "--suite", str(SUITE), "--agents", "one=slow_policies:one"]
    process = subprocess.Popen(
        [*command, "--executor", "ray", "--workers", "1", "--episodes", "20", "--out", str(tmp_path / "out")],
        env={**os.environ, "TMPDIR": "/tmp"},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    known = set(marks.iterdir())
    deadline = time.monotonic() + 500  # a cluster comes up in seconds, and in minutes where others use the cores
    try:
        while set(marks.iterdir()) == known and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
        raylet = next(int(one.name) for one in set(marks.iterdir()) - known)
        group = _below(process.pid)
        assert raylet in group
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    deadline = time.monotonic() + 20
    while any(map(_is_there, group)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not [pid for pid in group if _is_there(pid)]


def test_the_example_for_kubernetes_is_a_ray_job() -> None:
    import yaml

    text = (TESTS.parent / "docs" / "cluster.md").read_text(encoding="utf-8")
    (example,) = [part.partition("```")[0] for part in text.split("```yaml\n")[1:]]
    job = yaml.safe_load(example)
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert "--executor ray --address auto" in " ".join(job["spec"]["entrypoint"].split())
    groups = job["spec"]["rayClusterSpec"]
    assert groups["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    pods = [groups["headGroupSpec"], *groups["workerGroupSpecs"]]
    images = {pod["template"]["spec"]["containers"][0]["image"] for pod in pods}
    assert len(images) == 1


def _below(pid: int) -> list[int]:
    """Return the processes below one."""
    rows = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.split()
    parents = dict(zip(map(int, rows[::2]), map(int, rows[1::2]), strict=True))
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def _is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
