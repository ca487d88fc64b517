"""What a queue tells and hands over: status, rows of the table of runs, half-precision agents, results brought back."""

from __future__ import annotations

import functools
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wsabench.agents import AgentMeta, build_agent, load_agent, load_spec, save_checkpoint
from wsabench.agents.checkpoint import fill_network, read_checkpoint
from wsabench.agents.half import export_checkpoint
from wsabench.cli import main
from wsabench.errors import CheckpointError, SpecError, StorageError
from wsabench.resources import make_dir
from wsabench.training.presets import load_preset
from wsabench.training.queue import (
    Places,
    Queue,
    QueueOptions,
    adopt,
    bring_back,
    export_queue,
    queue_status,
    read_queue,
    run_queue,
    write_runs,
)
from wsabench.training.queue.places import held
from wsabench.training.queue.record import (
    RunRecord,
    Session,
    damage,
    file_hash,
    final_returns,
    hashed,
    read_record,
    trained_files,
    write_record,
)
from wsabench.types import LaneBatch

STEPS = 2048
CURVE = "steps,wall_s,games,return_unclipped_mean_50,return_clipped_mean_50\n1024,900,9,1,1\n2048,1800,60,12.5,3.5\n"
QUEUE = """
[[run]]
id = "pong-e2e-0"
kind = "train"
tier = "a"
game = "pong"
agent = "e2e"
steps = 2048
[[run]]
id = "pong-frames"
kind = "frames"
tier = "a"
game = "pong"
after = ["pong-e2e-0"]
data = "mixed"
expert = "run:pong-e2e-0"
[[run]]
id = "pong-encoders"
kind = "pretrain"
tier = "a"
game = "pong"
after = ["pong-frames"]
frames = "run:pong-frames"
[[run]]
id = "pong-wsa-0"
kind = "train"
tier = "a"
game = "pong"
agent = "wsa"
after = ["pong-encoders"]
encoders = "run:pong-encoders"
[[run]]
id = "pong-e2e-1"
kind = "train"
tier = "b"
game = "pong"
agent = "e2e"
name = "e2e-other"
seed = 1
steps = 4096
"""


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    path = tmp_path / "plan.toml"
    path.write_text(QUEUE)
    return read_queue(path)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "out")


@functools.cache
def weights(seed: int) -> dict[str, torch.Tensor]:
    """Return an e2e agent's weights; drawing them takes longer than all else here."""
    return build_agent(load_spec("e2e"), 6, seed=seed).state_dict()


def save_e2e(path: Path, seed: int = 0, steps: int = STEPS, **training: Any) -> Path:
    """Write an e2e agent of pong as training does."""
    spec = load_spec("e2e")
    preset = replace(load_preset("compact", "ppo"), total_steps=steps)
    job = {
        "spec": spec.to_dict(),
        "game": "pong",
        "train_seed": seed,
        "num_actions": 6,
        "algorithm": "ppo",
        "randomisation": training.pop("randomisation", None),
        "preset": preset.to_dict() | training,
        "encoder_hashes": {},
    }
    make_dir(path.parent)
    save_checkpoint(path, weights(seed), AgentMeta.from_job(job, steps))
    return path


def finish(queue: Queue, places: Places, run_id: str, hours: float = 0.5, steps: int = STEPS) -> RunRecord:
    """Put a finished run of an end-to-end agent into the queue's folder."""
    run = queue[run_id]
    save_e2e(places.agent(run_id), run.seed, steps)
    (places.run(run_id) / "curve.csv").write_text(CURVE)
    record = replace(
        RunRecord.of(run, "finished"),
        sessions=(Session(started="2026-01-01T00:00:00+00:00", hours=hours, outcome="finished"),),
        steps=steps,
        final=final_returns(places.run(run_id) / "curve.csv"),
        products=hashed(trained_files(places.run(run_id)), places.root),
    )
    write_record(places.record(run_id), record)
    return record


