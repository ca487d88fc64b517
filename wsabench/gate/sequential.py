"""The gate in several looks at a run that is still played: stop as soon as a drop is shown, or unlikely to be."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from wsabench.errors import ResultSetError, SpecError
from wsabench.gate.comparability import require_comparable, with_agents
from wsabench.gate.outcome import CheckedCell, CheckResult, Look, Looks
from wsabench.gate.rows import Planned, RawRows, Rules, levels_of, notes_of, raw_rows, with_verdicts
from wsabench.gate.scores import Block, collect_blocks
from wsabench.resources import make_dir, write_text
from wsabench.results.comparing import Kind, differences, listed
from wsabench.results.manifest import AgentId
from wsabench.results.result import ResultSet, load_result
from wsabench.results.tables import with_labels
from wsabench.stats.gate import DEFAULT_MARGIN
from wsabench.stats.sequential import Design, Outcome, decide, nominal_levels, sequential_p
from wsabench.types import FloatArray
from wsabench.words import counted

LOOKS_DIR = "looks"
"""Folder inside a run's directory that holds what a check in several looks plays after the first look."""
DESIGN_NAME = "design.json"
_SAME_RUN: frozenset[Kind] = frozenset({"episodes", "fingerprint", "extent", "left out", "words", "effect", "package"})
"""What may differ between the first look's result set and a later one; later ones hold what is judged only."""


