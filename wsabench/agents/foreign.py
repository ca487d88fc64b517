"""Policies made elsewhere: plain callables, objects with `act`, attributes of an importable module."""

from __future__ import annotations

import importlib
import inspect
import signal
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from wsabench.agents.exits import exits_raised
from wsabench.agents.weights import is_module, weights_hash
from wsabench.errors import (
    OwnCodeError,
    ShapeError,
    SpecError,
    UnknownNameError,
    WsabenchError,
    nearest_names,
    unknown_name,
)
from wsabench.hashing import text_hash
from wsabench.types import (
    INPUT_SHAPES,
    Abilities,
    Actions,
    Decision,
    DeclaredPolicy,
    LaneBatch,
    Observations,
    OwnPolicy,
)

_OURS = str(Path(__file__).parents[1])
_LIBRARIES = ("<", _OURS, *(sysconfig.get_path(key) for key in ("stdlib", "platlib")))
"""How the file names of code begin that is no agent's own: frozen modules, this package, Python, what is installed."""
_MOST_TOLD = 400
"""Characters of the message of an agent's own error."""


class WrappedPolicy:
    """Someone else's policy, its abilities read and its answers checked."""

    def __init__(self, policy: Any, abilities: Abilities) -> None:
        """Wrap an object with `act(observations, lanes)`, or a callable `observations -> actions`."""
        self._method = _act_method(policy)
        self._policy = policy
        self._torch = _torch_now()
        self.abilities = abilities

    def __repr__(self) -> str:
        """Return the agent, its train seed, and the class of the policy itself."""
        return (
            f"{type(self).__name__}({self.abilities.name!r}, train_seed={self.abilities.train_seed}, "
            f"policy={type(self._policy).__name__})"
        )

    def act(self, observations: Observations, lanes: LaneBatch) -> Decision:
        """Return what the policy chooses.

        Raises:
            ShapeError: Its values or its attention have another shape than its abilities say.
            SpecError: It answered something that is not one action index per lane, or a lane has encoder operations
                that it does not apply.
        """
        for operations in lanes.encoder_operations:
            self.abilities.check(operations)
        answer = self._ask(observations, lanes)
        told = answer if isinstance(answer, Decision) else Decision(answer)
        num_lanes = len(observations)
        return Decision(
            _checked_actions(told.actions, num_lanes, self.abilities.name),
            None if told.values is None else _checked_floats("values", told.values, (num_lanes,), self.abilities.name),
            self._checked_attention(told.attention, num_lanes),
            told.comparisons,
        )

    def _ask(self, observations: Observations, lanes: LaneBatch) -> Any:
        """Ask the policy, with torch's defaults as they were when it was made."""
        before = _torch_now()
        _set_torch(self._torch)
        try:
            return self._policy(observations) if self._method is None else self._method(observations, lanes)
        finally:
            _set_torch(before)

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
    if isinstance(policy, OwnPolicy | WrappedPolicy):
        return cast("DeclaredPolicy", policy)
    if inspect.isclass(policy):
        raise SpecError(f"{policy.__qualname__} is a class, not a policy. Pass an instance of it.")
    if _act_method(policy) is None and not callable(policy):
        predicts = callable(getattr(policy, "predict", None))
        hint = " It has `predict`: give a function that returns predict(observations)[0]." if predicts else ""
        raise SpecError(
            f"{policy!r} is not a policy. Allowed: an object with act(observations, lanes), or a callable "
            f"observations -> actions.{hint}"
        )
    return WrappedPolicy(policy, _stated_abilities(policy, name, origin or describe_policy(policy)))


