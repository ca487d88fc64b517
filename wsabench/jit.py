"""Compiling loops to machine code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar, cast

from numba import njit
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.serialize import loads

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R], signature: str | None = None, *, nogil: bool = True) -> Callable[P, R]:
    """Compile to machine code, kept between processes where any folder for it can be written.

    The first call in a process loads the code from numba's cache, or compiles for seconds. With a signature that is
    done at once.

    Args:
        function: A function that numba can compile.
        signature: The only types it is called with, as numba writes them; None for those of each call.
        nogil: Whether other threads run meanwhile.
    """
    made: Any = njit(nogil=nogil)(function)
    if made is not function:  # else NUMBA_DISABLE_JIT is set
        with suppress(RuntimeError):  # numba found no folder for its cache
            made._cache = _Cache(function)
        if signature is not None:
            made.compile(signature)
            made.disable_compile()
    return cast("Callable[P, R]", made)


class _Cache(FunctionCache):
    """Numba's cache of machine code in files, which a run can do without: what is damaged is compiled anew."""

    def __init__(self, function: Any) -> None:
        """Name the files of a function."""
        super().__init__(function)
        file: Any = self._cache_file
        self._cache_file = _SealedFile(file._cache_path, self._impl.filename_base, file._source_stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return what is kept for a signature; None where nothing is, or nothing that can be read."""
        with suppress(Exception):  # Python reads rubbish as a pickle, which may raise anything
            return super().load_overload(sig, target_context)
        try:
            self.flush()
        except OSError:
            self.disable()
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled, if it can be written."""
        with suppress(OSError):
            super().save_overload(sig, data)


class _SealedFile(IndexDataCacheFile):
    """Keeps each piece of machine code with its SHA-256: LLVM ends the process where the code is damaged."""

    def save(self, key: Any, data: Any) -> None:
        """Keep a piece."""
        content: bytes = self._dump(data)
        super().save(key, (hashlib.sha256(content).digest(), content))

    def load(self, key: Any) -> Any:
        """Return a piece; None where there is none.

        Raises:
            ValueError: It is damaged, or was kept without a hash.
        """
        kept = super().load(key)
        if kept is None:
            return None
        digest, content = kept
        if hashlib.sha256(content).digest() != digest:
            raise ValueError("the code is damaged")
        return loads(content)
