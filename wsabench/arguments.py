"""Arguments of public functions: a name that there is not gets one message with the nearest ones."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from wsabench.errors import unknown_name

P = ParamSpec("P")
T = TypeVar("T")


def named_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function refuse arguments that it does not have, with the nearest names of those that it has.

    Args:
        function: A function without `**` in its signature.

    Returns:
        The function, which raises `UnknownNameError` where Python would raise a TypeError without a hint.
    """
    allowed = [name for name in inspect.signature(function).parameters if name != "self"]

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        for name in kwargs:
            if name not in allowed:
                raise unknown_name("argument", name, allowed, f"`help` of `{function.__name__}` explains all.")
        return function(*args, **kwargs)

    return checked