class SequentialCheck:
    """A check of a run that goes on: each look takes the episodes played so far.

    The episodes of a run are compared with the whole reference and never paired: two looks may share episode seeds with
    the reference in different degrees, and the levels of the design are those of one test that only gets more episodes.
    """

    def __init__(  # noqa: PLR0913 - the public entry point: one keyword an option of the command line
        self,
        run: str | Path,
        reference: str | Path,
        design: Design,
        *,
        agents: Sequence[str] | None = None,
        margin: float = DEFAULT_MARGIN,
        strict: bool = False,
        seed: int = 0,
    ) -> None:
        """Read both sides, refuse what cannot be checked so, and write the design beside the run.

        Args:
            run: Directory of the result set that is judged, with as many episodes of each job as the first look takes.
            reference: Directory of the one it is held against.
            design: When to look, and how to decide.
            agents: Agents of the reference that are judged; all by default.
            margin: Share of the reference's normalised score that may be lost.
            strict: Fail also where a drop larger than the margin cannot be ruled out; then no look is the last one
                because little is left to be shown.
            seed: Seed of the permutations that are drawn.

        Raises:
            ResultSetError: A result set is missing or damaged, they cannot be compared, or the run was looked at by
                another design.
            SpecError: The design is out of range, the run has other numbers of episodes, several train seeds are
                compared, or play is greedy without sticky actions.
            UnknownNameError: The reference has no such agent.
        """
        nominal_levels(design.alpha, design.looks, design.spending)  # refuses what is out of range
        self.run, self.reference = load_result(run), with_agents(load_result(reference), agents)
        self.design, self.strict = design, strict
        self._margin, self._seed = margin, seed
        self._notes = require_comparable(self.run, self.reference)
        self.jobs = frozenset(self._judged_jobs())
        """Agent, train seed, game and perturbation of what is judged, and so is played at later looks."""
        self._parts: list[pd.DataFrame] = []
        self._rows: list[RawRows] = []
        self._looks: list[Look] = []
        self._refuse()
        self._pin_design(agents)

    def look(self, part: ResultSet) -> CheckResult:
        """Judge what was played so far.

        Args:
            part: The run itself at the first look; then the result set of the episodes played since.

        Returns:
            What the check says now; `looks.outcome` says whether it is final.

        Raises:
            ResultSetError: The part is not finished, is of another run, or has not the episodes of this look.
            SpecError: The margin is out of range.
        """
        number = len(self._parts)
        self._check_part(part)
        so_far = replace(self.run, episodes=pd.concat([*self._parts, part.episodes], ignore_index=True))
        self._check_numbers(so_far.episodes, self.design.looks[number])
        self._parts.append(part.episodes)
        blocks = collect_blocks(so_far, self.reference, may_pair=False)
        self._rows.append(raw_rows(blocks, *self._rules(blocks, number)))
        return self._result(blocks, so_far)

    def _rules(self, blocks: dict[str, list[Block]], number: int) -> Iterator[Rules]:
        """Return by which cells and averages are compared at a look."""
        design, smallest = self.design, levels_of(blocks, self.design.alpha)
        for level in smallest:
            nominal = nominal_levels(level, design.looks, design.spending)
            planned = Planned(design.looks[-1], float(nominal[-1]))
            yield Rules(self._seed, self._margin, float(nominal[number]), planned)

    def _result(self, blocks: dict[str, list[Block]], so_far: ResultSet) -> CheckResult:
        """Return what all looks so far say."""
        found, design = self._rows[-1], self.design
        if found.tested:
            decided, judged = decide(self._p("cells", "p_adjusted"), self._p("averages", "p_adjusted"), design)
            cells, averages = with_verdicts(
                self._with_sequential_p_within(found), judged.cells, judged.overall, design.alpha
            )
            adjusted, hope = np.concatenate([judged.cells, judged.overall]), float(judged.hope.max())
            outcome = self._outcome(decided, [*cells, *averages])
        else:
            cells, averages, adjusted, hope, outcome = found.cells, found.averages, np.ones(1), 0.0, "pass"
        played = len(self._judged(so_far.episodes))
        self._looks.append(Look(design.looks[len(self._looks)], played, float(adjusted.min()), hope, outcome))
        return CheckResult(
            run=str(self.run.path),
            reference=str(self.reference.path),
            margin=self._margin,
            alpha=design.alpha,
            strict=self.strict,
            overall=tuple(averages),
            cells=tuple(cells),
            notes=(*self._notes, *notes_of(blocks, cells)),
            looks=Looks(design.looks, len(self.jobs), tuple(self._looks)),
        )

    def _outcome(self, outcome: Outcome, rows: Sequence[CheckedCell]) -> Outcome:
        """Return the design's outcome; a strict check goes on where it might still rule a drop out."""
        is_last = len(self._rows) == len(self.design.looks)
        undecided = any(row.verdict == "undecided" for row in rows)
        return "go on" if outcome == "pass" and self.strict and undecided and not is_last else outcome

    def _p(self, family: str, name: str) -> FloatArray:
        """Return p values of a family's tests at each look so far, shape (num_looks, num_tests)."""
        rows = [found.tested if family == "cells" else found.averages for found in self._rows]
        return np.array([[getattr(row, name) for row in look] for look in rows], np.float64).reshape(len(rows), -1)

    def _with_sequential_p_within(self, found: RawRows) -> RawRows:
        """Return the rows with p values of non-inferiority that hold whenever one stops."""
        design = self.design
        families: list[list[CheckedCell]] = []
        for family, rows in (("cells", found.tested), ("averages", found.averages)):
            p = sequential_p(self._p(family, "p_within"), design.looks, design.spending)
            families.append([replace(row, p_within=float(value)) for row, value in zip(rows, p, strict=True)])
        tested = iter(families[0])
        return RawRows([row if row.verdict == "untested" else next(tested) for row in found.cells], families[1])

    def _judged_jobs(self) -> Iterator[tuple[str, int, str, str]]:
        """Yield the jobs of the run that the reference has too, in any train seed."""
        cells = {(job.agent, job.game, job.perturbation) for job in self.reference.manifest.plan.jobs}
        for job in self.run.manifest.plan.jobs:
            if (job.agent, job.game, job.perturbation) in cells:
                yield job.agent, job.train_seed, job.game, job.perturbation

    def _judged(self, episodes: pd.DataFrame) -> pd.DataFrame:
        """Return the episodes of the judged jobs."""
        keys = with_labels(episodes)[["agent", "train_seed", "game", "label"]].itertuples(index=False, name=None)
        return episodes.loc[[key in self.jobs for key in keys]]

    def _refuse(self) -> None:
        """Refuse what the design was not made for."""
        plan = self.run.manifest.plan
        for side in (plan, self.reference.manifest.plan):
            seeds = {AgentId(job.agent, job.train_seed, job.game) for job in side.jobs if self._is_judged(job.agent)}
            if len(seeds) > len({(one.agent, one.game) for one in seeds}):
                raise SpecError(
                    "A sequential check compares episodes of one checkpoint of each agent, and here are several train "
                    "seeds: more episodes tell little of other training runs. Check them without --sequential."
                )
        protocols = plan.protocols()
        lanes = {one: protocols.get(one, plan.protocol) for one in sorted(AgentId(*job[:3]) for job in self.jobs)}
        if repeating := next((one for one, lane in lanes.items() if lane.may_repeat_episodes), None):
            lane = lanes[repeating]
            is_once = any(job.each_start_once for job in plan.jobs if self._is_judged(job.agent))
            number = f"{lane.num_starts}" if is_once else f"about {lane.episodes_for_all_starts}"
            raise SpecError(
                f"{repeating.agent} on {repeating.game}: {lane.few_episodes}, so there is nothing to look at again. "
                f"It takes {number} episodes to meet them all. Check without --sequential."
            )
        numbers = {plan.episodes if job.episodes is None else job.episodes for job in plan.jobs}
        first = self.design.looks[0]
        if numbers != {first}:
            several = f"{listed(sorted(numbers))} episodes"
            found = counted(next(iter(numbers)), "episode") if len(numbers) == 1 else several
            raise SpecError(
                f"{self.run.path} has {found} of each job, and the first look is after {first}. Allowed: a run of "
                f"exactly as many. Play it with --episodes {first}, or begin --looks with the number it has."
            )

    def _is_judged(self, agent: str) -> bool:
        return any(name == agent for name, *_ in self.jobs)

    def _check_part(self, part: ResultSet) -> None:
        """Check that a part is finished and of this run."""
        if not part.is_complete:
            raise ResultSetError(f"{part.path} is not finished. Start the same check again; it goes on from there.")
        found = [one for one in differences(self.run.manifest, part.manifest) if one.kind not in _SAME_RUN]
        if found:
            shown = listed((one.between("there", "in the later look") for one in found), "; ")
            raise ResultSetError(
                f"{part.path} does not go on with {self.run.path}: {shown}. Delete {self.run.path / LOOKS_DIR} and "
                "play a new run."
            )

    def _check_numbers(self, episodes: pd.DataFrame, expected: int) -> None:
        """Check that each judged job has the first episodes, each once."""
        judged = with_labels(self._judged(episodes))
        counts = judged.groupby(["agent", "train_seed", "game", "label"])["episode"].agg(["size", "nunique", "max"])
        is_right = (counts["size"] == expected) & (counts["nunique"] == expected) & (counts["max"] == expected - 1)
        if len(counts) != len(self.jobs) or not is_right.all():
            raise ResultSetError(
                f"The looks at {self.run.path} do not hold the first {counted(expected, 'episode')} of each judged "
                f"job. Delete {self.run.path / LOOKS_DIR} and start the same check again."
            )

    def _pin_design(self, agents: Sequence[str] | None) -> None:
        """Keep the design beside the run; another one after a look would promise nothing."""
        path = self.run.path / LOOKS_DIR / DESIGN_NAME
        ours: dict[str, Any] = {
            **self.design._asdict(),
            "looks": list(self.design.looks),
            "margin": self._margin,
            "agents": None if agents is None else sorted(agents),
            "strict": self.strict,
            "seed": self._seed,
            "reference": sorted([job.fingerprint for job in self.reference.manifest.plan.jobs]),
        }
        theirs = _read_design(path)
        if theirs is None:
            make_dir(path.parent)
            write_text(path, json.dumps(ours, indent=2) + "\n")
            return
        changed = [name for name in ours if theirs.get(name) != ours[name]]
        if changed:
            shown = [
                f"another {name}"
                if name == "reference"
                else f"{name} {theirs.get(name)!r} there and {ours[name]!r} here"
                for name in changed
            ]
            raise ResultSetError(
                f"{self.run.path} has been looked at by another design: {listed(shown)}. Alpha holds only for the one "
                "it began with: repeat that command, or play a new run."
            )


def _read_design(path: Path) -> dict[str, Any] | None:
    """Return the design kept in a file; None where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ResultSetError(f"{path} cannot be read ({error}). Restore it from a copy, or play a new run.") from error
    if not isinstance(content, dict):
        raise ResultSetError(f"{path} is no design of a check. Restore it from a copy, or play a new run.")
    return content
