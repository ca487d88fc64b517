"""Reading TOML: whatever stands in a file, it is its content or one message."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsabench.errors import SpecError
from wsabench.fields import Fields, read_toml


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * 2000 + "]" * 2000, "nested too deep. Allowed: 64 levels"),
        ("a = " + "{a = " * 2000 + "1" + "}" * 2000, "nested too deep. Allowed: 64 levels"),
        ("[" + ".".join(["a"] * 2000) + "]", "nested too deep. Allowed: 64 levels"),
        ("a = " + "9" * 4301, "not valid TOML: .*4300 digits"),
        ("a = 0x" + "f" * 9000, "an integer is out of range. Allowed: 64 bits"),
        ("a = [{b = -9223372036854775809}]", "an integer is out of range"),
        ("a = '\x00'", "not valid TOML: .*line 1"),
        ("a = '\udcff'", "not valid TOML: .*utf-8"),
    ],
)
def test_what_nothing_can_work_with_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SpecError, match=rf"hostile\.toml: .*{message}"):
        read_toml(path)


def test_a_byte_order_mark_is_skipped_and_large_values_are_read(tmp_path: Path) -> None:
    path = tmp_path / "good.toml"
    path.write_bytes(b"\xef\xbb\xbfa = [9223372036854775807, -9223372036854775808]\nb = " + b"[" * 60 + b"]" * 60)
    assert read_toml(path)["a"] == [2**63 - 1, -(2**63)]


def test_a_long_value_is_shown_by_its_beginning() -> None:
    with pytest.raises(SpecError) as refused:
        Fields({"name": "x" * 100_000}, "file").text("name", choices=("a",))
    assert "found 'xxx" in str(refused.value)
    assert len(str(refused.value)) < 300
