"""Operators on native frames, the family `corruption`: luminance (height, width) or RGB (height, width, 3), uint8."""
