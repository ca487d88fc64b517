"""Where the time of training goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from wsabench.training.on_policy import PPOLearner
from wsabench.training.trainer import Trainer
from wsabench.types import BenchRow

PARTS = ("lanes", "encoders", "policy", "learning")


class Profile:
    """Adds up the processor time of a PPO trainer's parts.

    `lanes`: stepping and resetting them; `encoders`: from observations to what the network reads, for `e2e` only
    regrouped pixels; `policy`: the network's forward passes while playing; `learning`: gradients and optimiser;
    `other`: sampling actions, filling the rollout, advantages, figures of the learning curve.
    """

    def __init__(self, trainer: Trainer) -> None:
        """Watch a trainer from now on; it costs some microseconds a call."""
        learner = trainer.learner
        if not isinstance(learner, PPOLearner):
            raise TypeError("only PPO has these parts")
        self._steps = trainer.job.preset.update_steps
        self._times: dict[str, float] = dict.fromkeys(("all", *PARTS), 0.0)
        self._updates = 0
        player = learner.player
        self._watch(player.lanes, "step", "lanes")
        self._watch(player, "prepare", "encoders")
        self._watch(player, "evaluate", "policy")
        self._watch(learner.ppo, "learn", "learning")
        self._watch(trainer, "run_update", "all")

    def _watch(self, owner: Any, method: str, part: str) -> None:
        call: Callable[..., Any] = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.process_time()
            result = call(*args, **kwargs)
            self._times[part] += time.process_time() - started
            self._updates += part == "all"
            return result

        setattr(owner, method, timed)

    def rows(self, name: str) -> list[BenchRow]:
        """Return a row for each part, in us/step; together they are all of it."""
        whole = self._times["all"]
        other = whole - sum(self._times[part] for part in PARTS)
        steps = max(1, self._updates * self._steps)
        parts = [(part, self._times[part]) for part in PARTS] + [("other", other)]
        return [
            {"name": f"{name}: {part}", "peer": "", "value": 1e6 * value / steps, "unit": "us/step", "ratio": None}
            for part, value in parts
        ]
