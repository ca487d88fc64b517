"""Pre-train every encoder in both sizes on several games and kinds of data, and probe it beside an untrained twin.

`python benchmarks/encoder_probes.py` prints mean probe scores as a Markdown table; probes are the same for all data:
fresh frames of random play. Everything goes through `pretrain` and `probe`, as on the command line, each combination in
a process of its own. An interrupted call goes on where it was.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

STAGES = ("ae", "sr", "transporter", "vos")


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--games", default="breakout,pong,ms_pacman")
    parser.add_argument("--sizes", default="compact,paper")
    parser.add_argument("--data", default="random,mixed")
    parser.add_argument("--experts", default="", help="GAME=CHECKPOINT,... of games whose e2e agent is not shipped")
    parser.add_argument("--frames", type=int, default=120_000, help="frames to pre-train on")
    parser.add_argument("--steps", type=int, default=3_000, help="optimiser steps of each stage")
    parser.add_argument("--paper-steps", type=int, help="the same for the paper's size; default: --steps")
    parser.add_argument("--probe-frames", type=int, default=60_000)
    parser.add_argument("--samples", type=int, default=4_000, help="samples of a probe")
    parser.add_argument("--twins", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--jobs", type=int, default=1, help="combinations at a time")
    parser.add_argument("--out", type=Path, default=Path("runs/encoder-probes"))
    parser.add_argument("--only", help="GAME,SIZE,DATA: this combination in this process")
    return parser.parse_args()


def measure(options: argparse.Namespace, game: str, size: str, data: str) -> None:
    """Pre-train and probe one combination; write its mean scores as JSON."""
    import torch

    from wsabench.training.pretraining.pretrain import pretrain
    from wsabench.training.probing.probe import compare_with_twins, probe

    torch.set_num_threads(1)
    experts = dict(text.split("=") for text in options.experts.split(",") if text)
    steps = options.paper_steps if size == "paper" and options.paper_steps else options.steps
    directory = options.out / f"{game}-{size}-{data}"
    expert = {"expert": experts[game]} if game in experts and data != "random" else {}
    pretrain(
        game,
        directory,
        size=size,
        data=data,
        frames=options.frames,
        steps=dict.fromkeys(STAGES, steps),
        device=options.device,
        **expert,
    )
    table = probe(
        game,
        size=size,
        directory=directory,
        frames=options.probe_frames,
        samples=options.samples,
        twins=options.twins,
    )
    rows = compare_with_twins(table).to_dict(orient="index")
    result = {"game": game, "size": size, "data": data, "steps": steps, "encoders": rows}
    (directory / "probe.json").write_text(json.dumps(result), encoding="utf-8")


def run(options: argparse.Namespace, combination: tuple[str, str, str]) -> None:
    """Measure one combination in a process of its own, unless that was done."""
    directory = options.out / "-".join(combination)
    if (directory / "probe.json").is_file():
        return
    command = [sys.executable, __file__, *sys.argv[1:], "--only", ",".join(combination)]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    print(f"{' '.join(combination)}: {'done' if done.returncode == 0 else done.stderr[-2000:]}", flush=True)


def main() -> None:
    """Measure all combinations and print the table."""
    options = parse()
    if options.only:
        measure(options, *options.only.split(","))
        return
    combinations = list(itertools.product(options.games.split(","), options.sizes.split(","), options.data.split(",")))
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(lambda one: run(options, one), combinations))
    print("| game | size | data | steps | encoder: trained / twin | pixels |\n| --- | --- | --- | --- | --- | --- |")
    for combination in combinations:
        path = options.out / "-".join(combination) / "probe.json"
        if not path.is_file():
            continue
        result = json.loads(path.read_text(encoding="utf-8"))
        scores = ", ".join(f"{n} {r['pretrained']:.3f} / {r['twins']:.3f}" for n, r in result["encoders"].items())
        pixels = next(iter(result["encoders"].values()))["pixels"]
        print(f"| {' | '.join(combination)} | {result['steps']} | {scores} | {pixels:.3f} |")


if __name__ == "__main__":
    main()
