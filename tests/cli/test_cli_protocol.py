"""Options of how agents play: a named protocol with single fields."""

from __future__ import annotations

import pytest

from wsabench.cli.agent_options import chosen_protocol
from wsabench.errors import SpecError, UnknownNameError
from wsabench.protocol import Protocol


def test_a_name_fields_or_both() -> None:
    assert chosen_protocol(None) is None
    assert chosen_protocol("sb3") == Protocol.named("sb3")
    fields = {"sticky_probability": 0.25, "frame_skip": None}
    assert chosen_protocol(None, **fields) == {"sticky_probability": 0.25}
    assert chosen_protocol("stack_start=repeat,max_frames=400", **fields) == {
        "sticky_probability": 0.25,
        "stack_start": "repeat",
        "max_frames": 400,
    }
    changes = {"life_start": "go_on", "fire_on_reset": True, "sticky_probability": 0.25}
    assert chosen_protocol("sb3, life_start=go_on,fire_on_reset=true", **fields) == Protocol.named("sb3").with_changes(
        **changes
    )


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("sb4", UnknownNameError, "sb3"),
        ("sb3,cleanrl", SpecError, "--protocol names sb3 and cleanrl. Allowed: one protocol"),
        ("sb3,lifestart=go_on", UnknownNameError, "life_start"),
        ("sb3,life_start=goon", SpecError, "Allowed: go_on, restart"),
        ("sb3,fire_on_reset=True", SpecError, "Allowed: true or false"),
        ("sticky_probability=0.1", SpecError, "sticky_probability is given twice"),
        ("", UnknownNameError, "protocol"),
    ],
)
def test_bad_words_are_refused(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        chosen_protocol(text, sticky_probability=0.25)
