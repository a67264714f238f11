"""Measurements of this project against its peers: `python -m benchmarks`; not installed with the package."""
