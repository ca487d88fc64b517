"""Policies made elsewhere: plain callables, objects with `act`, attributes of an importable module."""

from __future__ import annotations

import importlib
import inspect
import sysconfig
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsabench.agents.policy import AgentPolicy
from wsabench.errors import ShapeError, SpecError, UnknownNameError, nearest_names, unknown_name
from wsabench.hashing import text_hash
from wsabench.types import INPUT_SHAPES, Abilities, Actions, Decision, DeclaredPolicy, LaneBatch, Observations

_LIBRARIES = ("<", str(Path(__file__).parents[1]), *(sysconfig.get_path(key) for key in ("stdlib", "platlib")))
"""How the file names of code begin that is no agent's own: frozen modules, this package, Python, what is installed."""


class WrappedPolicy:
    """Someone else's policy, its abilities read and its answers checked."""

    def __init__(self, policy: Any, abilities: Abilities) -> None:
        """Wrap an object with `act(observations, lanes)`, or a callable `observations -> actions`."""
        self._policy = policy
        self._has_act = hasattr(policy, "act")
        self.abilities = abilities

    def act(self, observations: Observations, lanes: LaneBatch) -> Decision:
        """Return what the policy chooses.

        Raises:
            ShapeError: Its values or its attention have another shape than its abilities say.
            SpecError: It answered something that is not one action index per lane, or a lane has encoder operations
                that it does not apply.
        """
        for operations in lanes.encoder_operations:
            self.abilities.check(operations)
        answer = self._policy.act(observations, lanes) if self._has_act else self._policy(observations)
        told = answer if isinstance(answer, Decision) else Decision(answer)
        num_lanes = len(observations)
        return Decision(
            _checked_actions(told.actions, num_lanes, self.abilities.name),
            None if told.values is None else _checked_floats("values", told.values, (num_lanes,), self.abilities.name),
            self._checked_attention(told.attention, num_lanes),
            told.comparisons,
        )

    def _checked_attention(self, weights: Any, num_lanes: int) -> npt.NDArray[np.float32] | None:
        """Return the weights of the encoders that the policy attends to; None where it attends to none."""
        encoders = self.abilities.attends_to
        if weights is None and not encoders:
            return None
        return _checked_floats("attention", weights, (num_lanes, len(encoders)), self.abilities.name)


def wrap_policy(policy: Any, name: str | None = None, origin: str | None = None) -> DeclaredPolicy:
    """Return `policy` as something the bench can evaluate; what it says of itself is read here and nowhere else.

    Args:
        policy: An object with `act(observations, lanes)`, or a callable from observations, uint8 (N, 4, 84, 84), to N
            action indices. What it may state is told at `wsabench.types.Abilities`. Agents of this project are
            returned as they are.
        name: What to call it; default: its `name`, or its function's or class's name.
        origin: Where its code stands; it is hashed with the policy's `version`. Default: the module and name of its
            function or class.

    Raises:
        SpecError: It is neither, or it asks for inputs but has no `act`, which would get them.
        UnknownNameError: It asks for an input that does not exist.
    """
    if isinstance(policy, AgentPolicy | WrappedPolicy):
        return policy
    if inspect.isclass(policy):
        raise SpecError(f"{policy.__qualname__} is a class, not a policy. Pass an instance of it.")
    if not callable(getattr(policy, "act", None)) and not callable(policy):
        raise SpecError(
            f"{policy!r} is not a policy. Allowed: an object with act(observations, lanes), or a callable "
            "observations -> actions."
        )
    return WrappedPolicy(policy, _stated_abilities(policy, name, origin or describe_policy(policy)))


def describe_policy(policy: Any) -> str:
    """Return where a policy's code comes from, as `module:qualified name`."""
    origin = policy if inspect.isroutine(policy) or inspect.isclass(policy) else type(policy)
    return f"{origin.__module__}:{origin.__qualname__}"


def _stated_abilities(policy: Any, name: str | None, origin: str) -> Abilities:
    """Return what a policy says of itself: its `abilities`, and what these leave out by its other attributes."""
    stated = getattr(policy, "abilities", Abilities())
    if not isinstance(stated, Abilities):
        raise SpecError(
            f"The attribute `abilities` of {origin} is a {type(stated).__name__}. Allowed: `wsabench.Abilities`."
        )
    named = name or stated.name or _own_name(policy)
    return replace(
        stated,
        name=named,
        train_seed=stated.train_seed or int(getattr(policy, "train_seed", 0) or 0),
        checkpoint_hash=stated.checkpoint_hash or _own_hash(policy, origin),
        inputs=_checked_inputs(policy, stated.inputs or getattr(policy, "required_inputs", ()), named),
    )


