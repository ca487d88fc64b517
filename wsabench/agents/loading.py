"""Finding and loading trained agents, by name or by path."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import NamedTuple

import torch

from wsabench.agents.checkpoint import AgentMeta, fill_network, read_checkpoint
from wsabench.agents.networks.building import build_agent
from wsabench.agents.policy import BATCH_SIZE, AgentPolicy
from wsabench.agents.spec import AgentSpec, list_specs
from wsabench.encoders import EncoderBank, HashCheck
from wsabench.errors import CheckpointError, SpecError, UnknownNameError, unknown_name
from wsabench.games import check_rom_id
from wsabench.protocol import ActionSelection
from wsabench.resources import baseline_dirs, encoders_dir, expanded
from wsabench.types import BUILT_IN_AGENTS

AGENT_FILE = "agent.safetensors"
"""The trained agent in a training run's folder."""
_WEIGHTS = re.compile(r"(?P<name>.+)-seed(?P<seed>\d+)")


class AgentEntry(NamedTuple):
    """A shipped or fetched trained agent."""

    name: str
    train_seed: int
    path: Path


def list_agents(game: str) -> list[AgentEntry]:
    """Return the trained agents of a game, shipped or fetched, by name and train seed; a shipped one counts."""
    found: dict[str, AgentEntry] = {}
    for folder in baseline_dirs():
        for path in (folder / game).glob("*.safetensors"):
            if match := _WEIGHTS.fullmatch(path.stem):
                found.setdefault(path.stem, AgentEntry(match["name"], int(match["seed"]), path))
    return sorted(found.values())


def shipped_names(game: str | None) -> frozenset[str]:
    """Return the names of the trained agents shipped for a game; none without a game."""
    return frozenset() if game is None else frozenset(entry.name for entry in list_agents(game))


def load_trained(
    agent: str | Path,
    game: str | None = None,
    train_seed: int = 0,
    action_selection: ActionSelection = "sampled",
    *,
    batch_size: int = BATCH_SIZE,
) -> AgentPolicy:
    """Load a trained agent.

    Args:
        agent: The name of a shipped agent, the path of a checkpoint, or the folder of a training run.
        game: The game; needed for a name, checked for a path.
        train_seed: The train seed of the shipped agent; ignored for a path.
        action_selection: `sampled` or `greedy`.
        batch_size: The number of rows of every forward pass.

    Returns:
        The policy.

    Raises:
        UnknownNameError: There is no agent of that name for the game.
        CheckpointError: The file or its encoders are missing, damaged or do not belong together.
        SpecError: A name without a game.
    """
    with contextlib.suppress(UnknownNameError):  # a checkpoint may be of a game that is none of the emulator's
        game = None if game is None else check_rom_id(game)
    path = find_trained(agent, game, train_seed)
    checkpoint = read_checkpoint(path)
    meta = checkpoint.meta
    if game is not None and meta.game != game:
        raise CheckpointError(f"{path} was trained on {meta.game!r}, not on {game!r}. Give a checkpoint for {game!r}.")
    bank = load_bank(meta, path) if meta.spec.kind != "e2e" else None
    model = build_agent(meta.spec, meta.num_actions, seed=None, bank=bank)
    fill_network(model, checkpoint, path)
    return AgentPolicy(
        model,
        meta,
        checkpoint_hash=checkpoint.content_hash,
        bank=bank,
        action_selection=action_selection,
        batch_size=batch_size,
    )


def load_bank(meta: AgentMeta, path: Path) -> EncoderBank:
    """Load the encoders that an agent was trained on.

    Those that it alone reads stand in `encoders/NAME/` beside its file `NAME.safetensors`, else those in `encoders/`
    are taken, else the shipped or fetched ones.

    Raises:
        CheckpointError: The encoders are missing, damaged, or not the same ones.
    """
    own = path.parent / "encoders" / path.stem
    beside = own if own.is_dir() else path.parent / "encoders"
    directory = beside if any(beside.glob("*.safetensors")) else encoders_dir(meta.game)

    def check(name: str, found: str) -> None:
        wanted = meta.encoder_hashes.get(name, found)
        if wanted != found:
            raise CheckpointError(
                f"{path} was trained on another encoder {name!r} than the one in {directory}: content hash "
                f"{wanted[:12]}... was used, {found[:12]}... is there. Restore that encoder, or train again. A file of "
                "an older format is named by its own SHA-256: the same encoder saved anew counts as another."
            )

    return open_bank(meta.spec, meta.game, directory, check)


def open_bank(spec: AgentSpec, game: str, directory: Path | None = None, check: HashCheck | None = None) -> EncoderBank:
    """Load the encoders of an agent as it uses them.

    Args:
        spec: The agent, not end-to-end.
        game: The game's id.
        directory: Folder of encoder files; None: the shipped ones.
        check: Asked of each whether its content hash is the right one, before any TorchScript runs; None: any is.

    Raises:
        CheckpointError: One is missing or damaged, or `check` refuses one.
        SpecError: The package of one is missing.
    """
    # Encoders that are trained further start in full precision.
    dtype = torch.float32 if spec.tune_encoders else None
    return EncoderBank.load(
        game,
        spec.encoders,
        spec.bank_context,
        directory,
        dtype,
        embeddings=spec.embeddings,
        size=spec.encoder_size,
        check=check,
    )


def find_trained(agent: str | Path, game: str | None, train_seed: int) -> Path:
    """Return the file of a trained agent: a shipped one by name, or a path; see `load_trained`."""
    text = str(agent)
    if isinstance(agent, Path) or text.endswith(".safetensors") or "/" in text:
        path = expanded(agent)
        return path / AGENT_FILE if path.is_dir() else path
    if game is None:
        raise SpecError(f"Which game? load_agent({text!r}, game=...) needs one, for example game='breakout'.")
    if text in BUILT_IN_AGENTS:
        raise SpecError(
            f"{text!r} is built in and has no network to load. Name it where agents play: run(agents={text!r})."
        )
    entries = list_agents(game)
    seeds = [entry.train_seed for entry in entries if entry.name == text]
    if not entries:
        raise CheckpointError(
            f"No trained agents for {game!r} are here. Fetch some, `wsabench agents fetch --game {game} --from PLACE`, "
            f"or train one, `wsabench train --game {game}`."
        )
    if not seeds and text in list_specs():
        trained = ", ".join(sorted({entry.name for entry in entries}))
        raise CheckpointError(
            f"The agent {text!r} is not trained on {game!r}. Trained there: {trained}. Leave {game} out, or train it, "
            f"`wsabench train --agent {text} --game {game}`, and name its folder: --agents {text}=FOLDER/."
        )
    if not seeds:
        known = {entry.name for entry in entries} | BUILT_IN_AGENTS.keys()
        raise unknown_name("agent", text, known, f"These are trained for {game!r}, or built in.")
    if train_seed not in seeds:
        known = ", ".join(map(str, seeds))
        raise CheckpointError(
            f"{text!r} on {game!r} has no train seed {train_seed}. Allowed: {known}. Play those (`--train-seeds "
            f"{known.replace(' ', '')}`), or train it, `wsabench train --agent {text} --game {game} --train-seed "
            f"{train_seed}`."
        )
    return next(entry.path for entry in entries if (entry.name, entry.train_seed) == (text, train_seed))
