"""Agents trained elsewhere: one file for each format, opened by a URI such as `sb3:PATH.zip`."""

from wsabench.agents.elsewhere.opening import load_agent, open_import
from wsabench.agents.elsewhere.references import SCHEMES, split_uri

__all__ = ["SCHEMES", "load_agent", "open_import", "split_uri"]
