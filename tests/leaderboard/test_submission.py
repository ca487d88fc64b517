"""What `wsabench submit` writes of a run, and which runs it refuses."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from result_fixture import with_ledger

from wsabench.cli import main
from wsabench.errors import ResultSetError
from wsabench.leaderboard.entry import read_entry
from wsabench.leaderboard.submission import entry_of, hosts_of
from wsabench.results import ResultSet, load_result
from wsabench.results.manifest import manifest_text, read_manifest


@pytest.fixture
def copied(run_dir: Path, tmp_path: Path) -> Path:
    """A copy of the run, to break."""
    return Path(shutil.copytree(run_dir, tmp_path / "run"))


def test_an_entry_says_who_played_what(entry_files: dict[str, Path], run_dir: Path) -> None:
    plan = read_manifest(run_dir).plan
    e2e, mine, random = (read_entry(entry_files[name]) for name in ("e2e", "mine", "random"))
    assert (e2e.suite.name, e2e.suite.version, e2e.suite.content_hash) == ("smoke", 1, plan.suite.content_hash)
    assert plan.suite.version == 1
    assert (e2e.name, e2e.agent, e2e.profile, e2e.games, e2e.train_seeds) == (
        "The e2e",
        "e2e",
        "quick",
        ("breakout",),
        (0,),
    )
    assert (e2e.privileged, e2e.external, e2e.trusted) == (False, False, False)
    assert (mine.external, random.external) == (True, False)
    assert e2e.perturbations == (
        "clean",
        "hue-rotate@3",
        "palette-pal",
        "gaussian-noise@3",
        "sticky-actions@2",
        "right-drift",
    )
    assert [one.perturbations for one in e2e.skipped] == [("zero-all",)]
    assert {len(job.episodes.returns) for job in e2e.jobs} == {2}
    assert (e2e.training.steps, e2e.training.frames, e2e.training.method) == (1_001_472, 4_005_888, "ppo")
    assert [one.game for one in e2e.training.networks] == ["breakout"]
    assert (mine.training.steps, mine.training.networks) == (None, ())


def test_what_the_submitter_says_is_kept(run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["submit", str(run_dir), "-a", "mine", "--name", "Mine", "--paper", "https://example.org/p", "--code"]
    words += ["https://example.org/c", "--checkpoint", "hf:me/mine", "--authors", "Me", "--notes", "a\nb"]
    words += ["--method", "guessing", "--training-frames", "400", "--train-perturbations", "invert,value@2"]
    assert main([*words, "--out", str(tmp_path), "--json"]) == 0
    path = tmp_path / "smoke-v1-mine.json"
    assert json.loads(capsys.readouterr().out) == {"path": str(path), "suite": "smoke", "version": 1, "name": "Mine"}
    entry = read_entry(path)
    assert (entry.paper, entry.code, entry.checkpoint) == (
        "https://example.org/p",
        "https://example.org/c",
        "hf:me/mine",
    )
    assert (entry.authors, entry.notes) == ("Me", "a\nb")
    assert (entry.training.method, entry.training.frames) == ("guessing", 400)
    assert entry.training.perturbations == ("invert", "value@2")


def test_without_a_place_the_entry_goes_into_a_folder_of_its_own(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["submit", str(run_dir), "-a", "mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == "entries/smoke-v1-mine.json"
    assert read_entry(tmp_path / "entries" / "smoke-v1-mine.json").name == "mine"


def refused(words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> str:
    """The one message of a submission that must fail, and leaves no file."""
    out = tmp_path / "x.json"
    assert main(["submit", *words, "--out", str(out)]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert not out.exists()
    return message


def test_the_printed_check_finds_the_agent(run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "an entry.json"
    for agent, option in (("e2e", ""), ("mine", " --checkpoint scripted_policies:sampler")):
        assert main(["submit", str(run_dir), "-a", agent, "--name", "  My\tagent ", "--out", str(out)]) == 0
        assert capsys.readouterr().out.endswith(f"wsabench verify '{out}'{option}\n")
        assert read_entry(out).name == "My agent"


def test_bad_words_are_refused(run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_text = str(run_dir)
    assert "Say which one: --agent random" in refused([run_text], capsys, tmp_path)
    assert "Unknown agent of this run 'e2' " in refused([run_text, "-a", "e2"], capsys, tmp_path).replace(".", " ")
    assert "say how long" in refused([run_text, "-a", "e2e", "--training-frames", "3"], capsys, tmp_path)
    assert "--name is empty" in refused([run_text, "-a", "e2e", "--name", " "], capsys, tmp_path)
    assert "There is no result directory" in refused([str(tmp_path / "none")], capsys, tmp_path)


def test_a_run_that_lacks_jobs_is_refused(copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copied / "episodes" / "e2e-seed0--breakout--invert.parquet").unlink(missing_ok=True)
    shards = sorted((copied / "episodes").glob("e2e-seed0--breakout--[ch]*.parquet"))
    for path in shards:
        path.unlink()
    message = refused([str(copied), "-a", "e2e"], capsys, tmp_path)
    assert "it lacks 2 of 6 jobs of this agent: e2e (train seed 0) on breakout, clean; e2e (train" in message
    assert main(["submit", str(copied), "-a", "noop", "--out", str(tmp_path / "noop.json")]) == 0


def test_other_cells_than_the_suite_s_are_refused(run_dir: Path) -> None:
    """A part of the cells, a cell of one's own, and a suite of one's own."""
    whole = load_result(run_dir)
    plan = whole.manifest.plan

    def with_plan(**changes: Any) -> ResultSet:
        return dataclasses.replace(whole, manifest=replace(whole.manifest, plan=replace(plan, **changes)))

    with pytest.raises(ResultSetError, match=r"did not play hue-rotate@3, palette-pal of smoke, profile quick\."):
        entry_of(with_plan(jobs=tuple(job for job in plan.jobs if job.perturbation[0] not in "hp")), "noop")
    strange = with_plan(
        jobs=tuple(replace(job, perturbation=job.perturbation.replace("pal", "")) for job in plan.jobs),
        perturbation_hashes={"breakout": {"ette-": "0" * 16, **plan.perturbation_hashes["breakout"]}},
    )
    names = whole.episodes["perturbation"].str.replace("pal", "")
    with pytest.raises(ResultSetError, match="played ette-, which smoke does not have"):
        entry_of(dataclasses.replace(strange, episodes=whole.episodes.assign(perturbation=names)), "noop")
    for suite in (replace(plan.suite, name="mine"), replace(plan.suite, content_hash="0" * 16)):
        with pytest.raises(ResultSetError, match=r"which is no published one\. Allowed: color-shift"):
            entry_of(with_plan(suite=suite), "noop")


def test_what_nobody_can_check_is_refused(copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = read_manifest(copied)
    plan = manifest.plan
    changes = {
        "it has no hash": {"agents": tuple(replace(one, checkpoint_hash="unhashed") for one in plan.agents)},
        "is not that of the versions": {"versions": {**plan.versions, "numpy": "1.0"}},
        "that of numba is unknown": {"versions": {**plan.versions, "numba": "unknown"}},
        "as it was defined before": {"perturbation_hashes": {"breakout": dict.fromkeys(plan.perturbations, "0" * 16)}},
        "runs of one profile": {"profile": "quick and standard"},
    }
    for text, change in changes.items():
        content = manifest_text(replace(manifest, plan=replace(plan, **change)))
        (copied / "manifest.json").write_text(content, encoding="utf-8")
        with_ledger(copied)
        assert text in refused([str(copied), "-a", "e2e"], capsys, tmp_path)


def test_folders_of_the_machine_are_left_out(copied: Path, tmp_path: Path) -> None:
    manifest = read_manifest(copied)
    plan = manifest.plan
    places = {
        ("address", "sb3:/home/me/a.zip"): "sb3:a.zip",
        ("address", "sb3:ckpt/a.zip"): "sb3:ckpt/a.zip",
        ("agent", "/home/me/a.safetensors"): "a.safetensors",
        ("agent", "~/a.safetensors"): "a.safetensors",
        ("import", "my:policy"): "my:policy",
    }
    for (kind, source), public in places.items():
        agents = tuple(replace(one, kind=kind, source=source) if one.agent == "e2e" else one for one in plan.agents)
        content = manifest_text(replace(manifest, plan=replace(plan, agents=agents)))
        (copied / "manifest.json").write_text(content, encoding="utf-8")
        with_ledger(copied)
        assert main(["submit", str(copied), "-a", "e2e", "--out", str(tmp_path / "x.json")]) == 0
        entry = read_entry(tmp_path / "x.json")
        assert [one.source for one in entry.agents] == [public]
        assert entry.external == (kind != "agent")
        assert "/home/" not in (tmp_path / "x.json").read_text(encoding="utf-8")


def test_every_kind_of_machine_is_named_once(run_dir: Path) -> None:
    history = read_manifest(run_dir).history
    other = replace(history.first, host=replace(history.first.host, processor="Z80"))
    assert hosts_of(history.started_again(history.first)) == (history.first.host,)
    assert hosts_of(history.started_again(other)) == (history.first.host, other.host)
