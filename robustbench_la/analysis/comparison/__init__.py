"""Activations or checkpoints of a store compared, with differences and tests."""
