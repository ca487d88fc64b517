"""`train`: one call from names to a trained agent."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from wsabench import seeding
from wsabench.agents import AGENT_FILE, AgentSpec, build_agent, load_spec
from wsabench.errors import StorageError
from wsabench.protocol import Protocol
from wsabench.resources import make_dir, state_dir
from wsabench.training.frozen import MakeEnvs, make_lanes, prepare_bank, read_inputs
from wsabench.training.lanes import LaneEnvs
from wsabench.training.presets import PPOPreset, load_preset
from wsabench.training.progress import Reporter, SilentReporter
from wsabench.training.trainer import CHECKPOINT_NAME, CURVE_NAME, Trainer, TrainingJob

if TYPE_CHECKING:
    from wsabench.encoders import EncoderBank


def make_training_envs(game: str, num_envs: int, inputs: Sequence[str] = ()) -> LaneEnvs:
    """Make lanes of this process under the training protocol, which supply `inputs` beside observations."""
    from wsabench.emulator import make_vec

    return make_vec(
        game,
        num_envs,
        protocol=Protocol.training(),
        num_workers=0,
        autoreset_mode="disabled",
        inputs=inputs,
    )


def training_dir(agent: str, game: str, preset: str, train_seed: int) -> Path:
    """Return where a run keeps its checkpoint and curve unless told otherwise."""
    return state_dir() / "training" / game / f"{agent}-{preset}-seed{train_seed}"


def train(  # noqa: PLR0913 - the options of `wsabench train`
    agent: str,
    game: str,
    train_seed: int = 0,
    preset: str = "compact",
    *,
    steps: int | None = None,
    out: Path | None = None,
    encoders: Path | None = None,
    resume: bool = True,
    reporter: Reporter | None = None,
    make_envs: MakeEnvs = make_training_envs,
) -> Path:
    """Train an agent with PPO, on one thread; a run that was stopped goes on where its last checkpoint is.

    Args:
        agent: Name of an agent with a specification in `baselines/`, or the path of a TOML file.
        game: The game's id.
        train_seed: Fixes initial weights, lanes and sampling.
        preset: `compact` or `paper`: architecture and hyper-parameters.
        steps: Length in steps over all lanes; default: the preset's.
        out: Folder of checkpoint and curve; default: below the state folder.
        encoders: Folder of pre-trained encoders; default: the shipped ones. They are copied into the run's folder.
        resume: Whether to go on from a checkpoint in that folder; otherwise what is there is set aside.
        reporter: Is told the progress.
        make_envs: Makes the lanes.

    Returns:
        The run's folder, with `agent.safetensors`, which `load_agent` takes, `curve.csv` and the training checkpoint.

    Raises:
        UnknownNameError: No such agent, preset or game.
        CheckpointError: The folder holds another run or a damaged checkpoint, or encoders are missing.
        StorageError: The folder cannot be written, or another process trains there.
    """
    spec = load_spec(agent, preset)
    hyper = load_preset(preset)
    if steps is not None:
        hyper = dataclasses.replace(hyper, total_steps=steps)
    directory = make_dir(out or training_dir(spec.name, game, preset, train_seed))
    lanes = make_lanes(make_envs, game, hyper.num_envs, read_inputs(spec))
    with locked(directory), one_thread(), contextlib.closing(lanes) as envs:
        goes_on = resume and (directory / CHECKPOINT_NAME).is_file()
        if not goes_on:
            set_aside(directory)
        bank = prepare_bank(spec, game, train_seed, directory, make_envs, encoders)
        trainer = make_trainer(spec, hyper, game, train_seed, envs, bank, directory)
        if goes_on:
            trainer.resume()
        else:
            trainer.start()
        trainer.run(reporter or SilentReporter())
    return directory


def make_trainer(  # noqa: PLR0913 - what a run consists of
    spec: AgentSpec,
    preset: PPOPreset,
    game: str,
    train_seed: int,
    envs: LaneEnvs,
    bank: EncoderBank | None,
    directory: Path,
) -> Trainer:
    """Build network and trainer for lanes and encoders that exist already."""
    num_actions = int(envs.single_action_space.n)
    model = build_agent(spec, num_actions, seed=seeding.integer_seed(train_seed, "weights"), bank=bank)
    hashes = {} if bank is None else {name: bank.hashes[name] for name in spec.all_encoders}
    job = TrainingJob(
        spec=spec, preset=preset, game=game, train_seed=train_seed, num_actions=num_actions, encoder_hashes=hashes
    )
    return Trainer(job, model, bank, envs, directory)


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the folder, so that two processes never write one run."""
    try:
        with (directory / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError as error:
        raise StorageError(
            f"Another process is training in {directory}. Wait for it, or choose another folder."
        ) from error


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: sums are added in one order, and runs beside each other share the cores best."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def set_aside(directory: Path) -> None:
    """Rename what an earlier run left, so that starting again loses nothing; files that are not ours stay."""
    number = 1
    while any(directory.glob(f"abandoned-{number}-*")):
        number += 1
    for name in (CHECKPOINT_NAME, CURVE_NAME, AGENT_FILE, "encoders"):
        if (directory / name).exists():
            (directory / name).rename(directory / f"abandoned-{number}-{name}")
