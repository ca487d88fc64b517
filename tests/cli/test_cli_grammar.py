"""One grammar of options: a name means and takes the same in every command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from wsabench.cli.application import app, main
from wsabench.cli.grammar.command import EARLIER, PAIRS

USAGE: type[Exception] = typer.BadParameter.__bases__[0]
"""Of wrong usage, which has no public name in newer releases of Typer."""


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its path."""

    def below(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        if hasattr(command, "commands"):
            for name, child in command.commands.items():
                yield from below(child, (*path, name))
        else:
            yield " ".join(path), command

    return below(get_command(app), ())


def shown_options(command: Any) -> Iterator[tuple[str, Any]]:
    """Each option by the name that help shows."""
    for parameter in command.params:
        if parameter.param_type_name == "option":
            yield next(word for word in parameter.opts if word.startswith("--")), parameter


def kind(parameter: Any) -> tuple[str, str]:
    """What an option takes: a flag, else the type without None and list."""
    annotation = getattr(getattr(parameter, "type_descriptor", None), "annotation", None) or parameter.type.name
    name = str(getattr(annotation, "__name__", annotation)).lower()
    return ("flag", "") if getattr(parameter, "is_flag", False) else (name, parameter.metavar or "")


def test_an_option_has_one_form_in_all_commands() -> None:
    forms: dict[str, dict[tuple[str, str], list[str]]] = defaultdict(lambda: defaultdict(list))
    for path, command in commands():
        for name, parameter in shown_options(command):
            form = kind(parameter)
            if name == "--from":  # a result set; or agents, which may lie at an address
                assert form[1] in ("", "PLACE"), path
                continue
            if name == "--checkpoint":  # where the weights are: of one agent, or of each agent of a run
                assert form[1] == "PLACE", path
                continue
            if name == "--out":  # several files of one film; a path all the same
                assert form[1] == "PATH", path
                continue
            forms[name][form].append(path)
    odd = {
        name: {form: list(paths) for form, paths in found.items()} for name, found in forms.items() if len(found) > 1
    }
    assert odd == {}
    assert len(forms) > 80


def test_a_singular_takes_one_and_a_plural_several() -> None:
    for path, command in commands():
        for name, parameter in shown_options(command):
            stem = name.removeprefix("--")
            if stem in PAIRS:
                assert not parameter.multiple, (path, name)
                assert f"{name}s" in parameter.opts
            elif stem.removesuffix("s") in PAIRS:
                assert parameter.multiple, (path, name)
                assert parameter.metavar in ("NAME,...", "NUMBER,..."), (path, name)
                assert name.removesuffix("s") in parameter.opts


def test_short_names_and_seeds_mean_the_same_everywhere() -> None:
    long_of: dict[str, set[str]] = defaultdict(set)
    for path, command in commands():
        names = dict(shown_options(command))
        for name, parameter in names.items():
            for short in (word for word in parameter.opts if not word.startswith("--")):
                long_of[short].add(name.removeprefix("--").removesuffix("s"))
        assert "--json" in names, path
        if "--seed" in names:
            assert path in {"run", "check", "verify", "pretrain", "probe"}, path
    assert dict(long_of) == {"-a": {"agent"}, "-f": {"format"}, "-g": {"game"}, "-p": {"perturbation"}}


def test_help_shows_one_form_and_no_earlier_name(capsys: pytest.CaptureFixture[str]) -> None:
    for path, earlier in EARLIER.items():
        assert main([*path.split(), "--help"]) == 0
        words = capsys.readouterr().out.replace(",", " ").split()
        assert not set(earlier) & set(words), path
        assert set(earlier.values()) <= set(words), path
    assert main(["run", "--help"]) == 0
    assert "--agent," not in capsys.readouterr().out


def test_earlier_names_work_with_a_hint(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["power", "--effect", "0.5", "--seed-sd", "0.1", "--episode-sd", "0.3", "--json"]
    assert main([*words, "--episodes", "5"]) == 0
    old = capsys.readouterr()
    assert old.err == (
        "wsabench: note: --episodes of `wsabench power` is now called --try-episodes; the next release drops the old "
        "name.\n"
    )
    assert main([*words, "--try-episodes=5"]) == 0
    new = capsys.readouterr()
    assert (new.out, new.err) == (old.out, "")
    known = dict(commands())
    for path, earlier in EARLIER.items():
        names = {word for parameter in known[path].params for word in parameter.opts}
        assert set(earlier.values()) <= names
        assert not set(earlier) & names


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--games", "pong,breakout"], "`wsabench record` takes one game, and --game names pong, breakout. Give one"),
        (["--game", "pong", "-g", "breakout"], "takes one game, and --game is given 2 times"),
        (["--agents", "wsa,e2e"], "takes one agent, and --agent names wsa, e2e"),
        (["--perturbations", "clean,invert"], "takes one perturbation, and --perturbation names clean, invert"),
    ],
)
def test_several_where_one_is_allowed(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_both_forms_and_gymnasiums_names_of_games_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for words in (["--game", "ms_pacman"], ["--games", "ALE/MsPacman-v5"], ["-g", "MsPacmanNoFrameskip-v4"]):
        assert main(["list", "perturbations", *words, "--json"]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] == outputs[2]
    assert main(["show", "ms_pacman", "--json"]) == 0
    shown = capsys.readouterr().out
    assert main(["show", "ALE/MsPacman-v5", "--json"]) == 0
    assert capsys.readouterr().out == shown


def test_a_family_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "color"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("family color\n")
    assert "hue-rotate" in out
    assert "gaussian-noise" not in out


def test_a_tilde_is_the_home_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["gallery", "--perturbation", "invert", "--out=~/g.png", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"game": "breakout", "pages": [f"{tmp_path}/g.png"], "left_out": {}}
    assert (tmp_path / "g.png").is_file()
    assert main(["leaderboard", "~/entries", "--out", "~/site"]) == 2
    assert f"{tmp_path}/entries" in capsys.readouterr().err
    assert not (tmp_path / "~").exists()


def test_an_empty_path_is_never_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tried = []
    for path, command in commands():
        for empty in command.params:
            if "path" not in kind(empty)[0] and (empty.metavar or "") not in ("PATH", "PLACE"):
                continue
            words = path.split()
            for parameter in command.params:
                if parameter.required or parameter is empty:
                    words += [word for word in parameter.opts if word.startswith("--")][:1]  # arguments have none
                    words.append("" if parameter is empty else "1")
            assert main(words) == 2, words
            error = capsys.readouterr().err
            assert ' is empty. Give a path; "." is the current folder.' in error, words
            assert error.count("\n") == 1
            tried.append(words)
    assert len(tried) > 25
    assert {words[0] for words in tried} >= {"report", "check", "record", "verify", "agents", "train", "gallery"}
    assert list(tmp_path.iterdir()) == []


def test_no_option_of_any_command_takes_an_empty_value(capsys: pytest.CaptureFixture[str]) -> None:
    tried = 0
    for path, command in commands():
        for name, parameter in shown_options(command):
            if kind(parameter)[0] == "flag":
                continue
            words: list[str] = []
            for needed in command.params:
                if needed.required and needed is not parameter:
                    words += [word for word in needed.opts if word.startswith("--")][:1]  # arguments have none
                    words.append("1")
            for given in ([name, ""], *([[name, "1", name, ""]] if parameter.multiple else [])):
                with pytest.raises(USAGE) as refused:
                    command.make_context(path, [*words, *given])
                told = getattr(refused.value, "format_message", refused.value.__str__)()
                assert f"Invalid value for '{name}'" in told or f"{name} is empty. " in told, (path, given, told)
            tried += 1
    assert tried > 150
    assert main(["run", "-a", "noop", "-a", ""]) == 2
    told = capsys.readouterr().err
    assert told == (
        "wsabench: error: --agents is empty. Name what you mean, or leave --agents out. See `wsabench run --help`.\n"
    )


def completed(line: str) -> list[str]:
    """What bash is offered behind a line."""
    words = line.split(" ")
    asked = {"_WSABENCH_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    asked |= os.environ
    code = (
        "import sys\nfrom wsabench.cli.application import main\n"
        "try:\n    main([])\nfinally:\n    assert 'torch' not in sys.modules and 'ale_py' not in sys.modules\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=asked, capture_output=True, text=True, check=False)
    assert "Assertion" not in done.stderr, done.stderr
    return done.stdout.split()


def test_the_shell_completes_names_without_torch() -> None:
    assert completed("wsabench run --games pong,brea") == ["pong,breakout"]
    assert completed("wsabench record --perturbation hue-rotate@") == [f"hue-rotate@{level}" for level in range(1, 6)]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["run", "--suite"], {"color-shift", "corruption"}),
        (["run", "--agent"], {"noop", "random", "wsa"}),
        (["gallery", "--family"], {"color", "dynamics"}),
        (["show"], {"color", "pong", "wsa", "hue-rotate", "smoke"}),
        (["list"], {"games", "agents"}),
    ],
)
def test_what_is_completed(words: list[str], offered: set[str]) -> None:
    command = dict(commands())[words[0]]
    option = words[1] if len(words) > 1 else None
    parameter = next(
        one for one in command.params if (option in one.opts if option else one.param_type_name == "argument")
    )
    context = command.make_context(words[0], [], resilient_parsing=True)
    found = {getattr(item, "value", item) for item in parameter.shell_complete(context, "")}
    assert offered <= found


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gallery", "--family", "colr"], "Unknown family 'colr'. Did you mean 'color'?"),
        (["record", "--perturbation", "invrt"], "Unknown perturbation 'invrt'. Did you mean 'invert'?"),
        (["show", "colour"], "Unknown name 'colour'. Did you mean 'color'?"),
        (["report", "runs", "--format", "htlm"], "Unknown report format 'htlm'. Did you mean 'html'?"),
        (["leaderbord"], "No such command 'leaderbord'. Did you mean 'leaderboard'?"),
    ],
)
def test_misspelt_names_get_the_near_one_in_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"wsabench: error: {message}")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["list", "perturbations"],
        ["show", "color"],
        ["show", "smoke"],
        ["power", "--effect", "0.5", "--seed-sd", "0.1", "--episode-sd", "0.3", "--pairs", "12"],
        ["run", "--help"],
    ],
)
def test_sixty_columns_hold_every_line_and_break_no_name(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 60] == []
    if words[0] == "list":
        found = {line.split()[0] for line in lines if line and not line.startswith(" ")}
        assert {"recolor-background", "distractor-sprites", "jpeg-compression", "observation-delay"} <= found
