"""An agent's own clean play, which some perturbations feed back to it: collected, stored, supplied."""
