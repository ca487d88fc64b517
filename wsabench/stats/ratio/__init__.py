"""Retention, the score that is left under a perturbation: when it is defined, and its intervals."""
