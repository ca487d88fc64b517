"""A queue on the nodes of a Ray cluster; the runs are pretended."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from queue_child import pretended

from wsabench.training.queue import Places, QueueOptions, read_queue, run_queue_on_ray

pytestmark = [pytest.mark.extra, pytest.mark.e2e]

TESTS = Path(__file__).parents[1]
STORE = 80_000_000
RUNS = """
[[run]]
id = "first"
kind = "train"
game = "pong"
agent = "e2e"
steps = 40000
after = []
[[run]]
id = "second"
kind = "train"
game = "pong"
agent = "e2e"
seed = 1
steps = 40000
after = []
[[run]]
id = "third"
kind = "train"
game = "pong"
agent = "e2e"
seed = 2
steps = 40000
after = ["first", "second"]
"""


@pytest.mark.timeout(900)
def test_runs_play_on_the_nodes_and_go_on_when_one_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS.parent), str(TESTS)]))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    (tmp_path / "queue.toml").write_text(RUNS)
    queue, places = read_queue(tmp_path / "queue.toml"), Places(tmp_path / "out")
    for name in ("first", "second"):
        places.run(name).mkdir(parents=True)
        (places.run(name) / "slow").touch()
    ways = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=ways)
    lines: list[str] = []
    try:
        nodes = [cluster.add_node(num_cpus=1, object_store_memory=STORE) for _ in range(2)]
        is_over = threading.Event()

        def kill_one() -> None:
            while not is_over.wait(0.2):
                if all((places.run(name) / "count.txt").exists() for name in ("first", "second")):
                    cluster.remove_node(nodes.pop(), allow_graceful=False)
                    for name in ("first", "second"):
                        (places.run(name) / "slow").unlink()
                    return

        killer = threading.Thread(target=kill_one)
        killer.start()
        try:
            options = QueueOptions(command=pretended, tell=lines.append)
            result = run_queue_on_ray(queue, places.root, options, cluster.address)
        finally:
            is_over.set()
            killer.join()
    finally:
        cluster.shutdown()
    assert len(nodes) == 1, "one was killed"
    assert result.finished == ("first", "second", "third"), lines
    assert sum("goes on from its last checkpoint" in line for line in lines) == 1, lines
    assert sum(line.startswith("started third") for line in lines) == 1
    assert not (places.root / "seen-by-nodes").exists()
