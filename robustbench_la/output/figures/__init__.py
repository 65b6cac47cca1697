"""Results drawn with matplotlib."""
