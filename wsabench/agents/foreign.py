"""Policies made elsewhere: plain callables, objects with `act`, attributes of an importable module."""

from __future__ import annotations

import importlib
import inspect
import sysconfig
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wsabench.agents.policy import AgentPolicy
from wsabench.errors import SpecError, UnknownNameError, nearest_names, unknown_name
from wsabench.types import INPUT_SHAPES, Actions, EncoderOperation, LaneBatch, Observations, Policy

_LIBRARIES = ("<", str(Path(__file__).parents[1]), *(sysconfig.get_path(key) for key in ("stdlib", "platlib")))
"""How the file names of code begin that is no agent's own: frozen modules, this package, Python, what is installed."""


class WrappedPolicy:
    """Someone else's policy, its answers checked.

    A policy with `act` may state `required_inputs`, names of what it reads beside observations (`rgb84`, `ram`); it
    finds them in `lanes.inputs`.
    """

    def __init__(self, policy: Any, name: str) -> None:
        """Wrap an object with `act(observations, lanes)`, or a callable `observations -> actions`.

        Raises:
            SpecError: It states inputs but could not see them.
            UnknownNameError: It states an input that does not exist.
        """
        self._policy = policy
        self._has_act = hasattr(policy, "act")
        self.name = name
        self.train_seed = 0
        self.encoder_names: tuple[str, ...] = ()
        self.required_inputs = stated_inputs(policy, name)

    def act(self, observations: Observations, lanes: LaneBatch) -> Actions:
        """Return the policy's actions, int64, shape (N,).

        Raises:
            SpecError: It answered something that is not one action index a lane, or a lane has encoder operations.
        """
        for operations in lanes.encoder_operations:
            self.check_encoder_operations(operations)
        answer = self._policy.act(observations, lanes) if self._has_act else self._policy(observations)
        return _checked(answer, len(observations), self.name)

    def check_encoder_operations(self, operations: Sequence[EncoderOperation]) -> None:
        """Refuse encoder operations: the bench knows no encoders of this policy.

        Raises:
            SpecError: There is one.
        """
        if operations:
            raise SpecError(f"The policy {self.name!r} has no encoders that could be changed. Leave these cells out.")


def wrap_policy(policy: Any, name: str | None = None) -> Policy:
    """Return `policy` as something the bench can evaluate.

    Args:
        policy: An object with `act(observations, lanes)`, or a callable from observations, uint8 (N, 4, 84, 84), to N
            action indices. Agents of this project are returned as they are.
        name: What to call it; default: its `name`, or its function's or class's name.

    Raises:
        SpecError: It is neither.
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
    named = name or getattr(policy, "name", None) or getattr(policy, "__name__", None) or type(policy).__name__
    return WrappedPolicy(policy, str(named))


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


def stated_inputs(policy: Any, name: str) -> tuple[str, ...]:
    """Return the inputs that a policy asks for by its attribute `required_inputs`; none without it.

    Raises:
        SpecError: It asks for some but has no `act`, which would get them.
        UnknownNameError: There is no such input.
    """
    stated = getattr(policy, "required_inputs", ())
    wanted = (stated,) if isinstance(stated, str) else tuple(stated)
    for one in wanted:
        if one not in INPUT_SHAPES:
            raise unknown_name("input", str(one), INPUT_SHAPES, f"The policy {name!r} states it.")
    if wanted and not hasattr(policy, "act"):
        raise SpecError(
            f"The policy {name!r} asks for {', '.join(wanted)} but has no act(observations, lanes). Add it."
        )
    return wanted


def _checked(answer: Any, num_lanes: int, name: str) -> Actions:
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
