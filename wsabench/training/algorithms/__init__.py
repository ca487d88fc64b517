"""Reinforcement learning: PPO, DQN with its replay, and what both share."""