def fail(queue: Queue, places: Places, run_id: str, reason: str) -> None:
    make_dir(places.run(run_id))
    sessions = (
        Session(started="2026-01-01T00:00:00+00:00", hours=1.0, outcome="interrupted"),
        Session(started="2026-01-02T00:00:00+00:00", hours=0.25, from_steps=1000, outcome="failed"),
    )
    record = replace(RunRecord.of(queue[run_id], "failed"), reason=reason, sessions=sessions, steps=1500)
    write_record(places.record(run_id), record)


def observations() -> np.ndarray:
    return np.random.Generator(np.random.PCG64(0)).integers(0, 256, (8, 4, 84, 84), dtype=np.uint8)


def lanes(number: int) -> LaneBatch:
    return LaneBatch(
        ids=np.arange(number),
        generators=tuple(np.random.Generator(np.random.PCG64(lane)) for lane in range(number)),
        episode_starts=np.zeros(number, bool),
        encoder_operations=((),) * number,
        encoder_generators=(None,) * number,
    )


# Half precision


def test_an_exported_agent_is_half_as_large_and_plays_its_rounded_weights(tmp_path: Path) -> None:
    source = save_e2e(tmp_path / "a.safetensors")
    target = tmp_path / "b.safetensors"
    export_checkpoint(source, target, "renamed")
    assert target.stat().st_size < 0.51 * source.stat().st_size
    before, after = read_checkpoint(source), read_checkpoint(target)
    assert {value.dtype for value in after.weights.values()} == {torch.float16}
    assert after.meta.training == {**before.meta.training, "stored_dtype": "float16"}
    assert (after.meta.spec.name, after.meta.versions) == ("renamed", before.meta.versions)

    model = build_agent(after.meta.spec, 6, seed=1)
    fill_network(model, after, target)
    for name, value in model.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, before.weights[name].half().float())
    assert load_agent(target, "pong").act(observations(), lanes(8)).actions.shape == (8,)

    # Exported again it is the same file, to the byte.
    again = tmp_path / "c.safetensors"
    export_checkpoint(target, again, "renamed")
    assert file_hash(again) == file_hash(target)


def test_other_types_stay_and_numbers_too_large_are_refused(tmp_path: Path) -> None:
    source, target = save_e2e(tmp_path / "a.safetensors"), tmp_path / "b.safetensors"
    read = read_checkpoint(source)
    weights = dict(read.weights)
    first = next(iter(weights))
    save_checkpoint(source, weights | {first: weights[first].bfloat16()}, read.meta)
    export_checkpoint(source, target)
    assert read_checkpoint(target).weights[first].dtype == torch.bfloat16
    target.unlink()
    # The largest float16 is 65504; what rounds to it is kept, what rounds beyond is refused.
    weights[first] = torch.full_like(weights[first], 65519.0)
    save_checkpoint(source, weights, read.meta)
    export_checkpoint(source, target)
    target.unlink()
    weights[first] = torch.full_like(weights[first], 65520.0)
    save_checkpoint(source, weights, read.meta)
    with pytest.raises(CheckpointError, match=r"cannot be written in float16: .* beyond its range of 65504"):
        export_checkpoint(source, target)
    assert not target.exists()


# Status


def test_hours_left_come_from_finished_runs_of_the_kind(queue: Queue, places: Places) -> None:
    status = queue_status(queue, places)
    assert status.counts["waiting"] == 5
    assert status.unknown == [run.id for run in queue.runs]
    finish(queue, places, "pong-e2e-0", hours=0.5)
    status = queue_status(queue, places)
    by_id = {run.id: run for run in status.runs}
    assert (by_id["pong-e2e-0"].state, by_id["pong-e2e-0"].hours_left) == ("finished", None)
    assert by_id["pong-e2e-0"].steps_per_s == pytest.approx(2048 / 1800)
    # 4,096 steps at 2,048 steps in half an hour.
    assert by_id["pong-e2e-1"].hours_left == pytest.approx(1.0)
    assert status.core_hours_left == pytest.approx(1.0)
    assert status.unknown == ["pong-frames", "pong-encoders", "pong-wsa-0"]
    fail(queue, places, "pong-frames", "no room")
    status = queue_status(queue, places)
    assert [run.state for run in status.runs] == ["finished", "failed", "skipped", "skipped", "waiting"]
    assert status.runs[1].reason == "no room"


