"""Benchmarks of fdcore against its peers and against hand-written C: ``python -m bench --help``."""
