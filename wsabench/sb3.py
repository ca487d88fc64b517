"""A callback for Stable-Baselines3: a suite is played while training goes on, and training does not notice.

Importing this module raises a SpecError where Stable-Baselines3 is not installed.
"""

from __future__ import annotations

import csv
import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wsabench.agents.asking import shared_generators_kept
from wsabench.agents.elsewhere.environments import Environment, find_environment
from wsabench.agents.foreign import torch_as_shipped
from wsabench.errors import ResultSetError, SpecError, WorkerError
from wsabench.evaluation.plan import RunOptions, make_plan
from wsabench.evaluation.pool.watchdog import LOADING, WORKER_TIMEOUT
from wsabench.evaluation.runs import checked_workers, run
from wsabench.games import check_rom_id, rom_ids
from wsabench.resources import expanded, make_dir, write_text
from wsabench.results.records import CLEAN
from wsabench.results.result import ResultSet
from wsabench.summary.summarise import summarise
from wsabench.types import Permissions

try:
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as error:
    raise SpecError(
        f"RobustnessCallback needs the package stable-baselines3, which is not installed ({error}). Install it with "
        "`pip install 'wsabench[sb3]'`."
    ) from error

TABLE_NAME = "robustness.csv"
_PREFIX = "wsabench"


@dataclass(frozen=True, slots=True)
class RobustnessRow:
    """The result in one cell of one evaluation."""

    steps: int
    """Steps trained, over all environments."""
    cell: str
    """The cell of the game, named by its perturbation: `clean`, `hue-rotate@3`."""
    mean_return: float
    """Mean of the undiscounted, unclipped returns of full games."""
    normalised_score: float
    """Mean normalised score: 0 is random play, 1 human play; NaN where the game has no reference scores."""
    retention: float
    """Share of the clean normalised score that is kept; NaN where the clean score is not clearly above random play."""


