"""The kinds of the family `dynamics`."""

from __future__ import annotations
