"""Files that came from anywhere (YAML, JSON, CSV), read within bounds of size, depth and number; what is wrong is one line."""
