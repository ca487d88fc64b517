"""Films, film strips and galleries: what a person sees, and what the agent sees."""
