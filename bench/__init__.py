"""Measurements: the application against the least that the same work could cost, in one run (docs/performance.md)."""
