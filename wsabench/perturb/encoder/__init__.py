"""The family `encoder`: the agent's own encoders change."""
