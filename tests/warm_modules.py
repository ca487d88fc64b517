"""What the server of `warm_workers` loads: the modules of every kind of worker process, machine code and catalogue.

A few games of Breakout are begun, and their emulators kept for the processes to come: loading a ROM takes 0.1 s.
"""

import torch  # noqa: F401

import wsabench.agents.loading
import wsabench.evaluation.own_play.supply
import wsabench.evaluation.pool.worker
import wsabench.evaluation.pricing.probe
import wsabench.evaluation.replaying_apart
import wsabench.summary.summarise
import wsabench.training.frames.collection  # noqa: F401
from wsabench.emulator import make_vec

envs = make_vec("breakout", 4, seed=0)
envs.reset()
envs.step([0] * 4)
envs.close()
