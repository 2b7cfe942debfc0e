"""Everything that wants a GPU, in one command: `python -m benchmarks.gpu`."""
