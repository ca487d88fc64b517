"""Whole programs as agents: `torchscript:PATH` and `onnx:PATH`. They get pixels 0..255 and say actions or logits."""

from __future__ import annotations

import importlib
import io
import warnings
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from wsabench.agents.elsewhere.cards import stated_score
from wsabench.agents.elsewhere.environments import Environment, environment_of
from wsabench.agents.elsewhere.opened import Wanted
from wsabench.agents.elsewhere.tensors import read_file
from wsabench.agents.elsewhere.views import check_game, trained_view
from wsabench.agents.policy import BATCH_SIZE, action_distribution, choose_actions, padded_rows
from wsabench.errors import CheckpointError, ShapeError, SpecError
from wsabench.hashing import bytes_hash
from wsabench.protocol import ActionSelection
from wsabench.types import Abilities, Decision, LaneBatch, Observations

Answer = npt.NDArray[Any]
"""Actions, integers (N,) or (N, 1), or logits, floats (N, num_actions)."""
Ask = Callable[[npt.NDArray[np.uint8]], Answer]

_SHAPE = (4, 84, 84)


class ProgramPolicy:
    """Plays what a program says, asked with one fixed number of rows."""

    def __init__(
        self, ask: Ask, abilities: Abilities, action_selection: ActionSelection, rows: int = BATCH_SIZE
    ) -> None:
        """Ask once, with black frames, to learn what the program answers.

        Args:
            ask: The program.
            abilities: What is known of it.
            action_selection: `sampled` or `greedy`, where it answers logits.
            rows: How many rows it takes at once.

        Raises:
            CheckpointError: It answers neither actions nor logits.
        """
        self._ask, self._rows = ask, rows
        self._action_selection: ActionSelection = action_selection
        probe = ask(np.zeros((rows, *_SHAPE), np.uint8))
        self._answers_actions = np.issubdtype(probe.dtype, np.integer) and probe.shape in ((rows,), (rows, 1))
        if not self._answers_actions and (probe.ndim != 2 or len(probe) != rows or probe.dtype.kind != "f"):
            raise CheckpointError(
                f"The agent {abilities.name!r} answered {probe.dtype} of shape {probe.shape} for {rows} observations. "
                f"Allowed: actions, integers of shape ({rows},), or logits, floats of shape ({rows}, number of "
                "actions)."
            )
        num_actions = None if self._answers_actions else int(probe.shape[1])
        self.abilities = replace(abilities, batch_size=BATCH_SIZE, num_actions=num_actions)

    def __repr__(self) -> str:
        """Return the agent, its train seed, and what it answers."""
        answers = "actions" if self._answers_actions else f"logits of {self.abilities.num_actions} actions"
        return (
            f"{type(self).__name__}({self.abilities.name!r}, train_seed={self.abilities.train_seed}, "
            f"answers={answers!r}, action_selection={self._action_selection!r})"
        )

    def act(self, observations: Observations, lanes: LaneBatch) -> Decision:
        """Choose one action per lane.

        Raises:
            ShapeError: Observations have another shape or type.
            SpecError: A lane has encoder operations.
        """
        for operations in lanes.encoder_operations:
            self.abilities.check(operations)
        if observations.shape[1:] != _SHAPE or observations.dtype != np.uint8:
            raise ShapeError(
                f"Observations are {observations.dtype} {observations.shape}. Allowed: uint8, shape (N, 4, 84, 84)."
            )
        answers = np.concatenate(
            [
                self._ask(padded_rows(rows, self._rows))[: len(rows)]
                for rows in np.split(observations, range(self._rows, len(observations), self._rows))
            ]
        )
        if self._answers_actions:
            return Decision(answers.reshape(len(observations)).astype(np.int64))
        probabilities = action_distribution(torch.from_numpy(answers.astype(np.float32)), "actor_critic")
        return Decision(choose_actions(probabilities, lanes.generators, self._action_selection))


