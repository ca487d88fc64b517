"""What surrounds a report changes nothing: other settings of matplotlib, and where the printed commands are run."""

import hashlib
import html
import json
import os
import re
import shlex
import subprocess
import sys

import pytest
from result_fixture import agent_entry, made_manifest, write_result_set

from wsabench.cli import main
from wsabench.perturb.suites import load_suite
from wsabench.report.tables.provenance import title_of
from wsabench.results.manifest import SuiteEntry
from wsabench.summary.notes import _profile_notes, chosen_of

HOSTILE = """
text.usetex: True
savefig.bbox: tight
savefig.dpi: 30
figure.dpi: 37
font.family: cursive
font.size: 31
axes.grid: True
axes.facecolor: red
lines.linewidth: 9
image.cmap: jet
svg.fonttype: none
path.effects: []
backend: TkAgg
"""
CODE = "import sys; from wsabench.report import write_report; write_report(sys.argv[1], sys.argv[2], dpi=40)"


def contents(folder):
    """Return the hash of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_settings_of_matplotlib_change_no_byte(tmp_path):
    cells = (("clean", None), ("hue-rotate", 3))
    made = write_result_set(tmp_path / "run", cells=cells)
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "matplotlibrc").write_text(HOSTILE)
    hostile = {"MPLCONFIGDIR": str(tmp_path / "settings"), "MPLBACKEND": "module://not_installed_anywhere"}
    for name, changes in (("plain", {}), ("hostile", hostile)):
        command = [sys.executable, "-c", CODE, str(made), str(tmp_path / name)]
        done = subprocess.run(command, env=os.environ | changes, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr[-2000:]
    plain = contents(tmp_path / "plain")
    assert len(plain) > 50
    assert plain == contents(tmp_path / "hostile")


def commands_on(page):
    """Return the command lines under 'How to reproduce', as somebody would copy them from the page."""
    part = page.read_text().partition('id="reproduce"')[2]
    blocks = re.findall(r"<pre[^>]*><code>(.*?)</code></pre>", part, re.DOTALL)
    return [line for block in blocks for line in html.unescape(block).splitlines()]


@pytest.mark.parametrize("name", ["my run (1) \u00e9 $HOME", pytest.param("-dash", marks=pytest.mark.slow)])
def test_the_printed_command_makes_the_same_report(name, tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    sizes = {"agents": ("e2e",), "train_seeds": (0,), "cells": (("clean", None), ("invert", None))}
    write_result_set(tmp_path / "runs" / name, **sizes)
    monkeypatch.chdir(tmp_path / "runs" if name.startswith("-") else tmp_path)
    given = f"./{name}" if name.startswith("-") else f"runs/{name}"
    assert main(["report", given, "--format", "html"]) == 0
    page = tmp_path / "runs" / name / "report" / "report.html"
    before = page.read_bytes()
    (command,) = [line for line in commands_on(page) if line.startswith("wsabench report ")]
    page.unlink()
    # A shell splits the line; what it gives is what the program gets.
    shell = (
        f'wsabench() {{ "{sys.executable}" -c "import sys, json; print(json.dumps(sys.argv[1:]))" "$@"; }}; {command}'
    )
    given = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60, check=True).stdout
    assert main(json.loads(given)) == 0
    assert page.read_bytes() == before


@pytest.mark.slow
@pytest.mark.e2e
def test_all_commands_of_a_page_run(tmp_path):
    def shell(line):
        assert line.startswith("wsabench ")
        command = f"{shlex.quote(sys.executable)} -m wsabench {line.removeprefix('wsabench ')}"
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, (command, done.stderr[-2000:])

    out = "'my run (1)'"
    shell(f"wsabench run --agents noop --games breakout --perturbations invert --episodes 1 --out {out}")
    shell(f"wsabench report {out} --format html")
    lines = commands_on(tmp_path / "my run (1)" / "report" / "report.html")
    assert lines[0].startswith("pip install ")
    assert len(lines) == 3
    for line in lines[1:]:
        shell(line)


def plan_of(perturbations, agents=("wsa", "e2e"), profile="quick", **changes):
    """Return a recorded plan of the suite `color-shift` with these perturbations."""
    suite = load_suite("color-shift")
    entry = SuiteEntry(name=suite.name, summary=suite.summary, content_hash=suite.content_hash)
    entries = tuple(agent_entry(name) for name in agents)
    values = {"suite": entry, "profile": profile, "games": ("breakout",), "agents": entries, **changes}
    return made_manifest(perturbations=tuple(perturbations), **values).plan


def test_a_title_says_what_was_run():
    quick = load_suite("color-shift").profile("quick").cells.of_games(("breakout",))
    assert title_of(plan_of(quick)) == "wsa and e2e on breakout: suite color-shift, profile quick"
    assert title_of(plan_of(("clean", "strobe@2"))) == "wsa and e2e on breakout under strobe@2"
    own = [f"value@{severity}" for severity in range(1, 6)] + ["strobe@1"]
    assert title_of(plan_of(("clean", *own))) == "wsa and e2e on breakout under 6 named perturbations"
    three = title_of(plan_of(("clean", "strobe@2", "invert", "my-own")))
    assert three == "wsa and e2e on breakout under strobe@2, invert and my-own"
    # Whoever names two that a suite happens to have has not chosen that suite.
    assert title_of(plan_of(quick[:3])) == f"wsa and e2e on breakout under {quick[1]} and {quick[2]}"
    some = title_of(plan_of(quick[:6]))
    assert some.endswith(f": 5 of the {len(quick) - 1} perturbations of suite color-shift, profile quick")
    # The suite lists 235; Breakout brings 42 more.
    full = load_suite("full")
    entry = SuiteEntry(name=full.name, summary=full.summary, content_hash=full.content_hash)
    some = title_of(plan_of(("clean", "invert", "small-paddle"), profile="standard", suite=entry))
    assert some == "wsa and e2e on breakout under invert and small-paddle"
    of_full = [f"hue-rotate@{severity}" for severity in range(1, 6)]
    some = title_of(plan_of(("clean", *of_full), profile="standard", suite=entry))
    assert some == "wsa and e2e on breakout: 5 perturbations of suite full, profile standard"
    assert title_of(plan_of(("clean",))) == "wsa and e2e on breakout: clean play"
    many = [f"agent-{i}" for i in range(20)]
    assert title_of(plan_of(quick, many, games=("breakout", "pong"))).startswith("20 agents on breakout and pong: ")
    # What cannot be seen in a game is left out by the run and stays part of the suite.
    refused = plan_of([name for name in quick if name != "invert"], refused={"breakout": ("invert",)})
    assert title_of(refused).endswith("suite color-shift, profile quick")
    assert title_of(plan_of(quick, ("wsa", "random")), ["random"]).startswith("wsa on breakout: ")
    assert title_of(plan_of(("strobe@2",), (), games=())) == "under strobe@2"


def test_only_who_took_a_profile_is_warned_of_it():
    quick = load_suite("color-shift").profile("quick").cells.of_games(("breakout",))
    kinds = {}
    for names in (quick, quick[:3], ("clean", "strobe@2"), ("clean",)):
        plan = plan_of(names)
        kinds[chosen_of(plan).kind] = _profile_notes(plan)
    assert [kind for kind, notes in kinds.items() if notes] == ["suite"]
    assert set(kinds) == {"suite", "part of the suite", "own", "clean"}
    (note,) = kinds["suite"]
    assert note.startswith("The profile 'quick'")
    assert not _profile_notes(plan_of(quick, profile="standard"))
