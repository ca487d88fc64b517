"""Who is evaluated: agents named, given by path, by address, by `module:attribute`, or as Python objects."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, KeysView, Mapping, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from typing import Protocol as Protocol_

import numpy as np

from wsabench.errors import SpecError, WsabenchError
from wsabench.evaluation.own_play.file import OwnPlayReference
from wsabench.evaluation.patterns import WITHOUT_FILES, find_files
from wsabench.evaluation.rollout import first_moments
from wsabench.processes import single_thread
from wsabench.protocol import ActionSelection, Protocol
from wsabench.results.manifest import AgentEntry, AgentId, OwnPlayEntry, StatedEntry
from wsabench.results.provenance import UNHASHED
from wsabench.types import (
    BUILT_IN_AGENTS,
    PRIVILEGED_INPUTS,
    Abilities,
    DeclaredPolicy,
    OwnPolicy,
    Permissions,
    Policy,
    unboxed,
)

if TYPE_CHECKING:
    from wsabench.agents.builtin import BuiltIn
    from wsabench.perturb import CompiledPerturbation

AgentReference = str | Path | Policy | Any
"""A baseline's name, `random` or `noop`, a checkpoint's path, an address such as `sb3:PATH.zip`,
`package.module:attribute`, a policy, a callable, or a factory `make_agent(game, train_seed)`."""

_IMPORT = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")
_NAME = re.compile(r"^[^\W_][\w.+-]*$")
_MARKS = re.compile(r"[/\\:{]")
"""What stands in paths and addresses: an equals sign behind one is part of them, and does not end a name."""
_OWN_CODE = ("import", "address")
"""Kinds of contestants that run code or files from elsewhere, which may end or stop their process."""
_UNUSABLE = re.compile(r"[^\w.+-]+")
_FILES = (".safetensors", ".zip", ".pt", ".pth", ".ts", ".onnx", ".cleanrl_model", ".pkl")
"""Endings by which a text is meant as a file."""


class Fixing(Protocol_):
    """What a user chose of how agents play: the part of the options of a run that `Terms.chosen` reads."""

    @property
    def protocol(self) -> Protocol | str | Mapping[str, Any] | None:
        """A protocol, the name of one, single fields, or nothing."""
        ...

    @property
    def train_seeds(self) -> Sequence[int] | None:
        """The train seeds that the user named; None for those of the profile."""
        ...

    @property
    def permissions(self) -> Permissions:
        """What agents are allowed."""
        ...


@dataclass(frozen=True, slots=True)
class Loading:
    """Whom to load, and how."""

    kind: str
    """What kind of agent it is, as in `Contestant.kind`."""
    reference: Any
    game: str
    train_seed: int
    action_selection: ActionSelection = "sampled"
    permissions: Permissions = field(default_factory=Permissions)

    @property
    def runs_own_code(self) -> bool:
        """Whether code or files from elsewhere run, which may end or stop their process."""
        return self.kind in _OWN_CODE or (self.kind == "agent" and _is_added(str(self.reference)))

    @property
    def code(self) -> str | None:
        """What is imported of it, `module:attribute`; None where it is no code that stands in a module by name."""
        from wsabench import agents

        if self.kind == "import":
            return str(self.reference)
        uri = agents.split_uri(str(self.reference)) if self.kind == "address" else None
        return uri.rest if uri is not None and uri.scheme == "python" else None

    def policy(self) -> DeclaredPolicy:
        """Return the policy, ready to act.

        Raises:
            CheckpointError: The checkpoint is missing or damaged.
            SpecError: The agent's own code fails, or what it gives is no policy.
            UnknownNameError: There is no such agent, module or attribute.
        """
        from wsabench import agents

        if self.kind in ("agent", "address"):
            return agents.load_agent(
                self.reference,
                game=self.game,
                train_seed=self.train_seed,
                action_selection=self.action_selection,
                trust=self.permissions.trust,
                allow_download=self.permissions.allow_download,
            )
        if self.kind == "factory":
            return agents.made(self.reference, self.game, self.train_seed, agents.describe_policy(self.reference))
        return agents.wrap_policy(self.reference) if self.kind == "object" else agents.open_import(self.reference)


class Elsewhere(Protocol_):
    """Another process, which agents with code of their own may end or stop without harm."""

    def takes_seeds(self, who: str, factory: str) -> bool:
        """Whether `package.module:factory` makes an agent of any train seed."""
        ...

    def abilities(self, who: str, loading: Loading) -> Abilities:
        """Load an agent and return what it can do."""
        ...

    def asked(self, contestant: Contestant) -> Contestant:
        """Ask the agent that was loaded last whether it is repeatable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms agents play."""

    protocol: Protocol
    """The run's protocol."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Fields that the user set by hand; they go over what an agent says of its training."""
    has_views: bool = True
    """Whether each agent's lanes are made as it saw its games; no where the user chose a whole protocol."""
    permissions: Permissions = field(default_factory=Permissions)
    """What agents are allowed."""
    plays_all_seeds: bool = False
    """Whether a pattern of files plays every train seed that it finds, and not those of the profile."""
    elsewhere: Elsewhere | None = None
    """Loads agents with code of their own, and asks them whether they are repeatable; None: this process does."""
    watch: Callable[[str], AbstractContextManager[object]] = nullcontext
    """Watches over the loading and asking of an agent in this process, given as agent and game."""

    @classmethod
    def chosen(cls, options: Fixing, default: Protocol) -> Terms:
        """Return the terms of a run.

        Args:
            options: What the user chose.
            default: The protocol of the suite's profile.

        Raises:
            SpecError: A field is outside its range.
            UnknownNameError: There is no such protocol or field.
        """
        given = options.protocol
        changes = dict(given) if isinstance(given, Mapping) else {}
        whole = None if given is None or isinstance(given, Mapping) else Protocol.of(given)
        protocol = Protocol.from_dict({**(whole or default).to_dict(), **changes})
        return cls(
            protocol=protocol,
            changes=changes,
            has_views=whole is None,
            permissions=options.permissions,
            plays_all_seeds=options.train_seeds is None,
        )

    def seen_by(self, abilities: Abilities, game: str) -> Protocol:
        """Return the protocol of an agent's lanes.

        Raises:
            SpecError: Its actions are those of neither action set of the game, or of one that was not chosen.
            UnknownNameError: It names a field that no protocol has.
        """
        view = dict(abilities.view) if self.has_views else {}
        fields = {**self.protocol.to_dict(), **view, **self.changes}
        if self.has_views and "full_action_space" in view and "full_action_space" not in self.changes:
            fields["full_action_space"] = _needs_all_actions(abilities.num_actions, game)
        protocol = Protocol.from_dict(fields)
        if abilities.num_actions is not None:
            _check_actions(abilities.name, abilities.num_actions, game, protocol)
        return protocol


