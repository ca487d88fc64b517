"""The kinds of the family `corruption`."""

from __future__ import annotations
