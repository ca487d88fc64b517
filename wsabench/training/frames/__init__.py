"""Frames to learn from: who plays, how they are collected, coded and kept."""
