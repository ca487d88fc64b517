"""Who holds which episodes, and when an agent that loses its players is given up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsabench.evaluation.pool.attempts import LOSSES_ALLOWED, LOSSES_IN_ALL, Attempts
from wsabench.evaluation.rollout import EpisodeTask


def tasks(*episodes: int, job: int = 0) -> list[EpisodeTask]:
    return [EpisodeTask(job, episode, 2 * episode, "clean", ()) for episode in episodes]


def test_what_was_not_finished_comes_back_in_order() -> None:
    attempts = Attempts()
    attempts.plays(0, 3)
    attempts.takes(0, tasks(4, 5, 6))
    attempts.takes(1, tasks(7))
    attempts.finishes(0, 0, 5)
    assert (attempts.held(0), attempts.all_held, attempts.players_of(3)) == (2, 3, 1)
    loss = attempts.loses(0)
    assert (loss.contestant, list(loss.tasks), loss.is_last) == (3, tasks(4, 6), False)
    assert (attempts.held(0), attempts.all_held, attempts.players_of(3)) == (0, 1, 0)


def test_two_losses_in_a_row_are_the_last() -> None:
    attempts = Attempts()
    found = []
    for _ in range(LOSSES_ALLOWED + 1):
        attempts.plays(0, 1)
        attempts.takes(0, tasks(0))
        found.append(attempts.loses(0).is_last)
    assert found == [False] * LOSSES_ALLOWED + [True]


def test_an_episode_between_counts_the_row_anew_but_not_for_ever() -> None:
    attempts = Attempts()
    for number in range(LOSSES_IN_ALL + 1):
        attempts.plays(0, 1)
        attempts.takes(0, tasks(number, number + 1))
        attempts.finishes(0, 0, number)
        is_last = attempts.loses(0).is_last
        assert is_last == (number == LOSSES_IN_ALL)


def test_losses_of_one_agent_are_not_those_of_another() -> None:
    attempts = Attempts()
    for contestant in range(4):
        attempts.plays(0, contestant)
        assert not attempts.loses(0).is_last


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["take", "finish", "lose"])), max_size=60))
def test_no_episode_is_lost_or_doubled(moves: list[tuple[int, str]]) -> None:
    attempts, pending, done = Attempts(), tasks(*range(20)), []
    held: dict[int, list[EpisodeTask]] = {player: [] for player in range(3)}
    for player, move in moves:
        if move == "take" and pending:
            attempts.takes(player, pending[:2])
            held[player] += pending[:2]
            del pending[:2]
        elif move == "finish" and held[player]:
            done.append(held[player].pop())
            attempts.finishes(player, 0, done[-1].episode)
        elif move == "lose":
            back = list(attempts.loses(player).tasks)
            assert back == held[player]
            held[player] = []
            pending = back + pending
        assert attempts.all_held == sum(map(len, held.values()))
    assert sorted([*pending, *done, *held[0], *held[1], *held[2]]) == tasks(*range(20))


def test_players_whose_machines_went_are_not_the_fault_of_what_they_played() -> None:
    attempts = Attempts()
    for number in range(LOSSES_IN_ALL + 1):
        attempts.plays(0, 3)
        attempts.takes(0, [EpisodeTask(0, 0, 7, "clean", ())])
        loss = attempts.loses(0, is_to_blame=False)
        assert len(loss.tasks) == 1
        assert loss.is_last == (number == LOSSES_IN_ALL), "but not for ever"
