"""The family `corruption`: operators on native frames, luminance (height, width) or RGB (height, width, 3), uint8."""
