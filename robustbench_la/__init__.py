"""Noise-robustness benchmarking of image classifiers; the command line is ``larobust``."""

__version__ = "0.1.0"
