"""Measuring wing: networks run on clean and corrupted images."""
