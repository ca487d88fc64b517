"""Who is evaluated: agents named, given by path, by `module:attribute`, or as Python objects."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsabench.errors import SpecError
from wsabench.evaluation.own_play_file import OwnPlayReference
from wsabench.protocol import ActionSelection, Protocol
from wsabench.results.manifest import AgentEntry, AgentId, OwnPlayEntry
from wsabench.results.provenance import UNHASHED
from wsabench.types import PRIVILEGED_INPUTS, Abilities, DeclaredPolicy, Policy

AgentReference = str | Path | Policy | Any
"""A baseline's name, a checkpoint's path, `package.module:attribute`, a policy or a callable."""

_IMPORT = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")
_NAME = re.compile(r"^[A-Za-z0-9][\w.+-]*$")


@dataclass(frozen=True, slots=True)
class Contestant:
    """One trained network (or policy) on one game; jobs of one contestant share forward passes."""

    name: str
    train_seed: int
    game: str
    kind: str
    """`agent` (name or path of a checkpoint), `import` (`module:attribute`) or `object`."""
    reference: Any
    """What `load` starts from: a text, or for `object` the policy itself."""
    abilities: Abilities
    """What it can do; its name there is the policy's own, `name` here is that of the tables."""
    own_play: OwnPlayReference | None = None
    """Its own clean play; None where no cell needs it."""

    @property
    def id(self) -> AgentId:
        """What tells it from the others."""
        return AgentId(self.name, self.train_seed, self.game)

    @property
    def checkpoint_hash(self) -> str:
        """Stands for its content; `UNHASHED` where that is not known, so that finished jobs are run again."""
        return self.abilities.checkpoint_hash or UNHASHED

    @property
    def encoders(self) -> tuple[str, ...]:
        """The encoders it attends to; empty for none."""
        return self.abilities.attends_to

    @property
    def has_encoders(self) -> bool:
        """Whether there are encoders that operations could change."""
        reads = self.abilities.reads
        return bool(self.encoders) or (reads is not None and bool(reads.encoders))

    @property
    def can_travel(self) -> bool:
        """Whether a worker process can load it."""
        return self.kind != "object"

    def load(self, action_selection: ActionSelection) -> DeclaredPolicy:
        """Return the policy, ready to act.

        Raises:
            CheckpointError: The checkpoint is missing or damaged.
            UnknownNameError: There is no such agent, module or attribute.
        """
        return _load(self.kind, self.reference, self.game, self.train_seed, action_selection)

    def entry(self) -> AgentEntry:
        """Return what the manifest says of it."""
        from wsabench.agents import describe_policy

        own = self.own_play
        return AgentEntry(
            agent=self.name,
            train_seed=self.train_seed,
            game=self.game,
            checkpoint_hash=self.checkpoint_hash,
            kind=self.kind,
            source=self.reference if isinstance(self.reference, str) else describe_policy(self.reference),
            encoders=self.encoders,
            inputs=self.abilities.inputs,
            privileged=not PRIVILEGED_INPUTS.isdisjoint(self.abilities.inputs),
            own_play=own
            and OwnPlayEntry(content_hash=own.content_hash, steps=own.num_steps, episodes=own.num_episodes),
        )


@dataclass(frozen=True, slots=True)
class _Named:
    """A reference with the name the user gave it, or None."""

    name: str | None
    reference: Any


def find_contestants(
    agents: Sequence[AgentReference] | Mapping[str, AgentReference] | AgentReference,
    games: Sequence[str],
    train_seeds: Sequence[int],
    protocol: Protocol,
) -> tuple[Contestant, ...]:
    """Load every agent once, to know that it can be loaded, its hash and its encoders.

    Args:
        agents: References; a text may carry a name of its own as `NAME=REFERENCE`, a mapping gives names to objects.
        games: Game ids.
        train_seeds: Train seeds of agents given by name; a path or an own policy counts as one train seed.
        protocol: How the games are played; says how our agents choose actions.

    Returns:
        One contestant for each agent, train seed and game.

    Raises:
        CheckpointError: A checkpoint is missing or damaged.
        SpecError: A name is malformed or given twice, or an agent has not the game's number of actions.
        UnknownNameError: There is no such agent.
    """
    found: list[Contestant] = []
    for named in _named(agents):
        for game in games:
            found.extend(_contestants_of(named, game, train_seeds, protocol))
    _refuse_twins(found)
    return tuple(found)


