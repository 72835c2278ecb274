"""What governance costs, measured: `python -m benchmarks`."""
