"""Measuring wing: networks, their activation functions, and where they run."""
