"""Compiled loops: kept between processes, and where numba finds no folder or what it kept is damaged."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core import config

from wsabench import jit

LOOPS = """
def doubled(number):
    return 2 * number
"""
SIGNATURE = "int64(int64)"


@pytest.fixture
def doubled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], int]:
    """A function whose machine code is kept in a folder of its own."""
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "loops.py").write_text(LOOPS, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("loops", tmp_path / "loops.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.doubled


def loaded(function: Callable[[int], int], signature: str | None = None) -> int:
    """How often machine code was read from files when a function was compiled and called."""
    made: Any = jit.compiled(function, signature)
    assert made(3) == 6
    return sum(made.stats.cache_hits.values())


@pytest.mark.parametrize("signature", [None, SIGNATURE])
def test_machine_code_is_kept_and_where_it_is_damaged_compiled_anew(
    signature: str | None, doubled: Callable[[int], int], tmp_path: Path
) -> None:
    assert [loaded(doubled, signature) for _ in range(2)] == [0, 1]
    rubbish = np.random.default_rng(0)
    for chosen in ("*.nbi", "*.nbc", "*.nb?"):
        for damage in (rubbish.bytes, lambda _: b"", lambda size: kept[: size // 2]):  # noqa: B023
            files = list((tmp_path / "cache").rglob(chosen))
            assert files
            for path in files:
                kept = path.read_bytes()
                path.write_bytes(damage(len(kept)))
            assert [loaded(doubled, signature) for _ in range(2)] == [0, 1], chosen


def test_one_flipped_bit_of_machine_code_never_runs(doubled: Callable[[int], int], tmp_path: Path) -> None:
    """LLVM would end the process, or run other code: the pickle around it stays intact."""
    assert loaded(doubled) == 0
    (path,) = (tmp_path / "cache").rglob("*.nbc")
    kept, rng = path.read_bytes(), np.random.default_rng(1)
    for place in [len(kept) // 2, *rng.integers(0, len(kept), 8)]:
        damaged = bytearray(kept)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        assert [loaded(doubled) for _ in range(2)] == [0, 1], place


def test_files_that_cannot_be_read_or_replaced_are_done_without(doubled: Callable[[int], int], tmp_path: Path) -> None:
    assert loaded(doubled) == 0
    for path in (tmp_path / "cache").rglob("*.nb?"):
        path.unlink()
        path.mkdir()
    assert [loaded(doubled) for _ in range(2)] == [0, 0]


def test_without_a_folder_for_its_cache_it_is_compiled_anew(
    doubled: Callable[[int], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("cannot cache function 'f': no locator available for file 'kernel.py'")

    monkeypatch.setattr(jit, "_Cache", refuse)
    assert [loaded(doubled, signature) for signature in (None, SIGNATURE)] == [0, 0]
