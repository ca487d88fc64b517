"""The one list of differences between two manifests, and what resuming, merging and the gate make of each kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as replaced
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from msgspec.structs import replace
from result_fixture import ENCODERS, VERSIONS, agent_entry, changed, write_result_set

from wsabench.errors import ResultSetError
from wsabench.gate.comparability import require_comparable
from wsabench.protocol import Protocol
from wsabench.results import ResultSet, load_result
from wsabench.results.comparing import ABSENT, Kind, differences, listed, shortened
from wsabench.results.manifest import (
    Manifest,
    OwnPlayEntry,
    PrecisionEntry,
    RecordedPlan,
    ReferenceScores,
    SkippedEntry,
    SuiteEntry,
)
from wsabench.results.merging import check_compatible
from wsabench.results.provenance import UNHASHED
from wsabench.results.store import check_same_run

CELLS = (("clean", None), ("hue-rotate", 3))
HASHES = {"breakout": {"clean": "c", "hue-rotate@3": "h"}}
OWN = OwnPlayEntry(content_hash="o", steps=120, episodes=1)
SKIPPED = SkippedEntry(agent="wsa", game="breakout", perturbations=("drop-sr",), reason="It needs sr.")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> ResultSet:
    path = tmp_path_factory.mktemp("comparing") / "run"
    options: dict[str, Any] = {"agents": ("wsa",), "train_seeds": (0,), "cells": CELLS, "episodes": 2}
    return load_result(write_result_set(path, **options, perturbation_hashes=HASHES, skipped=(SKIPPED,)))


def is_allowed(check: Callable[..., object], *arguments: object) -> bool:
    try:
        check(*arguments)
    except ResultSetError:
        return False
    return True


def agents(**facts: Any) -> dict[str, Any]:
    return {"agents": (agent_entry("wsa", encoders=ENCODERS, **facts),)}


def other_fingerprints(plan: RecordedPlan) -> dict[str, Any]:
    return {"jobs": tuple(replace(job, fingerprint="other") for job in plan.jobs)}


CASES: list[tuple[dict[str, Any] | Callable[[RecordedPlan], dict[str, Any]], Kind, str, str]] = [
    # Changes, the kind of the first difference, its place, and who allows it: resuming, merging, the gate.
    (
        {"suite": SuiteEntry(name="b", summary="Colour shifts", content_hash="5" * 64)},
        "suite name",
        "plan.suite.name",
        "m",
    ),
    (
        {"suite": SuiteEntry(name="color-shift", summary="b", content_hash="5" * 64)},
        "words",
        "plan.suite.summary",
        "rmg",
    ),
    (
        {"suite": SuiteEntry(name="color-shift", summary="Colour shifts", content_hash="b")},
        "suite",
        "plan.suite.content_hash",
        "",
    ),
    ({"profile": "b"}, "profile", "plan.profile", "mg"),
    ({"protocol": Protocol(noop_max=0)}, "protocol", "plan.protocol.noop_max", ""),
    ({"seed": 1}, "seed", "plan.seed", "g"),
    ({"episodes": 3}, "episodes", "plan.episodes", "g"),
    (
        {"precision": PrecisionEntry(half_width=0.1, target="cell", pilot_episodes=5, max_episodes=10)},
        "episodes",
        "plan.precision",
        "g",
    ),
    ({"games": ("breakout", "pong")}, "extent", "plan.games", "mg"),
    ({"perturbations": ("clean", "hue-rotate@3", "invert")}, "extent", "plan.perturbations", "mg"),
    (
        {"perturbation_hashes": {"breakout": {"clean": "c", "hue-rotate@3": "b"}}},
        "definition",
        "plan.perturbation_hashes.breakout.hue-rotate@3",
        "",
    ),
    ({"effects": {"breakout": {"hue-rotate@3": 9.0}}}, "effect", "plan.effects.breakout.hue-rotate@3", "rmg"),
    ({"refused": {"breakout": ("invert",)}}, "left out", "plan.refused.breakout.invert", "mg"),
    ({"misfits": {"breakout": {"mode-4": "no such mode"}}}, "left out", "plan.misfits.breakout.mode-4", "mg"),
    ({"skipped": ()}, "left out", "plan.skipped", "mg"),
    ({"skipped": (replace(SKIPPED, reason="b"),)}, "words", "plan.skipped", "rmg"),
    (
        {"reference_scores": {"breakout": ReferenceScores(random=1.7, human=31.0)}},
        "reference",
        "plan.reference_scores.breakout.human",
        "",
    ),
    (agents(source="elsewhere.safetensors"), "words", "plan.agents.source", "rmg"),
    (agents(own_play=OWN), "own play", "plan.agents.own_play", "rmg"),
    (agents(checkpoint_hash="b"), "checkpoint", "plan.agents.checkpoint_hash", "g"),
    ({"engine_version": 2}, "engine", "plan.engine_version", ""),
    ({"versions": {**VERSIONS, "numpy": "1.1"}}, "version", "plan.versions.numpy", "mg"),
    ({"versions": {**VERSIONS, "ale-py": "0.13"}}, "version", "plan.versions.ale-py", "g"),
    ({"versions": {**VERSIONS, "torch": "2.13.0+cpu"}}, "build", "plan.versions.torch", "mg"),
    ({"versions": {**VERSIONS, "numba": "unknown"}}, "unrecorded", "plan.versions.numba", "mg"),
    ({"packages": {**VERSIONS, "wsabench": "9"}}, "package", "history.starts.versions.wsabench", "rmg"),
    ({"roms": {"breakout": "b"}}, "rom", "plan.roms.breakout", ""),
    (other_fingerprints, "fingerprint", "plan.jobs.fingerprint", "rg"),
]


def other(base: ResultSet, changes: Any) -> Manifest:
    return changed(base.manifest, **(changes(base.manifest.plan) if callable(changes) else changes))


@pytest.mark.parametrize(("changes", "kind", "path", "allowed"), CASES, ids=[f"{case[1]} {case[2]}" for case in CASES])
def test_each_kind_is_found_where_it_is_and_allowed_by_whom(
    base: ResultSet, changes: Any, kind: str, path: str, allowed: str
) -> None:
    second = replaced(base, manifest=other(base, changes))
    found = differences(base.manifest, second.manifest)
    assert {(one.kind, one.path) for one in found} == {(kind, path)}
    assert [(one.second, one.first) for one in found] == [
        (one.first, one.second) for one in differences(second.manifest, base.manifest)
    ]
    by = {
        "r": is_allowed(check_same_run, base.manifest, second.manifest, Path("run")),
        "m": is_allowed(check_compatible, base, second),
        "g": is_allowed(require_comparable, second, base),
    }
    assert "".join(who for who, is_fine in by.items() if is_fine) == allowed


def test_every_kind_and_every_field_of_the_plan_is_among_the_cases() -> None:
    assert {case[1] for case in CASES} == {*get_args(Kind)} - {"unhashed"}  # a test of its own
    fields = {case[2].split(".")[1] for case in CASES if case[2].startswith("plan.")}
    assert fields == {field.name for field in msgspec.structs.fields(RecordedPlan)}


def test_equal_manifests_and_other_orders_do_not_differ(base: ResultSet) -> None:
    plan = base.manifest.plan
    turned = changed(base.manifest, perturbations=plan.perturbations[::-1], jobs=plan.jobs[::-1])
    assert differences(base.manifest, base.manifest) == differences(base.manifest, turned) == ()


def test_what_one_side_lacks_is_said_so(base: ResultSet) -> None:
    manifest = changed(base.manifest, perturbations=("clean",), jobs=base.manifest.plan.jobs[:1])
    found = differences(base.manifest, manifest)
    assert [one.between("there", "here") for one in found] == [
        "perturbation hue-rotate@3 is only there",
        "job wsa (train seed 0) on breakout, hue-rotate@3 is only there",
    ]
    assert all(one.second is ABSENT and not one.is_of_both for one in found)
    assert differences(manifest, base.manifest)[0].between("there", "here") == "perturbation hue-rotate@3 is only here"


def test_an_agent_without_a_hash_may_have_changed(base: ResultSet) -> None:
    manifest = other(base, agents(checkpoint_hash=UNHASHED))
    (one,) = differences(manifest, changed(manifest, **other_fingerprints(manifest.plan)))
    assert (one.kind, one.between("there", "here")) == (
        "unhashed",
        "wsa (train seed 0) on breakout has no hash, so it may have changed",
    )
    assert is_allowed(check_same_run, manifest, manifest, Path("run"))  # its jobs are played again
    unhashed = replaced(base, manifest=manifest)
    assert not is_allowed(check_compatible, unhashed, unhashed)


def test_a_checkpoint_explains_the_fingerprints(base: ResultSet) -> None:
    manifest = changed(other(base, agents(checkpoint_hash="b")), **other_fingerprints(base.manifest.plan))
    assert [one.kind for one in differences(base.manifest, manifest)] == ["checkpoint"]


def test_texts_are_shortened_in_one_way() -> None:
    assert shortened("a" * 60) == "a" * 60
    assert shortened("a" * 61) == "a" * 16 + "..."
    assert (shortened(None), shortened(0.5), shortened(OWN)[:16]) == ("null", "0.5", '{"content_hash":')
    assert listed(range(6)) == "0, 1, 2, 3, 4, 5"
    assert listed(range(8), "; ") == "0; 1; 2; 3; 4; 5; and 2 more"