def _act_method(policy: Any) -> Callable[..., Any] | None:
    """Return a policy's `act(observations, lanes)`; None where it has none, or another thing of that name.

    A torch module may have a layer called `act`, which takes one argument.
    """
    method = getattr(policy, "act", None)
    if not callable(method):
        return None
    try:
        inspect.signature(getattr(method, "forward", method)).bind(None, None)
    except TypeError:
        return None if callable(policy) else method
    except ValueError:  # built in, and does not say what it takes
        return method
    return method


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
    version = getattr(policy, "version", None)
    return replace(
        stated,
        name=named,
        version=stated.version if version is None else str(version),
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
    """Return the hash of a policy; None where finished jobs of it cannot be kept.

    What it states; else its origin with its `version` and the weights of the torch modules in it; else, of a torch
    module, its origin with its weights, its layers and their code.
    """
    stated = getattr(policy, "checkpoint_hash", None)
    if isinstance(stated, str) and stated:
        return stated
    version = getattr(policy, "version", None)
    if version is None and not is_module(policy):
        return None
    weights = weights_hash(policy, with_code=version is None)
    if version is None:
        return weights and text_hash(f"{origin} with {weights}")
    return text_hash(f"{origin}@{version}" + (f" with {weights}" if weights else ""))


def _checked_inputs(policy: Any, stated: Any, name: str) -> tuple[str, ...]:
    """Return the inputs that a policy asks for, or refuse them."""
    wanted = (stated,) if isinstance(stated, str) else tuple(stated)
    for one in wanted:
        if one not in INPUT_SHAPES:
            raise unknown_name("input", str(one), INPUT_SHAPES, f"The policy {name!r} states it.")
    if wanted and _act_method(policy) is None:
        raise SpecError(
            f"The policy {name!r} asks for {', '.join(wanted)} but has no act(observations, lanes). Add it."
        )
    return wanted


def load_policy(reference: str) -> Any:
    """Import a policy by `package.module:attribute`; a class is instantiated without arguments.

    Raises:
        SpecError: The text has another form, or the module or the class fails; the message says where.
        UnknownNameError: There is no such module or attribute.
    """
    found = import_attribute(reference)
    with guarded(reference), exits_raised():
        return found() if inspect.isclass(found) else found


def import_attribute(reference: str) -> Any:
    """Import what `package.module:attribute` names; torch's defaults are then as the module's first import left them.

    Raises:
        SpecError: The text has another form, or importing the module fails or ends the program.
        UnknownNameError: There is no such module or attribute.
    """
    module_name, colon, attribute = reference.partition(":")
    if not colon or not module_name or not attribute:
        raise SpecError(f"{reference!r} does not name a policy. Write package.module:attribute.")
    found: Any = _imported(module_name, reference)
    for part in attribute.split("."):
        if not hasattr(found, part):
            near = nearest_names(part, dir(found))
            hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise UnknownNameError(f"{module_name!r} has no attribute {attribute!r}.{hint}")
        found = getattr(found, part)
    return found


def _imported(module_name: str, reference: str) -> Any:
    """Import a module of a user."""
    try:
        with exits_raised():
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        cure = "Is it installed, or its folder on PYTHONPATH?"
        if module_name.endswith(".py"):
            cure = f"Write the module's name, not its file's: {reference.replace('.py:', ':', 1)}."
        raise UnknownNameError(f"Cannot import {module_name!r} for {reference!r}: {error}. {cure}") from error
    except ImportError as error:
        raise SpecError(f"Importing {module_name!r} for {reference!r} failed: {error}.") from error
    except SystemExit as error:
        raise SpecError(
            f"Importing {module_name!r} for {reference!r} ended the program (SystemExit: {error.code}). Move what runs "
            "when it is imported, such as reading the command line, below `if __name__ == '__main__':`."
        ) from error
    except WsabenchError:
        raise
    except BaseException as error:  # someone else's code may raise anything
        if _is_of_the_user(error):
            raise
        raise user_failure(reference, error) from error
    if module_name in _TORCH_LEFT_BY:
        _set_torch(_TORCH_LEFT_BY[module_name])
    elif (left := _torch_now()) is not None:
        _TORCH_LEFT_BY[module_name] = left
    return module


@contextmanager
def guarded(name: str, place: str = "") -> Iterator[None]:
    """Run an agent's own code; what it raises becomes one message for the user.

    Errors of this package pass, which are meant for the user already.

    Args:
        name: The agent's name or reference.
        place: Where it was, as in ` on pong, step 3`.

    Raises:
        OwnCodeError: The code raised something, or ended the program.
    """
    try:
        yield
    except WsabenchError:
        raise
    except BaseException as error:  # someone else's code may raise anything
        if _is_of_the_user(error):
            raise
        raise user_failure(name, error, place) from error


def _is_of_the_user(error: BaseException) -> bool:
    """Whether an error may be a Ctrl-C: not in a worker process, which hears none."""
    return isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


def user_failure(name: str, error: BaseException, place: str = "") -> OwnCodeError:
    """Return what to tell when an agent's own code failed.

    Args:
        name: The agent's name or reference.
        error: What it raised; the innermost line that belongs to no library says where.
        place: Where it was, as in ` on pong, step 3`.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)]
    others = own or [frame for frame in frames if not frame.filename.startswith(_OURS)]
    places = [(frame.filename, frame.lineno) for frame in others]
    if isinstance(error, SyntaxError) and error.filename:  # nothing has run in that file
        places.append((error.filename, error.lineno))
    where = f" ({places[-1][0]}, line {places[-1][1]})" if places else ""
    text = _told_by(error)
    return OwnCodeError(f"The agent {name!r} failed{place}: {text}{where}. Give it what it needs, or correct it.")


def _told_by(error: BaseException) -> str:
    """Return class and message of an error in one line; of a long one its beginning and its last line."""
    lines = [line.strip() for line in "".join(traceback.format_exception_only(error)).splitlines()]
    lines = [line for line in lines if line]
    if isinstance(error, SyntaxError):  # before it stand the place, the code and what points into it
        lines = lines[-1:]
    text = " / ".join(lines).replace(": / ", ": ")
    if len(text) <= _MOST_TOLD:
        return text
    last = lines[-1] if len(lines) > 1 and len(lines[-1]) <= _MOST_TOLD // 3 else ""
    return f"{text[: _MOST_TOLD - len(last)].rstrip()} ... {last}".rstrip()


class _TorchDefaults(NamedTuple):
    """What torch makes where code does not say: the user's module may change it for the whole process."""

    dtype: Any
    device: Any


_TORCH_LEFT_BY: dict[str, _TorchDefaults] = {}
"""How the first import of a user's module left torch's defaults; a second import does not run it again."""


@contextmanager
def torch_as_shipped() -> Iterator[None]:
    """Let torch make float32 on the CPU inside, unless code says otherwise, and afterwards what it made before."""
    before = _torch_now()
    _set_torch(_shipped())
    try:
        yield
    finally:
        _set_torch(before or _shipped())


def _torch_now() -> _TorchDefaults | None:
    """Return torch's defaults; None where nothing has loaded it."""
    torch: Any = sys.modules.get("torch")
    return _TorchDefaults(torch.get_default_dtype(), torch.get_default_device()) if torch else None


def _shipped() -> _TorchDefaults | None:
    """Return torch's defaults as it ships; None where nothing has loaded it."""
    torch: Any = sys.modules.get("torch")
    return _TorchDefaults(torch.float32, torch.device("cpu")) if torch else None


def _set_torch(wanted: _TorchDefaults | None) -> None:
    """Set torch's defaults where they are other ones."""
    torch: Any = sys.modules.get("torch")
    if torch is None or wanted is None or wanted == _torch_now():
        return
    torch.set_default_dtype(wanted.dtype)
    torch.set_default_device(None if wanted.device.type == "cpu" else wanted.device)


def _checked_actions(answer: Any, num_lanes: int, name: str) -> Actions:
    if isinstance(answer, tuple) and len(answer) == 2 and np.shape(answer[0]) == (num_lanes,) != np.shape(answer[1]):
        raise SpecError(
            f"The policy {name!r} answered a tuple, as `model.predict` does: actions and states. Answer its first "
            "part, model.predict(observations)[0], or give the model itself as sb3:PATH.zip."
        )
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
