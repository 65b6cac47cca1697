"""Reading wing: the CI gate, which judges a checkpoint against a baseline."""
