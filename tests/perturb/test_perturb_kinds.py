"""One definition of a kind: parameters from annotations, summary from the docstring, stage from what is decorated."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from wsabench.errors import SpecError
from wsabench.games import Game, load_game
from wsabench.perturb import ConsoleStage, Kind, Range, kind, names
from wsabench.perturb.catalogue import KINDS
from wsabench.perturb.encoder.masks import DropEncoders
from wsabench.perturb.kinds import Names, Probability
from wsabench.perturb.stages import ColorStage, ControlStage, EncoderStage, ImageStage

DOCS = Path(__file__).resolve().parents[2] / "docs"


@dataclass(frozen=True)
class Late:
    """Come late.

    By `steps` steps,
    each 4 frames.

    Raises:
        SpecError: Never.
    """

    steps: Annotated[int, Range(0, 9)]
    share: Annotated[float, Range(0, 0.5)]
    order: Literal["first", "last"]
    encoders: Annotated[tuple[str, ...], names()]
    factor: float = 1.0


def defined(definition: Any, **options: Any) -> Kind:
    found: dict[str, Kind] = {}
    assert kind("own.kind", **{"family": "dynamics", **options}, into=found)(definition) is definition
    return found["own.kind"]


def test_parameters_are_the_annotated_fields_with_what_is_allowed() -> None:
    found = defined(Late)
    assert {name: parameter.allowed for name, parameter in found.parameters.items()} == {
        "steps": "integers 0 to 9",
        "share": "numbers 0 to 0.5",
        "order": "one of first, last",
        "encoders": "a list of different names",
    }
    steps, share = found.parameters["steps"], found.parameters["share"]
    assert [steps.is_valid(value) for value in (-1, 0, 9, 10, 1.5, True)] == [False, True, True, False, False, False]
    assert [share.is_valid(value) for value in (-0.1, 0, 0.5, 0.6, "x")] == [False, True, True, False, False]
    assert share.normalise(0) == 0.0
    assert isinstance(share.normalise(0), float)


def test_the_summary_is_the_docstring_up_to_its_first_section() -> None:
    found = defined(Late, source="nobody 1999")
    assert found.summary == "Come late. By `steps` steps, each 4 frames."
    assert found.description == "Come late. By `steps` steps, each 4 frames. Source: nobody 1999."
    assert defined(Late).description == found.summary


def test_a_class_is_built_with_its_parameters() -> None:
    built: Any = defined(Late).build(load_game("pong"), steps=2, share=0.5, order="last", encoders=("a",))
    assert built == Late(2, 0.5, "last", ("a",))


def test_a_function_of_the_game_is_asked_for_the_stage() -> None:
    def for_game(game: Game, value: Annotated[int, Range(0, 3)]) -> ConsoleStage:
        return ConsoleStage(mode=value + len(game.id))

    assert defined(for_game).build(load_game("pong"), value=2) == ConsoleStage(mode=6)


def test_operators_become_stages() -> None:
    def darken(rgb: np.ndarray, by: Probability) -> np.ndarray:
        return (rgb * (1 - by)).astype(np.uint8)

    def flip(image: np.ndarray) -> np.ndarray:
        return image[::-1]

    stage: Any = defined(darken).build(load_game("pong"), by=0.5)
    assert isinstance(stage, ColorStage)
    assert stage(np.full((256, 3), 100, np.uint8))[0].tolist() == [50, 50, 50]
    stage = defined(flip).build(load_game("pong"))
    assert isinstance(stage, ImageStage)
    state = stage.start_image(np.random.default_rng(0), (2, 1))
    assert state.apply(np.array([[1], [2]], np.uint8)).tolist() == [[2], [1]]


def test_an_encoder_operation_becomes_a_stage() -> None:
    def drop(encoders: Names) -> DropEncoders:
        return DropEncoders(encoders)

    for definition in (drop, DropEncoders):
        assert defined(definition).build(load_game("pong"), encoders=("sr",)) == EncoderStage(DropEncoders(("sr",)))


def test_what_is_no_definition_is_refused() -> None:
    def unknown(rgb: np.ndarray, by: float) -> np.ndarray:
        return rgb

    with pytest.raises(
        SpecError, match=r"own.kind': the parameter 'by' does not say what is allowed. Allowed: an anno"
    ):
        defined(unknown)
    with pytest.raises(SpecError, match=r"own.kind': the family is ''. Allowed: color, corruption, dynamics, encoder"):
        defined(Late, family="")
    with pytest.raises(SpecError, match=r"own.kind' of .*test_perturb_kinds: `into` is missing. Allowed: a dictionary"):
        kind("own.kind", family="color")(Late)
    with pytest.raises(SpecError, match=r"own.kind' is defined twice. Choose another name"):
        kind("own.kind", family="color", into={"own.kind": defined(Late)})(Late)
    assert "own.kind" not in KINDS


def test_every_kind_says_what_it_does() -> None:
    for name, one in KINDS.items():
        assert re.match(r"[A-Z].*\.$", one.summary), name
        assert "Args:" not in one.summary
        assert not one.source.endswith("."), name


def test_the_worked_example_of_the_docs_works(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (DOCS / "adding-a-perturbation.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    module: Any = ModuleType("halving")
    monkeypatch.setitem(sys.modules, "halving", module)
    exec(text, module.__dict__)
    kinds, pong = module.EXTENSION.kinds, load_game("pong")
    skip: Any = kinds["halving.skip"].build(pong, less=3)
    assert isinstance(skip, ControlStage)
    assert skip.start_control(np.random.default_rng(0), 6).transmit([2, 2, 2, 2]) == [2]
    dim: Any = kinds["halving.dim"].build(pong, factor=0.5)
    assert dim(np.full((256, 3), 100, np.uint8))[0].tolist() == [50, 50, 50]
    assert kinds["halving.dim"].parameters["factor"].allowed == "numbers 0 to 1"
