"""`wsabench doctor` finds what is wrong, says how to put it right, and goes on to the next check."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsabench import machine
from wsabench.cli import doctor, main
from wsabench.cli.doctor import Finding
from wsabench.errors import SpecError
from wsabench.resources import data_dir

ROOT = Path(__file__).resolve().parents[2]


def test_it_exits_with_1_and_the_way_out_when_something_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def check_fine() -> Iterator[Finding]:
        yield Finding("roms", True, "104 games")

    def check_a_broken_thing() -> Iterator[Finding]:
        raise SpecError("color.toml: severity is 7. Use 5.")

    monkeypatch.setattr(doctor, "CHECKS", (check_a_broken_thing, check_fine))
    assert main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "a broken thing: color.toml: severity is 7. Use 5." in text
    assert "1 of 2 checks failed." in text
    assert main(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["fine"] is False
    assert [finding["fine"] for finding in found["findings"]] == [False, True]
    assert set(found["machine"]) == {"cpu", "cores", "system", "python", "packages"}


def test_it_exits_with_0_when_all_is_well(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "CHECKS", (doctor.check_versions, doctor.check_roms))
    assert main(["doctor"]) == 0
    assert "Everything is fine." in capsys.readouterr().out


def test_perturbations_are_counted_as_the_docs_count_them() -> None:
    (finding,) = doctor.check_catalogue()
    text = (ROOT / "docs" / "perturbations.md").read_text(encoding="utf-8")
    _, shared, _, added = re.findall(r"begin counts.*?^\| (all) \| (\d+) \| (\d+) \| (\d+) \|", text, re.M | re.S)[0]
    assert f"{shared} perturbations of any game and {added} that games add" in finding.found


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PACKAGES", ("numpy", "no-such-package"))
    (finding,) = doctor.check_versions()
    assert not finding.fine
    assert "no-such-package absent" in finding.found
    assert finding.fix == "Install no-such-package with pip."


def test_a_damaged_checkpoint_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(data_dir("perturbations"), tmp_path / "perturbations")
    (tmp_path / "baselines" / "breakout").mkdir(parents=True)
    (tmp_path / "baselines" / "breakout" / "wsa-seed0.safetensors").write_bytes(b"no weights")
    monkeypatch.setenv("WSABENCH_DATA", str(tmp_path))
    (finding,) = doctor._guarded(doctor.check_baselines)
    assert not finding.fine
    assert "wsa-seed0.safetensors is not a readable weights file" in finding.fix


def test_more_threads_than_cores_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    (finding,) = doctor.check_threads()
    assert not finding.fine
    assert "Set OMP_NUM_THREADS to" in finding.fix


def test_a_place_that_cannot_be_written_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(**arguments: object) -> None:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(doctor.tempfile, "NamedTemporaryFile", refuse)
    monkeypatch.setenv("WSABENCH_HOME", str(tmp_path / "not" / "yet" / "there"))
    findings = list(doctor.check_write_access())
    assert [finding.fine for finding in findings] == [False, False]
    assert "WSABENCH_HOME" in findings[1].fix


def test_cpu_facts_are_read_from_the_system(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu avx2 avx512_bf16\n\n", encoding="utf-8")
    assert machine.cpu_facts(cpuinfo) == {"model": "Some CPU", "flags": ["avx2", "avx512_bf16"]}
    assert machine.cpu_facts(tmp_path / "missing")["flags"] == []
