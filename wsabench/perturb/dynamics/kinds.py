"""The kinds of the family `dynamics` besides RAM rules: importing this module registers them."""

from wsabench.perturb.dynamics import control, observation_delay, switches

__all__ = ["control", "observation_delay", "switches"]
