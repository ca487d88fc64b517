"""Entries of the leaderboard: what `submit` writes is read again, and what cannot be true is refused in one message."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

from wsabench.cli import main
from wsabench.errors import ResultSetError, SpecError, StorageError
from wsabench.leaderboard import entry as entries
from wsabench.leaderboard.checking import schema_hash
from wsabench.leaderboard.entry import as_result, entry_text, link_of, read_entry, write_entry
from wsabench.leaderboard.schema import SCHEMA_VERSION, Entry
from wsabench.results import load_result
from wsabench.results.tables import EPISODE_SCHEMA
from wsabench.seeding import evaluation_seed
from wsabench.summary.rows import is_table
from wsabench.summary.summarise import summarise

Changed = Callable[..., Path]


def test_the_fields_belong_to_the_schema_version() -> None:
    """A change of any field raises `SCHEMA_VERSION`, so that no reader takes one meaning for the other."""
    assert (SCHEMA_VERSION, schema_hash()) == (1, "723cb2c88f6a1498")


def test_an_entry_is_read_as_it_was_written(entry_files: dict[str, Path], tmp_path: Path) -> None:
    for path in entry_files.values():
        entry = read_entry(path)
        write_entry(tmp_path / "again.json", entry)
        assert (tmp_path / "again.json").read_bytes() == path.read_bytes() == entry_text(entry).encode()
    lines = entry_files["e2e"].read_text(encoding="utf-8").splitlines()
    assert sum(line.strip().startswith('"returns": [') for line in lines) == len(read_entry(entry_files["e2e"]).jobs)


def test_the_episodes_are_those_of_the_run(run_dir: Path, entry_files: dict[str, Path]) -> None:
    result = as_result({name: read_entry(path) for name, path in entry_files.items()})
    order = ["agent", "train_seed", "game", "perturbation", "severity", "episode"]
    tables = [
        table.sort_values(order).reset_index(drop=True) for table in (result.episodes, load_result(run_dir).episodes)
    ]
    assert list(tables[0].columns) == EPISODE_SCHEMA.names
    pd.testing.assert_frame_equal(*tables, check_dtype=False)


def test_every_number_is_computed_from_entries_as_from_the_run(run_dir: Path, entry_files: dict[str, Path]) -> None:
    of_run = summarise(load_result(run_dir))
    of_entries = summarise(as_result({name: read_entry(path) for name, path in entry_files.items()}))
    for field in dataclasses.fields(of_run):
        rows = getattr(of_run, field.name)
        if is_table(rows):
            assert [row.columns() for row in getattr(of_entries, field.name)] == [
                pytest.approx(row.columns(), nan_ok=True) if _has_nan(row.columns()) else row.columns() for row in rows
            ], field.name
    assert of_entries.sentences == of_run.sentences


def _has_nan(values: dict[str, Any]) -> bool:
    return any(isinstance(value, float) and math.isnan(value) for value in values.values())


def test_entries_of_different_protocols_or_suites_share_no_table(entry_files: dict[str, Path]) -> None:
    one = read_entry(entry_files["e2e"])
    other = msgspec.structs.replace(one, protocol={**one.protocol, "sticky_probability": 0.25})
    with pytest.raises(SpecError, match=r"'a' and 'b' differ in protocol\. Allowed"):
        as_result({"a": one, "b": other})
    later = msgspec.structs.replace(one, suite=msgspec.structs.replace(one.suite, version=2))
    with pytest.raises(SpecError, match="differ in suite version"):
        as_result({"a": one, "b": later})
    with pytest.raises(SpecError, match="There is no entry"):
        as_result({})


def at(*keys: str | int, value: Any) -> Callable[[dict[str, Any]], object]:
    """Set one value of the JSON."""

    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


EPISODES = ("jobs", 0, "episodes")
HOSTILE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "unknown field": (at("rank", value=1), "unknown field `rank`"),
    "missing field": (lambda c: c.pop("jobs"), "missing required field `jobs`"),
    "type": (at("seed", value="0"), "Expected `int`, got `str`"),
    "bool for int": (at("seed", value=True), "Expected `int`, got `bool`"),
    "newer schema": (at("schema_version", value=2), "schema version is 2"),
    "odd schema": (at("schema_version", value="1"), "Expected `int`"),
    "unknown suite": (at("suite", "name", value="mine"), "suite.name is 'mine'"),
    "unknown version": (at("suite", "version", value=9), "needs a newer wsabench"),
    "suite hash": (at("suite", "content_hash", value="0" * 16), "suite.content_hash is"),
    "no name": (at("name", value="  "), "name is"),
    "long name": (at("name", value="x" * 81), "name is"),
    "long text": (at("notes", value="x" * 3_000), "notes is"),
    "control character": (at("paper", value="a\u0000b"), "paper is"),
    "direction mark": (at("name", value="a\u202eb"), "name is"),
    "agent": (at("agent", value="../x"), "agent is '../x'"),
    "other agent": (at("agents", 0, "agent", value="x"), r"agents[0].agent is 'x'"),
    "no agents": (at("agents", value=[]), "agents is"),
    "agent twice": (lambda c: c["agents"].append(c["agents"][0]), "each train seed and game once"),
    "unhashed": (at("agents", 0, "checkpoint_hash", value="unhashed"), "checkpoint_hash is"),
    "unknown game": (lambda c: _rename_game(c, "tetris_2"), "Unknown game"),
    "gymnasium's name": (lambda c: _rename_game(c, "ALE/Breakout-v5"), "the id of a game is"),
    "not privileged": (at("privileged", value=True), "privileged is True"),
    "not trusted": (at("trusted", value=True), "trusted is True"),
    "not external": (at("external", value=True), "external is True"),
    "time": (at("submitted", value="yesterday"), "submitted is"),
    "time without zone": (at("submitted", value="2026-01-01T00:00:00"), "submitted is"),
    "no host": (at("hosts", value=[]), "hosts is"),
    "protocol field": (at("protocol", "speed", value=3), "Unknown protocol field"),
    "protocol value": (at("protocol", "frame_skip", value="4"), "Protocol.frame_skip is '4'"),
    "protocol size": (at("protocol", "screen_size", value=10**9), "Protocol.screen_size is"),
    "view": (at("view", value={"breakout": {"noop_max": 0}}), "agents[0].view is"),
    "versions": (at("versions", value={}), "that of ale-py"),
    "references": (at("reference_scores", value={}), "reference_scores is"),
    "no jobs": (at("jobs", value=[]), "the number of jobs is 0"),
    "job twice": (lambda c: c["jobs"].append(c["jobs"][0]), "each network and perturbation once"),
    "job of nobody": (at("jobs", 0, "train_seed", value=7), "jobs of the networks"),
    "perturbation": (at("jobs", 0, "perturbation", value="hue-rotate@9"), "canonical names"),
    "path": (at("jobs", 0, "perturbation", value="../clean"), "canonical names"),
    "family": (at("jobs", 0, "family", value="color"), "family is 'color'"),
    "perturbation hash": (lambda c: c["perturbation_hashes"]["breakout"].pop("clean"), "the content hash of clean"),
    "column lengths": (lambda c: c["jobs"][0]["episodes"]["lengths"].pop(), "1 values"),
    "no episodes": (lambda c: [column.clear() for column in _columns(c)], "numbers up to"),
    "episode number": (at(*EPISODES, "first", value=-1), "numbers up to"),
    "length": (at(*EPISODES, "lengths", 0, value=0), "the length is 0"),
    "long episode": (at(*EPISODES, "lengths", 0, value=41), "the length is 41"),
    "return": (at(*EPISODES, "returns", 0, value=1e12), "the return is 1000000000000.0"),
    "end": (at(*EPISODES, "ends", 0, value="won"), "Invalid enum value 'won'"),
    "early stall": (at(*EPISODES, "ends", 0, value="stalled"), "stalled after 1000 steps"),
    "seed": (at(*EPISODES, "seeds", 0, value=4), "the episode seed is 4"),
    "root seed": (at("seed", value=1), "the episode seed is"),
    "noops": (at(*EPISODES, "noops", 0, value=-3), "noops is -3"),
    "fingerprint": (at("jobs", 0, "fingerprint", value="0" * 32), "jobs[0]: the fingerprint"),
    "other weights": (at("agents", 0, "checkpoint_hash", value="a" * 64), "jobs[0]: the fingerprint"),
    "other versions": (at("versions", "torch", value="9.9"), "jobs[0]: the fingerprint"),
    "invisible spaces": (at("name", value="The  e2e"), "single spaces between words"),
    "space behind": (at("name", value="e2e "), "single spaces between words"),
    "two ways to write it": (at("name", value="cafe\u0301"), "single spaces between words"),
    "kind": (at("agents", 0, "kind", value="magic"), "agents[0].kind is 'magic'"),
    "unknown built-in": (at("agents", 0, "kind", value="built-in"), "agents[0].source is 'e2e'"),
    "profile": (at("profile", value="quick and standard"), "runs of one profile, quick, standard"),
    "no profile": (at("profile", value=None), "the profile is None"),
    "measure": (at("suite", "measure", value="gap"), "suite.measure is 'gap'"),
    "hardest cell": (lambda c: _leave_out(c), "did not play hue-rotate@3 of smoke, profile quick"),
    "unseen cell": (lambda c: _leave_out(c, refused={"breakout": ["hue-rotate@3"]}), "did not play hue-rotate@3"),
    "misfit": (lambda c: _leave_out(c, misfits={"breakout": {"hue-rotate@3": "no"}}), "did not play hue-rotate@3"),
    "skipped": (lambda c: _leave_out(c, skipped=[_skipped("hue-rotate@3")]), "did not play hue-rotate@3"),
    "easier cell": (at("perturbation_hashes", "breakout", "hue-rotate@3", value="0" * 16), "hue-rotate@3 as it was"),
    "family of a cell": (lambda c: _job(c, "hue-rotate@3").update(family="dynamics"), "family of hue-rotate@3 is"),
    "strange cell": (lambda c: _play_another(c), "played invert, which smoke does not have"),
    "bad episodes cut off": (lambda c: [one.pop() for one in _columns(c)], "2, as in its network's other jobs"),
    "lucky episodes": (lambda c: _begin_at(c, 100), "jobs[0].episodes.first is 100"),
    "huge number": (at("seed", value=10**400), "seed is 'a huge integer'"),
}


def _columns(content: dict[str, Any]) -> list[list[Any]]:
    return [value for value in content["jobs"][0]["episodes"].values() if isinstance(value, list)]


def _job(content: dict[str, Any], perturbation: str) -> dict[str, Any]:
    return next(job for job in content["jobs"] if job["perturbation"] == perturbation)


def _leave_out(content: dict[str, Any], **excuse: Any) -> None:
    """Leave a cell out, and say why."""
    content["jobs"].remove(_job(content, "hue-rotate@3"))
    content.update(excuse)


def _skipped(perturbation: str) -> dict[str, Any]:
    return {"agent": "e2e", "game": "breakout", "perturbations": [perturbation], "reason": "It cannot."}


def _play_another(content: dict[str, Any]) -> None:
    """Put another cell in the place of one."""
    _job(content, "hue-rotate@3")["perturbation"] = "invert"
    content["perturbation_hashes"]["breakout"]["invert"] = "0" * 16


def _begin_at(content: dict[str, Any], first: int) -> None:
    """Say of all episodes that they are later ones, with the seeds that those have."""
    for job in content["jobs"]:
        columns = job["episodes"]
        columns["first"] = first
        columns["seeds"] = [evaluation_seed("breakout", first + place, 0) for place in range(len(columns["seeds"]))]


def _rename_game(content: dict[str, Any], game: str) -> None:
    """Say everything of another game."""
    for place in (*content["agents"], *content["jobs"]):
        place["game"] = game
    for name in ("reference_scores", "perturbation_hashes", "effects", "roms"):
        content[name] = dict.fromkeys([game], next(iter(content[name].values()), {}))


@pytest.mark.parametrize("case", HOSTILE)
def test_what_cannot_be_true_is_refused(case: str, changed: Changed) -> None:
    change, text = HOSTILE[case]
    path = changed(change)
    with pytest.raises(ResultSetError) as caught:
        read_entry(path)
    message = str(caught.value)
    assert message.startswith(f"{path} is no valid entry of the leaderboard: ")
    assert text in message
    assert len(message) < 700


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"[]", b"7", b'{"schema_version": NaN}', b"{" * 100_000, b"[" * 100_000, b'{"a": 1', b"null"],
)
def test_what_is_no_entry_is_refused(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(ResultSetError, match="is no valid entry of the leaderboard"):
        read_entry(path)
    assert main(["verify", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_key_that_stands_twice_is_refused(entry_files: dict[str, Path], tmp_path: Path) -> None:
    """Readers of JSON differ in which of the two they take."""
    text = entry_files["e2e"].read_text(encoding="utf-8")
    for twice in ('"name": "The e2e",', '"checkpoint": null,'):
        key = twice.split('"')[1]
        (tmp_path / "x.json").write_text(text.replace(twice, f'"{key}": "other", {twice}'), encoding="utf-8")
        with pytest.raises(ResultSetError, match=f"the key '{key}' stands twice in one object"):
            read_entry(tmp_path / "x.json")
    (tmp_path / "x.json").write_text("\ufeff" + text, encoding="utf-8")
    assert read_entry(tmp_path / "x.json") == read_entry(entry_files["e2e"])


def test_infinite_and_large_content_is_refused(
    entry_files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = entry_files["e2e"].read_text(encoding="utf-8")
    first = text.index('"returns": [') + len('"returns": [')
    (tmp_path / "x.json").write_text(text[:first] + "1e999, " + text[first:].partition(", ")[2], encoding="utf-8")
    with pytest.raises(ResultSetError, match=r"out of range|finite"):
        read_entry(tmp_path / "x.json")
    monkeypatch.setattr(entries, "MAX_BYTES", 100)
    with pytest.raises(ResultSetError, match="Allowed: entries of up to 100"):
        read_entry(entry_files["e2e"])
    with pytest.raises(StorageError, match="Cannot read the entry"):
        read_entry(tmp_path / "missing.json")
    endless = msgspec.structs.replace(msgspec.convert(json.loads(text), Entry), effects={"breakout": {"a": np.inf}})
    with pytest.raises(ResultSetError, match=r"effects\.breakout\.a is inf"):
        write_entry(tmp_path / "y.json", endless)
    assert not (tmp_path / "y.json").exists()


@pytest.mark.parametrize(
    ("text", "is_link"),
    [
        ("https://example.org/a?b=c#d", True),
        ("http://example.org", True),
        ("javascript:alert(1)", False),
        ('https://example.org/"onclick="x', False),
        ("https://example.org/<script>", False),
        ("https://a b", False),
        ("Mnih et al. 2015", False),
        (None, False),
    ],
)
def test_only_addresses_of_the_web_are_links(text: str | None, is_link: bool) -> None:
    assert link_of(text) == (text if is_link else None)
