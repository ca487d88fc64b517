"""Pre-training of encoders on frames, without rewards."""
