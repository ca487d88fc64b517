"""From a run's table to the arguments of what it calls, and the checks of those."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from wsabench.agents import load_spec
from wsabench.encoders import ENCODERS, check_size, encoder_path, find_ready
from wsabench.errors import SpecError, WsabenchError
from wsabench.games import check_rom_id
from wsabench.training.frames.collection import Collection
from wsabench.training.frames.experts import DEFAULT_EXPERT, Expert, find_expert
from wsabench.training.presets import load_preset
from wsabench.training.pretraining.pretrain import NUM_FRAMES, check_steps, usual_steps
from wsabench.training.queue.places import Places
from wsabench.training.queue.spec import Queue, QueueRun
from wsabench.training.randomisation import make_randomisation
from wsabench.training.run import TrainingOptions, plan_training

Check = tuple[str, Callable[[], object]]
_TRAINING = tuple(field.name for field in dataclasses.fields(TrainingOptions))


def agent_reference(queue: Queue, run: QueueRun) -> str:
    """Return the agent that a run trains: a name, or a path counted from the queue file's folder."""
    return str(queue.path.parent / run.agent) if run.agent.endswith(".toml") else run.agent


def training_options(run: QueueRun, device: str) -> TrainingOptions:
    """Return the options of a `train` run on a device."""
    given = {key: value for key, value in run.options.items() if key in _TRAINING}
    return TrainingOptions(**{**given, "device": device})


def frames_run(queue: Queue, run: QueueRun) -> QueueRun:
    """Return the run whose options say which frames a run collects or learns from: another one, or itself."""
    reference = run.reference("frames")
    return run if reference is None else queue[reference]


def collection_options(queue: Queue, run: QueueRun, places: Places) -> dict[str, Any]:
    """Return `frames`, `data`, `expert` (None: there is none) and `seed` of a `frames` or `pretrain` run."""
    source = frames_run(queue, run)
    size = str(run.options.get("size", "compact"))
    data = str(source.options.get("data", "random"))
    expert = source.reference("expert")
    told = source.options.get("expert", DEFAULT_EXPERT) if expert is None else str(places.agent(expert))
    return {
        "frames": int(source.options.get("frames", NUM_FRAMES[size])),
        "data": data,
        "expert": None if data == "random" else told,
        "seed": source.seed,
    }


def collection(queue: Queue, run: QueueRun, places: Places) -> Collection:
    """Return what a run collects; its expert is loaded."""
    told = collection_options(queue, run, places)
    expert = None if told["expert"] is None else find_expert(run.game, told["expert"])
    return Collection(run.game, told["frames"], told["data"], expert, told["seed"])


def stage_steps(run: QueueRun) -> dict[str, int]:
    """Return the optimiser steps of each stage of a `pretrain` run."""
    return dict(run.options.get("steps") or usual_steps(str(run.options.get("size", "compact"))))


def shipped_encoders(game: str) -> list[Path]:
    """Return the files of the encoders that a game ships.

    Raises:
        SpecError: It ships none.
    """
    folder = encoder_path(game, "ae").parent
    if not (found := sorted(folder.glob("*.safetensors"))):
        raise SpecError(f"there are no encoders in {folder}. Hand over those of {game} first, or remove this key.")
    return found


def expected_steps(queue: Queue, run: QueueRun) -> int:
    """Return how many steps a run has: agent steps, stored frames, or optimiser steps of all stages."""
    if run.kind == "pretrain":
        return sum(stage_steps(run).values())
    if run.kind == "frames":
        shown = _unplayed(queue, run)
        return shown.num_shards * shown.shard_frames
    preset = load_preset(str(run.options.get("preset", "compact")), str(run.options.get("algorithm", "ppo")))
    if "steps" in run.options:
        preset = dataclasses.replace(preset, total_steps=run.options["steps"])
    return preset.num_updates * preset.update_steps


