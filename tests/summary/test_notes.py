"""What the caveats say about train seeds that are no training runs of their own."""

from __future__ import annotations

import pytest
from result_fixture import agent_entry, made_manifest

from wsabench.results.provenance import UNHASHED
from wsabench.summary.notes import notes_of

ONE, OTHER = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("hashes", "sources", "said"),
    [
        (
            (ONE, OTHER, ONE),
            ("sb3:0.zip", "sb3:1.zip", "sb3:2.zip"),
            ["mine on pong: train seeds 0, 2 are the same file"],
        ),
        ((ONE, OTHER), ("sb3:0.zip", "sb3:1.zip"), []),
        ((ONE, ONE), ("python:mine:make", "python:mine:make"), []),
        ((UNHASHED, UNHASHED), ("mine:first", "mine:second"), []),
    ],
)
def test_copies_of_one_file_under_several_train_seeds_are_said(
    hashes: tuple[str, ...], sources: tuple[str, ...], said: list[str]
) -> None:
    agents = tuple(
        agent_entry("mine", seed, "pong", checkpoint_hash=content, source=source)
        for seed, (content, source) in enumerate(zip(hashes, sources, strict=True))
    )
    other = agent_entry("other", 5, "pong", checkpoint_hash=hashes[0], source="sb3:other.zip")
    notes = notes_of([], [], [], made_manifest(agents=(*agents, other)))
    assert [note.partition(" (")[0] for note in notes] == said
