"""Compiled loops where numba finds no folder to keep machine code in."""

from __future__ import annotations

from wsabench import jit


def test_without_a_folder_for_its_cache_it_is_compiled_anew(monkeypatch):
    asked = []

    def njit(cache=False, **options):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function 'f': no locator available for file 'kernel.py'")
        return lambda function: function

    monkeypatch.setattr(jit, "njit", njit)
    assert jit.compiled(len)("abc") == 3
    assert asked == [True, False]
