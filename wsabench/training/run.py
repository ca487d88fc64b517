"""`train`: one call from names to a trained agent."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from wsabench import seeding
from wsabench.agents import AgentSpec, build_agent, load_spec
from wsabench.errors import SpecError
from wsabench.games import check_rom_id
from wsabench.hashing import text_hash
from wsabench.processes import single_thread
from wsabench.progress import Reporter, SilentReporter
from wsabench.protocol import Protocol
from wsabench.resources import expanded, make_dir, state_dir
from wsabench.tracking import checked_trackers
from wsabench.training.algorithms.dqn import DQNLearner
from wsabench.training.algorithms.ppo import PPOLearner
from wsabench.training.device import choose_device, keep_freed_memory
from wsabench.training.evaluations import EvaluationPlan
from wsabench.training.export import locked, set_aside
from wsabench.training.frozen import MakeEnvs, check_sources, make_lanes, prepare_bank, read_inputs
from wsabench.training.lanes import LaneEnvs, TrainingLanes
from wsabench.training.player import Player
from wsabench.training.presets import DQNPreset, PPOPreset, load_preset
from wsabench.training.randomisation import Randomisation, make_randomisation
from wsabench.training.trainer import CHECKPOINT_NAME, Outlets, Trainer, TrainingJob

if TYPE_CHECKING:
    from wsabench.encoders import EncoderBank

EVALUATION_LANES = 16
CPU = torch.device("cpu")


def make_training_envs(
    game: str,
    num_envs: int,
    inputs: Sequence[str] = (),
    *,
    num_workers: int = 0,
    protocol: Protocol | None = None,
) -> LaneEnvs:
    """Make lanes under the training protocol, or another, that supply `inputs` beside observations.

    The same games whatever the number of workers.
    """
    from wsabench.emulator import make_vec

    return make_vec(
        game,
        num_envs,
        protocol=protocol or Protocol.training(),
        num_workers=num_workers,
        autoreset_mode="disabled",
        inputs=inputs,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """The options of a run that have nothing to do with what is trained."""

    algorithm: str = "ppo"
    """`ppo` or `dqn`."""
    suite: str | None = None
    """Train under the perturbations of this suite."""
    perturbations: Sequence[str] | None = None
    """Or under these."""
    clean_share: float | None = None
    """Probability of an unchanged game; default: 0.2 where there are perturbations."""
    evaluate_every: int | None = None
    """Steps between evaluations; default: the preset's; 0: none."""
    evaluation_episodes: int | None = None
    """Full games in each evaluation; default: the preset's."""
    patience: int | None = None
    """Stop after so many evaluations without a new best."""
    target_return: float | None = None
    """Stop when an evaluation's mean return reaches this."""
    tensorboard: bool = False
    """Write TensorBoard logs too: the same as `tensorboard` in `track`."""
    track: Sequence[str] = ()
    """Experiment trackers that are told the curve: `tensorboard`, `mlflow`, `wandb`."""
    device: str = "cpu"
    """`cpu`, `cuda`, `cuda:N` or `auto`."""
    workers: int = 0
    """Processes that step the lanes; 0: this one. The curve is the same."""

    @property
    def trackers(self) -> tuple[str, ...]:
        """All trackers, each once."""
        return tuple(dict.fromkeys([*(["tensorboard"] if self.tensorboard else []), *self.track]))


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
    out: str | Path | None = None,
    encoders: Path | None = None,
    resume: bool = True,
    reporter: Reporter | None = None,
    options: TrainingOptions | None = None,
    make_envs: MakeEnvs | None = None,
) -> Path:
    """Train an agent, torch on one thread; a run that was stopped goes on where its last checkpoint is.

    The process keeps freed memory from then on (`memory.keep_freed_memory`).

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
        options: Algorithm, domain randomisation, evaluations, device.
        make_envs: Makes the lanes, of training and of evaluations; default: the emulator's, each under its protocol.

    Returns:
        The run's folder, with `agent.safetensors`, which `load_agent` takes, `curve.csv` and the training checkpoint;
        where it was evaluated also `evaluations.csv` and `best.safetensors`.

    Raises:
        UnknownNameError: No such agent, preset, algorithm, suite, perturbation or game.
        SpecError: An option is out of range or does not fit the game, or the device is not available.
        CheckpointError: The folder holds another run or a damaged checkpoint, or encoders are missing.
        StorageError: The folder cannot be written, or another process trains there.
    """
    chosen = options or TrainingOptions()
    if make_envs is None:
        game = check_rom_id(game)
    plan = plan_training(agent, game, train_seed, preset, steps, chosen)
    directory = plan.default_dir if out is None else expanded(out)
    inputs = read_inputs(plan.spec)
    check_sources(plan.spec, game, directory, encoders)
    make_dir(directory)
    make = make_envs or functools.partial(make_training_envs, num_workers=chosen.workers)
    make_evaluation = make_envs or functools.partial(make, protocol=Protocol.evaluation())
    keep_freed_memory()
    with contextlib.ExitStack() as stack:
        stack.enter_context(locked(directory))
        stack.enter_context(single_thread())
        envs = stack.enter_context(contextlib.closing(make_lanes(make, game, plan.preset.num_envs, inputs)))
        outlets = Outlets(trackers=chosen.trackers)
        if plan.evaluations.every:
            number = min(EVALUATION_LANES, plan.evaluations.episodes)
            outlets = outlets._replace(
                evaluation_envs=stack.enter_context(
                    contextlib.closing(make_lanes(make_evaluation, game, number, inputs))
                )
            )
        goes_on = resume and (directory / CHECKPOINT_NAME).is_file()
        if not goes_on:
            set_aside(directory)
        bank = prepare_bank(plan.spec, game, train_seed, directory, make, encoders)
        trainer = build_trainer(plan, envs, bank, directory, outlets)
        if goes_on:
            trainer.resume()
        else:
            trainer.start()
        trainer.run(reporter or SilentReporter())
    return directory


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """A run, checked: everything but lanes, encoders and folder."""

    spec: AgentSpec
    preset: PPOPreset | DQNPreset
    game: str
    train_seed: int
    evaluations: EvaluationPlan = dataclasses.field(default_factory=EvaluationPlan)
    randomisation: Randomisation | None = None
    device: torch.device = CPU

    @property
    def default_dir(self) -> Path:
        """Where the run keeps its files unless told otherwise; runs that differ in kind have different folders."""
        algorithm = "" if self.preset.algorithm == "ppo" else f"-{self.preset.algorithm}"
        under = ""
        if self.randomisation is not None:
            names = self.randomisation.perturbations
            digest = text_hash(" ".join(names), 8)
            suite = self.randomisation.suite
            under = f"-{Path(suite).stem}" if suite else f"-perturbed-{digest}"
        return training_dir(f"{self.spec.name}{algorithm}{under}", self.game, self.preset.name, self.train_seed)


