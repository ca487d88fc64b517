"""How a run scales: from one worker to two on this machine, and from one node to two of a Ray cluster on it.

    python benchmarks/scaling.py                  # three rounds, some six minutes on two cores with nothing else to do
    python benchmarks/scaling.py --rounds 1 --episodes 2

Each round plays the same run four times, one after the other, so that all meet the same machine: with one and two local
workers, then on one and two Ray nodes of one core each (the node that plans has no core). Loading is part of the time.
All tables must be equal. Prints one JSON line a round with the seconds of each, then the median ratios. Takes the extra
`ray`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

from ray.cluster_utils import Cluster

from wsabench import run
from wsabench.evaluation.progress import SilentReporter

STORE_BYTES = 80_000_000
PAIRS = {"workers": ("1 worker", "2 workers"), "Ray nodes": ("1 node", "2 nodes")}


def main() -> None:
    """Play the rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--episodes", type=int, default=10)
    asked = parser.parse_args()
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": STORE_BYTES, "include_dashboard": False},
    )
    try:
        rows = [one_round(cluster, asked.episodes) for _ in range(asked.rounds)]
    finally:
        cluster.shutdown()
    for name, (one, two) in PAIRS.items():
        ratio = statistics.median(row[one] / row[two] for row in rows)
        print(f"{name}: twice as many are {ratio:.2f} times as fast (median of {len(rows)} rounds)")


def one_round(cluster: Any, episodes: int) -> dict[str, float]:
    """Play all four ways and return their seconds."""
    options: dict[str, Any] = {
        "suite": "color-shift",
        "profile": "quick",
        "agents": ["e2e"],
        "train_seeds": [0, 1],
        "episodes": episodes,
        "reporter": SilentReporter(),
    }
    tables = []

    def play(**way: Any) -> float:
        with tempfile.TemporaryDirectory() as folder:
            begin = time.monotonic()
            tables.append(run(**options, **way, out=Path(folder) / "run").episodes)
            return time.monotonic() - begin

    seconds = {f"{count} worker{'s' * (count > 1)}": play(workers=count) for count in (1, 2)}
    nodes = []
    try:
        for name in PAIRS["Ray nodes"]:
            nodes.append(cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES))
            cluster.wait_for_nodes()
            seconds[name] = play(executor="ray", address=cluster.address)
    finally:
        for node in nodes:
            cluster.remove_node(node)
    if not all(table.equals(tables[0]) for table in tables):
        sys.exit("The four tables are not equal.")
    row = {name: round(value, 1) for name, value in seconds.items()}
    print(json.dumps(row), flush=True)
    return seconds


if __name__ == "__main__":
    main()
