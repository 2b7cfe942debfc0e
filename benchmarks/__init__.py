"""Measurements, side by side in one run: `python -m benchmarks.<name>` from the root of the clone."""
