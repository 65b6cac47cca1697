"""Intervals, tests and resampling of plain numbers: over images, and over training seeds."""