@dataclass(frozen=True, slots=True)
class Contestant:
    """One trained network (or policy) on one game; jobs of one contestant share forward passes."""

    name: str
    train_seed: int
    game: str
    kind: str
    """`built-in` (`random`, `noop`), `agent` (name or path of a checkpoint), `address` (`sb3:PATH.zip` and the like),
    `import` (`module:attribute`), `factory` (an object that makes policies) or `object`."""
    reference: Any
    """What `load` starts from: a text, or for `object` the policy itself."""
    abilities: Abilities
    """What it can do; its name there is the policy's own, `name` here is that of the tables."""
    own_play: OwnPlayReference | None = None
    """Its own clean play; None where no cell needs it."""
    protocol: Protocol = field(default_factory=Protocol)
    """How its lanes are made: the run's protocol, seen as the agent saw its games."""
    permissions: Permissions = field(default_factory=Permissions)
    """What it is allowed."""
    draws: bool = False
    """Whether it answered otherwise when it was asked twice for the same."""
    hung: bool = False
    """Whether it gave no answer then, and its process had to be ended."""

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
        return self.kind not in ("object", "factory")

    @property
    def runs_own_code(self) -> bool:
        """Whether code or files from elsewhere run when it plays, which may end or stop their process."""
        return self._loading("sampled").runs_own_code

    @property
    def is_deterministic(self) -> bool:
        """Whether equal starts of an unchanged game lead to equal episodes: greedy, not sticky, nothing drawn."""
        return self.protocol.may_repeat_episodes and self.abilities.is_deterministic and not self.draws

    def plays_each_start_once(self, cell: CompiledPerturbation) -> bool:
        """Whether its episodes in a cell differ in nothing but their start, so that none is worth playing twice.

        Args:
            cell: The compiled perturbation of the cell.
        """
        return self.is_deterministic and cell.draws_nothing

    def load(self, action_selection: ActionSelection) -> DeclaredPolicy:
        """Return the policy, ready to act.

        Raises:
            CheckpointError: The checkpoint is missing or damaged.
            SpecError: The agent's own code fails, or what it gives is no policy.
            UnknownNameError: There is no such agent, module or attribute.
        """
        if self.kind == "built-in":
            return _built_in(self.reference, self.game, self.protocol)
        return self._loading(action_selection).policy()

    def _loading(self, action_selection: ActionSelection) -> Loading:
        return Loading(self.kind, self.reference, self.game, self.train_seed, action_selection, self.permissions)

    def entry(self, protocol: Protocol) -> AgentEntry:
        """Return what the manifest says of it, in a run of a protocol."""
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
            view={name: value for name, value in asdict(self.protocol).items() if value != getattr(protocol, name)},
            trusted=self.permissions.trust and self.kind == "address",
            draws=self.draws,
            stated_score=(stated := self.abilities.stated_score) and StatedEntry(**asdict(stated)),
        )

    def notes(self) -> tuple[str, ...]:
        """Return what a user should hear about it before it plays, whole sentences."""
        said = tuple(f"{self.name}: {note}" for note in self.abilities.notes)
        if not self.draws:
            return said
        return (
            *said,
            f"{self.name} answered otherwise when it was asked twice for the same: it draws random numbers of its own, "
            "or remembers more than an episode. The same seeds need not give the same table. Draw from "
            "`lanes.generators` instead, and begin anew where `lanes.episode_starts` says so.",
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
    terms: Protocol | Terms,
) -> tuple[Contestant, ...]:
    """Load every agent once, to know that it can be loaded, its hash and its encoders.

    Args:
        agents: References; a text may carry a name of its own as `NAME=REFERENCE`, a mapping gives names to objects,
            and a list in it holds one train seed after the other. An entry of a manifest stands for what it names, on
            its own game and with its own train seed and lanes.
        games: Game ids.
        train_seeds: Train seeds of agents given by name and of factories; a path or an own policy counts as one.
        terms: How the games are played and what agents are allowed; a protocol stands for itself.

    Returns:
        One contestant for each agent, train seed and game.

    Raises:
        CheckpointError: A checkpoint is missing or damaged, or must not be opened.
        SpecError: A name is malformed or given twice, an agent has not the game's number of actions, or a pattern of
            files finds none.
        UnknownNameError: There is no such agent.
    """
    terms = Terms(protocol=terms) if isinstance(terms, Protocol) else terms
    found: list[Contestant] = []
    for named in _named(agents):
        for game in games:
            found.extend(_contestants_of(named, game, train_seeds, terms))
    _refuse_twins(found)
    return tuple(found)


