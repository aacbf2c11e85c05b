"""The measurements: each compares what it measures side by side in one run, and prints ratios."""
