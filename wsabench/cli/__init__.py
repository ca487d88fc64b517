"""The command line: parse, call one function, print. The only part that prints."""

from wsabench.cli.application import app, main

__all__ = ["app", "main"]
