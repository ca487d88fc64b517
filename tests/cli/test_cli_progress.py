"""Progress displays: what they say, at what time, and how wide they are."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from wsabench.cli.terminal import progress, run_progress
from wsabench.cli.terminal.progress import PlainProgress, duration, rate_text
from wsabench.words import counted


class FakeClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class FakeJob:
    perturbation: str
    agent: str = "wsa"
    game: str = "breakout"
    num_episodes: int = 2

    def describe(self) -> str:
        return f"{self.agent} on {self.game}, {self.perturbation}"


def test_plain_lines_come_every_ten_seconds_with_rate_and_time_left() -> None:
    lines: list[str] = []
    clock = FakeClock()
    reporter = PlainProgress(lines.append, clock)
    reporter.start("train wsa", 1000, "steps")
    for _ in range(5):
        clock.now += 5
        reporter.advance(100, mean_return=1.25)
    reporter.finish()
    assert lines == [
        "train wsa: 0/1000 steps",
        "train wsa: 200/1000 steps, 20 steps/s, 40 s left, mean return 1.25",
        "train wsa: 400/1000 steps, 20 steps/s, 30 s left, mean return 1.25",
        "train wsa: 500/1000 steps, 20 steps/s, 25 s left, mean return 1.25, done in 25 s",
    ]


def test_what_an_earlier_run_did_does_not_count_for_the_rate() -> None:
    lines: list[str] = []
    clock = FakeClock()
    reporter = PlainProgress(lines.append, clock)
    reporter.start("train", 1000, "steps")
    reporter.advance(500)
    clock.now = 10.0
    reporter.advance(100)
    assert lines[-1] == "train: 600/1000 steps, 10 steps/s, 40 s left"


def test_bars_show_count_rate_and_fields_on_a_terminal() -> None:
    console = Console(file=io.StringIO(), width=140, force_terminal=True)
    with progress.bar(console) as display:
        reporter = progress.BarProgress(display)
        reporter.start("train e2e", 1000, "steps")
        reporter.advance(400)
        reporter.advance(100, mean_return=1.25)
        reporter.finish()
    text = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert "500/1000 steps" in text
    assert "mean return 1.25" in text


def test_without_a_terminal_nothing_but_text_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress_reporter() as reporter:
        reporter.start("frames", 3, "frames")
        reporter.advance(3, loss=0.5)
        reporter.finish()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("frames: 0/3 frames\n")
    assert all(character.isprintable() or character == "\n" for character in captured.err)


def test_run_lines_say_what_each_job_gave_and_when_all_is_done() -> None:
    lines: list[str] = []
    clock = FakeClock()
    reporter = run_progress.LineReporter(lines.append, clock)
    first, second, before = FakeJob("clean"), FakeJob("hue-rotate@3"), FakeJob("value@2")
    reporter.planned([first, second, before], [before])
    clock.now = 20.0
    reporter.episode_finished(first, 4.0, 100)
    reporter.episode_finished(first, 6.0, 120)
    reporter.steps(2000)
    reporter.job_finished(first, [4.0, 6.0])
    reporter.note("One encoder is dead.")
    reporter.finished(Path("runs/x"))
    assert lines == [
        "run: 3 jobs, 6 episodes, 1 of them finished before",
        "run: 1/3 jobs, 4/6 episodes, 100 steps/s, 20 s gone, about 20 s left",
        "done: wsa on breakout, clean: mean return 5.0 of 2 episodes",
        "note: One encoder is dead.",
        "run: 2/3 jobs, 4/6 episodes, 100 steps/s, 20 s gone, about 20 s left, all done",
    ]


def test_a_large_run_writes_few_lines() -> None:
    lines: list[str] = []
    clock = FakeClock()
    reporter = run_progress.LineReporter(lines.append, clock)
    jobs = [FakeJob(f"value@{number}") for number in range(1000)]
    reporter.planned(jobs, [])
    for job in jobs:
        for _ in range(2):
            clock.now += 5.0
            reporter.episode_finished(job, 1.0, 10)
            reporter.steps(10)
        reporter.job_finished(job, [1.0, 1.0])
    reporter.finished(Path("runs/x"))
    assert 20 <= len(lines) <= 45
    assert lines[-1].startswith("run: 1,000/1,000 jobs, 2,000/2,000 episodes")


def test_live_table_fits_80_columns_and_keeps_the_newest_in_order() -> None:
    reporter = run_progress.LiveReporter(lambda text: None)
    jobs = [FakeJob(f"palette-permutation-with-a-long-name-{n:02d}@5") for n in range(20)]
    reporter.planned(jobs, [])
    for job in reversed(jobs[:15]):
        reporter.episode_finished(job, 10.0, 100)
    console = Console(file=io.StringIO(), width=80)
    console.print(reporter.drawing())
    text = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert max(len(line) for line in text.splitlines()) <= 80
    newest = [standing.key[2] for standing in reporter.tally.newest()]
    assert newest == [job.perturbation for job in jobs[: run_progress.TABLE_ROWS]]
    assert "0/20 jobs, 15/40 episodes" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 00 min"),
        (7860, "2 h 11 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_slow_rates_are_given_a_minute() -> None:
    assert rate_text(250.4, "steps") == "250 steps/s"
    assert rate_text(2.55, "jobs") == "2.5 jobs/s"
    assert rate_text(0.05, "jobs") == "3.0 jobs/min"


def test_one_of_a_unit_is_no_plural() -> None:
    assert [counted(number, "episode") for number in (0, 1, 2)] == ["0 episodes", "1 episode", "2 episodes"]