class RobustnessCallback(BaseCallback):
    """Plays a suite's cells with the policy of the moment, every so many steps of training.

    The policy is saved and loaded as `sb3:PATH.zip`, and plays in this package's own games, seen as Stable-Baselines3
    shows them, under the evaluation seeds that every agent plays. The training environments are left alone, and so are
    the random generators of Python, NumPy and torch: training gives the same weights, to the bit, with and without it.

    SB3's logger gets, for each cell, `wsabench/CELL` (mean return), `wsabench/CELL/normalised_score` and, where it is
    defined, `wsabench/CELL/retention`; beside them `wsabench/mean_retention` over all perturbed cells.

    When training starts, all options are checked, and the policy is saved, loaded and asked once, before the first
    step: what is wrong is raised there, as `wsabench.run` raises it, and a ResultSetError where `out` holds results of
    later steps of another training.

    Attributes:
        rows: What was found so far, evaluation by evaluation; `robustness.csv` in `out` holds the same.
    """

    def __init__(  # noqa: PLR0913 - what an evaluation consists of
        self,
        out: str | Path,
        *,
        game: str | None = None,
        suite: str | Path = "color-shift",
        profile: str = "quick",
        perturbations: Sequence[str] | None = None,
        every: int = 100_000,
        episodes: int = 5,
        protocol: str | Mapping[str, Any] | None = None,
        workers: int = 1,
        seed: int = 0,
        verbose: int = 0,
    ) -> None:
        """Say what to play, and when.

        Args:
            out: Folder of everything: the saved policies, a result set for each evaluation (`wsabench report` takes
                any), and `robustness.csv`.
            game: The game's id; None: told from the name of the training environment.
            suite: A suite's name, or the path of a suite file.
            profile: A profile of the suite.
            perturbations: Perturbations instead of the profile's, as in `["clean", "hue-rotate@3"]`.
            every: Steps between evaluations, over all training environments.
            episodes: Episodes in each cell.
            protocol: As `wsabench.run` takes it: the name of one, or single fields such as
                `{"action_selection": "greedy"}`. None: the profile's, seen as in training; agents with action values
                then play greedily, since their exploration rate of the moment belongs to training.
            workers: Processes that play.
            seed: Root of the episode seeds.
            verbose: As every callback of Stable-Baselines3 takes it.

        Raises:
            SpecError: A number is out of range, or the game needs two players.
            StorageError: `out` begins with `~`, and there is no such home directory.
            UnknownNameError: There is no such game.
        """
        super().__init__(verbose)
        for name, value in (("every", every), ("episodes", episodes)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise SpecError(f"{name} is {value!r}. Allowed: integers from 1.")
        self.rows: list[RobustnessRow] = []
        self._out = expanded(out)
        self._game = None if game is None else check_rom_id(game)
        self._every = every
        self._workers = checked_workers(workers)
        self._protocol = protocol
        self._options = {
            "suite": str(suite),
            "profile": profile,
            "perturbations": perturbations,
            "episodes": episodes,
            "seed": seed,
        }
        self._file_name = "model"
        self._evaluated = 0

    def _on_training_start(self) -> None:
        """Check everything before the first step of training."""
        assert self.training_env is not None  # noqa: S101  (set by SB3 before)
        environment_name = _environment_name(self.training_env)
        environment = find_environment(environment_name) if environment_name else None
        self._game = self._game or _game_of(environment, environment_name)
        self._file_name = environment_name.replace("/", "_") if environment else "model"
        self._evaluated = self.num_timesteps // self._every
        make_dir(self._out)
        self._refuse_later_results()
        with undisturbed():
            path = self._saved("check")
            asked = RunOptions(
                **self._arguments(path),
                permissions=Permissions(trust=True),
                worker_timeout=WORKER_TIMEOUT,
                asks_apart=self._workers > 0,
            )
            plan = make_plan(asked, self._tell)
            path.unlink()
        if any(one.hung for one in plan.contestants):
            raise WorkerError(
                "The policy hangs when another process loads it and shows it two steps, as evaluations do: no answer "
                f"came for {WORKER_TIMEOUT:g} s, or for {LOADING} times as long while it was loaded. Correct it, or "
                "evaluate in this process, where it may get on: workers=0."
            )

    def _on_step(self) -> bool:
        """Evaluate where as many steps have passed."""
        if self.num_timesteps // self._every > self._evaluated:
            self._evaluated = self.num_timesteps // self._every
            self._evaluate()
        return True

    def _evaluate(self) -> None:
        """Play the cells, tell the logger, and keep the numbers."""
        name = f"steps-{self.num_timesteps:010d}"
        with undisturbed():
            path = self._saved(name)
            result = run(**self._arguments(path), trust=True, workers=self._workers, out=self._out / name)
            rows = _rows_of(result, self.num_timesteps)
        self.rows += rows
        self._write_table()
        for row in rows:
            self.logger.record(f"{_PREFIX}/{row.cell}", row.mean_return)
            for measure in ("normalised_score", "retention"):
                if math.isfinite(value := getattr(row, measure)) and not (row.cell == CLEAN and measure == "retention"):
                    self.logger.record(f"{_PREFIX}/{row.cell}/{measure}", value)
        kept = [row.retention for row in rows if row.cell != CLEAN and math.isfinite(row.retention)]
        if kept:
            self.logger.record(f"{_PREFIX}/mean_retention", float(np.mean(kept)))

    def _tell(self, text: str) -> None:
        """Say what the user should hear at once."""
        warnings.warn(f"RobustnessCallback: {text}", stacklevel=2)

    def _arguments(self, path: Path) -> dict[str, Any]:
        """Return what `RunOptions` and `run` both take."""
        protocol = self._protocol
        if protocol is None and not hasattr(self.model.policy, "action_net"):
            protocol = {"action_selection": "greedy"}
        return {**self._options, "agents": {"policy": f"sb3:{path}"}, "games": [self._game], "protocol": protocol}

    def _saved(self, name: str) -> Path:
        """Save the policy of the moment; its file's name tells where it was trained."""
        path = self._out / f"{self._file_name}-{name}.zip"
        self.model.save(path)
        return path

    def _write_table(self) -> None:
        """Write all rows."""
        text = io.StringIO()
        table = csv.DictWriter(text, [field.name for field in fields(RobustnessRow)], lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(row) for row in self.rows)
        write_text(self._out / TABLE_NAME, text.getvalue())

    def _refuse_later_results(self) -> None:
        """Refuse a folder with results of steps that are still to come: they are of another training.

        Raises:
            ResultSetError: There are some.
        """
        for folder in sorted(self._out.glob("steps-*")):
            if folder.name.removeprefix("steps-").isdecimal() and int(folder.name[6:]) > self.num_timesteps:
                raise ResultSetError(
                    f"{self._out} holds results of another training, {folder.name}. Choose another folder as out."
                )


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leave the global random generators, and torch's defaults, as they were before."""
    flags = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    threads = torch.get_num_threads()
    with shared_generators_kept(), torch.random.fork_rng(), torch_as_shipped():
        try:
            yield
        finally:
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = flags
            torch.set_num_threads(threads)


def _environment_name(envs: VecEnv) -> str:
    """Return the name that the training environments were made by; empty where they do not tell, or are ours."""
    specs = envs.get_attr("spec") if hasattr(envs, "get_attr") else []
    name = str(getattr(specs[0], "id", "") or "") if specs else ""
    return "" if name.startswith(f"{_PREFIX}/") else name


def _game_of(environment: Environment | None, name: str) -> str:
    """Return the game that an environment plays, by our id.

    Raises:
        SpecError: Its name tells none.
    """
    found = [game for game in rom_ids() if environment is not None and environment.is_game(game)]
    if not found:
        raise SpecError(
            f"The training environment {name or 'without a name'} tells no game. Say it: RobustnessCallback(..., "
            "game='breakout')."
        )
    return found[0]


def _rows_of(result: ResultSet, steps: int) -> list[RobustnessRow]:
    """Return the numbers of an evaluation, in the order of cells."""
    return [
        RobustnessRow(steps, row.label, row.mean_return, row.normalised_score.value, row.retention.value)
        for row in summarise(result).cells
    ]


__all__ = ["TABLE_NAME", "RobustnessCallback", "RobustnessRow"]