def _own_name(policy: Any) -> str:
    """Return a policy's name: what it says, or its function's or class's name."""
    stated = getattr(policy, "name", None)
    if isinstance(stated, str) and stated:
        return stated
    name = policy.__name__ if inspect.isroutine(policy) else type(policy).__name__
    return "callable" if name == "<lambda>" else name


def _own_hash(policy: Any, origin: str) -> str | None:
    """Return the hash of a policy: what it states, or its origin with its `version`, or none."""
    stated = getattr(policy, "checkpoint_hash", None)
    if isinstance(stated, str) and stated:
        return stated
    version = getattr(policy, "version", None)
    return None if version is None else text_hash(f"{origin}@{version}")


def _checked_inputs(policy: Any, stated: Any, name: str) -> tuple[str, ...]:
    """Return the inputs that a policy asks for, or refuse them."""
    wanted = (stated,) if isinstance(stated, str) else tuple(stated)
    for one in wanted:
        if one not in INPUT_SHAPES:
            raise unknown_name("input", str(one), INPUT_SHAPES, f"The policy {name!r} states it.")
    if wanted and not hasattr(policy, "act"):
        raise SpecError(
            f"The policy {name!r} asks for {', '.join(wanted)} but has no act(observations, lanes). Add it."
        )
    return wanted


def load_policy(reference: str) -> Any:
    """Import a policy by `package.module:attribute`; a class is instantiated without arguments.

    Raises:
        SpecError: The text has another form, the module fails to import, or the operating system refuses what the
            module or the class asks for, such as a file.
        UnknownNameError: There is no such module or attribute.
    """
    module_name, colon, attribute = reference.partition(":")
    if not colon or not module_name or not attribute:
        raise SpecError(f"{reference!r} does not name a policy. Write package.module:attribute.")
    try:
        module = importlib.import_module(module_name)
    except OSError as error:
        raise system_failure(reference, error) from error
    except ModuleNotFoundError as error:
        raise UnknownNameError(
            f"Cannot import {module_name!r} for {reference!r}: {error}. Is it installed, or its folder on PYTHONPATH?"
        ) from error
    except ImportError as error:
        raise SpecError(f"Importing {module_name!r} for {reference!r} failed: {error}.") from error
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            near = nearest_names(part, dir(found))
            hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise UnknownNameError(f"{module_name!r} has no attribute {attribute!r}.{hint}")
        found = getattr(found, part)
    try:
        return found() if inspect.isclass(found) else found
    except OSError as error:
        raise system_failure(reference, error) from error


def system_failure(name: str, error: OSError) -> SpecError:
    """Return what to tell when the operating system refused something to an agent's own code.

    Args:
        name: The agent's name or reference.
        error: What it raised; the innermost line that belongs to no library says where.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)]
    place = (own or frames)[-1]
    return SpecError(
        f"The agent {name!r} failed: {type(error).__name__}: {error} ({place.filename}, line {place.lineno}). Give it "
        "what it needs, or correct it; --debug shows the traceback."
    )


def _checked_actions(answer: Any, num_lanes: int, name: str) -> Actions:
    try:
        actions = np.asarray(answer)
    except (ValueError, TypeError, RuntimeError) as error:
        raise SpecError(f"The policy {name!r} answered something that is no array: {error}") from error
    if actions.shape != (num_lanes,) or not np.issubdtype(actions.dtype, np.integer):
        raise SpecError(
            f"The policy {name!r} answered {actions.dtype} of shape {actions.shape} for {num_lanes} observations. "
            f"Allowed: integers, shape ({num_lanes},)."
        )
    if num_lanes and actions.min() < 0:
        raise SpecError(f"The policy {name!r} answered action {actions.min()}. Allowed: indices from 0.")
    return actions.astype(np.int64)


def _checked_floats(what: str, answer: Any, shape: tuple[int, ...], name: str) -> npt.NDArray[np.float32]:
    """Return the numbers that a policy answered beside its actions, or refuse another shape."""
    numbers = np.asarray(answer, dtype=np.float32)
    if numbers.shape != shape:
        raise ShapeError(
            f"The policy {name!r} answered {what} of shape {numbers.shape}. Allowed: one row per lane, and in "
            f"attention one column for each encoder of its abilities' attends_to, shape {shape}."
        )
    return numbers
