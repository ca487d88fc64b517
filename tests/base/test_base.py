"""The base modules: errors, seeding, files, registry, protocol."""

from __future__ import annotations

import errno
import os
import string
from collections import ChainMap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsabench import resources, seeding
from wsabench.errors import SpecError, StorageError, UnknownNameError, is_one_slip, nearest_names, unknown_name
from wsabench.protocol import Protocol
from wsabench.registry import Registry
from wsabench.resources import expanded
from wsabench.words import counted, decimal


@pytest.mark.parametrize(
    ("number", "unit", "said"),
    [
        (0, "episode", "0 episodes"),
        (1, "episode", "1 episode"),
        (1000, "job", "1,000 jobs"),
        (2, "train seed", "2 train seeds"),
        (2, "family", "2 families"),
        (1, "family", "1 family"),
        (2, "day", "2 days"),
        (3, "more row", "3 more rows"),
    ],
)
def test_one_of_a_kind_is_not_many(number: int, unit: str, said: str) -> None:
    assert counted(number, unit) == said


def test_unknown_name_lists_the_nearest() -> None:
    error = unknown_name("game", "breakot", ["breakout", "pong"], "Run `wsabench list games`.")
    assert str(error) == "Unknown game 'breakot'. Did you mean 'breakout'? Run `wsabench list games`."


def test_unknown_name_lists_what_exists_when_nothing_is_near() -> None:
    assert str(unknown_name("game", "zzz", ["b", "a"])) == "Unknown game 'zzz'. Allowed: a, b."
    assert str(unknown_name("agent", "zzz", [])) == "Unknown agent 'zzz'. No agent is available."
    assert str(unknown_name("game", "zzz", map(chr, range(97, 112)))).endswith(", k, l and 3 more.")


def test_only_near_names_are_suggested() -> None:
    names = ["hue-rotate", "value", "gaussian-noise", "shot-noise", "invert", "contrast", "saturation"]
    assert nearest_names("hue", names) == ["hue-rotate"]
    assert nearest_names("gausian-noise", names) == ["gaussian-noise"]
    assert nearest_names("inverse", names) == ["invert"]
    assert nearest_names("brightness", names) == []
    assert nearest_names("poisson-noise", names) == []
    agents = ["ae", "cnn", "dpa", "e2e", "noop", "random", "wsa"]
    assert nearest_names("sac", agents) == []
    assert nearest_names("was", agents) == nearest_names("WSAA", agents) == ["wsa"]
    assert nearest_names("ea", agents) == ["ae"]
    assert nearest_names("noo", agents) == ["noop"]


def test_the_best_suggestion_comes_first() -> None:
    assert nearest_names("mien", ["men", "mien2", "min", "mine"]) == ["mine", "mien2", "min"]
    assert nearest_names("frame_skp", ["frame_skip", "frame_stack"]) == ["frame_skip"], "a slip beats what is alike"


LETTERS = string.ascii_lowercase[:3]


@given(st.text(LETTERS, min_size=2, max_size=4), st.text(LETTERS, min_size=2, max_size=5))
def test_one_slip_is_one_letter_more_less_other_or_exchanged(name: str, other: str) -> None:
    cuts = [(name[:place], name[place:]) for place in range(len(name) + 1)]
    slips = {start + end[1:] for start, end in cuts if end}
    slips |= {start + letter + end for start, end in cuts for letter in LETTERS}
    slips |= {start + letter + end[1:] for start, end in cuts for letter in LETTERS if end}
    slips |= {start + end[1] + end[0] + end[2:] for start, end in cuts if len(end) > 1}
    assert is_one_slip(name, other) == (other in slips - {name})


@pytest.mark.parametrize(
    ("value", "has_plus", "text"),
    [
        (0.125, False, "0.12"),
        (-0.06, False, "\u22120.06"),
        (-0.004, False, "0.00"),
        (-0.004, True, "+0.00"),
        (-1.5, True, "\u22121.50"),
        (0.31, True, "+0.31"),
    ],
)
def test_numbers_in_sentences_have_one_minus(value: float, has_plus: bool, text: str) -> None:
    assert decimal(value, has_plus=has_plus) == text


def test_a_tilde_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert expanded("~/x") == Path("/home/me/x")
    with pytest.raises(StorageError, match="no home directory that ~ could stand for"):
        expanded("~nobody-has-this-name/x")


def test_nearest_names_ignore_case() -> None:
    assert nearest_names("HUE-ROTAT", ["hue-rotate", "value"]) == ["hue-rotate"]


def test_streams_depend_on_every_name_and_on_its_type() -> None:
    seeds = {
        seeding.stream_entropy(0, "a"),
        seeding.stream_entropy(1, "a"),
        seeding.stream_entropy(0, "b"),
        seeding.stream_entropy(0, "a", 1),
        seeding.stream_entropy(0, "a", "1"),
        seeding.stream_entropy(0, "a/str:1"),
    }
    assert len(seeds) == 6


def test_streams_are_stable() -> None:
    # A change here changes every published table: raise the engine version with it.
    assert seeding.evaluation_seed("breakout", 0) == 205842738
    first = seeding.generator(3, "noop").integers(0, 1000, 4)
    assert np.array_equal(first, seeding.generator(3, "noop").integers(0, 1000, 4))


def test_training_and_evaluation_seeds_are_disjoint() -> None:
    evaluation = {seeding.evaluation_seed("pong", episode) for episode in range(500)}
    training = {seeding.training_seed(seed, "lane", lane) for seed in range(20) for lane in range(25)}
    assert len(evaluation) == 500
    assert len(training) == 500
    assert all(seed % 2 == 0 for seed in evaluation)
    assert all(seed % 2 == 1 for seed in training)


