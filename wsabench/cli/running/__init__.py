"""What belongs to runs of many jobs: putting parts together, the price of a plan, launchers of clusters."""
