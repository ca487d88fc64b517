"""Agents trained elsewhere: one file for each format, opened by a URI such as `sb3:PATH.zip`."""