def names_own_code(text: str) -> bool:
    """Whether a reference without a name of its own is code or a file from elsewhere: see `Loading.runs_own_code`."""
    return _kind(text) in _OWN_CODE or _is_added(text)


def names_module(reference: AgentReference) -> bool:
    """Whether a reference, with or without a name of its own, is a module's: `module:attribute` or `python:`."""
    from wsabench import agents

    (named,) = _named([reference])
    if not isinstance(named.reference, str):
        return False
    kind = _kind(named.reference)
    uri = agents.split_uri(named.reference) if kind == "address" else None
    return kind == "import" or (uri is not None and uri.scheme == "python")


def beside(reference: str, folder: Path) -> str:
    """Return a reference whose path, where it has one, counts from a folder and not from the current one.

    Args:
        reference: As `run`'s agents; names, modules and addresses without files stay what they are.
        folder: The folder.
    """
    from wsabench import agents

    name, separator, rest = reference.partition("=")
    has_name = bool(separator) and not _MARKS.search(name) and not (folder / reference).exists()
    text = rest if has_name else reference
    uri = agents.split_uri(text)
    path = text if uri is None else uri.rest
    is_file = _is_path(text) if uri is None else not text.startswith(WITHOUT_FILES)
    if not is_file or path.startswith("~") or Path(path).is_absolute():
        return reference
    placed = str(folder / path)
    if uri is None and not _is_path(placed):
        placed = f"./{placed}"  # a folder of this name, not a baseline
    return reference.removesuffix(path) + placed