def plan_training(
    agent: str, game: str, train_seed: int, preset: str, steps: int | None, options: TrainingOptions
) -> TrainingPlan:
    """Check names and options, so that a mistake is found before anything is played.

    Raises:
        UnknownNameError: As `train`.
        SpecError: As `train`.
    """
    hyper = load_preset(preset, options.algorithm)
    if steps is not None:
        hyper = dataclasses.replace(hyper, total_steps=steps)
    spec = dataclasses.replace(load_spec(agent, preset), heads="q" if options.algorithm == "dqn" else "actor_critic")
    every, episodes = options.evaluate_every, options.evaluation_episodes
    if options.workers < 0:
        raise SpecError(f"workers is {options.workers}. Allowed: integers from 0.")
    checked_trackers(options.trackers)
    return TrainingPlan(
        spec=spec,
        preset=hyper,
        game=game,
        train_seed=train_seed,
        evaluations=EvaluationPlan(
            every=hyper.evaluate_every if every is None else every,
            episodes=hyper.evaluation_episodes if episodes is None else episodes,
            patience=options.patience,
            target_return=options.target_return,
        ),
        randomisation=make_randomisation(game, options.suite, options.perturbations, options.clean_share),
        device=choose_device(options.device),
    )


def build_trainer(
    plan: TrainingPlan, envs: LaneEnvs, bank: EncoderBank | None, directory: Path, outlets: Outlets | None = None
) -> Trainer:
    """Build network, learner and trainer for lanes and encoders that exist already."""
    num_actions = int(envs.single_action_space.n)
    model = build_agent(plan.spec, num_actions, seed=seeding.integer_seed(plan.train_seed, "weights"), bank=bank)
    draw = None if plan.randomisation is None else plan.randomisation.draw(plan.train_seed)
    player = Player(model, bank, TrainingLanes(envs, plan.train_seed, draw), plan.device)
    if isinstance(plan.preset, DQNPreset):
        learner = DQNLearner(player, plan.preset, plan.train_seed, num_actions, directory)
    else:
        learner = PPOLearner(player, plan.preset, plan.train_seed)
    job = TrainingJob(
        spec=plan.spec,
        preset=plan.preset,
        game=plan.game,
        train_seed=plan.train_seed,
        num_actions=num_actions,
        encoder_hashes={} if bank is None else {name: bank.hashes[name] for name in plan.spec.all_encoders},
        evaluations=plan.evaluations,
        randomisation=plan.randomisation,
        device=plan.device.type,
    )
    return Trainer(job, learner, directory, outlets)


def make_trainer(  # noqa: PLR0913 - what a run consists of
    spec: AgentSpec,
    preset: PPOPreset | DQNPreset,
    game: str,
    train_seed: int,
    envs: LaneEnvs,
    bank: EncoderBank | None,
    directory: Path,
) -> Trainer:
    """Build a trainer without evaluations and randomisation, on the CPU."""
    heads = "q" if isinstance(preset, DQNPreset) else "actor_critic"
    plan = TrainingPlan(spec=dataclasses.replace(spec, heads=heads), preset=preset, game=game, train_seed=train_seed)
    return build_trainer(plan, envs, bank, directory)