def test_atomic_path_keeps_the_old_file_when_the_disk_is_full(tmp_path: Path) -> None:
    target = tmp_path / "table.txt"
    target.write_text("old")

    def write() -> None:
        with resources.atomic_path(target) as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(StorageError, match=r"Cannot write .*table\.txt: No space left on device\. Free space"):
        write()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["table.txt"]


def test_atomic_path_leaves_nothing_when_the_block_fails(tmp_path: Path) -> None:
    def write() -> None:
        with resources.atomic_path(tmp_path / "table.txt"):
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_write_text_replaces(tmp_path: Path) -> None:
    resources.write_text(tmp_path / "a", "1")
    resources.write_text(tmp_path / "a", "2")
    assert (tmp_path / "a").read_text() == "2"


def test_files_get_the_mode_of_ordinary_files(tmp_path: Path) -> None:
    (tmp_path / "ordinary").write_text("")
    with resources.atomic_path(tmp_path / "a") as temporary:
        temporary.unlink()
        temporary.touch(mode=0o600)
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_unwritable_places_are_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Cannot create the folder"):
        resources.make_dir(tmp_path / "file" / "below")


def test_missing_data_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSABENCH_DATA", str(tmp_path))
    with pytest.raises(StorageError, match="data folder 'baselines' was not found"):
        resources.data_dir("baselines")


def test_state_dir_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WSABENCH_HOME", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert resources.state_dir() == tmp_path / "wsabench"
    monkeypatch.setenv("WSABENCH_HOME", str(tmp_path / "here"))
    assert resources.state_dir() == tmp_path / "here"


def test_a_registry_is_a_mapping() -> None:
    registry: Registry[int] = Registry("thing", "Run `list`.")
    registry.add("one", 1)
    assert registry.get("one") == 1
    assert registry.get("two") is None
    assert registry.get("two", 2) == 2
    assert ChainMap({"two": 2}, registry)["one"] == ChainMap(registry, {"one": 7})["one"] == 1
    assert ChainMap(registry, {"two": 2})["two"] == 2
    assert ("one" in registry, "two" in registry, 3 in registry) == (True, False, False)
    assert registry == {"one": 1}
    assert list(registry.items()) == [("one", 1)]
    with pytest.raises(UnknownNameError) as caught:
        registry["two"]
    assert isinstance(caught.value, KeyError)
    assert str(caught.value) == "Unknown thing 'two'. Allowed: one. Run `list`."


def test_registry_refuses_a_second_item_of_the_same_name() -> None:
    registry: Registry[int] = Registry("thing")
    registry.add("one", 1)
    assert registry["one"] == 1
    assert list(registry) == ["one"]
    assert "two" not in registry
    with pytest.raises(SpecError, match="registered twice"):
        registry.add("one", 2)
    with pytest.raises(UnknownNameError, match="Unknown thing 'on'"):
        registry["on"]


def test_named_protocols() -> None:
    assert Protocol.evaluation() == Protocol()
    assert Protocol.training().episodic_life
    assert Protocol.training().clip_rewards
    machado = Protocol.machado()
    assert (machado.sticky_probability, machado.noop_max, machado.max_frames) == (0.25, 0, 18_000)


def test_starts_that_the_no_ops_leave_to_chance() -> None:
    assert (Protocol().num_starts, Protocol.named("sb3").num_starts) == (31, 30)
    assert (Protocol(noop_max=0).num_starts, Protocol(noop_max=0, start="steps").num_starts) == (1, 1)
    # The coupon collector: 3 starts take 3 (1 + 1/2 + 1/3) draws on average.
    assert Protocol(noop_max=2).episodes_for_all_starts == 6
    drawn = np.random.default_rng(0).integers(0, 31, (400, 600))
    needed = [1 + max(int(np.argmax(row == start)) for start in range(31)) for row in drawn]
    assert Protocol().episodes_for_all_starts == 125 == pytest.approx(np.mean(needed), abs=6)


def test_protocol_round_trip() -> None:
    protocol = Protocol(noop_max=3, action_selection="greedy")
    assert Protocol.from_dict(protocol.to_dict()) == protocol
    with pytest.raises(UnknownNameError, match=r"Unknown protocol field 'noop_maxx'\. Did you mean 'noop_max'"):
        Protocol.from_dict({"noop_maxx": 3})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("frame_skip", 0, "integers from 1"),
        ("frame_skip", True, "integers from 1"),
        ("stall_steps", -1, "integers from 0"),
        ("sticky_probability", 1.01, "numbers from 0 to 1"),
        ("sticky_probability", -0.01, "numbers from 0 to 1"),
        ("clip_rewards", 1, "true or false"),
        ("action_selection", "best", "sampled, greedy"),
    ],
)
def test_protocol_ranges(field: str, value: object, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Protocol(**{field: value})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("field", "value"), [("frame_skip", 1), ("stall_steps", 0), ("sticky_probability", 1.0)])
def test_protocol_boundaries_are_allowed(field: str, value: float) -> None:
    assert getattr(Protocol(**{field: value}), field) == value  # pyright: ignore[reportArgumentType]


def test_only_what_is_written_inside_is_told_as_a_failed_write(tmp_path: Path) -> None:
    told = pytest.raises(StorageError, match=r"Cannot write .*place: No space left on device\. Free space")
    with told, resources.writing(tmp_path / "place"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(SpecError, match="ours"), resources.writing(tmp_path / "place"):
        raise SpecError("ours")
