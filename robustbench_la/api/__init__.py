"""The functions that ``import robustbench_la`` offers, and their results. Measures and judges nothing itself."""
