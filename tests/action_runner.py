"""Runs the composite action as GitHub's runner does, with a fake pip."""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
PIP = """#!/bin/sh
if [ "$2" = pip ]; then echo "$@" >> "$PIP_CALLS"; else exec {python} "$@"; fi
"""


@functools.cache
def action() -> dict[str, Any]:
    """What action.yml says."""
    import yaml

    return yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))


class Runner:
    """Runs the steps of the action one after the other, and stops at the first that fails."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.outputs: dict[str, dict[str, str]] = {}
        self.printed = ""
        self.python = folder / "python"
        self.python.write_text(PIP.format(python=shlex.quote(sys.executable)), encoding="utf-8")
        self.python.chmod(0o755)
        self.summary = folder / "summary"

    def value(self, text: str, inputs: dict[str, str]) -> str:
        """Fill in expressions as the runner does."""

        def meaning(match: re.Match[str]) -> str:
            kind, *rest = match[1].split(".")
            if kind == "inputs":
                return inputs[rest[0]]
            assert (kind, rest[1]) == ("steps", "outputs")
            return self.outputs[rest[0]].get(rest[2], "")

        return EXPRESSION.sub(meaning, text)

    def run(self, **given: str) -> int:
        """Run the action; return the exit code of the step that failed, or 0."""
        given = {name.replace("_", "-"): value for name, value in given.items()}
        inputs = {name: given.pop(name, str(one.get("default", ""))) for name, one in action()["inputs"].items()}
        assert not given
        inputs["python"] = str(self.python)
        self.summary.unlink(missing_ok=True)
        for step in action()["runs"]["steps"]:
            output = self.folder / "output"
            output.write_text("", encoding="utf-8")
            environment = {
                **{name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")},
                "PYTHONPATH": str(ROOT),
                "PIP_CALLS": str(self.folder / "pip"),
                "GITHUB_ACTION_PATH": str(ROOT),
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(self.summary),
                **{name: self.value(text, inputs) for name, text in step.get("env", {}).items()},
            }
            command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]]
            done = subprocess.run(
                command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=240, check=False
            )
            self.printed += done.stdout + done.stderr
            if "id" in step:
                lines = output.read_text(encoding="utf-8").splitlines()
                self.outputs[step["id"]] = dict(line.split("=", 1) for line in lines)
            if done.returncode:
                return done.returncode
        return 0

    def told(self, name: str) -> str:
        """Return an output of the action."""
        return self.value(action()["outputs"][name]["value"], {})