def split_references(values: Sequence[str] | None) -> list[str]:
    """Return the references in repeated options, each of which may hold several separated by commas.

    The longest part that names an existing file wins, so that a path may hold commas.

    Args:
        values: What was given; None for nothing.
    """
    found: list[str] = []
    for value in values or ():
        parts = value.split(",")
        while parts:
            count = next((n for n in range(len(parts), 1, -1) if _names_a_file(",".join(parts[:n]))), 1)
            found.append(",".join(parts[:count]).strip())
            del parts[:count]
    return [one for one in found if one]


def _names_a_file(text: str) -> bool:
    """Whether a text is an existing path, or one behind a name or a scheme."""
    name, _, rest = text.strip().partition("=")
    candidates = [text, rest] if _NAME.match(name) else [text]
    candidates += [path for one in candidates for scheme, _, path in [one.partition(":")] if scheme.strip().isalnum()]
    return any(one.strip() and _exists(one.strip()) for one in candidates)


def _exists(text: str) -> bool:
    """Whether a text is an existing path."""
    try:
        return Path(text).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # too long, of a user who has no home, with a null character
        return False


def _named(agents: Any) -> list[_Named]:
    """Return the references with the names their users gave them."""
    if isinstance(agents, np.ndarray | Iterator | Set):
        is_ordered = not isinstance(agents, Set) or isinstance(agents, KeysView)
        agents = [unboxed(one) for one in agents] if is_ordered else sorted(agents, key=str)
    if isinstance(agents, str | Path) or not isinstance(agents, Mapping | Sequence):
        agents = [agents]
    if not agents or agents == [None]:
        raise SpecError("No agent was given. Give at least one, for example 'e2e'; `wsabench list agents` shows them.")
    if isinstance(agents, Mapping):
        return [_Named(_checked_name(str(name)), reference) for name, reference in agents.items()]
    named = []
    for reference in agents:
        name, separator, rest = reference.partition("=") if isinstance(reference, str) else ("", "", "")
        is_named = bool(separator) and not _MARKS.search(name) and not _exists(reference)
        named.append(_Named(_checked_name(name), rest) if is_named else _Named(None, reference))
    return named


