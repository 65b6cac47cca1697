"""The metrics, and how they follow from what was measured under each condition."""
