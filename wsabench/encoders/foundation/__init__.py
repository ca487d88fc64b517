"""Encoders that come with their weights: foundation models, other packages', TorchScript files."""