def _contestants_of(named: _Named, game: str, train_seeds: Sequence[int], terms: Terms) -> list[Contestant]:
    """Return one reference's contestants on one game."""
    reference = named.reference
    if isinstance(reference, AgentEntry):
        return [_contestant_again(reference, terms)] if reference.game == game else []
    if isinstance(reference, list | tuple):
        if not reference:
            raise SpecError(f"The agent {named.name!r} is an empty list. Give one network for each train seed.")
        each = [_Named(named.name, one) for one in reference]
        found = [one for part in each for one in _contestants_of(part, game, train_seeds, terms)]
        is_numbered = len({one.train_seed for one in found}) == len(found)
        return found if is_numbered else [replace(one, train_seed=number) for number, one in enumerate(found)]
    if not isinstance(reference, str | Path):
        return _contestants_of_object(named, game, train_seeds, terms)
    text = str(reference)
    if isinstance(reference, Path) and not _is_path(text):
        text = f"./{text}"  # a folder of this name, not a baseline
    if "{" in text and not _names_a_file(text):
        if named.name is None:
            raise SpecError(f"The pattern {text!r} needs a name for what it finds. Write NAME={text}.")
        files = find_files(text, game, train_seeds, finds_all=terms.plays_all_seeds)
        return [_contestant(named, _kind(one.text), one.text, game, one.train_seed, terms) for one in files]
    kind = _kind(text)
    takes_seeds = kind == "address" and _takes_seeds(text, f"{named.name or text} on {game}", terms)
    if not takes_seeds and (kind != "agent" or _is_path(text)):
        return [_contestant(named, kind, text, game, None, terms)]
    return [_contestant(named, kind, text, game, train_seed, terms) for train_seed in train_seeds]


def _contestants_of_object(named: _Named, game: str, train_seeds: Sequence[int], terms: Terms) -> list[Contestant]:
    """Return the contestants that a Python object is, or makes."""
    from wsabench import agents

    if not agents.is_factory(named.reference):
        return [_contestant(named, "object", named.reference, game, None, terms)]
    seeds = train_seeds if agents.takes_train_seed(named.reference) else [None]
    return [_contestant(named, "factory", named.reference, game, train_seed, terms) for train_seed in seeds]


def _kind(text: str) -> str:
    """Return what a text is: see `Contestant.kind`."""
    from wsabench import agents

    if _exists(text):
        return "agent"
    if text in BUILT_IN_AGENTS:
        return "built-in"
    if agents.split_uri(text) is not None:
        return "address"
    return "import" if _IMPORT.match(text) else "agent"


def _takes_seeds(text: str, who: str, terms: Terms) -> bool:
    """Whether an address is that of a factory that makes an agent of any train seed."""
    from wsabench import agents

    uri = agents.split_uri(text)
    if uri is None or uri.scheme != "python":
        return False
    if terms.elsewhere is not None:
        return terms.elsewhere.takes_seeds(who, uri.rest)
    with terms.watch(who):
        return agents.takes_train_seed(agents.import_attribute(uri.rest))


def _contestant(
    named: _Named, kind: str, reference: Any, game: str, train_seed: int | None, terms: Terms
) -> Contestant:
    """Return one contestant; without a train seed it says its own, own policies 0 where they do not."""
    from wsabench import agents

    called = named.name or (reference if isinstance(reference, str) else agents.describe_policy(reference))
    who = f"{called} on {game}"
    loading = Loading(kind, reference, game, train_seed or 0, terms.protocol.action_selection, terms.permissions)
    if terms.elsewhere is not None and loading.runs_own_code:
        found = terms.elsewhere.abilities(who, loading)
        return terms.elsewhere.asked(_described(named, loading, train_seed, terms, found))
    with terms.watch(who):
        is_ours = kind == "built-in"
        policy = _built_in(loading.reference, game, terms.protocol) if is_ours else loading.policy()
        one = _described(named, loading, train_seed, terms, policy.abilities)
        return replace(one, draws=_draws(policy, kind, reference, game, one.protocol))


def _described(
    named: _Named, loading: Loading, train_seed: int | None, terms: Terms, abilities: Abilities
) -> Contestant:
    """Return a contestant by what it can do; nobody has asked it yet."""
    own_name = _UNUSABLE.sub("-", abilities.name).strip("-") if loading.kind == "address" else abilities.name
    name = _checked_name(named.name or own_name)
    return Contestant(
        name=name,
        train_seed=abilities.train_seed if train_seed is None else train_seed,
        game=loading.game,
        kind=loading.kind,
        reference=loading.reference,
        abilities=abilities,
        protocol=terms.seen_by(replace(abilities, name=name), loading.game),
        permissions=terms.permissions,
    )


