"""The leaderboard: entries that agents are submitted with, how they are checked, and the site made of them."""
