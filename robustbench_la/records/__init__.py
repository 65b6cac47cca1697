"""Plain data: what is asked for, and what was measured. Imports no torch."""
