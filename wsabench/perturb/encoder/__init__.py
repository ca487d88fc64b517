"""Changes of the agent's own encoders: left out, fed something else, in other places, one more."""

PAPER = "Piccoli et al. 2026"
