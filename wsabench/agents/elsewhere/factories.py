"""Agents that Python code makes: `python:package.module:factory`, factories as objects, and those of other packages."""

from __future__ import annotations

import inspect
from typing import Any

from wsabench.agents.elsewhere.opened import Wanted
from wsabench.agents.exits import exits_raised
from wsabench.agents.foreign import (
    guarded,
    import_attribute,
    load_policy,
    torch_as_shipped,
    wrap_policy,
)
from wsabench.errors import SpecError
from wsabench.registry import Added, load_added, names_added
from wsabench.types import DeclaredPolicy

GROUP = "wsabench.agents"
"""The entry point group under which other packages state agents."""
_ARGUMENTS = ("game", "train_seed")


def load(wanted: Wanted) -> DeclaredPolicy:
    """Call a factory with the game and the train seed, as far as it takes them by these names.

    Raises:
        SpecError: It cannot be imported, fails, or makes no policy.
        UnknownNameError: There is no such module or attribute.
    """
    reference = wanted.uri.rest
    return made(import_attribute(reference), wanted.game, wanted.train_seed, reference)


def open_import(reference: str) -> DeclaredPolicy:
    """Load `package.module:attribute`, a policy or a class of one.

    Raises:
        SpecError: The text has another form, or the module or the class fails; the message says where.
        UnknownNameError: There is no such module or attribute.
    """
    with torch_as_shipped():
        return wrap_policy(load_policy(reference), reference.rpartition(":")[2], reference)


def is_factory(thing: Any) -> bool:
    """Whether an object makes agents: a function or class whose arguments `game` or `train_seed` say so."""
    return callable(thing) and not hasattr(thing, "act") and any(name in _ARGUMENTS for name in _parameters(thing))


def takes_train_seed(factory: Any) -> bool:
    """Whether a factory makes another agent for each train seed."""
    return callable(factory) and not hasattr(factory, "act") and "train_seed" in _parameters(factory)


def made(factory: Any, game: str | None, train_seed: int, origin: str, name: str | None = None) -> DeclaredPolicy:
    """Return what a factory makes, as a policy; what has `act` is no factory and is taken as it is.

    Args:
        factory: A function or class, called with `game` and `train_seed` as far as it takes them by name.
        game: The game's id.
        train_seed: Which training run.
        origin: Where its code stands.
        name: What to call the policy; default: what it calls itself.

    Raises:
        SpecError: It fails, or makes no policy.
    """
    if not inspect.isclass(factory) and (hasattr(factory, "act") or not callable(factory)):
        return wrap_policy(factory, name or origin.rpartition(":")[2], origin)
    values = {"game": game, "train_seed": train_seed}
    arguments = {name: values[name] for name in _parameters(factory) if name in values}
    _check_takes(factory, arguments, origin)
    with guarded(origin), exits_raised():
        policy = factory(**arguments)
    return wrap_policy(policy, name, origin)


def is_added(name: str) -> bool:
    """Whether another package states an agent of this name; nothing of it is imported."""
    return name in names_added(GROUP)


def find_added(name: str) -> Added | None:
    """Return the agent of another package that has this name; None where there is none.

    Raises:
        SpecError: Two packages state it, or the one that does cannot be imported.
    """
    found = load_added(GROUP, name)
    if len(found) > 1:
        packages = " and ".join(one.distribution for one in found)
        raise SpecError(
            f"Two packages state an agent {name!r}: {packages}. Uninstall one, or name python:{found[0].value}."
        )
    return found[0] if found else None


def _check_takes(factory: Any, arguments: dict[str, Any], origin: str) -> None:
    """Refuse a function that needs more than a factory gets: most often it is a policy itself."""
    try:
        inspect.signature(factory).bind(**arguments)
    except TypeError as error:
        raise SpecError(
            f"{origin!r} cannot be called as a factory: {error}. A factory is called with `game` and `train_seed`, as "
            f"far as it takes them. Where it is a policy itself, write {origin} without python: before it."
        ) from error
    except ValueError:  # built in, and does not say what it takes
        return


def _parameters(function: Any) -> tuple[str, ...]:
    """Return the names of the arguments that a function takes; none where it does not say."""
    try:
        is_instance = not inspect.isclass(function)  # a torch module itself is called with anything
        signature = inspect.signature(getattr(function, "forward", function) if is_instance else function)
    except (TypeError, ValueError):
        return ()
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in signature.parameters.values()):
        return _ARGUMENTS
    return tuple(signature.parameters)
