"""Measuring wing: datasets and their images as 8-bit arrays, ready for a network."""
