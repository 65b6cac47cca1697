"""Published corrupted sets, read as they are: one module per layout."""
