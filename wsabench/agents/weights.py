"""Which torch modules a Python policy plays with, and the hash of what they are made of."""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from typing import Any

_PLAIN = (bool, int, float, str, type(None))
_DEPTH = 4
"""How deep modules are looked for: an object's model's dictionary's module."""


def weights_hash(policy: Any, *, with_code: bool) -> str | None:
    """Return a hash of the torch modules that a policy plays with.

    They are looked for in the policy itself, in what its attributes hold, in what a function or a method was made with,
    and in what a function names at the top of its module. The hash covers names, types, shapes and values of their
    parameters and buffers.

    Args:
        policy: Any Python object.
        with_code: Also hash the layers, their plain settings (numbers and texts) and the source code of their classes,
            for a policy that states no version.

    Returns:
        64 hexadecimal digits; None where there is no module, or one whose weights are not made yet.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return None
    modules = dict(_modules(policy, "self", _DEPTH, set()))
    parameters = [one for module in modules.values() for one in module.parameters()]
    if not modules or any(torch.nn.parameter.is_lazy(one) for one in parameters):
        return None
    found = hashlib.sha256()
    for name in sorted(modules):
        for part in (*_tensors(modules[name], torch.uint8), *(_code(modules[name]) if with_code else ())):
            found.update(name.encode() + part)
    return found.hexdigest()


def is_module(policy: Any) -> bool:
    """Whether a policy is a torch module itself."""
    torch: Any = sys.modules.get("torch")
    return torch is not None and isinstance(policy, torch.nn.Module)


def _modules(value: Any, name: str, depth: int, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Yield the outermost torch modules in a value, with the way to each."""
    if id(value) in seen or depth < 0 or isinstance(value, (*_PLAIN, type, bytes)) or inspect.ismodule(value):
        return
    seen.add(id(value))
    if is_module(value):
        yield name, value
        return
    parts = _parts(value)
    for key in parts:
        yield from _modules(parts[key], f"{name}.{key}", depth - 1, seen)


def _parts(value: Any) -> Mapping[Any, Any]:
    """Return what a value holds, by name or place."""
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, list | tuple):
        return dict(enumerate(value))
    if isinstance(value, functools.partial):
        return {"func": value.func, "args": value.args, "keywords": value.keywords}
    if inspect.ismethod(value):
        return {"function": value.__func__, "self": value.__self__}
    if inspect.isfunction(value):
        names = inspect.getclosurevars(value)
        return {**names.globals, **names.nonlocals}
    return dict(getattr(value, "__dict__", {}))


def _tensors(module: Any, as_bytes: Any) -> Iterator[bytes]:
    """Yield a module's parameters and buffers, each as its name, its type, its shape and its values."""
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        values = tensor.detach().cpu().contiguous().reshape(-1)
        yield f"{name} {values.dtype} {tuple(tensor.shape)}".encode()
        yield values.view(as_bytes).numpy().tobytes() if len(values) else b""


def _code(module: Any) -> Iterator[bytes]:
    """Yield what a module computes with its tensors, as far as that can be read."""
    yield repr(module).encode()
    for name, one in module.named_modules():
        plain = {key: value for key, value in vars(one).items() if isinstance(value, _PLAIN)}
        yield f"{name} {sorted(plain.items())!r}".encode()
    for source in sorted({_source(type(one)) for one in module.modules()}):
        yield source.encode()


def _source(kind: type) -> str:
    """Return the source code of a class that is none of torch's; its name where Python does not find it."""
    if kind.__module__.partition(".")[0] == "torch":
        return kind.__qualname__
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return kind.__qualname__
