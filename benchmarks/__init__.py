"""Benchmarks: this package against its peers and against the physical limit."""
