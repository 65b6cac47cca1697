"""Measuring wing: networks trained by a recipe."""
