"""Probing: what of a game's state can be read linearly from each encoder's embedding."""
