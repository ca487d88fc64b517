"""Networks of agents: adapters, fusions, heads, and what builds them from a specification."""
