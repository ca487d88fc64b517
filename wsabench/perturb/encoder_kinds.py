"""The kinds of the family `encoder`."""

from __future__ import annotations
