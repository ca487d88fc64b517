"""The family `dynamics`: the game itself, or the way from the agent to it and back, changes."""
