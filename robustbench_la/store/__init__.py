"""Reading wing: the SQLite file that keeps every result."""