def load_torchscript(wanted: Wanted) -> ProgramPolicy:
    """Load a TorchScript program, also the `agent.pt` of the Open RL Leaderboard: pixels in, actions out.

    Raises:
        CheckpointError: The file is missing, damaged, of another game or not trusted, or does not answer as an agent.
    """
    path = wanted.uri.path
    content = read_file(path)
    if not wanted.permissions.trust:
        raise CheckpointError(
            f"{path} is a TorchScript program: opening it runs it, and torch unpickles what stands in it "
            f"({', '.join(_pickles(content))}). If you trust the file, add --trust."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch means to replace TorchScript
            module = torch.jit.load(io.BytesIO(content), map_location="cpu").eval()
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path} is no TorchScript: {str(error).splitlines()[0]} Save it again.") from error
    environment = environment_of(path)
    abilities = _abilities(wanted, path, bytes_hash(content), environment)
    failures = []
    for rows in (BATCH_SIZE, 1):
        for dtype in (torch.uint8, torch.float32):
            try:
                return ProgramPolicy(_torchscript(module, dtype), abilities, wanted.action_selection, rows)
            except (RuntimeError, torch.jit.Error) as error:
                failures.append(str(error).strip().splitlines()[-1])
    raise CheckpointError(
        f"{path} cannot take observations uint8 or float32, pixels 0..255, of shape (N, 4, 84, 84): {failures[0]}"
    )


def _torchscript(module: torch.nn.Module, dtype: torch.dtype) -> Ask:
    def ask(rows: npt.NDArray[np.uint8]) -> Answer:
        with torch.no_grad():
            told = module(torch.from_numpy(rows).to(dtype))
        first = told[0] if isinstance(told, tuple | list) else told
        return first.detach().cpu().numpy()

    return ask


def _pickles(content: bytes) -> list[str]:
    """Return the pickles inside a TorchScript file."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return sorted(name.partition("/")[2] for name in archive.namelist() if name.endswith(".pkl")) or ["nothing"]
    except zipfile.BadZipFile:
        return ["an unknown part"]


def load_onnx(wanted: Wanted) -> ProgramPolicy:
    """Load an ONNX network by onnxruntime; nothing is unpickled.

    Raises:
        CheckpointError: The file is missing, damaged, of another game, or does not answer as an agent.
        SpecError: onnxruntime is not installed.
    """
    path = wanted.uri.path
    content = read_file(path)
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise SpecError(
            f"Opening {path} takes onnxruntime: {error}. Install it: pip install 'wsabench[onnx]'."
        ) from error
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base of their own
        raise CheckpointError(f"{path} is no ONNX network: {str(error).splitlines()[0]} Export it again.") from error
    takes = session.get_inputs()[0]
    types = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}
    if len(session.get_inputs()) != 1 or takes.type not in types:
        raise CheckpointError(
            f"{path} takes {[(one.name, one.type) for one in session.get_inputs()]}. Allowed: one input of uint8 or "
            "float32, pixels 0..255, shape (N, 4, 84, 84)."
        )
    rows = takes.shape[0] if isinstance(takes.shape[0], int) else BATCH_SIZE

    def ask(pixels: npt.NDArray[np.uint8]) -> Answer:
        return np.asarray(session.run(None, {takes.name: pixels.astype(types[takes.type])})[0])

    abilities = _abilities(wanted, path, bytes_hash(content), environment_of(path))
    try:
        return ProgramPolicy(ask, abilities, wanted.action_selection, rows)
    except CheckpointError:
        raise
    except Exception as error:  # its errors have no base of their own
        raise CheckpointError(f"{path} cannot take observations of shape (N, 4, 84, 84): {error}") from error


def _abilities(wanted: Wanted, path: Path, content_hash: str, environment: Environment | None) -> Abilities:
    """Return what is known of a program: its view only where something names its training environment."""
    check_game(environment, wanted.game, str(path))
    view = trained_view("sb3", environment) if environment else None
    return Abilities(
        name=path.stem,
        train_seed=wanted.train_seed,
        checkpoint_hash=content_hash,
        view=view.fields if view else {},
        notes=view.notes if view else (),
        stated_score=stated_score(path),
    )


def is_torchscript(names: Iterable[str]) -> bool:
    """Whether these are the names inside a TorchScript file."""
    parts = [name.partition("/")[2] for name in names]
    return "constants.pkl" in parts and any(part.startswith("code/") for part in parts)
