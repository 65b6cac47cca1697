"""Previews of corrupted images: how tiles are arranged, drawn as a figure, and written as a page."""
