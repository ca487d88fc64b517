"""Policies made elsewhere: callables, objects, importable names."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wsabench.agents import WrappedPolicy, load_policy, wrap_policy
from wsabench.agents.foreign import guarded
from wsabench.errors import OwnCodeError, ShapeError, SpecError, UnknownNameError
from wsabench.perturb.encoder.masks import DropEncoders
from wsabench.types import Abilities, Decision, EncoderOperation, LaneBatch, Policy

STACKS = np.zeros((3, 4, 84, 84), np.uint8)


def lanes(*operations: EncoderOperation) -> LaneBatch:
    return LaneBatch(
        ids=np.arange(3),
        generators=tuple(np.random.default_rng(lane) for lane in range(3)),
        episode_starts=np.zeros(3, np.bool_),
        encoder_operations=(operations, (), ()),
    )


def always_two(observations: np.ndarray) -> list[int]:
    return [2] * len(observations)


class Counter:
    name = "counter"

    def act(self, observations: np.ndarray, lanes: LaneBatch) -> np.ndarray:
        return lanes.ids.astype(np.uint8)


def test_a_callable_becomes_a_policy() -> None:
    policy = wrap_policy(always_two)
    assert isinstance(policy, Policy)
    assert policy.abilities.name == "always_two"
    assert policy.act(STACKS, lanes()).actions.tolist() == [2, 2, 2]


def test_an_object_with_act_keeps_its_name() -> None:
    policy = wrap_policy(Counter())
    assert policy.abilities.name == "counter"
    assert policy.act(STACKS, lanes()).actions.dtype == np.int64


def test_wrapping_twice_changes_nothing() -> None:
    policy = wrap_policy(always_two, name="two")
    assert wrap_policy(policy) is policy
    assert isinstance(policy, WrappedPolicy)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([0, 1], r"'bad' answered int64 of shape \(2,\) for 3 observations. Allowed: integers, shape \(3,\)"),
        ([0.0, 1.0, 2.0], r"answered float64 of shape \(3,\)"),
        ([[0, 1, 2]], r"shape \(1, 3\)"),
        ([0, -1, 2], r"answered action -1. Allowed: indices from 0"),
        ([[0], [1, 2]], r"something that is no array"),
    ],
)
def test_wrong_answers_are_refused(answer: Any, message: str) -> None:
    policy = wrap_policy(lambda observations: answer, name="bad")
    with pytest.raises(SpecError, match=message):
        policy.act(STACKS, lanes())


class Telling:
    """Answers a decision; says what it can do, and its version beside it."""

    version, train_seed = "3", 7

    def __init__(self, attends_to: tuple[str, ...], **told: Any) -> None:
        self.abilities = Abilities(name="telling", batch_size=8, attends_to=attends_to)
        self.told = told

    def act(self, observations: np.ndarray, lanes: LaneBatch) -> Decision:
        return Decision(np.zeros(len(observations), np.int64), **self.told)


def test_abilities_are_read_once_and_filled_up_from_other_attributes() -> None:
    can = wrap_policy(Telling(("sr",)), origin="its.module:Telling").abilities
    assert (can.name, can.train_seed, can.batch_size, can.attends_to, can.inputs) == ("telling", 7, 8, ("sr",), ())
    assert can.checkpoint_hash == hashlib.sha256(b"its.module:Telling@3").hexdigest()
    bare = wrap_policy(always_two).abilities
    assert (bare.name, bare.checkpoint_hash, bare.batch_size) == ("always_two", None, None)


def test_a_decision_is_passed_on_as_float32() -> None:
    weights, values = np.full((3, 2), 0.5), [1, 2, 3]
    told = wrap_policy(Telling(("sr", "oke"), attention=weights, values=values)).act(STACKS, lanes())
    assert told.attention is not None
    assert told.values is not None
    assert (told.attention.dtype, told.values.dtype) == (np.float32, np.float32)
    assert told.attention.tolist() == weights.tolist()
    assert told.values.tolist() == values


@pytest.mark.parametrize(
    ("attends_to", "told", "message"),
    [
        (("sr", "oke"), {}, r"'telling' answered attention of shape \(\)\. .* shape \(3, 2\)"),
        (("sr", "oke"), {"attention": np.ones((3, 3))}, r"attention of shape \(3, 3\)"),
        ((), {"attention": np.ones((3, 2))}, r"attention of shape \(3, 2\)\. .* shape \(3, 0\)"),
        ((), {"values": np.ones(2)}, r"values of shape \(2,\)"),
    ],
)
def test_a_decision_of_another_shape_is_refused(attends_to: tuple[str, ...], told: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        wrap_policy(Telling(attends_to, **told)).act(STACKS, lanes())


def test_abilities_of_another_type_are_refused() -> None:
    policy = Counter()
    policy.abilities = {"attends_to": ["sr"]}  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(SpecError, match=r"`abilities` of .*:Counter is a dict\. Allowed: `wsabench.Abilities`"):
        wrap_policy(policy)


def test_encoder_operations_are_refused() -> None:
    policy = wrap_policy(always_two)
    with pytest.raises(SpecError, match="'always_two' has no encoders that could be changed"):
        policy.act(STACKS, lanes(DropEncoders(("sr",))))


@pytest.mark.parametrize(("thing", "message"), [(3, "3 is not a policy"), (Counter, "Counter is a class")])
def test_what_is_no_policy_is_refused(thing: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        wrap_policy(thing)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_policies.py").write_text(
        "class Left:\n    def act(self, observations, lanes):\n        return [3] * len(observations)\n"
        "def stay(observations):\n    return [0] * len(observations)\n"
    )
    (tmp_path / "broken_policies.py").write_text("from own_policies import nothing\n")
    monkeypatch.syspath_prepend(tmp_path)
    return "own_policies"


def test_policies_are_imported_by_name(module: str) -> None:
    assert wrap_policy(load_policy("own_policies:stay")).act(STACKS, lanes()).actions.tolist() == [0, 0, 0]
    assert wrap_policy(load_policy("own_policies:Left")).act(STACKS, lanes()).actions.tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    ("reference", "error", "message"),
    [
        ("own_policies", SpecError, r"does not name a policy. Write package.module:attribute"),
        ("own_policys:stay", UnknownNameError, r"Cannot import 'own_policys'.*PYTHONPATH"),
        ("own_policies.py:stay", UnknownNameError, r"Write the module's name, not its file's: own_policies:stay\."),
        ("own_policies:stey", UnknownNameError, r"no attribute 'stey'. Did you mean 'stay'"),
        ("broken_policies:stay", SpecError, r"Importing 'broken_policies' .* failed"),
    ],
)
def test_wrong_references_are_explained(module: str, reference: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load_policy(reference)


def test_the_place_of_a_syntax_error_is_in_the_file_that_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unclosed_policy.py").write_text("import numpy\n\nvalues = (1,\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SpecError, match=r"SyntaxError: .* \(.*unclosed_policy\.py, line 3\)\. Give it"):
        load_policy("unclosed_policy:policy")


def test_a_model_with_predict_is_told_what_to_give() -> None:
    class Model:
        def predict(self, observations: np.ndarray) -> tuple[np.ndarray, None]:
            return np.zeros(len(observations), np.int64), None

    with pytest.raises(SpecError, match=r"It has `predict`: give a function that returns predict\(observations\)\[0\]"):
        wrap_policy(Model())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forks beside threads
def test_a_module_that_leaves_the_process_when_it_is_imported_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But what it forks may end as ever."""
    forking = "import os\nif (child := os.fork()) == 0:\n    os._exit(7)\nassert os.waitpid(child, 0)[1] >> 8 == 7\n"
    (tmp_path / "leaving_policy.py").write_text(f"{forking}os._exit(0)\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    before = os._exit
    with pytest.raises(SpecError, match=r"'leaving_policy:act' ended the program \(SystemExit: os\._exit\(0\)\)"):
        load_policy("leaving_policy:act")
    assert os._exit is before


def test_an_interrupt_that_an_agent_raises_is_its_failure_where_nobody_can_interrupt() -> None:
    """Worker processes leave Ctrl-C to their parent."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(SpecError, match="The agent 'mine' failed: KeyboardInterrupt"), guarded("mine"):
            raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt), guarded("mine"):
        raise KeyboardInterrupt
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            'Error(s) in loading state_dict for Net:\n\tMissing key(s): "a.w".\n\tUnexpected key(s): "b".',
            'RuntimeError: Error(s) in loading state_dict for Net: Missing key(s): "a.w". / Unexpected key(s): "b".',
        ),
        ("\n  one\n\n  two\n", "RuntimeError: one / two"),
        ("", "RuntimeError"),
        ("much " * 200 + "\nat last", f"RuntimeError: {('much ' * 80)[:379].rstrip()} ... at last"),
    ],
)
def test_all_lines_of_what_an_agent_raises_are_told_the_first_ones_first(message: str, told: str) -> None:
    with pytest.raises(OwnCodeError) as failed, guarded("mine", " on pong, step 3"):
        raise RuntimeError(message)
    assert str(failed.value).startswith(f"The agent 'mine' failed on pong, step 3: {told} ({__file__}, line ")


def test_of_a_syntax_error_the_last_line_says_what_it_is() -> None:
    with pytest.raises(OwnCodeError) as failed, guarded("mine"):
        compile("a = (\n", "theirs.py", "exec")
    assert str(failed.value).startswith(
        "The agent 'mine' failed: SyntaxError: '(' was never closed (theirs.py, line 1)"
    )
