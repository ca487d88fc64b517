"""Statistics across agents, games, groups of perturbations and normalisers: what one average does not show."""
