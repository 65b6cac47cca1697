"""Corrupted images as files, in the layouts of the published sets. What is done to an image is in ``corruptions``."""
