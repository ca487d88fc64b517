"""Speed of lanes beside ale-py's AtariVectorEnv and the bare emulator, as one JSON object.

python benchmarks/env_speed.py [--game breakout] [--num-envs 16] [--seconds 3] [--rounds 9]
"""

from __future__ import annotations

import argparse
import json

from wsabench.emulator import benchmark_env

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--game", default="breakout")
    parser.add_argument("--num-envs", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each row, about")
    parser.add_argument("--rounds", type=int, default=9, help="how often the contestants take turns")
    options = parser.parse_args()
    print(json.dumps(benchmark_env(options.game, options.num_envs, options.seconds, options.rounds), indent=2))
