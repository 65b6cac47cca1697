"""Plain data: what to measure, and what was measured. Imports no torch."""
