"""A part of a plan, for job arrays: each task plays its own, and nobody coordinates them.

It is called a shard, as on the command line (`--shard 2/5`); the files of a result set are shards of another kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from wsabench.errors import SpecError
from wsabench.evaluation.plan import Plan


@dataclass(frozen=True, slots=True)
class Shard:
    """The part `index` of `number`: the jobs whose place in the sorted plan is `index - 1` modulo `number`."""

    index: int
    """From 1 to `number`."""
    number: int
    """Number of parts."""

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Return the part that a text such as `2/5` means.

        Raises:
            SpecError: It is no such text, or the part is not one of them.
        """
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", str(text))
        shard = cls(int(found[1]), int(found[2])) if found else None
        if shard is None or not 1 <= shard.index <= shard.number:
            raise SpecError(
                f"--shard is {text!r}. Allowed: I/N with whole numbers, I from 1 to N. Say 2/5 for the second of "
                "five parts."
            )
        return shard

    def __str__(self) -> str:
        """Return it as it is written on the command line."""
        return f"{self.index}/{self.number}"

    def part_of(self, plan: Plan) -> Plan:
        """Return the plan with the jobs of this part only.

        Raises:
            SpecError: The plan is one to a precision.
        """
        if plan.precision is not None:
            raise SpecError(
                "--shard and --precision are given. Allowed: one of them, because the pilot of the whole run says how "
                "many episodes each job gets. Give --episodes, or play the run in one process."
            )
        return replace(plan, jobs=plan.jobs[self.index - 1 :: self.number])
