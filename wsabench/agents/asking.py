"""Whether an agent is repeatable: it is asked twice for the same, before anything is recorded."""

from __future__ import annotations

import random  # noqa: TID251  (only to see whether somebody else's policy draws from it)
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench.agents.foreign import guarded
from wsabench.errors import WsabenchError
from wsabench.seeding import generator
from wsabench.types import Actions, DeclaredPolicy, LaneBatch, Observations


class Moment(NamedTuple):
    """What lanes show in one step."""

    observations: Observations
    """One row for each lane."""
    inputs: Mapping[str, npt.NDArray[np.uint8]]
    """What the policy reads beside them, by name, with as many rows."""


class _Asked(NamedTuple):
    """What a policy answered, and what it did to the generators that all code of a process shares."""

    actions: list[Actions]
    before: tuple[Any, ...]
    after: tuple[Any, ...]


def draws_of_its_own(policy: DeclaredPolicy, moments: Sequence[Moment], game: str) -> bool:
    """Whether a policy depends on more than what its lanes tell, so that the same seeds need not give the same table.

    It is shown the same first steps of an episode twice: the same observations, `episode_starts` in the first step,
    and equal generators of the lanes. A policy that keeps to `LaneBatch` begins anew with each episode, so it answers
    alike, whatever it remembers. One that draws from Python's, NumPy's or torch's shared generators, from one of its
    own or from the clock, or that remembers more than an episode, answers otherwise; drawing from a shared generator
    is seen even where the answers are equal, because the generator has moved. The shared generators stand at different
    places in the two asks, and afterwards where they stood before.

    Args:
        policy: The policy. It moves on as by two episodes: give one that does not play, or a copy.
        moments: The steps, in order.
        game: The game's id.

    Returns:
        True where it does. False also where it fails: playing tells that with the place.
    """
    with shared_generators_kept():
        try:
            first = _ask(policy, moments, game, 1)
            if len(first.before) < len(first.after):  # it loaded torch, whose generator stood where torch puts it
                first = _ask(policy, moments, game, 1)
            second = _ask(policy, moments, game, 2)
        except WsabenchError:
            return False
    if any(not np.array_equal(one, other) for one, other in zip(first.actions, second.actions, strict=True)):
        return True
    # One that seeds a shared generator by itself leaves it at the same place both times.
    places = zip(first.before, first.after, second.after, strict=True)
    return any(after not in (before, other) for before, after, other in places)


def _ask(policy: DeclaredPolicy, moments: Sequence[Moment], game: str, number: int) -> _Asked:
    """Show a policy the steps once, with the shared generators seeded by a number."""
    _seed_shared(number)
    before, actions = _shared_places(), []
    count = len(moments[0].observations)
    generators = tuple(generator(0, "asked", lane) for lane in range(count))
    for step, moment in enumerate(moments):
        batch = LaneBatch(
            ids=np.arange(count),
            generators=generators,
            episode_starts=np.full(count, step == 0),
            encoder_operations=((),) * count,
            inputs={name: array.copy() for name, array in moment.inputs.items()},
            game=game,
        )
        with guarded(policy.abilities.name):
            actions.append(policy.act(moment.observations.copy(), batch).actions)
    return _Asked(actions, before, _shared_places())


@contextmanager
def shared_generators_kept() -> Iterator[None]:
    """Leave the generators that all code of a process shares as they were."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002  (not to draw from it)
    tensors = _tensor_generator()
    place = None if tensors is None else tensors.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
        if tensors is not None:
            tensors.set_state(place)
        elif (loaded := _tensor_generator()) is not None:  # inside: as it begins
            loaded.set_state(type(loaded)().get_state())


def _seed_shared(number: int) -> None:
    """Put the shared generators at a place."""
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002
    if (tensors := _tensor_generator()) is not None:
        tensors.manual_seed(number)


def _shared_places() -> tuple[Any, ...]:
    """Return where the shared generators stand."""
    legacy = np.random.get_state(legacy=True)  # noqa: NPY002
    places = random.getstate(), tuple(one.tobytes() if isinstance(one, np.ndarray) else one for one in legacy)
    tensors = _tensor_generator()
    return places if tensors is None else (*places, tensors.get_state().numpy().tobytes())


def _tensor_generator() -> Any:
    """Return torch's shared generator; None where nothing has loaded torch."""
    torch = sys.modules.get("torch")
    return None if torch is None else torch.default_generator
