"""How near `wsabench run --dry-run` comes: its estimate against a real run, on a machine with nothing else to do.

    python benchmarks/dry_run.py                                     # three trials on three suites, half an hour
    python benchmarks/dry_run.py --suites color-shift --trials 1     # a part
    python benchmarks/dry_run.py --suites smoke --agents noop --episodes 2 --trials 1

Each trial prices the run, then plays it into a new folder with a fresh state folder, and takes the time of the whole
command. Agents' own play is made in each trial anew, as the price says. Prints one JSON line a trial, then the mean
error and whether each range held the truth.

A line says where the two differ, the estimate before the truth: `setup_s` until an agent has made its first decision,
`own_play_s` of agents that need their own clean play beforehand, `play_s` until the last worker's last episode, and
`rest_s`, what is written and ended after that; for all play together `steps` of single lanes, `turns` of all lanes of a
worker, `network_ms` a turn and `lane_us` a step; by agent `mean_length` of its episodes, in steps.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from wsabench import load_result
from wsabench.evaluation.timing import TIMES_FOLDER, Times, read_times

SUITES = ("color-shift", "corruption", "encoder-dropout")


def main() -> None:
    """Run the trials."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", default=",".join(SUITES))
    parser.add_argument("--agents", default="wsa,e2e")
    parser.add_argument("--episodes", type=int)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--trials", type=int, default=3)
    asked = parser.parse_args()
    words = ["--agents", asked.agents, "--profile", "quick"]
    words += [] if asked.episodes is None else ["--episodes", str(asked.episodes)]
    words += [] if asked.workers is None else ["--workers", str(asked.workers)]
    rows = [trial(suite, number, words) for suite in asked.suites.split(",") for number in range(asked.trials)]
    errors = [abs(row["error"]) for row in rows]
    held = sum(row["holds"] for row in rows)
    print(f"mean error {sum(errors) / len(errors):.1%}, largest {max(errors):.1%}; {held} of {len(rows)} ranges hold")
    sys.exit(0 if sum(errors) / len(errors) <= 0.25 and held == len(rows) else 1)


def trial(suite: str, number: int, words: list[str]) -> dict[str, Any]:
    """Price and play one suite."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "WSABENCH_HOME": str(Path(folder) / "home")}
        # Another seed each time: other episodes, and other ones in the sample.
        command = [sys.executable, "-m", "wsabench", "run", "--suite", suite, "--seed", str(number), *words, "--json"]
        priced, dry_seconds = timed([*command, "--dry-run"], environment)
        times = Path(folder) / "times"
        times.mkdir()
        begin = time.time()
        _, seconds = timed([*command, "--out", str(Path(folder) / "run")], {**environment, TIMES_FOLDER: str(times)})
        parts = compared(priced, read_times(times), begin, seconds, Path(folder) / "run")
        files = [path for path in (Path(folder) / "run").rglob("*") if path.is_file()]
        disk = sum(-(-path.stat().st_size // 4096) * 4096 for path in files)
    low, hours, high = (priced[key] for key in ("hours_low", "hours", "hours_high"))
    row = {
        "suite": suite,
        "seed": number,
        "dry_run_s": round(dry_seconds, 1),
        "estimate_s": round(hours * 3600, 1),
        "low_s": round(low * 3600, 1),
        "high_s": round(high * 3600, 1),
        "truth_s": round(seconds, 1),
        "error": round(hours * 3600 / seconds - 1, 3),
        "holds": low * 3600 <= seconds <= high * 3600,
        "sampled": priced["sampled_episodes"],
        "disk_error": round(priced["disk_bytes"] / disk - 1, 3),
        **parts,
    }
    print(json.dumps(row), flush=True)
    return row


def compared(
    priced: dict[str, Any], times: list[Times], begin: float, seconds: float, path: Path
) -> dict[str, list[float] | dict[str, list[float]]]:
    """Return the parts of the price, each before what it was."""
    parts = priced["parts"]
    # The process that plans is the first to play where agents need their own play.
    own, workers = (times[:1], times[1:]) if parts["own_play_seconds"] and len(times) > 1 else ([], times)
    own_seconds = sum(one.ended - one.begun for one in own)
    setup = min(one.begun for one in own or workers) - begin
    play_seconds = max(one.ended for one in workers) - begin - setup - own_seconds
    episodes = load_result(path).episodes
    lengths = {agent: float(own["length"].to_numpy().mean()) for agent, own in episodes.groupby("agent")}
    return {
        "setup_s": [round(parts["setup_seconds"], 1), round(setup, 1)],
        "own_play_s": [round(parts["own_play_seconds"], 1), round(own_seconds, 1)],
        "play_s": [round(parts["play_seconds"], 1), round(play_seconds, 1)],
        "rest_s": [0.0, round(seconds - setup - own_seconds - play_seconds, 1)],
        "steps": [round(parts["steps"]), sum(one.steps for one in workers)],
        "turns": [round(parts["turns"]), sum(one.turns for one in workers)],
        "network_ms": [
            round(1e3 * parts["turn_seconds"], 2),
            round(1e3 * sum(one.network for one in workers) / max(sum(one.turns for one in workers), 1), 2),
        ],
        "lane_us": [
            round(1e6 * parts["step_seconds"]),
            round(1e6 * sum(one.lanes for one in workers) / max(sum(one.steps for one in workers), 1)),
        ],
        "mean_length": {
            agent: [round(length), round(lengths[agent])] for agent, length in parts["mean_lengths"].items()
        },
    }


def timed(command: list[str], environment: dict[str, str]) -> tuple[dict[str, Any], float]:
    """Run a command; return what it prints as JSON, and the seconds it took."""
    begin = time.monotonic()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout), time.monotonic() - begin


if __name__ == "__main__":
    main()
