"""The family `color`: operators on palettes, which fold into one table of 256 entries."""
