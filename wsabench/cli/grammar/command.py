"""The commands' class: singular and plural of an option, names of earlier versions, `~` in paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from typer.core import TyperCommand

from wsabench.cli.terminal.console import write_error
from wsabench.resources import NO_PATH, expanded

PAIRS = ("agent", "encoder", "format", "game", "look", "perturbation", "stage", "train-seed")
"""Options that may be written in the singular and in the plural, whichever of them a command has."""

EARLIER: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "bench encode": {"--encoders": "--num-encoders"},
        "bench train": {"--profile": "--breakdown"},
        "power": {"--agents": "--num-agents", "--episodes": "--try-episodes"},
        "pretrain": {"--steps": "--stage-steps"},
        "probe": {"--directory": "--encoders-dir"},
        "record": {"--seed": "--episode-seed"},
        "report": {"--family": "--claims-on"},
        "submit": {"--checkpoint-url": "--checkpoint"},
        "train": {"--encoders": "--encoders-dir", "--seed": "--train-seed"},
    }
)
"""Earlier names, by command: they meant something else in other commands, or one thing had two names."""


class GrammarCommand(TyperCommand):
    """A command that understands what `PAIRS` and `EARLIER` say, and expands `~` in every path."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Give options of `PAIRS` their other form, which help leaves out."""
        super().__init__(*args, **kwargs)
        taken = {option for parameter in self.params for option in parameter.opts}
        self._silent: dict[str, str] = {}
        for parameter in self.params:
            for name in PAIRS:
                forms = (f"--{name}", f"--{name}s")
                own = next((form for form in forms if form in parameter.opts), None)
                other = None if own is None else forms[own == forms[0]]
                if other is not None and other not in taken:
                    parameter.opts.append(other)
                    self._silent[parameter.name or ""] = other

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the help of all options, each with one form."""
        silent = [parameter for parameter in self.params if parameter.name in self._silent]
        for parameter in silent:
            parameter.opts.remove(self._silent[parameter.name or ""])
        try:
            super().format_options(ctx, formatter)
        finally:
            for parameter in silent:
                parameter.opts.append(self._silent[parameter.name or ""])

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of a command line.

        Raises:
            UsageError: Several values are given where one is allowed, or an empty one.
        """
        path = ctx.command_path.partition(" ")[2]
        words = _present(args, EARLIER.get(path, {}), f"wsabench {path}", is_quiet=ctx.resilient_parsing)
        given: Mapping[str, Any] = {}
        if not ctx.resilient_parsing:
            given, _, order = self.make_parser(ctx).parse_args(args=list(words))
            self._refuse_several(ctx, given, order)
        rest = super().parse_args(ctx, words)
        self._refuse_empty_paths(ctx, given)
        self._refuse_nothing(ctx, given)
        for parameter in self.params:
            if parameter.name in ctx.params:
                is_path = getattr(getattr(parameter, "type", None), "name", "") == "path"  # before Typer 0.29
                ctx.params[parameter.name] = _with_home(ctx.params[parameter.name], is_path)
        return rest

    def _refuse_empty_paths(self, ctx: Any, given: Mapping[str, Any]) -> None:
        """Refuse an empty path, as an unset variable of a shell gives it: it would mean the current folder."""
        for parameter in self.params:
            value = given.get(parameter.name or "")
            is_empty = "" in value if isinstance(value, list | tuple) else isinstance(value, str) and not value
            if is_empty and _takes_paths(parameter, ctx.params.get(parameter.name)):
                written = next((word for word in parameter.opts if word.startswith("--")), None)
                ctx.fail(f"{written or getattr(parameter, 'metavar', '')} is empty. {NO_PATH}")

    def _refuse_nothing(self, ctx: Any, given: Mapping[str, Any]) -> None:
        """Refuse an empty value, as an unset variable of a shell gives it: it would count as if it were not there."""
        for parameter in self.params:
            values = given.get(parameter.name or "")
            values = values if isinstance(values, list | tuple) else [values]
            if parameter.param_type_name == "option" and any(_is_empty(value) for value in values):
                option = parameter.opts[0]
                ctx.fail(f"{option} is empty. Name what you mean, or leave {option} out.")

    def _refuse_several(self, ctx: Any, values: Mapping[str, Any], order: Sequence[Any]) -> None:
        """Refuse several values of an option that has both forms, where this command takes one."""
        for parameter in self.params:
            if parameter.name not in self._silent or getattr(parameter, "multiple", False):
                continue
            given = values.get(parameter.name)
            several = _values_of(given) if isinstance(given, str) else []
            count = max(order.count(parameter), len(several))
            if count > 1:
                what = self._silent[parameter.name or ""].removeprefix("--").replace("-", " ").removesuffix("s")
                found = f"names {', '.join(several)}" if len(several) > 1 else f"is given {count} times"
                ctx.fail(
                    f"`{ctx.command_path}` takes one {what}, and {parameter.opts[0]} {found}. Give one, and call the "
                    "command again for each other."
                )


def _is_empty(value: Any) -> bool:
    """Whether a value as it was written is a text that names nothing."""
    return isinstance(value, str) and not value.strip(", ")


def _takes_paths(parameter: Any, value: Any) -> bool:
    """Whether a parameter of a command, which has a value, is a path or several of them."""
    values = value if isinstance(value, list | tuple) else [value]
    is_path = getattr(getattr(parameter, "type", None), "name", "") == "path"  # before Typer 0.29
    return is_path or parameter.metavar in ("PATH", "PLACE") or any(isinstance(one, Path) for one in values)


def _values_of(text: str) -> list[str]:
    """Return the values that a text holds, separated by commas; a path that exists is one."""
    from wsabench.evaluation.contestants import split_references

    return split_references([text]) if "," in text else [text]


def _present(words: Sequence[str], earlier: Mapping[str, str], command: str, *, is_quiet: bool) -> list[str]:
    """Return words with the present names of options, and tell of those that had their earlier ones."""
    found: list[str] = []
    is_over = False
    for word in words:
        is_over |= word == "--"
        name, equals, value = word.partition("=")
        if not is_over and name in earlier:
            if not is_quiet:
                write_error(
                    f"note: {name} of `{command}` is now called {earlier[name]}; the next release drops the old name."
                )
            word = earlier[name] + equals + value
        found.append(word)
    return found


def _with_home(value: Any, is_path: bool) -> Any:
    """Return a value with `~` expanded, if it is a path or holds paths."""
    if isinstance(value, list | tuple):
        return type(value)(_with_home(one, is_path) for one in value)
    return expanded(value) if isinstance(value, Path) or (is_path and isinstance(value, str)) else value
