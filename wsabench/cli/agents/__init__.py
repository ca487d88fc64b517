"""`wsabench agents ...`: trained agents that are not here."""