def _draws(policy: DeclaredPolicy, kind: str, reference: Any, game: str, protocol: Protocol) -> bool:
    """Whether an agent that is not of this project answers otherwise when it is asked twice for the same.

    A Python object is the one that will play, so a copy of it is asked, where it can be copied.
    """
    from wsabench import agents

    if kind == "object" and not isinstance(policy, OwnPolicy):
        try:
            with agents.guarded(policy.abilities.name):
                policy = agents.wrap_policy(copy.deepcopy(reference))
        except WsabenchError:
            pass  # what cannot be copied is asked itself: with each episode it begins anew
    return draws_of(policy, game, protocol)


def draws_of(policy: DeclaredPolicy, game: str, protocol: Protocol) -> bool:
    """Whether a policy that is not of this project answers otherwise when it is asked twice for the same.

    Args:
        policy: It moves on as by two episodes.
        game: The game's id.
        protocol: How its lanes are made.
    """
    from wsabench import agents

    if isinstance(policy, OwnPolicy):
        return False
    with single_thread():
        return agents.draws_of_its_own(policy, first_moments(game, protocol, policy.abilities.inputs), game)


def _contestant_again(entry: AgentEntry, terms: Terms) -> Contestant:
    """Return the contestant that a manifest names, with the lanes it had."""
    if entry.kind in ("object", "factory"):
        raise SpecError(
            f"{entry.id.describe()} was a Python object, which a result set does not hold. Allowed: agents given by "
            "name, path, address or package.module:attribute."
        )
    lanes = replace(terms, protocol=terms.protocol.with_changes(**entry.view), has_views=False)
    named = _Named(entry.agent, entry.source)
    return _contestant(named, entry.kind, entry.source, entry.game, entry.train_seed, lanes)


def _needs_all_actions(num_actions: int | None, game: str) -> bool:
    """Whether an agent's number of actions is that of the full action set, and not of the game's own."""
    from wsabench.emulator import action_meanings

    if num_actions is None:
        return False
    own, full = (len(action_meanings(game, Protocol(full_action_space=wide))) for wide in (False, True))
    return num_actions == full != own


def _check_actions(name: str, num_actions: int, game: str, protocol: Protocol) -> None:
    """Refuse an agent whose actions are not those of the protocol: its indices would press other buttons."""
    from wsabench.emulator import action_meanings

    own, full = (action_meanings(game, protocol.with_changes(full_action_space=wide)) for wide in (False, True))
    allowed = full if protocol.full_action_space else own
    if num_actions == len(allowed):
        return
    cure = (
        "Play it with " + ("--minimal-action-space" if protocol.full_action_space else "--full-action-space")
        if num_actions in (len(own), len(full))
        else f"It was trained for another game: give an agent for {game}"
    )
    raise SpecError(
        f"The agent {name!r} was trained with {num_actions} actions; {game} has {len(allowed)} under this protocol "
        f"(full_action_space is {str(protocol.full_action_space).lower()}): its own set has {len(own)} "
        f"({', '.join(own)}), the full one {len(full)}. {cure}."
    )


def _built_in(name: BuiltIn, game: str, protocol: Protocol) -> DeclaredPolicy:
    """Return an agent that needs no training."""
    from wsabench.agents.builtin import BuiltInPolicy
    from wsabench.emulator import action_meanings

    return BuiltInPolicy(name, len(action_meanings(game, protocol)))


def _is_added(text: str) -> bool:
    """Whether a text, no path, is the name of an agent that another package brings."""
    from wsabench import agents

    return _NAME.match(text) is not None and not _is_path(text) and agents.is_added(text)


def _is_path(text: str) -> bool:
    """Whether a reference is meant as a file."""
    return text.endswith(_FILES) or "/" in text or "\\" in text


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