def test_frames_that_nobody_needs_any_more_are_not_waited_for(queue: Queue, places: Places) -> None:
    record = replace(RunRecord.of(queue["pong-encoders"], "finished"), steps=1)
    make_dir(places.encoders("pong-encoders"))
    (places.encoders("pong-encoders") / "ae.safetensors").write_text("ae")
    products = hashed(places.encoders("pong-encoders").iterdir(), places.root)
    write_record(places.record("pong-encoders"), replace(record, products=products))
    states = {run.id: run.state for run in queue_status(queue, places).runs}
    assert (states["pong-frames"], states["pong-encoders"]) == ("unneeded", "finished")


def test_the_status_on_the_command_line(queue: Queue, places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    finish(queue, places, "pong-e2e-0")
    fail(
        queue, places, "pong-frames", "no room on the disk, and a reason that is much longer than a line of a terminal"
    )
    words = ["train", "--queue", str(queue.path), "--out", str(places.root), "--status"]
    assert main(words) == 0
    text = capsys.readouterr().out
    table = text.split("1 finished")[0].splitlines()[2:]
    assert max(map(len, table)) <= 80
    assert "1 finished, 1 waiting, 1 failed, 2 skipped" in text
    assert "pong-frames failed: no room on the disk" in text
    assert "Hours left: about " in text
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["pid"] is None
    assert told["counts"]["skipped"] == 2
    assert [run["id"] for run in told["runs"]] == [run.id for run in queue.runs]
    assert told["left"]["core_hours"] == pytest.approx(1.0)
    assert main([*words, "--json", "--shard", "1/1"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--queue", "Q", "--agent", "e2e"], "--agent and --queue are given together. Write the option into the"),
        (["--queue", "Q", "--train-seed", "0"], "--train-seed and --queue are given together"),
        (["--agent", "e2e", "--game", "pong", "--status"], "--status is given without --queue"),
        (["--agent", "e2e"], "--agent and --games are needed. Give both, or a file of runs with --queue."),
        (["--queue", "Q", "--json"], "--json is given without --status"),
        (["--queue", "Q", "--origin", "x"], "--origin is given without --adopt"),
        (["--queue", "Q", "--status", "--export", "x"], "one of --adopt, --bring-back, --export and --status"),
        (["--queue", "Q", "--shard", "3/2"], "--shard is '3/2'. Allowed: i/n"),
    ],
)
def test_options_that_do_not_go_together(
    queue: Queue, places: Places, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    told = [str(queue.path) if word == "Q" else word for word in words]
    assert main(["train", *told, "--out", str(places.root)]) == 2
    assert message in capsys.readouterr().err


# The table of runs


def test_rows_are_written_between_the_markers_and_the_rest_stays(queue: Queue, places: Places, tmp_path: Path) -> None:
    page = make_dir(tmp_path / "baselines") / "RUNS.md"
    page.write_text("# Runs\n\nBy hand.\n")
    finish(queue, places, "pong-e2e-0")
    write_runs(queue, places, page)
    page.write_text(page.read_text() + "\nAfter it, by hand.\n")
    fail(queue, places, "pong-frames", "no | room\nat all")
    write_runs(queue, places, page)
    text = page.read_text()
    assert text.startswith("# Runs\n\nBy hand.\n")
    assert text.endswith("<!-- queue plan: end -->\n\nAfter it, by hand.\n")
    assert text.count("<!-- queue plan: begin") == 1
    assert "| `pong-e2e-0` | e2e | 0 | 2,048 | 0.50 | 12.5 | 3.5 |  | finished |" in text
    story = r"failed; interrupted, went on at 1,000; no \| room at all"
    assert f"| `pong-frames` | 0 | 1,500 | 1.25 | {story} |" in text
    assert "| `pong-wsa-0` | wsa | 0 | 0 | 0.00 |  |  |  | skipped |" in text
    assert "| a | 4 | 1 | 1.8 | 0.0 |" in text
    assert "| b | 1 | 0 | 0.0 | 1.0 |" in text
    write_runs(queue, places, page)
    assert page.read_text() == text


def test_a_page_with_one_marker_is_refused(queue: Queue, places: Places, tmp_path: Path) -> None:
    page = tmp_path / "RUNS.md"
    page.write_text("<!-- queue plan: end -->\n")
    with pytest.raises(StorageError, match="has only one of the lines"):
        write_runs(queue, places, page)


def test_a_run_that_began_again_from_0_says_so(queue: Queue, places: Places, tmp_path: Path) -> None:
    record = finish(queue, places, "pong-e2e-0")
    lost = Session(started="2025-12-31T00:00:00+00:00", hours=2.0, outcome="interrupted", is_lost=True)
    write_record(places.record("pong-e2e-0"), replace(record, sessions=(lost, *record.sessions)))
    write_runs(queue, places, tmp_path / "RUNS.md")
    assert "finished; began again from 0 after 2.0 hours that were lost |" in (tmp_path / "RUNS.md").read_text()


# Handing over and back


def test_handing_over_and_bringing_back(queue: Queue, places: Places, tmp_path: Path) -> None:
    folder, told = tmp_path / "baselines", []
    finish(queue, places, "pong-e2e-0")
    finish(queue, places, "pong-e2e-1", steps=4096)
    fail(queue, places, "pong-frames", "no room")
    files = export_queue(queue, places, folder, told.append)
    names = ["pong/e2e-seed0.safetensors", "pong/e2e-seed0-curve.csv"]
    names += ["pong/e2e-other-seed1.safetensors", "pong/e2e-other-seed1-curve.csv"]
    assert list(files) == names
    assert files == {name: file_hash(folder / name) for name in names}
    assert len(told) == 4
    assert (folder / names[1]).read_text() == CURVE
    assert load_agent(folder / names[2]).abilities.name == "e2e-other"
    assert "[curve](pong/e2e-seed0-curve.csv)" in (folder / "RUNS.md").read_text()

    stamps = {name: (folder / name).stat().st_mtime_ns for name in names}
    told.clear()
    assert export_queue(queue, places, folder, told.append) == files
    assert told == []
    assert {name: (folder / name).stat().st_mtime_ns for name in names} == stamps

    # Another folder takes them as finished, but not a file that was changed.
    (folder / names[2]).write_bytes(b"x")
    other = Places(tmp_path / "other")
    assert bring_back(queue, other, folder, told.append) == ["pong-e2e-0"]
    record = read_record(other.record("pong-e2e-0"))
    assert record is not None
    assert (record.outcome, record.hours, damage(record, other.root)) == ("finished", 0.5, "")
    assert f"pong-e2e-1: begins anew: {folder / names[2]} is missing or another file" in told
    lost = read_record(other.record("pong-e2e-1"))
    assert lost is not None
    assert (lost.outcome, lost.sessions[0].is_lost, lost.hours) == ("interrupted", True, 0.5)
    assert queue_status(queue, other).runs[4].state == "waiting"
    assert bring_back(queue, other, folder) == []
    # What was brought back is handed over as it came.
    told.clear()
    export_queue(queue, other, folder, told.append)
    assert told == []


@pytest.mark.usefixtures("impatient")
def test_nothing_is_brought_back_while_the_queue_runs(queue: Queue, places: Places, tmp_path: Path) -> None:
    with held(places.lock), pytest.raises(StorageError, match="A process works through the queue in"):
        bring_back(queue, places, tmp_path)


def test_new_encoders_wait_for_agents_that_read_the_earlier_ones(queue: Queue, places: Places, tmp_path: Path) -> None:
    folder, told = tmp_path / "baselines", []
    made = make_dir(places.encoders("pong-encoders")) / "ae.safetensors"
    made.write_text("new")
    record = replace(RunRecord.of(queue["pong-encoders"], "finished"), products=hashed([made], places.root))
    write_record(places.record("pong-encoders"), record)
    there = make_dir(folder / "pong" / "encoders") / "ae.safetensors"
    there.write_text("old")
    agent = shutil.copy(save_e2e(tmp_path / "a.safetensors"), folder / "pong" / "wsa-seed5.safetensors")
    read = read_checkpoint(Path(agent))
    # A stand-in for an agent over encoders: its header alone decides.
    save_checkpoint(Path(agent), read.weights, replace(read.meta, spec=load_spec("wsa")))
    export_queue(queue, places, folder, told.append)
    assert there.read_text() == "old"
    assert told == [f"pong-encoders waits: {agent} reads the encoders that are there and is not trained anew yet"]
    Path(agent).unlink()
    export_queue(queue, places, folder)
    assert there.read_text() == "new"


def test_a_run_in_which_no_game_ended_has_no_returns(tmp_path: Path) -> None:
    curve = tmp_path / "curve.csv"
    curve.write_text(f"{CURVE.splitlines()[0]}\n1024,900,0,nan,nan\n")
    assert final_returns(curve) == {"games": 0.0}


@pytest.mark.usefixtures("impatient")
def test_a_run_by_hand_is_adopted_if_it_is_the_same(queue: Queue, places: Places, tmp_path: Path) -> None:
    folder = tmp_path / "by-hand"
    save_e2e(folder / "agent.safetensors")
    (folder / "curve.csv").write_text(CURVE)
    assert adopt(queue, places, folder, "campaign-0") == "pong-e2e-0"
    record = read_record(places.record("pong-e2e-0"))
    assert record is not None
    assert (record.outcome, record.origin, record.steps, record.hours) == ("finished", "campaign-0", STEPS, 0.5)
    assert record.final["return_unclipped"] == 12.5
    assert damage(record, places.root) == ""
    # A queue that works meanwhile does not begin it: the folder is not held, and nothing is left to start.
    lines: list[str] = []
    only = replace(queue, runs=queue.runs[:1])
    with held(places.lock):
        assert adopt(queue, places, folder) == "pong-e2e-0"
    assert run_queue(only, places.root, QueueOptions(tell=lines.append)).finished == ("pong-e2e-0",)
    assert lines == []
    with held(places.run_lock("pong-e2e-0")), pytest.raises(StorageError, match="The queue works on 'pong-e2e-0' now"):
        adopt(queue, places, folder)
    page, curve = tmp_path / "RUNS.md", "pong/e2e-seed0-curve.csv"
    write_runs(queue, places, page)
    assert "| finished; campaign-0 |" in page.read_text()
    # A file of the curve's name that the run did not hand over is another run's.
    (tmp_path / "pong").mkdir()
    (tmp_path / curve).write_text(CURVE)
    for handed_over in ({}, {curve: "hash"}):
        write_runs(queue, places, page, {"pong-e2e-0": replace(record, handed_over=handed_over)})
        assert (f"[curve]({curve})" in page.read_text()) == bool(handed_over)


@pytest.mark.parametrize(
    ("seed", "steps", "training", "message"),
    [
        (2, STEPS, {}, "none is on pong with seed 2"),
        (1, STEPS, {}, "pong-e2e-1: total_steps is 2048 there, 4096 here"),
        (
            0,
            STEPS,
            {"learning_rate": 1.0},
            "pong-e2e-0: learning_rate is 1.0 there, 0.0005 here; pong-wsa-0: not end-to",
        ),
        (0, STEPS - 1024, {"total_steps": STEPS}, "pong-e2e-0: trained for 1,024 steps only"),
        (0, STEPS, {"randomisation": {}}, "pong-e2e-0: its games are played under other perturbations"),
    ],
)
def test_another_run_is_not_adopted(
    queue: Queue, places: Places, tmp_path: Path, seed: int, steps: int, training: dict[str, Any], message: str
) -> None:
    save_e2e(tmp_path / "agent.safetensors", seed, steps, **training)
    (tmp_path / "curve.csv").write_text(CURVE)
    with pytest.raises(SpecError, match=message):
        adopt(queue, places, tmp_path)
    assert not places.root.exists()