def check_queue(queue: Queue) -> None:
    """Check every name and option of every run, so that a mistake in the last is found before the first starts.

    Raises:
        SpecError: An option is out of range or does not fit; the message names file, run and key.
        UnknownNameError: A game, agent, preset, perturbation or the like does not exist.
    """
    for run in queue.runs:
        for key, check in _checks(queue, run):
            _told(queue.where(run, key), check)


def _told(where: str, check: Callable[[], object]) -> None:
    """Run a check; its message begins with the place in the file."""
    try:
        check()
    except WsabenchError as error:
        raise type(error)(f"{where}: {error}") from error


def _checks(queue: Queue, run: QueueRun) -> Iterator[Check]:
    """Yield what has to hold for a run, with the key that it is about."""
    yield "game", functools.partial(check_rom_id, run.game)
    yield from _checks_of_training(queue, run) if run.kind == "train" else _checks_of_encoders(queue, run)


def _checks_of_training(queue: Queue, run: QueueRun) -> Iterator[Check]:
    options, agent = run.options, agent_reference(queue, run)
    preset, algorithm = str(options.get("preset", "compact")), str(options.get("algorithm", "ppo"))
    yield "algorithm", functools.partial(load_preset, "compact", algorithm)
    yield "preset", functools.partial(load_preset, preset, algorithm)
    yield "agent", functools.partial(load_spec, agent, preset)
    yield "agent", functools.partial(_require_packages, agent, preset, run.game)
    if "encoders" in options:
        yield "encoders", functools.partial(_require_encoders, agent, preset)
    suite, names, share = (options.get(key) for key in ("suite", "perturbations", "clean_share"))
    key = "suite" if suite is not None else "perturbations" if names else "clean_share"
    yield key, functools.partial(make_randomisation, run.game, suite, names, share)
    told = training_options(run, str(options.get("device", "cpu")))
    yield "", functools.partial(plan_training, agent, run.game, run.seed, preset, options.get("steps"), told)


def _require_encoders(agent: str, preset: str) -> None:
    spec = load_spec(agent, preset)
    if spec.kind == "e2e" or spec.encoder_source == "random":
        raise SpecError(f"the agent {agent!r} reads no pre-trained encoders. Remove it.")


def _require_packages(agent: str, preset: str, game: str) -> None:
    """Refuse an agent with an encoder whose package is missing: its run would fail after days of others."""
    spec = load_spec(agent, preset)
    for name in spec.all_encoders:
        if name not in ENCODERS and name not in spec.files and (ready := find_ready(name)) is not None:
            ready.content(game)


def _checks_of_encoders(queue: Queue, run: QueueRun) -> Iterator[Check]:
    if run.kind == "pretrain":
        yield "size", functools.partial(check_size, str(run.options.get("size", "compact")))
        yield "steps", lambda: check_steps(stage_steps(run))
        if "device" in run.options:
            from wsabench.training.device import choose_device

            yield "device", functools.partial(choose_device, run.options["device"])
        if run.options.get("with_shipped"):
            yield "with_shipped", functools.partial(shipped_encoders, run.game)
    key = "data" if "data" in run.options else "frames"
    yield key, functools.partial(_unplayed, queue, run)
    source = frames_run(queue, run)
    told = source.options.get("expert")
    if source.options.get("data", "random") == "random":
        if told is not None:
            yield "expert", functools.partial(_refuse_expert, str(told))
    elif source.reference("expert") is None:
        yield "expert", functools.partial(find_expert, run.game, str(told or DEFAULT_EXPERT))


def _refuse_expert(told: str) -> None:
    raise SpecError(f"is {told!r}, but random play has no expert. Remove it, or use data 'expert' or 'mixed'.")


def _unplayed(queue: Queue, run: QueueRun) -> Collection:
    """Return what a run collects with a stand-in for the expert, which need not exist yet."""
    source = frames_run(queue, run)
    data = str(source.options.get("data", "random"))
    frames = int(source.options.get("frames", NUM_FRAMES[str(run.options.get("size", "compact"))]))
    stand_in = None if data == "random" else Expert("expert", "", None)  # pyright: ignore[reportArgumentType]
    return Collection(run.game, frames, data, stand_in, source.seed)
