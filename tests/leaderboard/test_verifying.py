"""`wsabench verify` on real episodes: equal ones, forged ones, other agents, other machines."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from result_fixture import with_ledger

from wsabench.cli import main
from wsabench.errors import ResultSetError
from wsabench.evaluation import run
from wsabench.leaderboard import verifying
from wsabench.leaderboard.checking import job_fingerprints
from wsabench.leaderboard.entry import as_result, read_entry, write_entry
from wsabench.leaderboard.recomputing import report_problems, shard_problems
from wsabench.leaderboard.verifying import ALPHA, Replayed, environment_differences
from wsabench.protocol import Protocol
from wsabench.report import write_report
from wsabench.results import load_result
from wsabench.results.manifest import AgentId, read_manifest
from wsabench.results.tables import with_labels
from wsabench.seeding import start_order

ALL = ["--sample", "1000"]
ONE = ["--sample", "1"]
SIX = ["--sample", "6"]
BASELINES = Path(__file__).resolve().parents[2] / "baselines/breakout"

pytestmark = pytest.mark.e2e


@pytest.fixture
def copied(run_dir: Path, tmp_path: Path) -> Path:
    """A copy of the run, to forge."""
    return Path(shutil.copytree(run_dir, tmp_path / "run"))


def found(words: list[str], capsys: pytest.CaptureFixture[str], code: int) -> dict[str, Any]:
    """What `verify --json` says, with the exit code that it must have."""
    assert main(["verify", *words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def message(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one message of a target that cannot be checked."""
    assert main(["verify", *words]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert not captured.out
    return captured.err


def test_a_run_is_equal_to_the_bit(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = found([str(run_dir), "--sample", "16"], capsys, 0)
    assert (told["verdict"], told["comparable"], told["share_equal"]) == ("equal", True, 1.0)
    assert (told["num_replayed"], told["num_episodes"]) == (16, 48)
    assert told["problems"] == told["unequal"] == told["environment"] == []
    assert told["means"] is None


def test_entries_are_equal_to_the_bit(entry_files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    for agent in ("random", "noop", "e2e"):
        assert main(["verify", str(entry_files[agent]), *ONE]) == 0
        text = capsys.readouterr().out
        assert "1 of 1 episode played again is equal (100%), compared to the bit." in " ".join(text.split())
    mine = [str(entry_files["mine"]), *ONE]
    assert "an entry's own words are never opened" in message(mine, capsys)
    assert found([*mine, "--checkpoint", "scripted_policies:sampler"], capsys, 0)["num_replayed"] == 1


def test_the_sample_follows_from_the_seed(run_dir: Path) -> None:
    episodes = load_result(run_dir).episodes
    drawn = [list(verifying._drawn(episodes, 7, seed).index) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 7
    assert drawn[0] == sorted(drawn[0])
    assert list(verifying._drawn(episodes, 10_000, 3).index) == list(episodes.index)


def first_drawn(episodes: pd.DataFrame) -> dict[str, Any]:
    """The episode that a sample of one takes."""
    return with_labels(verifying._drawn(episodes, 1, 0)).to_dict("records")[0]


def test_a_forged_return_in_an_entry_is_named(
    entry_files: dict[str, Path], changed: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    row = first_drawn(as_result(read_entry(entry_files["e2e"])).episodes)

    def forge(content: dict[str, Any]) -> None:
        job = next(job for job in content["jobs"] if job["perturbation"] == row["label"])
        job["episodes"]["returns"][row["episode"]] += 40.0

    told = found([str(changed(forge)), *ONE], capsys, 1)
    assert (told["verdict"], told["share_equal"]) == ("differs", 0.0)
    (one,) = told["unequal"]
    where = f"e2e (train seed 0) on breakout, {row['label']}, episode {row['episode']} (seed {row['episode_seed']})"
    assert one["episode"] == where
    assert one["differences"] == [f"return {row['return'] + 40.0} is stated, {row['return']} was found"]


@pytest.mark.parametrize(("column", "word"), [("return", "return"), ("length", "length"), ("action_hash", "actions")])
def test_a_forged_value_in_a_shard_is_named(
    column: str, word: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = first_drawn(load_result(copied).episodes)
    name = f"{row['agent']}-seed0--breakout--{row['label']}.parquet"
    table = pq.read_table(copied / "episodes" / name)
    values = table.column(column).to_pylist()
    values[row["episode"]] = forged = "0" * 16 if column == "action_hash" else values[row["episode"]] + 7
    place = table.schema.get_field_index(column)
    field = table.schema.field(place)
    pq.write_table(table.set_column(place, field, pa.array(values, field.type)), copied / "episodes" / name)
    with_ledger(copied)  # forged too: damage alone would be refused
    assert main(["verify", str(copied), *ONE]) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert f"{row['agent']} (train seed 0) on breakout, {row['label']}, episode {row['episode']} (seed " in text
    assert f"{word} {forged} is stated, {row[column]} was found" in text
    assert "Differs. 0 of 1 episode played again is equal (0%), compared to the bit." in text


def test_shards_and_manifest_must_belong_together(copied: Path) -> None:
    assert shard_problems(load_result(copied)) == []
    whole = json.loads((copied / "manifest.json").read_text(encoding="utf-8"))

    def changed(key: str, value: Any) -> None:
        content = {**whole, "plan": {**whole["plan"], key: value}}
        (copied / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
        with_ledger(copied)

    changed("seed", 1)
    with pytest.raises(ResultSetError, match="seeds that follow from the run's seed 1"):
        load_result(copied)
    changed("roms", {"breakout": "0"})
    problems = shard_problems(load_result(copied))
    text = "the fingerprint is not that of what the manifest says was played."
    assert f"random (train seed 0) on breakout, clean: {text}" in problems
    assert len({problem.partition(": ")[0] for problem in problems}) == 24


def test_tables_of_a_report_must_follow_from_the_shards(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_report(copied, formats=("csv",))
    run = load_result(copied)
    assert report_problems(run) == []
    table = copied / "report" / "csv" / "cells.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    cells = lines[2].split(",")
    cells[lines[0].split(",").index("mean_return")] = "77.5"
    table.write_text("\n".join([*lines[:2], ",".join(cells), *lines[3:]]) + "\n", encoding="utf-8")
    told = found([str(copied), "--sample", "1"], capsys, 1)
    (problem,) = told["problems"]
    assert f"{table}, row 2: mean_return is 77.5; the shards give " in problem
    assert (told["verdict"], told["unequal"]) == ("differs", [])
    assert told["conclusion"].startswith("Differs. 1 problem in the files. 1 of 1 episode")
    table.write_text(lines[0] + "\n", encoding="utf-8")
    assert "other columns or rows" in report_problems(run)[0]


def test_another_checkpoint_cannot_be_checked(
    entry_files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One given by the verifier, one that the entry claims, and one that is not there."""
    other = str(BASELINES / "e2e-seed1.safetensors")
    words = [str(entry_files["e2e"]), "--sample", "1", "--checkpoint"]
    assert "is another agent now: the hash of its checkpoint is" in message([*words, other], capsys)
    assert "There is no checkpoint" in message([*words, "missing.safetensors"], capsys)
    assert found([*words, str(BASELINES / "{agent}-seed{train_seed}.safetensors").replace("{agent}", "e2e")], capsys, 0)
    forged = tmp_path / "forged.json"
    write_entry(forged, with_checkpoint(entry_files["e2e"], "f" * 64))
    assert "instead" not in (text := message([str(forged)], capsys))
    assert "ffffffffffff... played" in text


def with_checkpoint(path: Path, checkpoint_hash: str) -> Any:
    """An entry that claims another checkpoint, with fingerprints that fit."""
    entry = read_entry(path)
    agents = tuple(msgspec.structs.replace(one, checkpoint_hash=checkpoint_hash) for one in entry.agents)
    jobs = []
    for job in entry.jobs:
        (text,) = job_fingerprints(
            agents[0],
            Protocol.from_dict(entry.protocol),
            perturbation_hash=entry.perturbation_hashes[job.game][job.perturbation],
            rom_hash=entry.roms[job.game],
            episode_seeds=job.episodes.seeds,
            versions=entry.versions,
            engine_version=entry.engine_version,
        )
        jobs.append(msgspec.structs.replace(job, fingerprint=text))
    return msgspec.structs.replace(entry, agents=agents, jobs=tuple(jobs))


def test_cells_that_changed_cannot_be_checked(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads((copied / "manifest.json").read_text(encoding="utf-8"))
    hashes = content["plan"]["perturbation_hashes"]["breakout"]
    hashes["clean"] = "0" * 16
    (copied / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    with_ledger(copied)
    assert "clean on breakout is another one here: its hash is" in message([str(copied), *ALL], capsys)


def test_an_own_perturbation_that_is_not_here_is_told_with_where_it_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    families = tmp_path / "own" / "families"
    families.mkdir(parents=True)
    (families / "dusk.toml").write_text(
        '[dusk]\nfamily = "color"\nkind = "palette.value"\nsummary = "Darken every colour"\n'
        "severity = { factor = [0.9, 0.8, 0.7, 0.6, 0.5] }\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("WSABENCH_PERTURBATIONS", str(families.parent))
    options: dict[str, Any] = {"games": ["breakout"], "episodes": 1, "workers": 0, "protocol": {"max_frames": 40}}
    played = str(run("smoke", ["noop"], perturbations=["clean", "dusk@2"], out=tmp_path / "run", **options).path)
    found([played], capsys, 0)
    assert main(["submit", played, "-a", "noop", "--out", str(tmp_path / "noop.json")]) == 2
    assert "--suite smoke --profile quick and without --perturbations." in capsys.readouterr().err
    monkeypatch.delenv("WSABENCH_PERTURBATIONS")
    told = message([played], capsys)
    assert "error: dusk@2 on breakout was played and is not known here. Unknown perturbation 'dusk'." in told
    assert "Your own are found where WSABENCH_PERTURBATIONS names their folders, which is not set." in told


def test_bad_targets_and_words_get_one_message(
    run_dir: Path, tmp_path: Path, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "There is no" in message([str(tmp_path / "none")], capsys)
    assert "names none of the agents" in message([str(run_dir), "--checkpoint", "x.zip"], capsys)
    (copied / "episodes" / "noop-seed0--breakout--clean.parquet").write_bytes(b"PAR1")
    assert "is damaged" in message([str(copied)], capsys)


def test_another_processor_is_not_compared_to_the_bit(
    entry_files: dict[str, Path],
    changed: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = verifying.host_summary()
    monkeypatch.setattr(verifying, "host_summary", lambda: msgspec.structs.replace(here, processor="Z80"))

    def around(content: dict[str, Any]) -> None:
        for job in content["jobs"]:
            returns = job["episodes"]["returns"]
            job["episodes"]["returns"] = [returns[0] - 1.0, returns[1] + 1.0]

    told = found([str(changed(around)), *SIX], capsys, 0)
    assert (told["verdict"], told["comparable"], told["share_equal"]) == ("not told apart", False, 0.0)
    assert "Not comparable to the bit: processor: " in told["conclusion"]
    assert "Z80" in told["environment"][0]
    assert "0 of 6 episodes played again are equal (0%). The means are not told apart" in told["conclusion"]

    def every(content: dict[str, Any]) -> None:
        for job in content["jobs"]:
            job["episodes"]["returns"] = [value + 40.0 for value in job["episodes"]["returns"]]

    told = found([str(changed(every)), *SIX], capsys, 1)
    assert told["verdict"] == "differs"
    assert told["means"]["p"] == pytest.approx(2 / 2**6)
    assert told["means"]["difference"] == pytest.approx(-40.0 / (30.5 - 1.7))
    assert "The means are told apart" in told["conclusion"]
    few = found([str(entry_files["e2e"]), "--sample", "2"], capsys, 0)
    assert (few["verdict"], few["means"]["p"]) == ("equal", 1.0)
    assert "So few episodes can tell nothing apart" in few["conclusion"]


def test_only_episodes_of_agents_that_draw_are_held_to_their_means(
    entry_files: dict[str, Path],
    changed: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    players = verifying._players

    def drawing(*args: Any, **kwargs: Any) -> Any:
        return {who: dataclasses.replace(one, draws=True) for who, one in players(*args, **kwargs).items()}

    monkeypatch.setattr(verifying, "_players", drawing)

    def other(content: dict[str, Any]) -> None:
        for job in content["jobs"]:
            job["episodes"]["lengths"] = [length - 1 for length in job["episodes"]["lengths"]]

    path = changed(other, "mine")
    told = found([str(path), "--sample", "2", "--checkpoint", "scripted_policies:sampler"], capsys, 1)
    assert ["answer the same each time" in problem for problem in told["problems"]] == [True]

    def other_that_says_so(content: dict[str, Any]) -> None:
        other(content)
        for entry in content["agents"]:
            entry["draws"] = True

    path = changed(other_that_says_so, "mine")
    told = found([str(path), "--sample", "2", "--checkpoint", "scripted_policies:sampler"], capsys, 0)
    assert (told["verdict"], told["comparable"], told["share_equal"]) == ("not told apart", False, 0.0)
    assert told["environment"] == ["mine draws random numbers of its own"]

    pair = outcome(np.random.default_rng(0)), outcome(np.random.default_rng(1))
    same, off = (
        verifying.Verification(
            target=path,
            kind="run",
            suite="smoke",
            num_episodes=2,
            seed=0,
            sample=tuple(Replayed(AgentId(name, 0, "breakout"), "clean", 0, 0, *pair) for name in names),
            problems=(),
            environment=(),
            drawing=("mine",),
            means=verifying.MeansTest(0.1, 1.0, 1.0),
            numbers=(),
        )
        for names in (["mine"], ["mine", "noop"])
    )
    assert (same.verdict, off.verdict) == ("not told apart", "differs")


def test_what_an_entry_says_of_its_agent_must_be_true(
    changed: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether an agent reads more than pixels decides where it stands."""

    def forge(content: dict[str, Any]) -> None:
        content["agents"][0].update(inputs=["ram"], privileged=True)
        content["privileged"] = True

    told = found([str(changed(forge)), *ONE], capsys, 1)
    assert (told["verdict"], told["unequal"]) == ("differs", [])
    assert told["problems"] == [
        "e2e (train seed 0) on breakout: inputs ('ram',) is stated, () is true.",
        "e2e (train seed 0) on breakout: privileged True is stated, False is true.",
    ]


def test_numbers_of_an_entry_are_by_our_reference_scores(
    changed: Callable[..., Path], entry_files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def forge(content: dict[str, Any]) -> None:
        content["reference_scores"]["breakout"] = {"random": -1000.0, "human": -999.0}

    honest = found([str(entry_files["e2e"]), *ONE], capsys, 0)
    assert found([str(changed(forge)), *ONE], capsys, 0)["numbers"] == honest["numbers"]


def test_other_versions_are_not_compared_to_the_bit(run_dir: Path) -> None:
    manifest = read_manifest(run_dir)
    plan, host = manifest.plan, manifest.history.first.host
    assert environment_differences(plan, [host]) == ()
    assert environment_differences(plan, [msgspec.structs.replace(host, cores=99, system="Plan 9")]) == ()
    other = msgspec.structs.replace(plan, versions={**plan.versions, "torch": "1.0"}, engine_version=1)
    assert [text.partition(":")[0] for text in environment_differences(other, [host])] == [
        "torch",
        "engine behaviour version",
    ]
    two = environment_differences(plan, [host, msgspec.structs.replace(host, machine="aarch64")])
    assert len(two) == 1


@pytest.mark.property
def test_equal_means_are_told_apart_as_seldom_as_promised(run_dir: Path) -> None:
    """1,000 samples of 8 episodes that were drawn twice from one skewed distribution: 5 in 100 at most, but chance."""
    plan = read_manifest(run_dir).plan
    rng = np.random.default_rng(0)
    alarms = 0
    for number in range(1_000):
        sample = [
            Replayed(AgentId("a", 0, "breakout"), "clean", place, 0, *(outcome(rng) for _ in range(2)))
            for place in range(8)
        ]
        alarms += verifying._means_test(sample, plan, number).p <= ALPHA
    assert 0.025 < alarms / 1_000 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1_000)


def outcome(rng: np.random.Generator) -> verifying.Outcome:
    return verifying.Outcome(float(rng.exponential(10.0)), 1, "game_over", None, None)


MOODS = """
import os, time
import numpy as np

class Policy:
    version = "1"

    def __init__(self):
        self.num_steps = 0

    def act(self, observations, lanes):
        self.num_steps += 1
        mood = os.environ.get("TEST_MOOD")
        if mood == "leaves" and self.num_steps == 6:  # it is asked 4 times before
            os._exit(0)
        if mood == "raises" and self.num_steps == 3:
            raise KeyError("mine")
        if mood == "sleeps":
            time.sleep(3600)
        return np.zeros(len(observations), np.int64)

if os.environ.get("TEST_MOOD") == "leaves at import":
    os._exit(0)
"""
WHO = "moody (train seed 0) on breakout"


@pytest.fixture
def moody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run of a policy that does later as it is told."""
    (tmp_path / "moody_policy.py").write_text(MOODS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "moody_policy", raising=False)
    run("smoke", ["moody=moody_policy:Policy"], out=tmp_path / "moody", **SHORT)
    return str(tmp_path / "moody")


SHORT: dict[str, Any] = {"perturbations": ["clean"], "episodes": 2, "protocol": {"max_frames": 40}, "workers": 0}


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one message of an agent that failed, behind the line of progress where it had begun."""
    assert main(["verify", *words]) == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert "Traceback" not in captured.err
    (line,) = [line for line in captured.err.splitlines() if "error: " in line]
    return line


def test_an_agent_that_ends_its_process_is_no_verified_one(
    moody: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its own exit code the command would say that all is equal."""
    monkeypatch.setenv("TEST_MOOD", "leaves")
    assert f"{WHO}: its process ended with exit code 0 after about " in refused([moody], capsys)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mood", "text"),
    [
        ("raises", "The agent 'moody' failed on breakout, step 3: KeyError: 'mine'"),
        ("sleeps", f"{WHO} was not loaded, or gave no answer, for 50 s and was ended."),
        ("leaves at import", f"{WHO} cannot be played again: Importing 'moody_policy'"),
        ("", ""),
    ],
)
def test_an_agent_that_fails_or_hangs_gets_one_message(
    mood: str, text: str, moody: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEST_MOOD", mood)
    words = [moody, "--worker-timeout", "10"]
    if mood:
        assert text in refused(words, capsys)
    else:
        assert found(words, capsys, 0)["share_equal"] == 1.0


@pytest.fixture(scope="module")
def greedy_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All cells of `smoke` in greedy play, more episodes than there are starts."""
    path = tmp_path_factory.mktemp("greedy") / "run"
    protocol = {"max_frames": 40, "action_selection": "greedy", "noop_max": 2}
    run("smoke", ["noop"], "quick", episodes=5, protocol=protocol, workers=0, out=path)
    return path


def greedy_entry(greedy_dir: Path, path: Path) -> dict[str, Any]:
    assert main(["submit", str(greedy_dir), "--agent", "noop", "--name", "N", "--out", str(path)]) == 0
    return json.loads(path.read_text(encoding="utf-8"))


def test_an_entry_of_starts_played_once_is_equal_to_the_bit(
    greedy_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "noop.json"
    content = greedy_entry(greedy_dir, path)
    order = list(start_order("breakout", range(3)))
    noops = {job["perturbation"]: job["episodes"]["noops"] for job in content["jobs"]}
    drawing = ("gaussian-noise@3", "sticky-actions@2")
    assert {len(noops[name]) for name in drawing} == {5}
    assert [noops[name] for name in noops if name not in drawing] == [order] * (len(noops) - 2)
    capsys.readouterr()
    for target in (path, greedy_dir):
        said = found([str(target), *ALL], capsys, 0)
        assert (said["verdict"], said["unequal"]) == ("equal", [])


def cut(job: dict[str, Any], number: int) -> None:
    for column in job["episodes"].values():
        if isinstance(column, list):
            del column[number:]


@pytest.mark.parametrize(("cell", "number"), [("clean", 2), ("gaussian-noise@3", 4), ("gaussian-noise@3", 3)])
def test_no_other_episodes_may_be_left_out_of_an_entry(
    greedy_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], cell: str, number: int
) -> None:
    path = tmp_path / "noop.json"
    content = greedy_entry(greedy_dir, path)
    cut(next(one for one in content["jobs"] if one["perturbation"] == cell), number)
    path.write_text(json.dumps(content), encoding="utf-8")
    capsys.readouterr()
    assert "5, as in its network's other jobs" in message([str(path)], capsys)


def test_chance_that_an_entry_denies_is_found(
    greedy_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "noop.json"
    content = greedy_entry(greedy_dir, path)
    name, order = "gaussian-noise@3", start_order("breakout", range(3))
    job = next(one for one in content["jobs"] if one["perturbation"] == name)
    cut(job, 3)
    job["episodes"]["noops"] = list(order)
    (network,) = read_manifest(greedy_dir).plan.agents
    (job["fingerprint"],) = job_fingerprints(
        network,
        Protocol.from_dict(content["protocol"]),
        perturbation_hash=content["perturbation_hashes"]["breakout"][name],
        rom_hash=content["roms"]["breakout"],
        episode_seeds=tuple(job["episodes"]["seeds"]),
        versions=content["versions"],
        engine_version=content["engine_version"],
        noops=order,
    )
    path.write_text(json.dumps(content), encoding="utf-8")
    capsys.readouterr()
    said = found([str(path), *ALL], capsys, 1)
    assert said["problems"] == [
        f"noop (train seed 0) on breakout, {name}: nothing but the start is said to be left to chance, and more is."
    ]


def test_no_start_of_an_entry_can_be_chosen(
    greedy_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "noop.json"
    content = greedy_entry(greedy_dir, path)
    (job,) = [one for one in content["jobs"] if one["perturbation"] == "clean"]
    played = job["episodes"]["noops"]
    for noops in ([1, 1, 1], played[::-1], [None] * 3):
        job["episodes"]["noops"] = noops
        path.write_text(json.dumps(content), encoding="utf-8")
        capsys.readouterr()
        assert main(["verify", str(path), *ALL]) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert f"Allowed: {played}, because its fingerprint says that each start is played once" in said
