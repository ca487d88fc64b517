"""What commands tell of the catalogue and of the baselines, read without torch."""
