"""Benchmarks: each figure stands beside a limit that the same run has measured."""
