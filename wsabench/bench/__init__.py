"""Everything that measures speed, side by side with a peer."""