def _named(agents: Any) -> list[_Named]:
    """Return the references with the names their users gave them."""
    if isinstance(agents, Mapping):
        return [_Named(str(name), reference) for name, reference in agents.items()]
    if isinstance(agents, str | Path) or not isinstance(agents, Sequence):
        agents = [agents]
    if not agents:
        raise SpecError("No agent was given. Give at least one, for example 'e2e'; `wsabench list agents` shows them.")
    named = []
    for reference in agents:
        name, separator, rest = reference.partition("=") if isinstance(reference, str) else ("", "", "")
        labelled = bool(separator) and _NAME.match(name) is not None
        named.append(_Named(name, rest) if labelled else _Named(None, reference))
    return named


def _contestants_of(named: _Named, game: str, train_seeds: Sequence[int], protocol: Protocol) -> list[Contestant]:
    """Return one reference's contestants on one game."""
    reference = named.reference
    if not isinstance(reference, str | Path):
        return [_contestant(named, "object", reference, game, None, protocol)]
    text = str(reference)
    if isinstance(reference, Path) and not _is_path(text):
        text = f"./{text}"  # a folder of this name, not a baseline
    if _IMPORT.match(text) and not Path(text).exists():
        return [_contestant(named, "import", text, game, None, protocol)]
    if _is_path(text):
        return [_contestant(named, "agent", text, game, None, protocol)]
    return [_contestant(named, "agent", text, game, train_seed, protocol) for train_seed in train_seeds]


def _contestant(
    named: _Named, kind: str, reference: Any, game: str, train_seed: int | None, protocol: Protocol
) -> Contestant:
    """Return one contestant; without a train seed it says its own, own policies 0 where they do not."""
    abilities = _load(kind, reference, game, train_seed or 0, protocol.action_selection).abilities
    if abilities.num_actions is not None:
        _check_actions(abilities.name, abilities.num_actions, game, protocol)
    return Contestant(
        name=_checked_name(named.name or abilities.name),
        train_seed=abilities.train_seed if train_seed is None else train_seed,
        game=game,
        kind=kind,
        reference=reference,
        abilities=abilities,
    )


def _check_actions(name: str, num_actions: int, game: str, protocol: Protocol) -> None:
    """Refuse an agent whose actions are not those of the protocol: its indices would press other buttons."""
    from wsabench.emulator import action_meanings

    allowed = len(action_meanings(game, protocol))
    if num_actions != allowed:
        raise SpecError(
            f"The agent {name!r} was trained with {num_actions} actions; {game} has {allowed} under this protocol "
            f"(full_action_space is {str(protocol.full_action_space).lower()}). Choose a protocol with the agent's "
            "action set."
        )


def _load(kind: str, reference: Any, game: str, train_seed: int, action_selection: ActionSelection) -> DeclaredPolicy:
    """Load one policy."""
    from wsabench import agents

    if kind == "agent":
        return agents.load_agent(reference, game=game, train_seed=train_seed, action_selection=action_selection)
    if kind == "object":
        return agents.wrap_policy(reference)
    return agents.wrap_policy(agents.load_policy(reference), reference.rpartition(":")[2], reference)


def _is_path(text: str) -> bool:
    """Whether a reference is meant as a file."""
    return text.endswith(".safetensors") or "/" in text or "\\" in text


def _checked_name(name: str) -> str:
    """Return an agent's name, or refuse it."""
    if not _NAME.match(name):
        raise SpecError(
            f"The agent's name {name!r} is not usable. Allowed: letters, digits and _ . + -, beginning with a letter "
            "or digit. Give one as NAME=REFERENCE, or pass agents as a dict from names to policies."
        )
    return name


def _refuse_twins(contestants: Sequence[Contestant]) -> None:
    """Refuse two contestants that the tables could not tell apart."""
    seen: set[AgentId] = set()
    for one in contestants:
        if one.id in seen:
            raise SpecError(
                f"Two agents are called {one.name!r} (train seed {one.train_seed}) on {one.game}. "
                "Give each a name of its own: NAME=REFERENCE, or a dict from names to policies."
            )
        seen.add(one.id)
