"""Who gets which episodes, and when a job counts as finished."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from wsabench.errors import WorkerError
from wsabench.evaluation.contestants import Contestant
from wsabench.evaluation.plan import Plan
from wsabench.evaluation.pool.board import TaskBoard
from wsabench.evaluation.progress import SilentReporter
from wsabench.evaluation.rollout import EpisodeTask
from wsabench.protocol import Protocol
from wsabench.results.records import EpisodeOutcome, Job
from wsabench.types import Abilities


class ListStore:
    """Keeps what would be written."""

    def __init__(self) -> None:
        self.written: list[tuple[Job, list[EpisodeOutcome], tuple[str, ...]]] = []

    def write_job(self, job: Job, outcomes: Any, encoders: Any) -> None:
        self.written.append((job, list(outcomes), encoders))


class Notebook(SilentReporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def job_finished(self, job: Job, returns: Any) -> None:
        self.lines.append(f"finished {job.key} {returns.tolist()}")


def make_plan(num_agents: int, num_cells: int, num_episodes: int) -> Plan:
    names = ("clean", "hue-rotate@1", "hue-rotate@2", "hue-rotate@3")[:num_cells]
    contestants = tuple(
        Contestant(f"agent{number}", 0, "breakout", "agent", f"agent{number}", Abilities(attends_to=("sr",) * number))
        for number in range(num_agents)
    )
    seeds = tuple(range(0, 2 * num_episodes, 2))
    jobs = tuple(Job(one.name, 0, "breakout", "color", name, None, seeds, "f") for one in contestants for name in names)
    compiled: Any = {("breakout", name): SimpleNamespace(encoder_operations=()) for name in names}
    suite: Any = SimpleNamespace(name="s")
    return Plan(
        suite=suite,
        profile="quick",
        protocol=Protocol(),
        seed=0,
        num_episodes=num_episodes,
        games=("breakout",),
        perturbations=names,
        contestants=contestants,
        compiled=compiled,
        effects={},
        refused={},
        misfits={},
        skipped=(),
        jobs=jobs,
    )


def make_board(plan: Plan, num_workers: int, finished: tuple[Job, ...] = ()) -> tuple[TaskBoard, ListStore, Notebook]:
    store: Any = ListStore()
    notebook = Notebook()
    board = TaskBoard(plan, finished, store, notebook)
    board.share_among(num_workers)
    return board, store, notebook


def outcome_of(task: EpisodeTask) -> EpisodeOutcome:
    return EpisodeOutcome(task.job_index, task.episode, float(task.episode), 10, "game_over", None)


def play_all(board: TaskBoard, contestant: int) -> None:
    is_last = False
    while not is_last:
        tasks, is_last = board.take(0, contestant, 16)
        for task in tasks:
            board.deliver(0, outcome_of(task))


def test_workers_get_agents_of_their_own_then_help() -> None:
    board, _, _ = make_board(make_plan(num_agents=3, num_cells=2, num_episodes=20), num_workers=2)
    everyone = range(3)
    first, second = board.choose(0, everyone), board.choose(1, everyone)
    assert {first, second} == {0, 1}
    assert first is not None
    play_all(board, first)
    assert board.choose(0, everyone) == 2
    play_all(board, 2)
    assert board.choose(0, everyone) == second  # nothing else is left: help out
    assert board.choose(0, [first]) is None


def test_one_that_hung_when_it_was_asked_is_given_up_at_the_next_loss() -> None:
    plan = make_plan(num_agents=2, num_cells=1, num_episodes=2)
    plan = replace(plan, contestants=(plan.contestants[0], replace(plan.contestants[1], hung=True)))
    board, _, _ = make_board(plan, num_workers=2)
    for worker in (0, 1):
        board.take(worker, board.choose(worker, [worker]) or 0, 2)
        board.lose(worker, "was ended", num_steps=0)
    assert [str(error).partition(" ")[0] for error in board.failures] == ["agent1"]
    assert (board.has_work([0]), board.has_work([1])) == (True, False)


def test_a_small_run_is_shared() -> None:
    board, _, _ = make_board(make_plan(num_agents=1, num_cells=2, num_episodes=8), num_workers=2)
    first = board.take(0, 0, 16)
    assert len(first.tasks) == 8
    assert not first.is_last
    assert board.take(0, 0, 8).tasks == []  # its share is full, though its lanes are not
    second = board.take(1, 0, 16)
    assert len(second.tasks) == 8
    assert second.is_last
    assert not {*first.tasks} & {*second.tasks}


def test_a_worker_without_episodes_gets_one() -> None:
    board, _, _ = make_board(make_plan(num_agents=1, num_cells=1, num_episodes=3), num_workers=8)
    assert [len(board.take(worker, 0, 16).tasks) for worker in range(4)] == [1, 1, 1, 0]


def test_many_episodes_fill_all_lanes() -> None:
    board, _, _ = make_board(make_plan(num_agents=2, num_cells=4, num_episodes=30), num_workers=2)
    assert [len(board.take(worker, worker, 16).tasks) for worker in range(2)] == [16, 16]


@pytest.mark.parametrize("num_workers", [1, 2, 5])
def test_every_episode_is_played_once_and_every_job_written_once(num_workers: int) -> None:
    plan = make_plan(num_agents=2, num_cells=3, num_episodes=7)
    board, store, notebook = make_board(plan, num_workers)
    playing: dict[int, list[EpisodeTask]] = {worker: [] for worker in range(num_workers)}
    contestants: dict[int, int | None] = {}
    seen: list[EpisodeTask] = []
    while not board.is_complete:
        for worker, lanes in playing.items():
            if not lanes:
                contestants[worker] = board.choose(worker, range(2))
            mine = contestants[worker]
            if mine is not None:
                lanes.extend(board.take(worker, mine, 4 - len(lanes)).tasks)
            if lanes:
                seen.append(lanes[-1])
                board.deliver(worker, outcome_of(lanes.pop()))
    assert len(seen) == len(set(seen)) == 2 * 3 * 7
    assert sorted(job.key for job, _, _ in store.written) == sorted(job.key for job in plan.jobs)
    assert board.num_finished == 6
    assert len(notebook.lines) == len(set(notebook.lines)) == 6
    assert f"finished {plan.jobs[0].key} {[float(n) for n in range(7)]}" in notebook.lines


def test_encoders_of_the_agent_are_passed_on() -> None:
    plan = make_plan(num_agents=2, num_cells=1, num_episodes=1)
    board, store, _ = make_board(plan, 1)
    for contestant in range(2):
        for task in board.take(0, contestant, 4).tasks:
            board.deliver(0, outcome_of(task))
    assert [encoders for _, _, encoders in store.written] == [(), ("sr",)]


def test_all_encoder_operations_of_a_cell_are_handed_out_in_order() -> None:
    plan = make_plan(num_agents=1, num_cells=2, num_episodes=2)
    plan.compiled["breakout", "clean"].encoder_operations = ("first", "second")  # pyright: ignore
    board, _, _ = make_board(plan, 1)
    tasks = board.take(0, 0, 16).tasks
    assert [task.encoder_operations for task in tasks] == [("first", "second")] * 2 + [()] * 2


def test_finished_jobs_are_not_on_the_board() -> None:
    plan = make_plan(num_agents=1, num_cells=3, num_episodes=4)
    board, _, _ = make_board(plan, 1, finished=plan.jobs[:2])
    assert board.num_finished == 2
    assert board.num_pending == 4
    assert {task.job_index for task in board.take(0, 0, 16).tasks} == {2}
    whole, _, _ = make_board(plan, 1, finished=plan.jobs)
    assert whole.is_complete
    assert whole.choose(0, [0]) is None


def test_a_lost_worker_s_episodes_are_handed_out_again_first() -> None:
    plan = make_plan(num_agents=1, num_cells=1, num_episodes=5)
    board, store, notebook = make_board(plan, 1)
    board.choose(0, [0])
    first = board.take(0, 0, 3).tasks
    board.deliver(0, outcome_of(first[1]))
    board.lose(0, "was killed by signal 9", 7)
    assert "agent0 (train seed 0) on breakout: its worker process was killed by signal 9" in notebook.notes[0]
    assert "after about 7 steps of clean. What it had not finished (2 episodes) is played again." in notebook.notes[0]
    board.choose(0, [0])
    again = board.take(0, 0, 16).tasks
    assert [task.episode for task in again] == [0, 2, 3, 4]
    for task in again:
        board.deliver(0, outcome_of(task))
    assert [len(outcomes) for _, outcomes, _ in store.written] == [5]
    assert board.failures == []


def test_an_agent_that_loses_its_worker_again_is_given_up_and_the_others_go_on() -> None:
    plan = make_plan(num_agents=2, num_cells=2, num_episodes=2)
    board, store, _ = make_board(plan, 1)
    for _ in range(2):
        assert board.choose(0, [0]) == 0
        board.take(0, 0, 2)
        board.lose(0, "ended with exit code 0", 1)
    assert not board.has_work([0])
    assert board.has_work([1])
    (error,) = board.failures
    assert "agent0 (train seed 0) on breakout: its worker process ended with exit code 0 after about 1 step of" in str(
        error
    )
    assert "given up" in str(error)
    board.choose(0, [1])
    play_all(board, 1)
    assert [job.agent for job, _, _ in store.written] == ["agent1", "agent1"]


def test_workers_that_never_come_to_play_end_the_run() -> None:
    board, _, notebook = make_board(make_plan(num_agents=1, num_cells=1, num_episodes=2), 1)
    board.lose(0, "ended with exit code 1", 0)
    assert "before it played. Another one is started." in notebook.notes[0]
    with pytest.raises(WorkerError, match="before it played, again"):
        board.lose(0, "ended with exit code 1", 0)
