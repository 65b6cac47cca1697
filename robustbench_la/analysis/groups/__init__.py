"""Which results may be compared: sorted into groups; gaps are refused."""
